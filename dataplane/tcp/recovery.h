/* recovery.h: what is in flight: when each byte was last sent, what of it is SACKed, and what counts as lost.
 *
 * Purpose: RACK (RFC 8985 6) over a scoreboard of ranges; RFC 6582 (NewReno) in the same terms for peers without SACK; the
 * marks of a tail loss probe (RFC 8985 7); whether a recovery was needless (RFC 2883, RFC 3522).
 *
 *   una                                                   next
 *    |--LOST--|SACKED|--RESENT--|--------|SACKED|----------|     each with the time at which it was last sent
 *
 * The ranges cover [SND.UNA, SND.NXT) without gaps. While one says it all, as for a request or a burst that nothing has
 * answered yet, it lies in the struct; more need a chunk from the pool, which is given back when all is acknowledged. So an
 * idle flow, and a flow of requests and replies, has none. When there is no chunk or no room in it, ranges are merged and
 * their time is the later one: recovery is slower, never wrong.
 * Times are the low 32 bits of the worker's microseconds.
 */
#ifndef DATAPLANE_TCP_RECOVERY_H
#define DATAPLANE_TCP_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet/segment.h"
#include "dataplane/tcp/pool.h"

enum tcp_recovery_mode {
	TCP_RECOVERY_NONE,
	TCP_RECOVERY_FAST,    /* by RACK, or by duplicate ACKs */
	TCP_RECOVERY_TIMEOUT, /* everything that is not SACKed is sent again */
};

#define TCP_DUPLICATES 3 /* DupThresh of RFC 5681 */

enum tcp_range_flag {
	TCP_RANGE_SACKED = 1,
	TCP_RANGE_LOST = 2,   /* to be sent again; never together with SACKED */
	TCP_RANGE_RESENT = 4, /* at least once */
};

struct tcp_range {
	uint32_t start;   /* its end is the next one's start, or SND.NXT */
	uint32_t sent_us;
	uint8_t flags;
};

struct tcp_recovery {
	struct tcp_chunk *board;   /* sorted ranges, `len` of them; NULL: `sole` is all */
	struct tcp_range sole;
	uint32_t point;            /* SND.NXT when the recovery began: an ACK there ends it */
	uint32_t sacked_bytes, lost_bytes;
	uint32_t highest;          /* end of what was ever SACKed or acknowledged (RACK.fack) */
	uint32_t rack_sent_us, rack_end, rack_rtt_us; /* the last sent of what arrived; rtt 0: nothing yet */
	uint32_t duplicate_round;  /* patience grows once a round trip */
	uint32_t probe_end;        /* tail loss probe in flight up to here */
	uint32_t undo_from;        /* SND.UNA when the recovery began */
	uint32_t undo_bytes;       /* sent again since, and not reported as duplicate */
	uint32_t undo_sent_us;     /* the first of them */
	uint16_t duplicates;       /* duplicate ACKs, for peers without SACK */
	uint8_t mode;              /* enum tcp_recovery_mode */
	uint8_t patience;          /* RACK.reo_wnd_mult */
	uint8_t patience_left;     /* RACK.reo_wnd_persist: recoveries */
	uint8_t probes;            /* sent since something was acknowledged */
	uint8_t lossy;             /* grows with every recovery, falls with every ACK that advances: how near they are to each other */
	bool reordering : 1;       /* the path was seen to reorder */
	bool waiting : 1;          /* the retransmission timer waits for reordered segments */
	bool undoable : 1;         /* undo_* are of the last recovery */
	bool probing : 1;          /* a probe was sent and not answered yet */
	bool probe_resent : 1;     /* it was a retransmission */
};

/* What the sender knows, as one argument. */
struct tcp_flight {
	uint32_t una, next;
	uint32_t mss;
	bool sack;
};

/* One ACK, as far as recovery cares. The caller sets the first group. */
struct tcp_delivery {
	uint64_t now_us;
	uint32_t rtt_min_us;
	bool echo_known;           /* it echoes a timestamp, which we sent so long ago */
	uint32_t echo_ms_ago;

