/* session_test.c: the session table over restarts: what was committed is there, what was not never was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "control/inbox/session.h"
#include "control/inbox/who.h"
#include "control/journal/jcs_read.h"
#include "platform/os/scratch.h"

static char dir[SCRATCH_BYTES], err[OS_ERROR_BYTES];

static int setup(void **state)
{
	return scratch_make(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return scratch_remove(dir) ? 0 : -1;
}

/* A session of flow `flow` whose counter is `n`, committed as version `version`. */
static void commit(struct sessions *ss, uint64_t flow, uint32_t n, uint64_t version)
{
	struct session *s = session_find(ss, 0, flow);

	s = s ? s : session_add(ss, 0, flow);
	s->n = n;
	session_touch(ss, s);
	sessions_save(ss, version);
	sessions_saved(ss, version);
}

static void what_was_committed_is_found_again(void **state)
{
	const struct principal shape = { .issuer = "corp", .iss = "i", .sub = "s", .person = "alice", .agent = "a", .run = "r", .purpose = "p", .acr = "", .kid = "k",
					 .act = { { "i", "x", PRINCIPAL_AGENT } }, .act_count = 1, .groups = { "g1", "g2" }, .groups_count = 2, .exp_s = 7, .end_s = 9,
					 .cnf = PRINCIPAL_CNF_X5T, .cnf_sha256 = { 5 }, .token_sha256 = { 6 }, .how = PRINCIPAL_MTLS };
	struct sessions *ss = sessions_open(dir, 0, err);
	struct session *s = session_add(ss, 3, 77);
	uint8_t id[16];

	assert_non_null(s);
	memcpy(id, s->id, 16);
	snprintf(s->database, sizeof(s->database), "shop");
	s->n = 12;
	s->phase = SESSION_LOGGED_IN;
	assert_true(session_identify(ss, s, principal_create(&shape)));
	assert_null(jcs_check_depth(bytes_of(s->who, s->who_len), WHO_DEPTH, NULL)); /* records take it over unread */
	assert_non_null(jcs_check_depth(bytes_of(s->who, s->who_len), WHO_DEPTH - 1, NULL));
	sessions_save(ss, 1);
	sessions_saved(ss, 1);
	sessions_close(ss);
	ss = sessions_open(dir, 1, err);
	assert_int_equal(sessions_count(ss), 1);
	s = session_find(ss, 3, 77);
	assert_non_null(s);
	assert_memory_equal(s->id, id, 16);
	assert_int_equal(s->n, 12);
	assert_string_equal(s->database, "shop");
	assert_string_equal(s->principal->person, "alice");
	assert_string_equal(s->principal->groups[1], "g2");
	assert_string_equal(s->principal->act[0].sub, "x");
	assert_int_equal(s->principal->end_s, 9);
	assert_int_equal(s->principal->how, PRINCIPAL_MTLS);
	assert_int_equal(s->principal->token_sha256[0], 6);
	assert_non_null(memmem(s->who, s->who_len, "alice", 5));
	session_remove(ss, s);
	sessions_save(ss, 2);
	sessions_saved(ss, 2);
	sessions_close(ss);
	ss = sessions_open(dir, 2, err);
	assert_int_equal(sessions_count(ss), 0);
	sessions_close(ss);
}

static void what_was_not_committed_never_was(void **state)
{
	struct sessions *ss = sessions_open(dir, 0, err);

	commit(ss, 1, 10, 1);
	session_find(ss, 0, 1)->n = 11;
	session_touch(ss, session_find(ss, 0, 1));
	(void)session_add(ss, 0, 2);
	sessions_save(ss, 2);
	sessions_close(ss); /* killed before the commit */
	ss = sessions_open(dir, 1, err);
	assert_int_equal(sessions_count(ss), 1);
	assert_int_equal(session_find(ss, 0, 1)->n, 10);
	sessions_close(ss);
}

/* The number of a version that was not committed is given out again, for other sessions. */
static void a_lost_version_does_not_come_back_under_its_number(void **state)
{
	struct sessions *ss = sessions_open(dir, 0, err);

	commit(ss, 1, 10, 1);
	session_find(ss, 0, 1)->n = 11;
	session_touch(ss, session_find(ss, 0, 1));
	sessions_save(ss, 2);
	sessions_close(ss); /* killed */
	ss = sessions_open(dir, 1, err);
	commit(ss, 2, 50, 2);
	sessions_close(ss); /* killed after the commit */
	ss = sessions_open(dir, 2, err);
	assert_int_equal(session_find(ss, 0, 1)->n, 10);
	assert_int_equal(session_find(ss, 0, 2)->n, 50);
	sessions_close(ss);
}

static void the_table_grows_by_files_and_says_when_it_is_full(void **state)
{
	struct sessions *ss = sessions_open(dir, 0, err);
	const unsigned more = SESSIONS_PER_FILE + 10;

	for (unsigned i = 0; i < more; i++)
		assert_non_null(session_add(ss, 0, i + 1));
	sessions_save(ss, 1);
	sessions_saved(ss, 1);
	sessions_close(ss);
	ss = sessions_open(dir, 1, err);
	assert_int_equal(sessions_count(ss), more);
	sessions_close(ss);
}

static void a_principal_that_cannot_be_kept_is_refused(void **state)
{
	static char name[200];
	struct principal shape = { .issuer = "c", .iss = "i", .sub = "s", .person = "p" }, *p;
	struct sessions *ss = sessions_open(dir, 0, err);
	struct session *s = session_add(ss, 0, 1);

	memset(name, 'g', sizeof(name) - 1);
	for (shape.groups_count = 0; shape.groups_count < 100; shape.groups_count++)
		shape.groups[shape.groups_count] = name;
	p = principal_create(&shape);
	assert_false(session_identify(ss, s, p));
	assert_null(s->principal);
	principal_put(p);
	sessions_close(ss);
}

static void a_damaged_principal_is_none(void **state)
{
	const struct principal shape = { .issuer = "corp", .iss = "i", .sub = "s", .person = "alice", .groups = { "g" }, .groups_count = 1 };
	struct principal *made = principal_create(&shape), *p;
	uint8_t room[2048];
	struct writer w = writer_of(room, sizeof(room));

	who_encode(made, &w);
	for (size_t len = 0; len < w.len; len++)
		assert_null(who_decode(bytes_of(room, len)));
	p = who_decode(writer_done(&w));
	assert_non_null(p);
	principal_put(p);
	principal_put(made);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_was_committed_is_found_again),
		CASE(what_was_not_committed_never_was),
		CASE(a_lost_version_does_not_come_back_under_its_number),
		CASE(the_table_grows_by_files_and_says_when_it_is_full),
		CASE(a_principal_that_cannot_be_kept_is_refused),
		CASE(a_damaged_principal_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
