#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "dataplane/report/report.h"

#define CAPACITY (1u << 20)

static uint8_t scratch[LIMIT_MESSAGE_BYTES], into[LIMIT_MESSAGE_BYTES];

static void arrives_and_leaves_no_token(void **state)
{
	void *memory = calloc(1, ring_bytes(CAPACITY));
	struct report r = { .scratch = scratch };
	struct ring_consumer c;
	struct event_login in = { .flow = 9, .n = 1, .token = bytes_str("a.token.here") }, out;
	struct bytes got;
	uint64_t position, end;
	uint16_t type;

	ring_init(memory, CAPACITY, (const uint8_t[16]){ 1 });
	assert_true(ring_attach_producer(&r.ring, memory, CAPACITY));
	assert_true(ring_attach_consumer(&c, memory, CAPACITY));
	assert_true(report_login(&r, &in, &position));
	assert_null(memmem(scratch, sizeof scratch, "a.token", 7));
	assert_true(ring_read(&c, into, sizeof into, &type, &got, &end));
	assert_int_equal(type, EVENT_login);
	assert_int_equal(end, position);
	assert_true(event_login_decode(got, &out));
	assert_true(bytes_equal(out.token, in.token));
	free(memory);
}

static void full_ring_says_no(void **state)
{
	void *memory = calloc(1, ring_bytes(CAPACITY));
	struct report r = { .scratch = scratch };
	uint8_t data[60000] = { 0 };
	struct event_payload m = { .flow = 1, .data = bytes_of(data, sizeof data) };

	ring_init(memory, CAPACITY, (const uint8_t[16]){ 1 });
	assert_true(ring_attach_producer(&r.ring, memory, CAPACITY));
	while (report_payload(&r, &m, NULL))
		;
	assert_int_equal(r.events, 17);
	assert_int_equal(r.refused, 1);
	assert_false(report_has_room(&r));
	free(memory);
}

/* Made in place or copied around the end, a message is the same. */
static void anywhere_in_the_ring(void **state)
{
	void *memory = calloc(1, ring_bytes(CAPACITY));
	struct report r = { .scratch = scratch };
	uint8_t data[60000];
	struct ring_consumer c;
	uint64_t end, position;
	unsigned placed = 0;

	ring_init(memory, CAPACITY, (const uint8_t[16]){ 1 });
	assert_true(ring_attach_producer(&r.ring, memory, CAPACITY));
	assert_true(ring_attach_consumer(&c, memory, CAPACITY));
	for (unsigned i = 0; i < 400; i++) {
		struct event_payload m = { .flow = i, .data = bytes_of(data, i * 997u % sizeof data) }, out;
		struct bytes got;
		uint16_t type;

		memset(data, (int)(i & 0xff), sizeof data);
		placed += ring_place(&r.ring) != NULL;
		assert_true(report_payload(&r, &m, &position));
		assert_true(ring_read(&c, into, sizeof into, &type, &got, &end));
		assert_int_equal(type, EVENT_payload);
		assert_int_equal(end, position);
		assert_true(event_payload_decode(got, &out));
		assert_int_equal(out.flow, i);
		assert_true(bytes_equal(out.data, m.data));
		ring_release(&c, end);
	}
	assert_true(placed > 100 && placed < 400);
	assert_int_equal(r.events, 400);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arrives_and_leaves_no_token),
		cmocka_unit_test(full_ring_says_no),
		cmocka_unit_test(anywhere_in_the_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
