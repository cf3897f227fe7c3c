/* judge_test.c: an audit judges the time stamps and cosignatures of a journal: of authorities and witnesses that it knows, of others, changed, and under
 * the wrong checkpoint; and the newest checkpoint by the signer's state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/anchor/anchor_test_kit.h"
#include "control/anchor/judge.h"
#include "control/journal/journal_fixture.h"

static struct anchor_kit kit;
static char dir[128];
static struct fixture_signer signer;
static struct anchor_kit_witness w1, w2, stranger;
static struct judge judge;
static struct journal *journal;
struct report {
	unsigned count, unverified;
	char text[8][300];
	enum verify_kind kind[8];
};

static void on_finding(void *ctx, const struct verify_finding *f)
{
	struct report *r = ctx;

	if (f->kind == VERIFY_UNVERIFIED)
		r->unverified++;
	if (r->count < 8) {
		snprintf(r->text[r->count], sizeof r->text[0], "%s", f->what);
		r->kind[r->count] = f->kind;
	}
	r->count++;
}

static struct journal *open_it(void)
{
	const struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN };
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);

	if (!j)
		fail_msg("%s", err);
	return j;
}

static void grow(unsigned records)
{
	struct journal_signer s = fixture_signer_journal(&signer);

	assert_true(fixture_fill(journal, records, 10, FIXTURE_TIME));
	assert_true(journal_publish_flush(journal, &s, FIXTURE_TIME, 5000));
}

static int make(void **state)
{
	struct bytes pem;

	anchor_kit_open(&kit);
	anchor_kit_authority(&kit, "good", "extendedKeyUsage=critical,timeStamping", 2);
	anchor_kit_authority(&kit, "other", "extendedKeyUsage=critical,timeStamping", 2);
	anchor_kit_authority(&kit, "web", "extendedKeyUsage=critical,serverAuth", 2); /* not for time stamping */
	w1 = anchor_kit_witness("w1.example");
	w2 = anchor_kit_witness("w2.example");
	stranger = anchor_kit_witness("s.example");
	for (const char *const *ca = (const char *const[]){ "good.ca.pem", "web.ca.pem", NULL }; *ca; ca++) {
		pem = anchor_kit_file(&kit, *ca);
		assert_null(judge_add_authority(&judge, pem));
		free((void *)(uintptr_t)pem.base);
	}
	judge.witness[judge.witnesses++] = w1.public;
	judge.witness[judge.witnesses++] = w2.public;
	fixture_signer_init(&signer);
	return 0;
}

static int unmake(void **state)
{
	judge_free(&judge);
	anchor_kit_close(&kit);
	EVP_PKEY_free(w1.key);
	EVP_PKEY_free(w2.key);
	EVP_PKEY_free(stranger.key);
	fixture_signer_free(&signer);
	return 0;
}

static int setup(void **state)
{
	fixture_dir(dir);
	signer.size = 0;
	signer.root = merkle_empty();
	journal = open_it();
	grow(10);
	return 0;
}

static int teardown(void **state)
{
	if (journal)
		journal_close(journal);
	journal = NULL;
	fixture_remove(dir);
	return 0;
}

static void keep(enum archive_anchor kind, uint64_t size, struct bytes value)
{
	assert_true(journal_anchor(journal, kind, size, value));
	if (kind == ARCHIVE_TOKEN)
		free((void *)(uintptr_t)value.base);
}

static void stamp(const char *authority)
{
	struct journal_state s;

	journal_state(journal, &s);
	keep(ARCHIVE_TOKEN, s.checkpoint_size, anchor_kit_token(&kit, authority, journal_checkpoint_stored(journal)));
}

static void cosign(const struct anchor_kit_witness *w, uint64_t time_s)
{
	char room[COSIGNATURE_LINE_BYTES];
	struct journal_state s;

	journal_state(journal, &s);
	keep(ARCHIVE_COSIGNATURE, s.checkpoint_size, anchor_kit_cosign(w, journal_checkpoint_stored(journal), time_s, room));
}

