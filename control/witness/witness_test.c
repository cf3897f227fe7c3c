/* witness_test.c: what a witness cosigns and what it refuses; keys, lines and requests as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/journal_fixture.h"
#include "control/signer/signer_state.h"
#include "control/witness/witness.h"

#define NOW_S 1760000000ull

static char dir[128];
static struct witness witness;
static struct fixture_signer signer, other;
static struct merkle_hash leaf[64];

static int setup(void **state)
{
	char command[300], vkey[CHECKPOINT_KEY_TEXT_BYTES];
	struct writer w = writer_of(vkey, sizeof vkey);

	fixture_dir(dir);
	fixture_signer_init(&signer);
	fixture_signer_init(&other);
	for (unsigned i = 0; i < 64; i++)
		leaf[i] = merkle_leaf(bytes_of(&i, sizeof i));
	snprintf(command, sizeof command, "umask 077; openssl genpkey -algorithm ed25519 -out %s/ed25519.pem", dir);
	if (system(command) != 0 || witness_open(&witness, dir, "witness.example/w1") != NULL)
		return -1;
	assert_true(checkpoint_vkey_write(&signer.keys, &w));
	return witness_trust(&witness, writer_done(&w)) != NULL;
}

static int teardown(void **state)
{
	witness_close(&witness);
	fixture_signer_free(&signer);
	fixture_signer_free(&other);
	fixture_remove(dir);
	return 0;
}

static bool source_get(void *ctx, unsigned height, uint64_t number, struct merkle_hash *out)
{
	size_t first = (size_t)number << height;

	if (height > 6 || first + (1u << height) > 64)
		return false;
	*out = merkle_root_of((struct merkle_hash *)ctx + first, (size_t)1 << height);
	return true;
}

/* A note over the first `size` of these leaves, and a request with its proof from `old`. */
static struct bytes request_of(struct fixture_signer *by, const char *origin, struct merkle_hash *leaves, uint64_t old, uint64_t size, struct writer *out)
{
	static uint8_t note[CHECKPOINT_BYTES_MAX];
	struct writer w = writer_of(note, sizeof note);
	struct merkle_source source = { leaves, source_get };
	struct cosignature_request q = { .old_size = old };
	struct checkpoint c = { .size = size, .root = merkle_root_of(leaves, size) };
	uint8_t signature[64], id[4];
	size_t len = sizeof signature;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	snprintf(c.origin, sizeof c.origin, "%s", origin);
	checkpoint_body(&c, &w);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, by->ed25519), 1);
	assert_int_equal(EVP_DigestSign(ctx, signature, &len, note, w.len), 1);
	EVP_MD_CTX_free(ctx);
	writer_u8(&w, '\n');
	checkpoint_id_ed25519(origin, by->keys.ed25519, id);
	assert_true(checkpoint_signature_line(origin, id, bytes_of(signature, len), &w));
	(void)merkle_prove_consistency(&source, old, size, &q.proof);
	q.note = writer_done(&w);
	assert_true(cosignature_request_write(&q, out));
	return writer_done(out);
}

static unsigned ask(struct fixture_signer *by, const char *origin, struct merkle_hash *leaves, uint64_t old, uint64_t size, struct witness_answer *a)
{
	static uint8_t room[WITNESS_REQUEST_BYTES];
	struct writer w = writer_of(room, sizeof room);

	witness_handle(&witness, request_of(by, origin, leaves, old, size, &w), NOW_S, a);
	return a->status;
}

static void what_extends_is_cosigned(void **state)
{
	static const uint64_t sizes[] = { 1, 5, 5, 8, 33, 64 };
	struct witness_answer a;
	uint64_t old = 0;

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		static uint8_t room[WITNESS_REQUEST_BYTES];
		struct writer w = writer_of(room, sizeof room);
		struct cosignature_request q;
		struct bytes line, body;
		struct checkpoint c;
		uint64_t time_s;

		assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, old, sizes[i], &a), 200);
		assert_true(cosignature_request_read(request_of(&signer, FIXTURE_ORIGIN, leaf, old, sizes[i], &w), &q));
		assert_null(checkpoint_parse(q.note, true, &c, &body));
		assert_null(cosignature_find(bytes_of(a.text, a.len), body, &witness.public, &line, &time_s));
		assert_int_equal(time_s, NOW_S);
		assert_int_equal(line.len, a.len);
		old = sizes[i];
		/* And from a new start, which reads its state. */
		witness_close(&witness);
		assert_null(witness_open(&witness, dir, "witness.example/w1"));
	}
}

/* The log rotates its keys: its operator tells the witness the new one while both sign, and takes back the old one afterwards. */
static void log_with_a_new_key_goes_on(void **state)
{
	char old_text[CHECKPOINT_KEY_TEXT_BYTES], new_text[CHECKPOINT_KEY_TEXT_BYTES];
	struct writer old = writer_of(old_text, sizeof old_text), new = writer_of(new_text, sizeof new_text);
	struct witness_answer a;

	assert_true(checkpoint_vkey_write(&signer.keys, &old));
	assert_true(checkpoint_vkey_write(&other.keys, &new));
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 0, 10, &a), 200);
	assert_int_equal(ask(&other, FIXTURE_ORIGIN, leaf, 10, 12, &a), 403);
	assert_non_null(witness_distrust(&witness, writer_done(&new)));
	assert_non_null(witness_distrust(&witness, writer_done(&old))); /* its only one */
	assert_null(witness_trust(&witness, writer_done(&new)));
	assert_non_null(witness_trust(&witness, writer_done(&new)));
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 10, 12, &a), 200);
	assert_int_equal(ask(&other, FIXTURE_ORIGIN, leaf, 12, 14, &a), 200);
	assert_null(witness_distrust(&witness, writer_done(&old)));
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 14, 20, &a), 403);
	assert_int_equal(ask(&other, FIXTURE_ORIGIN, leaf, 0, 20, &a), 409); /* what was cosigned is known over it */
	assert_int_equal(ask(&other, FIXTURE_ORIGIN, leaf, 14, 20, &a), 200);
}

