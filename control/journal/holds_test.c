/* Legal holds: what they cover stays, and nothing else; what was not compared counts as covered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/journal/holds.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/payload_keys.h"
#include "control/journal/verify.h"

#define HOUR_US (3600ull * 1000000)

static char dir[128];
static struct fixture_signer signer;
static struct journal *j;
static struct holds *hs;
static uint64_t now_us;

static void open_it(void)
{
	struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN, .segment_bytes = 64 << 20, .segment_us = HOUR_US };
	char err[JOURNAL_ERROR_BYTES];

	j = journal_open(&config, now_us, err);
	if (!j)
		fail_msg("%s", err);
}

/* Sealed segments [0,512) [512,1024) [1024,1536), and 200 live records. Session s is the records [50 s, 50 s + 50); ada has the odd ones. */
static int setup(void **state)
{
	struct journal_signer s;

	fixture_dir(dir);
	fixture_signer_init(&signer);
	s = fixture_signer_journal(&signer);
	now_us = FIXTURE_TIME;
	open_it();
	for (unsigned i = 0; i < 3; i++) {
		assert_true(fixture_fill(j, 300, 50, now_us));
		now_us += 2 * HOUR_US;
		assert_true(fixture_fill(j, 212, 53, now_us));
	}
	assert_true(fixture_fill(j, 200, 50, now_us));
	assert_true(journal_publish_flush(j, &s, now_us, 1000));
	hs = holds_create();
	return hs ? 0 : -1;
}

static int teardown(void **state)
{
	holds_destroy(hs);
	journal_close(j);
	fixture_remove(dir);
	fixture_signer_free(&signer);
	return 0;
}

static struct hold_terms terms(void)
{
	return (struct hold_terms){ .matter = "7 O 12/26", .reason = "order of the court" };
}

/* Far behind what the journal holds: the hold's own record is not what limits. */
static const struct hold *placed(struct hold_terms t, uint64_t index)
{
	const struct hold *h;

	assert_null(hold_terms_check(&t));
	h = holds_add(hs, index, &t);
	assert_non_null(h);
	return h;
}

static void compare(void)
{
	while (holds_look(hs, journal_archive(j), 100))
		;
}

/* How far pruning may go: the end of the last segment that may go; 0: none. */
static uint64_t prunable(void)
{
	struct journal_prune p;

	journal_protect(j, holds_limit(hs, NULL));
	return journal_prune_candidate(j, UINT64_MAX, &p) ? p.end : 0;
}

static void without_holds_everything_sealed_may_go(void **state)
{
	assert_int_equal(prunable(), 1536);
	assert_int_equal(holds_limit(hs, NULL), UINT64_MAX);
}

/* The segment with a held record stays, and those after it; those before it may go. */
static void each_kind_of_term_keeps_its_segment(void **state)
{
	static const struct {
		const char *session, *person, *agent, *since, *until;
		uint64_t from, to, first, prunable;
	} rows[] = {
		/* session       person   agent         since                  until                  from  to    first  prunable */
		{ "11",          "",      "",           "",                    "",                    0,    0,    550,   512 },
		{ "",            "ada",   "",           "",                    "",                    0,    0,    50,    0 },
		{ "",            "grace", "",           "",                    "",                    1024, 0,    1024,  1024 },
		{ "",            "nobody", "",          "",                    "",                    0,    0,    UINT64_MAX, 1536 },
		{ "",            "",      "report-bot", "",                    "",                    0,    0,    0,     0 },
		{ "",            "",      "",           "",                    "",                    511,  512,  511,   0 },
		{ "",            "",      "",           "",                    "",                    512,  513,  512,   512 },
		{ "",            "",      "",           "",                    "",                    1535, 0,    1535,  1024 },
		{ "",            "",      "",           "",                    "",                    1536, 0,    1536,  1536 },
		/* Session s is of minute s, record n of it of second n. */
		{ "",            "",      "",           "2026-11-20T10:20:00Z", "2026-11-20T10:20:10Z", 0,  0,    1000,  512 },
		{ "",            "",      "",           "2026-11-20T10:20:49.000050", "",             0,    0,    1050,  1024 },
		{ "",            "ada",   "",           "2026-11-20T10:22",     "",                   0,    0,    1150,  1024 },
		{ "",            "",      "",           "2026-11-21",           "",                   0,    0,    UINT64_MAX, 1536 },
		{ "",            "",      "",           "",                     "2026-11-20T10:00:00Z", 0,  0,    UINT64_MAX, 1536 },
	};

	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct hold_terms t = terms();
		const struct hold *h, *by;

		if (rows[i].session[0])
			snprintf(t.session, sizeof t.session, "%032x", 0xb);
		snprintf(t.person, sizeof t.person, "%s", rows[i].person);
		snprintf(t.agent, sizeof t.agent, "%s", rows[i].agent);
		snprintf(t.since, sizeof t.since, "%s", rows[i].since);
		snprintf(t.until, sizeof t.until, "%s", rows[i].until);
		t.from = rows[i].from;
		t.to = rows[i].to;
		h = placed(t, 1700);
		assert_int_equal(prunable(), 0); /* nothing was compared yet */
		compare();
		assert_int_equal(h->first, rows[i].first);
		if (prunable() != rows[i].prunable)
			fail_msg("row %u: up to %llu may go", i, (unsigned long long)prunable());
		(void)holds_limit(hs, &by);
		assert_ptr_equal(by, h);
		assert_true(holds_release(hs, 1700));
		assert_int_equal(prunable(), 1536);
	}
}

