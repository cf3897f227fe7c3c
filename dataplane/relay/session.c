/* The begin and the end of a flow's session. A session begins when both TCP halves are open, and is reported once at its
 * begin and once at its end; its memory is given back at the end, while TCP may still have a FIN to repeat. */
#include "dataplane/relay/conductor.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>

#include "platform/base/secret.h"

/* Network order, as the policy wants addresses. */
static unsigned address_bytes(const struct flow *f)
{
	return f->family == 6 ? 16 : 4;
}

static void copy_name(char *into, size_t cap, struct bytes name)
{
	size_t len = name.len < cap - 1 ? name.len : cap - 1;

	if (len)
		memcpy(into, name.base, len);
	into[len] = 0;
}

struct flow *session_create(struct relay *r, unsigned port, const struct packet *p, const struct tcp_segment *syn, unsigned service)
{
	const struct policy_image *image = r->snapshot->inspect.image;
	struct relay_service *known;
	char name[sizeof known->name];
	uint32_t number;
	struct flow *f;

	copy_name(name, sizeof name, policy_service(image, service).name);
	known = relay_services_find(&r->services, r->config.hash_key, name, true);
	if (!known || !room_make(r))
		return NULL;
	number = r->free_flows[r->free_count - 1];
	f = &r->flows[number];
	/* It may still stand in a list from its last life; it is then looked at once for nothing. */
	*f = (struct flow){ .ready = f->ready, .next_ready = f->next_ready, .news = r->news };
	f->relay = r;
	f->number = number;
	f->key = flow_key_of(p);
	if (!active_begin(r, f))
		return NULL;
	if (!tcp_pair_open(&f->active->pair, &r->tcp[p->ip_version == 6], &r->pool, syn, r->now_us) || !flow_table_add(r->table, number)) {
		active_drop(r, f); /* a pair that was just opened holds nothing */
		return NULL;
	}
	r->free_count--;
	f->phase = FLOW_OPENING;
	room_enter(r, f, LISTED_OPENING);
	f->client_port = (uint8_t)port;
	f->id = ((uint64_t)r->config.worker << 56) | (++r->flow_serial << 24) | number;
	f->vlan = p->vlan_count ? p->vlan_tci[p->vlan_count - 1] & 0xfff : 0;
	f->client_is_low = memcmp(&f->key.low, &p->source, sizeof f->key.low) == 0 && f->key.low_port == p->source_port;
	f->family = p->ip_version;
	memcpy(f->client_mac, p->frame.base + 6, 6);
	packet_template_from(&f->active->wire[SIDE_SERVER], p);
	packet_template_reply(&f->active->wire[SIDE_CLIENT], p);
	f->service_number = service;
	f->service = known;
	if (r->config.splice == RELAY_SPLICE_ON && policy_service(image, service).protocol == POLICY_PROTOCOL_OPAQUE &&
	    policy_service(image, service).splice == POLICY_SPLICE_ON)
		tcp_pair_window_rule(&f->active->pair, TCP_WINDOW_FOLLOW);
	r->counters.flows_opened++;
	flight_open(&r->flight, f, r->now_us);
	flight_note(&r->flight, f, PAGE_FLIGHT_segment_in, SIDE_CLIENT, flight_segment(syn, syn->payload_bytes), syn->seq, r->now_us);
	return f;
}

/* What is read gets a record, with the inspector's memory behind it. */
static bool take_session(struct relay *r, struct flow *f)
{
	struct policy_service service = policy_service(f->snapshot->image, f->service_number);
	const struct inspector *inspector = inspector_find((const char *)service.protocol_word.base);
	struct flow_session *s;
	void *shared;

	if (!inspector)
		return false;
	f->opaque = inspector->wordless;
	if (f->opaque)
		return true;
	shared = host_shared(r, f->service, inspector);
	if (r->sessions_free == 0 || (!shared && inspector->shared_bytes > 0))
		return false;
	s = r->free_sessions[--r->sessions_free];
	memset(s, 0, sizeof *s + inspector->session_bytes);
	s->inspector = inspector;
	s->env = (struct inspect_env){ .snapshot = f->snapshot, .scratch = r->snapshot->scratch, .hash_key = r->config.hash_key,
				       .service = f->service_number, .shared = shared, .now_us = r->now_us };
	s->recorded = service.record == POLICY_RECORD_FULL;
	s->payload_bytes_max = service.payload_bytes_max;
	f->session = s;
	return true;
}

