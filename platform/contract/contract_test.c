#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/base/random.h"
#include "platform/contract/classification.h"
#include "platform/contract/message.h"
#include "platform/contract/ring.h"

#define CAPACITY 4096u

static uint8_t *memory;
static const uint8_t id[16] = "test ring";

static int make_memory(void **state)
{
	memory = aligned_alloc(4096, ring_bytes(CAPACITY));
	memset(memory, 0, ring_bytes(CAPACITY));
	ring_init(memory, CAPACITY, id);
	return 0;
}

static int free_memory(void **state)
{
	free(memory);
	return 0;
}

/* A million bytes of random messages through a small ring, the consumer dying now and then before it released. */
static void ring_keeps_everything(void **state)
{
	struct ring_producer p;
	struct ring_consumer c;
	struct rng rng = rng_seeded(42);
	uint8_t out[CAPACITY], in[CAPACITY];
	uint32_t sent = 0, received = 0, released = 0;
	uint64_t end = 0;

	assert_true(ring_attach_producer(&p, memory, CAPACITY));
	assert_true(ring_attach_consumer(&c, memory, CAPACITY));
	while (received < 20000) {
		size_t len = 4 + rng_below(&rng, 200);
		struct bytes got;
		uint16_t type;

		memset(out, (int)(sent & 255), len);
		memcpy(out, &sent, 4);
		if (ring_write(&p, (uint16_t)(sent % 7), bytes_of(out, len), NULL))
			sent++;
		if (rng_below(&rng, 3) == 0)
			continue;
		if (ring_read(&c, in, sizeof in, &type, &got, &end)) {
			uint32_t number;

			memcpy(&number, got.base, 4);
			assert_int_equal(number, received);
			assert_int_equal(type, received % 7);
			received++;
		}
		switch (rng_below(&rng, 50)) {
		case 0:
			assert_true(ring_attach_consumer(&c, memory, CAPACITY));
			received = released;
			end = c.next;
			break;
		case 1: case 2: case 3: case 4: case 5: case 6: case 7: case 8: case 9:
			ring_release(&c, end);
			released = received;
			break;
		}
	}
}

static void full_ring_refuses(void **state)
{
	struct ring_producer p;
	uint8_t out[1000] = { 0 };
	int written = 0;

	assert_true(ring_attach_producer(&p, memory, CAPACITY));
	while (ring_write(&p, 1, bytes_of(out, sizeof out), NULL))
		written++;
	assert_int_equal(written, 4);
	assert_true(ring_space(&p) < sizeof out);
}

static void hostile_header_breaks_the_reader_only(void **state)
{
	struct ring_header *h = (struct ring_header *)memory;
	struct ring_producer p;
	struct ring_consumer c;
	uint8_t in[CAPACITY];
	struct bytes got;
	uint16_t type;
	uint64_t end;

	assert_true(ring_attach_producer(&p, memory, CAPACITY));
	assert_true(ring_attach_consumer(&c, memory, CAPACITY));
	atomic_store(&h->head, 1u << 30);
	assert_false(ring_read(&c, in, sizeof in, &type, &got, &end));
	assert_true(c.broken);
	atomic_store(&h->tail, 1u << 30);
	for (size_t used = 0; used <= CAPACITY / 2; used += 16) /* what the tail allowed before */
		(void)!ring_write(&p, 1, bytes_of(in, 8), NULL);
	assert_false(ring_write(&p, 1, bytes_of(in, 8), NULL));
	h->capacity = 1u << 20;
	assert_false(ring_attach_consumer(&c, memory, CAPACITY));
}

static void hostile_length_breaks_the_reader(void **state)
{
	struct ring_producer p;
	struct ring_consumer c;
	uint8_t in[CAPACITY];
	struct bytes got;
	uint16_t type;
	uint64_t end;
	uint32_t huge = 0xfffffff0u;

	assert_true(ring_attach_producer(&p, memory, CAPACITY));
	assert_true(ring_attach_consumer(&c, memory, CAPACITY));
	assert_true(ring_write(&p, 1, bytes_of(in, 8), NULL));
	memcpy(memory + RING_HEADER_BYTES, &huge, 4);
	assert_false(ring_read(&c, in, sizeof in, &type, &got, &end));
	assert_true(c.broken);
}