static bool audit(struct judge *j, struct report *r, struct verify_summary *s)
{
	const struct verify_options o = { .dir = dir, .keys = &signer.keys, .judge = judge_anchor, .judge_ctx = j, .ctx = r, .found = on_finding };

	*r = (struct report){ 0 };
	return verify_journal(&o, s);
}

static void known_anchors_are_good(void **state)
{
	struct verify_summary s;
	int64_t now_s = time(NULL);
	struct report r;

	stamp("good");
	cosign(&w1, 1000);
	grow(10);
	stamp("good");
	cosign(&w1, 2000);
	cosign(&w2, 2001);
	grow(10);
	cosign(&w2, 3000);
	assert_true(audit(&judge, &r, &s));
	assert_int_equal(r.count, 0);
	assert_int_equal(s.tokens, 2);
	assert_int_equal(s.stamped, 20);
	assert_true(s.stamped_s >= now_s - 60 && s.stamped_s <= now_s + 600);
	assert_int_equal(s.cosignatures, 4);
	assert_int_equal(s.cosigned, 30);
	assert_int_equal(s.cosigned_s, 3000);
	assert_int_equal(s.unverified, 0);
}

static void anchors_of_others_are_unverified(void **state)
{
	struct judge nobody = { 0 };
	struct verify_summary s;
	struct report r;

	stamp("good");
	stamp("other");
	cosign(&w1, 1000);
	cosign(&stranger, 1001);
	assert_true(audit(&judge, &r, &s));
	assert_int_equal(s.tokens, 1);
	assert_int_equal(s.cosignatures, 1);
	assert_int_equal(s.unverified, 2);
	assert_int_equal(r.unverified, 2);
	assert_non_null(strstr(r.text[0], "CN=other"));
	assert_non_null(strstr(r.text[1], "s.example"));
	assert_true(audit(&nobody, &r, &s));
	assert_int_equal(s.tokens + s.cosignatures, 0);
	assert_int_equal(s.unverified, 4);
}

/* Each on a checkpoint of its own: an anchor that is wrong; who knows nobody cannot tell. */
static void wrong_anchors_are_found(void **state)
{
	static const struct {
		const char *what, *forged_by, *edit; /* a token */
		const char *says;
	} rows[] = {
		{ "a certificate that is not for time stamping", "web", "", "unsuitable certificate purpose" },
		{ "a time before the certificate began", "good", "s/20[0-9]\\{12\\}Z/20160101000000Z/", "not yet valid" },
		{ "a time after it ended", "good", "s/20[0-9]\\{12\\}Z/20960101000000Z/", "expired" },
	};
	struct judge nobody = { 0 };
	struct verify_summary s;
	struct report r;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		free((void *)(uintptr_t)anchor_kit_token(&kit, "good", journal_checkpoint_stored(journal)).base);
		keep(ARCHIVE_TOKEN, 10 * (i + 1), anchor_kit_forge(&kit, rows[i].forged_by, rows[i].edit));
		assert_false(audit(&judge, &r, &s));
		assert_int_equal(s.findings, i + 1);
		assert_int_equal(r.kind[i], VERIFY_ANCHOR);
		if (!strstr(r.text[i], rows[i].says))
			fail_msg("%s: %s", rows[i].what, r.text[i]);
		assert_true(audit(&nobody, &r, &s));
		grow(10);
	}
}

