/* The pair against anything: the input is a programme of segments, time, reads, writes, a port that fills up, hand-overs to forwarding
 * and takings back (splice.h).
 *
 * After every step the invariants of both halves are asserted; at the end every chunk must be back. Sequence numbers are
 * taken near the window, so that most segments mean something. Of the whole: no peer is ever told that something arrived which it did not
 * send; what is told, sent and counted of a spliced pair never goes back, and each octet counts once. In a `plain` programme, where bytes
 * are only moved, every byte is a function of its number: whatever leaves has to be it, before, between and after hand-overs.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/half.h"
#include "dataplane/tcp/rest.h"
#include "dataplane/tcp/send.h"
#include "dataplane/tcp/seq.h"
#include "dataplane/tcp/splice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHUNKS 64

static uint8_t memory[(CHUNKS + 1) * TCP_CHUNK_BYTES];
static uint8_t payload[5000];

/* The byte with number `seq` of the peer of `side`. */
static uint8_t byte_at(unsigned side, uint32_t seq)
{
	return (uint8_t)(((seq ^ side) * 2654435761u) >> 24);
}

static void must(bool truth)
{
	if (!truth)
		abort();
}

static void check_queue(const struct tcp_queue *q)
{
	uint32_t bytes = 0, chunks = 0;

	for (const struct tcp_chunk *c = q->head; c; c = c->next) {
		must(c->len > 0 && c->offset + c->len <= sizeof(c->data));
		must(c->next || c == q->tail);
		bytes += c->len;
		chunks++;
	}
	must(bytes == q->bytes && chunks == q->chunks);
}

static void check_half(const struct tcp_half *half)
{
	const struct tcp_receive *r = &half->receive;
	const struct tcp_send *s = &half->send;
	const struct tcp_chunk *before = NULL;

	check_queue(&r->queue);
	check_queue(&r->held);
	check_queue(&s->queue);
	if (half->spliced) /* the numbers are those of splice.h */
		return;
	if (!tcp_state_synchronized(half->state))
		return;
	must(seq_upto(s->una, s->next));
	must(seq_upto(s->next, tcp_send_end(s) + 1));
	must(seq_upto(r->next, r->edge));
	must(r->queue.bytes <= tcp_pair_of(half)->config->receive_bytes_max + (1u << 15) + UINT16_MAX);
	must(!s->fin_sent || s->fin_queued);
	must(tcp_recovery_consistent(&half->recovery, &(struct tcp_flight){ s->una, s->next, s->mss, half->sack }));
	for (const struct tcp_chunk *c = r->held.head; c; c = c->next) { /* sorted, disjoint, above RCV.NXT, in the window */
		must(seq_after(c->seq + c->len, r->next) && seq_upto(c->seq + c->len, r->edge));
		must(!before || seq_upto(before->seq + before->len, c->seq));
		before = c;
	}
	for (unsigned i = 0; i < r->sack_count; i++)
		must(seq_before(r->sack[i].start, r->sack[i].end) && seq_after(r->sack[i].start, r->next));
}

struct program {
	struct reader r;
	struct tcp_pair pair;
	struct tcp_splice splice;
	unsigned side;
	bool known;             /* it began open, with the numbers below */
	bool plain, back;       /* back: taken back, and nothing may be changed yet */
	uint32_t highest[2];    /* behind what that peer sent */
	uint32_t first[2];      /* its first byte */
	uint32_t told[2];       /* the highest acknowledgement that it got */
	uint64_t octets[2];     /* of its bytes, counted */
	uint64_t now_us;
};

static void check_told(struct program *p, unsigned side, uint32_t ack)
{
	if (!p->known)
		return;
	must(seq_upto(ack, p->highest[side]));
	p->told[side] = seq_max(p->told[side], ack);
}

static void check_bytes(const struct program *p, unsigned from, uint32_t seq, struct bytes b)
{
	for (size_t i = 0; p->plain && i < b.len; i++)
		must(b.base[i] == byte_at(from, seq + (uint32_t)i));
}

