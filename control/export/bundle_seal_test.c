/* A sealed bundle is opened by openssl, zstd and tar, with the key of each recipient and of nobody else; one that was changed is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/export/bundle_seal.h"
#include "control/export/bundle_seal_file.h"
#include "control/journal/journal_fixture.h"
#include "platform/base/random.h"

#define SEALED_BYTES_MAX (1u << 21)
#define LARGE (300u << 10) /* more than one turn of every buffer */

static char dir[128];
static uint8_t sealed[SEALED_BYTES_MAX], large[LARGE];
static size_t sealed_len, refuse_after;

static bool shell(const char *commands)
{
	char line[4096];

	snprintf(line, sizeof line, "cd %s && { %s\n} > out 2>&1", dir, commands);
	return system(line) == 0;
}

static struct bytes file(const char *name, uint8_t *room, size_t size)
{
	char path[256];
	FILE *f;
	size_t len;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "re");
	assert_non_null(f);
	len = fread(room, 1, size, f);
	fclose(f);
	return bytes_of(room, len);
}

static bool to_memory(void *ctx, unsigned part, struct bytes data)
{
	assert_int_equal(part, 1);
	if (sealed_len + data.len > refuse_after)
		return false;
	memcpy(sealed + sealed_len, data.base, data.len);
	sealed_len += data.len;
	return true;
}

static const char *wrong_with(const char *name)
{
	static char err[RECIPIENTS_ERROR_BYTES];
	static uint8_t room[RECIPIENTS_PEM_BYTES + 64];
	struct recipients r;

	err[0] = 0;
	if (recipients_read(&r, file(name, room, sizeof room), time(NULL), err))
		recipients_free(&r);
	return err;
}

/* Files in the order of a bundle: one that comes in pieces has others between its pieces. */
static bool put_files(const struct bundle_sink *sink)
{
	return sink->piece(sink->ctx, "proofs/entry-1.json", bytes_str("{\"t\":\"cmd\"}")) && sink->part(sink->ctx, "replay.cast", bytes_str("first "), false) &&
	       sink->piece(sink->ctx, "tile/entries/x001/x234/067.p/255", bytes_of(large, 512)) && sink->part(sink->ctx, "replay.cast", bytes_of(large, LARGE), false) &&
	       sink->part(sink->ctx, "replay.cast", (struct bytes){ 0 }, true) && sink->piece(sink->ctx, "empty", (struct bytes){ 0 }) &&
	       sink->piece(sink->ctx, "large", bytes_of(large, LARGE));
}

static bool seal_to(const char *certificates)
{
	static uint8_t room[RECIPIENTS_PEM_BYTES];
	char err[RECIPIENTS_ERROR_BYTES], path[256];
	struct recipients to;
	struct bundle_seal *s;
	bool good;
	FILE *f;

	sealed_len = 0;
	if (!recipients_read(&to, file(certificates, room, sizeof room), time(NULL), err))
		fail_msg("%s", err);
	s = bundle_seal_open(&to, 1764500000, BUNDLE_SEAL_PART_BYTES, to_memory, NULL);
	assert_non_null(s);
	good = put_files(bundle_seal_sink(s)) && bundle_seal_finish(s);
	assert_true(!good || bundle_seal_bytes(s) == sealed_len);
	assert_null(bundle_seal_error(s));
	bundle_seal_close(s);
	recipients_free(&to);
	snprintf(path, sizeof path, "%s/b.p7m", dir);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(sealed, 1, sealed_len, f), sealed_len);
	fclose(f);
	return good;
}

