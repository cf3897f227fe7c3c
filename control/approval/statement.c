#include "control/approval/statement.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <time.h>

#include "control/approval/remark.h"
#include "control/approval/values.h"
#include "dataplane/inspect/postgres/lex.h"
#include "platform/contract/classification.h"

const char *statement_time(uint64_t wall_us, char out[STATEMENT_TIME_BYTES])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm parts;

	gmtime_r(&seconds, &parts);
	snprintf(out, STATEMENT_TIME_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", (parts.tm_year + 1900) % 10000, parts.tm_mon + 1, parts.tm_mday,
		 parts.tm_hour, parts.tm_min, parts.tm_sec, (unsigned)(wall_us % 1000000));
	return out;
}

static void put_sha256(struct jcs *j, const char *key, struct bytes data)
{
	uint8_t hash[32];

	SHA256(data.base, data.len, hash);
	jcs_put_hex(j, key, bytes_of(hash, sizeof(hash)));
}

/* What can be undone, from the verbs: of several the one that weighs most. */
static const char *impact_of(uint64_t verbs)
{
	const uint64_t light = 1u << VERB_select | 1u << VERB_explain | 1u << VERB_show | 1u << VERB_cursor | 1u << VERB_prepare |
			       1u << VERB_transaction | 1u << VERB_copy_out;
	const uint64_t session = 1u << VERB_set | 1u << VERB_lock | 1u << VERB_notify | 1u << VERB_maintain;
	const uint64_t data = 1u << VERB_insert | 1u << VERB_update | 1u << VERB_copy_in;

	if (verbs && !(verbs & ~light))
		return "read-only";
	if (verbs && !(verbs & ~(light | session)))
		return "reversible";
	if (verbs && !(verbs & ~(light | session | data)))
		return "externally reversible";
	return "irreversible";
}

static void put_object_name(struct jcs *j, const struct access *a)
{
	char name[4 * 256 + 8];
	struct writer w = writer_of(name, sizeof(name));

	for (unsigned i = 0; i < a->levels; i++) {
		if (i)
			writer_u8(&w, '.');
		writer_put(&w, a->level[i]);
	}
	if (w.ok && jcs_is_utf8(writer_done(&w)))
		jcs_str(j, writer_done(&w));
	else
		jcs_str(j, bytes_str("(a name that is not text)"));
}

/* The command's classification; nothing in it when it is unknown. */
struct known {
	bool good;
	struct classification c;
};

static void put_flags(struct jcs *j, const struct known *k)
{
	struct reader at = k->c.statement_bytes;
	struct classified_statement s;
	uint64_t flags = 0;

	while (k->good && classification_next(&at, &s))
		flags |= s.flags;
	jcs_key(j, "flags");
	jcs_array(j);
	for (unsigned bit = 0; bit < FLAG_count; bit++) {
		if (flags >> bit & 1)
			jcs_str(j, bytes_str(flag_word(bit)));
	}
	jcs_array_close(j);
}

static void put_objects(struct jcs *j, const struct known *k)
{
	struct reader at = k->c.statement_bytes;
	struct classified_statement s;
	struct access a;

	jcs_key(j, "objs");
	jcs_array(j);
	while (k->good && classification_next(&at, &s)) {
		while (access_next(&s.access_bytes, &a)) {
			if (a.levels)
				put_object_name(j, &a);
		}
	}
	jcs_array_close(j);
}

static uint64_t put_verbs(struct jcs *j, const struct known *k)
{
	struct reader at = k->c.statement_bytes;
	struct classified_statement s;
	struct access a;
	uint64_t verbs = 0;

	jcs_key(j, "verbs");
	jcs_array(j);
	if (!k->good)
		jcs_str(j, bytes_str(verb_word(VERB_unknown)));
	while (k->good && classification_next(&at, &s)) {
		while (access_next(&s.access_bytes, &a)) {
			if (!(verbs >> a.verb & 1))
				jcs_str(j, bytes_str(verb_word(a.verb)));
			verbs |= 1ull << a.verb;
		}
	}
	jcs_array_close(j);
	return verbs;
}

/* What people read: the canonical form of the very bytes that are held, made here. What a worker says of them is not shown. */
struct bytes statement_norm(struct bytes raw)
{
	static uint8_t room[2 * LIMIT_STATEMENT_BYTES];
	struct writer w = writer_of(room, sizeof(room));

	return pg_lex_canonical(raw, &w) ? writer_done(&w) : raw;
}

