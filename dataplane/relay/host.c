/* What an inspector asks of the conductor. The heart is judge: cache, verdict, record, and the barrier that keeps the
 * command's bytes until the record is on disk (barrier.c). A statement that has to wait is copied, because the inspector's view of
 * it ends with the call; the answer is then given from the copy. */
#include "dataplane/relay/conductor.h"

#include <stdio.h>

#include "platform/base/secret.h"

static const char lost_text[] = "the control plane does not answer; nothing is released without its record: try again later";
static const char journal_text[] = "the audit journal cannot be written; nothing is released without its record: try again later";
static const char full_text[] = "the audit journal has no room for new sessions: the operator makes room, then try again";

const char *host_refusal(const struct relay *r)
{
	return r->refusing == REFUSING_JOURNAL ? journal_text : lost_text;
}

static bool must_block(enum command_reason reason)
{
	return reason == REASON_PROTOCOL || reason == REASON_MASK_TOKEN || reason == REASON_PINNED_SETTING || reason == REASON_TOO_LONG;
}

static const char *reason_text(enum command_reason reason)
{
	switch (reason) {
	case REASON_UNMATCHED: return "no rule allows this";
	case REASON_UNKNOWN: return "the statement could not be understood";
	case REASON_TOO_LONG: return "the statement is over a size limit";
	case REASON_PROTOCOL: return "this kind of message is never passed";
	case REASON_MASK_TOKEN: return "a masked value would be written back";
	case REASON_PINNED_SETTING: return "this setting is pinned";
	case REASON_ORACLE: return "masked values can be shown masked, and not be compared, sorted, joined, grouped, counted or converted";
	case REASON_LIMIT: return "the rule limits rows or bytes, which are counted for one statement that says what it does: send it by itself, "
				  "not inside another one, and no TRUNCATE";
	default: return "";
	}
}

/* Looks the statement up, or says that it has to be asked for. */
static bool classified(struct relay *r, const struct statement *s, struct classification *c, struct bytes *encoded, struct hash128 *key)
{
	*key = s->exact;
	if (cache_find(r->cache, s->exact, false, c, encoded))
		return true;
	*key = s->generic;
	return cache_find(r->cache, s->generic, true, c, encoded);
}

static void scan_patterns(struct relay *r, const struct statement *s, const struct classification *c, struct verdict_request *q)
{
	if (!r->snapshot->patterns)
		return;
	(void)match_patterns_scan(r->snapshot->patterns, s->raw, q->patterns.w);
	(void)match_patterns_scan(r->snapshot->patterns, s->params, q->patterns.w);
	if (c) /* no canonical text: it serves several texts, whose literals are plain and were scanned in the raw one */
		(void)match_patterns_scan(r->snapshot->patterns, c->canonical.len ? c->canonical : c->normalised, q->patterns.w);
}

/* One plain name, as the server would fold it. Anything else (a list, quotes, "$user", what SET left behind) may mean any schema. */
static bool one_schema(struct bytes path)
{
	for (size_t i = 0; i < path.len; i++) {
		uint8_t c = path.base[i];

		if (!(c >= 'a' && c <= 'z') && c != '_' && !(i > 0 && c >= '0' && c <= '9'))
			return false;
	}
	return path.len > 0 && path.len < 64;
}

/* The verdict on a statement whose classification is `c` (NULL: unknown); `key` is set when it came from the cache. */
static void evaluate(struct relay *r, struct flow *f, const struct statement *s, const struct classification *c,
		     const struct hash128 *key, struct verdict *v)
{
	struct verdict_request q = {
		.service = f->service_number, .groups = f->session->groups, .classification = c, .database = s->database,
		.in_transaction = s->in_transaction, .flags = s->binary_result ? FLAG_binary_result : 0, .family = f->family,
		.now_s = (r->now_us + r->config.wall_offset_us) / 1000000,
	};

	if (one_schema(s->search_path))
		q.default_schema = s->search_path;
	else
		q.schema_unknown = s->search_path.len > 0;
	memcpy(q.source, flow_address(f, SIDE_CLIENT)->byte, sizeof q.source);
	if (f->session->inspector->tagged) {
		q.tagged = f->session->inspector->tagged;
		q.tagged_context = f->session->memory;
		q.tagged_version = f->session->inspector->tagged_version(f->session->memory);
	}
	scan_patterns(r, s, c, &q);
	if (c && key)
		cache_verdict(r->cache, *key, f->snapshot->image, &q, v);
	else
		verdict_evaluate(f->snapshot->image, &q, v);
	if (must_block(s->reason)) {
		v->action = COMMAND_BLOCK;
		v->reason = s->reason;
	}
	/* A prepared text is judged again when it runs, with its values; until then a hold has nothing to show. */
	if (s->kind == COMMAND_PREPARE && v->action == COMMAND_HOLD)
		v->action = COMMAND_ALLOW;
}

