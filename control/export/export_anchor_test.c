/* export_anchor_test.c: bundles of a journal that an authority stamped and two witnesses cosigned, checked by openssl and sha256sum alone, as they are and changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/anchor/anchor_test_kit.h"
#include "control/anchor/witness_policy.h"
#include "control/export/bundle_kit.h"
#include "control/journal/tiles.h"

static struct bundle_kit k;
static struct anchor_kit_witness w1, w2;

static void authority(void)
{
	assert_int_equal(bundle_kit_run(k.dir, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.pem && "
			       "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=tsa -keyout tsa.key -out tsa.csr && "
			       "echo extendedKeyUsage=critical,timeStamping > ext && "
			       "openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out tsa.pem"), 0);
	assert_int_equal(bundle_kit_run(k.dir, "printf '[tsa]\\ndefault_tsa=t\\n[t]\\nserial=%s/serial\\nsigner_cert=%s/tsa.pem\\nsigner_key=%s/tsa.key\\nsigner_digest=sha256\\n"
			       "default_policy=1.2.3.4.1\\ndigests=sha256\\naccuracy=secs:1\\n' > cnf && echo 01 > serial && mkdir -p journal/trust && "
			       "cp ca.pem journal/trust/tsa-00000000.crt", k.dir, k.dir, k.dir), 0);
}

static void stamp(struct journal *j, uint64_t size)
{
	static uint8_t token[TIMESTAMP_ANSWER_BYTES];
	char path[200];
	size_t len;
	FILE *f;

	assert_int_equal(tiles_write_file(k.dir, "note", journal_checkpoint_stored(j)), 0);
	assert_int_equal(bundle_kit_run(k.dir, "openssl ts -query -data note -sha256 -cert -out q && openssl ts -reply -config cnf -queryfile q -out r"), 0);
	snprintf(path, sizeof path, "%s/r", k.dir);
	f = fopen(path, "re");
	assert_non_null(f);
	len = fread(token, 1, sizeof token, f);
	fclose(f);
	assert_true(journal_anchor(j, ARCHIVE_TOKEN, size, bytes_of(token, len)));
}

static void cosign(struct journal *j, uint64_t size, const struct anchor_kit_witness *w)
{
	char room[COSIGNATURE_LINE_BYTES];

	assert_true(journal_anchor(j, ARCHIVE_COSIGNATURE, size, anchor_kit_cosign(w, journal_checkpoint_stored(j), 1760000000 + size, room)));
}

/* Both keys, and a policy that wants both, beside the journal. */
static void witnesses(void)
{
	const struct witness_policy_witness both[] = { { &w1.public, "" }, { &w2.public, "https://w2.example/" } };
	char text[4096];
	struct writer w = writer_of(text, sizeof text);

	assert_true(witness_policy_write_log(&k.signer.keys, &w));
	assert_true(witness_policy_write_quorum(both, 2, 2, &w));
	assert_int_equal(tiles_write_file(k.journal_dir, "trust/" WITNESS_POLICY_FILE, writer_done(&w)), 0);
	for (unsigned i = 0; i < 2; i++) {
		char name[40];

		w = writer_of(text, sizeof text);
		snprintf(name, sizeof name, "trust/witness-%u.vkey", i);
		assert_true(witness_key_write(both[i].key, &w));
		writer_u8(&w, '\n');
		assert_int_equal(tiles_write_file(k.journal_dir, name, writer_done(&w)), 0);
	}
}

static void grow(struct journal *j, unsigned records)
{
	assert_true(fixture_grow(j, &k.signer, records));
}

/* Tree sizes:  100  256  300  450  512  700
 * stamped       x    x         x    x
*/
static int build(void **state)
{
	static const unsigned sizes[] = { 100, 256, 300, 450, 512, 700 };
	struct journal *j;
	unsigned size = 0;

	if (!bundle_kit_make(&k))
		return -1;
	w1 = anchor_kit_witness("w1.example");
	w2 = anchor_kit_witness("w2.example");
	j = bundle_kit_open(&k);
	authority();
	for (unsigned i = 0; i < 6; i++) {
		grow(j, sizes[i] - size);
		size = sizes[i];
		if (size != 300 && size != 700)
			stamp(j, size);
	}
	bundle_kit_close(&k, j);
	return 0;
}

static int clean_up(void **state)
{
	bundle_kit_free(&k);
	EVP_PKEY_free(w1.key);
	EVP_PKEY_free(w2.key);
	return 0;
}