static uint64_t put_command(struct jcs *j, const struct event_command *e)
{
	struct known k = { 0 };
	struct bytes norm;
	uint64_t verbs;

	k.good = e->classification.len && classification_open(e->classification, &k.c);
	norm = statement_norm(e->raw);
	jcs_key(j, "cmd");
	jcs_open(j);
	put_flags(j, &k);
	jcs_put_int(j, "len", (int64_t)e->raw.len);
	jcs_put_text(j, "norm", norm);
	put_sha256(j, "norm_h", norm);
	put_objects(j, &k);
	put_sha256(j, "raw_h", e->raw);
	verbs = put_verbs(j, &k);
	jcs_close(j);
	return k.good ? verbs : 1ull << VERB_unknown;
}

void statement_put_needs(struct jcs *j, const struct approval *a)
{
	jcs_key(j, "approvers");
	jcs_array(j);
	for (unsigned i = 0; i < a->needs; i++) {
		char text[LIMIT_NAME_BYTES + 16];

		snprintf(text, sizeof(text), "%.255s:%u", a->need[i].group, a->need[i].count);
		jcs_str(j, bytes_str(text));
	}
	jcs_array_close(j);
}

static void put_parameters(struct jcs *j, const struct approval_command *c)
{
	jcs_key(j, "params");
	jcs_open(j);
	if (c->params_free) {
		jcs_put_bool(j, "free", true);
		jcs_key(j, "rule");
		jcs_str(j, c->rules_count ? c->rules[0] : bytes_str(""));
	} else {
		jcs_put_int(j, "bytes", (int64_t)c->event->params.len);
		values_put(j, c->event->types, c->event->params);
	}
	jcs_close(j);
}

static void put_policy(struct jcs *j, const struct approval_command *c, uint64_t verbs)
{
	jcs_key(j, "policy");
	jcs_open(j);
	jcs_put_str(j, "class", c->classes ? c->classes : "unknown");
	jcs_put_hex(j, "h", bytes_of(c->policy_sha256, 32));
	jcs_put_str(j, "impact", impact_of(verbs));
	jcs_put_strs(j, "rules", c->rules, c->rules_count);
	jcs_close(j);
}

static void put_target(struct jcs *j, const struct approval_command *c)
{
	jcs_key(j, "target");
	jcs_open(j);
	jcs_put_str(j, "database", c->database);
	jcs_put_str(j, "server", c->server);
	jcs_put_str(j, "service", c->service);
	jcs_put_str(j, "user", c->login);
	jcs_close(j);
}

struct bytes statement_write(const struct approval *a, const struct approval_command *c, const uint8_t nonce[16], const char *node,
			     const char *origin, struct writer *out)
{
	struct jcs j = jcs_of(out);
	struct remark remark = remark_read(c->event->raw);
	char time[STATEMENT_TIME_BYTES];
	uint64_t verbs;

	jcs_open(&j);
	statement_put_needs(&j, a);
	verbs = put_command(&j, c->event);
	jcs_put_str(&j, "expires", statement_time(a->expires_us, time));
	jcs_put_str(&j, "id", a->id_text);
	jcs_put_str(&j, "kind", approval_kind_name(a->kind));
	jcs_put_int(&j, "max_uses", 1);
	jcs_put_int(&j, "n", c->event->n);
	jcs_put_str(&j, "node", node);
	jcs_put_hex(&j, "nonce", bytes_of(nonce, 16));
	jcs_put_str(&j, "not_before", "");
	jcs_put_str(&j, "origin", origin);
	put_parameters(&j, c);
	jcs_put_str(&j, "parser", c->parser);
	put_policy(&j, c, verbs);
	jcs_key(&j, "preview");
	jcs_open(&j);
	jcs_close(&j);
	jcs_put_str(&j, "proto", c->proto);
	jcs_put_int(&j, "quorum", a->quorum);
	jcs_put_str(&j, "reason", remark.reason);
	jcs_put_hex(&j, "sess", bytes_of(c->session, 16));
	put_sha256(&j, "state_h", c->event->state);
	put_target(&j, c);
	jcs_put_str(&j, "ticket", remark.ticket);
	jcs_put_str(&j, "use_by", statement_time(a->use_by_us, time));
	jcs_put_int(&j, "v", 1);
	jcs_put_raw(&j, "who", c->who);
	jcs_close(&j);
	return jcs_done(&j);
}

struct bytes statement_vote(const struct approval *a, const char *voter, bool approve, const char *reason, struct writer *out)
{
	struct jcs j = jcs_of(out);

	jcs_open(&j);
	jcs_put_str(&j, "reason", reason);
	jcs_put_hex(&j, "statement", bytes_of(a->statement_sha256, 32));
	jcs_put_int(&j, "v", 1);
	jcs_put_str(&j, "vote", approve ? "approve" : "deny");
	jcs_put_str(&j, "voter", voter);
	jcs_close(&j);
	return jcs_done(&j);
}