/* Puts the command on record. False: the ring is full. */
static bool record(struct relay *r, struct flow *f, const struct statement *s, const struct verdict *v, struct bytes encoded, uint32_t *ref)
{
	bool unrecorded = v->reason == REASON_CONTROL_LOST; /* nothing of it goes out, and the disk may never answer: no barrier */
	uint8_t rules[2 * LIMIT_VERDICT_RULES];
	struct writer w = writer_of(rules, sizeof rules);
	struct event_command e = {
		.flow = f->id, .n = f->n, .generation = f->snapshot->generation, .kind = (uint8_t)s->kind,
		.action = (uint8_t)v->action, .transaction = s->in_transaction, .reason = (uint16_t)v->reason,
		.approval = (uint16_t)v->approval, .state = s->state, .raw = s->raw, .params = s->params, .classification = encoded,
	};
	uint64_t position;

	for (unsigned i = 0; i < v->rules_count; i++)
		writer_be16(&w, v->rules[i]);
	e.rules = writer_done(&w);
	if (s->raw.len > LIMIT_STATEMENT_BYTES)
		e.raw.len = LIMIT_STATEMENT_BYTES;
	if (s->params.len > LIMIT_PARAMETERS_BYTES)
		e.params.len = LIMIT_PARAMETERS_BYTES;
	if (v->action == COMMAND_HOLD)
		e.types = s->types;
	if (encoded.len > LIMIT_CLASSIFICATION_BYTES)
		e.classification = (struct bytes){ 0 };
	if (!report_command(&r->report, &e, &position))
		return false;
	*ref = f->n++;
	f->session->commands++;
	r->counters.commands++;
	if (v->action == COMMAND_BLOCK || v->action == COMMAND_HOLD)
		flight_note(&r->flight, f, PAGE_FLIGHT_command, SIDE_CLIENT, *ref, (uint32_t)f->session->commands, r->now_us);
	r->counters.blocked += v->action == COMMAND_BLOCK;
	r->counters.held += v->action == COMMAND_HOLD;
	f->session->under_way++;
	f->session->own_words = unrecorded && f->session->under_way == 1;
	if (v->action != COMMAND_HOLD && f->audit != POLICY_AUDIT_PROMPT && !unrecorded)
		barrier_put(r, f, SIDE_SERVER, position);
	return true;
}

static void fill(struct flow *f, const struct verdict *v, uint32_t ref, struct bytes encoded, struct judgement *out)
{
	*out = (struct judgement){ .n = ref, .mask = v->mask, .classification = encoded, .rows_max = v->rows_max, .bytes_max = v->bytes_max,
				   .rows_rule = v->rows_rule, .bytes_rule = v->bytes_rule };
	if (v->by_rule && v->rules_count)
		out->rule = policy_rule_id(f->snapshot->image, v->rules[0]);
	out->say = v->say.len ? v->say : bytes_str(reason_text(v->reason));
}

