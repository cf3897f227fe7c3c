/* splice.h: a pair whose two peers talk to each other: their segments are passed on, with the numbers of one wire moved to the
 * other's, and nobody here acknowledges, keeps or repeats anything of theirs.
 *
 * The hand-over may happen with data in flight (tcp_splice_ready says when). Up to a number R in each direction the pair has
 * acknowledged what it got, so it stays answerable for it; from R on the peers are. A half whose peer has not acknowledged all below R
 * *drains*: it repeats what is lost, and the sender beyond is told R for every acknowledgement below it, because it has those bytes off
 * its hands. When the peer's acknowledgement reaches R, that direction is nothing but numbers; each direction by itself.
 *
 *   sender's numbers          R
 *    |--- the half's to repeat ---|--- the sender's own to repeat ---|
 *   peer has acknowledged  A ^    told to the sender: the later of A and R
 *
 * What is still judged: a segment has to lie in the window that was given, an acknowledgement within what was sent, a RST exactly at
 * one of the two numbers that its sender would use (RFC 5961 3), a SYN never; what fails is answered by us as the half would, and goes
 * no further. Segments a little below the window pass: a retransmission, a keepalive or a window probe that only the other peer
 * can answer. Timestamps are judged by the peers.
 * What is kept: how far each peer sent, acknowledged and opened its window, its FIN, and how many octets passed; so a RST from
 * here has right numbers, a dead peer is found by keepalive, and the end is known.
 *
 * Ownership: the struct lies beside its pair and borrows nothing. Threading: one worker. Sans-IO.
 * Numbers of a side are in the sequence spaces of that side's wire.
 */
#ifndef DATAPLANE_TCP_SPLICE_H
#define DATAPLANE_TCP_SPLICE_H

#include "dataplane/packet/shift.h"
#include "dataplane/tcp/tcp.h"

/* What is known of the peer of one half. */
struct tcp_splice_side {
	uint64_t octets;     /* what passed on since the hand-over, each once, */
	uint64_t heard_at_us;
	uint32_t high;       /* behind the last number that it sent, its FIN's too */
	uint32_t acked;      /* the highest acknowledgement that it sent, */
	uint32_t edge;       /* and the right edge of the window that it gave, of the other peer's numbers on this wire */
	uint32_t window_max;
	uint32_t seq_shift, ts_shift; /* added to its numbers on the other wire */
	uint32_t ts_last;    /* its latest TSval */
	uint32_t fin_end;    /* behind its FIN, when fin_seen */
	uint32_t counted;    /* up to there */
	bool fin_seen;
	bool draining;       /* our half still repeats to it what was taken before */
	uint8_t shift;       /* of its windows */
};

struct tcp_splice {
	struct tcp_splice_side side[2];
	bool on;
	bool timestamps;
};

/* Both halves are open, nothing lies between them or out of order, all that was taken was sent once, and neither peer was promised
 * more window than the other one gives (tcp_pair_window_rule brings that about). */
bool tcp_splice_ready(const struct tcp_pair *pair);

/* The hand-over of a pair that is ready. Returns the sides (1 << side) that have to be told where we are (tcp_splice_ack). */
unsigned tcp_splice_begin(struct tcp_splice *splice, struct tcp_pair *pair, uint64_t now_us);

enum tcp_splice_event {
	TCP_SPLICE_FORWARD = 0x01,  /* goes on to the other wire, its numbers moved by tcp_splice_shift */
	TCP_SPLICE_REBUILT = 0x02,  /* FORWARD, but the segment was rewritten in more than that, for the other wire already */
	TCP_SPLICE_ANSWER = 0x04,   /* its sender has to be told where we are (tcp_splice_ack) */
	TCP_SPLICE_RESET = 0x08,    /* a valid RST: it goes on, and both halves are CLOSED; splice->on is false */
	TCP_SPLICE_FINISHED = 0x10, /* both FINs are acknowledged: both halves are in TIME-WAIT; splice->on is false */
	TCP_SPLICE_DRAINED = 0x20,  /* one half has nothing to repeat any more: the pair's deadline changed */
	TCP_SPLICE_DROPPED = 0x40,
	TCP_SPLICE_WANTED = 0x80,   /* the pair is needed: again, with it */
};

/* One segment of the peer of `side`, checksum verified. A set of events. `pair` may be NULL while it is at rest (rest.h): most segments
 * need nothing of it; TCP_SPLICE_WANTED alone says that this one does, and that nothing was done yet. */
unsigned tcp_splice_input(struct tcp_splice *splice, struct tcp_pair *pair, enum tcp_side side, struct tcp_segment *segment, uint64_t now_us);

/* By how much the numbers of the peer of `side` are moved. */
static inline struct packet_shift tcp_splice_shift(const struct tcp_splice *splice, enum tcp_side side)
{
	const struct tcp_splice_side *from = &splice->side[side], *to = &splice->side[!side];

	return (struct packet_shift){ from->seq_shift, 0u - to->seq_shift, from->ts_shift, 0u - to->ts_shift };
}

/* The acknowledgement that tells the peer of `side` how far the other one is. */
void tcp_splice_ack(const struct tcp_splice *splice, const struct tcp_pair *pair, enum tcp_side side, struct tcp_segment *out);

/* Brings the halves' numbers up to date: before tcp_pair_output, tcp_pair_timer, or a look at them. */
void tcp_splice_sync(const struct tcp_splice *splice, struct tcp_pair *pair, uint64_t now_us);

/* Ends it with two end points, at any moment: the pair is one of its own again, which reads and acknowledges for itself (takeback.c says how).
 * For a while it may get once more what had passed, or hear that it arrived: until tcp_splice_ready says yes again, or the pair ends, all bytes
 * have to be moved on unchanged, by tcp_move or otherwise. Both sides have something to say at once. */
void tcp_splice_take_back(struct tcp_splice *splice, struct tcp_pair *pair, uint64_t now_us);

/* How many of `moved` bytes, the last that were taken from half `from`, are not among the `octets` that had passed before. */
size_t tcp_splice_fresh(const struct tcp_splice *splice, const struct tcp_pair *pair, enum tcp_side from, size_t moved);

/* Ends it with a RST towards both peers. The pair is one of its own again. */
void tcp_splice_abort(struct tcp_splice *splice, struct tcp_pair *pair, uint64_t now_us);

#endif
