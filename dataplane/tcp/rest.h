/* rest.h: a pair at rest, in a quarter of its size: what of it has to outlive a time in which nothing is in flight.
 *
 * At rest: both halves are open or on their way out (ESTABLISHED, CLOSE-WAIT, FIN-WAIT-2, TIME-WAIT, CLOSED), all that was sent is
 * acknowledged, nothing is unread, out of order, unsent or owed, and only the keepalive or TIME-WAIT timer runs. Then there are no
 * chunks, and no range of a flight.
 *
 * What is kept: numbers, windows and what was agreed; the round trip; the congestion window, threshold and last peak; what the path
 * was seen to do (RACK's patience, reordering, how lossy it is); the time of the last segment each way, so that a restart after idle
 * (RFC 5681 4.1) happens as it would have; PAWS's clock; how many challenges were spent.
 * What is not: CUBIC's epoch (the next one begins at the window and peak that were kept, RFC 9438 4.8), and what is needed to undo a
 * recovery that was needless, which is waited for as long as its D-SACK may still come. A window is then taken from segments at or
 * above RCV.NXT only, until one came.
 *
 * A pair may be packed into one memory and unpacked into another. Plain values; nothing is owned. One worker.
 */
#ifndef DATAPLANE_TCP_REST_H
#define DATAPLANE_TCP_REST_H

#include "dataplane/tcp/tcp.h"

struct tcp_rest_half {
	uint64_t heard_at_us, sent_at_us, linger_at_us; /* the last one: TCP_TIMER_LINGER */
	uint32_t receive_next, receive_edge, receive_limit_bytes;
	uint32_t ts_recent, ts_recent_at_s, ts_offset;
	uint32_t send_next, window, window_max;
	uint32_t smoothed_us, variance_us, rtt_min_us;
	uint32_t congestion_bytes, threshold_bytes, peak_bytes;
	uint32_t mss_lowered_s, challenge_second;
	uint16_t mss, mss_agreed, challenges;
	uint8_t state, keepalives, rule;
	uint8_t patience, patience_left, lossy;
	uint8_t receive_shift : 4, send_shift : 4;
	union {
		struct {
			bool timestamps : 1, sack : 1, window_scale : 1, aborted : 1, was_reset : 1, timed_out : 1, interactive : 1, spliced : 1;
		};
		uint8_t outlives; /* as in struct tcp_half */
	};
	bool fin_in : 1, fin_out : 1;
	bool untouched : 1;  /* no byte of the peer's has come yet */
	bool recovered : 1;  /* nothing was acknowledged since the last recovery */
	bool reordering : 1;
};

struct tcp_rest {
	struct tcp_rest_half half[2];
};

_Static_assert(sizeof(struct tcp_rest) == 224, "an idle flow has one");

/* Whether the pair is at rest. Of a spliced one: nothing drains (splice.h). */
bool tcp_rest_ready(const struct tcp_pair *pair, uint64_t now_us);

/* Of a pair that is ready. It is not to be used any more, and holds nothing that would have to be released. */
void tcp_rest_pack(const struct tcp_pair *pair, struct tcp_rest *rest);

/* The pair as it was, in any memory. `config` and `pool` as tcp_pair_open had them. A spliced one wants tcp_splice_sync first. */
void tcp_rest_unpack(const struct tcp_rest *rest, struct tcp_pair *pair, const struct tcp_config *config, struct tcp_pool *pool);

/* Both halves are closed, or in a TIME-WAIT that is over: all that the timer would do is end the pair. */
bool tcp_rest_over(const struct tcp_rest *rest, uint64_t now_us);

#endif
