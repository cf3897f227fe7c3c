/* simulate.c: a client and a server with the pair between them, over two bad links, seed after seed.
 *
 *   client peer <-- wire --> half[CLIENT] | relay | half[SERVER] <-- wire --> server peer
 *
 * Every seed chooses the link (loss up to 20 %, reordering, duplication, bit errors, delay), the options that the peers
 * offer, window and buffer sizes, how much each sends, whether a peer reads slowly, and whether the relay moves or copies.
 * Frames are real: built and parsed with checksums, so that corruption meets the parser too.
 * In every third seed the port cuts large segments.
 * In every fourth seed the pair is packed (rest.h) at random moments, wherever it is at rest, and goes on in the same memory, overwritten.
 * Every second seed is handed over to pure forwarding (splice.h) at a random moment, with whatever is in flight then; each frame is then
 * moved in place or built again, by chance. Many of these are taken back (takeback.c) at a random moment and handed over again, up to six times.
 * Some are cut at a random moment, or reset by a peer: the numbers must be right.
 * Passes when both streams arrived byte by byte, both ends saw the end of the stream, nothing hangs, and every chunk came
 * back. A failure prints the command that repeats it.
 *
 * usage: simulate [--seeds N] [--seed FIRST] [--verbose]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/packet/shift.h"
#include "dataplane/tcp/seq.h"
#include "dataplane/tcp/rest.h"
#include "dataplane/tcp/splice.h"
#include "tests/harness/peer.h"
#include "tests/harness/wire.h"

#define POOL_BYTES (6u << 20)
#define LIMIT_US (7200ull * 1000000) /* of simulated time; longer is stuck */
#define FRAME_BYTES WIRE_FRAME_BYTES
#define TURN_SEGMENTS 16
#define ETHER_BYTES 14
#define HOLD_US 3000000ull
#define PIECE_BYTES_MIN 256

struct world {
	uint64_t seed, now_us;
	struct rng rng;
	struct tcp_config config;
	struct tcp_pool pool;
	struct tcp_pair pair;
	bool opened, released;
	struct tcp_splice splice;
	uint64_t splice_at_us;             /* from then on, as soon as it can be; 0: never */
	uint64_t back_at_us;               /* a spliced flow is taken back from then on; 0: never */
	unsigned backs_left;
	bool holds;
	uint64_t octets[2];                /* from that peer, moved by the relay */
	uint64_t end_at_us;                /* a spliced flow is cut, or reset by a peer, from then on; 0: it ends by itself */
	bool cut, ended;
	unsigned resets;                   /* a bit a side */
	uint32_t sent_to[2];               /* behind the highest number that left towards that peer */
	bool copies;                       /* the relay copies instead of moving */
	uint32_t port_full_ppm;            /* emit says no this often */
	struct peer peer[2];
	struct wire to_peer[2], from_peer[2];
	struct packet_template template[2]; /* of frames to the peer; [0] ours to the client */
	struct packet_template peer_template[2];
	unsigned side;                     /* that output works on */
	uint32_t mtu[2];                   /* of the link to the peer, from mtu_at_us on; 0: of all frames */
	uint64_t mtu_at_us[2];
	bool mtu_told;                     /* routers say so; else the link swallows what is too large */
	bool big[2];
	uint32_t big_seq[2];
	const char *trouble;
};

static void *pool_memory;
static uint64_t cut_segments; /* by a port that does so, in every third seed */
static uint64_t rests; /* of pairs that were packed */
static uint64_t splices, drained, ended_seeds; /* handed over; with something in flight that was still ours; cut or reset then */
static uint64_t backs, returned, cut_returning; /* taken back; with something in flight that was not ours; cut then */

static const uint8_t syn_frame[] = {
	0x02, 0, 0, 0, 0, 0xbb, 0x02, 0, 0, 0, 0, 0xaa, 0x08, 0x00,
	0x45, 0, 0, 40, 0, 9, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
	0x9c, 0x40, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 1, 0, 0, 0, 0, 0,
};