/* Copies what waits. False: no memory, or it is over the limits (then nobody could be shown it either). */
static bool keep(struct relay *r, struct flow *f, const struct statement *s)
{
	struct flow_pending *p = &f->session->pending;
	size_t total = s->raw.len + s->params.len + s->types.len + s->state.len + s->database.len + s->search_path.len;
	struct writer w;

	stream_release(&p->bytes, &r->buffers);
	*p = (struct flow_pending){
		.kept = true, .raw_bytes = (uint32_t)s->raw.len, .params_bytes = (uint32_t)s->params.len, .types_bytes = (uint32_t)s->types.len,
		.state_bytes = (uint32_t)s->state.len, .database_bytes = (uint32_t)s->database.len, .path_bytes = (uint32_t)s->search_path.len, .kind = s->kind, .exact = s->exact, .generic = s->generic,
		.in_transaction = s->in_transaction, .binary_result = s->binary_result, .reason = s->reason,
	};
	if (total > BUFFER_MEDIUM_BYTES || !stream_reserve(&p->bytes, &r->buffers, total + 1))
		return false;
	w = stream_writer(&p->bytes);
	writer_put(&w, s->raw);
	writer_put(&w, s->params);
	writer_put(&w, s->types);
	writer_put(&w, s->state);
	writer_put(&w, s->database);
	writer_put(&w, s->search_path);
	stream_commit(&p->bytes, w.len);
	return w.ok;
}

/* The kept statement again. */
static struct statement kept(const struct flow *f)
{
	const struct flow_pending *p = &f->session->pending;
	struct reader r = reader_of_bytes(stream_readable(&p->bytes));
	struct statement s = {
		.kind = p->kind, .exact = p->exact, .generic = p->generic, .in_transaction = p->in_transaction,
		.binary_result = p->binary_result, .reason = p->reason,
	};

	s.raw = reader_bytes(&r, p->raw_bytes);
	s.params = reader_bytes(&r, p->params_bytes);
	s.types = reader_bytes(&r, p->types_bytes);
	s.state = reader_bytes(&r, p->state_bytes);
	s.database = reader_bytes(&r, p->database_bytes);
	s.search_path = reader_bytes(&r, p->path_bytes);
	return s;
}

static void wait_for(struct relay *r, struct flow *f, enum flow_wait wait)
{
	f->wait = (uint8_t)wait;
	f->wait_since_us = r->now_us;
	if (wait == WAIT_CLASSIFY)
		orders_await_classified(r, f);
}

static void ask_classify(struct relay *r, struct flow *f)
{
	struct statement s = kept(f);
	struct event_classify e = { .key_hi = f->session->pending.exact.hi, .key_lo = f->session->pending.exact.lo, .dialect = 0, .text = s.raw };

	f->session->pending.asked = report_has_room(&r->report) && report_classify(&r->report, &e, NULL);
	if (!f->session->pending.asked)
		relay_ready(r, f);
}

static void answer_none(struct flow *f)
{
	f->session->captured_total = 0;
	f->session->captured_cut = 0;
	f->session->answer_octets = 0;
}

/* One that is under way goes on: commands are sent ahead of answers. */
static void begin_answer(struct relay *r, struct flow *f, uint32_t ref)
{
	f->session->current_ref = ref;
	if (f->session->under_way <= 1)
		answer_none(f);
	f->session->command_at_us = r->now_us;
}

/* Records the verdict; says what the inspector is to do now. */
static enum judged conclude(struct relay *r, struct flow *f, const struct statement *s, struct verdict *v, struct bytes encoded,
			    struct judgement *out)
{
	uint32_t ref = 0;

	if (v->action == COMMAND_HOLD && (s->types.len > LIMIT_TYPES_BYTES || (!f->session->pending.kept && !keep(r, f, s)))) {
		v->action = COMMAND_BLOCK;
		v->reason = REASON_TOO_LONG;
	}
	if (!record(r, f, s, v, encoded, &ref)) /* the caller saw room: only a broken ring comes here */
		f->kill_asked = true;
	fill(f, v, ref, encoded, out);
	if (v->action == COMMAND_HOLD) {
		f->session->pending.ref = ref;
		f->session->pending.expires_us = r->now_us + (uint64_t)policy_approval(f->snapshot->image, v->approval).expires_s * 1000000;
		wait_for(r, f, WAIT_APPROVAL);
		return JUDGED_WAIT;
	}
	begin_answer(r, f, ref);
	return v->action == COMMAND_ALLOW ? JUDGED_ALLOW : JUDGED_BLOCK;
}

/* Refused whatever the rules say; the refusal itself goes to the ring. */
static enum judged refuse_now(struct relay *r, struct flow *f, const struct statement *s, enum command_reason reason, const char *say, struct judgement *out)
{
	struct verdict v = { .action = COMMAND_BLOCK, .reason = reason };
	enum judged answer = conclude(r, f, s, &v, (struct bytes){ 0 }, out);

