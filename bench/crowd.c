#include "bench/crowd.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PORT_FIRST 10000u
#define PORTS 50000u
#define HEADERS_BYTES 54
#define SEGMENTS_PER_TURN 64
#define READY_PER_TURN 2048
#define BURSTS_PER_TURN 8
#define FREE_SLOTS_MIN 2048u /* fewer would be used again too soon; more would miss the caches */
#define TIMERS_PER_TURN 4096
#define REST_US 300000u
#define QUIET_US 20000u

static const uint8_t service_address[4] = { 10, 77, 0, 10 };

void crowd_headers(uint8_t out[HEADERS_BYTES], uint32_t slot, uint8_t protocol, const uint8_t address[4], uint16_t port)
{
	static const uint8_t like[HEADERS_BYTES] = {
		2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
		0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 0, 0, 0, 10, 80, 0, 2, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, TCP_SYN, 0xff, 0xff, 0, 0, 0, 0,
	};
	uint16_t from = (uint16_t)(PORT_FIRST + slot % PORTS);

	memcpy(out, like, HEADERS_BYTES);
	out[23] = protocol;
	out[28] = (uint8_t)(slot / PORTS);
	memcpy(out + 30, address, 4);
	out[34] = (uint8_t)(from >> 8);
	out[35] = (uint8_t)from;
	out[36] = (uint8_t)(port >> 8);
	out[37] = (uint8_t)port;
}

/* UINT32_MAX: no client of ours. */
static uint32_t slot_of(const struct crowd *c, const struct packet_address *address, uint16_t port)
{
	const uint8_t *b = address->byte, *p = (const uint8_t *)&port;
	uint32_t number = ((uint32_t)p[0] << 8 | p[1]) - PORT_FIRST, slot = b[2] * PORTS + number;

	return b[0] == 10 && b[1] == 80 && b[3] == 2 && number < PORTS && slot < c->slots ? slot : UINT32_MAX;
}