static void set_templates(struct world *w)
{
	struct packet p;

	if (packet_parse(bytes_of(syn_frame, sizeof(syn_frame)), &p) != ERROR_none)
		abort();
	/* Towards the server our frames look like the client's, and the other way round. */
	packet_template_from(&w->template[TCP_SERVER], &p);
	packet_template_from(&w->peer_template[TCP_CLIENT], &p);
	packet_template_reply(&w->template[TCP_CLIENT], &p);
	packet_template_reply(&w->peer_template[TCP_SERVER], &p);
}

static bool read_frame(const uint8_t *frame, size_t len, struct tcp_segment *s)
{
	struct packet p;

	return packet_parse(bytes_of(frame, len), &p) == ERROR_none && p.ip_version != 0 && p.protocol == PACKET_TCP &&
	       !p.fragment && packet_segment(&p, PACKET_CHECKSUM_UNKNOWN, s) == ERROR_none;
}

/* A frame that left towards the peer of w->side. */
static void put_on_wire(struct world *w, const uint8_t *frame, size_t len)
{
	wire_send(&w->to_peer[w->side], frame, len, w->now_us);
}

/* What leaves towards the peer of w->side; a full port is one more loss. */
static void note_sent(struct world *w, const struct tcp_segment *s)
{
	uint32_t end = s->seq + s->payload_bytes + !!(s->flags & TCP_FIN) + !!(s->flags & TCP_SYN);

	if (s->flags & TCP_RST) {
		w->resets |= 1u << w->side; /* a full port is asked again */
		if (w->ended && s->seq != w->sent_to[w->side])
			w->trouble = "a reset has the wrong number";
	} else if (s->flags & TCP_SYN || seq_after(end, w->sent_to[w->side])) {
		w->sent_to[w->side] = end;
	}
}

/* One frame towards the peer of w->side. */
static void emit_frame(struct world *w, const struct tcp_segment *segment)
{
	uint8_t frame[FRAME_BYTES];
	size_t len = packet_build(&w->template[w->side], segment, frame, sizeof(frame), PACKET_BUILD_FULL).bytes;

	if (len == 0)
		w->trouble = "a segment does not fit into a frame";
	if (w->mtu[w->side] && w->now_us >= w->mtu_at_us[w->side] && len > ETHER_BYTES + w->mtu[w->side]) {
		w->big[w->side] = w->mtu_told;
		w->big_seq[w->side] = segment->seq;
		return;
	}
	put_on_wire(w, frame, len);
}

/* What a port that cuts does: pieces with numbers that go on; FIN and PSH are the last one's. */
static void emit_pieces(struct world *w, const struct tcp_segment *segment)
{
	static uint8_t payload[UINT16_MAX];
	struct tcp_segment piece = *segment;
	uint32_t len = 0;

	if (segment->payload_bytes > w->pair.half[w->side].large_bytes || segment->payload_bytes <= segment->cut_bytes)
		w->trouble = "a segment that is to be cut is too large, or too small";
	if (segment->cut_bytes < PIECE_BYTES_MIN)
		w->trouble = "a card would refuse pieces as small as that";
	for (unsigned i = 0; i < segment->span_count && len + segment->many[i].len <= sizeof(payload); len += (uint32_t)segment->many[i++].len)
		memcpy(payload + len, segment->many[i].base, segment->many[i].len);
	if (len != segment->payload_bytes)
		w->trouble = "a segment is not the sum of its spans";
	piece.many = NULL;
	piece.cut_bytes = 0;
	piece.span_count = 1;
	for (uint32_t done = 0; done < len; done += piece.payload_bytes) {
		piece.seq = segment->seq + done;
		piece.payload_bytes = len - done < segment->cut_bytes ? len - done : segment->cut_bytes;
		piece.spans[0] = bytes_of(payload + done, piece.payload_bytes);
		piece.flags = done + piece.payload_bytes < len ? segment->flags & (uint8_t)~(TCP_FIN | TCP_PSH) : segment->flags;
		emit_frame(w, &piece);
	}
	cut_segments++;
}

static bool emit(void *context, const struct tcp_segment *segment)
{
	struct world *w = context;

	note_sent(w, segment);
	if (rng_below(&w->rng, 1000000) < w->port_full_ppm)
		return false;
	if (segment->cut_bytes)
		emit_pieces(w, segment);
	else
		emit_frame(w, segment);
	return true;
}

