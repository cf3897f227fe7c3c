/* What control answers. Every order is copied out of the ring and checked before it is looked at; one that is malformed or
 * names a flow that is gone is counted and has no effect. */
#include "dataplane/relay/conductor.h"

#include <stdio.h>

/* The flow an order is about, if it is still that flow. */
static struct flow *flow_of(struct relay *r, uint64_t id)
{
	uint32_t number = (uint32_t)(id & 0xffffff);

	if (number >= r->config.flows_max || r->flows[number].id != id || r->flows[number].phase != FLOW_RUNNING)
		return NULL;
	flight_note(&r->flight, &r->flows[number], PAGE_FLIGHT_order, SIDE_CLIENT, r->order_type, 0, r->now_us);
	news_hear(r, &r->flows[number]);
	return &r->flows[number];
}

/* The same, if it is read: to others nothing but their end can be said. */
static struct flow *session_of(struct relay *r, uint64_t id)
{
	struct flow *f = flow_of(r, id);

	return f && f->session ? f : NULL;
}

void orders_await_durable(struct relay *r, const struct flow *f, uint64_t position)
{
	if (r->durable_tail - r->durable_head < RELAY_DURABLE_QUEUE) {
		r->durable[r->durable_tail++ % RELAY_DURABLE_QUEUE] = (struct durable_wait){ position, r->now_us, f->number };
		return;
	}
	if (r->durable_unlisted == 0)
		r->durable_unlisted = position;
	r->durable_unlisted_last = position;
}

/* Wakes whom the new durable position releases. Those for whom the queue had no room are found by a visit to all. */
static bool wake_durable(struct relay *r)
{
	unsigned woken = 0;

	for (; woken < RELAY_RECORDS_PER_TURN && r->durable_head != r->durable_tail; woken++, r->durable_head++) {
		const struct durable_wait *w = &r->durable[r->durable_head % RELAY_DURABLE_QUEUE];

		if (w->position > r->durable_position)
			break;
		relay_ready(r, &r->flows[w->number]);
		r->counters.durable++;
	}
	if (r->durable_unlisted > 0 && r->durable_unlisted <= r->durable_position) {
		r->durable_unlisted = r->durable_position < r->durable_unlisted_last ? r->durable_position + 1 : 0;
		news_tell(r);
	}
	return woken > 0;
}

static void take_durable(struct relay *r, const struct order_durable *m)
{
	if (m->position > r->durable_position)
		r->durable_position = m->position;
}

static void take_identity(struct relay *r, const struct order_identity *m)
{
	struct flow *f = session_of(r, m->flow);
	struct inspect_answer a = { .kind = ANSWER_IDENTITY, .allowed = m->accepted != 0 };

	if (!f)
		return;
	f->session->suspended = m->suspended != 0;
	if (f->session->suspended)
		session_say(r, &f->session->suspended_say, m->say);
	if (f->session->logged_in || f->wait == WAIT_GRANTS) { /* the same principal under another policy */
		f->session->groups = group_bits_read(m->groups);
		f->session->groups_generation = m->generation;
		if (!m->accepted)
			session_demand_end(r, f, END_KILLED, m->say);
		relay_ready(r, f);
		return;
	}
	if (f->wait != WAIT_IDENTITY)
		return;
	f->wait = WAIT_NONE;
	f->session->logged_in = m->accepted != 0;
	f->session->groups = group_bits_read(m->groups);
	f->session->groups_generation = m->generation;
	a.text = m->accepted ? m->upstream_user : m->say;
	pump_answer(r, f, &a);
}

static void take_proof(struct relay *r, const struct order_proof *m)
{
	struct flow *f = session_of(r, m->flow);
	struct inspect_answer a = { .kind = ANSWER_PROOF, .allowed = m->client_final.len > 0 };

	if (!f || f->wait != WAIT_PROOF)
		return;
	f->wait = WAIT_NONE;
	a.text = a.allowed ? m->client_final : m->say;
	a.more = m->server_signature;
	pump_answer(r, f, &a);
}

void orders_forget_classified(struct flow *f)
{
	if (!f->session->classify_link)
		return;
	*f->session->classify_link = f->session->next_classify;
	if (f->session->next_classify)
		f->session->next_classify->session->classify_link = f->session->classify_link;
	f->session->classify_link = NULL;
}

static void classify_list(struct flow **first, struct flow *f)
{
	orders_forget_classified(f);
	f->session->next_classify = *first;
	f->session->classify_link = first;
	if (f->session->next_classify)
		f->session->next_classify->session->classify_link = &f->session->next_classify;
	*first = f;
}