/* Wiped: it may have held what nobody else may see. */
static void give_session(struct relay *r, struct flow *f)
{
	struct flow_session *s = f->session;

	assert(s->pieces == 0); /* the inspector's `close` gave them back */
	for (int side = 0; side < 2; side++) {
		stream_release(&s->in[side], &r->buffers);
		stream_release(&s->out[side], &r->buffers);
		tls_engine_close(&s->tls[side]);
	}
	stream_release(&s->pending.bytes, &r->buffers);
	session_hush(r, &s->suspended_say);
	orders_forget_classified(f);
	secret_wipe(s, sizeof *s + s->inspector->session_bytes);
	r->free_sessions[r->sessions_free++] = s;
	f->session = NULL;
}

/* Who has words of its own is told at its login. */
static bool closed_to_new(const struct relay *r)
{
	return r->refusing != REFUSING_NOTHING || r->room >= JOURNAL_ROOM_NO_SESSIONS;
}

void session_begin(struct relay *r, struct flow *f)
{
	struct event_flow_open open;
	uint64_t position;

	session_refresh_snapshot(r, f);
	if (f->phase != FLOW_OPENING || !report_has_room(&r->report) || !take_session(r, f) || (!f->session && closed_to_new(r))) {
		r->counters.drop[ERROR_memory_shed]++;
		session_abort(r, f, CLOSE_RESET);
		return;
	}
	open = (struct event_flow_open){
		.flow = f->id, .n = f->n++, .generation = f->snapshot->generation, .service = f->service_number,
		.client = bytes_of(flow_address(f, SIDE_CLIENT)->byte, address_bytes(f)), .client_port = be16toh(flow_port(f, SIDE_CLIENT)),
		.target = bytes_of(flow_address(f, SIDE_SERVER)->byte, address_bytes(f)), .target_port = be16toh(flow_port(f, SIDE_SERVER)),
		.vlan = f->vlan, .client_mac = bytes_of(f->client_mac, 6),
	};
	if (!report_flow_open(&r->report, &open, &position)) {
		session_abort(r, f, CLOSE_RESET);
		return;
	}
	f->phase = FLOW_RUNNING;
	f->begun = true;
	room_leave(r, f);
	/* What is relayed unread has no record but this one. */
	if (!f->session && f->audit != POLICY_AUDIT_PROMPT)
		barrier_hold(r, f, position, f->audit == POLICY_AUDIT_ANSWERS);
	if (f->session)
		f->session->inspector->open(f->session->memory, &f->session->env, &host_calls, f);
}

/* The policy in force, with the service found again by its name: its number may have changed. */
void session_refresh_snapshot(struct relay *r, struct flow *f)
{
	const struct inspect_snapshot *now = &r->snapshot->inspect;
	int service;

	if (f->session)
		f->session->env.scratch = r->snapshot->scratch;
	if (f->snapshot == now && f->facts_generation == now->generation)
		return;
	service = policy_service_by_name(now->image, bytes_str(f->service->name));
	f->snapshot = now;
	if (f->session)
		f->session->env.snapshot = now;
	if (service >= 0) {
		struct policy_service in_force = policy_service(now->image, (unsigned)service);

		if (f->begun && !f->session && in_force.protocol != POLICY_PROTOCOL_OPAQUE && in_force.protocol != POLICY_PROTOCOL_PASS) {
			r->counters.drop[ERROR_unread_cut]++;
			session_demand_end(r, f, END_KILLED, bytes_str("the policy has this service read now: connect again"));
		}
		if (f->unspliced && in_force.splice == POLICY_SPLICE_ON)
			relay_ready(r, f);
		f->unspliced = in_force.splice == POLICY_SPLICE_OFF;
		if (f->splice.on && f->unspliced)
			splice_take_back(r, f);
		f->service_number = (unsigned)service;
		f->facts_generation = now->generation;
		f->audit = (uint8_t)in_force.audit;
		if (f->session) {
			f->session->env.service = f->service_number;
			f->session->recorded = in_force.record == POLICY_RECORD_FULL;
			f->session->payload_bytes_max = in_force.payload_bytes_max;
		}
		return;
	}
	session_demand_end(r, f, END_KILLED, bytes_str("the policy no longer names this service"));
}