static const char make[] =
	"new() { n=$1; k=$2; o=$3; shift 3; openssl req -x509 -nodes -subj /CN=$n -days 2 -newkey $k $o -keyout $n.key -out $n.pem \"$@\"; }\n"
	"new rsa rsa:2048 '' -addext keyUsage=keyEncipherment && new ec ec '-pkeyopt ec_paramgen_curve:P-256' && new p521 ec '-pkeyopt ec_paramgen_curve:P-521' &&\n"
	"new other ec '-pkeyopt ec_paramgen_curve:P-256' && new signs ec '-pkeyopt ec_paramgen_curve:P-256' -addext keyUsage=digitalSignature &&\n"
	"new weak rsa:1024 '' && new ed ed25519 '' && new curve ec '-pkeyopt ec_paramgen_curve:secp256k1' &&\n"
	"openssl x509 -x509toreq -in ec.pem -signkey ec.key -out ec.csr && openssl x509 -req -in ec.csr -signkey ec.key -days -1 -out old.pem &&\n"
	"cat rsa.pem ec.pem p521.pem > three.pem && cat ec.pem ec.pem > twice.pem && { cat ec.pem; sed s/MII/MIX/ rsa.pem; } > broken.pem";

static const char open_it[] = "open() { rm -rf got; mkdir got; openssl cms -decrypt -binary -inform DER -in b.p7m -inkey $1.key -recip $1.pem -out b.tar.zst && "
			      "zstd -qdc b.tar.zst | tar -C got -xf - ; }\n";

static int setup(void **state)
{
	char path[256];
	FILE *f;
	struct rng rng = rng_seeded(1);

	for (size_t i = 0; i < LARGE; i++)
		large[i] = (uint8_t)rng_below(&rng, 256);
	fixture_dir(dir);
	refuse_after = sizeof sealed;
	snprintf(path, sizeof path, "%s/large", dir);
	f = fopen(path, "we");
	return f && fwrite(large, 1, LARGE, f) == LARGE && fclose(f) == 0 && shell(make) ? 0 : -1;
}

static int teardown(void **state)
{
	fixture_remove(dir);
	return 0;
}

static void each_recipient_opens_it_with_public_tools(void **state)
{
	char line[2048];

	assert_true(seal_to("three.pem"));
	snprintf(line, sizeof line, "%s for r in rsa ec p521; do open $r && (cd got/sluice-bundle && [ \"$(cat proofs/entry-1.json)\" = '{\"t\":\"cmd\"}' ] && cmp large ../../large && "
		 "{ printf 'first '; cat ../../large; } | cmp - replay.cast && [ -f empty ] && [ ! -s empty ] && head -c 512 large | cmp - tile/entries/x001/x234/067.p/255 && "
		 "[ \"$(find . -type f | wc -l)\" = 5 ]) || exit 1; done", open_it);
	assert_true(shell(line));
	/* RFC 5083, AES-256-GCM, and RSA by OAEP. */
	assert_true(shell("openssl cms -cmsout -print -noout -inform DER -in b.p7m > p && grep -q 'id-smime-ct-authEnvelopedData' p && grep -q aes-256-gcm p && grep -q rsaesOaep p && ! grep -q rsaEncryption p"));
}

static void nobody_else_does(void **state)
{
	char line[1024];

	assert_true(seal_to("ec.pem"));
	snprintf(line, sizeof line, "%s open ec && grep -aq entry-1.json b.tar.zst && ! open other && ! open rsa && ! openssl cms -decrypt -inform DER -in b.p7m -inkey other.key -out t && "
		 "! grep -aq entry-1.json b.p7m", open_it);
	assert_true(shell(line));
}

static void what_was_changed_is_not_opened(void **state)
{
	char line[2048];

	assert_true(seal_to("ec.pem"));
	/* In the wrapped key, at both ends and in the middle of the content, in its tag; a cut; more behind it is not part of it. */
	snprintf(line, sizeof line, "%s cp b.p7m whole; n=$(stat -c %%s whole)\n"
		 "for at in 250 700 $((n / 2)) $((n - 600)) $((n - 8)); do cp whole b.p7m; b=$(xxd -s $at -l 1 -p whole); printf \"\\\\x$(printf %%02x $((0x$b ^ 1)))\" > byte\n"
		 "  dd if=byte of=b.p7m bs=1 seek=$at conv=notrunc && ! cmp b.p7m whole && ! open ec || exit 1; done\n"
		 "for n in $((n - 1)) $((n - 30)) $((n / 2)); do head -c $n whole > b.p7m; ! open ec || exit 1; done; cp whole b.p7m; open ec", open_it);
	assert_true(shell(line));
}