static void peer_emit(void *context, const struct tcp_segment *segment)
{
	struct world *w = context;
	uint8_t frame[FRAME_BYTES];
	size_t len = packet_build(&w->peer_template[w->side], segment, frame, sizeof(frame), PACKET_BUILD_FULL).bytes;

	wire_send(&w->from_peer[w->side], frame, len, w->now_us);
}

static void relay(struct world *w, unsigned side)
{
	struct tcp_half *from = &w->pair.half[side], *to = &w->pair.half[!side];
	size_t unread = tcp_readable_bytes(from);
	struct bytes b;

	if (w->copies) {
		while ((b = tcp_readable(from)).len > 0) {
			size_t taken = tcp_send(to, b.base, 1 + rng_below(&w->rng, b.len));

			if (taken == 0)
				break;
			tcp_consume(from, taken);
		}
	} else {
		(void)tcp_move(from, to, rng_below(&w->rng, 2) ? SIZE_MAX : 1 + rng_below(&w->rng, 5000));
	}
	w->octets[side] += tcp_splice_fresh(&w->splice, &w->pair, side, unread - tcp_readable_bytes(from));
	if (tcp_read_closed(from))
		tcp_send_close(to);
	if (tcp_was_reset(from) || tcp_timed_out(from))
		tcp_pair_abort_behind(&w->pair, !side, w->now_us);
}

/* An acknowledgement of ours towards `side`; lost when the port is full, as any frame. */
static void splice_answer(struct world *w, unsigned side)
{
	struct tcp_segment s;

	w->side = side;
	tcp_splice_ack(&w->splice, &w->pair, side, &s);
	(void)emit(w, &s);
}

/* Nothing, a moment, or some round trips. */
static uint64_t some_time(struct world *w)
{
	static const uint64_t most_us[] = { 1, 500, 40000, 800000 };

	return rng_below(&w->rng, most_us[rng_below(&w->rng, 4)]);
}

static bool returning(const struct world *w)
{
	return w->pair.half[0].returning || w->pair.half[1].returning;
}

static void take_back(struct world *w)
{
	if (!w->splice.on || w->back_at_us == 0 || w->now_us < w->back_at_us)
		return;
	tcp_splice_take_back(&w->splice, &w->pair, w->now_us);
	for (unsigned side = 0; side < 2; side++) {
		w->octets[side] += w->splice.side[side].octets;
		w->splice.side[side].octets = 0;
	}
	w->back_at_us = 0;
	w->splice_at_us = --w->backs_left > 0 || rng_below(&w->rng, 2) ? w->now_us + some_time(w) : 0;
	tcp_pair_window_rule(&w->pair, w->splice_at_us ? TCP_WINDOW_FOLLOW : TCP_WINDOW_OWN);
	backs++;
	returned += returning(w);
}

static void splice_try(struct world *w)
{
	unsigned answer;

	if (w->splice.on || w->splice_at_us == 0 || w->now_us < w->splice_at_us)
		return;
	if (w->holds)
		tcp_pair_window_rule(&w->pair, w->now_us - w->splice_at_us < HOLD_US ? TCP_WINDOW_HOLD : TCP_WINDOW_FOLLOW);
	if (!tcp_splice_ready(&w->pair))
		return;
	answer = tcp_splice_begin(&w->splice, &w->pair, w->now_us);
	splices++;
	drained += w->splice.side[0].draining || w->splice.side[1].draining;
	w->splice_at_us = 0;
	if (w->backs_left > 0)
		w->back_at_us = w->now_us + some_time(w);
	for (unsigned side = 0; side < 2; side++)
		if (answer & 1u << side)
			splice_answer(w, side);
}

/* Whether this is a seed whose pair is packed; both spliced ones and others are among them. */
static bool rests_in(const struct world *w)
{
	return w->seed % 8 == 3 || w->seed % 8 == 6;
}

