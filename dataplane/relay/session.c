/* The begin and the end of a flow's session. A session begins when both TCP halves are open, and is reported once at its
 * begin and once at its end; its memory is given back at the end, while TCP may still have a FIN to repeat. */
#include "dataplane/relay/conductor.h"

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
	*f = (struct flow){ .ready = f->ready, .next_ready = f->next_ready, .classify_link = f->classify_link,
			    .next_classify = f->next_classify, .news = r->news };
	f->relay = r;
	f->number = number;
	f->key = flow_key_of(p);
	if (!tcp_pair_open(&f->pair, &r->tcp[p->ip_version == 6], &r->pool, syn, r->now_us))
		return NULL;
	if (!flow_table_add(r->table, number)) {
		tcp_pair_release(&f->pair);
		return NULL;
	}
	r->free_count--;
	f->phase = FLOW_OPENING;
	room_enter(r, f, LISTED_OPENING);
	f->client_port = (uint8_t)port;
	f->id = ((uint64_t)r->config.worker << 56) | (++r->flow_serial << 24) | number;
	f->vlan = p->vlan_count ? p->vlan_tci[p->vlan_count - 1] & 0xfff : 0;
	f->client_address = p->source;
	f->server_address = p->destination;
	f->client_tcp_port = p->source_port;
	f->server_tcp_port = p->destination_port;
	f->family = p->ip_version;
	memcpy(f->client_mac, p->frame.base + 6, 6);
	packet_template_from(&f->wire[SIDE_SERVER], p);
	packet_template_reply(&f->wire[SIDE_CLIENT], p);
	f->env.service = service;
	f->service = known;
	if (r->config.splice == RELAY_SPLICE_ON && policy_service(image, service).protocol == POLICY_PROTOCOL_OPAQUE)
		tcp_pair_window_rule(&f->pair, TCP_WINDOW_FOLLOW);
	r->counters.flows_opened++;
	flight_open(&r->flight, f, r->now_us);
	flight_note(&r->flight, f, PAGE_FLIGHT_segment_in, SIDE_CLIENT, flight_segment(syn, syn->payload_bytes), syn->seq, r->now_us);
	return f;
}

/* The inspector's memory, its view of the policy, and the record that opens the session. */
static bool take_session(struct relay *r, struct flow *f)
{
	struct policy_service service = policy_service(f->env.snapshot->image, f->env.service);
	struct relay_service *known = f->service;
	bool small;

	f->inspector = inspector_find((const char *)service.protocol_word.base);
	small = f->inspector && f->inspector->session_bytes <= FLOW_SMALL_SESSION;
	if (!f->inspector || (!small && r->sessions_free == 0))
		return false;
	f->env.shared = host_shared(r, known, f->inspector);
	if (!f->env.shared && f->inspector->shared_bytes > 0)
		return false;
	f->session = small ? f->small_session : r->free_sessions[--r->sessions_free];
	memset(f->session, 0, f->inspector->session_bytes);
	return true;
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
	f->env.scratch = r->snapshot->scratch;
	f->env.hash_key = r->config.hash_key;
	f->env.now_us = r->now_us;
	if (f->phase != FLOW_OPENING || !report_has_room(&r->report) || !take_session(r, f) || (f->inspector->wordless && closed_to_new(r))) {
		r->counters.drop[ERROR_memory_shed]++;
		session_abort(r, f, CLOSE_RESET);
		return;
	}
	open = (struct event_flow_open){
		.flow = f->id, .n = f->n++, .generation = f->env.snapshot->generation, .service = f->env.service,
		.client = bytes_of(f->client_address.byte, address_bytes(f)), .client_port = be16toh(f->client_tcp_port),
		.target = bytes_of(f->server_address.byte, address_bytes(f)), .target_port = be16toh(f->server_tcp_port),
		.vlan = f->vlan, .client_mac = bytes_of(f->client_mac, 6),
	};
	if (!report_flow_open(&r->report, &open, &position)) {
		session_abort(r, f, CLOSE_RESET);
		return;
	}
	f->phase = FLOW_RUNNING;
	room_leave(r, f);
	/* What is relayed unread has no record but this one. */
	if (f->inspector->wordless && f->audit != POLICY_AUDIT_PROMPT)
		barrier_put(r, f, SIDE_SERVER, position);
	if (f->inspector->wordless && f->audit == POLICY_AUDIT_ANSWERS)
		barrier_put(r, f, SIDE_CLIENT, position);
	f->issued_len = 0;
	f->tls_named = false;
	f->inspector->open(f->session, &f->env, &host_calls, f);
	f->opaque = f->inspector->wordless;
}

