/* reading_verify.c: the audit of the node's own journal, by a thread of reading.h: what it finds and what it was compared with. */
#include <stdio.h>
#include <string.h>

#include "control/anchor/judge.h"
#include "control/journal/verify.h"
#include "control/reading_impl.h"

#define KEPT_NAME_BYTES 48

static json_int_t place(uint64_t n)
{
	return n > INT64_MAX ? -1 : (json_int_t)n;
}

static void finding_keep(struct reading *r, const struct verify_finding *f)
{
	bool missing = f->kind == VERIFY_ORDER || f->kind == VERIFY_CHECKPOINT;

	if (f->kind == VERIFY_UNVERIFIED || (r->wrong[0] && (r->wrong_is_missing || !missing)))
		return;
	snprintf(r->wrong, sizeof(r->wrong), "%s", f->what);
	r->wrong_is_missing = missing;
}

static void give_finding(void *ctx, const struct verify_finding *f)
{
	finding_keep(ctx, f);
	reading_frame(ctx, json_pack("{s:{s:s, s:s, s:I, s:I, s:I, s:I}}", "finding", "kind", verify_kind_name(f->kind), "what", f->what, "index", place(f->index), "last",
			     place(f->last), "segment", place(f->segment), "byte", place(f->byte)));
}

static bool goes_on(void *ctx, uint64_t done, uint64_t total)
{
	struct reading *r = ctx;

	reading_frame(r, json_pack("{s:I}", "at", (json_int_t)done));
	return !r->gone && !atomic_load(&r->all->ending);
}

static bool signed_last(void *ctx, uint64_t *size, struct merkle_hash *root)
{
	struct readings *rs = ctx;
	bool known;

	pthread_mutex_lock(&rs->signed_lock);
	known = rs->signed_known;
	*size = rs->signed_size;
	*root = rs->signed_root;
	pthread_mutex_unlock(&rs->signed_lock);
	return known;
}

void readings_signed(struct readings *rs, uint64_t size, const struct merkle_hash *root)
{
	pthread_mutex_lock(&rs->signed_lock);
	rs->signed_known = true;
	rs->signed_size = size;
	rs->signed_root = *root;
	pthread_mutex_unlock(&rs->signed_lock);
}

static json_t *quorum_json(const struct judge *j)
{
	return json_pack("{s:b, s:b, s:s, s:I, s:I, s:I}", "policy", j->policy != NULL, "asks", j->policy && witness_policy_asks(j->policy), "wrong",
			 j->policy_wrong ? j->policy_wrong : "", "size", (json_int_t)j->quorum.size, "witnesses",
			 (json_int_t)__builtin_popcountll(j->quorum.witnesses), "time_s", (json_int_t)j->quorum.time_s);
}

/* Checkpoints that the asking end kept. */
static unsigned kept_notes(const struct reading *r, struct verify_kept_note kept[VERIFY_KEPT_MAX], char names[VERIFY_KEPT_MAX][KEPT_NAME_BYTES])
{
	unsigned count = 0;
	json_t *note;
	size_t i;

	json_array_foreach(json_object_get(r->args, "checkpoints"), i, note) {
		if (!json_is_string(note) || count == VERIFY_KEPT_MAX)
			continue;
		snprintf(names[count], KEPT_NAME_BYTES, "the given checkpoint %u", count + 1);
		kept[count] = (struct verify_kept_note){ names[count], bytes_of(json_string_value(note), json_string_length(note)) };
		count++;
	}
	return count;
}

void reading_verify(struct reading *r)
{
	struct checkpoint_keys keys;
	struct judge judge = { 0 };
	struct verify_kept_note kept[VERIFY_KEPT_MAX];
	char names[VERIFY_KEPT_MAX][KEPT_NAME_BYTES];
	struct verify_options options = { .dir = r->all->dir, .keys = &keys, .judge = judge_anchor, .judge_ctx = &judge, .ctx = r, .found = give_finding, .kept = kept,
					  .progress = goes_on, .signed_last = signed_last, .signed_ctx = r->all };
	struct verify_summary s = { 0 };
	json_t *quorum;
	bool good;

	options.kept_count = kept_notes(r, kept, names);
	if (!reading_keys(r, &keys))
		return;
	/* What is configured was written there at the start. */
	judge_read_beside(&judge, r->all->dir);
	good = verify_journal(&options, &s);
	r->records = s.size - s.first;
	r->audit = !atomic_load(&r->all->ending);
	r->findings = s.findings;
	quorum = quorum_json(&judge);
	judge_free(&judge);
	if (atomic_load(&r->all->ending))
		reading_fail(r, "journal verify", "sluice-control is ending", "try again later");
	else
		reading_frame(r, json_pack("{s:{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:O, s:i, s:i, s:I}}", "verified", "good", good, "first",
				   (json_int_t)s.first, "size", (json_int_t)s.size, "segments", (json_int_t)s.segments, "checkpoints", (json_int_t)s.checkpoints,
				   "chunks", (json_int_t)s.chunks, "sessions", (json_int_t)s.sessions, "findings", (json_int_t)s.findings, "covered",
				   (json_int_t)s.covered, "signatures_checked", s.signatures_checked, "tokens", (json_int_t)s.tokens, "stamped",
				   (json_int_t)s.stamped, "stamped_s", (json_int_t)s.stamped_s, "cosignatures", (json_int_t)s.cosignatures, "cosigned",
				   (json_int_t)s.cosigned, "cosigned_s", (json_int_t)s.cosigned_s, "unverified", (json_int_t)s.unverified, "signer_compared", s.signer_known, "quorum", quorum,
				   "kept_given", (int)options.kept_count, "kept", (int)s.kept, "kept_size", (json_int_t)s.kept_size));
	json_decref(quorum);
}
