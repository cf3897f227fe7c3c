/* tcp.h: the transparent TCP pair: two RFC 9293 end points back to back on one 4-tuple.
 *
 * Purpose: towards the client Sluice is the server (half[TCP_CLIENT]), towards the server it is the client
 * (half[TCP_SERVER]). Bytes that arrive at one half become readable there; whoever inspects them writes them, or others,
 * into the other half. Sans-IO: segments and time come in as arguments, segments go out through one `emit` call.
 *
 * Life of a pair
 *   tcp_pair_open    with the client's SYN. The SERVER half then wants to send the same SYN, options filtered.
 *   tcp_pair_input   the server's SYN-ACK makes the CLIENT half send a SYN-ACK with the same ISN, MSS, window scale,
 *                    SACK-permitted and timestamps. A refusal by RST is mirrored to the client by the pair itself.
 *                    Our ACK to the server waits for the client's, so a spoofed SYN never opens anything at the server.
 *   established      both halves, at the same moment: tcp_established() is true for both.
 *   per turn         for every segment: tcp_pair_input; then reads and writes; then tcp_pair_output for both sides; and
 *                    tcp_pair_timer when tcp_pair_deadline_us is due. The deadline may have changed after any call.
 *   closing          a FIN in order: tcp_read_closed; the caller answers with tcp_send_close on the other half when all
 *                    is written. A RST or a dead peer: tcp_was_reset, tcp_timed_out; the caller then passes on what the peer
 *                    had sent before, as far as it may, and calls tcp_pair_abort_behind on the OTHER side.
 *   tcp_pair_done    both halves are CLOSED and have nothing to send: tcp_pair_release and forget. TIME-WAIT counts as
 *                    not done; it is short (config). A new SYN on the same 4-tuple is TCP_EVENT_REOPEN: the caller
 *                    releases the pair and opens a new one with the same segment.
 *
 * Instead of reading: splice.h lets the two peers talk to each other, and takes a pair back from there.
 *
 * Back-pressure: a half advertises its receive limit minus what is unread, so a reader that does not consume closes the
 * window; tcp_receive_limit lowers it further. An advertised edge is never taken back.
 * Memory: struct tcp_pair is all there is of an idle flow; chunks are held only for bytes that are unread, out of order
 * or unacknowledged, plus one for a scoreboard during recovery.
 * Ownership: config, pool and pair belong to the caller and outlive the flow; a pair must not move in memory.
 * Threading: a pair, and its pool, belong to one worker. Times are microseconds of one monotonic clock, never 0.
 * Policy: urgent data is read in line and the pointer is not passed on, so that both ends and the inspector see the same
 * bytes in the same order; ECN is offered to neither side, and marks are not passed on, since each half has its own path; SYN
 * data and TCP Fast Open are stripped: the client sends them again once the server has answered.
 */
#ifndef DATAPLANE_TCP_TCP_H
#define DATAPLANE_TCP_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/packet/segment.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/pool.h"
#include "dataplane/tcp/queue.h"
#include "dataplane/tcp/recovery.h"
#include "dataplane/tcp/rtt.h"
#include "dataplane/tcp/state.h"
#include "platform/base/bytes.h"

enum tcp_side {
	TCP_CLIENT = 0, /* towards the agent */
	TCP_SERVER = 1, /* towards the target */
};

#define TCP_NEVER_US UINT64_MAX

/* Shared by all flows of a service; borrowed. */
struct tcp_config {
	uint32_t receive_bytes_max; /* unread bytes of a half; 256 KiB; up to 1 GiB */
	uint32_t send_bytes_max;    /* unsent and unacknowledged bytes of a half */
	uint16_t mss_max;           /* what the MTU of both ports allows (packet_mss) */
	uint16_t mss_min;           /* a smaller MSS option is read as this */
	uint32_t rto_initial_us, rto_min_us, rto_max_us; /* rto_min: above the smoothed round trip */
	uint8_t syn_retries;        /* also SYN-ACK */
	uint8_t retries;            /* of data and FIN; zero-window probes that are answered do not count */
	bool tail_probe;            /* RFC 8985 7; off only to measure without it */
	uint32_t probe_alone_us;    /* how much longer the probe for a single segment waits, for a delayed ACK (RFC 8985 7.2, max_ack_delay) */
	uint32_t ack_delay_us;      /* only between request and reply; everything else is acknowledged at once */
	uint64_t keepalive_idle_us, keepalive_interval_us; /* idle 0: never */
	uint8_t keepalive_probes;
	uint64_t time_wait_us;
	uint32_t challenge_per_second; /* RFC 5961 7, per half */
};

