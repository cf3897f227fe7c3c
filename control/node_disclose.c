/* node_disclose.c: the keys of sessions' payload, or one session's payload itself, given out once, to who asked, after two others agreed
 * (journal.md 4; export.md 8): `sluice journal disclose`, then `sluice export bundle --keys` or `sluice session replay --keys`. Who asks and who
 * decides: node_deeds.c.
 *
 * The statement names the sessions, or records by their numbers, none of them in the future; the bundle holds records of these and keys of
 * these, the replay shows one of these sessions. Order, in one turn: approval.consume, the record of the export or replay, key.disclose with the approval's number and the statement's hash;
 * the commit; then the reader gets the first byte (operator_read.c). A reading that fails has used the approval up all the same: what the
 * reader took nobody knows. Whether there is still a key is looked at last, by the thread that reads. */
#include <stdio.h>
#include <string.h>

#include "control/inbox/who.h"
#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"
#include "control/operator_verbs.h"
#include "platform/base/secret.h"

#define SESSIONS_MAX 16u
#define SESSION_DIGITS 32u
#define LIST_BYTES (SESSIONS_MAX * (SESSION_DIGITS + 1))

/* What may be given out. */
struct disclosed {
	char sessions[LIST_BYTES]; /* with commas; "": records */
	uint64_t from, to;
};

/* --- asking -------------------------------------------------------------------------------------------------------------- */

static bool session_good(struct operation *o, const char *text)
{
	struct seal key = { 0 };
	uint8_t id[SEAL_SESSION_BYTES];
	struct writer w = writer_of(id, sizeof(id));
	bool known = strlen(text) == SESSION_DIGITS && hex_read(bytes_str(text), &w) && w.len == sizeof(id), found;

	if (!known) {
		operation_fail(o, FRAME_USAGE, "disclose: %.40s: not a session: give the 32 digits that sluice session list shows", text);
		return false;
	}
	if (session_by_id(o->node->sessions, text)) {
		operation_fail(o, FRAME_REFUSED, "session %s: is open, and nobody knows what it will hold: end it first: sluice session kill", text);
		return false;
	}
	found = payload_keys_find(o->node->payload_keys, id, &key);
	secret_wipe(&key, sizeof(key));
	if (!found)
		operation_fail(o, FRAME_REFUSED, "session %s: has no payload key: it was erased, or there is no such session", text);
	return found;
}

static bool describe_sessions(struct operation *o, struct jcs *j, const char *list)
{
	char seen[LIST_BYTES] = "";
	unsigned count = 0;

	jcs_key(j, "sessions");
	jcs_array(j);
	for (const char *at = list; at; count++) {
		const char *comma = strchr(at, ',');
		size_t len = comma ? (size_t)(comma - at) : strlen(at);
		char one[SESSION_DIGITS + 9];

		if (count == SESSIONS_MAX) {
			operation_fail(o, FRAME_USAGE, "disclose: more than %u sessions: ask twice", SESSIONS_MAX);
			return false;
		}
		snprintf(one, sizeof(one), "%.*s", (int)(len < sizeof(one) ? len : sizeof(one) - 1), at);
		if (!session_good(o, one))
			return false;
		if (strstr(seen, one)) {
			operation_fail(o, FRAME_USAGE, "disclose: session %s: named twice: name each once", one);
			return false;
		}
		snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s,", one);
		jcs_str(j, bytes_str(one));
		at = comma ? comma + 1 : NULL;
	}
	jcs_array_close(j);
	return true;
}

static uint64_t number_of(const json_t *object, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(object, name));

	return n > 0 ? (uint64_t)n : 0;
}

bool node_disclose_describe(struct operation *o, struct jcs *j)
{
	const char *sessions = operation_text(o, "sessions");
	uint64_t from = number_of(o->args, "from"), to = number_of(o->args, "to");
	struct journal_state state;

	if (sessions && !to && !from)
		return describe_sessions(o, j, sessions);
	journal_state(o->node->journal, &state);
	if (sessions || !to || from >= to)
		operation_fail(o, FRAME_USAGE, "disclose: of what: give --sessions, or --from and --to");
	else if (to > state.size)
		operation_fail(o, FRAME_USAGE, "disclose: --to %llu: the journal has %llu records, and what will come is disclosed to nobody: give less", (unsigned long long)to,
			       (unsigned long long)state.size);
	else {
		jcs_put_uint(j, "from", from);
		jcs_put_uint(j, "to", to);
		return true;
	}
	return false;
}

/* --- using --------------------------------------------------------------------------------------------------------------- */

/* What the statement says, out of the very bytes that were decided on. */
static bool disclosed_read(const struct approval *a, struct disclosed *d)
{
	uint8_t room[4096];
	struct writer w = writer_of(room, sizeof(room));
	struct bytes name, args;
	struct jcs_value list, element;
	int64_t from, to;
	size_t at = 0, len = 0;

	*d = (struct disclosed){ 0 };
	if (!approval_operation_read(a, &w, &name, &args) || !bytes_equal(name, bytes_str("journal.disclose")))
		return false;
	list = jcs_get(jcs_value_of(args), "sessions");
	while (list.kind == JCS_ARRAY && jcs_next(list, &at, NULL, &element)) {
		struct bytes one = jcs_read_plain(element);

		if (one.len != SESSION_DIGITS || len + one.len + 1 > sizeof(d->sessions))
			return false;
		if (len)
			d->sessions[len++] = ',';
		memcpy(d->sessions + len, one.base, one.len);
		len += one.len;
	}
	if (len)
		return true;
	if (!jcs_read_int(jcs_get(jcs_value_of(args), "from"), &from) || !jcs_read_int(jcs_get(jcs_value_of(args), "to"), &to) || from < 0 || to <= from)
		return false;
	d->from = (uint64_t)from;
	d->to = (uint64_t)to;
	return true;
}