static void *memory_of(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

struct crowd *crowd_create(struct ports *ports, uint32_t slots, size_t pool_bytes)
{
	struct crowd *c = calloc(1, sizeof *c);
	void *chunks = memory_of(pool_bytes);

	if (!c || !chunks)
		return NULL;
	c->ports = ports;
	c->slots = slots;
	c->pool_memory = chunks;
	c->pool_bytes = pool_bytes;
	c->client = memory_of(slots * sizeof *c->client);
	c->server = memory_of(slots * sizeof *c->server);
	c->free_slots = calloc(slots, sizeof *c->free_slots);
	if (!c->client || !c->server || !c->free_slots)
		return NULL;
	c->config = endpoint_config();
	(void)tcp_pool_init(&c->pool, chunks, pool_bytes);
	c->ways = (struct endpoint_ways){ &c->config, &c->pool };
	c->rest_us = REST_US;
	c->now_us = port_now_us();
	wheel_init(&c->wheel, c->now_us);
	return c;
}

void crowd_destroy(struct crowd *c)
{
	munmap(c->pool_memory, c->pool_bytes);
	munmap(c->client, c->slots * sizeof *c->client);
	munmap(c->server, c->slots * sizeof *c->server);
	free(c->free_slots);
	free(c);
}

struct crowd_end *crowd_peer(struct crowd *c, const struct crowd_end *e)
{
	return e->server ? &c->client[e->slot] : &c->server[e->slot];
}

void crowd_ready(struct crowd *c, struct crowd_end *e)
{
	if (e->ready)
		return;
	e->ready = true;
	e->next_ready = NULL;
	if (c->ready_last)
		c->ready_last->next_ready = e;
	else
		c->ready_first = e;
	c->ready_last = e;
}

/* What is left of its last life is its place in the list of those that are ready. */
static void begin(struct crowd_end *e, uint32_t slot, bool server, uint64_t now_us)
{
	e->slot = slot;
	e->server = server;
	e->used = true;
	e->step = 0;
	e->events = 0;
	e->seed = e->got = e->put = 0;
	e->began_us = now_us;
}

static void leave(struct crowd *c, struct crowd_end *e)
{
	wheel_clear(&e->timer);
	endpoint_release(&e->tcp);
	e->used = false;
	if (e->server) {
		c->servers--;
		return;
	}
	c->clients--;
	c->free_slots[(c->free_first + c->free_count++) % c->slots] = e->slot;
}

/* Numbers that grow with time, as RFC 6528 wants them: a slot that is used again is known as new. */
static uint32_t isn_of(const struct crowd *c, uint32_t slot)
{
	return (uint32_t)(c->now_us >> 2) + slot * 2654435761u;
}

struct crowd_end *crowd_connect(struct crowd *c)
{
	uint8_t headers[HEADERS_BYTES];
	struct packet_template wire;
	struct crowd_end *e;
	struct packet p;

	if (c->free_count < FREE_SLOTS_MIN && c->known_slots < c->slots)
		c->free_slots[(c->free_first + c->free_count++) % c->slots] = c->known_slots++;
	if (c->free_count == 0)
		return NULL;
	e = &c->client[c->free_slots[c->free_first]];
	crowd_headers(headers, c->free_slots[c->free_first], PACKET_TCP, service_address, CROWD_SERVICE_PORT);
	if (packet_parse(bytes_of(headers, sizeof headers), &p) != ERROR_none)
		return NULL;
	packet_template_from(&wire, &p);
	begin(e, c->free_slots[c->free_first], false, c->now_us);
	if (!endpoint_connect(&e->tcp, &c->ways, &wire, isn_of(c, e->slot), c->now_us)) {
		e->used = false;
		return NULL;
	}
	c->free_first = (c->free_first + 1) % c->slots;
	c->free_count--;
	c->clients++;
	crowd_ready(c, e);
	return e;
}

void crowd_abort(struct crowd *c, struct crowd_end *e)
{
	endpoint_abort(&e->tcp, c->now_us);
	crowd_ready(c, e);
}

/* --- Frames --- */

struct leaving {
	struct crowd *crowd;
	struct packet_template *wire;
	unsigned port;
};

static bool emit(void *context, const struct tcp_segment *segment)
{
	struct leaving *l = context;
	size_t cap = 0;
	uint8_t *room = port_room(l->crowd->ports, l->port, &cap);

	if (!room) {
		l->crowd->counters.refused++;
		return l->crowd->lossy;
	}
	port_send(l->crowd->ports, l->port, packet_build(l->wire, segment, room, cap, PACKET_BUILD_FULL).bytes);
	l->crowd->counters.frames_out++;
	return true;
}

static unsigned wire_of(bool server)
{
	return server ? 1 - CROWD_CLIENT_WIRE : CROWD_CLIENT_WIRE;
}

/* Nobody is there: said so, as any host would. */
static void stray(struct crowd *c, bool server, const struct packet *p, const struct tcp_segment *segment)
{
	struct tcp_segment refusal;
	struct packet_template back;
	struct leaving l = { c, &back, wire_of(server) };

	c->counters.strays++;
	if (!packet_segment_refusal(segment, &refusal))
		return;
	packet_template_reply(&back, p);
	(void)emit(&l, &refusal);
}

static void arrive_at(struct crowd *c, struct crowd_end *e, bool server, uint32_t slot, const struct packet *p, const struct tcp_segment *segment)
{
	unsigned events = e->used ? endpoint_input(&e->tcp, segment, c->now_us) : 0;

	if (e->used && events & TCP_EVENT_REOPEN)
		leave(c, e);
	if (!e->used && server && (segment->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN) {
		begin(e, slot, true, c->now_us);
		e->used = endpoint_accept(&e->tcp, &c->ways, p, segment, isn_of(c, ~slot), c->now_us);
		c->servers += e->used;
	} else if (!e->used) {
		stray(c, server, p, segment);
		return;
	}
	e->events |= events;
	crowd_ready(c, e);
}

static void arrive(struct crowd *c, struct bytes frame)
{
	bool server = false;
	struct tcp_segment segment;
	struct packet p;
	uint32_t slot;

	if (packet_parse(frame, &p) != ERROR_none || p.ip_version != 4 || p.fragment) {
		c->counters.bad++;
		return;
	}
	if (p.protocol != PACKET_TCP && c->other) {
		c->other(c, &p);
		return;
	}
	slot = slot_of(c, &p.destination, p.destination_port);
	if (slot == UINT32_MAX) {
		slot = slot_of(c, &p.source, p.source_port);
		server = true;
	}
	if (slot == UINT32_MAX || p.protocol != PACKET_TCP || packet_segment(&p, PACKET_CHECKSUM_UNKNOWN, &segment) != ERROR_none)
		c->counters.bad++;
	else
		arrive_at(c, server ? &c->server[slot] : &c->client[slot], server, slot, &p, &segment);
}

static unsigned receive(struct crowd *c, unsigned port)
{
	struct port_frame *frame[PORT_BURST];
	unsigned count = port_receive(c->ports, port, frame, PORT_BURST);

	for (unsigned i = 0; i < count; i++)
		__builtin_prefetch(port_bytes(frame[i]).base);
	for (unsigned i = 0; i < count; i++) {
		arrive(c, port_bytes(frame[i]));
		port_drop(frame[i]);
	}
	c->counters.frames_in += count;
	return count;
}

/* --- The turn --- */

static void attend(struct crowd *c, struct crowd_end *e)
{
	struct leaving l = { c, &e->tcp.wire, wire_of(e->server) };
	uint64_t at;

	if (c->talk)
		c->talk(c, e);
	e->events = 0;
	if (endpoint_output(&e->tcp, emit, &l, SEGMENTS_PER_TURN, c->now_us) != TCP_OUTPUT_IDLE)
		crowd_ready(c, e);
	if (c->talk && endpoint_finished(&e->tcp))
		c->talk(c, e);
	if (endpoint_over(&e->tcp)) {
		leave(c, e);
		return;
	}
	at = endpoint_deadline_us(&e->tcp);
	if (at == TCP_NEVER_US)
		wheel_clear(&e->timer);
	else
		wheel_set(&c->wheel, &e->timer, at);
}

static void run_timers(struct crowd *c)
{
	unsigned budget = TIMERS_PER_TURN;
	struct wheel_entry *entry;

	while ((entry = wheel_next(&c->wheel, c->now_us, &budget))) {
		struct crowd_end *e = (struct crowd_end *)(void *)((uint8_t *)entry - offsetof(struct crowd_end, timer));

		e->events |= endpoint_timer(&e->tcp, c->now_us);
		crowd_ready(c, e);
	}
}

unsigned crowd_turn(struct crowd *c)
{
	unsigned frames = 0;

	c->now_us = port_now_us();
	for (unsigned port = 0; port < PORT_COUNT; port++) {
		unsigned burst = PORT_BURST;

		for (unsigned i = 0; i < BURSTS_PER_TURN && burst == PORT_BURST; i++)
			frames += burst = receive(c, port);
	}
	run_timers(c);
	for (unsigned i = 0; i < READY_PER_TURN && c->ready_first; i++) {
		struct crowd_end *e = c->ready_first;

		c->ready_first = e->next_ready;
		if (!c->ready_first)
			c->ready_last = NULL;
		e->ready = false;
		if (e->used)
			attend(c, e);
	}
	port_flush(c->ports);
	return frames;
}

void crowd_disperse(struct crowd *c, uint64_t patience_us)
{
	uint64_t until = port_now_us() + patience_us, quiet;

	c->talk = NULL;
	for (uint32_t i = 0; i < c->known_slots; i++) {
		if (c->client[i].used)
			crowd_abort(c, &c->client[i]);
		if (c->server[i].used)
			crowd_abort(c, &c->server[i]);
	}
	for (quiet = port_now_us(); c->now_us < until && c->now_us < quiet + QUIET_US;)
		if (crowd_turn(c) > 0 || c->clients || c->servers || c->ready_first)
			quiet = c->now_us;
}
