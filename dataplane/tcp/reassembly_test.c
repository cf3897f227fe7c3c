#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/reassembly.h"
#include "dataplane/tcp/seq.h"
#include "platform/base/random.h"

#define CHUNKS 512
#define BASE 0xffffff00u /* the space wraps inside every test */

static void *memory;
static struct tcp_pool pool;

static int set_up(void **state)
{
	memory = malloc((CHUNKS + 1) * TCP_CHUNK_BYTES);
	return tcp_pool_init(&pool, memory, (CHUNKS + 1) * TCP_CHUNK_BYTES) < CHUNKS;
}

static int tear_down(void **state)
{
	free(memory);
	return 0;
}

static void release(struct tcp_receive *r)
{
	tcp_queue_clear(&r->held, &pool);
	tcp_queue_clear(&r->queue, &pool);
	assert_int_equal(tcp_pool_used(&pool), 0);
}

/* Each row is a segment: where it lies, drawn, and its content. The stream starts at 0; '.' in `want` is a hole.
 *
 *            0         1         2
 *            0123456789012345678901
 */
static const struct {
	const char *name;
	const char *segment[4]; /* leading blanks are the offset */
	const char *want;
} rows[] = {
	{ "apart",             { "  aaa", "       bbb" }, "..aaa..bbb" },
	{ "touching",          { "  aaa", "     bbb" }, "..aaabbb" },
	{ "touching below",    { "     bbb", "  aaa" }, "..aaabbb" },
	{ "first wins inside", { "  aaaaaa", "    bb" }, "..aaaaaa" },
	{ "first wins around", { "    bb", "  aaaaaa" }, "..aabbaa" },
	{ "over the left end", { "    bbbb", "  aaaa" }, "..aabbbb" },
	{ "over the right end", { "  aaaa", "    bbbb" }, "..aaaabb" },
	{ "over two",          { "  aa", "      bb", "  cccccccc" }, "..aaccbbcc" },
	{ "between two",       { "  aa", "      bb", "    cc" }, "..aaccbb" },
	{ "the same again",    { "  aaaa", "  bbbb" }, "..aaaa" },
	{ "over three",        { " a", "    b", "       c", "  xxxxxxx" }, ".axxbxxcx" },
};

static void overlaps(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tcp_receive r = { .next = BASE + 0xfe, .limit_bytes = 100000 };
		char got[64] = { 0 };

		memset(got, '.', strlen(rows[i].want));
		for (unsigned k = 0; k < 4 && rows[i].segment[k]; k++) {
			const char *text = rows[i].segment[k];
			size_t offset = strspn(text, " ");
			size_t len = strlen(text + offset);

			assert_int_equal(tcp_reassembly_put(&r, &pool, r.next + (uint32_t)offset, bytes_of(text + offset, len)), len);
		}
		for (struct tcp_chunk *c = r.held.head; c; c = c->next)
			memcpy(got + (c->seq - r.next), c->data + c->offset, c->len);
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s: %s", rows[i].name, got);
		release(&r);
	}
}

static void pull_takes_up_to_the_next_hole(void **state)
{
	struct tcp_receive r = { .next = BASE, .limit_bytes = 100000 };

	(void)tcp_reassembly_put(&r, &pool, BASE + 2, bytes_str("cd"));
	(void)tcp_reassembly_put(&r, &pool, BASE + 6, bytes_str("gh"));
	r.next = BASE + 3; /* "abc" came in order and overlaps what is held */
	assert_int_equal(tcp_reassembly_pull(&r, &pool), 1);
	assert_int_equal(r.queue.bytes, 1);
	assert_int_equal(r.queue.head->data[r.queue.head->offset], 'd');
	assert_int_equal(r.held.bytes, 2);
	r.next = BASE + 8;
	assert_int_equal(tcp_reassembly_pull(&r, &pool), 0);
	assert_null(r.held.head);
	release(&r);
}

