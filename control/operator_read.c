/* operator_read.c: who may read the journal, and the record that is older than the reading (journal.md P8; export.md, roles).
 *
 * Root and the user that control runs as are the machine's administrators: they could read the files. Anybody else shows a token whose
 * principal is in a group of admin.roles.auditor, and in none of admin.roles.administrator: one person is not both. It reads records, and no
 * payload: of a replay it gets the marks. A bundle with payload keys, and a replay with payload, are for who asked for them, in a group of
 * admin.roles.investigator, and by an approval (node_disclose.c). Each reading, and each refusal, is a record with that principal; payload
 * given out is `key.disclose` beside it, also to root; all of it is on disk before the first byte is given out. Its end is another, `read.given`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/export/recipients.h"
#include "control/inbox/who.h"
#include "control/operator_verbs.h"
#include "platform/os/log.h"

#define DETAIL_BYTES 4096 /* a filter longer than that is refused: its record has to say all of it */

static const char *const kinds[] = { "search", "session", "sessions", "grep", "tail", "record", "proof", "replay", "events", "report", "bundle", "verify", NULL };

static bool gives_payload(const struct operation *o)
{
	return json_is_true(json_object_get(o->stream, "payload"));
}

/* What is read, as the record says it: the arguments without the token. */
static void record_reading(struct operation *o, struct bytes who)
{
	const char *what = operation_text(o, "what");
	json_t *certificates = json_incref(json_object_get(o->stream, "certificates"));
	char type[64], *detail;
	const char *pairs[] = { "detail", "", "what", what, NULL };
	const char *by_root[] = { "by", "administrator of the machine", "detail", "", NULL };

	/* Whom a bundle is sealed to is said by fingerprints. */
	json_object_del(o->stream, "certificates");
	detail = json_dumps(o->stream, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
	if (certificates)
		json_object_set_new(o->stream, "certificates", certificates);
	pairs[1] = by_root[3] = detail ? detail : "";
	snprintf(type, sizeof(type), strcmp(what, "events") && strcmp(what, "report") && strcmp(what, "bundle") ? "read.%s" : "export", what);
	o->reading = detail ? node_record(o->node, type, who, pairs) : UINT64_MAX;
	if (gives_payload(o) && !o->disclosing[0] && o->reading != UINT64_MAX && node_record(o->node, "key.disclose", who, by_root) == UINT64_MAX)
		o->reading = UINT64_MAX;
	free(detail);
	o->reader_len = who.len < sizeof(o->reader_room) ? who.len : 0;
	if (o->reader_len)
		memcpy(o->reader_room, who.base, o->reader_len);
}

/* An audit that found something is an alarm too: whoever asked for it may be the one who keeps it to himself. */
static void audit_alarm(struct node *n, const struct reading_given *g, const char *of)
{
	const char *const pairs[] = { "alarm", "audit", "detail", g->wrong, "of", of, NULL };

	(void)node_record(n, "journal.alarm", (struct bytes){ 0 }, pairs);
	log_error("journal: an audit found %llu faults: %s: run sluice journal verify, and keep the directory as it is", (unsigned long long)g->findings, g->wrong);
}

/* How much it was is known at its end only: a second record, which names the first. Without one, control died meanwhile. */
void operation_readings_ended(struct node *n)
{
	struct reading_given *g;

	while ((g = readings_ended(n->readings))) {
		char of[24], records[24], sessions[24], keys[24], findings[24], went[64];
		const char *const audit[] = { "findings", findings, "manifest", g->manifest, "of", of, "records", records, "sessions", sessions, "whole", g->whole ? "yes" : "no",
					      "wrong", g->wrong, NULL };
		const char *const pairs[] = { "keys", keys, "manifest", g->manifest, "of", of, "records", records, "sessions", sessions, "whole", g->whole ? "yes" : "no", NULL };

		snprintf(of, sizeof(of), "%llu", (unsigned long long)g->reading);
		snprintf(records, sizeof(records), "%llu", (unsigned long long)g->records);
		snprintf(sessions, sizeof(sessions), "%llu", (unsigned long long)g->sessions);
		snprintf(keys, sizeof(keys), "%llu", (unsigned long long)g->keys);
		snprintf(findings, sizeof(findings), "%llu", (unsigned long long)g->findings);
		(void)node_record(n, "read.given", bytes_of(g->reader, g->reader_len), g->audit ? audit : pairs);
		if (g->audit && g->findings)
			audit_alarm(n, g, of);
		snprintf(went, sizeof(went), "%s: %llu keys, %llu erased", g->whole ? "given out" : "given out in part", (unsigned long long)g->keys, (unsigned long long)g->erased);
		node_disclose_ended(n, g->approval, went);
		free(g);
	}
}

static void read_refused(struct operation *o, struct bytes who, const char *why)
{
	const char *const pairs[] = { "reason", why, "verb", operation_text(o, "what"), NULL };

	node_record(o->node, "admin.refused", who, pairs);
	operation_fail(o, FRAME_NOT_PERMITTED, "%s: %s: ask for a role in admin.roles of the policy", operation_text(o, "what"), why);
}

/* Whom a bundle is to be sealed to: their certificates are looked at before anything is recorded or used up. False after an answer. */
static bool recipients_take(struct operation *o, json_t *pem)
{
	json_t *fingerprints = json_array();
	char err[RECIPIENTS_ERROR_BYTES];
	struct recipients to;

	if (!recipients_read(&to, bytes_of(json_string_value(pem), json_string_length(pem)), (int64_t)(o->node->now.wall_us / 1000000), err)) {
		operation_fail(o, FRAME_USAGE, "--recipient: %s: give certificates in PEM, of RSA or EC keys for encryption", err);
		json_decref(fingerprints);
		return false;
	}
	for (unsigned i = 0; i < to.count; i++)
		json_array_append_new(fingerprints, json_string(to.fingerprint[i]));
	recipients_free(&to);
	json_object_set(o->stream, "certificates", pem);
	json_object_set_new(o->stream, "recipients", fingerprints);
	return true;
}

/* The arguments, without what is not for the thread that reads, or is ours to say. False after an answer. */
static bool stream_of(struct operation *o)
{
	json_t *pem = json_object_get(o->args, "recipients");

	o->stream = json_deep_copy(o->args);
	json_object_del(o->stream, "token");
	json_object_del(o->stream, "disclose");
	json_object_del(o->stream, "payload");
	json_object_del(o->stream, "certificates");
	return !pem || recipients_take(o, pem);
}

/* A replay shows payload. */
static void with_payload(struct operation *o)
{
	if (!strcmp(operation_text(o, "what"), "replay"))
		json_object_set_new(o->stream, "payload", json_true());
}

static void go(struct operation *o, struct bytes who)
{
	record_reading(o, who);
	if (o->reading == UINT64_MAX)
		operation_fail(o, FRAME_REFUSED, "%s: the journal does not take the record of it: see sluice show journal", operation_text(o, "what"));
	if (o->disclosing[0])
		node_disclose_record(o, who);
	if (o->disclosing[0] && o->status != FRAME_DONE)
		node_disclose_ended(o->node, o->disclosing, "not given out");
}

/* A bundle with keys, or a replay with payload, by an approval. */
static void go_disclosing(struct operation *o, const struct principal *p, struct bytes who)
{
	if (policy_has_role(o->node->tree, p, POLICY_ROLE_ADMINISTRATOR) || !policy_has_role(o->node->tree, p, POLICY_ROLE_INVESTIGATOR)) {
		read_refused(o, who, "not permitted: your token is no investigator's, or an administrator's");
		return;
	}
	if (!stream_of(o) || !node_disclose_use(o, p, who))
		return;
	with_payload(o);
	go(o, who);
}

/* Root's own way. */
static void go_root(struct operation *o)
{
	if (!stream_of(o))
		return;
	with_payload(o);
	go(o, o->who);
}

static void go_auditor(struct operation *o, struct bytes who)
{
	if (stream_of(o))
		go(o, who);
}

/* Of what the record has to say. */
static size_t detail_len(const struct operation *o)
{
	json_t *said = json_copy(o->args);
	size_t len;

	json_object_del(said, "token");
	json_object_del(said, "recipients");
	len = json_dumpb(said, NULL, 0, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(said);
	return len;
}

/* Sessions and records are given out by their keys: which reading `keys` may be for. */
static bool may_disclose(const struct operation *o, const char *what)
{
	return (!strcmp(what, "bundle") || (!strcmp(what, "replay") && operation_text(o, "session"))) && json_object_get(o->args, "token");
}

static void read_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	uint8_t room[SESSION_WHO_BYTES];
	struct writer w = writer_of(room, sizeof(room));

	if (!p)
		operation_token_refused(o, why);
	else if (json_object_get(o->args, "keys"))
		go_disclosing(o, p, who_write(p, &w));
	else if (!policy_has_role(o->node->tree, p, POLICY_ROLE_AUDITOR))
		read_refused(o, who_write(p, &w), "not permitted: your token is no auditor's");
	else if (policy_has_role(o->node->tree, p, POLICY_ROLE_ADMINISTRATOR))
		read_refused(o, who_write(p, &w), "not permitted: your token is an administrator's and an auditor's");
	else
		go_auditor(o, who_write(p, &w));
}

void operation_read(struct operation *o)
{
	const char *what = operation_text(o, "what");
	bool known = false;

	for (unsigned i = 0; what && kinds[i]; i++)
		known |= !strcmp(kinds[i], what);
	if (!known)
		operation_fail(o, FRAME_USAGE, "read: not a kind of reading: use the sluice command");
	else if (detail_len(o) > DETAIL_BYTES)
		operation_fail(o, FRAME_USAGE, "%s: more than %u bytes of filter, and the record of it has to say all: give less", what, DETAIL_BYTES);
	else if (json_object_get(o->args, "recipients") && strcmp(what, "bundle") != 0)
		operation_fail(o, FRAME_USAGE, "%s: --recipient is for a bundle: leave it out", what);
	else if (json_object_get(o->args, "keys") && !may_disclose(o, what))
		operation_fail(o, FRAME_USAGE, "%s: --keys is for a bundle or a replay, and for who asked: give --token-file of the investigator", what);
	else if (o->administrator && !json_object_get(o->args, "token"))
		go_root(o);
	else if (!o->node->tree)
		operation_fail(o, FRAME_NOT_PERMITTED, "%s: no policy says who may read: run it as root", what);
	else if (!json_object_get(o->args, "token"))
		read_refused(o, o->who, "not permitted without a token: give --token-file of an auditor");
	else
		operation_identify(o, read_identified);
}