struct tcp_config tcp_config_default(void);

/* What a SYN says, as it is passed on. */
struct tcp_syn {
	uint32_t ts_value;
	uint16_t window, mss;
	uint8_t shift;
	bool has_mss : 1, has_shift : 1, sack_permitted : 1, has_timestamps : 1;
};

#define TCP_UNACKED_MAX 3

struct tcp_receive {
	uint32_t isn, next;       /* IRS, RCV.NXT */
	uint32_t edge;            /* RCV.NXT + RCV.WND as advertised; never moves back */
	uint32_t limit_bytes;
	uint32_t fin_seq;
	uint32_t ts_recent;
	uint32_t ts_recent_at_s;  /* the worker's clock in seconds */
	uint32_t ack_sent;        /* Last.ACK.sent (RFC 7323 4.3) */
	uint8_t sack_count;
	uint8_t shift : 4;        /* ours */
	uint8_t unacked_segments : 2; /* in order since the last ACK; counted up to TCP_UNACKED_MAX */
	bool fin_known : 1, fin_reached : 1;
	bool duplicate_known : 1; /* `duplicate` is to be reported (RFC 2883) */
	struct tcp_queue queue;   /* in order, unread */
	struct tcp_queue held;    /* out of order */
	struct tcp_sack_block sack[TCP_SACK_MAX]; /* most recent first */
	struct tcp_sack_block duplicate;
};

struct tcp_send {
	uint32_t isn, una, next;  /* ISS, SND.UNA, SND.NXT (the highest sent) */
	uint32_t base;            /* sequence number of the queue's first byte */
	uint32_t window, window_max; /* SND.WND in bytes */
	uint32_t wl1, wl2;
	uint32_t limit_bytes;
	uint16_t mss;             /* of the payload before options */
	uint16_t mss_agreed;      /* 0: it is `mss`; else the path takes less since mss_lowered_s */
	uint32_t mss_lowered_s;
	uint32_t cursor_seq;
	uint32_t full_upto;       /* SND.NXT when the congestion window was last used up: what is acknowledged below says something about it */
	uint8_t shift;            /* the peer's */
	bool fin_queued, fin_sent;
	struct tcp_queue queue;   /* from base: unacknowledged, then unsent */
	struct tcp_chunk *cursor; /* holds the byte at `cursor_seq`, the start of what `cursor` has left of it */
};

enum tcp_timer {
	TCP_TIMER_RETRANSMIT, /* or persist, or SYN: only one of them can be due */
	TCP_TIMER_ACK,
	TCP_TIMER_LINGER,     /* keepalive, later TIME-WAIT */
	TCP_TIMER_COUNT
};