static bool emit(void *context, const struct tcp_segment *s)
{
	struct program *p = context;
	const struct tcp_half *half = &p->pair.half[p->side];
	uint32_t sum = 0;
	uint8_t raw[TCP_OPTIONS_BYTES_MAX];

	if (s->flags & TCP_ACK && !(s->flags & TCP_RST))
		check_told(p, p->side, s->ack);
	for (unsigned i = 0; i < s->span_count; i++) {
		must(s->spans[i].len > 0);
		check_bytes(p, !p->side, s->seq + sum, s->spans[i]);
		sum += (uint32_t)s->spans[i].len;
	}
	must(sum == s->payload_bytes);
	must(sum == 0 || sum + tcp_options_write(&s->options, raw) <= half->send.mss);
	return reader_u8(&p->r) != 0xff;
}

static void make_segment(struct program *p, struct tcp_segment *s)
{
	struct reader *r = &p->r;
	const struct tcp_half *half = &p->pair.half[p->side];
	uint8_t shape;

	*s = (struct tcp_segment){ 0 };
	s->flags = reader_u8(r);
	shape = reader_u8(r);
	s->seq = half->receive.next + (uint32_t)(int32_t)(int16_t)reader_be16(r);
	s->ack = half->send.una + (uint32_t)(int32_t)(int16_t)reader_be16(r);
	if (shape & 1)
		s->seq = half->receive.next;
	if (shape & 2)
		s->ack = half->send.next;
	s->window = reader_be16(r);
	s->payload_bytes = shape & 4 ? reader_be16(r) % sizeof(payload) : 0;
	s->span_count = s->payload_bytes > 0;
	s->spans[0] = bytes_of(payload, s->payload_bytes);
	for (uint32_t i = 0; i < s->payload_bytes; i++)
		payload[i] = byte_at(p->side, s->seq + i);
	p->highest[p->side] = seq_max(p->highest[p->side], s->seq + s->payload_bytes + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN));
	if (shape & 8)
		(void)tcp_options_parse(reader_bytes(r, reader_u8(r) % 41), &s->options);
	if (shape & 16) {
		s->options.has_timestamps = true;
		s->options.ts_value = half->receive.ts_recent + (shape & 32 ? 1 : 0);
	}
	if (shape & 64) {
		s->options.sack_count = 1;
		s->options.sack[0].start = half->send.una + reader_be16(r) % 3000;
		s->options.sack[0].end = s->options.sack[0].start + reader_be16(r) % 3000;
	}
}

/* Its memory is another one then. */
static void rest(struct program *p)
{
	struct tcp_rest kept;

	if (p->splice.on && (p->splice.side[0].draining || p->splice.side[1].draining))
		return;
	if (!tcp_rest_ready(&p->pair, p->now_us))
		return;
	tcp_rest_pack(&p->pair, &kept);
	const struct tcp_config *config = p->pair.config;
	struct tcp_pool *pool = p->pair.pool;

	memset(&p->pair, 0xa5, sizeof p->pair);
	tcp_rest_unpack(&kept, &p->pair, config, pool);
	if (p->splice.on)
		tcp_splice_sync(&p->splice, &p->pair, p->now_us);
}

static void count(struct program *p, unsigned from, size_t octets)
{
	p->octets[from] += octets;
	must(!p->known || p->octets[from] <= (uint32_t)(p->highest[from] - p->first[from]));
}

/* What is known of the peers only grows, and is of nothing that was not sent. */
static void check_splice(const struct program *p, const struct tcp_splice *before)
{
	for (unsigned side = 0; side < 2; side++) {
		const struct tcp_splice_side *now = &p->splice.side[side], *was = &before->side[side], *other = &p->splice.side[!side];

		must(seq_upto(was->high, now->high) && seq_upto(was->acked, now->acked) && seq_upto(was->edge, now->edge));
		must(seq_upto(was->counted, now->counted) && was->octets <= now->octets);
		must(seq_upto(now->acked, other->high + other->seq_shift));
		must(!p->known || seq_upto(now->high, p->highest[side]));
		must(!now->fin_seen || seq_upto(now->fin_end, now->high));
		must(now->draining <= was->draining);
		must(!p->plain || now->seq_shift == 0);
	}
}

static void splice_answer(struct program *p, unsigned side)
{
	struct tcp_segment s;

	tcp_splice_ack(&p->splice, &p->pair, side, &s);
	check_told(p, side, s.ack);
	must(!p->known || s.ack == p->told[side]); /* all that it was told before, too */
}

static void splice_begin(struct program *p)
{
	if (p->splice.on || !tcp_splice_ready(&p->pair))
		return;
	p->back = false;
	unsigned answer = tcp_splice_begin(&p->splice, &p->pair, p->now_us);

	for (unsigned side = 0; side < 2; side++)
		if (answer & 1u << side)
			splice_answer(p, side);
}