/* Narrows the reading to what may be given out; false when nothing of it was asked for. */
static bool narrow(json_t *stream, const struct disclosed *d)
{
	const char *session = json_string_value(json_object_get(stream, "session"));
	uint64_t from = number_of(stream, "from"), to = number_of(stream, "to");

	if (d->sessions[0]) {
		const char *at = session ? strstr(d->sessions, session) : d->sessions;

		if (session && (strlen(session) != SESSION_DIGITS || !at || (at - d->sessions) % (SESSION_DIGITS + 1) != 0))
			return false;
		if (!session && strlen(d->sessions) == SESSION_DIGITS)
			json_object_set_new(stream, "session", json_string(d->sessions));
		return true;
	}
	from = from > d->from ? from : d->from;
	to = to && to < d->to ? to : d->to;
	json_object_set_new(stream, "from", json_integer((json_int_t)from));
	json_object_set_new(stream, "to", json_integer((json_int_t)to));
	return from < to;
}

struct telling {
	const struct approval *approval;
	const struct disclosed *what;
	uint64_t reading;
};

static void describe_disclosed(struct jcs *j, const void *from)
{
	const struct telling *t = from;
	char purpose[APPROVAL_REASON_BYTES];
	struct writer w = writer_of(purpose, sizeof(purpose) - 1);
	bool good = jcs_read_str(jcs_get(jcs_value_of(bytes_of(t->approval->statement, t->approval->statement_len)), "reason"), &w);

	purpose[good ? w.len : 0] = 0;
	if (!t->what->sessions[0])
		jcs_put_uint(j, "from", t->what->from);
	jcs_put_str(j, "purpose", purpose);
	jcs_put_uint(j, "reading", t->reading);
	if (t->what->sessions[0]) {
		jcs_key(j, "sessions");
		jcs_array(j);
		for (const char *at = t->what->sessions; *at; at += SESSION_DIGITS + (at[SESSION_DIGITS] == ','))
			jcs_str(j, bytes_of(at, SESSION_DIGITS));
		jcs_array_close(j);
	} else {
		jcs_put_uint(j, "to", t->what->to);
	}
}

/* What the thread needs for the files that show it. */
static json_t *for_the_reader(const struct approval *a, const struct disclosed *d, uint64_t index)
{
	json_t *records = json_array();

	for (unsigned i = 0; i < a->history; i++)
		json_array_append_new(records, json_integer((json_int_t)a->record[i]));
	json_array_append_new(records, json_integer((json_int_t)index));
	return json_pack("{s:s, s:s, s:o}", "approval", a->id_text, "sessions", d->sessions, "records", records);
}

bool node_disclose_use(struct operation *o, const struct principal *p, struct bytes who)
{
	struct node *n = o->node;
	const char *id = operation_text(o, "keys");
	struct approval *a = id ? approvals_find(n->approvals, id) : NULL;
	char text[APPROVAL_SAY_BYTES] = "";
	struct disclosed what;

	if (!a || !disclosed_read(a, &what))
		operation_fail(o, FRAME_REFUSED, "approval %.26s: not known, or of no disclosure: see sluice journal disclose", id ? id : "");
	else if (!narrow(o->stream, &what))
		operation_fail(o, FRAME_NOT_PERMITTED, "%s: not permitted: the approval is about other sessions or records: leave the filter out", operation_text(o, "what"));
	else if (readings_busy(n->readings))
		operation_fail(o, FRAME_REFUSED, "read: %u readings are under way: try again later", READINGS_MAX);
	else if (approvals_use(n->approvals, a, p, who, node_approval_clock(n), text) != APPROVAL_DECIDED)
		operation_fail(o, FRAME_NOT_PERMITTED, "approval %s: %s: see sluice approval show %s", a->id_text, text, a->id_text);
	else
		memcpy(o->disclosing, a->id_text, sizeof(o->disclosing));
	return o->disclosing[0] != 0;
}

void node_disclose_record(struct operation *o, struct bytes who)
{
	struct node *n = o->node;
	struct approval *a = approvals_find(n->approvals, o->disclosing);
	struct disclosed what;
	struct telling t = { .approval = a, .what = &what, .reading = o->reading };
	uint64_t index;
	const struct entry e = { .type = "key.disclose", .who = who, .data = { describe_disclosed, &t }, .approval_id = a ? a->id_text : NULL,
				 .approval_sha256 = a ? a->statement_sha256 : NULL, .policy_sha256 = n->current ? policy_hash(n->current) : NULL };

	if (a && o->reading != UINT64_MAX && disclosed_read(a, &what) && inbox_append(n->inbox, &e, true, &index))
		json_object_set_new(o->stream, "disclose", for_the_reader(a, &what, index));
	else
		operation_fail(o, FRAME_REFUSED, "%s: the journal does not take the record of it: see sluice show journal", operation_text(o, "what"));
}

void node_disclose_ended(struct node *n, const char *approval, const char *went)
{
	struct approval *a = approval[0] ? approvals_find(n->approvals, approval) : NULL;

	if (a)
		approvals_performed(n->approvals, a, went, node_approval_clock(n));
}