static void export_range(uint64_t from, uint64_t to)
{
	struct export_request request = { .filter = { .from = from, .to = to }, .out = k.out, .keys = &k.signer.keys };
	char err[EXPORT_ERROR_BYTES];
	struct export_result r;

	fixture_remove(k.out);
	if (!export_bundle(k.archive, &request, &r, err))
		fail_msg("%s", err);
}

/* Runs the blocks of VERIFY.md that anchors need, checkpoint, functions, anchors, quorum: were there a manifest that fits, and signatures. */
#define ANCHOR_STEPS "{ echo 'set -eu; WORK=$(mktemp -d); trap \"rm -rf $WORK\" EXIT'; awk '/^```sh$/{n++; on=1; next} /^```$/{on=0} on && (n==2 || n>=9 && n<=11)' VERIFY.md; } " \
	"> ../steps && sh ../steps 1"

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
		if (bundle_kit_run(k.dir, "[ \"$(ls out/checkpoints | grep -x '[0-9]*' | sort -n | tr '\\n' ' ')\" = '%s ' ]", rows[i].checkpoints) != 0)
			fail_msg("%s", rows[i].checkpoints);
		assert_int_equal(bundle_kit_run(k.dir, "cd out && { %s; } > ../said && grep -c '^9. time stamp.*OK' ../said && [ $(grep -c '^9. time stamp.*OK' ../said) = $(ls checkpoints/*.tsr | wc -l) ]", i ? ANCHOR_STEPS : "sh verify.sh 1"), 0);
	}
}

/* Each change is made in a copy, to the first of its checkpoints, of 100 records, so that no other is checked before it. */
static void changed_anchors_fail(void **state)
{
	static const char *const changes[] = {
		"printf x >> checkpoints/100",
		"sed -i 's/^100$/101/' checkpoints/100",
		"cp checkpoints/256 checkpoints/100",
		"cp checkpoints/256.tsr checkpoints/100.tsr",
		"head -c -1 checkpoints/100.tsr > t && mv t checkpoints/100.tsr",
		"cp ../ca.key checkpoints/100.tsr",
		"cp checkpoints/256.consistency checkpoints/100.consistency",
		": > checkpoints/100.consistency",
		"sed -i 2d checkpoints/100.consistency",
		"openssl req -x509 -newkey ed25519 -nodes -subj /CN=ca -keyout /dev/null -out trust/tsa-00000000.crt",
		"rm trust/tsa-00000000.crt",
		/* A tree head of somebody else's log, stamped by the same authority. */
		"printf 'other\\n100\\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\\n\\n' > checkpoints/100 && openssl ts -query -data checkpoints/100 -sha256 -cert -out ../q2 && "
		"openssl ts -reply -config ../cnf -queryfile ../q2 -out checkpoints/100.tsr",
		/* Our own name, another root. */
		"{ sed -n 1,2p checkpoints/100; echo CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=; sed 1,3d checkpoints/100; } > t && mv t checkpoints/100 && "
		"openssl ts -query -data checkpoints/100 -sha256 -cert -out ../q2 && openssl ts -reply -config ../cnf -queryfile ../q2 -out checkpoints/100.tsr",
	};

	export_range(110, 112);
	assert_int_equal(bundle_kit_run(k.dir, "cd out && %s > ../said && grep -c '^9. time stamp.*: OK' ../said", ANCHOR_STEPS), 0);
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		assert_int_equal(bundle_kit_run(k.dir, "rm -rf copy && cp -r out copy && cd copy && { %s; }", changes[i]), 0);
		assert_int_equal(bundle_kit_run(k.dir, "! diff -qr out copy"), 0);
		if (bundle_kit_run(k.dir, "cd copy && sh ../steps 1") == 0)
			fail_msg("not seen: %s", changes[i]);
	}
}

/* Whoever has the log's key signs another root for as many records, and has it stamped: the proof leads from the one that there was to the newest, and
 * not from this one. 256 is a power of two, where the proof begins with the older root itself. */
