/* recovery.h: what is in flight: the SACK scoreboard, which bytes count as lost, and which go out again.
 *
 * Purpose: RFC 6675 with a scoreboard of ranges; RFC 6582 (NewReno) in the same terms for peers without SACK; the pass
 * over everything after a time-out (RFC 5681 3.1, keeping SACK information as RFC 6675 5.1 allows).
 * The scoreboard is one chunk from the pool, taken with the first SACK block and given back when nothing is SACKed, so
 * that an idle flow has none. When the pool has none, SACK blocks are ignored: recovery is slower, never wrong.
 */
#ifndef DATAPLANE_TCP_RECOVERY_H
#define DATAPLANE_TCP_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tcp/pool.h"

enum tcp_recovery_mode {
	TCP_RECOVERY_NONE,
	TCP_RECOVERY_FAST,    /* by duplicate ACKs or SACK */
	TCP_RECOVERY_TIMEOUT, /* everything up to `point` is sent again */
};

struct tcp_recovery {
	struct tcp_chunk *board;   /* sorted SACKed ranges, or NULL */
	uint32_t point;            /* SND.NXT when the recovery began: an ACK there ends it */
	uint32_t high_rxt;         /* unSACKed bytes below were sent again in this recovery */
	uint32_t pass_next;        /* SND.NXT when the present pass of retransmissions began */
	uint32_t probe_end;        /* tail loss probe in flight up to here */
	uint16_t duplicates;       /* duplicate ACKs, for peers without SACK */
	uint8_t threshold;         /* DupThresh; grows when the path reorders */
	uint8_t mode;              /* enum tcp_recovery_mode */
	bool probing;
	bool rescued;
};

#endif