	out->say = bytes_str(say);
	return answer;
}

/* Keeps the statement until its judgement; what cannot be kept cannot be judged later either, and is blocked. */
static enum judged wait_with(struct relay *r, struct flow *f, struct statement *s, enum flow_wait wait, struct judgement *out)
{
	struct verdict v = { .action = COMMAND_BLOCK, .reason = REASON_TOO_LONG };

	if (!keep(r, f, s))
		return conclude(r, f, s, &v, (struct bytes){ 0 }, out);
	wait_for(r, f, wait);
	if (wait == WAIT_CLASSIFY)
		ask_classify(r, f);
	else if (wait == WAIT_RING)
		relay_ready(r, f);
	return JUDGED_WAIT;
}

static enum judged judge(void *host, const struct statement *statement, struct judgement *out)
{
	struct flow *f = host;
	struct relay *r = f->relay;
	struct statement s = *statement;
	struct classification c;
	struct bytes encoded = { 0 };
	struct hash128 key;
	struct verdict v;

	*out = (struct judgement){ 0 };
	barrier_sent_report(r, f);
	f->session->pending.kept = false;
	if (s.raw.len > LIMIT_STATEMENT_BYTES || s.params.len > LIMIT_PARAMETERS_BYTES)
		s.reason = REASON_TOO_LONG;
	if (!report_has_room(&r->report))
		return wait_with(r, f, &s, WAIT_RING, out);
	if (r->refusing != REFUSING_NOTHING)
		return refuse_now(r, f, &s, REASON_CONTROL_LOST, host_refusal(r), out);
	if (f->session->suspended)
		return refuse_now(r, f, &s, REASON_STALE, f->session->suspended_say, out);
	if (f->session->groups_generation != f->snapshot->generation)
		return wait_with(r, f, &s, WAIT_GRANTS, out);
	if (s.reason != REASON_NONE) {
		evaluate(r, f, &s, NULL, NULL, &v);
		return conclude(r, f, &s, &v, encoded, out);
	}
	if (!classified(r, &s, &c, &encoded, &key))
		return wait_with(r, f, &s, WAIT_CLASSIFY, out);
	evaluate(r, f, &s, &c, &key, &v);
	return conclude(r, f, &s, &v, encoded, out);
}

/* Gives the inspector the judgement that it waits for. */
static void give(struct relay *r, struct flow *f, bool allowed, const struct judgement *j)
{
	struct inspect_answer a = { .kind = ANSWER_JUDGED, .allowed = allowed, .judgement = *j };

	f->wait = WAIT_NONE;
	begin_answer(r, f, j->n);
	pump_answer(r, f, &a);
}

void host_judge_pending(struct relay *r, struct flow *f, struct bytes encoded, bool known)
{
	struct statement s = kept(f);
	struct classification c;
	struct judgement j = { 0 };
	struct verdict v;
	enum judged answer;

	session_refresh_snapshot(r, f);
	if (f->session->groups_generation != f->snapshot->generation) {
		wait_for(r, f, WAIT_GRANTS);
		return;
	}
	known = known && s.reason == REASON_NONE && classification_open(encoded, &c);
	if (!known && s.reason == REASON_NONE)
		s.reason = REASON_UNKNOWN;
	evaluate(r, f, &s, known ? &c : NULL, NULL, &v);
	answer = conclude(r, f, &s, &v, known ? encoded : (struct bytes){ 0 }, &j);
	if (answer != JUDGED_WAIT)
		give(r, f, answer == JUDGED_ALLOW, &j);
}

/* What waited for room in the ring, or for the grants under a new policy, is judged from the start. */
void host_retry(struct relay *r, struct flow *f)
{
	struct statement s = kept(f);
	struct classification c;
	struct bytes encoded;
	struct hash128 key;

	if (!report_has_room(&r->report)) {
		relay_ready(r, f);
		return;
	}
	if (f->wait == WAIT_CLASSIFY && f->session->pending.asked)
		return;
	if (f->session->pending.approved) {
		host_release_approved(r, f);
		return;
	}
	if (s.reason != REASON_NONE) {
		host_judge_pending(r, f, (struct bytes){ 0 }, false);
		return;
	}
	if (classified(r, &s, &c, &encoded, &key)) {
		host_judge_pending(r, f, encoded, true);
		return;
	}
	wait_for(r, f, WAIT_CLASSIFY);
	ask_classify(r, f);
}

