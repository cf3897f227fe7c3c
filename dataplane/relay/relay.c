/* Set-up, frames to flows, and the turn. The order of a turn: orders first (they release what waits), then timers, then
 * the flows that have something to do. */
#include "dataplane/relay/conductor.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "platform/base/limits.h"

#define TICK_US 60000000u

static size_t largest_session(void)
{
	size_t bytes = 64;

	for (const struct inspector *const *i = inspectors; *i; i++)
		if ((*i)->session_bytes > bytes)
			bytes = (*i)->session_bytes;
	return (bytes + 63) & ~(size_t)63;
}

static void *memory_of(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, bytes, MADV_DONTDUMP);
	return p;
}

static bool take_memory(struct relay *r)
{
	const struct relay_config *c = &r->config;

	r->session_bytes = largest_session();
	r->flows = memory_of((size_t)c->flows_max * sizeof *r->flows);
	r->free_flows = calloc(c->flows_max, sizeof *r->free_flows);
	r->free_sessions = calloc(c->sessions_max, sizeof *r->free_sessions);
	r->session_memory = memory_of((size_t)c->sessions_max * r->session_bytes);
	r->shared_memory = memory_of(c->shared_bytes);
	r->shared_max = c->shared_bytes;
	r->chunk_memory = memory_of(c->chunk_memory_bytes);
	r->fragments = memory_of(packet_fragments_bytes());
	r->cache_memory = memory_of(cache_bytes(CACHE_SLOTS));
	r->durable = calloc(RELAY_DURABLE_QUEUE, sizeof *r->durable);
	r->order_bytes = malloc(LIMIT_MESSAGE_BYTES);
	r->report.scratch = malloc(LIMIT_MESSAGE_BYTES);
	r->table = flow_table_create(c->flows_max, c->hash_key);
	if (!r->flows || !r->free_flows || !r->free_sessions || !r->session_memory || !r->shared_memory || !r->chunk_memory ||
	    !r->fragments || !r->cache_memory || !r->durable || !r->order_bytes || !r->report.scratch || !r->table ||
	    !buffer_pool_create(&r->buffers, c->buffers))
		return false;
	for (uint32_t i = 0; i < c->flows_max; i++)
		r->free_flows[r->free_count++] = c->flows_max - 1 - i;
	for (uint32_t i = 0; i < c->sessions_max; i++)
		r->free_sessions[r->sessions_free++] = (uint8_t *)r->session_memory + (size_t)i * r->session_bytes;
	return true;
}

/* Orders that were meant for an earlier life of this worker name flows that are gone; they are read and have no effect. */
static bool say_hello(struct relay *r)
{
	struct event_hello hello = { .worker = (uint16_t)r->config.worker, .boot = bytes_of(r->config.boot, 16) };

	return report_hello(&r->report, &hello, NULL);
}

struct relay *relay_create(const struct relay_config *config, const struct relay_wire *wire, void *up, void *down, char *err, size_t err_len)
{
	struct relay *r = calloc(1, sizeof *r);

	if (!r || config->flows_max >= 1u << 24) {
		snprintf(err, err_len, "worker %u: no memory", config->worker);
		free(r);
		return NULL;
	}
	r->config = *config;
	r->wire = *wire;
	if (!take_memory(r)) {
		snprintf(err, err_len, "worker %u: not enough memory for %u flows: lower flows_max or chunk_memory", config->worker, config->flows_max);
		relay_destroy(r);
		return NULL;
	}
	r->fragments = packet_fragments_init(r->fragments);
	tcp_pool_init(&r->pool, r->chunk_memory, config->chunk_memory_bytes);
	for (int v6 = 0; v6 < 2; v6++) {
		r->tcp[v6] = tcp_config_default();
		r->tcp[v6].receive_bytes_max = r->tcp[v6].send_bytes_max = config->window_bytes;
		r->tcp[v6].mss_max = (uint16_t)packet_mss(v6 ? 6 : 4, config->mtu_bytes);
	}
	r->cache = cache_init(r->cache_memory, CACHE_SLOTS, config->hash_key);
	r->tls = tls_library_create();
	if (!r->cache || !r->tls || !ring_attach_producer(&r->report.ring, up, LIMIT_RING_UP_BYTES) ||
	    !ring_attach_consumer(&r->orders, down, LIMIT_RING_DOWN_BYTES) || !say_hello(r)) {
		snprintf(err, err_len, "worker %u: the rings cannot be used: remove the run directory's ring files and start again", config->worker);
		relay_destroy(r);
		return NULL;
	}
	return r;
}