static void a_forged_older_root_is_not_of_this_tree(void **state)
{
	static const unsigned sizes[] = { 100, 256 };

	export_range(110, 112);
	for (unsigned i = 0; i < 2; i++) {
		const struct checkpoint forged = { .origin = FIXTURE_ORIGIN, .size = sizes[i], .root = merkle_leaf(bytes_str("forged")) };
		static uint8_t note[CHECKPOINT_BYTES_MAX];
		struct writer w = writer_of(note, sizeof note);
		struct fixture_signer forger = k.signer;
		struct journal_signer s = fixture_signer_journal(&forger);
		struct merkle_proof none = { 0 };
		char name[80];
		const char *why;

		forger.size = 0;
		forger.root = merkle_empty();
		assert_true(checkpoint_body(&forged, &w));
		assert_true(s.ask(s.ctx, 0, &none, writer_done(&w)));
		writer_u8(&w, '\n');
		assert_int_equal(s.poll(s.ctx, &w, &why), JOURNAL_SIGNER_DONE);
		assert_int_equal(bundle_kit_run(k.dir, "rm -rf copy && cp -r out copy && rm copy/checkpoints/%u", sizes[i]), 0);
		snprintf(name, sizeof name, "copy/checkpoints/%u", sizes[i]);
		assert_int_equal(tiles_write_file(k.dir, name, writer_done(&w)), 0);
		assert_int_equal(bundle_kit_run(k.dir, "openssl ts -query -data %s -sha256 -cert -out q2 && openssl ts -reply -config cnf -queryfile q2 -out %s.tsr", name, name), 0);
		assert_int_equal(bundle_kit_run(k.dir, "cd out && sh consis.sh checkpoints/%u checkpoint checkpoints/%u.consistency", sizes[i], sizes[i]), 0);
		if (bundle_kit_run(k.dir, "cd copy && sh consis.sh checkpoints/%u checkpoint checkpoints/%u.consistency", sizes[i], sizes[i]) == 0)
			fail_msg("a forged root of %u records is not seen", sizes[i]);
	}
	assert_int_not_equal(bundle_kit_run(k.dir, "cd copy && { %s; } > ../said", ANCHOR_STEPS), 0);
	assert_int_equal(bundle_kit_run(k.dir, "grep -qx 'checkpoints/256 is not of this tree' said"), 0);
}

/* @L: the log's vkey; @1, @2: the witnesses'; @3: w1's key under another key name. */
static void policy_file(const char *pattern)
{
	char text[4096];
	struct writer w = writer_of(text, sizeof text);
	struct witness_key renamed = w1.public;

	snprintf(renamed.name, sizeof renamed.name, "w3.example");
	witness_key_id(&renamed);
	for (const char *at = pattern; *at; at++) {
		if (*at != '@')
			writer_u8(&w, (uint8_t)*at);
		else if (*++at == 'L')
			assert_true(checkpoint_vkey_write(&k.signer.keys, &w));
		else
			assert_true(witness_key_write(*at == '1' ? &w1.public : *at == '2' ? &w2.public : &renamed, &w));
	}
	assert_int_equal(tiles_write_file(k.dir, "policy", writer_done(&w)), 0);
}

#define BOTH "log @L\nwitness a @1\nwitness b @2 https://b.example/\n"

/* Tree sizes:  800  900  1000
 * w1             x    x
 * w2             x         x        behind the others, so that they take less. */
static void cosigned_too(void)
{
	struct journal *j = bundle_kit_open(&k);
	char err[JOURNAL_ERROR_BYTES];

	witnesses();
	for (unsigned size = 800; size <= 1000; size += 100) {
		grow(j, 100);
		if (size <= 900)
			cosign(j, size, &w1);
		if (size != 900)
			cosign(j, size, &w2);
	}
	journal_close(j);
	assert_true(archive_refresh(k.archive, err));
}