static void rest(struct world *w)
{
	struct tcp_rest kept;

	if (!rests_in(w) || rng_below(&w->rng, 2) || !tcp_rest_ready(&w->pair, w->now_us))
		return;
	rests++;
	tcp_rest_pack(&w->pair, &kept);
	memset(&w->pair, 0xa5, sizeof w->pair);
	tcp_rest_unpack(&kept, &w->pair, &w->config, &w->pool);
	if (w->splice.on)
		tcp_splice_sync(&w->splice, &w->pair, w->now_us);
}

/* As the conductor gives it: without the pair while that is at rest, unless it is wanted. */
static unsigned splice_input(struct world *w, unsigned side, struct tcp_segment *s)
{
	bool rests_now = rests_in(w) && tcp_rest_ready(&w->pair, w->now_us);
	unsigned events = tcp_splice_input(&w->splice, rests_now ? NULL : &w->pair, side, s, w->now_us);

	return events == TCP_SPLICE_WANTED ? tcp_splice_input(&w->splice, &w->pair, side, s, w->now_us) : events;
}

/* A frame of a spliced flow. */
static void splice_frame(struct world *w, unsigned side, uint8_t *frame, size_t len)
{
	struct tcp_segment s;
	struct packet p;
	unsigned events;

	if (!read_frame(frame, len, &s))
		return;
	events = splice_input(w, side, &s);
	if (events & TCP_SPLICE_RESET)
		w->trouble = "a reset in a spliced flow";
	if (w->splice.on && events & TCP_SPLICE_ANSWER)
		splice_answer(w, side);
	if (!(events & TCP_SPLICE_FORWARD))
		return;
	w->side = !side;
	if (!(events & TCP_SPLICE_REBUILT)) {
		struct packet_shift by = tcp_splice_shift(&w->splice, side);

		if (rng_below(&w->rng, 8)) {
			(void)packet_parse(bytes_of(frame, len), &p);
			packet_shift_frame(&p, &by);
			packet_shift_segment(&s, &by);
			note_sent(w, &s);
			put_on_wire(w, frame, len);
			return;
		}
		packet_shift_segment(&s, &by);
	}
	(void)emit(w, &s);
}

/* The peer gives up: behind all that it sent, or, as an answer to something, where the other one has acknowledged it to be. Which of the
 * two is right depends on what was lost before it came here; one must be, and anything else must not. */
static void reset_by_peer(struct world *w, unsigned side)
{
	const struct peer *p = &w->peer[side];
	struct tcp_segment ack, s = { .seq = p->options.isn + 1 + p->sent_bytes + p->fin_sent + 7, .flags = TCP_RST };

	if (tcp_splice_input(&w->splice, &w->pair, side, &s, w->now_us) & (TCP_SPLICE_RESET | TCP_SPLICE_FORWARD))
		w->trouble = "a reset was taken that came from nowhere";
	tcp_splice_ack(&w->splice, &w->pair, side, &ack);
	s.seq = rng_below(&w->rng, 2) ? ack.ack : s.seq - 7;
	if (!(tcp_splice_input(&w->splice, &w->pair, side, &s, w->now_us) & TCP_SPLICE_RESET)) {
		s.seq = ack.ack; /* the challenge tells it */
		if (!(tcp_splice_input(&w->splice, &w->pair, side, &s, w->now_us) & TCP_SPLICE_RESET))
			w->trouble = "a reset was not taken";
	}
}

static void end_early(struct world *w)
{
	bool between = !w->splice.on && w->opened && returning(w) && w->cut && w->port_full_ppm == 0;

	if (!w->end_at_us || w->ended || (!w->splice.on && !between) || w->now_us < w->end_at_us)
		return;
	w->ended = true;
	ended_seeds++;
	cut_returning += between;
	if (between)
		for (unsigned side = 0; side < 2; side++)
			tcp_pair_abort(&w->pair, side);
	else if (w->cut)
		tcp_splice_abort(&w->splice, &w->pair, w->now_us);
	else
		reset_by_peer(w, (unsigned)rng_below(&w->rng, 2));
}