static void unmap(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

void relay_destroy(struct relay *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < r->services; i++) {
		tls_context_destroy(r->service[i].server);
		tls_context_destroy(r->service[i].client);
	}
	for (uint32_t i = 0; r->flows && i < r->config.flows_max; i++)
		for (int side = 0; side < 2; side++)
			tls_engine_close(&r->flows[i].tls[side]);
	tls_library_destroy(r->tls);
	flow_table_destroy(r->table);
	buffer_pool_destroy(&r->buffers);
	unmap(r->flows, (size_t)r->config.flows_max * sizeof *r->flows);
	unmap(r->session_memory, (size_t)r->config.sessions_max * r->session_bytes);
	unmap(r->shared_memory, r->config.shared_bytes);
	unmap(r->fragments, packet_fragments_bytes());
	unmap(r->chunk_memory, r->config.chunk_memory_bytes);
	unmap(r->cache_memory, cache_bytes(CACHE_SLOTS));
	free(r->free_flows);
	free(r->free_sessions);
	free(r->durable);
	free(r->order_bytes);
	free(r->report.scratch);
	free(r);
}

struct relay_service *relay_service_of(struct relay *r, const char *name, bool make)
{
	for (unsigned i = 0; i < r->services; i++)
		if (strcmp(r->service[i].name, name) == 0)
			return &r->service[i];
	if (!make || r->services == RELAY_SERVICES_MAX || strlen(name) >= sizeof r->service[0].name)
		return NULL;
	snprintf(r->service[r->services].name, sizeof r->service[0].name, "%s", name);
	return &r->service[r->services++];
}

void relay_ready(struct relay *r, struct flow *f)
{
	if (f->ready)
		return;
	f->ready = true;
	f->next_ready = NULL;
	if (r->ready_last)
		r->ready_last->next_ready = f;
	else
		r->ready_first = f;
	r->ready_last = f;
}

void relay_classify_list(struct relay *r, struct flow *f)
{
	if (f->classify_listed)
		return;
	f->classify_listed = true;
	f->next_classify = r->classify_first;
	r->classify_first = f;
}

static struct flow *next_ready(struct relay *r)
{
	struct flow *f = r->ready_first;

	if (!f)
		return NULL;
	r->ready_first = f->next_ready;
	if (!r->ready_first)
		r->ready_last = NULL;
	f->ready = false;
	return f;
}

void relay_flow_free(struct relay *r, struct flow *f)
{
	tcp_pair_release(&f->pair);
	flow_table_remove(r->table, &f->key);
	wheel_clear(&f->timer);
	if (r->recent == f)
		r->recent = NULL;
	f->phase = FLOW_FREE;
	f->id = 0;
	r->free_flows[r->free_count++] = f->number;
}

/* --- Frames --- */

enum relay_route relay_drop(struct relay *r, enum error why)
{
	r->counters.drop[why]++;
	return RELAY_DROPPED;
}

/* A segment of no flow at a guarded service: its sender is told, so that it does not wait for us. */
static enum relay_route midstream(struct relay *r, unsigned port, const struct packet *p, const struct tcp_segment *segment)
{
	struct tcp_segment refusal;
	struct packet_template t;
	size_t cap = 0;
	uint8_t *room;

	if (r->config.midstream == RELAY_MIDSTREAM_RESET && packet_segment_refusal(segment, &refusal)) {
		room = r->wire.room(r->wire.context, port, &cap);
		if (room) {
			packet_template_reply(&t, p);
			r->wire.send(r->wire.context, port, packet_build(&t, &refusal, room, cap, PACKET_BUILD_FULL).bytes);
		}
	}
	return relay_drop(r, ERROR_midstream_guarded);
}

static int service_at(struct relay *r, const struct packet *p, bool source)
{
	const struct packet_address *a = source ? &p->source : &p->destination;
	uint16_t port = be16toh(source ? p->source_port : p->destination_port);
	uint16_t vlan = p->vlan_count ? p->vlan_tci[p->vlan_count - 1] & 0xfff : 0;

	return policy_service_find(r->snapshot->inspect.image, p->ip_version, a->byte, port,
				   p->protocol == PACKET_UDP ? POLICY_UDP : POLICY_TCP, vlan);
}

static bool inspected(struct relay *r, int service)
{
	return service >= 0 && policy_service(r->snapshot->inspect.image, (unsigned)service).protocol != POLICY_PROTOCOL_PASS;
}

/* TCP of no flow, from or to an inspected service: `service` is -1 when it comes from there. */
static enum relay_route stranger(struct relay *r, unsigned port, const struct packet *p, enum packet_checksum checksum, int service)
{
	struct tcp_segment segment;
	enum error bad = packet_segment(p, checksum, &segment);
	struct flow *f;

