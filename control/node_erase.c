/* node_erase.c: destroying the key of a session's payload: `sluice journal erase`. The tree, every proof and every export stay valid;
 * what the session said can no longer be read by anybody. Who may have it done: node_deeds.c.
 *
 * Order: the intent (a name beside the keys), the record `key.destroy`, its commit, the key, the intent. Killed anywhere, the next
 * start finds the intent, says it again in a record, and completes it. */
#include <stdio.h>

#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"
#include "control/operator_verbs.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"

struct destroyed {
	char commitment[65], session[33];
	const char *reason;
};

static void describe_destroyed(struct jcs *j, const void *from)
{
	const struct destroyed *d = from;

	jcs_put_str(j, "key_h", d->commitment);
	jcs_put_str(j, "reason", d->reason);
	jcs_put_str(j, "session", d->session);
}

/* The record. `key_h` is what `session.open` says of the key. `a`: the approval it rests on; NULL: none of this process. */
static bool destroy_record(struct node *n, const struct seal *key, const char *reason, const struct approval *a)
{
	uint8_t hash[32];
	struct destroyed d = { .reason = reason };
	struct writer c = writer_of(d.commitment, sizeof(d.commitment) - 1), s = writer_of(d.session, sizeof(d.session) - 1);
	const struct entry e = { .type = "key.destroy", .who = a ? bytes_of(a->who, a->who_len) : (struct bytes){ 0 }, .data = { describe_destroyed, &d },
				 .approval_id = a ? a->id_text : NULL, .approval_sha256 = a ? a->statement_sha256 : NULL,
				 .policy_sha256 = n->current ? policy_hash(n->current) : NULL };

	seal_commitment(key, hash);
	hex_write(&c, bytes_of(hash, sizeof(hash)));
	hex_write(&s, bytes_of(key->session, sizeof(key->session)));
	return inbox_append(n->inbox, &e, true, NULL);
}

/* Whether a legal hold keeps this session's key. */
static enum hold_answer held(struct node *n, const uint8_t id[16], char text[HOLD_TEXT_BYTES])
{
	struct journal_state state;
	const struct hold *by;
	enum hold_answer answer;

	(void)node_holds_current(n);
	journal_state(n->journal, &state);
	answer = holds_session(n->holds, id, state.size, &by);
	text[0] = 0;
	if (by)
		hold_text(by, text);
	return answer;
}

static bool session_id(const char *session, uint8_t id[16])
{
	struct writer w = writer_of(id, 16);

	return session && hex_read(bytes_str(session), &w) && w.len == 16;
}

bool node_erase_possible(struct operation *o, const char *session)
{
	struct node *n = o->node;
	char text[HOLD_TEXT_BYTES];
	uint8_t id[16];
	struct seal key = { 0 };
	bool good = false;

	if (!session_id(session, id))
		operation_fail(o, FRAME_USAGE, "erase: not a session: give the 32 digits that sluice session list shows");
	else if (session_by_id(n->sessions, session))
		operation_fail(o, FRAME_REFUSED, "session %s: is open: end it first: sluice session kill", session);
	else if (held(n, id, text) == HOLD_COVERS)
		operation_fail(o, FRAME_REFUSED, "session %s: %s covers it: it is not erased before the hold is released: see sluice journal hold list", session, text);
	else if (!payload_keys_find(n->payload_keys, id, &key))
		operation_fail(o, FRAME_REFUSED, "session %s: has no payload key: it was destroyed, or there is no such session", session);
	else
		good = true;
	secret_wipe(&key, sizeof(key));
	return good;
}

/* How the approved reason is kept in the record: the statement has it. */
static void reason_of(const struct approval *a, char *out, size_t size)
{
	struct writer w = writer_of(out, size - 1);
	bool good = jcs_read_str(jcs_get(jcs_value_of(bytes_of(a->statement, a->statement_len)), "reason"), &w);

	out[good ? w.len : 0] = 0;
}

const char *node_erase_begin(struct node *n, const struct approval *a, struct jcs_value args)
{
	char session[33] = "", text[HOLD_TEXT_BYTES], reason[APPROVAL_REASON_BYTES];
	struct writer w = writer_of(session, sizeof(session) - 1);
	struct seal key = { 0 };
	const char *went = "";
	enum hold_answer hold;
	uint8_t id[16];

	if (!jcs_read_str(jcs_get(args, "session"), &w) || !session_id(session, id))
		return "not done: no session";
	hold = held(n, id, text);
	if (hold == HOLD_NOT_KNOWN)
		return NULL;
	reason_of(a, reason, sizeof(reason));
	if (hold == HOLD_COVERS)
		went = "not done: a legal hold covers the session";
	else if (session_by_id(n->sessions, session))
		went = "not done: the session is open";
	else if (!payload_keys_find(n->payload_keys, id, &key))
		went = "not done: the session has no payload key any more";
	else if (!payload_keys_intend(n->payload_keys, id) || !destroy_record(n, &key, reason, a))
		went = "not done: it cannot be noted: check the disk";
	else
		n->erasures = true;
	secret_wipe(&key, sizeof(key));
	return went;
}

void node_erase_start(struct node *n)
{
	uint8_t session[16];
	struct seal key;

	if (!payload_keys_intent(n->payload_keys, session))
		return;
	if (payload_keys_find(n->payload_keys, session, &key))
		(void)destroy_record(n, &key, "completes an erasure that a restart interrupted", NULL);
	n->erasures = true;
	secret_wipe(&key, sizeof(key));
}

bool node_erase_commit(struct node *n)
{
	uint8_t session[16];

	while (n->erasures && payload_keys_intent(n->payload_keys, session)) {
		if (!payload_keys_destroy(n->payload_keys, session)) {
			log_error("payload keys: a key cannot be destroyed: check the disk of the state directory");
			return false;
		}
		log_info("payload keys: the key of a session was destroyed");
	}
	n->erasures = false;
	return true;
}