static void released_secrets_are_gone(void **state)
{
	struct ring_producer p;
	struct ring_consumer c;
	uint8_t in[CAPACITY];
	struct bytes got;
	uint16_t type;
	uint64_t end;

	assert_true(ring_attach_producer(&p, memory, CAPACITY));
	assert_true(ring_attach_consumer(&c, memory, CAPACITY));
	assert_true(ring_write(&p, 1, bytes_str("hunter2hunter2"), NULL));
	assert_true(ring_read(&c, in, sizeof in, &type, &got, &end));
	ring_release_wiped(&c, end);
	assert_null(memmem(memory + RING_HEADER_BYTES, CAPACITY, "hunter2", 7));
}

static void seek_finds_only_what_is_there(void **state)
{
	struct ring_producer p;
	struct ring_consumer c;
	uint64_t first, second;

	assert_true(ring_attach_producer(&p, memory, CAPACITY));
	assert_true(ring_write(&p, 1, bytes_str("a"), &first));
	assert_true(ring_write(&p, 2, bytes_str("b"), &second));
	assert_true(ring_attach_consumer(&c, memory, CAPACITY));
	assert_true(ring_seek(&c, first));
	assert_true(ring_seek(&c, second));
	assert_false(ring_seek(&c, second + 8));
	ring_release(&c, first);
	assert_false(ring_seek(&c, 0));
}

static void messages_survive_and_refuse_garbage(void **state)
{
	uint8_t buffer[1024];
	struct event_flow_open in = { .flow = 7, .n = 1, .service = 2, .client = bytes_of("\1\2\3\4", 4), .client_port = 5 }, out;
	struct bytes wire = event_flow_open_encode(&in, buffer, sizeof buffer);

	assert_true(wire.len > 0);
	assert_true(event_flow_open_decode(wire, &out));
	assert_int_equal(out.flow, 7);
	assert_true(bytes_equal(out.client, in.client));
	for (size_t cut = 0; cut < wire.len; cut++)
		assert_false(event_flow_open_decode(bytes_of(wire.base, cut), &out));
	assert_false(event_flow_open_decode(bytes_of(wire.base, wire.len + 1), &out));
	in.client.len = 17;
	assert_int_equal(event_flow_open_encode(&in, buffer, sizeof buffer).len, 0);
	assert_string_equal(event_name(EVENT_flow_open, NULL), "flow_open");
	assert_null(order_name(999, NULL));
}

static struct bytes sample_classification(uint8_t *buffer, size_t cap)
{
	struct classification_writer cw = classification_writer_of(buffer, cap, true);
	struct access a = { .verb = VERB_select, .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str("customers") } };
	struct bytes name = bytes_str("email");

	classification_begin_statement(&cw, FLAG_unbounded);
	classification_add_access(&cw, &a);
	classification_begin_targets(&cw);
	classification_add_target(&cw, TAINT_NAMES, &name, 1);
	classification_add_target(&cw, TAINT_NONE, NULL, 0);
	classification_begin_predicates(&cw);
	classification_add_predicate(&cw, 0, bytes_str("id"));
	classification_add_predicate(&cw, PREDICATE_ANY, bytes_str(""));
	classification_begin_writes(&cw);
	classification_add_write(&cw, 0, 7, bytes_str("note"), TAINT_NAMES, &name, 1);
	classification_end_statement(&cw, NULL);
	return classification_finish(&cw, bytes_str("select email, 1 from customers"), bytes_str("select email, $1 from customers"));
}

static void classification_round_trip(void **state)
{
	uint8_t buffer[512];
	struct bytes wire = sample_classification(buffer, sizeof buffer);
	struct classification c;
	struct classified_statement s;
	struct access a;
	struct predicate p;
	struct written w;
	struct target t;
	struct bytes name;
	struct reader at;

	assert_true(classification_open(wire, &c));
	assert_true(c.generic);
	at = c.statement_bytes;
	assert_true(classification_next(&at, &s));
	assert_true(access_next(&s.access_bytes, &a));
	assert_int_equal(a.verb, VERB_select);
	assert_true(bytes_equal(a.level[0], bytes_str("customers")));
	assert_false(access_next(&s.access_bytes, &a));
	assert_true(target_next(&s.target_bytes, &t));
	assert_true(target_name(&t, &name));
	assert_true(bytes_equal(name, bytes_str("email")));
	assert_false(target_name(&t, &name));
	assert_true(target_next(&s.target_bytes, &t));
	assert_int_equal(t.taint, TAINT_NONE);
	assert_true(predicate_next(&s.predicate_bytes, &p));
	assert_int_equal(p.access, 0);
	assert_true(bytes_equal(p.column, bytes_str("id")));
	assert_true(predicate_next(&s.predicate_bytes, &p));
	assert_int_equal(p.access, PREDICATE_ANY);
	assert_int_equal(p.column.len, 0);
	assert_false(predicate_next(&s.predicate_bytes, &p));
	assert_true(s.writes_told);
	assert_true(written_next(&s.write_bytes, &w));
	assert_int_equal(w.access, 0);
	assert_int_equal(w.position, 7);
	assert_true(bytes_equal(w.column, bytes_str("note")));
	assert_true(target_name(&w.from, &name) && bytes_equal(name, bytes_str("email")));
	assert_false(written_next(&s.write_bytes, &w));
	assert_false(classification_next(&at, &s));
	for (size_t cut = 0; cut < wire.len; cut++)
		assert_false(classification_open(bytes_of(wire.base, cut), &c));
}