	if (bad != ERROR_none)
		return relay_drop(r, bad);
	if ((segment.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN || service < 0)
		return midstream(r, port, p, &segment);
	f = session_create(r, port, p, &segment, (unsigned)service);
	if (!f)
		return relay_drop(r, r->free_count ? ERROR_memory_shed : ERROR_flow_table_full);
	relay_ready(r, f);
	return RELAY_TAKEN;
}

/* A segment of a flow. RELAY_BRIDGE: it was the last of that flow's, and opens a new one. */
static enum relay_route known(struct relay *r, unsigned port, const struct packet *p, enum packet_checksum checksum, struct flow *f)
{
	struct tcp_segment segment;
	enum error bad = packet_segment(p, checksum, &segment);
	enum side side = port == f->client_port ? SIDE_CLIENT : SIDE_SERVER;
	unsigned events;

	if (bad != ERROR_none)
		return relay_drop(r, bad);
	events = tcp_pair_input(&f->pair, (enum tcp_side)side, &segment, r->now_us);
	if (events & TCP_EVENT_REOPEN) {
		session_end(r, f, CLOSE_RESET);
		relay_flow_free(r, f);
		return RELAY_BRIDGE;
	}
	if (side == SIDE_SERVER && f->phase == FLOW_OPENING)
		packet_template_reply(&f->wire[SIDE_SERVER], p);
	relay_ready(r, f);
	return RELAY_TAKEN;
}

static struct flow *flow_of(struct relay *r, const struct packet *p)
{
	struct flow_key key = flow_key_of(p);
	uint32_t number;

	if (r->recent && flow_key_equal(&r->recent->key, &key))
		return r->recent;
	number = flow_table_find(r->table, &key);
	if (number == FLOW_NONE)
		return NULL;
	r->recent = &r->flows[number];
	return r->recent;
}

static bool is_special(const struct packet *p)
{
	return (p->protocol != PACKET_TCP && p->protocol != PACKET_UDP) || p->fragment || p->extensions || p->vlan_count > 1;
}

/* A segment of a flow is that flow's, whatever the policy says by now; everything else is as the policy says. */
enum relay_route relay_classify(struct relay *r, unsigned port, const struct packet *p, enum packet_checksum checksum)
{
	const struct policy_image *image = r->snapshot->inspect.image;
	enum error why;
	bool to, from;
	int service;