/* The kept statement with the session's state as it is now. */
static struct statement kept_now(struct flow *f)
{
	struct statement s = kept(f);

	if (f->session->inspector->state)
		s.state = f->session->inspector->state(f->session->memory, &s.in_transaction);
	return s;
}

/* Control wants to know what it would release. Nothing is said while that cannot be told: it asks again. */
void host_recheck(struct relay *r, struct flow *f)
{
	struct statement s = kept_now(f);
	uint8_t rules[2 * LIMIT_VERDICT_RULES];
	struct writer w = writer_of(rules, sizeof rules);
	struct classification c;
	struct bytes encoded = { 0 };
	struct hash128 key;
	struct verdict v;
	bool known;

	session_refresh_snapshot(r, f);
	if (f->kill_asked || f->session->groups_generation != f->snapshot->generation || !report_has_room(&r->report))
		return;
	known = s.reason == REASON_NONE && classified(r, &s, &c, &encoded, &key);
	if (!known && s.reason == REASON_NONE) {
		ask_classify(r, f);
		return;
	}
	evaluate(r, f, &s, known ? &c : NULL, NULL, &v);
	for (unsigned i = 0; i < v.rules_count; i++)
		writer_be16(&w, v.rules[i]);
	struct event_rechecked e = { .flow = f->id, .ref = f->session->pending.ref, .generation = f->snapshot->generation, .action = (uint8_t)v.action,
				     .transaction = s.in_transaction, .reason = (uint16_t)v.reason, .approval = (uint16_t)v.approval,
				     .rules = writer_done(&w), .state = s.state, .raw = s.raw, .params = s.params, .types = s.types };

	if (!report_rechecked(&r->report, &e, NULL))
		r->counters.drop[ERROR_ring_message_bad]++;
}

/* A person said yes. The verdict is made once more: a policy that now blocks it wins, and so does a session that moved on. */
void host_release_approved(struct relay *r, struct flow *f)
{
	static const char moved[] = "the state of the session changed after the approval: send the command again";
	struct statement s = kept_now(f);
	bool same = bytes_equal(s.state, kept(f).state);
	struct classification c;
	struct bytes encoded = { 0 };
	struct hash128 key;
	struct judgement j = { 0 };
	struct verdict v;
	bool known = classified(r, &s, &c, &encoded, &key);

	session_refresh_snapshot(r, f);
	if (r->refusing != REFUSING_NOTHING || f->session->suspended) {
		host_refuse_pending(r, f, bytes_str(f->session->suspended ? f->session->suspended_say : host_refusal(r)), false);
		return;
	}
	if (f->session->groups_generation != f->snapshot->generation) {
		f->session->pending.approved = true;
		wait_for(r, f, WAIT_GRANTS);
		return;
	}
	if (!known)
		s.reason = REASON_UNKNOWN;
	evaluate(r, f, &s, known ? &c : NULL, NULL, &v);
	fill(f, &v, f->session->pending.ref, encoded, &j);
	if (!same)
		j.say = bytes_str(moved);
	same &= v.action != COMMAND_BLOCK;
	r->counters.released += same;
	give(r, f, same, &j);
}

void host_refuse_pending(struct relay *r, struct flow *f, struct bytes say, bool cancelled)
{
	struct judgement j = { .n = f->session->pending.ref, .say = say.len ? say : bytes_str(host_refusal(r)), .cancelled = cancelled };
	bool recorded = f->wait == WAIT_APPROVAL || f->session->pending.approved;

	if (!recorded) {
		struct statement s = kept(f);
		struct verdict v = { .action = COMMAND_BLOCK, .reason = REASON_CONTROL_LOST };

		recorded = record(r, f, &s, &v, (struct bytes){ 0 }, &j.n);
	}
	f->session->own_words |= recorded && r->refusing != REFUSING_NOTHING && f->session->under_way == 1;
	if (recorded)
		give(r, f, false, &j);
	else
		relay_ready(r, f);
}