static void take_back(struct program *p)
{
	if (!p->splice.on)
		return;
	tcp_splice_take_back(&p->splice, &p->pair, p->now_us);
	for (unsigned side = 0; side < 2; side++) {
		count(p, side, p->splice.side[side].octets);
		must(!p->known || seq_upto(p->told[side], p->pair.half[side].receive.next)); /* nothing is asked for that was acknowledged */
	}
	p->back = true;
}

/* What goes on to the other wire: nothing is acknowledged there that was not sent. */
static void forwarded(struct program *p, struct tcp_segment *s, unsigned events)
{
	struct packet_shift by = tcp_splice_shift(&p->splice, p->side);

	if (!(events & TCP_SPLICE_REBUILT))
		packet_shift_segment(s, &by);
	if (s->flags & TCP_ACK && !(s->flags & TCP_RST))
		check_told(p, !p->side, s->ack);
	for (unsigned i = 0; i < s->span_count; i++)
		check_bytes(p, p->side, s->seq, s->spans[i]);
}

static void splice_input(struct program *p, struct tcp_segment *s)
{
	struct tcp_splice before = p->splice;
	unsigned events = tcp_splice_input(&p->splice, &p->pair, p->side, s, p->now_us);

	must(!(events & TCP_SPLICE_WANTED));
	must(!(events & TCP_SPLICE_DROPPED) || !(events & (TCP_SPLICE_FORWARD | TCP_SPLICE_REBUILT | TCP_SPLICE_RESET | TCP_SPLICE_FINISHED)));
	must(!(events & TCP_SPLICE_DROPPED) || memcmp(&before, &p->splice, sizeof before) == 0);
	must(p->splice.on == !(events & (TCP_SPLICE_RESET | TCP_SPLICE_FINISHED)));
	check_splice(p, &before);
	if (events & TCP_SPLICE_ANSWER && p->splice.on)
		splice_answer(p, p->side);
	if (events & TCP_SPLICE_FORWARD)
		forwarded(p, s, events);
	for (unsigned side = 0; side < 2 && !p->splice.on; side++)
		count(p, side, p->splice.side[side].octets);
}

/* One step of a pair whose peers talk to each other. */
static void splice_step(struct program *p, uint8_t op)
{
	struct tcp_segment s;
	unsigned events[2];

	tcp_splice_sync(&p->splice, &p->pair, p->now_us);
	switch (op % 10) {
	case 0: case 1: case 3: case 4:
		make_segment(p, &s);
		splice_input(p, &s);
		break;
	case 2:
		p->now_us += (uint64_t)reader_be16(&p->r) * 100;
		tcp_splice_sync(&p->splice, &p->pair, p->now_us);
		tcp_pair_timer(&p->pair, p->now_us, events);
		if (tcp_timed_out(&p->pair.half[0]) || tcp_timed_out(&p->pair.half[1]))
			tcp_splice_abort(&p->splice, &p->pair, p->now_us);
		break;
	case 5: case 6:
		take_back(p);
		break;
	case 7:
		if (reader_u8(&p->r) == 7)
			tcp_splice_abort(&p->splice, &p->pair, p->now_us);
		break;
	case 8:
		rest(p);
		break;
	default:
		(void)tcp_pair_output(&p->pair, p->side, emit, p, 8, p->now_us);
	}
}

/* Bytes from one half to the other. */
static void move(struct program *p, unsigned from, size_t max)
{
	size_t moved = tcp_move(&p->pair.half[from], &p->pair.half[!from], max);

	if (p->plain)
		count(p, from, p->back ? tcp_splice_fresh(&p->splice, &p->pair, from, moved) : moved);
	if (p->back && tcp_splice_ready(&p->pair))
		p->back = false;
}

