#include "bench/ends.h"

#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

struct ends ends;

uint8_t ends_syn[54] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 10,
	0x9c, 0x40, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
};

static uint8_t *room(void *context, unsigned port, size_t *cap)
{
	*cap = sizeof ends.queue[0];
	return ends.tail - ends.head == ENDS_FRAMES ? NULL : ends.queue[ends.tail % ENDS_FRAMES];
}

static void send_frame(void *context, unsigned port, size_t bytes)
{
	ends.queue_bytes[ends.tail % ENDS_FRAMES] = bytes;
	ends.queue_port[ends.tail++ % ENDS_FRAMES] = port;
}

void ends_give(void)
{
	uint64_t begin = __rdtsc();
	struct bytes frame[ENDS_BURST];

	for (unsigned i = 0; i < ends.burst_count; i++) { /* as the worker does */
		frame[i] = bytes_of(ends.burst[i], ends.burst_bytes[i]);
		__builtin_prefetch(frame[i].base);
	}
	relay_expect(ends.relay, frame, ends.burst_count);
	for (unsigned i = 0; i < ends.burst_count; i++) {
		ends.passed += relay_frame(ends.relay, ends.burst_port[i], bytes_of(ends.burst[i], ends.burst_bytes[i]), PACKET_CHECKSUM_UNKNOWN,
					   ends.now_us) == RELAY_BRIDGE;
	}
	ends.cycles += __rdtsc() - begin;
	ends.burst_count = 0;
}

void ends_transmit(unsigned from, uint8_t flags, struct bytes data)
{
	struct end *e = &ends.end[from];
	struct tcp_segment s = { .seq = e->next, .ack = e->ack, .window = 65535, .flags = flags };

	if (flags & TCP_SYN) {
		s.options.has_mss = s.options.has_shift = true;
		s.options.mss = ENDS_SEGMENT_BYTES;
		s.options.shift = 6;
	}
	if (data.len) {
		s.spans[0] = data;
		s.span_count = 1;
		s.payload_bytes = (uint32_t)data.len;
	}
	e->next += (uint32_t)data.len + ((flags & TCP_SYN) != 0);
	if (ends.burst_count == ENDS_BURST)
		ends_give();
	ends.burst_port[ends.burst_count] = from;
	ends.burst_bytes[ends.burst_count] =
		packet_build(&e->template, &s, ends.burst[ends.burst_count], sizeof ends.burst[0], PACKET_BUILD_FULL).bytes;
	ends.burst_count++;
}

static void arrive(unsigned at, struct bytes frame)
{
	struct end *e = &ends.end[at];
	struct tcp_segment s;
	struct packet p;

	if (packet_parse(frame, &p) != ERROR_none || packet_segment(&p, PACKET_CHECKSUM_GOOD, &s) != ERROR_none)
		return;
	if (s.flags & TCP_SYN) {
		e->ack = s.seq + 1;
		e->shift = s.options.has_shift ? s.options.shift : 0;
		e->open = true;
		if (at == 1)
			packet_template_reply(&e->template, &p);
		ends_transmit(at, at == 1 ? TCP_SYN | TCP_ACK : TCP_ACK, (struct bytes){ 0 });
		return;
	}
	e->acked = s.ack;
	e->window = (uint32_t)s.window << e->shift;
	if (s.payload_bytes && s.seq == e->ack) {
		e->ack += s.payload_bytes;
		e->got_bytes += s.payload_bytes;
		ends.received(at, s.spans[0]);
	}
}

void ends_turn(void)
{
	uint64_t begin;

	ends.now_us += 20;
	ends_give();
	begin = __rdtsc();
	(void)relay_turn(ends.relay, ends.now_us);
	ends.cycles += __rdtsc() - begin;
	while (ends.head != ends.tail) {
		unsigned slot = ends.head++ % ENDS_FRAMES;

		arrive(ends.queue_port[slot], bytes_of(ends.queue[slot], ends.queue_bytes[slot]));
	}
	ends.head = ends.tail = 0; /* the same few frames again, as a mempool's cache gives them */
}

void ends_connect(void)
{
	ends_transmit(0, TCP_SYN, (struct bytes){ 0 });
	for (int i = 0; i < 10; i++)
		ends_turn();
}

void ends_slice(double units)
{
	if (ends.slices < ENDS_SLICES)
		ends.slice[ends.slices++] = (double)ends.cycles / units;
	ends.cycles = 0;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double ends_median(void)
{
	qsort(ends.slice, ends.slices, sizeof ends.slice[0], ascending);
	return ends.slice[ends.slices / 2];
}

void ends_open(const struct policy_spec *given, struct spec_service *service)
{
	static const struct spec_listener listener = { .family = 4, .address = { 10, 0, 0, 10 }, .port = 5432, .any_vlan = true };
	struct relay_config config = { .flows_max = ends.flows_max ? ends.flows_max : 1024, .sessions_max = 64, .chunk_memory_bytes = 64u << 20, .buffers = { 256, 16, 4 }, .shared_bytes = 64u << 20,
				       .mtu_bytes = 1500, .splice = ends.spliced ? RELAY_SPLICE_ON : RELAY_SPLICE_OFF, .window_bytes = 1u << 20, .hash_key = { 1, 2 }, .lost_after_us = 1u << 30 };
	struct relay_wire wire = { .room = room, .send = send_frame };
	void *up = aligned_alloc(4096, ring_bytes(LIMIT_RING_UP_BYTES)), *down = aligned_alloc(4096, ring_bytes(LIMIT_RING_DOWN_BYTES));
	struct policy_spec spec = *given;
	struct packet p;
	char err[200] = "out of memory";
	void *image;
	size_t len;

	service->listeners = &listener;
	service->listeners_count = 1;
	spec.services = service;
	spec.services_count = 1;
	len = policy_image_write(&spec, NULL, 0).len;
	image = aligned_alloc(64, (len + 63) & ~(size_t)63);
	if (!up || !down || !image)
		exit(1);
	memset(up, 0, ring_bytes(LIMIT_RING_UP_BYTES)); /* there from the start, as the product maps it (shm.c) */
	memset(down, 0, ring_bytes(LIMIT_RING_DOWN_BYTES));
	ring_init(up, LIMIT_RING_UP_BYTES, config.boot);
	ring_init(down, LIMIT_RING_DOWN_BYTES, config.boot);
	ends.snapshot.inspect.image = policy_image_open(image, policy_image_write(&spec, image, len).len, err, sizeof err);
	ends.snapshot.inspect.generation = spec.generation;
	ends.relay = ends.snapshot.inspect.image ? relay_create(&config, &wire, up, down, err, sizeof err) : NULL;
	if (!ends.relay || !ring_attach_consumer(&ends.events, up, LIMIT_RING_UP_BYTES) ||
	    !ring_attach_producer(&ends.orders, down, LIMIT_RING_DOWN_BYTES) || packet_parse(bytes_of(ends_syn, sizeof ends_syn), &p) != ERROR_none) {
		fprintf(stderr, "conductor_bench: %s\n", err);
		exit(1);
	}
	if (!relay_swap_snapshot(ends.relay, &ends.snapshot))
		exit(1);
	ends.now_us = 1000000;
	packet_template_from(&ends.end[0].template, &p);
	packet_template_reply(&ends.end[1].template, &p);
	ends.end[0].next = 1000;
	ends.end[1].next = 9000;
}
