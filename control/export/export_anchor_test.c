/* export_anchor_test.c: bundles of an anchored journal, checked by openssl and sha256sum alone, as they are and changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/anchor/timestamp.h"
#include "control/export/export.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/tiles.h"

static char dir[128], journal_dir[180];
static struct fixture_signer signer;
static struct archive *archive;

/* A command in the test's directory; its status. */
__attribute__((format(printf, 1, 2))) static int shell(const char *format, ...)
{
	char text[2048], command[2400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	snprintf(command, sizeof command, "cd %s && { %s\n} >log 2>&1", dir, text);
	return system(command);
}

static void authority(void)
{
	assert_int_equal(shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.pem && "
			       "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=tsa -keyout tsa.key -out tsa.csr && "
			       "echo extendedKeyUsage=critical,timeStamping > ext && "
			       "openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out tsa.pem"), 0);
	assert_int_equal(shell("printf '[tsa]\\ndefault_tsa=t\\n[t]\\nserial=%s/serial\\nsigner_cert=%s/tsa.pem\\nsigner_key=%s/tsa.key\\nsigner_digest=sha256\\n"
			       "default_policy=1.2.3.4.1\\ndigests=sha256\\naccuracy=secs:1\\n' > cnf && echo 01 > serial && mkdir -p journal/trust && "
			       "cp ca.pem journal/trust/tsa-00000000.crt", dir, dir, dir), 0);
}

static void stamp(struct journal *j, uint64_t size)
{
	static uint8_t token[TIMESTAMP_ANSWER_BYTES];
	char path[200];
	size_t len;
	FILE *f;

	assert_int_equal(tiles_write_file(dir, "note", journal_checkpoint_stored(j)), 0);
	assert_int_equal(shell("openssl ts -query -data note -sha256 -cert -out q && openssl ts -reply -config cnf -queryfile q -out r"), 0);
	snprintf(path, sizeof path, "%s/r", dir);
	f = fopen(path, "re");
	assert_non_null(f);
	len = fread(token, 1, sizeof token, f);
	fclose(f);
	assert_true(journal_anchor(j, ARCHIVE_TOKEN, size, bytes_of(token, len)));
}

static void grow(struct journal *j, unsigned records)
{
	struct journal_signer s = fixture_signer_journal(&signer);

	assert_true(fixture_fill(j, records, 10, FIXTURE_TIME));
	assert_true(journal_publish_flush(j, &s, FIXTURE_TIME, 5000));
}

/* Tree sizes:  100  256  300  450  512  700
 * stamped       x    x         x    x          */
static int build(void **state)
{
	static const unsigned sizes[] = { 100, 256, 300, 450, 512, 700 };
	struct journal_config config = { .dir = journal_dir, .origin = FIXTURE_ORIGIN };
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j;
	unsigned size = 0;

	fixture_dir(dir);
	snprintf(journal_dir, sizeof journal_dir, "%s/journal", dir);
	fixture_signer_init(&signer);
	j = journal_open(&config, FIXTURE_TIME, err);
	if (!j)
		return -1;
	authority();
	for (unsigned i = 0; i < 6; i++) {
		grow(j, sizes[i] - size);
		size = sizes[i];
		if (size != 300 && size != 700)
			stamp(j, size);
	}
	journal_close(j);
	archive = archive_open(journal_dir, err);
	return archive ? 0 : -1;
}

static int clean_up(void **state)
{
	archive_close(archive);
	fixture_remove(dir);
	fixture_signer_free(&signer);
	return 0;
}

static void export_range(uint64_t from, uint64_t to)
{
	char out[200], err[EXPORT_ERROR_BYTES];
	struct export_request request = { .filter = { .from = from, .to = to }, .out = out, .keys = &signer.keys };
	struct export_result r;
	bool good;

	snprintf(out, sizeof out, "%s/out", dir);
	fixture_remove(out);
	good = export_bundle(archive, &request, &r, err);
	if (!good)
		print_error("%s\n", err);
	assert_true(good);
}

/* The blocks of VERIFY.md that anchors need: files, checkpoint, signatures, functions, anchors. */
#define ANCHOR_STEPS "awk '/^```sh$/{n++; on=1; next} /^```$/{on=0} on && (n<=3 || n==9 || n==10)' VERIFY.md > ../steps && sh ../steps 1"

