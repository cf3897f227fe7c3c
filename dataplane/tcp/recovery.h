/* recovery.h: what is in flight: the SACK scoreboard, which bytes count as lost, and which go out again.
 *
 * Purpose: RFC 6675 with a scoreboard of ranges; RFC 6582 (NewReno) in the same terms for peers without SACK; the pass
 * over everything after a time-out (RFC 5681 3.1, keeping SACK information as RFC 6675 5.1 allows); a tail loss probe
 * (RFC 8985 7, without per-segment times).
 * The scoreboard is one chunk from the pool, taken with the first SACK block and given back when nothing is SACKed, so
 * that an idle flow has none. When the pool has none, SACK blocks are ignored: recovery is slower, never wrong.
 * All sequence arguments lie in [SND.UNA, SND.NXT]; blocks from the peer are checked here.
 */
#ifndef DATAPLANE_TCP_RECOVERY_H
#define DATAPLANE_TCP_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet/segment.h"
#include "dataplane/tcp/pool.h"

enum tcp_recovery_mode {
	TCP_RECOVERY_NONE,
	TCP_RECOVERY_FAST,    /* by duplicate ACKs or SACK */
	TCP_RECOVERY_TIMEOUT, /* everything up to `point` is sent again */
};

#define TCP_THRESHOLD_MIN 3  /* DupThresh of RFC 5681 */
#define TCP_THRESHOLD_MAX 64 /* segments of reordering that are believed */

struct tcp_recovery {
	struct tcp_chunk *board;   /* sorted SACKed ranges, or NULL */
	uint32_t point;            /* SND.NXT when the recovery began: an ACK there ends it */
	uint32_t high_rxt;         /* unSACKed bytes below were sent again in this recovery */
	uint32_t pass_next;        /* SND.NXT when the first hole was last sent again */
	uint32_t probe_end;        /* tail loss probe in flight up to here */
	uint16_t duplicates;       /* duplicate ACKs, for peers without SACK */
	uint8_t threshold;         /* DupThresh; grows when the path reorders */
	uint8_t mode;              /* enum tcp_recovery_mode */
	bool probing;              /* a probe was sent and not answered yet */
	bool probe_resent;         /* it was a retransmission */
};

/* What the sender knows, as one argument. */
struct tcp_flight {
	uint32_t una, next;
	uint32_t mss;
	bool sack;
};

void tcp_recovery_init(struct tcp_recovery *r, uint32_t isn);

/* Gives the scoreboard back. */
void tcp_recovery_clear(struct tcp_recovery *r, struct tcp_pool *pool);

/* Takes the SACK blocks of one ACK. Returns the number of bytes that are SACKed now and were not before; *duplicate is
 * set when the first block is a D-SACK (RFC 2883 4). Call after `una` was advanced by the same ACK. */
uint32_t tcp_recovery_sacked(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f,
			     const struct tcp_options *options, bool *duplicate);

/* Forgets ranges below `una`. */
void tcp_recovery_advance(struct tcp_recovery *r, struct tcp_pool *pool, uint32_t una);

/* UnSACKed bytes below the result count as lost. `una` itself when nothing does. */
uint32_t tcp_recovery_lost_edge(const struct tcp_recovery *r, const struct tcp_flight *f);

/* Estimate of the bytes that are on the path (RFC 6675 4, SetPipe). */
uint32_t tcp_recovery_pipe(const struct tcp_recovery *r, const struct tcp_flight *f);

/* The first unSACKed stretch in [from, upto). False: none. */
bool tcp_recovery_hole(const struct tcp_recovery *r, uint32_t from, uint32_t upto, uint32_t *start, uint32_t *end);

/* SACKed bytes at or above `from`; and the end of the highest range (or `una`). */
uint32_t tcp_recovery_sacked_above(const struct tcp_recovery *r, uint32_t from);
uint32_t tcp_recovery_highest(const struct tcp_recovery *r, uint32_t una);

/* The path was seen to reorder by `segments`. */
void tcp_recovery_reordered(struct tcp_recovery *r, uint32_t segments);

#endif