	uint32_t bytes;            /* arrived, and not known before */
	bool sampled;              /* the round trip of something that was sent only once */
	uint32_t rtt_us;
	bool duplicate;            /* a D-SACK, of these bytes */
	uint32_t duplicate_start, duplicate_bytes;
};

void tcp_recovery_init(struct tcp_recovery *r, uint32_t isn);

/* Forgets everything about what is in flight. Gives the chunk back. */
void tcp_recovery_clear(struct tcp_recovery *r, struct tcp_pool *pool);

/* [start, end) was sent: either start is f->next, which then moves to end, or it lies in the flight and was sent again. */
void tcp_recovery_sent(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f, uint32_t start, uint32_t end,
		       uint64_t now_us);

/* Everything below `una` was acknowledged; `f` is the flight before. */
void tcp_recovery_acked(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f, uint32_t una,
			struct tcp_delivery *d);

/* Takes the SACK blocks of an ACK, after tcp_recovery_acked of the same. A block must lie in the flight (RFC 2018 5); the
 * first may be a D-SACK (RFC 2883 4). */
void tcp_recovery_sacked(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f,
			 const struct tcp_options *options, struct tcp_delivery *d);

/* RACK: marks as lost what was sent long enough before something that has arrived (RFC 8985 6.2 step 5). Returns after how
 * many microseconds to look again, 0: there is nothing to wait for. */
uint32_t tcp_recovery_detect(struct tcp_recovery *r, const struct tcp_flight *f, uint64_t now_us, uint32_t rtt_min_us,
			     uint32_t rtt_smoothed_us);

/* A D-SACK came, or (`ended`) a recovery is over: how long reordered segments are waited for (RFC 8985 6.2 step 4). */
void tcp_recovery_adapt(struct tcp_recovery *r, const struct tcp_flight *f, bool duplicate, bool ended);

/* Marks all that is not SACKed as lost; with `distrust` the SACKed too (RFC 2018 8). */
void tcp_recovery_lose_all(struct tcp_recovery *r, const struct tcp_flight *f, bool distrust);

/* Marks the first segment as lost (RFC 6582 3.2). */
void tcp_recovery_lose_first(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f);

/* What counts as lost does no longer; nothing of it was. */
void tcp_recovery_spare(struct tcp_recovery *r, const struct tcp_flight *f);

/* The peer has SACKed the very next byte and does not acknowledge it. */
bool tcp_recovery_reneged(const struct tcp_recovery *r, const struct tcp_flight *f);

/* A recovery begins: from here on it is counted whether it was needed. */
void tcp_recovery_begin(struct tcp_recovery *r, const struct tcp_flight *f, enum tcp_recovery_mode mode);

/* Everything that was sent again since the recovery began had arrived before (by D-SACK), or the first of it had (by the
 * timestamp that this ACK echoes, RFC 3522 3.2). Counts the D-SACK of `d`. */
bool tcp_recovery_needless(struct tcp_recovery *r, const struct tcp_flight *f, const struct tcp_delivery *d, bool advanced);

/* Recoveries follow each other so closely that a second probe is worth more than a time-out. */
bool tcp_recovery_lossy(const struct tcp_recovery *r);

/* Estimate of the bytes that are on the path (RFC 6675 4, SetPipe). */
uint32_t tcp_recovery_pipe(const struct tcp_recovery *r, const struct tcp_flight *f);

/* The first stretch that is lost and was not sent again. False: none. */
bool tcp_recovery_lost(const struct tcp_recovery *r, const struct tcp_flight *f, uint32_t *start, uint32_t *end);

/* Where the newest burst begins: what a tail loss probe sends again lies behind it. */
uint32_t tcp_recovery_newest(const struct tcp_recovery *r, const struct tcp_flight *f);

/* For tests: the ranges cover the flight, sorted, and the sums are right. */
bool tcp_recovery_consistent(const struct tcp_recovery *r, const struct tcp_flight *f);

#endif
