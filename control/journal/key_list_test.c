/* Rotations of the checkpoint keys, seen by an auditor who has one of the keys: what it connects with the others, and what it does not. */
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
#include "control/journal/key_list.h"
#include "control/journal/tiles.h"
#include "control/journal/verify.h"

#define HOUR_US (3600ull * 1000000)

static char dir[128];
static struct fixture_signer signer, other[3];
static struct checkpoint_keys first, second, third, stranger;
static struct journal *j;
static uint64_t now_us;

static void publish(void)
{
	struct journal_signer s = fixture_signer_journal(&signer);

	assert_true(journal_publish_flush(j, &s, now_us, 1000));
}

static void fill(unsigned count)
{
	assert_true(fixture_fill(j, count, 50, now_us));
	publish();
}

/* The record of a step, in the place of one of the fixture's, and its file beside the journal. Its index. */
static uint64_t say(enum key_step step, const struct checkpoint_keys *old, const struct checkpoint_keys *new)
{
	const struct key_change c = { .step = step, .old = *old, .new = *new, .until_s = 1900000000 };
	uint8_t text[4096];
	struct writer w = writer_of(text, sizeof text);
	struct jcs out = jcs_of(&w);
	char name[64], session[33];
	struct journal_state st;
	uint64_t index;

	journal_state(j, &st);
	snprintf(session, sizeof session, "%032llx", (unsigned long long)(st.size / 50));
	jcs_open(&out);
	jcs_key(&out, "data");
	jcs_open(&out);
	key_change_write(&out, &c, "a test");
	jcs_close(&out);
	jcs_put_uint(&out, "n", st.size % 50);
	jcs_put_str(&out, "sess", session);
	jcs_put_str(&out, "t", "key.rotate");
	jcs_close(&out);
	assert_int_equal(journal_append_vital(j, jcs_done(&out), &index), JOURNAL_OK);
	assert_int_equal(journal_commit(j, now_us), JOURNAL_OK);
	snprintf(name, sizeof name, "trust/" KEY_CHANGE_FILE, (unsigned long long)index);
	assert_int_equal(tiles_write_file(dir, name, jcs_done(&out)), 0);
	return index;
}

/* From the keys in force over both to those of `to`. The size of the handover. */
static uint64_t rotate(struct fixture_signer *to)
{
	struct checkpoint_keys old = signer.keys, new = to->keys;
	uint64_t size;

	say(KEY_STEP_BEGIN, &old, &new);
	publish();
	signer.also = to;
	fill(10);
	size = signer.size;
	fill(30);
	say(KEY_STEP_END, &old, &new);
	publish();
	fixture_signer_hand_over(&signer);
	return size;
}

static int setup(void **state)
{
	struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN, .segment_bytes = 64 << 20, .segment_us = HOUR_US };
	char err[JOURNAL_ERROR_BYTES];

	fixture_dir(dir);
	now_us = FIXTURE_TIME;
	fixture_signer_init(&signer);
	for (unsigned i = 0; i < 3; i++)
		fixture_signer_init(&other[i]);
	first = signer.keys;
	second = other[0].keys;
	third = other[1].keys;
	stranger = other[2].keys;
	j = journal_open(&config, now_us, err);
	assert_non_null(j);
	fill(300);
	return 0;
}

static int teardown(void **state)
{
	journal_close(j);
	fixture_signer_free(&signer);
	for (unsigned i = 0; i < 3; i++)
		fixture_signer_free(&other[i]);
	fixture_remove(dir);
	return 0;
}

static char last_finding[200];

static void keep(void *ctx, const struct verify_finding *f)
{
	snprintf(last_finding, sizeof last_finding, "%s", f->what);
}

/* Whether an auditor with this key finds nothing; in `*keys` how many generations it leads to. */
static bool audit(const struct checkpoint_keys *key, unsigned *keys)
{
	const struct verify_options o = { .dir = dir, .keys = key, .found = keep };
	struct verify_summary s;
	bool good;

	last_finding[0] = 0;
	good = verify_journal(&o, &s);
	*keys = s.keys;
	return good;
}

static void assert_audit(const struct checkpoint_keys *key, unsigned keys)
{
	unsigned found;

	if (!audit(key, &found))
		fail_msg("%s", last_finding);
	assert_int_equal(found, keys);
}

static void assert_no_audit(const struct checkpoint_keys *key)
{
	unsigned found;

	assert_false(audit(key, &found));
}

static struct key_list load(const struct checkpoint_keys *known)
{
	char err[ARCHIVE_ERROR_BYTES];
	struct archive *a = archive_open(dir, err);
	struct key_list list;

	assert_non_null(a);
	assert_null(key_list_load(a, known, &list));
	archive_close(a);
	return list;
}

/* --- tests ------------------------------------------------------------------------------------------------------------ */

static void journal_without_a_rotation_is_read_as_before(void **state)
{
	struct checkpoint_keys vkey_only = first;

	vkey_only.has_p256 = false;
	assert_audit(&first, 1);
	assert_audit(&vkey_only, 1);
	assert_no_audit(&second);
}

static void either_key_verifies_all_of_it(void **state)
{
	struct checkpoint_keys vkey_only = second;
	uint64_t handover = rotate(&other[0]);
	struct key_list list;

	fill(100);
	assert_audit(&first, 2);
	assert_audit(&second, 2);
	vkey_only.has_p256 = false;
	assert_audit(&vkey_only, 2);
	assert_no_audit(&stranger);
	list = load(&first);
	assert_int_equal(list.generation[1].from, handover);
	assert_int_not_equal(list.generation[0].end, UINT64_MAX);
	assert_memory_equal(key_list_at(&list, handover - 1)->keys.ed25519, first.ed25519, 32);
	assert_memory_equal(key_list_at(&list, handover)->keys.ed25519, second.ed25519, 32);
}

