/* node_holds.c: `sluice journal hold add|list|release`, and the holds of a process (holds.h).
 *
 * Which records are holds in force is kept beside the records (journal_keep): one place a hold, its record's index and one, or 0. So a
 * start reads as many records as there are holds, and not the journal. A place whose record cannot be read holds everything.
 *
 * Administrators place and release: root and the user that control runs as, and whose token is in a group of admin.roles.administrator.
 * Auditors may list. Each of it is a record. */
#include <stdio.h>

#include "control/identity/runs.h"
#include "control/inbox/who.h"
#include "control/operator_verbs.h"
#include "platform/os/log.h"

#define HOLD_LOOK_RECORDS 1024u /* about two milliseconds */
#define HOLD_CURRENT_STEPS 16u

/* --- what is kept -------------------------------------------------------------------------------------------------------- */

static uint64_t kept_index(const struct node *n, unsigned place)
{
	struct reader r = reader_of_bytes(journal_kept(n->journal, KEPT_HOLDS + place));

	return r.left == 8 ? reader_be64(&r) : 0;
}

/* `index` 0: none. */
static bool keep(struct node *n, unsigned place, uint64_t index)
{
	uint8_t raw[8];
	struct writer w = writer_of(raw, sizeof(raw));

	writer_be64(&w, index);
	return journal_keep(n->journal, KEPT_HOLDS + place, writer_done(&w));
}

static bool place_of(const struct node *n, uint64_t index, unsigned *place)
{
	for (*place = 0; *place < HOLDS_MAX; ++*place)
		if (kept_index(n, *place) == index)
			return true;
	return false;
}

bool node_holds_begin(struct node *n, char err[OS_ERROR_BYTES])
{
	struct archive *archive = journal_archive(n->journal);

	n->holds = holds_create();
	snprintf(err, OS_ERROR_BYTES, "legal holds: out of memory");
	for (unsigned place = 0; n->holds && archive && place < HOLDS_MAX; place++) {
		uint64_t index = kept_index(n, place);
		struct hold_terms terms;
		struct bytes record;
		bool good;

		if (!index)
			continue;
		good = archive_read(archive, index - 1, &record) == NULL && hold_terms_read(record, &terms);
		if (!good)
			log_error("legal hold %llu: its record cannot be read: it covers everything until it is released", (unsigned long long)index - 1);
		if (!holds_add(n->holds, index - 1, good ? &terms : NULL))
			return false;
	}
	node_holds_apply(n);
	return n->holds && archive;
}

void node_holds_apply(struct node *n)
{
	const struct settings_stream *stream;

	journal_protect(n->journal, node_prune_limit(n, &stream));
}

void node_holds_tick(struct node *n)
{
	struct archive *archive = holds_count(n->holds) ? journal_archive(n->journal) : NULL;

	if (archive)
		(void)holds_look(n->holds, archive, HOLD_LOOK_RECORDS);
	node_holds_apply(n);
}

bool node_holds_current(struct node *n)
{
	struct archive *archive = holds_count(n->holds) ? journal_archive(n->journal) : NULL;
	bool more = archive != NULL;

	for (unsigned step = 0; more && step < HOLD_CURRENT_STEPS; step++)
		more = holds_look(n->holds, archive, HOLD_LOOK_RECORDS);
	node_holds_apply(n);
	return !more;
}

/* --- who may ------------------------------------------------------------------------------------------------------------- */

static void hold_refused(struct operation *o, struct bytes who, const char *why)
{
	const char *const pairs[] = { "reason", why, "verb", "journal hold", NULL };

	node_record(o->node, "admin.refused", who, pairs);
	operation_fail(o, FRAME_NOT_PERMITTED, "journal hold: not permitted: %s: run it as root, or give --token-file of an administrator", why);
}

static void may(struct operation *o, void (*run)(struct operation *o, struct bytes who),
		void (*identified)(struct operation *, struct principal *, const struct identity_failure *))
{
	if (o->administrator && !json_object_get(o->args, "token"))
		run(o, o->who);
	else if (!json_object_get(o->args, "token"))
		hold_refused(o, o->who, "without a token");
	else if (!o->node->tree)
		hold_refused(o, o->who, "no policy says who you are");
	else
		operation_identify(o, identified);
}

static void identified(struct operation *o, struct principal *p, const struct identity_failure *why, bool auditor_too, void (*run)(struct operation *, struct bytes))
{
	uint8_t room[SESSION_WHO_BYTES];
	struct writer w = writer_of(room, sizeof(room));

	if (!p)
		operation_token_refused(o, why);
	else if (!policy_has_role(o->node->tree, p, POLICY_ROLE_ADMINISTRATOR) && !(auditor_too && policy_has_role(o->node->tree, p, POLICY_ROLE_AUDITOR)))
		hold_refused(o, who_write(p, &w), "your token is no administrator's");
	else
		run(o, who_write(p, &w));
}

/* --- add ----------------------------------------------------------------------------------------------------------------- */

static void describe_terms(struct jcs *j, const void *from)
{
	hold_terms_put(j, from);
}

/* False: too long. */
static bool argument(const struct operation *o, const char *name, char *out, size_t size)
{
	const char *text = operation_text(o, name);

	return (size_t)snprintf(out, size, "%s", text ? text : "") < size;
}

static bool index_argument(const struct operation *o, const char *name, uint64_t *out)
{
	json_t *value = json_object_get(o->args, name);

	*out = json_is_integer(value) ? (uint64_t)json_integer_value(value) : 0;
	return !value || (json_is_integer(value) && json_integer_value(value) >= 0);
}

