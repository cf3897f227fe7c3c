/* The pair against anything: the input is a programme of segments, time, reads, writes and a port that fills up.
 *
 * After every step the invariants of both halves are asserted; at the end every chunk must be back. Sequence numbers are
 * taken near the window, so that most segments mean something.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/half.h"
#include "dataplane/tcp/rest.h"
#include "dataplane/tcp/send.h"
#include "dataplane/tcp/seq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHUNKS 64

static uint8_t memory[(CHUNKS + 1) * TCP_CHUNK_BYTES];
static uint8_t payload[5000];

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
	unsigned side;
};

static bool emit(void *context, const struct tcp_segment *s)
{
	struct program *p = context;
	const struct tcp_half *half = &p->pair.half[p->side];
	uint32_t sum = 0;
	uint8_t raw[TCP_OPTIONS_BYTES_MAX];

	for (unsigned i = 0; i < s->span_count; i++) {
		must(s->spans[i].len > 0);
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
static void rest(struct program *p, uint64_t now_us)
{
	struct tcp_rest kept;

	if (!tcp_rest_ready(&p->pair, now_us))
		return;
	tcp_rest_pack(&p->pair, &kept);
	const struct tcp_config *config = p->pair.config;
	struct tcp_pool *pool = p->pair.pool;

	memset(&p->pair, 0xa5, sizeof p->pair);
	tcp_rest_unpack(&kept, &p->pair, config, pool);
}

static void step(struct program *p, uint64_t *now_us)
{
	struct tcp_half *half, *other;
	struct tcp_segment s;
	unsigned events[2];
	uint8_t op = reader_u8(&p->r);

	p->side = op >> 7;
	half = &p->pair.half[p->side];
	other = &p->pair.half[!p->side];
	switch (op % 10) {
	case 0:
	case 1:
		make_segment(p, &s);
		(void)tcp_pair_input(&p->pair, p->side, &s, *now_us);
		break;
	case 2:
		*now_us += (uint64_t)reader_be16(&p->r) * 100;
		tcp_pair_timer(&p->pair, *now_us, events);
		break;
	case 3:
		(void)tcp_send(half, payload, reader_be16(&p->r) % sizeof(payload));
		break;
	case 4:
		(void)tcp_move(half, other, reader_be16(&p->r));
		break;
	case 5:
		tcp_consume(half, reader_be16(&p->r));
		break;
	case 6:
		if (op & 64)
			tcp_receive_limit(half, reader_be16(&p->r));
		else
			tcp_send_close(half);
		break;
	case 8:
		rest(p, *now_us);
		break;
	case 7:
		if (reader_u8(&p->r) == 7)
			tcp_pair_abort(&p->pair, p->side);
		break;
	default:
		(void)tcp_pair_output(&p->pair, p->side, emit, p, 8, *now_us);
	}
	check_half(half);
	check_half(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct program p = { .r = reader_of(data, size) };
	struct tcp_config config = tcp_config_default();
	struct tcp_segment syn = { .seq = 0xfffffff0, .flags = TCP_SYN, .window = 20000 };
	struct tcp_segment answer = { .seq = 0x7ffffff0, .ack = 0xfffffff1, .flags = TCP_SYN | TCP_ACK, .window = 20000 };
	struct tcp_segment ack = { .seq = 0xfffffff1, .ack = 0x7ffffff1, .flags = TCP_ACK, .window = 20000 };
	struct tcp_pool pool;
	uint64_t now_us = 1000000;
	uint8_t shape = reader_u8(&p.r);

	(void)tcp_pool_init(&pool, memory, sizeof(memory));
	config.receive_bytes_max = 1000u << (shape & 7);
	config.send_bytes_max = 1000u << (shape >> 3 & 7);
	syn.options = (struct tcp_options){ .has_mss = true, .mss = 1000, .sack_permitted = shape & 64, .has_shift = shape & 128, .shift = 3 };
	answer.options = syn.options;
	must(tcp_pair_open(&p.pair, &config, &pool, &syn, now_us));
	if (reader_u8(&p.r) & 1) { /* half of the inputs begin with an open pair */
		p.side = TCP_SERVER;
		(void)tcp_pair_output(&p.pair, TCP_SERVER, emit, &p, 8, now_us);
		(void)tcp_pair_input(&p.pair, TCP_SERVER, &answer, now_us);
		p.side = TCP_CLIENT;
		(void)tcp_pair_output(&p.pair, TCP_CLIENT, emit, &p, 8, now_us);
		(void)tcp_pair_input(&p.pair, TCP_CLIENT, &ack, now_us);
	}
	for (unsigned i = 0; i < 2000 && p.r.ok && p.r.left > 0; i++)
		step(&p, &now_us);
	tcp_pair_release(&p.pair);
	must(tcp_pool_used(&pool) == 0);
	must(tcp_pair_done(&p.pair));
	return 0;
}