static void anchors_of_another_checkpoint_are_wrong(void **state)
{
	char room[COSIGNATURE_LINE_BYTES];
	struct bytes line, token;
	struct verify_summary s;
	struct judge nobody = { 0 };
	struct report r;

	line = anchor_kit_cosign(&w1, journal_checkpoint_stored(journal), 7, room);
	token = anchor_kit_token(&kit, "good", journal_checkpoint_stored(journal));
	grow(10);
	keep(ARCHIVE_COSIGNATURE, 20, line);
	keep(ARCHIVE_TOKEN, 20, token);
	assert_false(audit(&judge, &r, &s));
	assert_int_equal(s.findings, 2);
	assert_non_null(strstr(r.text[0], "message imprint mismatch"));
	assert_non_null(strstr(r.text[1], "a wrong cosignature"));
	assert_non_null(strstr(r.text[1], "checkpoint of 20 records"));
	/* Without a key the time stamp is seen to be for other bytes; of the cosignature nothing is known. */
	assert_false(audit(&nobody, &r, &s));
	assert_int_equal(s.findings, 1);
	assert_int_equal(s.unverified, 1);
}

/* Adds a policy of w1 and w2, of whom so many are wanted, and of these logs. */
static const char *policy(struct judge *j, unsigned wanted, const struct checkpoint_keys *log)
{
	const struct witness_policy_witness both[] = { { &w1.public, "" }, { &w2.public, "https://w2.example/" } };
	char text[4096];
	struct writer w = writer_of(text, sizeof text);
	unsigned line;

	if (log)
		(void)witness_policy_write_log(log, &w);
	assert_true(witness_policy_write_quorum(both, 2, wanted, &w));
	return judge_add_policy(j, writer_done(&w), &line);
}

static uint64_t quorum_of(unsigned wanted, const struct checkpoint_keys *log)
{
	struct judge j = { 0 };
	struct verify_summary s;
	struct report r;
	uint64_t size;

	assert_null(policy(&j, wanted, log));
	(void)audit(&j, &r, &s);
	size = j.quorum.size;
	judge_free(&j);
	return size;
}

static void the_newest_checkpoint_with_its_quorum_is_told(void **state)
{
	struct fixture_signer another;
	struct judge j = { 0 };
	struct verify_summary s;
	struct report r;

	fixture_signer_init(&another);
	assert_int_equal(quorum_of(1, NULL), 0);
	cosign(&w1, 1000);
	cosign(&w2, 1001); /* 10 has both */
	grow(10);
	cosign(&w1, 2000);
	cosign(&w1, 2001); /* 20 has one, twice */
	grow(10);
	cosign(&w2, 3000); /* 30 has the other */
	cosign(&stranger, 3001);
	grow(10);
	cosign(&stranger, 4000); /* 40 has none that counts */
	grow(10);
	assert_int_equal(quorum_of(1, NULL), 30);
	assert_int_equal(quorum_of(2, NULL), 10);
	assert_int_equal(quorum_of(0, NULL), 0); /* none is asked for */
	assert_int_equal(quorum_of(2, &signer.keys), 10);
	assert_int_equal(quorum_of(1, &another.keys), 0); /* of another log */
	assert_non_null(policy(&j, 3, NULL));
	assert_null(policy(&j, 2, NULL));
	assert_true(audit(&j, &r, &s));
	assert_int_equal(j.quorum.time_s, 1001);
	assert_int_equal(j.quorum.witnesses, 3);
	judge_free(&j);
	fixture_signer_free(&another);
}

