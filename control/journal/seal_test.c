/* Payload under a session's key: only at its place and with its key; keys are kept, found again, and destroyed, wherever the process is
 * interrupted. */
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

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "control/journal/journal_fixture.h"
#include "control/journal/payload_keys.h"

#define DAY_US (24ull * 3600 * 1000000)

static char dir[128], keys_dir[160];
static char err[PAYLOAD_KEYS_ERROR_BYTES];

static int setup(void **state)
{
	fixture_dir(dir);
	snprintf(keys_dir, sizeof keys_dir, "%s/keys", dir);
	return 0;
}

static int teardown(void **state)
{
	fixture_remove(dir);
	return 0;
}

static struct payload_keys *open_keys(bool write)
{
	struct payload_keys *k = payload_keys_open(keys_dir, write, err);

	if (!k)
		print_error("%s\n", err);
	assert_non_null(k);
	return k;
}

static void name_session(uint8_t session[16], unsigned number)
{
	memset(session, 0, 16);
	session[0] = (uint8_t)(number >> 8);
	session[15] = (uint8_t)number;
}

/* The library's HMAC says the same, at every length around the hash's blocks. */
static void a_command_s_hash_is_hmac_of_a_derived_key(void **state)
{
	struct seal s = { .session = { 1 } };
	uint8_t text[200], key[32], want[32], got[32];
	unsigned len = 32;

	for (unsigned i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)(i * 7);
	for (unsigned i = 0; i < 32; i++)
		s.key[i] = (uint8_t)(200 + i);
	assert_non_null(HMAC(EVP_sha256(), s.key, 32, (const uint8_t *)"sluice-op", 9, key, &len));
	for (size_t size = 0; size <= sizeof text; size++) {
		assert_non_null(HMAC(EVP_sha256(), key, 32, text, size, want, &len));
		seal_command(&s, bytes_of(text, size), got);
		assert_memory_equal(got, want, 32);
	}
}

/* --- one chunk ----------------------------------------------------------------------------------------------------------- */

static void a_chunk_opens_only_at_its_place(void **state)
{
	struct seal s = { .session = { 1 }, .key = { 2 } }, other = s;
	static uint8_t plain[65024], sealed[RECORD_CHUNK_STORED_MAX], back[65024];
	struct record_codec *codec = record_codec_create();
	struct record_seal place = { .seal = &s, .dir = bytes_str("i"), .number = 7 };
	struct writer w = writer_of(sealed, sizeof sealed), out = writer_of(back, sizeof back);
	struct bytes stored;

	for (size_t i = 0; i < sizeof plain; i++)
		plain[i] = (uint8_t)(i * 2654435761u >> 24);
	assert_true(record_chunk_seal(codec, &place, bytes_of(plain, sizeof plain), &w));
	stored = writer_done(&w);
	assert_null(record_chunk_unseal(codec, &place, stored, &out));
	assert_memory_equal(back, plain, sizeof plain);
	place.number = 8;
	assert_non_null(record_chunk_unseal(codec, &place, stored, &out));
	place = (struct record_seal){ .seal = &s, .dir = bytes_str("o"), .number = 7 };
	assert_non_null(record_chunk_unseal(codec, &place, stored, &out));
	place.dir = bytes_str("i");
	other.key[31] ^= 1;
	place.seal = &other;
	assert_non_null(record_chunk_unseal(codec, &place, stored, &out));
	other = s;
	other.session[3] ^= 1;
	assert_non_null(record_chunk_unseal(codec, &place, stored, &out));
	place.seal = &s;
	for (size_t at = 0; at < stored.len; at += 997) {
		sealed[at] ^= 0x10;
		assert_non_null(record_chunk_unseal(codec, &place, stored, &out));
		sealed[at] ^= 0x10;
	}
	assert_non_null(record_chunk_unseal(codec, &place, bytes_of(sealed, 15), &out));
	assert_non_null(record_chunk_unseal(codec, &place, bytes_of(sealed, stored.len - 1), &out));
	record_codec_destroy(codec);
}