static void what_a_hold_covers_is_not_removed_by_whoever_asks(void **state)
{
	struct hold_terms t = terms();
	struct journal_prune p;
	const char *wrong;

	assert_true(journal_prune_candidate(j, UINT64_MAX, &p)); /* found before the hold */
	t.from = 600;
	placed(t, 1700);
	compare();
	journal_protect(j, holds_limit(hs, NULL));
	wrong = journal_prune(j, &p);
	assert_non_null(wrong);
	assert_non_null(strstr(wrong, "legal hold"));
	assert_int_equal(archive_first(journal_archive(j)), 0);
	assert_true(journal_prune_candidate(j, UINT64_MAX, &p));
	assert_int_equal(p.end, 512);
	assert_null(journal_prune(j, &p));
	assert_int_equal(archive_first(journal_archive(j)), 512);
}

static void sessions_of_held_records_keep_their_keys(void **state)
{
	struct hold_terms t = terms();
	const struct hold *by, *h;
	uint8_t id[16] = { 0 };

	snprintf(t.person, sizeof t.person, "ada");
	t.to = 1000;
	h = placed(t, 1700);
	assert_int_equal(holds_session(hs, id, 1736, &by), HOLD_NOT_KNOWN);
	compare();
	assert_int_equal(h->sessions, 10);
	for (unsigned s = 0; s < 34; s++) {
		id[15] = (uint8_t)s;
		assert_int_equal(holds_session(hs, id, 1736, &by), s % 2 && s < 20 ? HOLD_COVERS : HOLD_NONE);
	}
	/* Records that came since were not compared. */
	assert_true(fixture_fill(j, 50, 50, now_us));
	assert_int_equal(holds_session(hs, id, 1786, &by), HOLD_NOT_KNOWN);
	assert_ptr_equal(by, h);
	compare();
	assert_int_equal(holds_session(hs, id, 1786, &by), HOLD_NONE);
	/* A session whose id is all zeros is one like any other. */
	memset(id, 0, sizeof id);
	assert_int_equal(holds_session(hs, id, 1786, &by), HOLD_NONE);
	t = terms();
	snprintf(t.session, sizeof t.session, "%032x", 0);
	placed(t, 1701);
	compare();
	assert_int_equal(holds_session(hs, id, 1786, &by), HOLD_COVERS);
}

static void later_records_are_covered_too(void **state)
{
	struct hold_terms t = terms();
	uint8_t id[16] = { [15] = 36 };
	const struct hold *by;

	snprintf(t.session, sizeof t.session, "%032x", 36);
	placed(t, 1736);
	compare();
	assert_int_equal(prunable(), 1536);
	assert_true(fixture_fill(j, 150, 50, now_us)); /* session 36 begins at 1800 */
	compare();
	assert_int_equal(holds_limit(hs, NULL), 1736); /* its own record */
	assert_int_equal(holds_session(hs, id, 1886, &by), HOLD_COVERS);
}

static void a_hold_that_cannot_be_read_covers_everything(void **state)
{
	char text[HOLD_TEXT_BYTES];
	const struct hold *by;
	uint8_t id[16] = { 1 };

	assert_non_null(holds_add(hs, 1700, NULL));
	assert_false(holds_look(hs, journal_archive(j), 100));
	assert_int_equal(prunable(), 0);
	assert_int_equal(holds_session(hs, id, 1736, &by), HOLD_COVERS);
	assert_non_null(strstr(hold_text(by, text), "legal hold 1700"));
}

static void the_record_gives_the_terms_back(void **state)
{
	struct hold_terms t = terms(), back;
	uint8_t room[4096];
	struct writer w = writer_of(room, sizeof room);
	struct jcs c = jcs_of(&w);
	struct bytes record;

	snprintf(t.person, sizeof t.person, "ada");
	snprintf(t.since, sizeof t.since, "2026-11-20T10:00:00Z");
	t.from = 77;
	assert_null(hold_terms_check(&t));
	jcs_open(&c);
	jcs_key(&c, "data");
	jcs_open(&c);
	hold_terms_put(&c, &t);
	jcs_close(&c);
	jcs_put_str(&c, "t", "journal.hold");
	jcs_close(&c);
	record = jcs_done(&c);
	assert_true(record.len > 0);
	assert_true(hold_terms_read(record, &back));
	assert_memory_equal(&t, &back, sizeof t);
	assert_false(hold_terms_read(bytes_str("{\"data\":{},\"t\":\"journal.hold\"}"), &back));
	assert_false(hold_terms_read(bytes_str("{\"t\":\"journal.prune\"}"), &back));
}