static void step(struct program *p, uint8_t op)
{
	struct tcp_half *half = &p->pair.half[p->side], *other = &p->pair.half[!p->side];
	bool moves_only = p->plain || p->back;
	struct tcp_segment s;
	unsigned events[2];

	switch (op % 10) {
	case 0:
	case 1:
		make_segment(p, &s);
		(void)tcp_pair_input(&p->pair, p->side, &s, p->now_us);
		break;
	case 2:
		p->now_us += (uint64_t)reader_be16(&p->r) * 100;
		tcp_pair_timer(&p->pair, p->now_us, events);
		break;
	case 3:
		if (!moves_only)
			(void)tcp_send(half, payload, reader_be16(&p->r) % sizeof(payload));
		else
			splice_begin(p);
		break;
	case 4:
		move(p, p->side, reader_be16(&p->r));
		break;
	case 5:
		if (!moves_only)
			tcp_consume(half, reader_be16(&p->r));
		else
			splice_begin(p);
		break;
	case 6:
		if (op & 64)
			tcp_receive_limit(half, reader_be16(&p->r));
		else if (!moves_only || tcp_read_closed(other))
			tcp_send_close(half);
		break;
	case 8:
		rest(p);
		break;
	case 7:
		if (op & 64)
			splice_begin(p);
		else if (reader_u8(&p->r) == 7)
			tcp_pair_abort(&p->pair, p->side);
		break;
	default:
		(void)tcp_pair_output(&p->pair, p->side, emit, p, 8, p->now_us);
	}
}

static void any_step(struct program *p)
{
	uint8_t op = reader_u8(&p->r);

	p->side = op >> 7;
	if (p->splice.on)
		splice_step(p, op);
	else
		step(p, op);
	check_half(&p->pair.half[0]);
	check_half(&p->pair.half[1]);
}

/* Half of the inputs begin with an open pair, some of these with one that is spliced. */
static void open_pair(struct program *p, const struct tcp_segment *answer, const struct tcp_segment *ack, bool spliced)
{
	p->side = TCP_SERVER;
	(void)tcp_pair_output(&p->pair, TCP_SERVER, emit, p, 8, p->now_us);
	(void)tcp_pair_input(&p->pair, TCP_SERVER, answer, p->now_us);
	p->side = TCP_CLIENT;
	(void)tcp_pair_output(&p->pair, TCP_CLIENT, emit, p, 8, p->now_us);
	(void)tcp_pair_input(&p->pair, TCP_CLIENT, ack, p->now_us);
	p->side = TCP_SERVER;
	(void)tcp_pair_output(&p->pair, TCP_SERVER, emit, p, 8, p->now_us);
	/* A full port kept the SYN back: who answers it later may begin anywhere. */
	p->known = p->pair.half[TCP_CLIENT].state == TCP_ESTABLISHED;
	p->plain &= p->known;
	if (spliced)
		splice_begin(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct program p = { .r = reader_of(data, size), .highest = { 0xfffffff1, 0x7ffffff1 }, .first = { 0xfffffff1, 0x7ffffff1 },
			     .told = { 0xfffffff1, 0x7ffffff1 }, .now_us = 1000000 };
	struct tcp_config config = tcp_config_default();
	struct tcp_segment syn = { .seq = 0xfffffff0, .flags = TCP_SYN, .window = 20000 };
	struct tcp_segment answer = { .seq = 0x7ffffff0, .ack = 0xfffffff1, .flags = TCP_SYN | TCP_ACK, .window = 20000 };
	struct tcp_segment ack = { .seq = 0xfffffff1, .ack = 0x7ffffff1, .flags = TCP_ACK, .window = 20000 };
	struct tcp_pool pool;
	uint8_t shape = reader_u8(&p.r), mood = reader_u8(&p.r);

	(void)tcp_pool_init(&pool, memory, sizeof(memory));
	config.receive_bytes_max = 1000u << (shape & 7);
	config.send_bytes_max = 1000u << (shape >> 3 & 7);
	p.known = mood & 1;
	p.plain = p.known && mood & 4;
	syn.options = (struct tcp_options){ .has_mss = true, .mss = 1000, .sack_permitted = shape & 64, .has_shift = shape & 128, .shift = 3,
					    .has_timestamps = mood & 16, .ts_value = 70000 };
	answer.options = syn.options;
	ack.options = (struct tcp_options){ .has_timestamps = mood & 16, .ts_value = 70001 };
	must(tcp_pair_open(&p.pair, &config, &pool, &syn, p.now_us));
	if (mood & 2)
		tcp_pair_window_rule(&p.pair, TCP_WINDOW_FOLLOW);
	if (mood & 1)
		open_pair(&p, &answer, &ack, mood & 8);
	for (unsigned i = 0; i < 2000 && p.r.ok && p.r.left > 0; i++)
		any_step(&p);
	tcp_pair_release(&p.pair);
	must(tcp_pool_used(&pool) == 0);
	must(tcp_pair_done(&p.pair));
	return 0;
}