static void pair_turn(struct world *w)
{
	unsigned events[2];

	if (!w->opened)
		return;
	take_back(w);
	end_early(w);
	if (w->splice.on)
		tcp_splice_sync(&w->splice, &w->pair, w->now_us);
	for (unsigned side = 0; side < 2; side++) {
		if (w->big[side])
			(void)tcp_pair_path_mtu(&w->pair, side, w->big_seq[side], packet_mss(4, w->mtu[side]), w->now_us);
		w->big[side] = false;
	}
	if (tcp_pair_deadline_us(&w->pair) <= w->now_us)
		tcp_pair_timer(&w->pair, w->now_us, events);
	for (unsigned side = 0; side < 2 && !w->splice.on; side++)
		relay(w, side);
	splice_try(w);
	for (w->side = 0; w->side < 2; w->side++) {
		w->pair.half[w->side].large_bytes = w->seed % 3 == 0 ? (uint16_t)(2000 + w->seed * 7919 % 63000) : 0;
		while (tcp_pair_output(&w->pair, w->side, emit, w, TURN_SEGMENTS, w->now_us) != TCP_OUTPUT_IDLE)
			continue;
	}
	rest(w);
}

static void pair_frame(struct world *w, unsigned side, uint8_t *frame, size_t len)
{
	struct tcp_segment s;

	take_back(w);
	if (w->splice.on) {
		splice_frame(w, side, frame, len);
		return;
	}
	if (!read_frame(frame, len, &s))
		return;
	if (!w->opened) {
		w->opened = side == TCP_CLIENT && tcp_pair_open(&w->pair, &w->config, &w->pool, &s, w->now_us);
		if (w->opened && w->splice_at_us)
			tcp_pair_window_rule(&w->pair, TCP_WINDOW_FOLLOW);
	} else if (tcp_pair_input(&w->pair, side, &s, w->now_us) & TCP_EVENT_REOPEN)
		w->trouble = "the pair wants to be opened again";
}

static void deliver(struct world *w)
{
	uint8_t frame[FRAME_BYTES];
	struct tcp_segment s;
	size_t len;

	for (unsigned side = 0; side < 2; side++) {
		while ((len = wire_receive(&w->from_peer[side], w->now_us, frame)) > 0)
			pair_frame(w, side, frame, len);
		w->side = side; /* it may answer at once */
		while ((len = wire_receive(&w->to_peer[side], w->now_us, frame)) > 0)
			if (read_frame(frame, len, &s))
				peer_input(&w->peer[side], &s, w->now_us);
	}
}

static uint64_t next_time(const struct world *w)
{
	uint64_t next = w->opened ? tcp_pair_deadline_us(&w->pair) : UINT64_MAX;

	for (unsigned side = 0; side < 2; side++) {
		const uint64_t due[] = {
			wire_due_us(&w->to_peer[side]), wire_due_us(&w->from_peer[side]), peer_deadline_us(&w->peer[side]),
		};

		for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++)
			next = due[i] < next ? due[i] : next;
	}
	return next;
}

static struct wire_profile random_link(struct rng *rng, uint64_t seed)
{
	uint32_t loss_max = seed % 4 == 0 ? 0 : seed % 4 == 3 || seed % 32 == 6 ? 200000 : 40000;

	return (struct wire_profile){
		.loss_ppm = (uint32_t)rng_below(rng, loss_max + 1),
		.reorder_ppm = rng_below(rng, 2) ? (uint32_t)rng_below(rng, 150000) : 0,
		.duplicate_ppm = rng_below(rng, 2) ? (uint32_t)rng_below(rng, 50000) : 0,
		.corrupt_ppm = rng_below(rng, 3) == 0 ? (uint32_t)rng_below(rng, 20000) : 0,
		.delay_us = 20 + (uint32_t)rng_below(rng, rng_below(rng, 2) ? 200 : 30000),
		.jitter_us = (uint32_t)rng_below(rng, 1000),
	};
}

