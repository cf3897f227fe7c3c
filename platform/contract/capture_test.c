/* capture_test.c: a request is taken whole or not at all, nothing that one side writes harms the other, and a full ring never waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "platform/contract/capture.h"

static struct capture_file *file;

static int opened(void **state)
{
	file = aligned_alloc(64, sizeof *file);
	memset(file, 0, sizeof *file);
	return capture_open(file, sizeof *file) ? 0 : 1;
}

static int closed(void **state)
{
	free(file);
	return 0;
}

static const struct capture_request plain = { .snap = CAPTURE_HEADERS, .until_wall_us = 1, .bytes_max = 1, .vlan = CAPTURE_ANY_VLAN,
	.client.vlan = CAPTURE_ANY_VLAN, .target.vlan = CAPTURE_ANY_VLAN, .host.vlan = CAPTURE_ANY_VLAN };

static void put(struct capture_writer *w, uint64_t flow)
{
	struct capture_record *r = capture_slot(w);

	assert_non_null(r);
	*r = (struct capture_record){ .flow = flow, .original = 100, .captured = 54, .bytes = { 1, 2, 3 } };
	capture_done(w);
}

static void another_versions_file_is_refused(void **state)
{
	assert_null(capture_open(NULL, sizeof *file));
	assert_null(capture_open(file, sizeof *file - 1));
	assert_ptr_equal(capture_open(file, sizeof *file), file);
	file->magic++;
	assert_null(capture_open(file, sizeof *file));
}

static void a_request_is_taken_once(void **state)
{
	struct capture_writer w = capture_writer_of(file);
	struct capture_request got;
	uint64_t number;

	assert_false(capture_is_asked(&w));
	number = capture_ask(file, &plain);
	assert_true(capture_is_asked(&w));
	assert_true(capture_take(&w, &got));
	assert_memory_equal(&got, &plain, sizeof got);
	assert_int_equal(file->answered, number);
	assert_false(capture_is_asked(&w));
}

static void one_that_is_being_written_is_left(void **state)
{
	struct capture_writer w = capture_writer_of(file);
	struct capture_request got;

	(void)capture_ask(file, &plain);
	file->wanted++; /* control begins the next one, and dies */
	assert_false(capture_take(&w, &got));
	assert_int_equal(file->answered, 0);
	(void)capture_ask(file, &plain); /* the next control */
	assert_true(capture_take(&w, &got));
}

/* Each row spoils one field of a good request. */
static void what_is_not_known_is_refused(void **state)
{
	static const struct { size_t at; uint8_t value; } rows[] = {
		{ offsetof(struct capture_request, snap), 3 }, { offsetof(struct capture_request, snap) + 3, 1 },
		{ offsetof(struct capture_request, targets), CAPTURE_TARGETS + 1 }, { offsetof(struct capture_request, targets) + 3, 0x80 },
		{ offsetof(struct capture_request, targets), 1 }, /* the first target is of no family */
		{ offsetof(struct capture_request, vlan) + 1, 0x10 }, { offsetof(struct capture_request, protocol), 2 },
		{ offsetof(struct capture_request, protocol), 255 }, { offsetof(struct capture_request, zero), 1 },
		{ offsetof(struct capture_request, zero) + 2, 1 },
		{ offsetof(struct capture_request, client.family), 5 }, { offsetof(struct capture_request, client.prefix), 1 },
		{ offsetof(struct capture_request, target.family), 255 }, { offsetof(struct capture_request, target.prefix), 129 },
		{ offsetof(struct capture_request, target.vlan) + 1, 0x10 }, { offsetof(struct capture_request, host.zero), 1 },
		{ offsetof(struct capture_request, host.prefix), 33 },
	};

	assert_true(capture_request_ok(&plain));
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct capture_writer w = capture_writer_of(file);
		struct capture_request bad = plain, got;
		uint64_t number;

		((uint8_t *)&bad)[rows[i].at] = rows[i].value;
		assert_false(capture_request_ok(&bad));
		number = capture_ask(file, &bad);
		assert_true(capture_take(&w, &got));
		assert_int_equal(got.snap, CAPTURE_OFF);
		assert_int_equal(file->refused, number);
		assert_int_equal(file->answered, number);
	}
}

static void records_come_out_in_order_and_leave_nothing(void **state)
{
	static const struct capture_record zero;
	struct capture_writer w = capture_writer_of(file);
	struct capture_reader r = capture_reader_of(file);
	struct capture_record got;

	for (uint64_t i = 1; i < 5 * (uint64_t)CAPTURE_SLOTS; i++) {
		put(&w, i);
		assert_int_equal(capture_read(&r, &got), CAPTURE_GOT);
		assert_int_equal(got.flow, i);
	}
	assert_int_equal(capture_read(&r, &got), CAPTURE_NONE);
	for (unsigned i = 0; i < CAPTURE_SLOTS; i++)
		assert_memory_equal(&file->slot[i], &zero, sizeof zero);
	put(&w, 7);
	capture_wipe(&r);
	assert_memory_equal(&file->slot[(r.tail - 1) % CAPTURE_SLOTS], &zero, sizeof zero);
	assert_int_equal(capture_read(&r, &got), CAPTURE_NONE);
}