static void in_the_overlap_too(void **state)
{
	say(KEY_STEP_BEGIN, &first, &second);
	publish();
	/* Named, and nothing signed by both so far: only the old key counts. */
	assert_audit(&first, 1);
	assert_no_audit(&second);
	signer.also = &other[0];
	fill(10);
	assert_audit(&first, 2);
	assert_audit(&second, 2);
}

static void two_rotations_connect_three_keys(void **state)
{
	rotate(&other[0]);
	fill(100);
	rotate(&other[1]);
	fill(100);
	assert_audit(&first, 3);
	assert_audit(&second, 3);
	assert_audit(&third, 3);
	assert_no_audit(&stranger);
}

static void rotation_that_failed_connects_nothing(void **state)
{
	say(KEY_STEP_BEGIN, &first, &second);
	publish();
	say(KEY_STEP_FAILED, &first, &second);
	fill(100);
	assert_audit(&first, 1);
	assert_no_audit(&second);
	rotate(&other[1]);
	fill(100);
	assert_audit(&first, 2);
	assert_audit(&third, 2);
	assert_no_audit(&second);
}

/* Whoever stole the old key before it was destroyed cannot go on with the log, whichever key the auditor has. */
static void old_key_alone_signs_nothing_after_the_handover(void **state)
{
	rotate(&other[0]);
	fill(100);
	signer.also = &other[0];
	fixture_signer_hand_over(&signer); /* the old ones again, alone */
	fill(100);
	assert_no_audit(&first);
	assert_non_null(strstr(last_finding, "known key"));
	assert_no_audit(&second);
}

/* A record that names another's key proves nothing: that one never signed this tree. */
static void record_alone_connects_nothing(void **state)
{
	say(KEY_STEP_BEGIN, &first, &stranger);
	fill(100);
	say(KEY_STEP_END, &first, &stranger);
	fill(100);
	assert_audit(&first, 1);
	assert_no_audit(&stranger);
}

/* Nor does a signature without a record. */
static void second_signature_alone_connects_nothing(void **state)
{
	signer.also = &other[0];
	fill(100);
	fixture_signer_hand_over(&signer);
	fill(100);
	assert_no_audit(&first);
	assert_no_audit(&second);
}

static void lost_files_are_made_up_for_by_the_records(void **state)
{
	char command[200];

	rotate(&other[0]);
	fill(100);
	snprintf(command, sizeof command, "rm -r %s/trust", dir);
	assert_int_equal(system(command), 0);
	assert_audit(&first, 2);
	assert_audit(&second, 2);
}

static void changed_files_are_found(void **state)
{
	static const char *const how[] = {
		"f=$(ls %s/trust/key-* | head -n 1); sed -i s/2030/2031/ $f; sed -i 's/a test/A test/' $f", /* another text */
		"f=$(ls %s/trust/key-* | head -n 1); mv $f $(dirname $f)/key-00000000000000000007.json",      /* another number */
		"echo > %s/trust/key-00000000000000000007.json",
	};

	rotate(&other[0]);
	fill(10);
	for (unsigned i = 0; i < 3; i++) {
		char saved[160], trust[160], command[400];

		snprintf(saved, sizeof saved, "%s/saved", dir);
		snprintf(trust, sizeof trust, "%s/trust", dir);
		fixture_copy(trust, saved);
		snprintf(command, sizeof command, how[i], dir);
		assert_int_equal(system(command), 0);
		assert_no_audit(&first);
		fixture_remove(trust);
		assert_int_equal(rename(saved, trust), 0);
		assert_audit(&first, 2);
	}
}

/* The segment of the rotation is gone; its record is beside, and its hash in the tree. */
static void pruned_rotations_are_known(void **state)
{
	struct journal_prune p;
	struct journal_state st;
	char text[300];
	uint64_t index;

	rotate(&other[0]);
	now_us += 2 * HOUR_US;
	fill(600);
	now_us += 2 * HOUR_US;
	fill(300);
	assert_true(journal_prune_candidate(j, now_us, &p));
	assert_true(p.end > 350);
	journal_state(j, &st);
	snprintf(text, sizeof text, "{\"data\":{\"end\":%llu,\"first\":%llu},\"n\":%llu,\"sess\":\"%032llx\",\"t\":\"journal.prune\"}",
		 (unsigned long long)p.end, (unsigned long long)p.first, (unsigned long long)(st.size % 50), (unsigned long long)(st.size / 50));
	assert_int_equal(journal_append_vital(j, bytes_str(text), &index), JOURNAL_OK);
	assert_int_equal(journal_commit(j, now_us), JOURNAL_OK);
	assert_null(journal_prune(j, &p));
	fill(50);
	assert_audit(&first, 2);
	assert_audit(&second, 2);
	assert_no_audit(&stranger);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(journal_without_a_rotation_is_read_as_before), CASE(either_key_verifies_all_of_it), CASE(in_the_overlap_too),
		CASE(two_rotations_connect_three_keys), CASE(rotation_that_failed_connects_nothing), CASE(old_key_alone_signs_nothing_after_the_handover),
		CASE(record_alone_connects_nothing), CASE(second_signature_alone_connects_nothing), CASE(lost_files_are_made_up_for_by_the_records),
		CASE(changed_files_are_found), CASE(pruned_rotations_are_known),
	};

	return cmocka_run_group_tests_name("journal_key_list", tests, NULL, NULL);
}