static void start(struct world *w, uint64_t seed)
{
	static const uint16_t sizes[] = { 536, 1000, 1400, 1460, 200 };

	*w = (struct world){ .seed = seed, .now_us = 1000000000, .rng = rng_seeded(seed) };
	w->config = tcp_config_default();
	w->config.keepalive_idle_us = 0;
	w->config.retries = 30; /* so that 20 % loss does not look like a dead peer */
	w->config.syn_retries = 30;
	w->config.time_wait_us = 60000000; /* a FIN may be lost again and again; RSTs from nowhere are not simulated */
	w->config.receive_bytes_max = 4096u << rng_below(&w->rng, 9);
	w->config.send_bytes_max = 4096u << rng_below(&w->rng, 9);
	w->copies = rng_below(&w->rng, 2);
	w->port_full_ppm = rng_below(&w->rng, 4) == 0 ? 200000 : 0;
	(void)tcp_pool_init(&w->pool, pool_memory, rng_below(&w->rng, 8) ? POOL_BYTES : 96 * TCP_CHUNK_BYTES);
	w->mtu_told = rng_below(&w->rng, 2);
	for (unsigned side = 0; side < 2; side++) {
		w->mtu[side] = rng_below(&w->rng, 4) == 0 ? 576 + (uint32_t)rng_below(&w->rng, 900) : 0;
		w->mtu_at_us[side] = w->now_us + rng_below(&w->rng, 3) * rng_below(&w->rng, 500000);
	}
	if (seed % 2 == 0) {
		w->splice_at_us = w->now_us + (rng_below(&w->rng, 3) ? rng_below(&w->rng, rng_below(&w->rng, 2) ? 2000000 : 100000) : 0);
		w->holds = rng_below(&w->rng, 2);
		w->cut = rng_below(&w->rng, 2);
		w->backs_left = rng_below(&w->rng, 3) ? 1 + (unsigned)rng_below(&w->rng, 6) : 0;
		w->end_at_us = seed % 8 == 2 ? w->splice_at_us + rng_below(&w->rng, 200000) : 0;
		w->mtu[0] = w->mtu[1] = 0; /* the peers of this model never learn of a smaller path */
	}
	set_templates(w);
	for (unsigned side = 0; side < 2; side++) {
		struct wire_profile there = random_link(&w->rng, seed), back = random_link(&w->rng, seed);
		struct peer_options options = {
			.active = side == TCP_CLIENT,
			.isn = rng_below(&w->rng, 2) ? (uint32_t)rng_next(&w->rng) : UINT32_MAX - 1000,
			.mss = sizes[rng_below(&w->rng, 4) + (rng_below(&w->rng, 32) == 0)],
			.shift = rng_below(&w->rng, 2) ? (uint8_t)rng_below(&w->rng, 8) : PEER_NO_SHIFT,
			.sack = rng_below(&w->rng, 4) != 0,
			.timestamps = rng_below(&w->rng, 3) != 0,
			.window_bytes = 2000u << rng_below(&w->rng, 7),
			.send_bytes = (uint32_t)rng_below(&w->rng, rng_below(&w->rng, 4) ? 40000 : 400000),
			.close_first = rng_below(&w->rng, 2) || (side == TCP_SERVER && !w->peer[0].options.close_first),
			.read_pause_us = rng_below(&w->rng, 5) == 0 ? 1 + (uint32_t)rng_below(&w->rng, 300000) : 0,
			.seed = rng_next(&w->rng),
			.slack_bytes = w->splice_at_us != 0 ? 128 : 0,
			.side = side,
		};

		wire_init(&w->from_peer[side], &there, rng_next(&w->rng));
		wire_init(&w->to_peer[side], &back, rng_next(&w->rng));
		peer_init(&w->peer[side], &options, peer_emit, w, w->now_us);
	}
}

static bool finished(const struct world *w)
{
	if (w->ended)
		return tcp_pair_done(&w->pair);
	return peer_finished(&w->peer[0]) && peer_finished(&w->peer[1]) && w->opened && tcp_pair_done(&w->pair);
}

static const char *check(const struct world *w)
{
	if (w->trouble)
		return w->trouble;
	for (unsigned side = 0; side < 2; side++)
		if (w->peer[side].trouble)
			return w->peer[side].trouble;
	if (w->now_us - 1000000000 > LIMIT_US)
		return "the flow is stuck";
	if (w->opened && !w->ended && (tcp_was_reset(&w->pair.half[0]) || tcp_was_reset(&w->pair.half[1])))
		return "a half was reset";
	if (w->opened && (tcp_timed_out(&w->pair.half[0]) || tcp_timed_out(&w->pair.half[1])))
		return "a half timed out";
	return NULL;
}

