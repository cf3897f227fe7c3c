/* endpoint.h: one end of a connection that speaks our own TCP: half of a pair of dataplane/tcp.
 *
 * The pair's other half is spoken to by the endpoint itself, as the peer beyond would, until the connection is open; then it is gone. So a
 * client is the half towards a server, a server the half towards a client, and everything on the wire is the product's.
 *
 * Ownership: configuration and pool are borrowed and outlive it; it must not move. One thread; times are those of the pair. After
 * endpoint_connect, endpoint_accept and endpoint_input: endpoint_output until it is idle, and again at endpoint_deadline_us.
 */
#ifndef BENCH_ENDPOINT_H
#define BENCH_ENDPOINT_H

#include "dataplane/packet/packet.h"
#include "dataplane/tcp/tcp.h"

struct endpoint {
	struct tcp_pair pair;
	struct packet_template wire; /* of its frames */
	uint8_t side;                /* of the pair: TCP_SERVER at a client */
	bool alone;                  /* the inner half is gone */
};

struct endpoint_ways {
	const struct tcp_config *config;
	struct tcp_pool *pool;
};

/* What a configuration has to say for endpoints: as a pair's, but nothing is kept alive and TIME-WAIT is short. */
struct tcp_config endpoint_config(void);

/* Sends a SYN with the addresses and ports of `wire`. False: no memory. */
bool endpoint_connect(struct endpoint *e, const struct endpoint_ways *ways, const struct packet_template *wire, uint32_t isn, uint64_t now_us);

/* Answers a SYN, read from `p`. False: it is no plain SYN. */
bool endpoint_accept(struct endpoint *e, const struct endpoint_ways *ways, const struct packet *p, const struct tcp_segment *syn, uint32_t isn, uint64_t now_us);

/* A set of enum tcp_event. */
unsigned endpoint_input(struct endpoint *e, const struct tcp_segment *segment, uint64_t now_us);

enum tcp_output_status endpoint_output(struct endpoint *e, tcp_emit *emit, void *context, unsigned segments_max, uint64_t now_us);

/* Runs what is due. Returns a set of enum tcp_event. */
unsigned endpoint_timer(struct endpoint *e, uint64_t now_us);

static inline uint64_t endpoint_deadline_us(const struct endpoint *e)
{
	return tcp_pair_deadline_us(&e->pair);
}

/* To read from and write to; tcp_established says whether it may be. */
static inline struct tcp_half *endpoint_half(struct endpoint *e)
{
	return tcp_half_of(&e->pair, (enum tcp_side)e->side);
}

/* A RST goes out with the next output. */
void endpoint_abort(struct endpoint *e, uint64_t now_us);

/* Both ends have said all, and nothing is to be said any more; `over` only when TIME-WAIT is over too: then endpoint_release. */
static inline bool endpoint_finished(const struct endpoint *e)
{
	return e->alone && (tcp_pair_waits(&e->pair) || tcp_pair_done(&e->pair));
}

static inline bool endpoint_over(const struct endpoint *e)
{
	return tcp_pair_done(&e->pair);
}

void endpoint_release(struct endpoint *e);

#endif
