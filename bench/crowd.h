/* crowd.h: many clients on one wire and their servers on the other, both made of our own TCP (endpoint.h), over the two ports of
 * dataplane/port. Whoever stands between the wires carries their frames.
 *
 * Each client has a slot, which is its address and port: clients are at 10.80.N.2, every server at 10.77.0.10:7000, so a frame's end is found
 * without a table, on whichever port it comes. What a connection says is its load's: `talk` is called for an end after anything
 * happened to it, and once more when it has nothing to say any more (endpoint_finished).
 * Sizes are fixed at crowd_create. One thread; it polls. A frame that no port takes waits in its TCP; with `lossy` it is lost, as on a wire.
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include "bench/endpoint.h"
#include "dataplane/port/port.h"
#include "dataplane/relay/wheel.h"

#define CROWD_SERVICE_PORT 7000
#define CROWD_CLIENT_WIRE 0 /* the port of the clients; the other is the servers' */

struct crowd_end {
	struct endpoint tcp;
	struct wheel_entry timer;
	struct crowd_end *next_ready;
	uint32_t slot;
	unsigned events;  /* enum tcp_event, since talk was called last */
	bool server, used, ready;
	/* The load's, zero at first. */
	uint8_t step;
	uint64_t seed, began_us, got, put;
};

struct crowd;
typedef void crowd_talk(struct crowd *c, struct crowd_end *e);

struct crowd_counters {
	uint64_t frames_in, frames_out, refused; /* refused: by a full port */
	uint64_t strays;                         /* of no connection: answered with a RST */
	uint64_t bad;                            /* no frame of ours, or damaged */
};

struct crowd {
	struct ports *ports;
	struct endpoint_ways ways;
	struct tcp_config config;
	struct tcp_pool pool;
	void *pool_memory;
	size_t pool_bytes;
	struct wheel wheel;
	struct crowd_end *client, *server; /* `slots` of each */
	uint32_t slots, known_slots; /* of them, those that were used so far */
	uint32_t *free_slots, free_first, free_count;
	struct crowd_end *ready_first, *ready_last;
	uint32_t clients, servers; /* in use */
	bool lossy;
	uint64_t rest_us; /* how long a load stands still where it does */
	crowd_talk *talk;
	void *load;
	void (*other)(struct crowd *c, const struct packet *p); /* what is not TCP; NULL: bad */
	struct crowd_counters counters;
	uint64_t now_us;
};

/* NULL: no memory. The ports stay the caller's. */
struct crowd *crowd_create(struct ports *ports, uint32_t slots, size_t pool_bytes);
void crowd_destroy(struct crowd *c);

/* A client that connects, in the slot that was free for the longest; NULL: there is none. */
struct crowd_end *crowd_connect(struct crowd *c);

/* Gives up on a connection's end: a RST, where its peer knows of it. */
void crowd_abort(struct crowd *c, struct crowd_end *e);

/* The other end of the same connection. */
struct crowd_end *crowd_peer(struct crowd *c, const struct crowd_end *e);

/* `talk` is called for it in the next turn, whatever happens. */
void crowd_ready(struct crowd *c, struct crowd_end *e);

/* Takes what came in, runs what is due, lets everybody talk, sends. Returns how many frames came. */
unsigned crowd_turn(struct crowd *c);

/* Every connection ends at once; returns when nothing is left and nothing comes any more, or after `patience_us`. */
void crowd_disperse(struct crowd *c, uint64_t patience_us);

/* Ethernet, IP and 4 bytes of ports of a frame from a slot's client to `address`, `port`. */
void crowd_headers(uint8_t out[54], uint32_t slot, uint8_t protocol, const uint8_t address[4], uint16_t port);

#endif
