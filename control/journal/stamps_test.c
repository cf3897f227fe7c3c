/* What records say of time stamps, against the tokens that the spine has (verify_stamps.h): a checkpoint of 300 records, which has a token or not, and
 * one of 350, before which a record tells of a token or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/journal/archive.h"
#include "control/journal/base64.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/verify.h"

#define TOKEN "a token"

static struct fixture_signer signer;
static char said[512];

static void finding(void *ctx, const struct verify_finding *f)
{
	snprintf(said, sizeof said, "%s", f->what);
}

/* In place of the fixture's record, with its counter. */
static void append_stamp(struct journal *j, const char *size, const char *of)
{
	char hash[2 * MERKLE_HASH_BYTES + 1] = "", text[300];
	struct writer w = writer_of(hash, sizeof hash - 1);
	struct merkle_hash h = merkle_sha256(bytes_str(of));
	struct journal_state st;
	uint64_t index;

	journal_state(j, &st);
	st.size += st.pending;
	hex_write(&w, bytes_of(h.b, sizeof h.b));
	snprintf(text, sizeof text, "{\"data\":{\"sha256\":\"%s\",\"size\":\"%s\"},\"n\":%u,\"sess\":\"%032x\",\"t\":\"journal.stamp\"}", hash, size, (unsigned)(st.size % 50),
		 (unsigned)(st.size / 50));
	assert_int_equal(journal_append(j, bytes_str(text), &index), JOURNAL_OK);
}

static void records_and_tokens_are_held_against_each_other(void **state)
{
	static const struct {
		const char *token, *size, *of, *other_of, *says; /* NULL: none */
	} rows[] = {
		{ NULL, NULL, NULL, NULL, NULL },
		{ TOKEN, NULL, NULL, NULL, NULL }, /* of before there were such records */
		{ TOKEN, "300", TOKEN, NULL, NULL },
		{ TOKEN, "300", TOKEN, "another", "is missing or was changed" }, /* two were told of */
		{ TOKEN, "300", "another", NULL, "is missing or was changed" },
		{ NULL, "300", TOKEN, NULL, "record 300 tells of, is missing" },
		{ TOKEN, "299", TOKEN, NULL, "checkpoint of 299 records, which record 300 tells of, is missing" },
		{ TOKEN, "-1", "another", NULL, NULL }, /* not what control writes */
		{ TOKEN, "", "another", NULL, NULL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char dir[128], err[JOURNAL_ERROR_BYTES];
		struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN };
		struct verify_summary s;
		struct journal_signer sign;
		struct journal *j;
		bool good;

		fixture_dir(dir);
		fixture_signer_init(&signer);
		sign = fixture_signer_journal(&signer);
		j = journal_open(&config, FIXTURE_TIME, err);
		assert_true(j && fixture_fill(j, 300, 50, FIXTURE_TIME) && journal_publish_flush(j, &sign, FIXTURE_TIME, 1000));
		if (rows[i].token)
			assert_true(journal_anchor(j, ARCHIVE_TOKEN, 300, bytes_str(rows[i].token)));
		if (rows[i].size)
			append_stamp(j, rows[i].size, rows[i].of);
		if (rows[i].other_of)
			append_stamp(j, rows[i].size, rows[i].other_of);
		assert_true(fixture_fill(j, 50 - !!rows[i].size - !!rows[i].other_of, 50, FIXTURE_TIME) && journal_publish_flush(j, &sign, FIXTURE_TIME, 1000));
		journal_close(j);
		said[0] = 0;
		good = verify_journal(&(struct verify_options){ .dir = dir, .keys = &signer.keys, .found = finding }, &s);
		if (good != !rows[i].says || (rows[i].says && !strstr(said, rows[i].says)))
			fail_msg("row %zu: %s", i, said);
		fixture_signer_free(&signer);
		fixture_remove(dir);
	}
}

/* What no checkpoint covers yet may be newer than a copy of the spine. */
static void a_record_newer_than_the_spine_is_waited_for(void **state)
{
	char dir[128], err[JOURNAL_ERROR_BYTES];
	struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN };
	struct journal_signer sign;
	struct verify_summary s;
	struct journal *j;

	fixture_dir(dir);
	fixture_signer_init(&signer);
	sign = fixture_signer_journal(&signer);
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_true(j && fixture_fill(j, 300, 50, FIXTURE_TIME) && journal_publish_flush(j, &sign, FIXTURE_TIME, 1000));
	append_stamp(j, "300", TOKEN);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	journal_close(j);
	assert_true(verify_journal(&(struct verify_options){ .dir = dir, .keys = &signer.keys, .found = finding }, &s));
	fixture_signer_free(&signer);
	fixture_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_and_tokens_are_held_against_each_other),
		cmocka_unit_test(a_record_newer_than_the_spine_is_waited_for),
	};

	return cmocka_run_group_tests_name("stamps", tests, NULL, NULL);
}
