/* ends.h: the real conductor between two scripted TCP ends, in memory, and the cycles that it takes.
 *
 * Only the time inside the relay is counted; making and swallowing frames is not. Frames are given in bursts, as a port
 * gives them, so that reading the clock is not part of the figure. A run is cut into short slices, of which the median
 * is the figure: on a shared machine some slices hold other people's time. One instance.
 */
#ifndef BENCH_ENDS_H
#define BENCH_ENDS_H

#include "dataplane/relay/relay.h"
#include "platform/contract/policy_write.h"
#include "platform/contract/ring.h"

#define ENDS_FRAMES 1024
#define ENDS_BURST 32
#define ENDS_SLICES 2001
#define ENDS_SEGMENT_BYTES 1460

struct end {
	struct packet_template template;
	uint32_t next, ack, acked;
	uint32_t window; /* how much may be sent beyond `acked` */
	uint8_t shift;
	bool open;
	uint64_t got_bytes;
};

struct ends {
	uint32_t flows_max; /* 0: 1,024; before ends_open */
	bool spliced;       /* opaque flows may be handed over to forwarding; else they stay terminated; before ends_open */
	uint64_t passed;    /* frames that the relay let pass, to be sent out of the other port */
	struct relay *relay;
	struct relay_snapshot snapshot;
	struct ring_consumer events;
	struct ring_producer orders;
	struct end end[2]; /* 0: the client, at port 0 */
	/* Bytes that came in order; answers with ends_transmit. */
	void (*received)(unsigned at, struct bytes data);
	uint8_t queue[ENDS_FRAMES][1600], burst[ENDS_BURST][1600];
	size_t queue_bytes[ENDS_FRAMES], burst_bytes[ENDS_BURST];
	unsigned queue_port[ENDS_FRAMES], burst_port[ENDS_BURST], burst_count, head, tail;
	uint64_t now_us, cycles;
	double slice[ENDS_SLICES];
	unsigned slices;
};

extern struct ends ends;
extern uint8_t ends_syn[54]; /* a SYN from the client to 10.0.0.10:5432 */

/* One service at 10.0.0.10:5432; `spec` without its listeners. Ends the program when it cannot be made. The snapshot's match
 * set, classes and scratch may be filled in before. */
void ends_open(const struct policy_spec *spec, struct spec_service *service);

void ends_transmit(unsigned from, uint8_t flags, struct bytes data);
void ends_give(void); /* the burst into the relay */
void ends_turn(void); /* what is left of the burst, a turn of the relay, and what it sent to the ends */
void ends_connect(void);

void ends_slice(double units); /* ends a slice of so much work */
double ends_median(void);      /* cycles a unit; ends.slice[0] is the lowest then */

#endif
