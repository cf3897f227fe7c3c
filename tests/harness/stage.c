/* stage.c: see stage.h. */
#include "tests/harness/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/seq.h"
#include "dataplane/tcp/send.h"

#define START_US 1000000000ull

uint8_t stage_byte(unsigned side, uint32_t offset)
{
	return (uint8_t)((side ? 'a' : 'A') + (offset * 7 + offset / 26) % 26);
}

void stage_init(struct stage *s, size_t pool_bytes)
{
	memset(s, 0, sizeof(*s));
	s->config = tcp_config_default();
	s->memory = malloc(pool_bytes);
	(void)tcp_pool_init(&s->pool, s->memory, pool_bytes);
	s->now_us = s->start_us = START_US;
	s->port_room = UINT32_MAX;
	s->isn[0] = 1000;
	s->isn[1] = 500000;
	s->written[0] = malloc(STAGE_STREAM_MAX);
	s->written[1] = malloc(STAGE_STREAM_MAX);
}

void stage_free(struct stage *s)
{
	for (unsigned side = 0; side < 2; side++) {
		for (unsigned i = 0; i < s->tail[side]; i++)
			free(s->queue[side][i].payload);
		free(s->written[side]);
	}
	free(s->memory);
}

struct emit_context {
	struct stage *stage;
	unsigned side;
};

static bool emit(void *context, const struct tcp_segment *segment)
{
	struct emit_context *c = context;
	struct stage *s = c->stage;
	struct stage_sent *sent;
	uint32_t at = 0;

	if (s->port_room == 0)
		return false;
	if (s->port_room != UINT32_MAX)
		s->port_room--;
	if (s->tail[c->side] == STAGE_QUEUE_MAX) {
		fprintf(stderr, "stage: more than %u segments\n", STAGE_QUEUE_MAX);
		abort();
	}
	sent = &s->queue[c->side][s->tail[c->side]++];
	sent->at_us = s->now_us;
	sent->segment = *segment;
	sent->payload = malloc(segment->payload_bytes + 1);
	for (unsigned i = 0; i < segment->span_count; i++) {
		memcpy(sent->payload + at, segment->spans[i].base, segment->spans[i].len);
		at += (uint32_t)segment->spans[i].len;
	}
	if (at != segment->payload_bytes)
		abort();
	sent->segment.span_count = at > 0;
	sent->segment.spans[0] = bytes_of(sent->payload, at);
	return true;
}

/* What the peer of `side` gets as its bytes from `seq` on. */
static void note_written(struct stage *s, unsigned side, uint32_t seq, struct bytes data)
{
	uint32_t at = seq - s->pair.half[side].send.isn - 1;

	if (data.len == 0)
		return;
	memcpy(s->written[side] + at, data.base, data.len);
	if (at + data.len > s->written_bytes[side])
		s->written_bytes[side] = at + (uint32_t)data.len;
}

static void relay(struct stage *s)
{
	for (unsigned side = 0; side < 2; side++) {
		struct tcp_half *from = &s->pair.half[side], *to = &s->pair.half[!side];
		struct bytes b;

		while ((b = tcp_readable(from)).len > 0 && tcp_send_space(to) > 0) {
			size_t len = b.len < tcp_send_space(to) ? b.len : tcp_send_space(to);

			note_written(s, !side, tcp_send_end(&to->send), bytes_of(b.base, len));
			if (tcp_move(from, to, len) != len)
				abort();
			s->read_bytes[side] += (uint32_t)len;
		}
		if (tcp_read_closed(from))
			tcp_send_close(to);
		if (tcp_was_reset(from) || tcp_timed_out(from))
			tcp_pair_abort_behind(&s->pair, !side, s->now_us);
	}
}

void stage_settle(struct stage *s)
{
	if (!s->opened)
		return;
	if (s->splice.on)
		tcp_splice_sync(&s->splice, &s->pair, s->now_us);
	else if (s->relay)
		relay(s);
	for (unsigned side = 0; side < 2; side++) {
		struct emit_context context = { s, side };
		enum tcp_output_status status;

		do
			status = tcp_pair_output(&s->pair, side, emit, &context, 8, s->now_us);
		while (status == TCP_OUTPUT_MORE);
	}
}

/* A segment of a spliced pair. */
static void send_on(struct stage *s, unsigned side, const struct tcp_segment *segment)
{
	struct tcp_segment passing = *segment, ack;
	unsigned events = tcp_splice_input(&s->splice, &s->pair, side, &passing, s->now_us);
	struct packet_shift by = tcp_splice_shift(&s->splice, side);

	if (events & TCP_SPLICE_ANSWER) {
		tcp_splice_ack(&s->splice, &s->pair, side, &ack);
		(void)emit(&(struct emit_context){ s, side }, &ack);
	}
	if (!(events & TCP_SPLICE_FORWARD))
		return;
	if (!(events & TCP_SPLICE_REBUILT))
		packet_shift_segment(&passing, &by);
	note_written(s, !side, passing.seq, passing.spans[0]);
	(void)emit(&(struct emit_context){ s, !side }, &passing);
}

bool stage_splice(struct stage *s)
{
	if (!tcp_splice_ready(&s->pair))
		return false;
	(void)tcp_splice_begin(&s->splice, &s->pair, s->now_us);
	return true;
}

void stage_take_back(struct stage *s)
{
	tcp_splice_take_back(&s->splice, &s->pair, s->now_us);
	stage_settle(s);
}

void stage_input(struct stage *s, unsigned side, const struct tcp_segment *segment)
{
	unsigned events;

	if (s->splice.on) {
		send_on(s, side, segment);
		stage_settle(s);
		return;
	}

	if (!s->opened) {
		s->opened = side == TCP_CLIENT && tcp_pair_open(&s->pair, &s->config, &s->pool, segment, s->now_us);
		if (s->opened && s->follows)
			tcp_pair_window_rule(&s->pair, TCP_WINDOW_FOLLOW);
		stage_settle(s);
		return;
	}
	events = tcp_pair_input(&s->pair, side, segment, s->now_us);
	if (events & TCP_EVENT_REOPEN) {
		tcp_pair_release(&s->pair);
		s->written_bytes[0] = s->written_bytes[1] = 0;
		s->read_bytes[0] = s->read_bytes[1] = 0;
		if (!tcp_pair_open(&s->pair, &s->config, &s->pool, segment, s->now_us))
			abort();
	}
	s->events[side] |= events;
	stage_settle(s);
}

void stage_advance(struct stage *s, uint64_t us)
{
	uint64_t until = s->now_us + us;

	while (s->opened) {
		uint64_t deadline = tcp_pair_deadline_us(&s->pair);
		unsigned events[2];

		if (deadline > until)
			break;
		s->now_us = deadline > s->now_us ? deadline : s->now_us;
		if (s->splice.on)
			tcp_splice_sync(&s->splice, &s->pair, s->now_us);
		tcp_pair_timer(&s->pair, s->now_us, events);
		s->events[0] |= events[0];
		s->events[1] |= events[1];
		stage_settle(s);
	}
	s->now_us = until;
}

struct stage_sent *stage_next(struct stage *s, unsigned side)
{
	return s->head[side] < s->tail[side] ? &s->queue[side][s->head[side]++] : NULL;
}

size_t stage_write(struct stage *s, unsigned side, const uint8_t *data, size_t len)
{
	size_t taken = tcp_send(&s->pair.half[side], data, len);

	memcpy(s->written[side] + s->written_bytes[side], data, taken);
	s->written_bytes[side] += (uint32_t)taken;
	return taken;
}
