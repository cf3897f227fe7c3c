/* Set-up, frames to flows, and the turn. The order of a turn: orders first (they release what waits), then timers, then
 * the flows that have something to do. */
#include "dataplane/relay/conductor.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dataplane/flow/steer.h"
#include "platform/base/limits.h"

#define TICK_US 60000000u
#define AGAIN_US 10000u /* a timer whose flow finds no record */
#define EXPECT_FLOWS 2048u /* fewer stay in a processor's own cache */
#define EXPECT_BYTES offsetof(struct flow, vlan) /* what a frame of a spliced flow touches, and any frame first */

size_t relay_session_bytes(void)
{
	size_t bytes = 0;

	for (const struct inspector *const *i = inspectors; *i; i++)
		if (!(*i)->wordless && (*i)->session_bytes > bytes)
			bytes = (*i)->session_bytes;
	return (sizeof(struct flow_session) + bytes + 63) & ~(size_t)63;
}

/* The largest that any inspector borrows of each size. */
static void piece_sizes(size_t bytes[INSPECT_PIECES])
{
	bytes[INSPECT_PIECE_SMALL] = bytes[INSPECT_PIECE_LARGE] = 0;
	for (const struct inspector *const *i = inspectors; *i; i++)
		for (int size = 0; size < INSPECT_PIECES; size++)
			if ((*i)->piece_bytes[size] > bytes[size])
				bytes[size] = (*i)->piece_bytes[size];
}

uint32_t relay_sessions_in(uint64_t bytes)
{
	size_t piece[INSPECT_PIECES];

	piece_sizes(piece);
	return (uint32_t)(bytes / (relay_session_bytes() + piece[INSPECT_PIECE_SMALL] / RELAY_PIECES_SMALL + piece[INSPECT_PIECE_LARGE] / RELAY_PIECES_LARGE));
}