static void bundles_carry_the_anchors_around_their_records(void **state)
{
	static const struct {
		uint64_t from, to;
		const char *checkpoints;
	} rows[] = {
		{ 110, 112, "100 256 512" }, /* before the first record, behind the last, the newest */
		{ 0, 2, "100 512" },
		{ 300, 302, "256 450 512" },
		{ 520, 522, "512" }, /* no stamp covers them yet */
		{ 449, 451, "256 512" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		export_range(rows[i].from, rows[i].to);
		if (shell("[ \"$(ls out/checkpoints | grep -x '[0-9]*' | sort -n | tr '\\n' ' ')\" = '%s ' ]", rows[i].checkpoints) != 0)
			fail_msg("%s", rows[i].checkpoints);
		assert_int_equal(shell("cd out && { %s; } > ../said && grep -c 'time stamp.*OK' ../said && [ $(grep -c 'time stamp.*OK' ../said) = $(ls checkpoints/*.tsr | wc -l) ]", i ? ANCHOR_STEPS : "sh verify.sh 1"), 0);
	}
}

/* Each change is made in a copy, whose manifest is then made to fit. */
static void changed_anchors_fail(void **state)
{
	static const char *const changes[] = {
		"printf x >> checkpoints/256",
		"sed -i 's/^256$/257/' checkpoints/256",
		"cp checkpoints/100 checkpoints/256",
		"cp checkpoints/100.tsr checkpoints/256.tsr",
		"head -c -1 checkpoints/256.tsr > t && mv t checkpoints/256.tsr",
		"cp ../ca.key checkpoints/256.tsr",
		"cp checkpoints/100.consistency checkpoints/256.consistency",
		": > checkpoints/100.consistency",
		"sed -i 2d checkpoints/100.consistency",
		"openssl req -x509 -newkey ed25519 -nodes -subj /CN=ca -keyout /dev/null -out trust/tsa-00000000.crt",
		"rm trust/tsa-00000000.crt",
		/* A tree head of somebody else's log, stamped by the same authority. */
		"printf 'other\\n256\\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\\n\\n' > checkpoints/256 && openssl ts -query -data checkpoints/256 -sha256 -cert -out ../q2 && "
		"openssl ts -reply -config ../cnf -queryfile ../q2 -out checkpoints/256.tsr",
		/* Our own name, another root. */
		"{ sed -n 1,2p checkpoints/256; echo CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=; sed 1,3d checkpoints/256; } > t && mv t checkpoints/256 && "
		"openssl ts -query -data checkpoints/256 -sha256 -cert -out ../q2 && openssl ts -reply -config ../cnf -queryfile ../q2 -out checkpoints/256.tsr",
	};

	export_range(110, 112);
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		static const char fit[] = "rm MANIFEST.sha256; find . -type f | sed 's,^./,,' | xargs -d '\\n' sha256sum > ../m && mv ../m MANIFEST.sha256";

		assert_int_equal(shell("rm -rf copy && cp -r out copy && cd copy && { %s; }", changes[i]), 0);
		assert_int_equal(shell("cd copy && %s", fit), 0);
		if (shell("cd copy && %s", ANCHOR_STEPS) == 0)
			fail_msg("not seen: %s", changes[i]);
	}
	assert_int_equal(shell("cd out && %s", ANCHOR_STEPS), 0);
}

static void a_token_that_is_for_other_bytes_gives_no_bundle(void **state)
{
	char err[EXPORT_ERROR_BYTES], out[200];
	struct journal_config config = { .dir = journal_dir, .origin = FIXTURE_ORIGIN };
	struct export_request request = { .filter = { .to = 5 }, .out = out, .keys = &signer.keys };
	struct export_result r;
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);
	struct bytes token;
	uint8_t kept[TIMESTAMP_ANSWER_BYTES];

	assert_non_null(j);
	assert_true(archive_anchor(archive, ARCHIVE_TOKEN, 100, 0, &token));
	memcpy(kept, token.base, token.len);
	assert_true(journal_anchor(j, ARCHIVE_TOKEN, 700, bytes_of(kept, token.len)));
	journal_close(j);
	assert_true(archive_refresh(archive, err));
	snprintf(out, sizeof out, "%s/none", dir);
	assert_false(export_bundle(archive, &request, &r, err));
	assert_non_null(strstr(err, "time stamp"));
	assert_int_not_equal(access(out, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bundles_carry_the_anchors_around_their_records), cmocka_unit_test(changed_anchors_fail),
		cmocka_unit_test(a_token_that_is_for_other_bytes_gives_no_bundle),
	};

	return cmocka_run_group_tests_name("export_anchor", tests, build, clean_up);
}
