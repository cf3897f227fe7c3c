/* node_rotate.c: rotation of the checkpoint keys (journal.md 9; signer/signer_rotation.h, journal/key_list.h): `sluice journal rotate-key`.
 *
 * Two memories, the signer's phase and the journal's records, each durable before the other goes on; what to do next follows from the
 * two alone, so a start after a kill anywhere goes on where it was:
 *
 *	signer \ last record    none, failed, destroyed   prepare            begin                        end
 *	STABLE, old keys        -                         step PREPARE, once failed: keys given up        (problem)
 *	STABLE, new keys        -                         (problem)          end                          destroyed
 *	READY                   (problem)                 begin              step OVERLAP                 (problem)
 *	OVERLAP                 (problem)                 (problem)          end, when the time is over   step RETIRE
 *
 * A record counts once it is durable; then it is laid beside the journal (trust/), where segments that are pruned take it from nobody.
 * Who may have it done: node_deeds.c. It takes two persons, as what destroys does: who could do it alone, and can write to the signer's
 * directory, could give the log a key that he knows, and with it a history of his own. */
#include <stdio.h>
#include <stdlib.h>

#include "control/journal/key_list.h"
#include "control/journal/jcs_read.h"
#include "control/node_anchor.h"
#include "control/operator_verbs.h"
#include "platform/os/log.h"

#define CHANGES_MAX (4 * KEY_LIST_MAX)
#define LOOK_BUDGET 65536u
#define STEP_MS 2000
#define VKEY_BYTES 256

struct rotation {
	bool known;              /* what the journal says was looked at */
	uint64_t looked;         /* records before it are */
	struct key_change last;  /* the newest one that is durable; step KEY_STEPS: none */
	struct key_change begin; /* the newest begin */
	struct key_change said;  /* appended, and maybe not durable */
	bool waits;
	bool prepared;           /* this process had the signer make keys */
	const char *problem;
};

bool node_rotate_open(struct node *n)
{
	n->rotation = calloc(1, sizeof(*n->rotation));
	if (n->rotation)
		n->rotation->last.step = n->rotation->begin.step = KEY_STEPS;
	return n->rotation != NULL;
}

void node_rotate_close(struct node *n)
{
	free(n->rotation);
	n->rotation = NULL;
}

static bool same(const struct checkpoint_keys *a, const struct checkpoint_keys *b)
{
	return !memcmp(a->ed25519, b->ed25519, sizeof(a->ed25519));
}

static bool is_over(const struct rotation *r)
{
	return r->last.step == KEY_STEPS || r->last.step == KEY_STEP_FAILED || r->last.step == KEY_STEP_DESTROYED;
}

static const char *vkey_of(const struct checkpoint_keys *keys, char out[VKEY_BYTES])
{
	struct writer w = writer_of(out, VKEY_BYTES - 1);

	out[0] = 0;
	if (keys->has_ed25519 && checkpoint_vkey_write(keys, &w))
		out[w.len] = 0;
	return out;
}

/* --- records ------------------------------------------------------------------------------------------------------------- */

struct described {
	const struct key_change *change;
	const char *reason;
};

static void describe(struct jcs *j, const void *from)
{
	const struct described *d = from;

	key_change_write(j, d->change, d->reason);
}

static bool say(struct node *n, struct key_change change, const char *reason, const struct approval *a)
{
	struct rotation *r = n->rotation;
	const struct described d = { &change, reason };
	const struct entry e = { .type = change.step == KEY_STEP_DESTROYED ? "key.destroy" : "key.rotate", .who = a ? bytes_of(a->who, a->who_len) : (struct bytes){ 0 },
				 .data = { describe, &d }, .approval_id = a ? a->id_text : NULL, .approval_sha256 = a ? a->statement_sha256 : NULL,
				 .policy_sha256 = n->current ? policy_hash(n->current) : NULL };

	if (!inbox_append(n->inbox, &e, true, &change.index))
		return false;
	log_info("checkpoint keys: rotation: %s: %s", key_step_words[change.step], reason);
	r->said = change;
	r->waits = true;
	return true;
}

static void take(struct rotation *r, const struct key_change *c)
{
	r->last = *c;
	if (c->step == KEY_STEP_BEGIN)
		r->begin = *c;
}

