/* runs_test.c: a run id is the agent's that came with it first (identity.md 6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "control/identity/runs.h"

#define NOW 1800000000LL

static struct runs *runs;
static const uint8_t here[4] = { 10, 0, 0, 1 }, there[4] = { 10, 0, 0, 2 };

static int setup(void **state)
{
	runs = runs_create((struct hash_key){ 1, 2 });
	return runs ? 0 : -1;
}

static int teardown(void **state)
{
	runs_destroy(runs);
	return 0;
}

static enum run_use use(const char *iss, const char *sub, const char *agent, const char *run, const uint8_t *source, int64_t at_s, const struct run_binding **first)
{
	const struct principal p = { .iss = iss, .sub = sub, .agent = agent, .run = run, .end_s = at_s + 300, .token_sha256 = { (uint8_t)(at_s & 0xff) } };

	return runs_use(runs, &p, bytes_of(source, 4), at_s, first);
}

static void whose_a_run_is(void **state)
{
	static const struct {
		const char *iss, *sub, *agent, *run;
		enum run_use use;
	} rows[] = {
		{ "https://a", "alice", "agent-7", "run-1", RUN_BEGINS },
		{ "https://a", "alice", "agent-7", "run-1", RUN_GOES_ON },
		{ "https://a", "bob", "agent-7", "run-1", RUN_GOES_ON },       /* the agent's, for another person */
		{ "https://a", "alice", "agent-8", "run-1", RUN_OF_ANOTHER },
		{ "https://b", "alice", "agent-7", "run-1", RUN_OF_ANOTHER },  /* another issuer's agent of that name */
		{ "https://a", "alice", "", "run-1", RUN_OF_ANOTHER },
		{ "https://a", "agent-7", "", "run-1", RUN_OF_ANOTHER },       /* a subject of the agent's name is no agent */
		{ "https://a", "alice", "agent-8", "run-2", RUN_BEGINS },
		{ "https://a", "alice", "agent-7", "run-2", RUN_OF_ANOTHER },
		{ "https://a", "robot", "", "run-3", RUN_BEGINS },
		{ "https://a", "robot", "", "run-3", RUN_GOES_ON },
		{ "https://a", "robot2", "", "run-3", RUN_OF_ANOTHER },
		{ "https://a", "alice", "agent-7", "Run-1", RUN_BEGINS },
		{ "https://a", "alice", "agent-7", "run-1 ", RUN_BEGINS },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (use(rows[i].iss, rows[i].sub, rows[i].agent, rows[i].run, here, NOW, NULL) != rows[i].use)
			fail_msg("row %zu", i);
}

/* The first source and the first token stay; a fresh token from elsewhere is the same run. */
static void how_it_began_is_kept(void **state)
{
	const struct run_binding *first;

	assert_int_equal(use("https://a", "alice", "agent-7", "run-1", here, NOW, &first), RUN_BEGINS);
	assert_int_equal(use("https://a", "alice", "agent-7", "run-1", there, NOW + 100, &first), RUN_GOES_ON);
	assert_memory_equal(first->source, here, 4);
	assert_int_equal(first->token_sha256[0], NOW & 0xff);
	assert_int_equal(use("https://a", "alice", "agent-8", "run-1", there, NOW + 100, &first), RUN_OF_ANOTHER);
	assert_memory_equal(first->source, here, 4);
}

static void it_ends_a_day_after_its_last_token(void **state)
{
	assert_int_equal(use("https://a", "alice", "agent-7", "run-1", here, NOW, NULL), RUN_BEGINS);
	assert_int_equal(use("https://a", "alice", "agent-7", "run-1", here, NOW + 3000, NULL), RUN_GOES_ON);
	assert_int_equal(use("https://a", "alice", "agent-8", "run-1", here, NOW + 3000 + 300 + RUNS_KEPT_S - 1, NULL), RUN_OF_ANOTHER);
	assert_int_equal(use("https://a", "alice", "agent-8", "run-1", here, NOW + 3000 + 300 + RUNS_KEPT_S, NULL), RUN_BEGINS);
}

