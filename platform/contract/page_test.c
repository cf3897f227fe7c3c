/* page_test.c: what workers show is copied whole, refused when it is none, and worded within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "platform/contract/message.h"
#include "platform/contract/page.h"

static void a_page_of_another_version_is_not_read(void **state)
{
	struct page_worker w = { .magic = PAGE_MAGIC, .bytes = sizeof w };

	assert_ptr_equal(page_worker_open(&w, sizeof w), &w);
	assert_null(page_worker_open(&w, sizeof w - 1));
	assert_null(page_worker_open(NULL, 0));
	w.bytes--;
	assert_null(page_worker_open(&w, sizeof w));
	w.bytes++;
	w.magic++;
	assert_null(page_worker_open(&w, sizeof w));
}

static void a_file_shorter_than_it_says_is_not_read(void **state)
{
	struct page_flights *f = calloc(1, page_flights_bytes(3));

	f->magic = PAGE_MAGIC;
	f->bytes = sizeof(struct page_flow);
	f->flows = 3;
	assert_non_null(page_flights_open(f, page_flights_bytes(3)));
	assert_null(page_flights_open(f, page_flights_bytes(3) - 1));
	f->flows = UINT32_MAX;
	assert_null(page_flights_open(f, page_flights_bytes(3)));
	f->flows = 3;
	f->bytes = 1;
	assert_null(page_flights_open(f, page_flights_bytes(3)));
	free(f);
}

static void a_copy_is_whole_or_none(void **state)
{
	static struct page_flow from, to;

	assert_false(page_flow_copy(&from, &to)); /* not in use */
	from.id = 7;
	memset(from.service, 'x', sizeof from.service);
	assert_true(page_flow_copy(&from, &to));
	assert_int_equal(strlen(to.service), sizeof to.service - 1);
	from.version = 3; /* being written, for ever */
	assert_false(page_flow_copy(&from, &to));
}

static void states_are_worded(void **state)
{
	static const struct {
		uint32_t state;
		const char *text;
	} rows[] = {
		{ 0, "free" },
		{ 2 | 6 << PAGE_STATE_WAIT | 2 << PAGE_STATE_TLS_CLIENT | 1 << (PAGE_STATE_FLAGS + PAGE_STATE_LOGGED_IN),
		  "running, waits for approval, client tls established, logged in" },
		{ 4 | 3 << PAGE_STATE_TLS_SERVER | 1 << (PAGE_STATE_FLAGS + PAGE_STATE_SERVER_RESET), "closed, server tls failed, server reset" },
		{ 7 | 7 << PAGE_STATE_WAIT, "?, waits for cancel" },
	};
	char text[PAGE_TEXT_BYTES];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		page_state_text(rows[i].state, text);
		assert_string_equal(text, rows[i].text);
	}
	page_state_text(UINT32_MAX, text);
	assert_true(strlen(text) < sizeof text);
}

static void records_are_worded(void **state)
{
	static const struct {
		struct page_record record;
		const char *text;
	} rows[] = {
		{ { .what = PAGE_FLIGHT_opened, .a = 40000, .b = 3 }, "opened client: 40000; 3" },
		{ { .what = PAGE_FLIGHT_segment_in, .side = 1, .a = 0x12u << 16, .b = 99 }, "segment_in server: SYN+ACK 0 bytes; 99" },
		{ { .what = PAGE_FLIGHT_ended, .a = CLOSE_TLS, .b = 5 }, "ended client: tls; 5" },
		{ { .what = PAGE_FLIGHT_ended, .a = 255 }, "ended client: ?; 0" },
		{ { .what = 255, .a = 1, .b = 2 }, "? 255 1 2" },
	};
	char text[PAGE_TEXT_BYTES];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		page_record_text(&rows[i].record, text);
		assert_string_equal(text, rows[i].text);
	}
	for (uint32_t i = 1; i < 20000; i++) { /* whatever another process writes: bounded */
		struct page_record r = { .what = (uint8_t)i, .side = (uint8_t)(i >> 3), .a = i * 2654435761u, .b = i * 40503u };

		page_record_text(&r, text);
		assert_true(strlen(text) < sizeof text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_of_another_version_is_not_read),
		cmocka_unit_test(a_file_shorter_than_it_says_is_not_read),
		cmocka_unit_test(a_copy_is_whole_or_none),
		cmocka_unit_test(states_are_worded),
		cmocka_unit_test(records_are_worded),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
