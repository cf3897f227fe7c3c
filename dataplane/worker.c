#include "dataplane/worker.h"

#define IDLE_TURNS_BEFORE_NAP 2000
#define NAP_US 50
#define PUBLISH_EVERY_TURNS 4096

static uint8_t *wire_room(void *context, unsigned port, size_t *cap)
{
	return port_room(context, port, cap);
}

static void wire_send(void *context, unsigned port, size_t bytes)
{
	port_send(context, port, bytes);
}

struct relay_wire worker_wire(struct ports *ports)
{
	return (struct relay_wire){ .context = ports, .room = wire_room, .send = wire_send };
}

static unsigned receive(struct worker *w, unsigned port, uint64_t now_us)
{
	struct port_frame *frame[PORT_BURST];
	unsigned count = port_receive(w->ports, port, frame, PORT_BURST);

	for (unsigned i = 0; i < count; i++) {
		if (i + 1 < count)
			__builtin_prefetch(port_bytes(frame[i + 1]).base);
		if (relay_frame(w->relay, port, port_bytes(frame[i]), port_checksum(frame[i]), now_us) == RELAY_BRIDGE)
			port_forward(w->ports, 1 - port, frame[i]);
		else
			port_drop(frame[i]);
	}
	return count;
}

/* Between two turns nothing refers to the old snapshot: the swap is one pointer. */
static void take_mail(struct worker *w)
{
	const struct relay_snapshot *next = atomic_load_explicit(&w->mailbox.next, memory_order_acquire);
	char file[sizeof w->mailbox.file];
	uint64_t generation;

	if (next && !atomic_load(&w->mailbox.retired)) {
		const struct relay_snapshot *before = relay_swap_snapshot(w->relay, next);

		atomic_store(&w->mailbox.next, NULL);
		atomic_store_explicit(&w->mailbox.retired, before, memory_order_release);
	}
	if (relay_wants_snapshot(w->relay, &generation, file, sizeof file) && atomic_load(&w->mailbox.wanted) != generation) {
		memcpy(w->mailbox.file, file, sizeof file);
		atomic_store_explicit(&w->mailbox.wanted, generation, memory_order_release);
	}
}

int worker_run(void *argument)
{
	struct worker *w = argument;
	unsigned idle = 0;
	uint64_t turns = 0;

	while (!atomic_load_explicit(&w->mailbox.stop, memory_order_relaxed)) {
		uint64_t now_us = port_now_us();
		unsigned frames = receive(w, 0, now_us) + receive(w, 1, now_us);
		bool worked = relay_turn(w->relay, now_us) || frames > 0;

		port_flush(w->ports);
		take_mail(w);
		if (++turns % PUBLISH_EVERY_TURNS == 0 && w->published)
			*w->published = *relay_counters(w->relay);
		atomic_store_explicit(&w->mailbox.turns, turns, memory_order_relaxed);
		idle = worked ? 0 : idle + 1;
		if (w->adaptive && idle > IDLE_TURNS_BEFORE_NAP)
			port_nap(NAP_US);
	}
	return 0;
}
