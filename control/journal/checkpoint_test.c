#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/journal/base64.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/proof.h"
#include "control/journal/tiles.h"

#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
#define LINE "\xe2\x80\x94 a AAAAAAE=\n"

static void body_has_one_spelling(void **state)
{
	static const char *const bad[] = {
		"", "a\n", "a\n1\n", "a\n1\n" ROOT, "\n1\n" ROOT "\n", "a b\n1\n" ROOT "\n", "a+b\n1\n" ROOT "\n", "a\n01\n" ROOT "\n", "a\n-1\n" ROOT "\n",
		"a\n1 \n" ROOT "\n", "a\n\n" ROOT "\n", "a\n0x1\n" ROOT "\n", "a\n99999999999999999999\n" ROOT "\n", "a\n1\nAAAA\n",
		"a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n", "a\n1\n" ROOT "\nextension\n", "a\r\n1\n" ROOT "\n", "a\n1\n" ROOT "\n\n",
	};
	struct checkpoint c;
	char text[CHECKPOINT_BODY_MAX];
	struct writer w = writer_of(text, sizeof text);

	assert_null(checkpoint_parse(bytes_str("sluice.example/a\n300\n" ROOT "\n"), false, &c, NULL));
	assert_string_equal(c.origin, "sluice.example/a");
	assert_int_equal(c.size, 300);
	assert_true(checkpoint_body(&c, &w));
	assert_true(bytes_equal(writer_done(&w), bytes_str("sluice.example/a\n300\n" ROOT "\n")));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_non_null(checkpoint_parse(bytes_str(bad[i]), false, &c, NULL));
	assert_int_equal(c.size, 0);
}

static void note_needs_its_shape(void **state)
{
	static const char *const bad[] = {
		"a\n1\n" ROOT "\n", "a\n1\n" ROOT "\n\n", "a\n1\n" ROOT "\n" LINE, "a\n1\n" ROOT "\n\n- a AAAAAAE=\n", "a\n1\n" ROOT "\n\n\xe2\x80\x94 a AAAAAAE=",
		"a\n1\n" ROOT "\n\n\xe2\x80\x94 a\n", "a\n1\n" ROOT "\n\n\xe2\x80\x94 a AAAA\n", "a\n1\n" ROOT "\n\n\xe2\x80\x94  AAAAAAE=\n",
		"a\n1\n" ROOT "\n\n\xe2\x80\x94 a AAAAAAE\n", "a\n1\n" ROOT "\n\n" LINE "\n",
	};
	struct checkpoint c;
	struct bytes body;

	assert_null(checkpoint_parse(bytes_str("a\n1\n" ROOT "\n\n" LINE LINE), true, &c, &body));
	assert_int_equal(body.len, strlen("a\n1\n" ROOT "\n"));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_non_null(checkpoint_parse(bytes_str(bad[i]), true, &c, &body));
}

