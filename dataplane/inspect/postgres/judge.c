/* judge.c: asking for a verdict, at once or later, and keeping what it said. */
#include "dataplane/inspect/postgres/lex.h"
#include "dataplane/inspect/postgres/session.h"

/* What a name without a schema means depends on search_path: it is part of the key once it was set. */
static struct hash128 with_path(const struct pg_session *s, struct hash128 h)
{
	uint8_t buffer[sizeof(h) + sizeof(s->path)];

	if (!s->path_len)
		return h;
	memcpy(buffer, &h, sizeof(h));
	memcpy(buffer + sizeof(h), s->path, s->path_len);
	return hash128(s->env->hash_key, buffer, sizeof(h) + s->path_len);
}

/* `good` and `lex` are what pg_lex_scan says of `raw`. */
static struct statement statement_of(struct pg_session *s, enum command_kind kind, struct bytes raw, bool good, const struct pg_lex_summary *lex)
{
	struct statement st = { .kind = kind, .raw = raw, .database = pg_database(s), .in_transaction = s->status == 'T' || s->status == 'E' };

	pg_state_build(s);
	st.state = bytes_of(s->state, s->state_len);
	st.search_path = pg_search_path(s, s->schema);
	if (raw.len > LIMIT_STATEMENT_BYTES) {
		st.reason = REASON_TOO_LONG;
		st.raw = bytes_of(raw.base, LIMIT_STATEMENT_BYTES);
		return st;
	}
	st.exact = with_path(s, lex->exact);
	if (!good) {
		st.reason = lex->over_bytes ? REASON_TOO_LONG : REASON_UNKNOWN;
		st.generic = st.exact;
		return st;
	}
	st.generic = lex->literals ? with_path(s, lex->generic) : st.exact;
	return st;
}

struct statement pg_statement(struct pg_session *s, enum command_kind kind, struct bytes raw)
{
	struct pg_lex_summary lex = { 0 };
	bool good = raw.len <= LIMIT_STATEMENT_BYTES && pg_lex_scan(raw, s->env->hash_key, &lex);

	return statement_of(s, kind, raw, good, &lex);
}

struct statement pg_statement_effects(struct pg_session *s, enum command_kind kind, struct bytes raw, struct pg_effects *effects)
{
	struct pg_lex_summary lex = { 0 };
	bool good = raw.len <= LIMIT_STATEMENT_BYTES && pg_like_scan(&s->like, raw, s->env->hash_key, &lex);

	*effects = lex.plain ? (struct pg_effects){ 0 } : pg_effects(raw);
	return statement_of(s, kind, raw, good, &lex);
}

static const struct pg_reading *reading(struct pg_session *s, int slot)
{
	struct pg_reading *r = &s->reading[slot % PG_READINGS];
	struct bytes text = pg_name_text(&s->names, slot);

	if (r->serial == pg_name_at(&s->names, slot)->serial && r->slot == slot)
		return r;
	r->slot = slot;
	r->serial = pg_name_at(&s->names, slot)->serial;
	r->good = pg_lex_scan(text, s->env->hash_key, &r->lex);
	r->effects = r->lex.plain ? (struct pg_effects){ 0 } : pg_effects(text);
	r->effects.path_value = (struct bytes){ 0 };
	r->effects.inner.base = NULL; /* its length says that there is one */
	return r;
}

struct statement pg_statement_prepared(struct pg_session *s, int slot)
{
	const struct pg_reading *r = reading(s, slot);
	struct statement st = statement_of(s, COMMAND_EXECUTE, pg_name_text(&s->names, slot), r->good, &r->lex);

	st.types = pg_name_types(&s->names, slot);
	return st;
}

const struct pg_effects *pg_effects_prepared(struct pg_session *s, int slot)
{
	return &reading(s, slot)->effects;
}

static bool room(struct pg_session *s)
{
	unsigned taken = 0;

	while (taken < PG_REFUSALS && s->refusal[taken].used)
		taken++;
	return taken < PG_REFUSALS && pg_commands_room(&s->commands) && pg_replies_room(&s->replies);
}

void pg_verdict(struct pg_session *s, bool allowed, const struct judgement *j, int *command, int *refusal)
{
	struct pg_command *c;

	*refusal = -1;
	*command = pg_command_new(&s->commands);
	c = pg_command_at(&s->commands, *command);
	c->n = j->n;
	c->mask = j->mask;
	c->limits = (struct pg_limits){ j->rows_max, j->bytes_max, (uint16_t)j->rows_rule, (uint16_t)j->bytes_rule };
	if (allowed) {
		pg_digest(s, c, j);
		pg_limit_keep(s, c);
		return;
	}
	c->refused = true;
	c->cancelled = j->cancelled;
	*refusal = pg_refusal_new(s, j->cancelled ? "57014" : "42501");
	if (j->cancelled)
		pg_refusal_say(s, *refusal, "canceling statement due to user request", bytes_str(""), bytes_str(""));
	else
		pg_refusal_say(s, *refusal, "permission denied", j->say, j->rule);
	memcpy(c->status, s->refusal[*refusal].code, sizeof(c->status));
}

/* The message it was for will not be dealt with: the group failed meanwhile. */
void pg_verdict_drop(struct pg_session *s)
{
	if (!s->verdict_ready)
		return;
	s->verdict_ready = false;
	if (s->verdict_refusal >= 0)
		s->refusal[s->verdict_refusal].used = false;
	pg_command_put(&s->commands, s->verdict_command, s->host, s->host_context, true);
}

static const char *reason_text(enum command_reason reason)
{
	switch (reason) {
	case REASON_NONE: return "permission denied: the command would put masked values into a setting, a notification, a lock or a large object";
	case REASON_TOO_LONG: return "permission denied: the statement or its parameters are longer than this gateway reads";
	case REASON_MASK_TOKEN: return "permission denied: the command would write a masked value back";
	case REASON_PINNED_SETTING: return "permission denied: client_encoding and standard_conforming_strings cannot be changed here";
	case REASON_UNKNOWN: return "permission denied: the command cannot be told from here";
	default: return "permission denied: this kind of message is not passed";
	}
}

static int refuse_never(struct pg_session *s, enum command_reason reason, int command, int refusal)
{
	struct pg_command *c = pg_command_at(&s->commands, command);

	if (c->cancelled)
		return refusal;
	if (refusal < 0)
		refusal = pg_refusal_new(s, reason == REASON_PINNED_SETTING ? "0A000" : "42501");
	pg_refusal_say(s, refusal, reason_text(reason), bytes_str(""), bytes_str(""));
	c->refused = true;
	memcpy(c->status, s->refusal[refusal].code, sizeof(c->status));
	return refusal;
}

enum pg_step pg_judge(struct pg_session *s, const struct statement *st, bool never, int *command, int *refusal)
{
	struct judgement j = { 0 };

	if (s->verdict_ready) {
		s->verdict_ready = false;
		*command = s->verdict_command;
		*refusal = s->verdict_refusal;
	} else {
		enum judged judged;

		if (!room(s))
			return STEP_STALL;
		judged = s->host->judge(s->host_context, st, &j);
		if (judged == JUDGED_WAIT) {
			s->waiting = true;
			return STEP_WAIT;
		}
		pg_verdict(s, judged == JUDGED_ALLOW, &j, command, refusal);
	}
	if (never)
		*refusal = refuse_never(s, st->reason, *command, *refusal);
	else if (*refusal < 0 && pg_command_at(&s->commands, *command)->traits.carries)
		*refusal = refuse_never(s, REASON_NONE, *command, *refusal);
	return STEP_DONE;
}
