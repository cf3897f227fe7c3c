/* Checkpoints that somebody kept, against journals that went on, were cut back, or are another history under the same keys.
 *
 *	records   0        100         300         700      720
 *	history   x---------x-----------x-----------x - - -  x    the journal that all is measured by; [700, 720) has no checkpoint in `short`
 *	other     x---------x===========x                         the same keys, other records from 100 on
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/journal/extends.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/verify.h"

enum tree { HISTORY, SHORT, OTHER, OTHER_TAIL, FOREIGN, TREES };
enum note { AT_100, AT_300, AT_700, AT_720, OTHER_300, OTHER_720, FOREIGN_100, SIGNED_BY_NOBODY, NOTES };

static char dir[128], path[TREES][160];
static struct fixture_signer signer, foreign;
static uint8_t note_room[NOTES][CHECKPOINT_BYTES_MAX];
static struct bytes note[NOTES];

static void keep(struct journal *j, enum note which)
{
	struct bytes stored = journal_checkpoint_stored(j);

	memcpy(note_room[which], stored.base, stored.len);
	note[which] = bytes_of(note_room[which], stored.len);
}

/* Other bytes than the fixture's own record of that place would have. */
static void append_other(struct journal *j)
{
	struct journal_state st;
	uint64_t index;
	char text[128];

	journal_state(j, &st);
	snprintf(text, sizeof text, "{\"n\":%llu,\"other\":true,\"sess\":\"%032llx\",\"t\":\"cmd\"}", (unsigned long long)(st.size % 50), (unsigned long long)(st.size / 50));
	assert_int_equal(journal_append(j, bytes_str(text), &index), JOURNAL_OK);
}

/* On to `size` records and, unless `which` is NOTES, a checkpoint that is kept. */
static void grow(enum tree t, struct fixture_signer *by, uint64_t size, bool other, enum note which)
{
	struct journal_config config = { .dir = path[t], .origin = FIXTURE_ORIGIN };
	struct journal_signer s = fixture_signer_journal(by);
	struct journal_state st;
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);

	assert_non_null(j);
	if (other)
		append_other(j);
	journal_state(j, &st);
	assert_true(fixture_fill(j, size - st.size - st.pending, 50, FIXTURE_TIME));
	if (which != NOTES) {
		assert_true(journal_publish_flush(j, &s, FIXTURE_TIME, 1000));
		keep(j, which);
	}
	journal_close(j);
}

/* A signer that forgot: it signs another history from where `then` was. */
static void forget(uint64_t size, const struct merkle_hash *root)
{
	signer.size = size;
	signer.root = *root;
}

static int build(void **state)
{
	static const char *const names[TREES] = { "history", "short", "other", "other-tail", "foreign" };
	struct merkle_hash at_100, at_700;

	fixture_dir(dir);
	fixture_signer_init(&signer);
	fixture_signer_init(&foreign);
	for (unsigned i = 0; i < TREES; i++)
		snprintf(path[i], sizeof path[i], "%s/%s", dir, names[i]);
	grow(HISTORY, &signer, 100, false, AT_100);
	at_100 = signer.root;
	fixture_copy(path[HISTORY], path[OTHER]);
	grow(HISTORY, &signer, 300, false, AT_300);
	grow(HISTORY, &signer, 700, false, AT_700);
	at_700 = signer.root;
	fixture_copy(path[HISTORY], path[OTHER_TAIL]);
	grow(HISTORY, &signer, 720, false, NOTES);
	fixture_copy(path[HISTORY], path[SHORT]);
	grow(HISTORY, &signer, 720, false, AT_720);
	forget(700, &at_700);
	grow(OTHER_TAIL, &signer, 720, true, OTHER_720);
	forget(100, &at_100);
	grow(OTHER, &signer, 300, true, OTHER_300);
	grow(FOREIGN, &foreign, 100, false, FOREIGN_100);
	memcpy(note_room[SIGNED_BY_NOBODY], note[AT_300].base, note[AT_300].len);
	note[SIGNED_BY_NOBODY] = bytes_of(note_room[SIGNED_BY_NOBODY], note[AT_300].len);
	*strstr((char *)note_room[SIGNED_BY_NOBODY], "300\n") = '2'; /* what was signed says 300 */
	return 0;
}

static int clean_up(void **state)
{
	fixture_remove(dir);
	fixture_signer_free(&signer);
	fixture_signer_free(&foreign);
	return 0;
}

static struct {
	enum verify_kind kind;
	uint64_t index, last;
	char what[300];
	unsigned count;
} first_found;

static void found(void *ctx, const struct verify_finding *f)
{
	if (first_found.count++)
		return;
	first_found.kind = f->kind;
	first_found.index = f->index;
	first_found.last = f->last;
	snprintf(first_found.what, sizeof first_found.what, "%s", f->what);
}