/* One end point. Fields are for the code in this folder and for tests; others use the functions. */
struct tcp_half {
	uint8_t side;
	uint8_t state;            /* enum tcp_state */
	uint8_t retries;
	uint8_t keepalives;
	uint8_t rule;             /* enum tcp_window_rule */
	bool ack_now;             /* an ACK must go out with the next output */
	union {
		struct {
			bool timestamps : 1, sack : 1, window_scale : 1; /* agreed */
			bool aborted : 1;         /* by us: whatever the peer still sends is answered with a RST */
			bool was_reset : 1;       /* a valid RST came */
			bool timed_out : 1;       /* the peer stopped answering */
			bool interactive : 1;     /* we sent since the last data came: request-reply */
			bool spliced : 1;         /* the numbers are splice.h's; only what drains, and keepalive, is this half's */
		};
		uint8_t outlives;         /* these, which are kept at rest */
	};
	bool reset_now : 1;       /* a RST must go out, with `reset_seq` */
	bool reset_queued : 1;    /* a RST follows what is queued */
	bool retransmit_now : 1, probe_now : 1, window_probe_now : 1, keepalive_now : 1;
	bool returning : 1;       /* was spliced; numbers up to reset_seq were sent on then, and may be acknowledged (takeback.c) */
	bool returning_fin : 1;   /* the last of them is a FIN's */
	uint16_t large_bytes;     /* the payload that `emit` takes in one segment, and cuts (tcp_segment.cut_bytes); 0: it does not. The
				   * caller's, for the next tcp_pair_output */
	uint16_t challenges;      /* spent in this second */
	uint32_t challenge_second;
	uint32_t reset_seq;
	uint32_t ts_offset;       /* our TSval = now in ms + offset */
	uint64_t heard_at_us, sent_at_us;
	struct tcp_receive receive;
	struct tcp_send send;
	struct tcp_recovery recovery;
	struct tcp_rtt rtt;
	struct tcp_congestion congestion;
	uint64_t timer_at_us[TCP_TIMER_COUNT]; /* TCP_NEVER_US: not armed */
};

struct tcp_pair {
	struct tcp_half half[2];
	const struct tcp_config *config;
	struct tcp_pool *pool;
	struct tcp_syn syn;       /* the client's, filtered; then the server's answer */
};

/* What an input or a timer changed; a set. */
enum tcp_event {
	TCP_EVENT_READABLE = 0x01,    /* new bytes in order at this half */
	TCP_EVENT_WRITABLE = 0x02,    /* bytes were acknowledged: send space grew */
	TCP_EVENT_ESTABLISHED = 0x04, /* both halves are open now */
	TCP_EVENT_READ_CLOSED = 0x08, /* the peer's FIN was reached */
	TCP_EVENT_RESET = 0x10,       /* RST, or the peer is dead: tcp_was_reset, tcp_timed_out */
	TCP_EVENT_REOPEN = 0x20,      /* a new SYN on the 4-tuple: release, open again with this segment */
	TCP_EVENT_DROPPED = 0x40,     /* the segment was not acceptable (it may have been answered) */
};

/* Starts a pair with the client's SYN. False when `syn` is not a plain SYN (then nothing was taken). */
bool tcp_pair_open(struct tcp_pair *pair, const struct tcp_config *config, struct tcp_pool *pool,
		   const struct tcp_segment *syn, uint64_t now_us);

/* One segment from the peer of `side`. The payload is borrowed and copied. Returns a set of enum tcp_event for `side`. */
unsigned tcp_pair_input(struct tcp_pair *pair, enum tcp_side side, const struct tcp_segment *segment, uint64_t now_us);

/* Takes one segment to send. The spans are valid during the call only. False: the port's queue is full, nothing was
 * taken, the same segment is offered again by the next tcp_pair_output. */
typedef bool tcp_emit(void *context, const struct tcp_segment *segment);

enum tcp_output_status {
	TCP_OUTPUT_IDLE, /* nothing more to send until input, a write, or a timer */
	TCP_OUTPUT_MORE, /* the budget was used up: call again in the next turn */
	TCP_OUTPUT_FULL, /* emit said no: call again when the port has room */
};

/* Sends what is due on `side`, at most `segments_max` segments. */
enum tcp_output_status tcp_pair_output(struct tcp_pair *pair, enum tcp_side side, tcp_emit *emit, void *context,
				       unsigned segments_max, uint64_t now_us);

/* Runs the timers that are due; what they have to send waits for tcp_pair_output of both sides. Returns the events of
 * each side in events[side]. Cheap when nothing is due. */
void tcp_pair_timer(struct tcp_pair *pair, uint64_t now_us, unsigned events[2]);

/* When tcp_pair_timer is next wanted, or TCP_NEVER_US. */
uint64_t tcp_pair_deadline_us(const struct tcp_pair *pair);