static void describe(const struct world *w)
{
	for (unsigned side = 0; side < 2; side++) {
		const struct peer *p = &w->peer[side];
		const struct tcp_half *h = &w->pair.half[side];

		printf("#   %s: mtu %u mss %u/%u; sent %u of %u, received %u, closed %d; half %s una +%u next +%u queue %u window %u, unread %u held %u\n",
		       side ? "server" : "client", w->mtu[side], h->send.mss, h->send.mss_agreed, p->acked_bytes, p->options.send_bytes, p->received_bytes, p->fin_received,
		       tcp_state_name(h->state), h->send.una - h->send.isn, h->send.next - h->send.isn, h->send.queue.bytes,
		       h->send.window, h->receive.queue.bytes, h->receive.held.bytes);
	}
}

/* NULL, or what went wrong. */
static const char *run(struct world *w, uint64_t seed)
{
	const char *trouble;

	start(w, seed);
	while (!(trouble = check(w)) && !finished(w)) {
		uint64_t next;

		for (w->side = 0; w->side < 2; w->side++)
			peer_turn(&w->peer[w->side], w->now_us);
		pair_turn(w);
		if (finished(w))
			break;
		next = next_time(w);
		if (next == UINT64_MAX) {
			trouble = "nothing is due, and nobody is finished";
			break;
		}
		w->now_us = next > w->now_us ? next : w->now_us;
		deliver(w);
	}
	if (!trouble && !w->ended && tcp_pool_used(&w->pool) != 0)
		trouble = "chunks are still held by a finished pair";
	if (!trouble && w->ended && w->resets != (w->cut ? 3 : 0))
		trouble = "not both peers were reset";
	for (unsigned side = 0; side < 2 && !trouble && !w->ended; side++)
		if (w->octets[side] + w->splice.side[side].octets != w->peer[side].options.send_bytes)
			trouble = "the octets were counted wrong";
	if (trouble)
		describe(w);
	if (w->opened)
		tcp_pair_release(&w->pair);
	if (!trouble && tcp_pool_used(&w->pool) != 0)
		trouble = "chunks were lost";
	for (unsigned side = 0; side < 2; side++) {
		wire_free(&w->from_peer[side]);
		wire_free(&w->to_peer[side]);
	}
	return trouble;
}

int main(int argc, char **argv)
{
	static struct world w;
	uint64_t seeds = 200, first = 1, failed = 0, simulated_us = 0;
	bool verbose = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--seeds") && i + 1 < argc)
			seeds = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			first = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--verbose"))
			verbose = true;
		else
			return fprintf(stderr, "usage: simulate [--seeds N] [--seed FIRST] [--verbose]\n"), 2;
	}
	pool_memory = malloc(POOL_BYTES);
	printf("1..1\n");
	for (uint64_t seed = first; seed < first + seeds; seed++) {
		const char *trouble = run(&w, seed);

		simulated_us += w.now_us - 1000000000;
		if (verbose || trouble)
			printf("# seed %llu: %s after %.3f s: simulate --seeds 1 --seed %llu\n", (unsigned long long)seed,
			       trouble ? trouble : "passed", (double)(w.now_us - 1000000000) / 1e6, (unsigned long long)seed);
		failed += trouble != NULL;
	}
	if (seeds > 100 && (cut_segments == 0 || drained == 0 || returned == 0 || rests == 0))
		failed++;
	printf("# %llu segments were cut by the port; pairs were packed %llu times\n", (unsigned long long)cut_segments, (unsigned long long)rests);
	printf("# handed over %llu times, %llu of them with data in flight; taken back %llu times, %llu of them with data in flight; %llu cut or reset, %llu between\n",
	       (unsigned long long)splices, (unsigned long long)drained, (unsigned long long)backs, (unsigned long long)returned,
	       (unsigned long long)ended_seeds, (unsigned long long)cut_returning);
	printf("%s 1 - %llu seeds from %llu, %.0f s simulated, %llu failed\n", failed ? "not ok" : "ok",
	       (unsigned long long)seeds, (unsigned long long)first, (double)simulated_us / 1e6, (unsigned long long)failed);
	free(pool_memory);
	return failed ? 1 : 0;
}