/* What two witnesses cosigned, of other checkpoints and another log. */
static void cosignatures_of_others_make_no_quorum(void **state)
{
	char room[COSIGNATURE_LINE_BYTES], second[COSIGNATURE_LINE_BYTES];
	struct witness_key renamed = w1.public;
	struct checkpoint foreign = { .origin = "another.example/log", .size = 10, .root = merkle_empty() };
	uint8_t body[CHECKPOINT_BODY_MAX];
	struct writer b = writer_of(body, sizeof body), line = writer_of(second, sizeof second);
	struct bytes old = anchor_kit_cosign(&w2, journal_checkpoint_stored(journal), 5, room);

	cosign(&w1, 1000);
	assert_int_equal(quorum_of(2, NULL), 0);
	assert_true(checkpoint_body(&foreign, &b));
	assert_true(cosignature_sign(w2.key, &w2.public, writer_done(&b), 7, &line));
	keep(ARCHIVE_COSIGNATURE, 10, writer_done(&line)); /* of another log */
	assert_int_equal(quorum_of(2, NULL), 0);
	assert_int_equal(quorum_of(1, NULL), 10);
	grow(10);
	cosign(&w1, 2000);
	keep(ARCHIVE_COSIGNATURE, 20, old); /* of an older checkpoint */
	assert_int_equal(quorum_of(2, NULL), 0);
	/* One key with a second name. */
	snprintf(renamed.name, sizeof renamed.name, "w2.example");
	witness_key_id(&renamed);
	line = writer_of(second, sizeof second);
	b = writer_of(body, sizeof body);
	{
		struct bytes signed_body;
		struct checkpoint c;

		assert_null(checkpoint_parse(journal_checkpoint_stored(journal), true, &c, &signed_body));
		assert_true(cosignature_sign(w1.key, &renamed, signed_body, 2002, &line));
	}
	keep(ARCHIVE_COSIGNATURE, 20, writer_done(&line));
	assert_int_equal(quorum_of(2, NULL), 0);
	cosign(&w2, 2003);
	assert_int_equal(quorum_of(2, NULL), 20);
}

#define ID_END 20 /* "— w1.example " and the character of base64 that has the key id's last bits, and the time's first */

/* Every character of a line, and whole other texts. With another id and another time it is somebody's who is not known. */
static void changed_cosignatures_are_wrong(void **state)
{
	char room[COSIGNATURE_LINE_BYTES], changed[COSIGNATURE_LINE_BYTES];
	struct bytes stored = journal_checkpoint_stored(journal), body, line;
	struct verify_anchor a = { .size = 10, .note = stored };
	struct verify_judged j;
	struct checkpoint c;

	assert_null(checkpoint_parse(stored, true, &c, &body));
	a.body = body;
	line = anchor_kit_cosign(&w1, stored, 7, room);
	a.value = line;
	judge_anchor(&judge, &a, &j);
	assert_int_equal(j.verdict, VERIFY_GOOD);
	assert_string_equal(j.who, "w1.example");
	assert_int_equal(j.time_s, 7);
	for (size_t i = 0; i < line.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(changed, line.base, line.len);
			changed[i] ^= (char)(1u << bit);
			a.value = bytes_of(changed, line.len);
			judge_anchor(&judge, &a, &j);
			if (j.verdict != VERIFY_WRONG && (i != ID_END || j.verdict != VERIFY_UNKNOWN))
				fail_msg("byte %zu, bit %u", i, bit);
		}
		a.value = bytes_of(line.base, i);
		judge_anchor(&judge, &a, &j);
		assert_int_equal(j.verdict, VERIFY_WRONG);
	}
	memcpy(changed, line.base, line.len);
	changed[line.len] = '\n';
	a.value = bytes_of(changed, line.len + 1);
	judge_anchor(&judge, &a, &j);
	assert_int_equal(j.verdict, VERIFY_WRONG);
}

/* --- the signer's state --------------------------------------------------------------------------------------------------- */

struct last {
	uint64_t size;
	struct merkle_hash root;
	bool known;
};

static bool signed_last(void *ctx, uint64_t *size, struct merkle_hash *root)
{
	const struct last *l = ctx;

	*size = l->size;
	*root = l->root;
	return l->known;
}

