/* node_erase.c: destroying the key of a session's payload: `sluice journal erase`. The tree, every proof and every export stay valid;
 * what the session said can no longer be read by anybody.
 *
 * Order: the intent (a name beside the keys), the record `key.destroy`, its commit, the key, the intent. Killed anywhere, the next
 * start finds the intent, says it again in a record, and completes it. */
#include <stdio.h>

#include "control/journal/base64.h"
#include "control/operator_verbs.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"

#define REASON_BYTES_MAX 500u

/* The record. `commitment` is what `session.open` says of the key. */
static void destroy_record(struct node *n, struct bytes who, const struct seal *key, const char *reason)
{
	uint8_t hash[32];
	char commitment[65] = "", session[33] = "";
	const char *const pairs[] = { "key_h", commitment, "reason", reason, "session", session, NULL };
	struct writer c = writer_of(commitment, sizeof(commitment) - 1), s = writer_of(session, sizeof(session) - 1);

	seal_commitment(key, hash);
	hex_write(&c, bytes_of(hash, sizeof(hash)));
	hex_write(&s, bytes_of(key->session, sizeof(key->session)));
	node_record(n, "key.destroy", who, pairs);
	n->erasures = true;
}

/* Whether a legal hold keeps this session's key; the answer says which. */
static bool held(struct operation *o, const char *session, const uint8_t id[16])
{
	struct node *n = o->node;
	struct journal_state state;
	const struct hold *by;
	char text[HOLD_TEXT_BYTES];

	(void)node_holds_current(n);
	journal_state(n->journal, &state);
	switch (holds_session(n->holds, id, state.size, &by)) {
	case HOLD_NONE:
		return false;
	case HOLD_COVERS:
		operation_fail(o, FRAME_REFUSED, "session %s: %s covers it: it is not erased before the hold is released: see sluice journal hold list", session,
			       hold_text(by, text));
		return true;
	case HOLD_NOT_KNOWN:
		operation_fail(o, FRAME_REFUSED, "session %s: whether %s covers it is not known yet: try again: sluice journal hold list shows how far the journal was compared",
			       session, hold_text(by, text));
		return true;
	}
	return true;
}

void operation_journal_erase(struct operation *o)
{
	const char *session = operation_text(o, "session"), *reason = operation_text(o, "reason");
	struct node *n = o->node;
	uint8_t id[16];
	struct writer w = writer_of(id, sizeof(id));
	struct seal key;

	if (!session || !hex_read(bytes_str(session), &w) || w.len != sizeof(id)) {
		operation_fail(o, FRAME_USAGE, "erase: not a session: give the 32 digits that sluice session list shows");
	} else if (!reason || strlen(reason) < 4 || strlen(reason) > REASON_BYTES_MAX || !jcs_is_utf8(bytes_str(reason))) {
		operation_fail(o, FRAME_USAGE, "erase: no reason: give --reason, 4 to %u bytes of text", REASON_BYTES_MAX);
	} else if (session_by_id(n->sessions, session)) {
		operation_fail(o, FRAME_REFUSED, "session %s: is open: end it first: sluice session kill", session);
	} else if (held(o, session, id)) {
		; /* it said so */
	} else if (!payload_keys_find(n->payload_keys, id, &key)) {
		operation_fail(o, FRAME_REFUSED, "session %s: has no payload key: it was destroyed, or there is no such session", session);
	} else if (!payload_keys_intend(n->payload_keys, id)) {
		operation_fail(o, FRAME_REFUSED, "session %s: the erasure cannot be noted: check the disk of the state directory", session);
	} else {
		destroy_record(n, o->who, &key, reason);
		o->result = json_pack("{s:s, s:b}", "session", session, "erased", 1);
	}
	secret_wipe(&key, sizeof(key));
}

void node_erase_start(struct node *n)
{
	uint8_t session[16];
	struct seal key;

	if (!payload_keys_intent(n->payload_keys, session))
		return;
	if (payload_keys_find(n->payload_keys, session, &key))
		destroy_record(n, (struct bytes){ 0 }, &key, "completes an erasure that a restart interrupted");
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