static void classification_refuses_bad_enums(void **state)
{
	uint8_t buffer[512], copy[512];
	struct bytes wire = sample_classification(buffer, sizeof buffer);
	struct classification c;

	memcpy(copy, wire.base, wire.len);
	copy[10] = VERB_count; /* the first access's verb */
	assert_false(classification_open(bytes_of(copy, wire.len), &c));
	memcpy(copy, wire.base, wire.len);
	copy[0] = 1;
	assert_false(classification_open(bytes_of(copy, wire.len), &c));
	/* The first predicate names an access that is not there; so does what is written. */
	for (size_t i = 0; i + 9 < wire.len; i++) {
		memcpy(copy, wire.base, wire.len);
		if (memcmp(copy + i, "\0\0\2id", 5) != 0 && memcmp(copy + i, "\0\0\0\7\4note", 9) != 0)
			continue;
		copy[i + 1] = 1;
		assert_false(classification_open(bytes_of(copy, wire.len), &c));
	}
}

/* kill -9, and an end in order: the kernel says so, at once. A new owner takes over, whatever lies there. */
static void life_ends_with_its_owner(void **state)
{
	struct life *life = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char byte;

	assert_ptr_not_equal(life, MAP_FAILED);
	assert_false(life_over(life));
	for (int round = 0; round < 4; round++) {
		int begun[2];
		pid_t pid;

		assert_int_equal(pipe(begun), 0);
		pid = fork();
		if (pid == 0) {
			bool good = life_begin(life) && write(begun[1], "x", 1) == 1;

			if (!good || round % 2)
				_exit(0);
			for (;;)
				pause();
		}
		assert_int_equal(read(begun[0], &byte, 1), 1);
		if (round % 2 == 0) {
			assert_false(life_over(life));
			kill(pid, SIGKILL);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_true(life_over(life));
		assert_int_equal(life_beats(life), 2 * (round + 1));
		close(begun[0]);
		close(begun[1]);
		if (round == 1)
			memset(&life->held, 0xa5, sizeof(life->held)); /* a hostile side wrote there */
	}
	munmap(life, 4096);
}

static void an_odd_beat_announces_work(void **state)
{
	struct life life = { .beat = 0 };

	life_beat(&life, true);
	assert_int_equal(life_beats(&life), 3);
	life_beat(&life, true);
	assert_int_equal(life_beats(&life), 5);
	life_beat(&life, false);
	assert_int_equal(life_beats(&life), 6);
	life_beat(&life, false);
	assert_int_equal(life_beats(&life), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ring_keeps_everything, make_memory, free_memory),
		cmocka_unit_test_setup_teardown(full_ring_refuses, make_memory, free_memory),
		cmocka_unit_test_setup_teardown(hostile_header_breaks_the_reader_only, make_memory, free_memory),
		cmocka_unit_test_setup_teardown(hostile_length_breaks_the_reader, make_memory, free_memory),
		cmocka_unit_test_setup_teardown(released_secrets_are_gone, make_memory, free_memory),
		cmocka_unit_test_setup_teardown(seek_finds_only_what_is_there, make_memory, free_memory),
		cmocka_unit_test(messages_survive_and_refuse_garbage),
		cmocka_unit_test(classification_round_trip),
		cmocka_unit_test(classification_refuses_bad_enums),
		cmocka_unit_test(life_ends_with_its_owner),
		cmocka_unit_test(an_odd_beat_announces_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