/* [index, last] is what the finding names; both VERIFY_NOWHERE: no range. `says` NULL: all is good. */
static const struct row {
	enum tree tree;
	enum note kept[3]; /* ends with NOTES */
	unsigned fit;
	const char *says;
	enum verify_kind kind;
	uint64_t index, last;
} rows[] = {
	{ HISTORY, { AT_100, NOTES }, 1, NULL, 0, 0, 0 },
	{ HISTORY, { AT_720, NOTES }, 1, NULL, 0, 0, 0 },
	{ HISTORY, { AT_700, AT_300, NOTES }, 2, NULL, 0, 0, 0 },
	{ HISTORY, { OTHER_300, NOTES }, 0, "a fork: yours, of 300 records", VERIFY_FORK, 0, 299 },
	{ HISTORY, { OTHER_300, AT_100, NOTES }, 1, "differ between records 100 and 299", VERIFY_FORK, 100, 299 },
	{ OTHER, { AT_100, NOTES }, 1, NULL, 0, 0, 0 },
	{ OTHER, { AT_300, NOTES }, 0, "a fork", VERIFY_FORK, 0, 299 },
	{ OTHER, { AT_700, NOTES }, 0, "records 300 to 699 are missing", VERIFY_ORDER, 300, 699 },
	{ SHORT, { AT_720, NOTES }, 0, "it was removed here", VERIFY_CHECKPOINT, VERIFY_NOWHERE, VERIFY_NOWHERE },
	{ SHORT, { OTHER_720, NOTES }, 0, "do not lead to yours", VERIFY_FORK, 0, 719 },
	{ SHORT, { OTHER_720, AT_700, NOTES }, 1, "records 700 to 719 do not lead to yours", VERIFY_FORK, 700, 719 },
	{ HISTORY, { FOREIGN_100, NOTES }, 0, "yours is", VERIFY_CHECKPOINT, VERIFY_NOWHERE, VERIFY_NOWHERE },
	{ HISTORY, { SIGNED_BY_NOBODY, NOTES }, 0, "yours is", VERIFY_CHECKPOINT, VERIFY_NOWHERE, VERIFY_NOWHERE },
};

static void kept_checkpoints_are_compared(void **state)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		struct verify_kept_note kept[VERIFY_KEPT_MAX];
		struct verify_options options = { .dir = path[row->tree], .keys = &signer.keys, .kept = kept, .found = found };
		struct verify_summary s;
		bool good;

		for (; row->kept[options.kept_count] != NOTES; options.kept_count++)
			kept[options.kept_count] = (struct verify_kept_note){ "yours", note[row->kept[options.kept_count]] };
		first_found.count = 0;
		good = verify_journal(&options, &s);
		print_message("# row %zu: %s\n", i, first_found.count ? first_found.what : "good");
		assert_int_equal(s.kept, row->fit);
		assert_int_equal(good, row->says == NULL);
		assert_int_equal(first_found.count, row->says != NULL);
		if (!row->says)
			continue;
		assert_non_null(strstr(first_found.what, row->says));
		assert_int_equal(first_found.kind, row->kind);
		assert_true(first_found.index == row->index && first_found.last == row->last);
	}
}

/* Every cut of a note is no note: nothing of it is compared. */
static void a_cut_checkpoint_is_refused(void **state)
{
	struct checkpoint c;

	for (size_t len = 0; len < note[AT_300].len; len++) {
		struct verify_kept_note kept = { "yours", bytes_of(note[AT_300].base, len) };
		struct verify_options options = { .dir = path[HISTORY], .keys = &signer.keys, .kept = &kept, .kept_count = 1 };
		struct verify_summary s;

		/* At the end of a signature's line the first signature alone is a note. */
		if (len % 16 && checkpoint_parse(kept.note, true, &c, NULL) != NULL)
			continue;
		assert_int_equal(verify_journal(&options, &s), checkpoint_verify(kept.note, &signer.keys, &c) == NULL);
	}
}

/* The proof of what extends is one that RFC 9162's algorithm accepts; where the stored hashes lead nowhere there is none. */
static void extending_is_proven(void **state)
{
	char err[ARCHIVE_ERROR_BYTES];
	struct archive *a = archive_open(path[HISTORY], err);
	struct checkpoint old, new, wrong;
	struct merkle_proof proof;

	assert_non_null(a);
	assert_null(checkpoint_parse(note[AT_100], true, &old, NULL));
	assert_null(checkpoint_parse(note[AT_720], true, &new, NULL));
	assert_int_equal(archive_extends(a, &old, &new, &proof), EXTENDS_YES);
	assert_true(proof.count > 0 && merkle_check_consistency(100, &old.root, 720, &new.root, &proof));
	wrong = new;
	wrong.root.b[3] ^= 1;
	assert_int_equal(archive_extends(a, &old, &wrong, &proof), EXTENDS_UNKNOWN);
	assert_int_equal(proof.count, 0);
	assert_int_equal(archive_extends(a, &new, &old, &proof), EXTENDS_UNKNOWN);
	assert_null(checkpoint_parse(note[OTHER_300], true, &old, NULL));
	assert_int_equal(archive_extends(a, &old, &new, &proof), EXTENDS_FORK);
	archive_close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(kept_checkpoints_are_compared), cmocka_unit_test(a_cut_checkpoint_is_refused), cmocka_unit_test(extending_is_proven) };

	return cmocka_run_group_tests_name("kept", tests, build, clean_up);
}
