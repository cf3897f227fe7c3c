/* export_keys_test.c: bundles of a journal whose keys were rotated twice, checked by openssl and sha256sum alone, as they are and changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/export/bundle_kit.h"
#include "control/journal/key_list.h"
#include "control/journal/tiles.h"

static struct bundle_kit k;
static struct fixture_signer other[2];
static struct checkpoint_keys first, second, third;

static void fill(struct journal *j, unsigned count)
{
	assert_true(fixture_grow(j, &k.signer, count));
}

static void say(struct journal *j, enum key_step step, const struct checkpoint_keys *old, const struct checkpoint_keys *new)
{
	const struct key_change c = { .step = step, .old = *old, .new = *new };
	uint8_t text[4096];
	struct writer w = writer_of(text, sizeof text);
	struct jcs out = jcs_of(&w);
	uint64_t index;
	char name[64];

	jcs_open(&out);
	jcs_key(&out, "data");
	jcs_open(&out);
	key_change_write(&out, &c, "a test");
	jcs_close(&out);
	jcs_put_str(&out, "t", "key.rotate");
	jcs_put_str(&out, "ts", "2026-11-20T10:00:00.000000Z");
	jcs_close(&out);
	assert_int_equal(journal_append_vital(j, jcs_done(&out), &index), JOURNAL_OK);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	snprintf(name, sizeof name, "trust/" KEY_CHANGE_FILE, (unsigned long long)index);
	assert_int_equal(tiles_write_file(k.journal_dir, name, jcs_done(&out)), 0);
}

static void rotate(struct journal *j, struct fixture_signer *to)
{
	struct checkpoint_keys old = k.signer.keys, new = to->keys;

	say(j, KEY_STEP_BEGIN, &old, &new);
	fill(j, 3);
	k.signer.also = to;
	fill(j, 10);
	say(j, KEY_STEP_END, &old, &new);
	fill(j, 1);
	fixture_signer_hand_over(&k.signer);
	fill(j, 60);
}

static int build(void **state)
{
	struct journal *j;

	if (!bundle_kit_make(&k))
		return -1;
	fixture_signer_init(&other[0]);
	fixture_signer_init(&other[1]);
	first = k.signer.keys;
	second = other[0].keys;
	third = other[1].keys;
	j = bundle_kit_open(&k);
	fill(j, 20);
	rotate(j, &other[0]);
	rotate(j, &other[1]);
	bundle_kit_close(&k, j);
	return 0;
}

static int clean_up(void **state)
{
	bundle_kit_free(&k);
	fixture_signer_free(&other[0]);
	fixture_signer_free(&other[1]);
	return 0;
}

static bool export_under(const struct checkpoint_keys *keys)
{
	struct export_request request = { .filter = { .from = 5, .to = 7 }, .out = k.out, .keys = keys };
	char err[EXPORT_ERROR_BYTES];
	struct export_result r;
	bool good;

	fixture_remove(k.out);
	good = export_bundle(k.archive, &request, &r, err);
	if (!good)
		print_message("%s\n", err);
	return good;
}

/* Makes ../steps of the blocks that keys need: checkpoint, functions, keys. */
#define KEY_STEPS_SH "{ echo 'set -eu; WORK=$(mktemp -d); trap \"rm -rf $WORK\" EXIT'; awk '/^```sh$/{n++; on=1; next} /^```$/{on=0} on && (n==2 || n==9 || n==12)' VERIFY.md; } > ../steps"

static void bundle_shows_how_each_key_handed_over(void **state)
{
	char vkey[CHECKPOINT_KEY_TEXT_BYTES];
	struct writer w = writer_of(vkey, sizeof vkey - 1);

	assert_true(export_under(&third));
	assert_int_equal(bundle_kit_run(k.dir, "cd out && sh verify.sh 1 > ../said && grep -q '10. keys: 2 rotations' ../said && grep -q 'all checks passed' ../said"), 0);
	assert_true(checkpoint_vkey_write(&first, &w));
	vkey[w.len] = 0;
	assert_int_equal(bundle_kit_run(k.dir, "grep -qF 'key 0: %s signs from 0 records on, since -, until 2026-11-20T10:00:00.000000Z' said && [ $(wc -l < out/trust/keys/list) = 3 ]", vkey), 0);
	/* Whichever of the keys the exporter knows. */
	assert_true(export_under(&first));
	assert_true(export_under(&second));
	assert_int_equal(bundle_kit_run(k.dir, "cd out && %s && sh ../steps", KEY_STEPS_SH), 0);
}

static void stranger_makes_no_bundle(void **state)
{
	struct fixture_signer stranger;

	fixture_signer_init(&stranger);
	assert_false(export_under(&stranger.keys));
	fixture_signer_free(&stranger);
}

/* Each change is made in a copy; were there a manifest that fits, and signatures. */
static void changed_keys_fail(void **state)
{
	static const char *const changes[] = {
		"cp trust/keys/0-ed25519.pem trust/log-ed25519.pem",                           /* the first key as the one in force */
		"cp trust/keys/1-ed25519.pem trust/keys/0-ed25519.pem",                        /* another first key */
		"openssl genpkey -algorithm ed25519 | openssl pkey -pubout > trust/keys/0-ed25519.pem",
		"cp trust/keys/0-p256.pem trust/keys/1-p256.pem",
		"sed -i 1d trust/keys/list",                                                   /* as if the second had been the first */
		"sed -i 2d trust/keys/list",                                                   /* one left out */
		"sed -i -E '2s/^([^ ]+ [^ ]+ [^ ]+) [0-9]+ /\\1 30 /' trust/keys/list",           /* another size */
		"cp trust/keys/2-entry.json trust/keys/1-entry.json",
		"sed -i 's/a test/A test/' trust/keys/1-entry.json",
		"cp trust/keys/2.tlog-proof trust/keys/1.tlog-proof",
		"cp trust/keys/2-checkpoint trust/keys/1-checkpoint",
		"sed -i '5,6d' trust/keys/1-checkpoint",                                       /* without the old key's signatures */
		"sed -i '7,8d' trust/keys/1-checkpoint",                                       /* and without the new one's */
		": > trust/keys/1-checkpoint.consistency",
		"cp proofs/entry-5.json trust/keys/1-entry.json && cp proofs/5.tlog-proof trust/keys/1.tlog-proof", /* a record of something else */
	};

	assert_true(export_under(&third));
	assert_int_equal(bundle_kit_run(k.dir, "cd out && %s && sh ../steps > ../said && grep -q '^10. keys: 2 rotations' ../said", KEY_STEPS_SH), 0);
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		assert_int_equal(bundle_kit_run(k.dir, "rm -rf copy && cp -r out copy && cd copy && { %s; }", changes[i]), 0);
		assert_int_equal(bundle_kit_run(k.dir, "! diff -qr out copy"), 0);
		if (bundle_kit_run(k.dir, "cd copy && sh ../steps") == 0)
			fail_msg("not seen: %s", changes[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bundle_shows_how_each_key_handed_over), cmocka_unit_test(stranger_makes_no_bundle), cmocka_unit_test(changed_keys_fail),
	};

	return cmocka_run_group_tests_name("export_keys", tests, build, clean_up);
}