static struct flow **bucket_of(struct relay *r, uint64_t key_lo)
{
	return &r->classify_bucket[key_lo % RELAY_CLASSIFY_BUCKETS];
}

void orders_await_classified(struct relay *r, struct flow *f)
{
	classify_list(bucket_of(r, f->session->pending.exact.lo), f);
}

/* Whom this order may answer; who then comes with the same statement finds it in the cache, or asks for itself. */
static void begin_answering(struct relay *r, const struct order_classified *m)
{
	struct flow **first = bucket_of(r, m->key_lo);

	r->classify_answering = *first;
	if (*first)
		(*first)->session->classify_link = &r->classify_answering;
	*first = NULL;
}

/* Every flow that waits for this statement, some each turn. Flows leave the list when they are found to wait no longer. */
static bool take_classified(struct relay *r, const struct order_classified *m)
{
	struct hash128 key = { .hi = m->key_hi, .lo = m->key_lo };
	struct classification c;
	bool known = m->known && classification_open(m->classification, &c);
	struct flow *f;

	if (r->order_rest.len == 0) {
		if (known)
			(void)cache_put(r->cache, key, m->classification);
		begin_answering(r, m);
	}
	for (unsigned i = 0; i < RELAY_ANSWERS_PER_TURN && (f = r->classify_answering) != NULL; i++) {
		orders_forget_classified(f);
		news_hear(r, f);
		if (f->phase != FLOW_RUNNING || f->wait != WAIT_CLASSIFY)
			continue;
		if (f->session->pending.exact.hi != key.hi || f->session->pending.exact.lo != key.lo) {
			orders_await_classified(r, f);
			continue;
		}
		if (known && c.generic && (f->session->pending.generic.hi != key.hi || f->session->pending.generic.lo != key.lo))
			(void)cache_put(r->cache, f->session->pending.generic, m->classification);
		host_judge_pending(r, f, m->classification, known);
		relay_ready(r, f);
	}
	return r->classify_answering == NULL;
}

static void take_approval(struct relay *r, const struct order_approval *m)
{
	struct flow *f = session_of(r, m->flow);
	struct inspect_answer a = { .kind = ANSWER_NOTICE, .text = m->say };

	if (!f || f->wait != WAIT_APPROVAL || f->session->pending.ref != m->ref)
		return;
	switch (m->answer) {
	case APPROVAL_WAITING:
		pump_answer(r, f, &a);
		break;
	case APPROVAL_RELEASE:
		host_release_approved(r, f);
		break;
	case APPROVAL_RECHECK:
		host_recheck(r, f);
		break;
	case APPROVAL_REFUSE:
		host_refuse_pending(r, f, m->say, false);
		break;
	}
	relay_ready(r, f);
}

static bool name_of(struct bytes b, char *into, size_t cap)
{
	if (b.len == 0 || b.len >= cap)
		return false;
	memcpy(into, b.base, b.len);
	into[b.len] = 0;
	return true;
}

/* Parsing a key is slow for a poll loop, and happens once a day per service. */
static void take_certificate(struct relay *r, const struct order_certificate *m)
{
	char name[64], err[200];
	struct relay_service *s = name_of(m->service, name, sizeof name) ? relay_services_find(&r->services, r->config.hash_key, name, true) : NULL;
	struct tls_context *context;

	if (!s)
		return;
	context = tls_context_server(r->tls, m->chain, m->key, "postgresql", err, sizeof err);
	if (!context) {
		r->counters.drop[ERROR_ring_message_bad]++;
		return;
	}
	tls_context_destroy(s->server);
	s->server = context;
}

static void take_trust(struct relay *r, const struct order_trust *m)
{
	char name[64], err[200];
	struct relay_service *s = name_of(m->service, name, sizeof name) ? relay_services_find(&r->services, r->config.hash_key, name, true) : NULL;
	struct tls_context *context;

	if (!s)
		return;
	context = tls_context_client(r->tls, m->roots, err, sizeof err);
	if (!context) {
		r->counters.drop[ERROR_ring_message_bad]++;
		return;
	}
	tls_context_destroy(s->client);
	s->client = context;
}

static void take_kill(struct relay *r, const struct order_kill *m)
{
	struct flow *f = m->flow != 0 ? flow_of(r, m->flow) : NULL;

	if (f)
		session_demand_end(r, f, END_KILLED, m->say);
	else if (m->flow == 0)
		news_kill_all(r, m->say);
}