/* Both halves are closed and have nothing to say. */
bool tcp_pair_done(const struct tcp_pair *pair);

/* Nothing is left but TIME-WAIT: at least one half is in it, the other too or closed, and neither has anything to say. It stays so
 * until tcp_pair_done, whatever comes; who needs the pair's place may release it (dataplane/relay/room.c says what is lost). */
bool tcp_pair_waits(const struct tcp_pair *pair);

/* Drops what `side` still had to send and sends a RST there with the next output. */
void tcp_pair_abort(struct tcp_pair *pair, enum tcp_side side);

/* As tcp_pair_abort, but the RST follows what is queued, once that was sent (as it would without us); at the latest after
 * TCP_ABORT_WAIT_US. No more writes. May be called again. */
void tcp_pair_abort_behind(struct tcp_pair *pair, enum tcp_side side, uint64_t now_us);
#define TCP_ABORT_WAIT_US 10000000ull

/* A router says that segments to the peer of `side` may hold `mss` bytes at most; `seq` is of the one that it dropped. False:
 * it is about nothing that is in flight, or no news. The caller takes care that `mss` is not absurdly small. */
bool tcp_pair_path_mtu(struct tcp_pair *pair, enum tcp_side side, uint32_t seq, size_t mss, uint64_t now_us);

/* Gives all chunks back. The pair is then CLOSED on both sides. May be called at any time. */
void tcp_pair_release(struct tcp_pair *pair);

/* One half of a pair. */
static inline struct tcp_half *tcp_half_of(struct tcp_pair *pair, enum tcp_side side)
{
	return &pair->half[side];
}

/* Both halves have been opened (and may be closing since): bytes may be read and written. */
bool tcp_established(const struct tcp_half *half);

/* The first contiguous stretch of unread bytes; valid until the next call on this pair other than a query. */
struct bytes tcp_readable(const struct tcp_half *half);

/* All unread bytes as up to `spans_max` spans, first to last; returns how many were filled. */
unsigned tcp_readable_spans(const struct tcp_half *half, struct bytes *spans, unsigned spans_max);
size_t tcp_readable_bytes(const struct tcp_half *half);

/* Frees the first `len` unread bytes; opens the window (the update is sent by the next output when it is worth one). */
void tcp_consume(struct tcp_half *half, size_t len);

/* The FIN was reached and all before it was consumed. */
bool tcp_read_closed(const struct tcp_half *half);

/* How many bytes tcp_send would take now; 0 unless established and not closed for sending, or when memory is out. */
size_t tcp_send_space(const struct tcp_half *half);

/* Queues bytes (copied). Returns how many were taken. They go out with the next output; PSH is set where the queue ends. */
size_t tcp_send(struct tcp_half *half, const void *base, size_t len);

/* A FIN follows what is queued. No more writes. Idempotent. */
void tcp_send_close(struct tcp_half *half);

/* Everything written was acknowledged by the peer. */
bool tcp_send_empty(const struct tcp_half *half);

/* Moves up to `max` unread bytes of `from` into the send queue of `to` (the other half of the same pair), mostly without
 * copying. Returns how many. */
size_t tcp_move(struct tcp_half *from, struct tcp_half *to, size_t max);

/* How much window both peers are given: a pair that may be spliced promises neither one more than the other gives. HOLD promises
 * nothing new at all for a while, so that what is under way comes to rest. */
enum tcp_window_rule { TCP_WINDOW_OWN, TCP_WINDOW_FOLLOW, TCP_WINDOW_HOLD };
void tcp_pair_window_rule(struct tcp_pair *pair, enum tcp_window_rule rule);

/* Caps unread bytes at `bytes` (at most config's receive_bytes_max); 0 closes the window as soon as what was advertised
 * is used up. */
void tcp_receive_limit(struct tcp_half *half, uint32_t bytes);

/* Why a half ended: a valid RST came / the peer stopped answering (both also end the half: state CLOSED). */
bool tcp_was_reset(const struct tcp_half *half);
bool tcp_timed_out(const struct tcp_half *half);

#endif