/* Somebody whom an issuer gives run ids without end pushes nobody out. */
static void when_it_is_full_it_refuses_and_forgets_nobody(void **state)
{
	unsigned full = 0;

	assert_int_equal(use("https://a", "alice", "agent-7", "run-1", here, NOW, NULL), RUN_BEGINS);
	for (unsigned i = 0; i < 3 * RUNS_ENTRIES; i++) {
		char run[32];

		snprintf(run, sizeof(run), "flood-%u", i);
		full += use("https://a", "mallory", "agent-9", run, there, NOW, NULL) == RUNS_FULL;
	}
	assert_true(full >= 2 * RUNS_ENTRIES);
	assert_int_equal(use("https://a", "alice", "agent-7", "run-1", here, NOW, NULL), RUN_GOES_ON);
	assert_int_equal(use("https://a", "mallory", "agent-9", "run-1", here, NOW, NULL), RUN_OF_ANOTHER);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* --- over a restart ------------------------------------------------------------------------------------------------------ */

#define STORED 64

struct shelf {
	unsigned count;
	unsigned slot[STORED];
	uint8_t value[STORED][RUNS_STORED_BYTES];
	bool full;
};

static bool shelve(void *ctx, unsigned slot, struct bytes stored)
{
	struct shelf *s = ctx;
	unsigned i = 0;

	assert_int_equal(stored.len, RUNS_STORED_BYTES);
	if (s->full)
		return false;
	while (i < s->count && s->slot[i] != slot)
		i++;
	assert_true(i < STORED);
	s->count += i == s->count;
	s->slot[i] = slot;
	memcpy(s->value[i], stored.base, stored.len);
	return true;
}

static void restart(const struct shelf *s)
{
	runs_destroy(runs);
	runs = runs_create((struct hash_key){ 1, 2 });
	for (unsigned i = 0; i < s->count; i++)
		assert_true(runs_restore(runs, s->slot[i], bytes_of(s->value[i], RUNS_STORED_BYTES)));
}

static void nobody_takes_a_run_over_a_restart(void **state)
{
	const struct run_binding *first;
	struct shelf s = { 0 };

	runs_keep_with(runs, shelve, &s);
	assert_int_equal(use("https://a", "alice", "agent-7", "run-1", here, 1000, NULL), RUN_BEGINS);
	assert_int_equal(use("https://a", "alice", "agent-7", "run-1", there, 5000, NULL), RUN_GOES_ON); /* a later token: kept for longer */
	assert_int_equal(use("https://a", "alice", "", "run-2", here, 1000, NULL), RUN_BEGINS);
	assert_int_equal(s.count, 2);
	restart(&s);
	assert_int_equal(use("https://a", "mallory", "agent-8", "run-1", there, 1000, NULL), RUN_OF_ANOTHER);
	assert_int_equal(use("https://a", "mallory", "", "run-2", there, 1000, NULL), RUN_OF_ANOTHER);
	assert_int_equal(use("https://a", "alice", "agent-7", "run-1", there, 1100, &first), RUN_GOES_ON);
	assert_memory_equal(first->source, here, 4); /* how it began is known too */
	/* Bound for as long as before: by the last token, and a day. */
	assert_int_equal(use("https://a", "mallory", "agent-8", "run-1", there, 5300 + RUNS_KEPT_S - 1, NULL), RUN_OF_ANOTHER);
	assert_int_equal(use("https://a", "mallory", "agent-8", "run-1", there, 5300 + RUNS_KEPT_S, NULL), RUN_BEGINS);
	/* A clock that went back gives nothing free. */
	restart(&s);
	assert_int_equal(use("https://a", "mallory", "agent-8", "run-1", there, 10, NULL), RUN_OF_ANOTHER);
}

static void what_cannot_be_kept_is_refused(void **state)
{
	struct shelf s = { .full = true };

	runs_keep_with(runs, shelve, &s);
	assert_int_equal(use("https://a", "alice", "agent-7", "run-1", here, 1000, NULL), RUNS_FULL);
	s.full = false;
	assert_int_equal(use("https://a", "bob", "agent-8", "run-1", here, 1000, NULL), RUN_BEGINS); /* it was nobody's */
	s.full = true;
	assert_int_equal(use("https://a", "bob", "agent-8", "run-1", here, 1000, NULL), RUN_GOES_ON); /* nothing to be kept */
	assert_int_equal(use("https://a", "bob", "agent-8", "run-1", here, 2000, NULL), RUNS_FULL);
}

static void what_is_no_binding_is_not_taken(void **state)
{
	uint8_t room[RUNS_STORED_BYTES + 1] = { 0 };

	assert_false(runs_restore(runs, 0, bytes_of(room, RUNS_STORED_BYTES - 1)));
	assert_false(runs_restore(runs, 0, bytes_of(room, RUNS_STORED_BYTES + 1)));
	assert_false(runs_restore(runs, RUNS_ENTRIES, bytes_of(room, RUNS_STORED_BYTES)));
	assert_true(runs_restore(runs, RUNS_ENTRIES - 1, bytes_of(room, RUNS_STORED_BYTES)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(whose_a_run_is), CASE(how_it_began_is_kept), CASE(it_ends_a_day_after_its_last_token), CASE(when_it_is_full_it_refuses_and_forgets_nobody),
		CASE(nobody_takes_a_run_over_a_restart), CASE(what_cannot_be_kept_is_refused), CASE(what_is_no_binding_is_not_taken),
	};

	return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}