/* The policy in force, with the service found again by its name: its number may have changed. */
void session_refresh_snapshot(struct relay *r, struct flow *f)
{
	const struct inspect_snapshot *now = &r->snapshot->inspect;
	int service;

	f->env.scratch = r->snapshot->scratch;
	if (f->env.snapshot == now && f->facts_generation == now->generation)
		return;
	service = policy_service_by_name(now->image, bytes_str(f->service->name));
	f->env.snapshot = now;
	if (service >= 0) {
		struct policy_service in_force = policy_service(now->image, (unsigned)service);

		if (f->session && f->opaque && in_force.protocol != POLICY_PROTOCOL_OPAQUE && in_force.protocol != POLICY_PROTOCOL_PASS && f->inspector->wordless)
			session_demand_end(r, f, END_KILLED, bytes_str("the policy has this service read now: connect again"));
		f->env.service = (unsigned)service;
		f->facts_generation = now->generation;
		f->audit = (uint8_t)in_force.audit;
		f->recorded = in_force.record == POLICY_RECORD_FULL;
		f->payload_bytes_max = in_force.payload_bytes_max;
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
	struct event_flow_close close = {
		.flow = f->id, .n = f->n++, .cause = f->cause, .octets_up = flow_octets(f, SIDE_SERVER),
		.octets_down = flow_octets(f, SIDE_CLIENT), .commands = f->commands, .rows = f->rows,
	};
	enum side side = f->tls[SIDE_CLIENT].failed ? SIDE_CLIENT : SIDE_SERVER;
	char text[256] = "";

	if (f->cause == CLOSE_TLS && f->tls[side].failed) {
		char reason[120];

		tls_engine_describe(&f->tls[side], reason, sizeof reason);
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
	if (f->session) {
		f->inspector->close(f->session);
		report_close(r, f);
		secret_wipe(f->session, f->inspector->session_bytes);
		f->upstream_key = NULL;
		f->issued_len = 0;
		if (f->session != f->small_session)
			r->free_sessions[r->sessions_free++] = f->session;
		f->session = NULL;
	}
	for (int side = 0; side < 2; side++) {
		stream_release(&f->in[side], &r->buffers);
		stream_release(&f->out[side], &r->buffers);
		tls_engine_close(&f->tls[side]);
	}
	stream_release(&f->pending.bytes, &r->buffers);
	session_hush(r, &f->kill_say);
	session_hush(r, &f->suspended_say);
	f->wait = WAIT_NONE;
	f->barriers[SIDE_CLIENT] = f->barriers[SIDE_SERVER] = 0;
	f->phase = FLOW_CLOSED;
	room_leave(r, f);
	flight_end(&r->flight, f, r->now_us);
}

/* Ends now, with a reset towards both ends. */
void session_abort(struct relay *r, struct flow *f, enum close_cause cause)
{
	session_end(r, f, cause);
	if (f->splice.on)
		tcp_splice_abort(&f->splice, &f->pair, r->now_us);
	tcp_pair_abort(&f->pair, TCP_CLIENT);
	tcp_pair_abort(&f->pair, TCP_SERVER);
	relay_ready(r, f);
}