/* The text of journal.md 4, by hand: SHA-256 of the label and 32 zero bytes. */
static void the_commitment_is_the_documented_one(void **state)
{
	struct seal s = { 0 };
	uint8_t text[17 + 32] = "sluice-key-commit", hash[32];
	struct merkle_hash want = merkle_sha256(bytes_of(text, sizeof text));

	seal_commitment(&s, hash);
	assert_memory_equal(hash, want.b, 32);
}

/* --- keys on disk -------------------------------------------------------------------------------------------------------- */

static void keys_are_found_again(void **state)
{
	struct payload_keys *k = open_keys(true);
	struct seal made[300], found;
	uint8_t session[16];
	char why[PAYLOAD_KEYS_ERROR_BYTES];

	for (unsigned i = 0; i < 300; i++) {
		name_session(session, i);
		assert_true(payload_keys_make(k, session, FIXTURE_TIME + i / 100 * DAY_US, &made[i]));
	}
	assert_true(payload_keys_sync(k));
	assert_null(payload_keys_open(keys_dir, true, why)); /* one writer */
	payload_keys_close(k);
	k = open_keys(false);
	for (unsigned i = 0; i < 300; i++) {
		name_session(session, i);
		assert_true(payload_keys_find(k, session, &found));
		assert_memory_equal(&found, &made[i], sizeof found);
		assert_false(payload_keys_make(k, session, FIXTURE_TIME, &found)); /* opened for reading */
	}
	name_session(session, 300);
	assert_false(payload_keys_find(k, session, &found));
	payload_keys_close(k);
	/* A torn last entry is not there, and the next one goes to its place. */
	{
		char path[256];
		FILE *f;

		snprintf(path, sizeof path, "%s/2025-10-11/wrapped", keys_dir);
		f = fopen(path, "ae");
		assert_non_null(f);
		fputs("torn", f);
		fclose(f);
	}
	k = open_keys(true);
	assert_true(payload_keys_make(k, session, FIXTURE_TIME + 2 * DAY_US, &made[0]));
	payload_keys_close(k);
	k = open_keys(true);
	assert_true(payload_keys_find(k, session, &found));
	assert_memory_equal(&found, &made[0], sizeof found);
	payload_keys_close(k);
}

static bool bytes_in(const char *path, struct bytes what)
{
	static uint8_t all[1 << 20];
	FILE *f = fopen(path, "re");
	size_t len = f ? fread(all, 1, sizeof all, f) : 0;

	if (f)
		fclose(f);
	return memmem(all, len, what.base, what.len) != NULL;
}

static void a_destroyed_key_is_nowhere_and_the_others_are(void **state)
{
	struct payload_keys *k = open_keys(true);
	struct seal made[20], found;
	uint8_t session[16], before[48 + 1];
	char path[256];
	FILE *f;

	for (unsigned i = 0; i < 20; i++) {
		name_session(session, i);
		assert_true(payload_keys_make(k, session, FIXTURE_TIME + i / 10 * DAY_US, &made[i]));
	}
	assert_true(payload_keys_sync(k));
	snprintf(path, sizeof path, "%s/2025-10-09/key", keys_dir);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fread(before, 1, sizeof before, f), 48);
	fclose(f);
	/* One of an older day, one of the day that is being written. */
	for (unsigned i = 3; i < 20; i += 10) {
		name_session(session, i);
		assert_true(payload_keys_intend(k, session));
		assert_true(payload_keys_destroy(k, session));
		assert_false(payload_keys_find(k, session, &found));
	}
	assert_false(bytes_in(path, bytes_of(before + 16, 32)));
	snprintf(path, sizeof path, "%s/2025-10-09/wrapped", keys_dir);
	name_session(session, 3);
	assert_false(bytes_in(path, bytes_of(session, 16)));
	assert_false(payload_keys_intent(k, session));
	name_session(session, 77);
	assert_true(payload_keys_make(k, session, FIXTURE_TIME + DAY_US, &made[3]));
	assert_true(payload_keys_sync(k));
	payload_keys_close(k);
	k = open_keys(true);
	for (unsigned i = 0; i < 20; i++) {
		name_session(session, i);
		assert_int_equal(payload_keys_find(k, session, &found), i != 3 && i != 13);
		if (i != 3 && i != 13)
			assert_memory_equal(&found, &made[i], sizeof found);
	}
	name_session(session, 77);
	assert_true(payload_keys_find(k, session, &found));
	/* Found again after a restart, and then destroyed while its day is written: no copy of the day in memory knows it. */
	name_session(session, 78);
	assert_true(payload_keys_make(k, session, FIXTURE_TIME + DAY_US, &found));
	name_session(session, 77);
	assert_true(payload_keys_destroy(k, session));
	assert_false(payload_keys_find(k, session, &found));
	payload_keys_close(k);
}