/* A durable one, beside the journal. */
static void lay_beside(struct node *n, const struct key_change *c)
{
	struct archive *archive = journal_archive(n->journal);
	struct bytes record;
	char name[64];

	snprintf(name, sizeof(name), KEY_CHANGE_FILE, (unsigned long long)c->index);
	if (archive && archive_read(archive, c->index, &record) == NULL)
		anchor_trust_write(n, name, record);
	take(n->rotation, c);
	node_anchors_policy(n);
}

/* Once a process: the files, then what records there are behind the newest of them, as a kill leaves one. False: not done yet. */
static bool look(struct node *n)
{
	static struct key_change change[CHANGES_MAX];
	static const struct archive_filter filter = { .type = "key." };
	struct rotation *r = n->rotation;
	struct archive *archive = journal_archive(n->journal);
	struct bytes record;
	const char *wrong = NULL;
	enum archive_next next;

	if (!archive)
		return false;
	if (!r->looked) {
		unsigned count = key_changes_beside(archive, change, CHANGES_MAX, &wrong);

		if (wrong)
			log_error("checkpoint keys: %s: run sluice journal verify", wrong);
		for (unsigned i = 0; i < count; i++)
			take(r, &change[i]);
		r->looked = r->last.step == KEY_STEPS ? 0 : r->last.index + 1;
		/* Nothing is under way: nothing is missing. */
		if (is_over(r) && n->signer.phase == SIGNER_STABLE)
			return true;
	}
	while ((next = archive_search(archive, &filter, &r->looked, LOOK_BUDGET, &record, &wrong)) == ARCHIVE_FOUND || next == ARCHIVE_BROKEN) {
		struct key_change c;

		if (next == ARCHIVE_FOUND && key_change_read(record, &c)) {
			c.index = r->looked;
			lay_beside(n, &c);
		}
		r->looked++;
	}
	r->looked += !r->looked;
	return next == ARCHIVE_END;
}

/* --- steps --------------------------------------------------------------------------------------------------------------- */

static void step(struct node *n, enum signer_step s, const struct checkpoint_keys *about)
{
	/* A signature may be under way: at the next tick. */
	if (signer_client_busy(&n->signer))
		return;
	if (s == SIGNER_STEP_PREPARE)
		n->rotation->prepared = true;
	if (!signer_client_step(&n->signer, s, about->ed25519, STEP_MS))
		log_warn("sluice-signer: rotation: %s", n->signer.why);
}

static void stable(struct node *n)
{
	struct rotation *r = n->rotation;
	const struct checkpoint_keys *keys = &n->signer.keys;
	struct key_change next = { .old = r->last.old, .new = r->last.new };
	bool old = same(keys, &r->last.old);

	if (is_over(r))
		return;
	if (r->last.step == KEY_STEP_PREPARE && old && !r->prepared) {
		step(n, SIGNER_STEP_PREPARE, keys);
	} else if (old && r->last.step != KEY_STEP_END) {
		next.step = KEY_STEP_FAILED;
		say(n, next, "the signer could not make or read new keys: the keys in force go on", NULL);
	} else if (r->last.step == KEY_STEP_BEGIN && same(keys, &r->last.new)) {
		next.step = KEY_STEP_END;
		say(n, next, "the signer has the new keys only", NULL);
	} else if (r->last.step == KEY_STEP_END && same(keys, &r->last.new)) {
		next.step = KEY_STEP_DESTROYED;
		say(n, next, "the end of the rotation: the old keys' files were overwritten and removed", NULL);
	} else {
		r->problem = "the signer's keys are not those that the journal's records say";
	}
}

static void ready(struct node *n)
{
	struct rotation *r = n->rotation;
	const struct checkpoint_keys *new = &n->signer.next;
	struct key_change next = { .step = KEY_STEP_BEGIN, .old = n->signer.keys, .new = *new };

	next.until_s = n->now.wall_us / 1000000 + n->settings->key_overlap_s;
	if (r->last.step == KEY_STEP_BEGIN && same(&r->last.old, &next.old) && same(&r->last.new, new))
		step(n, SIGNER_STEP_OVERLAP, new);
	else if ((r->last.step == KEY_STEP_PREPARE || r->last.step == KEY_STEP_BEGIN) && same(&r->last.old, &next.old))
		say(n, next, "from now on both sign", NULL);
	else
		r->problem = "the signer has new keys that nobody asked for";
}