static const char *terms_of(const struct operation *o, struct hold_terms *t)
{
	*t = (struct hold_terms){ 0 };
	if (!argument(o, "matter", t->matter, sizeof(t->matter)) || !argument(o, "reason", t->reason, sizeof(t->reason)) ||
	    !argument(o, "session", t->session, sizeof(t->session)) || !argument(o, "person", t->person, sizeof(t->person)) ||
	    !argument(o, "agent", t->agent, sizeof(t->agent)) || !argument(o, "since", t->since, sizeof(t->since)) ||
	    !argument(o, "until", t->until, sizeof(t->until)) || !index_argument(o, "from", &t->from) || !index_argument(o, "to", &t->to))
		return "a text that is too long, or an index that is none";
	return hold_terms_check(t);
}

static json_t *hold_json(const struct hold *h)
{
	const struct hold_terms *t = &h->terms;
	json_t *row = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "hold", (json_int_t)h->index, "matter",
				h->unreadable ? "?" : t->matter, "reason", t->reason, "session", t->session, "person", t->person, "agent", t->agent,
				"since", t->since, "until", t->until, "from", (json_int_t)t->from, "to", (json_int_t)t->to, "compared", (json_int_t)h->seen,
				"sessions", (json_int_t)h->sessions + h->has_zero);

	json_object_set_new(row, "first", h->first == UINT64_MAX ? json_null() : json_integer((json_int_t)h->first));
	return row;
}

static void add(struct operation *o, struct bytes who)
{
	struct node *n = o->node;
	struct hold_terms terms;
	const char *wrong = terms_of(o, &terms);
	const struct entry e = { .type = "journal.hold", .who = who, .data = { describe_terms, &terms },
				 .policy_sha256 = n->current ? policy_hash(n->current) : NULL };
	const struct hold *h;
	uint64_t index;
	unsigned place;

	if (wrong) {
		operation_fail(o, FRAME_USAGE, "journal hold add: %s", wrong);
	} else if (!place_of(n, 0, &place)) {
		operation_fail(o, FRAME_REFUSED, "journal hold add: %u holds are in force: release one first", HOLDS_MAX);
	} else if (!inbox_append(n->inbox, &e, true, &index) || !keep(n, place, index + 1) || !(h = holds_add(n->holds, index, &terms))) {
		operation_fail(o, FRAME_REFUSED, "journal hold add: the journal does not take it: see sluice show journal");
	} else {
		/* At once, before it is durable: it only keeps. */
		node_holds_apply(n);
		o->result = hold_json(h);
	}
}

static void add_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	identified(o, p, why, false, add);
}

void operation_hold_add(struct operation *o)
{
	may(o, add, add_identified);
}

/* --- list ---------------------------------------------------------------------------------------------------------------- */

static void list(struct operation *o, struct bytes who)
{
	char count[16];
	const char *const pairs[] = { "count", count, NULL };
	json_t *rows = json_array();
	const struct hold *h;
	unsigned at = 0;

	while ((h = holds_next(o->node->holds, &at)))
		json_array_append_new(rows, hold_json(h));
	snprintf(count, sizeof(count), "%u", holds_count(o->node->holds));
	node_record(o->node, "read.holds", who, pairs);
	o->result = json_pack("{s:o}", "holds", rows);
}

static void list_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	identified(o, p, why, true, list);
}

void operation_hold_list(struct operation *o)
{
	may(o, list, list_identified);
}

/* --- release ------------------------------------------------------------------------------------------------------------- */

struct release {
	const struct hold *hold;
	const char *reason;
};

static void describe_release(struct jcs *j, const void *from)
{
	const struct release *r = from;

	jcs_put_uint(j, "hold", r->hold->index);
	jcs_put_str(j, "matter", r->hold->terms.matter);
	jcs_put_str(j, "reason", r->reason);
}

static void release(struct operation *o, struct bytes who)
{
	struct node *n = o->node;
	uint64_t index;
	struct release r = { .reason = operation_text(o, "reason") };
	const struct entry e = { .type = "journal.hold_release", .who = who, .data = { describe_release, &r },
				 .policy_sha256 = n->current ? policy_hash(n->current) : NULL };
	unsigned place;

	r.hold = index_argument(o, "hold", &index) ? holds_find(n->holds, index) : NULL;
	if (!r.hold) {
		operation_fail(o, FRAME_REFUSED, "journal hold release: no such hold is in force: see sluice journal hold list");
	} else if (!r.reason || strlen(r.reason) < 4 || strlen(r.reason) >= HOLD_REASON_BYTES || !jcs_is_utf8(bytes_str(r.reason))) {
		operation_fail(o, FRAME_USAGE, "journal hold release: no reason: give --reason, 4 to 500 bytes of text");
	} else if (!place_of(n, index + 1, &place) || !inbox_append(n->inbox, &e, true, NULL) || !keep(n, place, 0)) {
		operation_fail(o, FRAME_REFUSED, "journal hold release: the journal does not take it: see sluice show journal");
	} else {
		o->result = json_pack("{s:I, s:s, s:b}", "hold", (json_int_t)index, "matter", r.hold->terms.matter, "released", 1);
		(void)holds_release(n->holds, index);
		node_holds_apply(n);
	}
}

static void release_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	identified(o, p, why, false, release);
}

void operation_hold_release(struct operation *o)
{
	may(o, release, release_identified);
}