/* Every state that a crash in the middle of an erasure leaves: afterwards the day is whole, old or new, and nothing is beside it. */
static void an_interrupted_erasure_is_settled(void **state)
{
	static const struct {
		const char *commands; /* in the directory, D is the day */
	} rows[] = {
		{ "cp -r $D $D.new" },
		{ "mkdir $D.new" },
		{ "cp -r $D $D.new && mv $D $D.old" },
		{ "cp -r $D $D.old" },
		{ "mkdir $D.old && cp $D/wrapped $D.old/" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct payload_keys *k;
		struct seal made, found;
		uint8_t session[16];
		char command[400];

		fixture_remove(keys_dir);
		k = open_keys(true);
		name_session(session, 1);
		assert_true(payload_keys_make(k, session, FIXTURE_TIME, &made) && payload_keys_sync(k));
		payload_keys_close(k);
		snprintf(command, sizeof command, "cd %s && D=2025-10-09 && %s", keys_dir, rows[i].commands);
		assert_int_equal(system(command), 0);
		k = open_keys(true);
		assert_true(payload_keys_find(k, session, &found));
		assert_memory_equal(&found, &made, sizeof found);
		payload_keys_close(k);
		snprintf(command, sizeof command, "test \"$(ls %s)\" = \"$(printf '2025-10-09\\nerase')\"", keys_dir);
		assert_int_equal(system(command), 0);
	}
}

static void a_whole_day_expires(void **state)
{
	struct payload_keys *k = open_keys(true);
	struct seal found;
	uint8_t session[16];
	char day[PAYLOAD_KEYS_DAY_BYTES];
	unsigned sessions;

	for (unsigned i = 0; i < 30; i++) {
		name_session(session, i);
		assert_true(payload_keys_make(k, session, FIXTURE_TIME + i / 10 * DAY_US, &found));
	}
	assert_true(payload_keys_oldest(k, "2025-10-10", NULL, day, &sessions));
	assert_string_equal(day, "2025-10-09");
	assert_int_equal(sessions, 10);
	assert_true(payload_keys_expire(k, day));
	assert_false(payload_keys_oldest(k, "2025-10-10", NULL, day, &sessions));
	assert_false(payload_keys_expire(k, "2025-10-11")); /* that of today */
	name_session(session, 5);
	assert_false(payload_keys_find(k, session, &found));
	name_session(session, 15);
	assert_true(payload_keys_find(k, session, &found));
	payload_keys_close(k);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_command_s_hash_is_hmac_of_a_derived_key),
		TEST(a_chunk_opens_only_at_its_place),
		TEST(the_commitment_is_the_documented_one),
		TEST(keys_are_found_again),
		TEST(a_destroyed_key_is_nowhere_and_the_others_are),
		TEST(an_interrupted_erasure_is_settled),
		TEST(a_whole_day_expires),
	};

	return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