/* One byte in every second place: memory stays bounded, and what is refused is said to be refused. */
static void crumbs_are_bounded(void **state)
{
	struct tcp_receive r = { .next = BASE, .limit_bytes = 8192 };
	unsigned kept = 0;

	for (uint32_t i = 1; i < 4000; i += 2)
		kept += tcp_reassembly_put(&r, &pool, BASE + i, bytes_str("x"));
	assert_int_equal(kept, r.held.chunks);
	assert_in_range(kept, 1, 8192 / 2032 * 2 + 16);
	release(&r);
}

/* Random segments of one stream, any order, against an array. */
static void random_order(void **state)
{
	struct rng rng = rng_seeded(11);

	for (unsigned round = 0; round < 200; round++) {
		struct tcp_receive r = { .next = BASE, .limit_bytes = 1u << 20 };
		uint8_t stream[20000], have[20000] = { 0 };
		uint32_t done = 0;

		for (size_t i = 0; i < sizeof(stream); i++)
			stream[i] = (uint8_t)rng_next(&rng);
		while (r.next != BASE + (uint32_t)sizeof(stream)) {
			uint32_t at = (uint32_t)rng_below(&rng, sizeof(stream));
			uint32_t len = 1 + (uint32_t)rng_below(&rng, 4000);
			uint32_t seq = BASE + at;

			len = len < sizeof(stream) - at ? len : (uint32_t)sizeof(stream) - at;
			memset(have + at, 1, len);
			if (!seq_after(seq, r.next) && seq_after(seq + len, r.next)) {
				uint32_t skip = r.next - seq;

				r.next += (uint32_t)tcp_queue_append(&r.queue, &pool, bytes_of(stream + at + skip, len - skip), true);
				(void)tcp_reassembly_pull(&r, &pool);
			} else if (seq_after(seq, r.next)) {
				assert_int_equal(tcp_reassembly_put(&r, &pool, seq, bytes_of(stream + at, len)), len);
			}
			while (done < sizeof(stream) && have[done])
				done++;
			assert_int_equal(r.next - BASE, done);
		}
		done = 0;
		for (struct tcp_chunk *c = r.queue.head; c; c = c->next) {
			assert_memory_equal(c->data + c->offset, stream + done, c->len);
			done += c->len;
		}
		assert_int_equal(done, sizeof(stream));
		assert_int_equal(r.held.bytes, 0);
		release(&r);
	}
}

static void sack_blocks_merge_and_lead(void **state)
{
	struct tcp_receive r = { .next = BASE };
	struct tcp_options o = { 0 };

	tcp_sack_note(&r, BASE + 10, BASE + 20);
	tcp_sack_note(&r, BASE + 30, BASE + 40);
	tcp_sack_note(&r, BASE + 20, BASE + 30); /* joins both */
	assert_int_equal(r.sack_count, 1);
	assert_int_equal(r.sack[0].start, BASE + 10);
	assert_int_equal(r.sack[0].end, BASE + 40);
	for (uint32_t i = 1; i <= 5; i++)
		tcp_sack_note(&r, BASE + i * 100, BASE + i * 100 + 5);
	assert_int_equal(r.sack_count, TCP_SACK_MAX);
	assert_int_equal(r.sack[0].start, BASE + 500);
	tcp_sack_duplicate(&r, BASE - 9, BASE - 5);
	tcp_sack_report(&r, &o);
	assert_int_equal(o.sack_count, TCP_SACK_MAX);
	assert_int_equal(o.sack[0].start, BASE - 9);
	assert_int_equal(o.sack[1].start, BASE + 500);
	r.next = BASE + 305;
	tcp_sack_advance(&r);
	assert_int_equal(r.sack_count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlaps),
		cmocka_unit_test(pull_takes_up_to_the_next_hole),
		cmocka_unit_test(crumbs_are_bounded),
		cmocka_unit_test(random_order),
		cmocka_unit_test(sack_blocks_merge_and_lead),
	};

	return cmocka_run_group_tests_name("tcp reassembly", tests, set_up, tear_down);
}