static void a_policy_is_judged_by_the_bundles_own_steps(void **state)
{
	static const struct {
		const char *policy, *change;
		const char *says; /* NULL: the check ends with an error */
	} rows[] = {
		{ BOTH "group g all a b\nquorum g\n", "", "the checkpoint of 800 records has it: OK" },
		{ "# mine\n\n" BOTH "\tgroup g any a b\ngroup h 1 g\n quorum\th \n", "", "the checkpoint of 1000 records has it: OK" },
		{ BOTH "quorum a\n", "", "the checkpoint of 800 records has it: OK" },
		{ BOTH "quorum none\n", "", "the policy asks for no witness" },
		{ "witness a @1\nwitness b @2\ngroup g 2 a b\nquorum g\n", "", "the checkpoint of 800 records has it: OK" },
		/* Who brings a policy wants its quorum. */
		{ BOTH "group g 2 a b\nquorum g\n", "sed -i /w2.example/d checkpoints/800.cosignatures", NULL },
		{ BOTH "group g 2 a b\nquorum g\n", "cat checkpoints/1000.cosignatures >> checkpoints/800.cosignatures", NULL }, /* of another checkpoint */
		{ "log other.example+dddddddd+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nwitness a @1\nquorum a\n", "", NULL }, /* of another log */
		{ "witness a @1\nwitness b @1\ngroup g 2 a b\nquorum g\n", "", NULL },
		{ "witness a @1\nwitness b @3\ngroup g 2 a b\nquorum g\n", "", NULL },
		{ BOTH "group g 1 a\ngroup h 2 a g\nquorum h\n", "", NULL }, /* one that counts twice */
		{ BOTH "group g 3 a b\nquorum g\n", "", NULL },
		{ BOTH "group g 0 a b\nquorum g\n", "", NULL },
		{ BOTH "group g 2 a b c\nquorum g\n", "", NULL },
		{ BOTH "quorum g\n", "", NULL },
		{ BOTH "quorum a\nquorum none\n", "", NULL },
		{ BOTH, "", NULL },
		{ BOTH "nonsense\nquorum a\n", "", NULL },
	};

	cosigned_too();
	export_range(720, 722);
	assert_int_equal(bundle_kit_run(k.dir, "[ \"$(ls out/checkpoints | grep -x '[0-9]*' | sort -n | tr '\\n' ' ')\" = '512 800 1000 ' ]"), 0);
	assert_int_equal(bundle_kit_run(k.dir, "rm -rf copy && cp -r out copy && cd copy && { %s; } > ../said && cp checkpoints/800.cosignatures .. && echo 'cp $WORK/seen9 ..' | cat ../steps - > ../steps2 && "
			       "sh ../steps2 1 && awk '/^```sh$/{n++; on=1; next} /^```$/{on=0} on && n==11' VERIFY.md > ../quorum", ANCHOR_STEPS), 0);
	assert_int_equal(bundle_kit_run(k.dir, "grep -qx '9. quorum: the checkpoint of 800 records has it: OK' said && grep -q 'witness w1.example saw the first 800 records' said"), 0);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		policy_file(rows[i].policy);
		/* What the steps before saw is the same while the bundle is. */
		if (rows[i].change[0])
			assert_int_equal(bundle_kit_run(k.dir, "cp 800.cosignatures copy/checkpoints && cd copy && { %s; }", rows[i].change), 0);
		if ((bundle_kit_run(k.dir, "cd copy && %s 1 ../policy > ../said", rows[i].change[0] ? "sh ../steps" : "WORK=.. sh -eu ../quorum") == 0) != !!rows[i].says)
			fail_msg("%s%s", rows[i].policy, rows[i].change);
		if (rows[i].says && bundle_kit_run(k.dir, "grep -qxF '9. quorum: %s' said", rows[i].says) != 0)
			fail_msg("%s%s", rows[i].policy, rows[i].change);
	}
	/* One that cosigned twice is one; and of the bundle's own policy it is only said. */
	assert_int_equal(bundle_kit_run(k.dir, "grep w1.example seen9 > t && cat t t > seen9 && cd copy && WORK=.. sh -eu ../quorum > ../said && grep -qx '9. quorum: none of these checkpoints has it' ../said"), 0);
}

static void a_token_that_is_for_other_bytes_gives_no_bundle(void **state)
{
	char err[EXPORT_ERROR_BYTES], out[200];
	struct export_request request = { .filter = { .to = 5 }, .out = out, .keys = &k.signer.keys };
	struct export_result r;
	struct journal *j = bundle_kit_open(&k);
	struct bytes token;
	uint8_t kept[TIMESTAMP_ANSWER_BYTES];

	assert_true(archive_anchor(k.archive, ARCHIVE_TOKEN, 100, 0, &token));
	memcpy(kept, token.base, token.len);
	assert_true(journal_anchor(j, ARCHIVE_TOKEN, 700, bytes_of(kept, token.len)));
	journal_close(j);
	assert_true(archive_refresh(k.archive, err));
	snprintf(out, sizeof out, "%s/none", k.dir);
	assert_false(export_bundle(k.archive, &request, &r, err));
	assert_non_null(strstr(err, "time stamp"));
	assert_int_not_equal(access(out, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bundles_carry_the_anchors_around_their_records), cmocka_unit_test(changed_anchors_fail),
		cmocka_unit_test(a_forged_older_root_is_not_of_this_tree), cmocka_unit_test(a_policy_is_judged_by_the_bundles_own_steps),
		cmocka_unit_test(a_token_that_is_for_other_bytes_gives_no_bundle),
	};

	return cmocka_run_group_tests_name("export_anchor", tests, build, clean_up);
}
