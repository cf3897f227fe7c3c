/* The first requests of a connection, login and cancel keys, byte by byte, by seven and whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/inspect/postgres/postgres_kit.h"

static const size_t segments[] = { 1, 7, 0 };
static struct kit k;
static uint8_t buffer[65536];

#define FOR_EACH_SEGMENT for (size_t sg_ = 0; sg_ < 3; sg_++) for (size_t segment = segments[sg_], once_ = 1; once_; once_ = 0)

static struct writer fresh(void)
{
	return writer_of(buffer, sizeof(buffer));
}

static void say(enum side from, struct writer *w, size_t segment)
{
	assert_true(w->ok);
	kit_feed(&k, from, writer_done(w), segment);
	*w = fresh();
}

static void assert_client(const char *text) { assert_true(kit_wrote(&k, SIDE_CLIENT, text)); }
static void assert_not_client(const char *text) { assert_false(kit_wrote(&k, SIDE_CLIENT, text)); }

static void cancel_requests(void **state)
{
	FOR_EACH_SEGMENT {
		kit_begin(&k);
		kit_feed(&k, SIDE_CLIENT, bytes_of("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x2a\0\0\0\x2b", 16), segment);
		assert_true(k.closed);
		assert_int_equal(k.out_len[SIDE_SERVER], 16);
		assert_memory_equal(k.out[SIDE_SERVER] + 8, "\0\0\0\7\0\0\0\x08", 8);
		kit_end(&k);
		kit_begin(&k);
		kit_feed(&k, SIDE_CLIENT, bytes_of("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x2a\0\0\0\x2c", 16), segment);
		assert_true(k.closed);
		assert_int_equal(k.out_len[SIDE_SERVER], 0);
		kit_end(&k);
	}
}

/* Protocol 3.2: the client gets a key of its own version's length, the server its own key back. */
static void minor_versions_and_their_cancel_keys(void **state)
{
	static const struct { unsigned asked, told, server, key, issued; } cases[] = {
		/* asked for; told by NegotiateProtocolVersion (99: nothing); the server's answer to 3.2 (99: none); its key; the client's (0: the end) */
		{ 0, 99, 99, 4, 4 },  { 2, 99, 99, 32, 32 }, { 2, 99, 99, 256, 32 }, { 2, 99, 99, 4, 32 },	{ 2, 99, 0, 4, 32 },
		{ 1, 0, 99, 4, 4 },   { 3, 2, 99, 32, 32 },  { 9999, 2, 0, 4, 32 },	/* … that cannot be: */
		{ 0, 99, 99, 32, 0 }, { 2, 99, 0, 32, 0 },   { 2, 99, 99, 3, 0 },    { 2, 99, 99, 257, 0 }, { 2, 99, 2, 32, 0 }, { 0, 99, 0, 4, 0 },
	};
	static uint8_t key[4 + 257];

	memcpy(key, "\0\0\0\1", 4);
	memset(key + 4, 'k', 257);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		FOR_EACH_SEGMENT {
			struct writer w = fresh();
			uint8_t told[9] = { 'v', 0, 0, 0, 12, 0, 3, 0, (uint8_t)cases[i].told };

			kit_begin(&k);
			writer_be32(&w, 4 + 4 + 5 + 6 + 1);
			writer_be32(&w, 3u << 16 | cases[i].asked);
			writer_cstr(&w, "user");
			writer_cstr(&w, "agent");
			writer_u8(&w, 0);
			say(SIDE_CLIENT, &w, segment);
			assert_true(kit_wrote(&k, SIDE_CLIENT, "v") == (cases[i].told != 99));
			if (cases[i].told != 99)
				assert_memory_equal(k.out[SIDE_CLIENT], told, sizeof(told));
			kit_message(&w, 'p', "token", 6);
			say(SIDE_CLIENT, &w, segment);
			/* What is told to the server is at most what the client was told. */
			assert_int_equal(k.out[SIDE_SERVER][7], cases[i].asked >= 2 ? 2 : 0);
			if (cases[i].server != 99)
				kit_message(&w, 'v', (char[]){ 0, 3, 0, (char)cases[i].server, 0, 0, 0, 0 }, 8);
			kit_message(&w, 'R', "\0\0\0\x0aSCRAM-SHA-256\0", 19);
			kit_message(&w, 'R', "\0\0\0\x0br=a,s=b,i=4096", 18);
			say(SIDE_SERVER, &w, segment);
			kit_message(&w, 'R', "\0\0\0\x0cv=c2ln", 10);
			kit_message(&w, 'R', "\0\0\0\0", 4);
			kit_message(&w, 'S', "client_encoding\0UTF8", 21);
			kit_message(&w, 'K', key, 4 + cases[i].key);
			kit_clear(&k);
			say(SIDE_SERVER, &w, segment);
			if (k.closed != !cases[i].issued)
				fail_msg("3.%u, the server %u, a key of %u", cases[i].asked, cases[i].server, cases[i].key);
			if (cases[i].issued) {
				size_t len = 1 + 4 + 4 + cases[i].issued;

				assert_int_equal(k.out[SIDE_CLIENT][k.out_len[SIDE_CLIENT] - len], 'K');
				assert_int_equal(k.upstream_key_len, cases[i].key);
				assert_memory_equal(k.upstream_key, key + 4, cases[i].key);
				assert_not_client("kkkk");
			}
			kit_end(&k);
		}
	}
}

static void long_cancel_keys_go_to_their_server(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		kit_begin(&k);
		k.upstream_key_len = 256;
		memset(k.upstream_key, 'k', 256);
		writer_be32(&w, 12 + 32);
		writer_be32(&w, 80877102);
		writer_be32(&w, 42);
		for (unsigned i = 0; i < 8; i++)
			writer_be32(&w, 43);
		say(SIDE_CLIENT, &w, segment);
		assert_true(k.closed);
		assert_int_equal(k.out_len[SIDE_SERVER], 12 + 256);
		assert_memory_equal(k.out[SIDE_SERVER], "\0\0\1\x0c\x04\xd2\x16\x2e\0\0\0\7kkkk", 16);
		kit_end(&k);
	}
}

static void a_server_that_cannot_prove_itself(void **state)
{
	static const char *const wrong[] = { "\0\0\0\x0cv=d3Jvbmc=", "\0\0\0\x0c", "\0\0\0\0", "\0\0\0\3", "\0\0\0\5abcd" };
	static const size_t wrong_len[] = { 14, 4, 4, 4, 8 };

	for (size_t i = 0; i < 5; i++) {
		struct writer w = fresh();

		kit_begin(&k);
		kit_feed(&k, SIDE_CLIENT, bytes_of("\0\0\0\x1e\0\3\0\0user\0a\0database\0shop\0\0", 30), 0);
		kit_message(&w, 'p', "token", 6);
		say(SIDE_CLIENT, &w, 0);
		kit_message(&w, 'R', "\0\0\0\x0aSCRAM-SHA-256\0", 19);
		kit_message(&w, 'R', "\0\0\0\x0br=a,s=b,i=4096", 18);
		kit_message(&w, 'R', wrong[i], wrong_len[i]);
		say(SIDE_SERVER, &w, 0);
		assert_true(k.closed);
		assert_client("FATAL");
		kit_end(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cancel_requests),
		cmocka_unit_test(minor_versions_and_their_cancel_keys),
		cmocka_unit_test(long_cancel_keys_go_to_their_server),
		cmocka_unit_test(a_server_that_cannot_prove_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