/* The example key of the C2SP signed-note document and Go's note package. */
static void vkey_of_the_specification_is_read_and_written(void **state)
{
	static const char text[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
	struct checkpoint_keys keys = { 0 };
	char out[256];
	struct writer w = writer_of(out, sizeof out);

	assert_null(checkpoint_vkey_read(bytes_str(text), &keys));
	assert_string_equal(keys.name, "PeterNeumann");
	assert_true(checkpoint_vkey_write(&keys, &w));
	assert_true(bytes_equal(writer_done(&w), bytes_str(text)));
	assert_non_null(checkpoint_vkey_read(bytes_str("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), &keys));
	assert_non_null(checkpoint_vkey_read(bytes_str("PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), &keys));
	assert_non_null(checkpoint_vkey_read(bytes_str("PeterNeumann"), &keys));
	assert_non_null(checkpoint_vkey_read(bytes_str(""), &keys));
}

/* The signed note of Go's note package: name, key id, signature and all. Its body is no checkpoint, so only the id is checked. */
static void key_id_is_that_of_the_specification(void **state)
{
	static const char signature[] = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
	struct checkpoint_keys keys = { 0 };
	uint8_t raw[128], id[4];
	struct writer w = writer_of(raw, sizeof raw);

	assert_null(checkpoint_vkey_read(bytes_str("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), &keys));
	assert_true(base64_read(bytes_str(signature), &w));
	checkpoint_id_ed25519(keys.name, keys.ed25519, id);
	assert_memory_equal(raw, id, 4);
	assert_int_equal(w.len, 68);
}

static void pem_keys_come_back(void **state)
{
	struct fixture_signer s;
	struct checkpoint_keys keys = { 0 };
	char pem[1024];

	fixture_signer_init(&s);
	for (int type = CHECKPOINT_ED25519; type <= CHECKPOINT_P256; type++) {
		struct writer w = writer_of(pem, sizeof pem);

		assert_true(checkpoint_pem_write(&s.keys, type, &w));
		assert_null(checkpoint_pem_read(writer_done(&w), &keys));
	}
	assert_memory_equal(keys.ed25519, s.keys.ed25519, 32);
	assert_int_equal(keys.p256_spki_len, s.keys.p256_spki_len);
	assert_memory_equal(keys.p256_spki, s.keys.p256_spki, keys.p256_spki_len);
	assert_non_null(checkpoint_pem_read(bytes_str("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), &keys));
	fixture_signer_free(&s);
}

static void proof_file_has_one_shape(void **state)
{
	static const char *const bad[] = {
		"", "c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v2\nindex 1\n\nx", "c2sp.org/tlog-proof@v1\nindex 01\n\nx", "c2sp.org/tlog-proof@v1\nindex \n\nx",
		"c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nx", "c2sp.org/tlog-proof@v1\nindex 1\n" ROOT "\n", "c2sp.org/tlog-proof@v1\nindex 1\n\n",
		"c2sp.org/tlog-proof@v1\nextra x\nextra y\nindex 1\n\nx", "c2sp.org/tlog-proof@v1\nindex 99999999999999999999\n\nx",
	};
	struct merkle_proof proof;
	uint64_t index;
	struct bytes note;

	assert_null(proof_parse(bytes_str("c2sp.org/tlog-proof@v1\nextra AAAA\nindex 77\n" ROOT "\n" ROOT "\n\nnote\n"), &index, &proof, &note));
	assert_int_equal(index, 77);
	assert_int_equal(proof.count, 2);
	assert_true(bytes_equal(note, bytes_str("note\n")));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_non_null(proof_parse(bytes_str(bad[i]), &index, &proof, &note));
}

static void tile_paths_are_those_of_the_specification(void **state)
{
	static const struct {
		int level;
		uint64_t number;
		unsigned width;
		const char *path;
	} rows[] = {
		{ 0, 0, 256, "tile/0/000" },
		{ 0, 5, 1, "tile/0/005.p/1" },
		{ 1, 1234067, 256, "tile/1/x001/x234/067" },
		{ TILES_ENTRIES, 1000, 255, "tile/entries/x001/000.p/255" },
		{ 2, 999999, 256, "tile/2/x999/999" },
		{ 0, UINT64_MAX, 256, "tile/0/x018/x446/x744/x073/x709/x551/615" },
	};
	char path[TILES_PATH_MAX];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_true(tiles_path(rows[i].level, rows[i].number, rows[i].width, path));
		assert_string_equal(path, rows[i].path);
	}
	assert_false(tiles_path(0, 0, 0, path));
	assert_false(tiles_path(0, 0, 257, path));
	assert_false(tiles_path(64, 0, 256, path));
}

/* --- stored records ----------------------------------------------------------------------------------------------------- */

static void stored_forms_come_back(void **state)
{
	struct record_codec *codec = record_codec_create();
	static uint8_t text[RECORD_BYTES_MAX], stored[RECORD_STORED_BYTES_MAX], scratch[RECORD_BYTES_MAX];
	static const size_t lengths[] = { 1, 700, RECORD_RAW_BYTES_MAX, RECORD_RAW_BYTES_MAX + 1, 20000, RECORD_BYTES_MAX };

	memset(text, 'x', sizeof text);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct writer w = writer_of(stored, sizeof stored);
		struct bytes back;

		assert_true(record_encode(codec, bytes_of(text, lengths[i]), &w));
		assert_int_equal(stored[0], lengths[i] > RECORD_RAW_BYTES_MAX);
		assert_null(record_decode(codec, writer_done(&w), scratch, &back));
		assert_true(bytes_equal(back, bytes_of(text, lengths[i])));
	}
	record_codec_destroy(codec);
}

/* A zstd frame of 2^30 zeros states its size; one of unknown size states none; both are corruption, and cost nothing. */
static void decompression_is_bounded(void **state)
{
	static const uint8_t huge[] = { 1, 0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40, 0x03, 0, 0 };
	static const uint8_t unknown[] = { 1, 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x09, 0, 0, 'a' };
	static const uint8_t empty_frame_and_more[] = { 1, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0, 0xff };
	struct record_codec *codec = record_codec_create();
	static uint8_t scratch[RECORD_BYTES_MAX];
	struct bytes back;
	struct writer w = writer_of(scratch, sizeof scratch);

	assert_non_null(record_decode(codec, bytes_of(huge, sizeof huge), scratch, &back));
	assert_non_null(record_decode(codec, bytes_of(unknown, sizeof unknown), scratch, &back));
	assert_non_null(record_decode(codec, bytes_of(empty_frame_and_more, sizeof empty_frame_and_more), scratch, &back));
	assert_non_null(record_decode(codec, bytes_of("\2abc", 4), scratch, &back));
	assert_non_null(record_decode(codec, bytes_of("", 0), scratch, &back));
	assert_int_equal(back.len, 0);
	assert_non_null(record_chunk_decode(codec, bytes_of(huge + 1, sizeof huge - 1), &w));
	record_codec_destroy(codec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_has_one_spelling),
		cmocka_unit_test(note_needs_its_shape),
		cmocka_unit_test(vkey_of_the_specification_is_read_and_written),
		cmocka_unit_test(key_id_is_that_of_the_specification),
		cmocka_unit_test(pem_keys_come_back),
		cmocka_unit_test(proof_file_has_one_shape),
		cmocka_unit_test(tile_paths_are_those_of_the_specification),
		cmocka_unit_test(stored_forms_come_back),
		cmocka_unit_test(decompression_is_bounded),
	};

	return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