static void only_who_can_open_it_is_a_recipient(void **state)
{
	static const struct {
		const char *name, *says;
	} rows[] = {
		{ "rsa.pem", "" }, { "three.pem", "" }, { "twice.pem", "certificate 2: it is named twice" }, { "weak.pem", "2048" }, { "ed.pem", "neither RSA nor EC" },
		{ "curve.pem", "curve" }, { "old.pem", "no longer valid" }, { "signs.pem", "does not allow key agreement" }, { "rsa.key", "no certificate" },
		{ "broken.pem", "certificate 2: it cannot be read" }, { "large", "no certificate" },
	};
	struct recipients r;
	char err[RECIPIENTS_ERROR_BYTES];
	uint8_t room[8192];
	struct bytes pem = file("ec.pem", room, sizeof room);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].says[0] ? !strstr(wrong_with(rows[i].name), rows[i].says) : wrong_with(rows[i].name)[0])
			fail_msg("%s: %s", rows[i].name, wrong_with(rows[i].name));
	assert_false(recipients_read(&r, pem, time(NULL) - 86400, err));
	assert_non_null(strstr(err, "not valid yet"));
	assert_true(recipients_read(&r, pem, time(NULL), err));
	assert_true(shell("openssl x509 -in ec.pem -outform DER | sha256sum | cut -c1-64 > fp"));
	assert_memory_equal(file("fp", room, sizeof room).base, r.fingerprint[0], 64);
	recipients_free(&r);
}

static void what_is_not_taken_is_not_whole(void **state)
{
	refuse_after = 1000;
	assert_false(seal_to("ec.pem"));
	refuse_after = 100u << 10;
	assert_false(seal_to("ec.pem"));
}

/* --- parts ------------------------------------------------------------------------------------------------------------------ */

static const char open_parts[] = "open() { rm -rf got b.tar b.tar.zst; mkdir got; (for part in \"$@\"; do openssl cms -decrypt -binary -inform DER -in \"$part\" -inkey ec.key -recip ec.pem || exit; "
				 "done) > b.tar.zst && zstd -qd b.tar.zst -o b.tar && tar -C got -xf b.tar ; }\n"; /* as sluice prints it */

/* To NAME in the test's directory, in parts of about `part_bytes`; how many there are, 0 when it is not whole. */
static unsigned seal_parts(const char *name, uint64_t part_bytes)
{
	static uint8_t room[RECIPIENTS_PEM_BYTES];
	char err[RECIPIENTS_ERROR_BYTES], path[256];
	struct bundle_seal_file out;
	struct recipients to;
	struct bundle_seal *s;
	bool good;

	assert_true(recipients_read(&to, file("ec.pem", room, sizeof room), time(NULL), err));
	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_true(bundle_seal_file_create(&out, path));
	s = bundle_seal_open(&to, 1764500000, part_bytes, bundle_seal_file_put, &out);
	assert_non_null(s);
	good = put_files(bundle_seal_sink(s)) && bundle_seal_finish(s);
	bundle_seal_close(s);
	recipients_free(&to);
	assert_true(bundle_seal_file_close(&out, good) || !good);
	return good ? out.part : 0;
}

static void large_one_comes_in_parts(void **state)
{
	char line[2048];

	assert_int_equal(seal_parts("c.p7m", 100u << 10), 3);
	snprintf(line, sizeof line, "%s[ \"$(ls c.p7m*)\" = \"$(printf 'c.p7m\\nc.p7m.002\\nc.p7m.003')\" ] && [ \"$(stat -c %%a c.p7m c.p7m.003 | uniq)\" = 600 ] && "
		 "[ $(cat c.p7m* | wc -c) -lt 700000 ] && open c.p7m c.p7m.[0-9]* && cd got/sluice-bundle && cmp large ../../large && { printf 'first '; cat ../../large; } | cmp - replay.cast && "
		 "[ \"$(find . -type f | wc -l)\" = 5 ]", open_parts);
	assert_true(shell(line));
}

