/* half.h: what input, output, timers and the pair share about one half. Only for this folder.
 *
 * None of these sends: they leave a wish (`ack_now`, `reset_now`, …) that the next output fulfils, so that a full port
 * loses nothing.
 */
#ifndef DATAPLANE_TCP_HALF_H
#define DATAPLANE_TCP_HALF_H

#include "dataplane/tcp/tcp.h"

/* half[] lies at the start of its pair. */
static inline struct tcp_pair *tcp_pair_of(const struct tcp_half *half)
{
	return (struct tcp_pair *)(void *)(half - half->side);
}

_Static_assert(offsetof(struct tcp_pair, half) == 0, "tcp_pair_of");

#define TCP_TIMESTAMPS_BYTES 12 /* with their padding */

/* A segment of it holds what is left beside the timestamps. */
static inline struct tcp_flight tcp_half_flight(const struct tcp_half *half)
{
	uint32_t segment = half->send.mss - (half->timestamps ? TCP_TIMESTAMPS_BYTES : 0u);

	return (struct tcp_flight){ half->send.una, half->send.next, segment, half->sack };
}

void tcp_half_init(struct tcp_half *half, enum tcp_side side, const struct tcp_config *config, uint64_t now_us);

/* Applies an event of the state table; asserts nothing: an event that means nothing there is ignored. */
void tcp_half_step(struct tcp_half *half, enum tcp_state_event event);

/* CLOSED, all memory back, no timer. What is readable stays readable. */
void tcp_half_close(struct tcp_half *half, enum tcp_state_event event);

/* We end it: a RST goes out if the peer knows of the connection. */
void tcp_half_abort(struct tcp_half *half);

/* The receive window's right edge as it would be advertised now; never before the edge that was. */
uint32_t tcp_half_edge(const struct tcp_half *half);

/* The window grew enough to be worth an ACK of its own (RFC 9293 3.8.6.2.2). */
bool tcp_half_update_due(const struct tcp_half *half);

/* RFC 5961 7: may one more challenge ACK go out in this second? Counts it. */
bool tcp_half_challenge(struct tcp_half *half, uint64_t now_us);

/* input.c, timers.c: one half's share of the public calls. */
unsigned tcp_half_input(struct tcp_half *half, const struct tcp_segment *segment, uint64_t now_us);
unsigned tcp_half_timer(struct tcp_half *half, uint64_t now_us);

/* acknowledge.c: the ACK field, SACK blocks and window of an acceptable segment. */
unsigned tcp_half_acknowledged(struct tcp_half *half, const struct tcp_segment *segment, uint64_t now_us);

/* input.c: the peer's FIN, once all before it has come. */
unsigned tcp_half_take_fin(struct tcp_half *half, uint64_t now_us);

/* takeback.c, for a half that is `returning`: takes an acceptable acknowledgement of what was sent on before and lies beyond what it has sent
 * itself; then it is as if the half had sent it. Its caller goes on with the segment. */
unsigned tcp_half_skip(struct tcp_half *half, uint32_t ack, uint64_t now_us);

/* The highest number that the peer is known to have used up: beyond RCV.NXT only while the other half is returning. */
uint32_t tcp_half_seen(const struct tcp_half *half);

/* path.c: the same segment timed out again; and: long enough ago that a larger size may be tried. */
void tcp_half_suspect_path(struct tcp_half *half, uint64_t now_us);
void tcp_half_try_path(struct tcp_half *half, uint64_t now_us);

/* The time for reordered segments is over: what has not arrived is lost (RFC 8985 6.3). */
void tcp_half_look_for_loss(struct tcp_half *half, uint64_t now_us);

/* timers.c */
void tcp_timer_stop(struct tcp_half *half, enum tcp_timer timer);
void tcp_timer_start(struct tcp_half *half, enum tcp_timer timer, uint64_t at_us);

/* Chooses what the retransmission timer stands for after an ACK or a transmission: nothing, a tail loss probe, a
 * time-out, or persist. */
void tcp_timer_retransmit(struct tcp_half *half, uint64_t now_us);

/* Until then the retransmission timer waits for reordered segments. */
void tcp_timer_reorder(struct tcp_half *half, uint64_t at_us);

/* The FIN was received and sent: 2 MSL, made short. */
void tcp_timer_wait(struct tcp_half *half, uint64_t now_us);

#endif