static void take_control(struct relay *r, const struct order_control *m)
{
	bool reborn = r->control_known && m->boot.len == sizeof r->control_boot && memcmp(r->control_boot, m->boot.base, m->boot.len) != 0;

	r->control_known = true;
	r->journal_writes = m->journal != 0;
	r->room = m->level < JOURNAL_ROOM_count ? (enum journal_room)m->level : JOURNAL_ROOM_NO_SESSIONS;
	if (m->boot.len == sizeof r->control_boot)
		memcpy(r->control_boot, m->boot.base, m->boot.len);
	if (reborn)
		news_control_reborn(r);
}

/* on_control_lost = "wait": for a while. */
static bool may_wait(const struct relay *r)
{
	return r->snapshot && policy_defaults(r->snapshot->inspect.image).on_control_lost == POLICY_LOST_WAIT &&
	       r->now_us - r->presence.lost_since_us <= r->config.lost_after_us;
}

/* Whether anything may be released now. When that ends, everybody who waits is looked at, once. */
void orders_look_for_control(struct relay *r)
{
	bool lost = presence_look(&r->presence, r->now_us, r->config.stalled_after_us, r->config.lost_after_us);
	enum refusing now = REFUSING_NOTHING;

	if (r->control_known && lost && !may_wait(r))
		now = REFUSING_LOST;
	else if (r->control_known && !r->journal_writes)
		now = REFUSING_JOURNAL;
	if (now == r->refusing)
		return;
	r->refusing = now;
	if (now != REFUSING_NOTHING)
		news_tell(r);
}

enum taken { TAKEN, TAKEN_PARTLY, TAKEN_BAD };

static enum taken dispatch(struct relay *r, uint16_t type, struct bytes payload)
{
	union {
		struct order_durable durable;
		struct order_identity identity;
		struct order_proof proof;
		struct order_classified classified;
		struct order_approval approval;
		struct order_certificate certificate;
		struct order_trust trust;
		struct order_snapshot snapshot;
		struct order_kill kill;
		struct order_control control;
	} m;

	r->order_type = type;
	switch (type) {
#define TAKE(name) \
	case ORDER_##name: \
		if (!order_##name##_decode(payload, &m.name)) \
			return TAKEN_BAD; \
		take_##name(r, &m.name); \
		return TAKEN;
	TAKE(durable)
	TAKE(identity)
	TAKE(proof)
	TAKE(approval)
	TAKE(certificate)
	TAKE(trust)
	TAKE(kill)
	TAKE(control)
#undef TAKE
	case ORDER_classified:
		if (!order_classified_decode(payload, &m.classified))
			return TAKEN_BAD;
		return take_classified(r, &m.classified) ? TAKEN : TAKEN_PARTLY;
	case ORDER_snapshot:
		if (!order_snapshot_decode(payload, &m.snapshot) || !name_of(m.snapshot.file, r->wanted_file, sizeof r->wanted_file))
			return TAKEN_BAD;
		r->wanted_generation = m.snapshot.generation;
		memset(r->wanted_hash, 0, sizeof r->wanted_hash);
		memcpy(r->wanted_hash, m.snapshot.hash.base, m.snapshot.hash.len < sizeof r->wanted_hash ? m.snapshot.hash.len : sizeof r->wanted_hash);
		return TAKEN;
	default:
		return TAKEN_BAD;
	}
}

/* One order, or the rest of the one before. False: it is not finished, and none is read behind it. */
static bool take_one(struct relay *r, uint16_t type, struct bytes payload)
{
	enum taken taken = dispatch(r, type, payload);

	r->counters.drop[ERROR_ring_message_bad] += taken == TAKEN_BAD;
	r->order_rest = taken == TAKEN_PARTLY ? payload : (struct bytes){ 0 };
	return taken != TAKEN_PARTLY;
}

bool orders_take(struct relay *r)
{
	bool did = r->order_rest.len > 0;
	struct bytes payload;
	uint64_t end = 0;
	uint16_t type;
	int taken = 0;

	if (did && !take_one(r, r->order_type, r->order_rest)) {
		(void)wake_durable(r);
		return true;
	}
	while (taken < RELAY_ORDERS_PER_TURN && ring_read(&r->orders, r->order_bytes, LIMIT_MESSAGE_BYTES, &type, &payload, &end)) {
		bool finished = take_one(r, type, payload);

		if (type == ORDER_certificate || type == ORDER_proof) {
			explicit_bzero(r->order_bytes, payload.len);
			ring_release_wiped(&r->orders, end);
		}
		taken++;
		if (!finished)
			break;
	}
	if (taken)
		ring_release(&r->orders, end);
	return wake_durable(r) || did || taken > 0;
}