static void what_does_not_extend_is_refused(void **state)
{
	struct merkle_hash fork[64];
	struct witness_answer a;
	char command[300];

	memcpy(fork, leaf, sizeof fork);
	fork[3].b[0] ^= 1;
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 0, 10, &a), 200);
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 9, 12, &a), 409);
	assert_true(a.size && a.len == 3 && !memcmp(a.text, "10\n", 3));
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 0, 12, &a), 409);
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 12, 10, &a), 400);
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 5, 5, &a), 409); /* a smaller tree */
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, fork, 10, 10, &a), 409); /* as large, another root */
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, fork, 10, 20, &a), 422);
	snprintf(command, sizeof command, "grep -q '^%s$' %s/logs/*/refused", FIXTURE_ORIGIN, dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(ask(&other, FIXTURE_ORIGIN, leaf, 10, 20, &a), 403);
	assert_int_equal(ask(&signer, "unknown.example/log", leaf, 0, 10, &a), 404);
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 10, 20, &a), 200); /* none of this moved the state */
}

static void a_busy_or_lost_state_signs_nothing(void **state)
{
	struct signer_state held;
	struct witness_answer a;
	struct merkle_hash hash = merkle_sha256(bytes_str(FIXTURE_ORIGIN));
	char path[400];
	size_t at = (size_t)snprintf(path, sizeof path, "%s/logs/", dir);

	for (unsigned i = 0; i < 32; i++)
		at += (size_t)snprintf(path + at, sizeof path - at, "%02x", hash.b[i]);
	snprintf(path + at, sizeof path - at, "/state");
	assert_null(signer_state_open(&held, path, false));
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 0, 10, &a), 503);
	signer_state_close(&held);
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 0, 10, &a), 200);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ask(&signer, FIXTURE_ORIGIN, leaf, 0, 10, &a), 503); /* never a fresh start */
}

static void malformed_requests_are_refused(void **state)
{
	static const char *const bad[] = { "", "old", "old \n\nx\n", "old 01\n\nx\n", "old -1\n\nx\n", "old 1\nAAAA\n\nx\n", "old 1\n\n", "old 0\n\nnot a checkpoint\n", "new 0\n\nx\n" };
	static uint8_t room[WITNESS_REQUEST_BYTES];
	struct writer w = writer_of(room, sizeof room);
	struct witness_answer a;
	struct bytes good = request_of(&signer, FIXTURE_ORIGIN, leaf, 0, 10, &w);

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		witness_handle(&witness, bytes_str(bad[i]), NOW_S, &a);
		assert_int_equal(a.status, 400);
	}
	for (size_t len = 0; len < good.len; len++) {
		witness_handle(&witness, bytes_of(good.base, len), NOW_S, &a);
		assert_int_not_equal(a.status, 200);
	}
	witness_handle(&witness, good, NOW_S, &a);
	assert_int_equal(a.status, 200);
}

static void cosignatures_are_read_as_written(void **state)
{
	char text[CHECKPOINT_KEY_TEXT_BYTES], lines[2048];
	struct writer w = writer_of(text, sizeof text), l = writer_of(lines, sizeof lines);
	struct bytes body = bytes_str("o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"), line;
	struct witness_key k, foreign = witness.public;
	uint64_t time_s;

	assert_true(witness_key_write(&witness.public, &w));
	assert_null(witness_key_read(writer_done(&w), &k));
	assert_memory_equal(&k, &witness.public, sizeof k);
	text[5] ^= 1; /* another name: the id no longer fits */
	assert_non_null(witness_key_read(writer_done(&w), &k));
	assert_non_null(witness_key_read(bytes_str("w+00000000+AAAA"), &k));
	snprintf(foreign.name, sizeof foreign.name, "elsewhere");
	witness_key_id(&foreign);
	assert_true(cosignature_sign(witness.keys.ed25519, &foreign, body, 7, &l));
	assert_true(cosignature_sign(witness.keys.ed25519, &witness.public, body, 8, &l));
	assert_null(cosignature_find(writer_done(&l), body, &witness.public, &line, &time_s));
	assert_int_equal(time_s, 8);
	assert_null(cosignature_find(writer_done(&l), body, &foreign, &line, &time_s));
	assert_int_equal(time_s, 7);
	assert_non_null(cosignature_find(writer_done(&l), bytes_str("o\n2\n"), &foreign, &line, &time_s));
	/* Any bit of the line: another key's, no line, or a wrong one; never good. */
	l = writer_of(lines, sizeof lines);
	assert_true(cosignature_sign(witness.keys.ed25519, &witness.public, body, 8, &l));
	for (size_t at = 0; at < l.len; at++) {
		lines[at] ^= 1;
		assert_non_null(cosignature_find(writer_done(&l), body, &witness.public, &line, &time_s));
		lines[at] ^= 1;
	}
	assert_null(cosignature_find(writer_done(&l), body, &witness.public, &line, &time_s));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_extends_is_cosigned), TEST(log_with_a_new_key_goes_on), TEST(what_does_not_extend_is_refused), TEST(a_busy_or_lost_state_signs_nothing), TEST(malformed_requests_are_refused),
		TEST(cosignatures_are_read_as_written),
	};

	return cmocka_run_group_tests_name("witness", tests, NULL, NULL);
}