static const char general_say[] = "stopped by the control plane, as many others: the operator knows why";

void session_say(struct relay *r, const char **slot, struct bytes say)
{
	union relay_say *mine;

	session_hush(r, slot);
	mine = r->free_say;
	if (!mine) {
		*slot = general_say;
		return;
	}
	r->free_say = mine->next;
	copy_name(mine->text, sizeof mine->text, say);
	*slot = mine->text;
}

void session_hush(struct relay *r, const char **slot)
{
	union relay_say *mine = (union relay_say *)(uintptr_t)*slot;

	if (mine && *slot != general_say) {
		mine->next = r->free_say;
		r->free_say = mine;
	}
	*slot = NULL;
}

void session_demand_end(struct relay *r, struct flow *f, enum inspect_end end, struct bytes say)
{
	if (!f->kill_asked) {
		f->kill_asked = true;
		f->kill_end = (uint8_t)end;
		session_say(r, &f->kill_say, say);
	}
	relay_ready(r, f);
}

static void report_close(struct relay *r, struct flow *f)
{
	const struct flow_session *s = f->session;
	struct event_flow_close close = {
		.flow = f->id, .n = f->n++, .cause = f->cause, .octets_up = flow_octets(f, SIDE_SERVER),
		.octets_down = flow_octets(f, SIDE_CLIENT), .commands = s ? s->commands : 0, .rows = s ? s->rows : 0,
	};
	enum side side = s && s->tls[SIDE_CLIENT].failed ? SIDE_CLIENT : SIDE_SERVER;
	char text[256] = "";

	if (f->cause == CLOSE_TLS && s && s->tls[side].failed) {
		char reason[120];

		tls_engine_describe(&s->tls[side], reason, sizeof reason);
		snprintf(text, sizeof text, "%s: %s", side == SIDE_CLIENT ? "client" : "server", reason);
	} else if (f->kill_asked) {
		snprintf(text, sizeof text, "%s", f->kill_say ? f->kill_say : "");
	} else if (f->cause == CLOSE_TLS) {
		snprintf(text, sizeof text, "server: it does not offer TLS");
	}
	close.text = bytes_str(text);
	if (!report_flow_close(&r->report, &close, NULL))
		r->counters.drop[ERROR_ring_message_bad]++; /* the reserve makes this impossible; the gap in `n` would show */
}

/* Reports the end and gives everything back but TCP. */
void session_end(struct relay *r, struct flow *f, enum close_cause cause)
{
	if (f->phase == FLOW_CLOSED || f->phase == FLOW_FREE)
		return;
	if (f->wait == WAIT_APPROVAL)
		host_withdraw(r, f, cause == CLOSE_SERVER ? WITHDRAW_SERVER_GONE : WITHDRAW_CLIENT_GONE);
	if (f->cause == CLOSE_CLIENT)
		f->cause = cause;
	if (f->session && f->begun)
		f->session->inspector->close(f->session->memory);
	if (f->begun)
		report_close(r, f);
	f->wait = WAIT_NONE;
	f->held_until = 0;
	f->phase = FLOW_CLOSED;
	room_leave(r, f);
	flight_end(&r->flight, f, r->now_us);
	if (f->session)
		give_session(r, f);
	session_hush(r, &f->kill_say);
}

/* Ends now, with a reset towards both ends. */
void session_abort(struct relay *r, struct flow *f, enum close_cause cause)
{
	session_end(r, f, cause);
	f->abort_asked = true;
	if (active_wake(r, f))
		session_reset(r, f);
	relay_ready(r, f);
}

void session_reset(struct relay *r, struct flow *f)
{
	f->abort_asked = false;
	if (f->splice.on)
		tcp_splice_abort(&f->splice, &f->active->pair, r->now_us);
	tcp_pair_abort(&f->active->pair, TCP_CLIENT);
	tcp_pair_abort(&f->active->pair, TCP_SERVER);
}