/* A checkpoint that both signed, with the record of the begin in it, is published: who knows one key can believe the other. */
static bool handed_over(struct node *n)
{
	struct bytes note = journal_checkpoint_stored(n->journal);
	struct checkpoint c;

	return note.len && checkpoint_parse(note, true, &c, NULL) == NULL && c.size > n->rotation->begin.index &&
	       checkpoint_check_signatures(note, &n->signer.next).ed25519 == SIGNATURE_GOOD &&
	       checkpoint_check_signatures(note, &n->signer.keys).ed25519 == SIGNATURE_GOOD;
}

static void overlap(struct node *n)
{
	struct rotation *r = n->rotation;
	struct key_change next = { .step = KEY_STEP_END, .old = n->signer.keys, .new = n->signer.next };

	if ((r->last.step != KEY_STEP_BEGIN && r->last.step != KEY_STEP_END) || !same(&r->last.new, &n->signer.next))
		r->problem = "the signer signs with new keys that no record names";
	else if (r->last.step == KEY_STEP_END)
		step(n, SIGNER_STEP_RETIRE, &n->signer.next);
	else if (n->now.wall_us / 1000000 >= r->begin.until_s && handed_over(n))
		say(n, next, "the overlap is over: the old keys sign no more", NULL);
}

void node_rotate_tick(struct node *n)
{
	struct rotation *r = n->rotation;
	struct journal_state state;

	if (n->signer_fd < 0 || n->signer.fd < 0 || (!r->known && !(r->known = look(n))))
		return;
	journal_state(n->journal, &state);
	if (state.stopped || (r->waits && state.size <= r->said.index))
		return;
	if (r->waits)
		lay_beside(n, &r->said);
	r->waits = false;
	r->problem = NULL;
	switch (n->signer.phase) {
	case SIGNER_STABLE:
		stable(n);
		break;
	case SIGNER_READY:
		ready(n);
		break;
	case SIGNER_OVERLAP:
		overlap(n);
		break;
	case SIGNER_RETIRE:
		r->problem = "the files of the old checkpoint keys cannot be destroyed";
		break;
	default:
		break;
	}
}

/* --- the deed ------------------------------------------------------------------------------------------------------------ */

/* NULL: it can begin. */
static const char *obstacle(const struct node *n)
{
	const struct rotation *r = n->rotation;

	if (n->signer_fd < 0 || n->signer.fd < 0 || !r->known)
		return "the signer is not there";
	return !is_over(r) || r->waits || n->signer.phase != SIGNER_STABLE ? "a rotation is under way: the next one can follow when both keys no longer sign" : NULL;
}

const char *node_rotate_describe(struct node *n, struct jcs *j)
{
	const char *wrong = obstacle(n);
	char vkey[VKEY_BYTES];

	if (!wrong)
		jcs_put_str(j, "key", vkey_of(&n->signer.keys, vkey));
	return wrong;
}

const char *node_rotate_begin(struct node *n, const struct approval *a, struct jcs_value args)
{
	const struct key_change change = { .step = KEY_STEP_PREPARE, .old = n->signer.keys };
	char vkey[VKEY_BYTES], reason[APPROVAL_REASON_BYTES];
	struct writer w = writer_of(reason, sizeof(reason) - 1);
	bool good = jcs_read_str(jcs_get(jcs_value_of(bytes_of(a->statement, a->statement_len)), "reason"), &w);

	reason[good ? w.len : 0] = 0;
	if (obstacle(n))
		return "not done: a rotation is under way, or the signer is not there";
	if (!bytes_equal(jcs_read_plain(jcs_get(args, "key")), bytes_str(vkey_of(&n->signer.keys, vkey))))
		return "not done: the key in force is another by now";
	n->rotation->prepared = false;
	return say(n, change, reason, a) ? "" : "not done: the journal does not take the record";
}

json_t *operation_keys(const struct node *n)
{
	static const char *const words[SIGNER_PHASES] = { "stable", "making", "ready", "overlap", "retiring" };
	const struct rotation *r = n->rotation;
	bool both = n->signer.phase == SIGNER_READY || n->signer.phase == SIGNER_OVERLAP;
	char key[VKEY_BYTES], next[VKEY_BYTES];

	return json_pack("{s:s, s:s?, s:s?, s:o, s:s}", "phase", words[n->signer.phase], "key", n->signer.keys.has_ed25519 ? vkey_of(&n->signer.keys, key) : NULL,
			 "next", both ? vkey_of(&n->signer.next, next) : NULL, "until",
			 both && r->last.step == KEY_STEP_BEGIN ? operation_time(r->begin.until_s * 1000000) : json_null(), "problem", r->problem ? r->problem : "");
}