static void terms_that_say_nothing_are_refused(void **state)
{
	static const struct {
		const char *matter, *reason, *session, *person, *since, *until;
		uint64_t from, to;
	} rows[] = {
		{ "", "order", "", "ada", "", "", 0, 0 },           { "m", "", "", "ada", "", "", 0, 0 },
		{ "m", "order", "", "", "", "", 0, 0 },             { "m", "order", "12", "", "", "", 0, 0 },
		{ "m", "order", "", "a\"b", "", "", 0, 0 },         { "m", "order", "", "\xff", "", "", 0, 0 },
		{ "m", "order", "", "", "yesterday", "", 0, 0 },    { "m", "order", "", "", "2026-11-20 10:00", "", 0, 0 },
		{ "m", "order", "", "", "2026-11-20", "2026-11-20", 0, 0 }, { "m", "order", "", "", "", "", 9, 9 },
		{ "m", "order", "", "", "2026-11-20T10:00:00.", "", 0, 0 },
	};

	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct hold_terms t = { .from = rows[i].from, .to = rows[i].to };

		snprintf(t.matter, sizeof t.matter, "%s", rows[i].matter);
		snprintf(t.reason, sizeof t.reason, "%s", rows[i].reason);
		snprintf(t.session, sizeof t.session, "%s", rows[i].session);
		snprintf(t.person, sizeof t.person, "%s", rows[i].person);
		snprintf(t.since, sizeof t.since, "%s", rows[i].since);
		snprintf(t.until, sizeof t.until, "%s", rows[i].until);
		if (!hold_terms_check(&t))
			fail_msg("row %u was taken", i);
	}
}

static bool key_held(void *ctx, const uint8_t session[16])
{
	return memcmp(session, ctx, 16) == 0;
}

static void a_day_of_keys_with_one_that_is_held_stays(void **state)
{
	uint8_t one[16] = { 1 }, two[16] = { 2 }, held_id[16] = { 1 };
	const struct payload_keys_held held = { key_held, held_id };
	char keys_dir[160], err[PAYLOAD_KEYS_ERROR_BYTES], day[PAYLOAD_KEYS_DAY_BYTES], first[PAYLOAD_KEYS_DAY_BYTES];
	struct payload_keys *k;
	struct seal seal;
	unsigned sessions;

	snprintf(keys_dir, sizeof keys_dir, "%s/keys", dir);
	k = payload_keys_open(keys_dir, true, err);
	assert_non_null(k);
	assert_true(payload_keys_make(k, one, FIXTURE_TIME, &seal));
	assert_true(payload_keys_make(k, two, FIXTURE_TIME + 24 * HOUR_US, &seal));
	assert_true(payload_keys_sync(k));
	payload_keys_day(FIXTURE_TIME, first);
	assert_true(payload_keys_oldest(k, "2999-01-01", NULL, day, &sessions));
	assert_string_equal(day, first);
	assert_true(payload_keys_oldest(k, "2999-01-01", &held, day, &sessions));
	assert_true(strcmp(day, first) > 0); /* the next one */
	held_id[0] = 3;
	assert_true(payload_keys_oldest(k, "2999-01-01", &held, day, &sessions));
	assert_string_equal(day, first);
	payload_keys_close(k);
}

static void holds_are_bounded(void **state)
{
	struct hold_terms t = terms();

	t.to = 1;
	assert_null(hold_terms_check(&t));
	for (unsigned i = 0; i < HOLDS_MAX; i++)
		assert_non_null(holds_add(hs, 5000 - i, &t));
	assert_null(holds_add(hs, 9999, &t));
	assert_int_equal(holds_count(hs), HOLDS_MAX);
	assert_false(holds_release(hs, 1));
	assert_true(holds_release(hs, 5000));
	assert_null(holds_add(hs, 4999, &t)); /* it is there */
	assert_non_null(holds_add(hs, 9999, &t));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_holds_everything_sealed_may_go),
		TEST(each_kind_of_term_keeps_its_segment),
		TEST(what_a_hold_covers_is_not_removed_by_whoever_asks),
		TEST(sessions_of_held_records_keep_their_keys),
		TEST(later_records_are_covered_too),
		TEST(a_hold_that_cannot_be_read_covers_everything),
		TEST(the_record_gives_the_terms_back),
		TEST(terms_that_say_nothing_are_refused),
		TEST(a_day_of_keys_with_one_that_is_held_stays),
		TEST(holds_are_bounded),
	};

	return cmocka_run_group_tests_name("holds", tests, NULL, NULL);
}