static void a_full_ring_says_no_and_goes_on(void **state)
{
	struct capture_writer w = capture_writer_of(file);
	struct capture_reader r = capture_reader_of(file);
	struct capture_record got;

	for (unsigned i = 0; i < CAPTURE_SLOTS; i++)
		put(&w, i + 1);
	assert_null(capture_slot(&w));
	assert_int_equal(capture_read(&r, &got), CAPTURE_GOT);
	assert_int_equal(got.flow, 1); /* the oldest was not overwritten */
	put(&w, 99);
	assert_null(capture_slot(&w));
}

static void a_tail_that_makes_no_sense_leaves_no_room(void **state)
{
	struct capture_writer w = capture_writer_of(file);

	file->tail = 12345; /* ahead of all that was written */
	w.tail = w.head - CAPTURE_SLOTS; /* look again */
	assert_null(capture_slot(&w));
}

static void a_worker_that_lies_is_not_read(void **state)
{
	struct capture_reader r = capture_reader_of(file);
	struct capture_record got;

	file->head = CAPTURE_SLOTS + 1;
	assert_int_equal(capture_read(&r, &got), CAPTURE_BROKEN);
	file->head = UINT64_MAX;
	assert_int_equal(capture_read(&r, &got), CAPTURE_BROKEN);
}

/* All of a frame's records, or none; nobody sees some of them. */
static void several_at_once_or_none(void **state)
{
	struct capture_writer w = capture_writer_of(file);
	struct capture_reader r = capture_reader_of(file);
	struct capture_record got;

	assert_true(capture_room(&w, 3));
	for (unsigned i = 0; i < 3; i++)
		*capture_slot_of(&w, i) = (struct capture_record){ .original = 1, .flow = i };
	assert_int_equal(capture_read(&r, &got), CAPTURE_NONE);
	capture_done_all(&w, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(capture_read(&r, &got), CAPTURE_GOT);
		assert_int_equal(got.flow, i);
	}
	assert_true(capture_room(&w, CAPTURE_SLOTS));
	capture_done(&w);
	assert_false(capture_room(&w, CAPTURE_SLOTS));
	assert_true(capture_room(&w, CAPTURE_SLOTS - 1));
}

static void a_record_that_lies_is_not_used(void **state)
{
	static const struct { uint32_t original; uint16_t captured; uint8_t port, direction; bool good; } rows[] = {
		{ 100, 100, 1, 1, true }, { 0, 0, 0, 0, true }, { 65535, 224, 0, 0, true }, { 300, 224, 1, 1 | CAPTURE_MORE, true },
		{ 1000, 225, 0, 0, false }, { 53, 54, 0, 0, false }, { 65536, 54, 0, 0, false }, { 100, 54, 2, 0, false }, { 100, 54, 0, 2, false }, { 300, 224, 0, 2 | CAPTURE_MORE, false },
	};

	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct capture_writer w = capture_writer_of(file);
		struct capture_reader r = capture_reader_of(file);
		struct capture_record got;

		*capture_slot(&w) = (struct capture_record){ .original = rows[i].original, .captured = rows[i].captured, .port = rows[i].port, .direction = rows[i].direction };
		capture_done(&w);
		assert_int_equal(capture_read(&r, &got), rows[i].good ? CAPTURE_GOT : CAPTURE_BROKEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(another_versions_file_is_refused, opened, closed),
		cmocka_unit_test_setup_teardown(a_request_is_taken_once, opened, closed),
		cmocka_unit_test_setup_teardown(one_that_is_being_written_is_left, opened, closed),
		cmocka_unit_test_setup_teardown(what_is_not_known_is_refused, opened, closed),
		cmocka_unit_test_setup_teardown(records_come_out_in_order_and_leave_nothing, opened, closed),
		cmocka_unit_test_setup_teardown(a_full_ring_says_no_and_goes_on, opened, closed),
		cmocka_unit_test_setup_teardown(a_tail_that_makes_no_sense_leaves_no_room, opened, closed),
		cmocka_unit_test_setup_teardown(several_at_once_or_none, opened, closed),
		cmocka_unit_test_setup_teardown(a_worker_that_lies_is_not_read, opened, closed),
		cmocka_unit_test_setup_teardown(a_record_that_lies_is_not_used, opened, closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