void host_withdraw(struct relay *r, struct flow *f, enum withdraw_cause cause)
{
	struct event_withdraw e = { .flow = f->id, .ref = f->session->pending.ref, .cause = (uint8_t)cause };

	if (!report_withdraw(&r->report, &e, NULL))
		r->counters.drop[ERROR_ring_message_bad]++;
}

static void responded(void *host, const struct inspect_response *a)
{
	struct flow *f = host;
	struct relay *r = f->relay;
	uint8_t masked[6 * 64];
	struct writer w = writer_of(masked, sizeof masked);
	uint64_t position;
	struct event_response e = {
		.flow = f->id, .n = f->n, .ref = a->ref, .outcome = (uint8_t)a->outcome, .status = a->status, .tag = a->tag,
		.rows = a->rows, .octets = a->octets, .duration_us = r->now_us - f->session->command_at_us,
		.limit = (uint8_t)a->limit,
	};

	barrier_sent_report(r, f);
	barrier_capture(r, f);
	e.truncated = f->session->captured_cut | (a->sent_cut ? RESPONSE_CUT_LIMIT : 0); /* also by what was said last */
	answer_none(f);
	for (unsigned i = 0; a->masked && i < a->masked_count; i++) {
		r->counters.masked_cells += a->masked[i];
		if (a->masked[i] && writer_space(&w) >= 6) {
			writer_be16(&w, (uint16_t)i);
			writer_be32(&w, a->masked[i]);
		}
	}
	e.masked = writer_done(&w);
	if (e.status.len > 32)
		e.status.len = 32;
	if (e.tag.len > 128)
		e.tag.len = 128;
	f->session->rows += a->rows;
	f->session->under_way -= f->session->under_way > 0;
	if (!report_response(&r->report, &e, &position)) {
		f->kill_asked = true; /* cannot be recorded: the session must not go on */
		return;
	}
	f->n++;
	barrier_conclude(r, f, position);
}

static bool sent(void *host, uint32_t ref, struct bytes data)
{
	struct flow *f = host;

	return barrier_sent(f->relay, f, ref, data);
}

static void login(void *host, const struct inspect_login *l)
{
	struct flow *f = host;
	struct relay *r = f->relay;
	char tls[64] = "";
	struct event_login e = { .flow = f->id, .n = f->n, .token = l->token, .user = l->user, .database = l->database,
				 .application = l->application };

	/* A token is not left lying in a ring that nobody reads. */
	if (r->refusing != REFUSING_NOTHING || r->room >= JOURNAL_ROOM_NO_SESSIONS) {
		session_demand_end(r, f, END_UNAVAILABLE, bytes_str(r->refusing != REFUSING_NOTHING ? host_refusal(r) : full_text));
		return;
	}
	tls_engine_describe(&f->session->tls[SIDE_CLIENT], tls, sizeof tls);
	e.tls = bytes_str(tls);
	if (!report_login(&r->report, &e, NULL)) {
		f->kill_asked = true;
		return;
	}
	f->n++;
	wait_for(r, f, WAIT_IDENTITY);
}

static void scram(void *host, struct bytes client_first_bare, struct bytes server_first)
{
	struct flow *f = host;
	struct event_scram e = { .flow = f->id, .client_first_bare = client_first_bare, .server_first = server_first };

	if (!report_scram(&f->relay->report, &e, NULL)) {
		f->kill_asked = true;
		return;
	}
	wait_for(f->relay, f, WAIT_PROOF);
}

static void start_tls(void *host, enum side side, bool named)
{
	struct flow *f = host;

	f->session->tls_wanted[side] = true;
	f->session->tls_named |= named && side == SIDE_CLIENT;
	f->session->plain_until[side] = f->session->out[side].written + (f->session->io ? f->session->io->out[side]->len : 0);
}

/* Nobody outside this worker can foresee it: its hash key is random and secret. So it need not be kept. */
static void issued_key(const struct flow *f, uint8_t *out)
{
	uint64_t part[2] = { f->id, 0 };

	for (unsigned i = 0; i < f->session->issued_len; i += 4) {
		uint32_t word = (uint32_t)hash64(f->relay->config.hash_key, part, sizeof part);

		memcpy(out + i, &word, f->session->issued_len - i < 4 ? f->session->issued_len - i : 4);
		part[1]++;
	}
}