	if (is_special(p)) {
		switch (special_look(r, port, p, &why)) {
		case RELAY_SPECIAL_PASS:
			return RELAY_BRIDGE;
		case RELAY_SPECIAL_DROP:
			return relay_drop(r, why);
		case RELAY_SPECIAL_FRAGMENT:
			return special_fragment(r, port, p);
		case RELAY_SPECIAL_NOT:
			break;
		}
	}
	if (!guard_maybe(&r->guard, &p->destination) && !guard_maybe(&r->guard, &p->source))
		return RELAY_BRIDGE;
	if (p->protocol == PACKET_TCP && !p->fragment && !p->vlan_deep) {
		struct flow *f = flow_of(r, p);
		enum relay_route route = f ? known(r, port, p, checksum, f) : RELAY_BRIDGE;

		if (route != RELAY_BRIDGE)
			return route;
	}
	to = policy_target_guarded(image, p->ip_version, p->destination.byte);
	from = policy_target_guarded(image, p->ip_version, p->source.byte);
	if (!to && !from)
		return RELAY_BRIDGE;
	if (p->vlan_deep)
		return relay_drop(r, ERROR_vlan_deep);
	if (p->protocol == PACKET_ICMP || p->protocol == PACKET_ICMP6)
		return p->fragment ? relay_drop(r, ERROR_fragment_guarded) : RELAY_BRIDGE;
	/* What comes from a guarded target may be an answer that nobody read, unless it is surely neither TCP nor hides it. */
	if (p->fragment || (p->extensions && p->protocol != PACKET_TCP))
		return to || p->protocol != PACKET_UDP ? relay_drop(r, ERROR_fragment_guarded) : RELAY_BRIDGE;
	if (p->protocol != PACKET_TCP && p->protocol != PACKET_UDP)
		return to ? relay_drop(r, ERROR_tunnel_guarded) : RELAY_BRIDGE;
	service = to ? service_at(r, p, false) : -1;
	if (p->protocol == PACKET_TCP && inspected(r, service))
		return stranger(r, port, p, checksum, service);
	if (p->protocol == PACKET_TCP && from && inspected(r, service_at(r, p, true)))
		return stranger(r, port, p, checksum, -1);
	if (service >= 0 || !to || r->config.unnamed == RELAY_UNNAMED_PASS)
		return RELAY_BRIDGE;
	/* What a guarded target's own connections get back has no SYN alone; only new connections to it are refused. */
	if (p->protocol == PACKET_TCP && p->frame.len > p->l4_offset + 13u && (p->frame.base[p->l4_offset + 13] & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return RELAY_BRIDGE;
	return relay_drop(r, ERROR_unnamed_port_guarded);
}

/* What could not be read, but a host behind us may read it more generously. Nobody is guarded by an address that was cut off. */
static enum relay_route malformed(struct relay *r, const struct packet *p, enum error bad)
{
	bool guarded = !r->snapshot || guard_maybe(&r->guard, &p->destination) || guard_maybe(&r->guard, &p->source);

	if (bad == ERROR_vlan_deep || (bad == ERROR_bad_ip_header && guarded))
		return relay_drop(r, bad);
	return RELAY_BRIDGE;
}

enum relay_route relay_frame(struct relay *r, unsigned port, struct bytes frame, enum packet_checksum checksum, uint64_t now_us)
{
	enum relay_route route = RELAY_BRIDGE;
	struct packet p;
	enum error bad = packet_parse(frame, &p);

	r->now_us = now_us;
	r->counters.frames++;
	/* Without a policy nothing is known to be guarded, and nothing may pass that could be: only what is not IP. */
	if (bad != ERROR_none)
		route = malformed(r, &p, bad);
	else if (p.ip_version != 0)
		route = r->snapshot ? relay_classify(r, port, &p, checksum) : relay_drop(r, ERROR_unnamed_port_guarded);
	r->counters.bridged += route == RELAY_BRIDGE;
	r->counters.taken += route == RELAY_TAKEN;
	return route;
}

/* --- The turn --- */

static void tick(struct relay *r)
{
	struct event_tick t = {
		.worker = (uint16_t)r->config.worker, .packets = r->counters.frames, .flows_open = relay_flows_open(r),
		.commands = r->counters.commands, .blocked = r->counters.blocked, .held = r->counters.held,
		.released = r->counters.released, .events = r->report.events, .durable = r->durable_position,
	};

	if (r->now_us < r->tick_at_us)
		return;
	r->tick_at_us = r->now_us + TICK_US;
	if (!report_tick(&r->report, &t, NULL))
		r->tick_at_us = r->now_us + TICK_US / 60;
}

bool relay_turn(struct relay *r, uint64_t now_us)
{
	unsigned budget = RELAY_TIMERS_PER_TURN;
	struct wheel_entry *entry;
	bool did = false;

	r->now_us = now_us;
	if (r->wheel.now_ms == 0)
		wheel_init(&r->wheel, now_us);
	did |= orders_take(r);
	while ((entry = wheel_next(&r->wheel, now_us, &budget))) {
		struct flow *f = (struct flow *)((uint8_t *)entry - offsetof(struct flow, timer));
		unsigned events[2];

		tcp_pair_timer(&f->pair, now_us, events);
		relay_ready(r, f);
		did = true;
	}
	for (int i = 0; i < RELAY_FLOWS_PER_TURN; i++) {
		struct flow *f = next_ready(r);

		if (!f)
			break;
		did = true;
		if (f->phase != FLOW_FREE)
			pump(r, f);
	}
	tick(r);
	return did;
}

const struct relay_snapshot *relay_swap_snapshot(struct relay *r, const struct relay_snapshot *next)
{
	const struct relay_snapshot *before = r->snapshot;

	r->snapshot = next;
	guard_fill(&r->guard, next->inspect.image);
	for (uint32_t i = 0; i < r->config.flows_max; i++) {
		struct flow *f = &r->flows[i];

		if (f->phase != FLOW_FREE)
			guard_add(&r->guard, &f->server_address);
		if (f->phase == FLOW_OPENING)
			f->env.snapshot = NULL;
		if (f->phase == FLOW_RUNNING || f->phase == FLOW_ENDING) {
			session_refresh_snapshot(r, f);
			relay_ready(r, f);
		}
	}
	return before;
}

bool relay_wants_snapshot(struct relay *r, uint64_t *generation, char *file, size_t cap)
{
	if (r->wanted_generation == 0 || (r->snapshot && r->snapshot->inspect.generation == r->wanted_generation))
		return false;
	*generation = r->wanted_generation;
	snprintf(file, cap, "%s", r->wanted_file);
	return true;
}

const struct relay_counters *relay_counters(const struct relay *r)
{
	return &r->counters;
}

uint32_t relay_flows_open(const struct relay *r)
{
	return r->config.flows_max - r->free_count;
}