static uint32_t more_of(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static void *memory_of(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* Large pages where there are some: fewer misses, and a process that ends is taken down in a moment. */
	(void)madvise(p, bytes, MADV_HUGEPAGE);
	if (madvise(p, bytes, MADV_POPULATE_WRITE) != 0)
		memset(p, 0, bytes);
	(void)madvise(p, bytes, MADV_DONTDUMP);
	return p;
}

static bool take_pieces(struct relay *r)
{
	const struct relay_config *c = &r->config;
	uint32_t counts[INSPECT_PIECES] = { c->pieces[0], c->pieces[1] };
	size_t bytes[INSPECT_PIECES];

	piece_sizes(bytes);
	if (counts[0] == 0 && counts[1] == 0) {
		counts[0] = more_of(c->sessions_max / RELAY_PIECES_SMALL, RELAY_PIECES_LEAST);
		counts[1] = more_of(c->sessions_max / RELAY_PIECES_LARGE, RELAY_PIECES_LEAST / 4);
	}
	r->pieces_bytes = piece_pool_bytes(bytes, counts);
	if (r->pieces_bytes == 0)
		return true;
	r->piece_memory = memory_of(r->pieces_bytes);
	if (r->piece_memory)
		piece_pool_init(&r->pieces, r->piece_memory, bytes, counts);
	return r->piece_memory != NULL;
}

static bool take_memory(struct relay *r)
{
	const struct relay_config *c = &r->config;

	r->session_bytes = relay_session_bytes();
	r->flows = memory_of((size_t)c->flows_max * sizeof *r->flows);
	r->free_flows = calloc(c->flows_max, sizeof *r->free_flows);
	r->free_sessions = calloc(c->sessions_max, sizeof *r->free_sessions);
	r->session_memory = memory_of((size_t)c->sessions_max * r->session_bytes);
	r->shared_memory = memory_of(c->shared_bytes);
	r->shared_max = c->shared_bytes;
	r->chunk_memory = memory_of(c->chunk_memory_bytes);
	r->active_count = active_count(c);
	r->actives = memory_of((size_t)r->active_count * sizeof *r->actives);
	r->fragments = memory_of(packet_fragments_bytes());
	r->says_max = c->flows_max / RELAY_SAYS_SHARE + 64;
	r->says = memory_of((size_t)r->says_max * sizeof *r->says);
	r->cache_memory = memory_of(cache_bytes(CACHE_SLOTS));
	r->durable = calloc(RELAY_DURABLE_QUEUE, sizeof *r->durable);
	r->order_bytes = malloc(LIMIT_MESSAGE_BYTES);
	r->sent = malloc(RELAY_WINDOW_BYTES);
	r->report.scratch = malloc(LIMIT_MESSAGE_BYTES);
	r->table = r->flows ? flow_table_create(c->flows_max, c->hash_key, &r->flows->key, sizeof *r->flows) : NULL;
	if (!r->flows || !r->says || !r->free_flows || !r->free_sessions || !r->session_memory || !r->shared_memory || !r->chunk_memory ||
	    !r->actives || !r->fragments || !r->cache_memory || !r->durable || !r->order_bytes || !r->sent || !r->report.scratch || !r->table ||
	    !buffer_pool_create(&r->buffers, c->buffers) || !take_pieces(r))
		return false;
	for (uint32_t i = 0; i < c->flows_max; i++)
		r->free_flows[r->free_count++] = c->flows_max - 1 - i;
	active_init(r);
	for (uint32_t i = 0; i < r->says_max; i++) {
		r->says[i].next = r->free_say;
		r->free_say = &r->says[i];
	}
	for (uint32_t i = 0; i < c->sessions_max; i++)
		r->free_sessions[r->sessions_free++] = (struct flow_session *)(void *)((uint8_t *)r->session_memory + (size_t)i * r->session_bytes);
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
	r->opening_max = (active_count(config) < config->flows_max ? active_count(config) : config->flows_max) / 2;
	r->opening_mark = r->opening_max / (RELAY_OPENING_SHARE / 2);
	r->flight = (struct flight){ .file = config->flights, .flows = config->flight_flows < config->flows_max ? config->flight_flows : config->flows_max };
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
	r->presence.life = &((const struct ring_header *)down)->producer;
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
	for (unsigned i = 0; i < r->services.count; i++) {
		tls_context_destroy(r->services.of[i].server);
		tls_context_destroy(r->services.of[i].client);
	}
	for (uint32_t i = 0; r->flows && i < r->config.flows_max; i++)
		for (int side = 0; side < 2 && r->flows[i].session; side++)
			tls_engine_close(&r->flows[i].session->tls[side]);
	tls_library_destroy(r->tls);
	flow_table_destroy(r->table);
	buffer_pool_destroy(&r->buffers);
	unmap(r->flows, (size_t)r->config.flows_max * sizeof *r->flows);
	unmap(r->session_memory, (size_t)r->config.sessions_max * r->session_bytes);
	unmap(r->piece_memory, r->pieces_bytes);
	unmap(r->shared_memory, r->config.shared_bytes);
	unmap(r->says, (size_t)r->says_max * sizeof *r->says);
	unmap(r->fragments, packet_fragments_bytes());
	unmap(r->chunk_memory, r->config.chunk_memory_bytes);
	unmap(r->actives, (size_t)r->active_count * sizeof *r->actives);
	unmap(r->cache_memory, cache_bytes(CACHE_SLOTS));
	free(r->free_flows);
	free(r->free_sessions);
	free(r->durable);
	free(r->order_bytes);
	free(r->sent);
	free(r->report.scratch);
	free(r);
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
	room_leave(r, f);
	session_hush(r, &f->kill_say);
	if (f->active)
		tcp_pair_release(&f->active->pair);
	active_drop(r, f);
	flow_table_remove(r->table, f->number);
	wheel_clear(&f->timer);
	flight_free(&r->flight, f);
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
	/* Many half-open flows: a flood, or a server that does not answer. Each SYN costs more than any other packet, so what is left of
	 * a turn is for the flows that are open. */
	if (r->list[LISTED_OPENING].count > r->opening_mark && ++r->syns_this_turn > RELAY_SYNS_PER_TURN)
		return relay_drop(r, ERROR_syn_shed);
	if (tcp_pool_low(&r->pool))
		return relay_drop(r, ERROR_memory_shed);
	if (!room_for_records(r))
		return relay_drop(r, ERROR_record_shed);
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

	if (bad != ERROR_none) {
		flight_note(&r->flight, f, PAGE_FLIGHT_segment_bad, side, bad, 0, r->now_us);
		return relay_drop(r, bad);
	}
	if (segment.flags & (TCP_SYN | TCP_FIN | TCP_RST))
		flight_note(&r->flight, f, PAGE_FLIGHT_segment_in, side, flight_segment(&segment, segment.payload_bytes), segment.seq, r->now_us);
	if (f->splice.on && f->news != r->news)
		news_hear(r, f);
	if (f->splice.on && f->unspliced)
		return relay_drop(r, ERROR_active_short);
	if (f->splice.on)
		return splice_segment(r, side, p, checksum, f, &segment);
	if (!active_wake(r, f))
		return relay_drop(r, ERROR_active_short);
	events = tcp_pair_input(&f->active->pair, (enum tcp_side)side, &segment, r->now_us);
	if (events & TCP_EVENT_REOPEN) {
		session_end(r, f, CLOSE_RESET);
		relay_flow_free(r, f);
		return RELAY_BRIDGE;
	}
	if (side == SIDE_SERVER && f->phase == FLOW_OPENING)
		packet_template_reply(&f->active->wire[SIDE_SERVER], p);
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

uint64_t relay_flow_id(const struct relay *r, const struct packet *p)
{
	struct flow_key key = flow_key_of(p);
	uint32_t number = p->ip_version != 0 && p->protocol == PACKET_TCP && !p->fragment ? flow_table_find(r->table, &key) : FLOW_NONE;

	return number == FLOW_NONE ? 0 : r->flows[number].id;
}

struct passing_rules relay_passing(const struct relay *r)
{
	return (struct passing_rules){
		.image = r->snapshot ? r->snapshot->inspect.image : NULL, .guard = &r->guard, .unnamed_pass = r->config.unnamed == RELAY_UNNAMED_PASS,
		.tunnels_pass = r->config.tunnels == RELAY_TUNNELS_PASS, .double_tags_drop = r->config.double_tags == RELAY_DOUBLE_TAGS_DROP,
	};
}

static bool is_special(const struct packet *p)
{
	return (p->protocol != PACKET_TCP && p->protocol != PACKET_UDP) || p->fragment || p->extensions || p->vlan_count > 1;
}

/* A segment of a flow is that flow's, whatever the policy says by now; everything else is as the policy says. */
enum relay_route relay_classify(struct relay *r, unsigned port, const struct packet *p, enum packet_checksum checksum)
{
	struct passing_rules rules;
	struct passing answer;
	enum error why;

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
	rules = relay_passing(r);
	answer = passing_of(&rules, p);
	if (answer.what == PASSING_STRANGER)
		return stranger(r, port, p, checksum, answer.service);
	return answer.what == PASSING_BRIDGE ? RELAY_BRIDGE : relay_drop(r, answer.why);
}

static enum relay_route malformed(struct relay *r, const struct packet *p, enum error bad)
{
	struct passing_rules rules = relay_passing(r);
	struct passing answer = passing_malformed(&rules, p, bad);

	return answer.what == PASSING_BRIDGE ? RELAY_BRIDGE : relay_drop(r, answer.why);
}

static enum relay_route frame_of_ours(struct relay *r, unsigned port, const struct packet *parsed, enum error bad, enum packet_checksum checksum)
{
	enum relay_route route = RELAY_BRIDGE;

	/* Without a policy nothing is known to be guarded, and nothing may pass that could be: only what is not IP. */
	if (bad != ERROR_none)
		route = malformed(r, parsed, bad);
	else if (parsed->ip_version != 0)
		route = r->snapshot ? relay_classify(r, port, parsed, checksum) : relay_drop(r, ERROR_unnamed_port_guarded);
	r->counters.bridged += route == RELAY_BRIDGE;
	r->counters.taken += route == RELAY_TAKEN;
	return route == RELAY_SPLICED ? RELAY_BRIDGE : route;
}

bool relay_is_elsewhere(struct relay *r, const struct packet *p)
{
	return r->config.workers > 1 && steer_owner(p, r->config.workers, &r->elsewhere) && r->elsewhere != r->config.worker;
}

unsigned relay_elsewhere(const struct relay *r)
{
	return r->elsewhere;
}

void relay_expect(const struct relay *r, const struct bytes *frame, unsigned count)
{
	uint32_t expected[RELAY_EXPECT_MAX];
	unsigned keys = 0;

	if (relay_flows_open(r) < EXPECT_FLOWS)
		return;
	for (unsigned i = 0; i < count && i < RELAY_EXPECT_MAX; i++) {
		struct flow_key key;
		struct packet p;

		if (packet_parse(frame[i], &p) != ERROR_none || p.ip_version == 0 || p.protocol != PACKET_TCP || p.fragment)
			continue;
		key = flow_key_of(&p);
		expected[keys++] = flow_table_expect(r->table, &key);
	}
	for (unsigned i = 0; i < keys; i++) {
		uint32_t number = flow_table_guess(r->table, expected[i]);
		const uint8_t *at = (const uint8_t *)&r->flows[number];

		for (size_t line = 0; number != FLOW_NONE && line < EXPECT_BYTES; line += 64)
			__builtin_prefetch(at + line, 1);
	}
}

enum relay_route relay_frame(struct relay *r, unsigned port, struct bytes frame, enum packet_checksum checksum, uint64_t now_us)
{
	struct packet p;
	enum error bad = packet_parse(frame, &p);

	r->now_us = now_us;
	r->counters.frames++;
	if (bad == ERROR_none && p.ip_version != 0 && relay_is_elsewhere(r, &p)) {
		r->counters.handed_on++;
		return RELAY_ELSEWHERE;
	}
	return frame_of_ours(r, port, &p, bad, checksum);
}

enum relay_route relay_frame_handed(struct relay *r, unsigned port, struct bytes frame, enum packet_checksum checksum, uint64_t now_us)
{
	struct packet p;
	enum error bad = packet_parse(frame, &p);

	r->now_us = now_us;
	r->counters.handed_over++;
	return frame_of_ours(r, port, &p, bad, checksum);
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

static void due(struct relay *r, struct flow *f)
{
	unsigned events[2];

	if (!f->active && !f->splice.on && tcp_rest_over(&f->rest.tcp, r->now_us)) {
		session_end(r, f, CLOSE_RESET);
		relay_flow_free(r, f);
		return;
	}
	if (!active_wake(r, f)) {
		wheel_set(&r->wheel, &f->timer, r->now_us + AGAIN_US);
		return;
	}
	if (f->splice.on)
		tcp_splice_sync(&f->splice, &f->active->pair, r->now_us);
	tcp_pair_timer(&f->active->pair, r->now_us, events);
	relay_ready(r, f);
}

bool relay_turn(struct relay *r, uint64_t now_us)
{
	unsigned budget = RELAY_TIMERS_PER_TURN;
	struct wheel_entry *entry;
	bool did = false;

	r->now_us = now_us;
	if (r->wheel.now_ms == 0)
		wheel_init(&r->wheel, now_us);
	r->syns_this_turn = 0;
	did |= orders_take(r);
	orders_look_for_control(r);
	did |= news_visit(r);
	if (r->active_left < r->active_mark)
		active_sweep(r);
	while ((entry = wheel_next(&r->wheel, now_us, &budget))) {
		due(r, (struct flow *)((uint8_t *)entry - offsetof(struct flow, timer)));
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

bool relay_wants_snapshot(struct relay *r, uint64_t *generation, char *file, size_t cap)
{
	if (r->wanted_generation == 0)
		return false;
	/* The hash too: a worker may start with the image of an earlier installation's run directory. */
	if (r->snapshot && r->snapshot->inspect.generation == r->wanted_generation &&
	    memcmp(policy_hash(r->snapshot->inspect.image), r->wanted_hash, sizeof r->wanted_hash) == 0)
		return false;
	*generation = r->wanted_generation;
	snprintf(file, cap, "%s", r->wanted_file);
	return true;
}

const struct page_counters *relay_counters(const struct relay *r)
{
	return &r->counters;
}

void relay_publish(struct relay *r, struct page_worker *page, uint64_t now_us)
{
	page->counters = r->counters;
	page->flows_open = relay_flows_open(r);
	page->flows_max = r->config.flows_max;
	page->flows_opening = r->list[LISTED_OPENING].count;
	page->active_free = r->active_left;
	page->active_max = r->active_count;
	page->probe_longest = flow_table_worst_probe(r->table);
	page->sessions_free = r->sessions_free;
	page->sessions_max = r->config.sessions_max;
	page->chunks_free = r->pool.free_count;
	page->chunks_max = r->pool.chunk_count;
	for (int i = 0; i < BUFFER_SIZES; i++) {
		page->buffers_free[i] = r->buffers.free_count[i];
		page->buffers_max[i] = r->buffers.total[i];
	}
	for (int i = 0; i < PIECE_SIZES; i++) {
		page->pieces_free[i] = r->pieces.free_count[i];
		page->pieces_max[i] = r->pieces.total[i];
	}
	page->policy_generation = r->snapshot ? r->snapshot->inspect.generation : 0;
	flight_sweep(&r->flight, r->flows, RELAY_SWEEP_FLOWS, now_us);
}

uint32_t relay_flows_open(const struct relay *r)
{
	return r->config.flows_max - r->free_count;
}