static uint32_t cancel_issue(void *host, uint32_t process, struct bytes key, uint8_t *issued, size_t issued_len)
{
	struct flow *f = host;

	f->session->upstream_process = process;
	f->session->upstream_key = key.base;
	f->session->upstream_key_len = (uint16_t)key.len;
	f->session->issued_len = (uint8_t)(issued_len < INSPECT_ISSUED_BYTES ? issued_len : INSPECT_ISSUED_BYTES);
	issued_key(f, issued);
	return f->relay->config.worker << HOST_PROCESS_WORKER | (f->number + 1);
}

/* A cancel request of a session of `service` on any worker, for one on this worker. */
struct inspect_cancel host_cancel(struct relay *r, const struct relay_service *service, uint32_t process, struct bytes issued)
{
	uint32_t number = process & ((1u << HOST_PROCESS_WORKER) - 1);
	uint8_t good[INSPECT_ISSUED_BYTES];
	struct flow *f;

	if (process >> HOST_PROCESS_WORKER != r->config.worker || number == 0 || number > r->config.flows_max)
		return (struct inspect_cancel){ 0 };
	f = &r->flows[number - 1];
	news_hear(r, f);
	if (f->phase != FLOW_RUNNING || !f->session || !f->session->issued_len || !f->session->logged_in || f->service != service)
		return (struct inspect_cancel){ 0 };
	issued_key(f, good);
	if (!bytes_equal_secret(issued, bytes_of(good, f->session->issued_len)))
		return (struct inspect_cancel){ 0 };
	if (f->wait == WAIT_NONE && f->session->barriers[SIDE_SERVER] == 0)
		return (struct inspect_cancel){ .process = f->session->upstream_process, .key = bytes_of(f->session->upstream_key, f->session->upstream_key_len), .forward = true };
	if (f->wait == WAIT_APPROVAL) {
		f->session->cancel_asked = true;
		relay_ready(r, f);
	}
	return (struct inspect_cancel){ 0 };
}

static struct inspect_cancel cancel(void *host, uint32_t issued_process, struct bytes issued)
{
	struct flow *asking = host;
	struct relay *r = asking->relay;
	struct inspect_cancel c;

	if (issued_process >> HOST_PROCESS_WORKER == r->config.worker)
		return host_cancel(r, asking->service, issued_process, issued);
	c = peers_cancel(asking, issued_process, issued);
	if (c.later)
		wait_for(r, asking, WAIT_CANCEL);
	return c;
}

static bool share(void *host, struct bytes what)
{
	struct flow *f = host;

	if (peers_share(f, what))
		return true;
	session_demand_end(f->relay, f, END_UNAVAILABLE, bytes_str("another worker does not get on"));
	return false;
}

static bool share_room(void *host)
{
	return peers_share_room(((struct flow *)host)->relay);
}

static void *borrow(void *host, enum inspect_piece size)
{
	struct flow *f = host;
	void *piece = piece_take(&f->relay->pieces, size, f->session->pieces);

	f->session->pieces += piece != NULL;
	f->relay->counters.drop[ERROR_piece_short] += piece == NULL;
	return piece;
}

static void give_back(void *host, enum inspect_piece size, void *memory)
{
	struct flow *f = host;

	f->session->pieces--;
	piece_give(&f->relay->pieces, size, memory);
}

/* What a protocol keeps per service, on this worker; made when it is wanted first. NULL: it keeps nothing, or there is no memory. */
void *host_shared(struct relay *r, struct relay_service *service, const struct inspector *inspector)
{
	size_t bytes = (inspector->shared_bytes + 63) & ~(size_t)63;

	if (service->shared || bytes == 0 || r->shared_used + bytes > r->shared_max)
		return service->shared;
	service->shared = (uint8_t *)r->shared_memory + r->shared_used;
	service->shared_bytes = bytes;
	r->shared_used += bytes;
	return service->shared;
}

const struct inspect_host host_calls = {
	.judge = judge,
	.responded = responded,
	.login = login,
	.scram = scram,
	.start_tls = start_tls,
	.cancel_issue = cancel_issue,
	.cancel = cancel,
	.share = share,
	.share_room = share_room,
	.borrow = borrow,
	.give_back = give_back,
	.sent = sent,
};