/* One that is missing, twice there, in another's place, or of another bundle. */
static void parts_belong_together(void **state)
{
	static const char *const orders[] = { "c.p7m", "c.p7m c.p7m.002", "c.p7m.002 c.p7m.003", "c.p7m c.p7m.003", "c.p7m c.p7m.003 c.p7m.002", "c.p7m c.p7m.002 c.p7m.002 c.p7m.003",
		"c.p7m d.p7m.002 c.p7m.003", "c.p7m c.p7m.002 d.p7m.003", "d.p7m c.p7m.002 c.p7m.003" };
	char line[2048];

	for (size_t i = 0; i < LARGE; i++) /* another bundle */
		large[i] ^= 1;
	assert_int_equal(seal_parts("d.p7m", 100u << 10), 3);
	for (size_t i = 0; i < LARGE; i++)
		large[i] ^= 1;
	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
		snprintf(line, sizeof line, "%sopen %s", open_parts, orders[i]);
		if (shell(line))
			fail_msg("opened: %s", orders[i]);
	}
	snprintf(line, sizeof line, "%sopen c.p7m c.p7m.[0-9]*", open_parts);
	assert_true(shell(line));
	/* In the last one's tag, four bytes of it, which openssl looks at when it has written all: nothing is unpacked. */
	snprintf(line, sizeof line, "%scp c.p7m.003 kept; n=$(($(stat -c %%s kept) - 16)); printf 'nope' | dd of=c.p7m.003 bs=1 seek=$n conv=notrunc && ! cmp kept c.p7m.003 &&\n"
		 "! open c.p7m c.p7m.[0-9]* && [ -s b.tar.zst ] && zstd -qt b.tar.zst && [ ! -e b.tar ] && mv kept c.p7m.003 && open c.p7m c.p7m.[0-9]*", open_parts);
	assert_true(shell(line));
}

/* A file of somebody else's ends it, and stays; nothing of the bundle does. */
static void no_file_is_written_over(void **state)
{
	assert_true(shell("echo mine > e.p7m.003"));
	assert_int_equal(seal_parts("e.p7m", 100u << 10), 0);
	assert_true(shell("[ \"$(ls e.p7m*)\" = e.p7m.003 ] && [ \"$(cat e.p7m.003)\" = mine ]"));
}

/* As they come from sluice-control: in order, by these names alone. */
static void parts_come_by_name(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} rows[] = { { "bundle.p7m", true }, { "bundle.p7m", true }, { "bundle.p7m.003", false }, { "bundle.p7m.002", true }, { "bundle.p7m.1", false }, { "bundle.p7m.002x", false },
		{ "bundle.p7mx", false }, { "VERIFY.md", false }, { "bundle.p7m.002", true }, { "bundle.p7m", false }, { "bundle.p7m.003", true } };
	struct bundle_seal_file out;
	char path[256];

	snprintf(path, sizeof path, "%s/f.p7m", dir);
	assert_true(bundle_seal_file_create(&out, path));
	assert_false(bundle_seal_file_create(&(struct bundle_seal_file){ 0 }, path));
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (bundle_seal_file_put_named(&out, rows[i].name, bytes_str("x")) != rows[i].good)
			fail_msg("row %zu, %s", i, rows[i].name);
	assert_int_equal(out.part, 3);
	assert_true(bundle_seal_file_close(&out, true));
	assert_true(shell("[ $(cat f.p7m) = xx ] && [ $(cat f.p7m.002) = xx ] && [ $(cat f.p7m.003) = x ]"));
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_recipient_opens_it_with_public_tools), TEST(nobody_else_does), TEST(what_was_changed_is_not_opened), TEST(only_who_can_open_it_is_a_recipient),
		TEST(what_is_not_taken_is_not_whole), TEST(large_one_comes_in_parts), TEST(parts_belong_together), TEST(no_file_is_written_over), TEST(parts_come_by_name),
	};

	return cmocka_run_group_tests_name("seal", tests, setup, teardown);
}
