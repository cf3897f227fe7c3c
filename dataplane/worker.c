#include "dataplane/worker.h"

#define IDLE_TURNS_BEFORE_NAP 2000
#define NAP_US 50
#define PUBLISH_EVERY_US 100000u

static uint8_t *wire_room(void *context, unsigned port, size_t *cap)
{
	struct worker *w = context;

	w->room[port] = port_room(w->ports, port, cap);
	return w->room[port];
}

/* Away from the path of those frames that nobody captures. */
[[gnu::cold, gnu::noinline]] static void capture(struct worker *w, unsigned port, enum capture_direction direction, struct bytes frame, uint64_t now_us)
{
	struct packet p;
	struct capture_stage_frame f = { .frame = frame, .packet = &p, .port = port, .direction = direction, .now_us = now_us };

	if (!capture_stage_wants(&w->capture, frame, &p))
		return;
	f.original = frame.len < PORT_FRAME_BYTES_MIN ? PORT_FRAME_BYTES_MIN : frame.len;
	f.flow = relay_flow_id(w->relay, &p);
	capture_stage_put(&w->capture, &f);
}

static void wire_send(void *context, unsigned port, size_t bytes)
{
	struct worker *w = context;

	if (__builtin_expect(w->capture.on, 0) && bytes > 0)
		capture(w, port, CAPTURE_OUT, bytes_of(w->room[port], bytes), port_now_us());
	port_send(w->ports, port, bytes);
}

struct relay_wire worker_wire(struct worker *w)
{
	return (struct relay_wire){ .context = w, .room = wire_room, .send = wire_send };
}

static unsigned receive(struct worker *w, unsigned port, uint64_t now_us)
{
	struct port_frame *frame[PORT_BURST];
	unsigned count = port_receive(w->ports, port, frame, PORT_BURST);

	for (unsigned i = 0; i < count; i++) {
		if (i + 1 < count)
			__builtin_prefetch(port_bytes(frame[i + 1]).base);
		if (__builtin_expect(w->capture.on, 0))
			capture(w, port, CAPTURE_IN, port_bytes(frame[i]), now_us);
		if (relay_frame(w->relay, port, port_bytes(frame[i]), port_checksum(frame[i]), now_us) != RELAY_BRIDGE) {
			port_drop(frame[i]);
			continue;
		}
		if (__builtin_expect(w->capture.on, 0))
			capture(w, 1 - port, CAPTURE_OUT, port_bytes(frame[i]), now_us);
		port_forward(w->ports, 1 - port, frame[i]);
	}
	return count;
}

static void take_mail(struct worker *w)
{
	const struct relay_snapshot *next = atomic_load_explicit(&w->mailbox.next, memory_order_acquire), *before;
	char file[sizeof w->mailbox.file];
	uint64_t generation;

	if (next && relay_swap_snapshot(w->relay, next))
		atomic_store(&w->mailbox.next, NULL);
	before = atomic_load_explicit(&w->mailbox.retired, memory_order_acquire) ? NULL : relay_retired_snapshot(w->relay);
	if (before)
		atomic_store_explicit(&w->mailbox.retired, before, memory_order_release);
	if (relay_wants_snapshot(w->relay, &generation, file, sizeof file) && atomic_load(&w->mailbox.wanted) != generation) {
		memcpy(w->mailbox.file, file, sizeof file);
		atomic_store_explicit(&w->mailbox.wanted, generation, memory_order_release);
	}
}

static void publish(struct worker *w, uint64_t turns, uint64_t naps, uint64_t now_us)
{
	struct page_worker *page = w->page;

	relay_publish(w->relay, page, now_us);
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		struct port_counters c = port_counters(w->ports, i);

		page->port[i].received = c.received;
		page->port[i].sent = c.sent;
		page->port[i].dropped_full = c.dropped_full;
		page->port[i].dropped_split = c.dropped_split;
		page->counters.drop[ERROR_tx_full] += c.dropped_full;
		page->counters.drop[ERROR_rx_split] += c.dropped_split;
	}
	page->turns = turns;
	page->naps = naps;
	page->now_us = now_us;
}

int worker_run(void *argument)
{
	struct worker *w = argument;
	unsigned idle = 0;
	uint64_t turns = 0, naps = 0, publish_at_us = 0;

	while (!atomic_load_explicit(&w->mailbox.stop, memory_order_relaxed)) {
		uint64_t now_us = port_now_us();
		unsigned frames;
		bool worked;

		capture_stage_turn(&w->capture, now_us);
		take_mail(w); /* first: the policy that was in force before a restart holds from the first frame on */
		frames = receive(w, 0, now_us) + receive(w, 1, now_us);
		worked = relay_turn(w->relay, now_us) || frames > 0;
		port_flush(w->ports);
		life_beat(w->life, false);
		turns++;
		if (w->page && now_us >= publish_at_us) {
			publish(w, turns, naps, now_us);
			publish_at_us = now_us + PUBLISH_EVERY_US;
		}
		atomic_store_explicit(&w->mailbox.turns, turns, memory_order_relaxed);
		idle = worked ? 0 : idle + 1;
		if (w->adaptive && idle > IDLE_TURNS_BEFORE_NAP) {
			port_nap(NAP_US);
			naps++;
		}
	}
	return 0;
}
