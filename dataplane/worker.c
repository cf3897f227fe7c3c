#include "dataplane/worker.h"

#include "platform/base/secret.h"

#define IDLE_TURNS_BEFORE_NAP 2000
#define NAP_US 50           /* the first ones */
#define NAP_LONGER_AFTER 64 /* naps, until they are twice as long */
#define NAP_DOUBLINGS 3u    /* 400 us: at 10 Gbit/s of full frames, a port's ring holds what comes meanwhile */
#define PUBLISH_EVERY_US 100000u
#define MESSAGES_PER_TURN 8192u /* more than fit between all workers */

_Static_assert(PORT_BURST <= RELAY_EXPECT_MAX, "a burst is expected as a whole");
_Static_assert(PORT_MESSAGE_BYTES >= RELAY_MESSAGE_BYTES && PORT_TELL_ROOM == RELAY_TELL_ROOM, "the ports carry what relays say");

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

static struct relay_help wire_help(void *context, unsigned port)
{
	struct port_help help = port_help(((struct worker *)context)->ports, port);

	return (struct relay_help){ help.checksum, help.frame_bytes_max };
}

static uint8_t *wire_room_large(void *context, unsigned port, size_t *cap)
{
	struct worker *w = context;

	w->room_large[port] = port_room_large(w->ports, port, cap);
	return w->room_large[port];
}

static void wire_send_helped(void *context, unsigned port, const struct packet_built *built, uint16_t cut_bytes)
{
	struct worker *w = context;

	if (__builtin_expect(w->capture.on, 0) && built->bytes > 0)
		capture(w, port, CAPTURE_OUT, bytes_of(cut_bytes ? w->room_large[port] : w->room[port], built->bytes), port_now_us());
	port_send_helped(w->ports, port, built, cut_bytes);
}

static bool wire_hand(void *context, unsigned worker, unsigned port, struct bytes frame)
{
	return port_hand_copy(((struct worker *)context)->ports, worker, port, frame);
}

static bool wire_tell(void *context, unsigned worker, struct bytes message)
{
	return port_tell(((struct worker *)context)->ports, worker, message);
}

struct relay_wire worker_wire(struct worker *w)
{
	return (struct relay_wire){ .context = w, .room = wire_room, .send = wire_send, .help = wire_help, .room_large = wire_room_large,
		.send_helped = wire_send_helped, .hand = wire_hand, .tell = wire_tell };
}

static void route(struct worker *w, unsigned port, struct port_frame *frame, enum relay_route where, uint64_t now_us)
{
	switch (where) {
	case RELAY_BRIDGE:
		if (__builtin_expect(w->capture.on, 0))
			capture(w, 1 - port, CAPTURE_OUT, port_bytes(frame), now_us);
		port_forward(w->ports, 1 - port, frame);
		return;
	case RELAY_ELSEWHERE:
		port_hand(w->ports, relay_elsewhere(w->relay), frame);
		return;
	case RELAY_TAKEN:
	case RELAY_DROPPED:
	case RELAY_SPLICED:
		port_drop(frame);
		return;
	}
}

/* All headers of a burst are on their way before the first is read, and then what their flows keep. */
static void expect(const struct worker *w, struct port_frame *const *frame, unsigned count)
{
	struct bytes bytes[PORT_BURST];

	for (unsigned i = 0; i < count; i++) {
		bytes[i] = port_bytes(frame[i]);
		__builtin_prefetch(bytes[i].base);
	}
	relay_expect(w->relay, bytes, count);
}

static unsigned receive(struct worker *w, unsigned port, uint64_t now_us)
{
	struct port_frame *frame[PORT_BURST];
	unsigned count = port_receive(w->ports, port, frame, PORT_BURST);

	expect(w, frame, count);
	for (unsigned i = 0; i < count; i++) {
		if (__builtin_expect(w->capture.on, 0))
			capture(w, port, CAPTURE_IN, port_bytes(frame[i]), now_us);
		route(w, port, frame[i], relay_frame(w->relay, port, port_bytes(frame[i]), port_checksum(w->ports, frame[i]), now_us), now_us);
	}
	return count;
}

/* What other workers say comes before all frames (relay_told). Bounded by what can wait there. */
static unsigned receive_from_workers(struct worker *w, uint64_t now_us)
{
	struct port_frame *frame[PORT_BURST];
	uint8_t message[PORT_MESSAGE_BYTES];
	unsigned told = 0, count;
	size_t len;

	for (; told < MESSAGES_PER_TURN && port_told(w->ports, message, &len); told++) {
		relay_told(w->relay, bytes_of(message, len), now_us);
		secret_wipe(message, len);
	}
	count = port_handed(w->ports, frame, PORT_BURST);
	expect(w, frame, count);
	for (unsigned i = 0; i < count; i++) {
		unsigned port = port_came_from(w->ports, frame[i]);

		route(w, port, frame[i], relay_frame_handed(w->relay, port, port_bytes(frame[i]), port_checksum(w->ports, frame[i]), now_us), now_us);
	}
	return told + count;
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
		page->counters.drop[ERROR_handover_full] += c.dropped_handover;
	}
	page->turns = turns;
	page->naps = naps;
	page->now_us = now_us;
}

/* The longer nothing came, the longer: an idle worker takes 3 % of its processor, not 15 (two vCPUs, AF_XDP). */
static void take_nap(unsigned idle)
{
	unsigned doublings = (idle - IDLE_TURNS_BEFORE_NAP) / NAP_LONGER_AFTER;

	port_nap(NAP_US << (doublings < NAP_DOUBLINGS ? doublings : NAP_DOUBLINGS));
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
		frames = receive_from_workers(w, now_us);
		frames += receive(w, 0, now_us) + receive(w, 1, now_us);
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
			take_nap(idle);
			naps++;
		}
	}
	return 0;
}