static void a_journal_that_was_cut_back_is_named(void **state)
{
	struct last now, l;
	struct verify_summary s;
	struct report r = { 0 };
	const struct verify_options o = { .dir = dir, .keys = &signer.keys, .signed_last = signed_last, .signed_ctx = &l, .ctx = &r, .found = on_finding };
	static const struct {
		int64_t more;
		bool other_root;
		const char *says;
	} rows[] = {
		{ 0, false, NULL },
		{ 7, false, "records 20 to 26 are missing: the signer has signed a checkpoint of 27 records" },
		{ -3, false, "the state was set back" },
		{ 0, true, "another root" },
	};

	grow(10);
	now = (struct last){ .size = signer.size, .root = signer.root, .known = true };
	assert_int_equal(now.size, 20);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		l = now;
		l.size += (uint64_t)rows[i].more;
		l.root.b[3] ^= rows[i].other_root;
		r = (struct report){ 0 };
		assert_int_equal(verify_journal(&o, &s), !rows[i].says);
		assert_true(s.signer_known);
		if (rows[i].says && !strstr(r.text[0], rows[i].says))
			fail_msg("%s", r.text[0]);
	}
	l.known = false;
	assert_true(verify_journal(&o, &s));
	assert_false(s.signer_known);
	/* Records that are there, and their checkpoint gone. */
	assert_true(fixture_fill(journal, 5, 5, FIXTURE_TIME));
	l = now;
	l.size = 25;
	r = (struct report){ 0 };
	assert_false(verify_journal(&o, &s));
	assert_non_null(strstr(r.text[0], "the newest checkpoint is of 20 records, and the signer has signed one of 25"));
}

static void keys_are_read_from_a_directory(void **state)
{
	char path[300], text[CHECKPOINT_KEY_TEXT_BYTES];
	struct writer w = writer_of(text, sizeof text);
	struct judge j = { 0 };

	assert_null(judge_read_authority(&j, (snprintf(path, sizeof path, "%s/good.ca.pem", kit.dir), path)));
	assert_non_null(judge_read_authority(&j, "/nonexistent"));
	assert_non_null(judge_read_witnesses(&j, path));
	assert_true(witness_key_write(&w1.public, &w));
	writer_str(&w, "\n\n");
	assert_true(witness_key_write(&w2.public, &w));
	assert_null(judge_add_witnesses(&j, writer_done(&w)));
	assert_null(judge_add_witnesses(&j, writer_done(&w))); /* the same once more */
	assert_int_equal(j.witnesses, 2);
	assert_non_null(judge_add_witnesses(&j, bytes_str("w1.example+00000000+AAAA\n")));
	assert_non_null(judge_add_witnesses(&j, bytes_str("")));
	judge_free(&j);
	snprintf(path, sizeof path, "cd %s && mkdir trust && cp %s/good.ca.pem trust/tsa-1.crt && echo nonsense > trust/tsa-2.crt && echo no > trust/witness-1.vkey", dir, kit.dir);
	assert_int_equal(system(path), 0);
	judge_read_beside(&j, dir);
	assert_non_null(j.authority);
	assert_int_equal(j.witnesses, 0);
	assert_null(j.policy);
	assert_null(j.policy_wrong);
	judge_free(&j);
	snprintf(path, sizeof path, "printf 'quorum nobody\\n' > %s/trust/witness-policy", dir);
	assert_int_equal(system(path), 0);
	judge_read_beside(&j, dir);
	assert_null(j.policy);
	assert_non_null(strstr(j.policy_wrong, "not defined"));
	judge_free(&j);
	snprintf(path, sizeof path, "printf 'quorum none\\n' > %s/trust/witness-policy", dir);
	assert_int_equal(system(path), 0);
	judge_read_beside(&j, dir);
	assert_non_null(j.policy);
	assert_null(j.policy_wrong);
	judge_free(&j);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(known_anchors_are_good), TEST(anchors_of_others_are_unverified), TEST(wrong_anchors_are_found), TEST(anchors_of_another_checkpoint_are_wrong),
		TEST(the_newest_checkpoint_with_its_quorum_is_told), TEST(cosignatures_of_others_make_no_quorum),
		TEST(changed_cosignatures_are_wrong), TEST(a_journal_that_was_cut_back_is_named), TEST(keys_are_read_from_a_directory),
	};

	return cmocka_run_group_tests_name("anchor_judge", tests, make, unmake);
}
