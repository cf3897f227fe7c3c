/* A kept checkpoint is evidence that does not lie in the journal: whoever cut the journal back, or wrote its history anew with its keys, could not
 * change it. They are looked at from the smallest on, so that a fork is named by the records between the last that fits and the first that does not.
 */
#include "control/journal/verify_kept.h"

#include <string.h>

#include "control/journal/extends.h"
#include "control/journal/segment_view.h"

struct kept {
	const char *name;
	struct checkpoint c;
};

/* Of this log, and signed by the key that its size asks for. NULL, or what is wrong. */
static const char *note_wrong(struct archive *a, const struct key_list *keys, struct bytes note, struct checkpoint *c)
{
	const struct segment_view *newest = archive_newest(a);
	const char *wrong = keys ? key_list_verify(keys, note, c) : checkpoint_parse(note, true, c, NULL);

	if (!wrong && newest && strcmp(newest->origin, c->origin) != 0)
		wrong = "a checkpoint of another journal";
	return !wrong && c->size == 0 ? "a checkpoint of no records" : wrong;
}

static void put_sorted(struct kept *list, unsigned count, const struct kept *k)
{
	unsigned at = count;

	for (; at > 0 && list[at - 1].c.size > k->c.size; at--)
		list[at] = list[at - 1];
	list[at] = *k;
}

/* Newer than every checkpoint that the records lead to: only the records themselves can be asked. */
static bool is_present(struct archive *a, const struct checkpoint *c)
{
	struct merkle_source source = archive_source(a);
	struct merkle_hash have;

	return merkle_root_at(&source, c->size, &have) && merkle_equal(&have, &c->root);
}

/* `fits`: the size of the newest one so far that is the beginning of this journal. */
static void compare(struct verify_report *r, struct archive *a, const struct kept *k, uint64_t size, const struct checkpoint *newest, uint64_t *fits)
{
	struct verify_place place = verify_range(*fits, k->c.size - 1);
	struct merkle_proof proof;
	enum extends answer;

	if (k->c.size > size) {
		verify_found(r, VERIFY_ORDER, verify_range(size, k->c.size - 1), "records %llu to %llu are missing: %s is a signed checkpoint of %llu records", ULL(size),
			     ULL(k->c.size - 1), k->name, ULL(k->c.size));
		return;
	}
	if (k->c.size > newest->size) {
		if (is_present(a, &k->c))
			verify_found(r, VERIFY_CHECKPOINT, verify_nowhere, "the newest checkpoint that the records lead to is of %llu records, and %s is one of %llu: it was removed here",
				     ULL(newest->size), k->name, ULL(k->c.size));
		else
			verify_found(r, VERIFY_FORK, place, "records %llu to %llu do not lead to %s, a checkpoint of %llu records: they were changed, or it is of a second history",
				     ULL(*fits), ULL(k->c.size - 1), k->name, ULL(k->c.size));
		return;
	}
	answer = archive_extends(a, &k->c, newest, &proof);
	if (answer == EXTENDS_YES) {
		*fits = k->c.size;
		r->summary->kept++;
		r->summary->kept_size = k->c.size;
	} else if (answer == EXTENDS_FORK) {
		verify_found(r, VERIFY_FORK, place, "a fork: %s, of %llu records, and the journal's checkpoint of %llu are of two histories, which differ between records %llu and %llu", k->name,
			     ULL(k->c.size), ULL(newest->size), ULL(*fits), ULL(k->c.size - 1));
	} else {
		verify_found(r, VERIFY_SPINE, verify_nowhere, "%s, of %llu records, cannot be compared: the stored hashes do not lead from it to the checkpoint of %llu", k->name,
			     ULL(k->c.size), ULL(newest->size));
	}
}

void verify_kept(struct verify_report *r, const struct key_list *keys, uint64_t size, const struct checkpoint *newest)
{
	const struct verify_options *options = r->options;
	struct kept list[VERIFY_KEPT_MAX];
	char err[ARCHIVE_ERROR_BYTES];
	struct archive *a = options->kept_count ? archive_open(options->dir, err) : NULL;
	uint64_t fits = 0;
	unsigned count = 0;

	for (unsigned i = 0; a && i < options->kept_count && i < VERIFY_KEPT_MAX; i++) {
		struct kept k = { .name = options->kept[i].name };
		const char *wrong = note_wrong(a, keys, options->kept[i].note, &k.c);

		if (wrong)
			verify_found(r, VERIFY_CHECKPOINT, verify_nowhere, "%s is %s", k.name, wrong);
		else
			put_sorted(list, count++, &k);
	}
	for (unsigned i = 0; i < count; i++)
		compare(r, a, &list[i], size, newest, &fits);
	if (options->kept_count && !a)
		verify_found(r, VERIFY_ORDER, verify_nowhere, "the journal cannot be opened to compare checkpoints with it: %s", err);
	archive_close(a);
}
