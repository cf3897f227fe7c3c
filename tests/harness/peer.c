/* peer.c: see peer.h. Stream offset n has sequence number isn + 1 + n. */
#include "tests/harness/peer.h"

#include <string.h>

#define RESEND_US 250000
#define BACKOFF_MAX 3
#define BURST_BYTES 20000 /* in flight; it has no congestion control */

uint8_t peer_byte(unsigned side, uint32_t offset)
{
	return (uint8_t)((offset * 2654435761u >> 13) + offset + side * 91);
}

void peer_init(struct peer *p, const struct peer_options *options, peer_emit_segment *emit, void *context, uint64_t now_us)
{
	memset(p, 0, sizeof(*p));
	p->options = *options;
	p->emit = emit;
	p->context = context;
	p->rng = rng_seeded(options->seed);
	p->ts_base = (uint32_t)rng_next(&p->rng);
	p->resend_at_us = options->active ? now_us : UINT64_MAX;
	p->read_at_us = p->probe_at_us = UINT64_MAX;
	p->edge_given = options->window_bytes;
	p->peer_mss = 536;
}

static bool arrived(const struct peer *p, uint32_t offset)
{
	return p->arrived[offset / 8] >> offset % 8 & 1;
}

static uint16_t window_of(struct peer *p, bool syn)
{
	uint32_t unread = p->received_bytes - p->read_bytes;
	uint32_t room = p->options.window_bytes > unread ? p->options.window_bytes - unread : 0;
	uint32_t shift = p->scale && !syn ? p->options.shift : 0;
	uint32_t edge = p->received_bytes + room, field;

	if (edge < p->edge_given)
		edge = p->edge_given; /* never shrinks */
	field = (edge - p->received_bytes) >> shift;
	field = field > UINT16_MAX ? UINT16_MAX : field;
	edge = p->received_bytes + (field << shift);
	p->edge_given = edge > p->edge_given ? edge : p->edge_given;
	return (uint16_t)field;
}

static void add_sack(struct peer *p, struct tcp_options *o)
{
	uint32_t at = p->received_bytes, end = p->highest;

	while (at < end && o->sack_count < 3) {
		while (at < end && !arrived(p, at))
			at++;
		if (at == end)
			return;
		o->sack[o->sack_count].start = p->irs + 1 + at;
		while (at < end && arrived(p, at))
			at++;
		o->sack[o->sack_count++].end = p->irs + 1 + at;
	}
}

static void transmit(struct peer *p, uint8_t flags, uint32_t offset, uint32_t len, uint64_t now_us)
{
	static uint8_t payload[65536];
	bool syn = flags & TCP_SYN;
	struct tcp_segment s = {
		.seq = p->options.isn + (syn ? 0 : 1 + offset),
		.flags = (uint8_t)(flags | (p->syn_seen ? TCP_ACK : 0)),
		.payload_bytes = len,
		.span_count = len > 0,
		.spans = { bytes_of(payload, len) },
	};

	for (uint32_t i = 0; i < len; i++)
		payload[i] = peer_byte(p->options.side, offset + i);
	if (p->syn_seen)
		s.ack = p->irs + 1 + p->received_bytes + p->fin_received;
	s.window = window_of(p, syn);
	s.options.has_timestamps = syn ? p->options.timestamps && (p->options.active || p->timestamps) : p->timestamps;
	if (s.options.has_timestamps) {
		s.options.ts_value = p->ts_base + (uint32_t)(now_us / 1000);
		s.options.ts_echo = p->ts_recent;
	}
	if (syn) {
		s.options.has_mss = true;
		s.options.mss = p->options.mss;
		s.options.has_shift = p->options.active ? p->options.shift != PEER_NO_SHIFT : p->scale;
		s.options.shift = p->options.shift;
		s.options.sack_permitted = p->options.active ? p->options.sack : p->sack;
	} else if (p->sack) {
		add_sack(p, &s.options);
	}
	p->ack_due = false;
	p->emit(p->context, &s);
}

static void take_syn(struct peer *p, const struct tcp_segment *s)
{
	const struct tcp_options *o = &s->options;

	p->syn_seen = true;
	p->irs = s->seq;
	p->scale = o->has_shift && p->options.shift != PEER_NO_SHIFT;
	p->peer_shift = p->scale ? o->shift : 0;
	p->timestamps = o->has_timestamps && p->options.timestamps;
	p->ts_recent = p->timestamps ? o->ts_value : 0;
	p->sack = o->sack_permitted && p->options.sack;
	p->peer_mss = o->has_mss ? o->mss : 536;
	p->peer_edge = s->window;
}

static void take_ack(struct peer *p, const struct tcp_segment *s, uint64_t now_us)
{
	uint32_t acked = s->ack - (p->options.isn + 1);
	uint32_t most = p->sent_bytes + p->fin_sent;

	if (acked == UINT32_MAX)
		return; /* of the SYN only, and old */
	if (acked > most) {
		p->trouble = "what was never sent is acknowledged";
		return;
	}
	if (p->sack)
		for (unsigned i = 0; i < s->options.sack_count; i++)
			if (s->options.sack[i].end - (p->options.isn + 1) > most)
				p->trouble = "what was never sent is SACKed";
	if (acked > p->acked_bytes || (p->fin_sent && acked == most && !p->fin_acked)) {
		p->resend_at_us = now_us + RESEND_US;
		p->backoff = 0;
		p->fin_acked = p->fin_sent && acked == most;
		p->acked_bytes = p->fin_acked ? acked - 1 : acked;
	}
	if (acked + ((uint32_t)s->window << p->peer_shift) > p->peer_edge)
		p->peer_edge = acked + ((uint32_t)s->window << p->peer_shift);
	if (p->acked_bytes == p->sent_bytes && (!p->fin_sent || p->fin_acked))
		p->resend_at_us = UINT64_MAX;
}

static void take_text(struct peer *p, const struct tcp_segment *s)
{
	uint32_t offset = s->seq - (p->irs + 1);

	if (s->payload_bytes > p->options.mss && p->options.mss > 88)
		p->trouble = "a segment is larger than the MSS";
	if (s->payload_bytes + offset > p->edge_given + p->options.slack_bytes && offset != UINT32_MAX)
		p->trouble = "data lies beyond the window";
	for (uint32_t i = 0; i < s->payload_bytes && offset + i < PEER_STREAM_MAX; i++) {
		if (s->spans[0].base[i] != peer_byte(!p->options.side, offset + i)) {
			p->trouble = "a byte of the stream is wrong";
			return;
		}
		p->arrived[(offset + i) / 8] |= (uint8_t)(1u << (offset + i) % 8);
	}
	if (s->payload_bytes > 0 && offset + s->payload_bytes > p->highest && offset < PEER_STREAM_MAX)
		p->highest = offset + s->payload_bytes;
	if (s->flags & TCP_FIN) {
		if (p->fin_known && p->fin_offset != offset + s->payload_bytes)
			p->trouble = "the FIN has moved";
		p->fin_known = true;
		p->fin_offset = offset + s->payload_bytes;
	}
	while (p->received_bytes < PEER_STREAM_MAX && arrived(p, p->received_bytes))
		p->received_bytes++;
	if (p->fin_known && p->received_bytes > p->fin_offset)
		p->trouble = "there are bytes behind the FIN";
	p->fin_received = p->fin_known && p->received_bytes == p->fin_offset;
	if (s->payload_bytes > 0 || s->flags & TCP_FIN)
		p->ack_due = true;
}

void peer_input(struct peer *p, const struct tcp_segment *s, uint64_t now_us)
{
	if (s->flags & TCP_RST) {
		p->trouble = "a RST came";
		return;
	}
	if (s->flags & TCP_SYN) {
		bool expected = p->options.active == !!(s->flags & TCP_ACK);

		if (p->syn_seen)
			p->ack_due = true; /* again */
		else if (expected)
			take_syn(p, s);
		if (p->options.active && p->syn_seen && !p->opened) {
			p->opened = true;
			p->ack_due = true;
			p->resend_at_us = UINT64_MAX;
		} else if (!p->options.active && !p->opened) {
			p->ack_due = false;
			transmit(p, TCP_SYN, 0, 0, now_us);
			p->resend_at_us = now_us + RESEND_US;
		}
		return;
	}
	if (!p->syn_seen || !(s->flags & TCP_ACK))
		return;
	if (p->timestamps && !s->options.has_timestamps) {
		p->trouble = "timestamps were agreed and are missing";
		return;
	}
	if (p->timestamps && (int32_t)(s->options.ts_value - p->ts_recent) < 0) {
		p->ack_due = s->payload_bytes > 0; /* PAWS */
		return;
	}
	if (!p->opened) {
		p->opened = true;
		p->resend_at_us = UINT64_MAX;
	}
	if (p->timestamps && s->seq - (p->irs + 1) <= p->received_bytes)
		p->ts_recent = s->options.ts_value;
	if (s->seq == p->irs + p->received_bytes + p->fin_received && s->payload_bytes == 0)
		p->ack_due = true; /* a probe from below the window */
	take_ack(p, s, now_us);
	take_text(p, s);
}

static void send_some(struct peer *p, uint64_t now_us)
{
	const struct peer_options *o = &p->options;
	uint32_t mss = (p->peer_mss < o->mss ? p->peer_mss : o->mss) - 40u;

	while (p->sent_bytes < o->send_bytes && p->sent_bytes < p->peer_edge && p->sent_bytes - p->acked_bytes < BURST_BYTES) {
		uint32_t len = 1 + (rng_below(&p->rng, 8) ? mss - 1 : (uint32_t)rng_below(&p->rng, mss));

		len = len < o->send_bytes - p->sent_bytes ? len : o->send_bytes - p->sent_bytes;
		len = len < p->peer_edge - p->sent_bytes ? len : p->peer_edge - p->sent_bytes;
		transmit(p, rng_below(&p->rng, 4) ? 0 : TCP_PSH, p->sent_bytes, len, now_us);
		p->sent_bytes += len;
		if (p->resend_at_us == UINT64_MAX)
			p->resend_at_us = now_us + RESEND_US;
	}
	if (p->sent_bytes == o->send_bytes && !p->fin_sent && (o->close_first || p->fin_received)) {
		p->fin_sent = true;
		transmit(p, TCP_FIN, p->sent_bytes, 0, now_us);
		if (p->resend_at_us == UINT64_MAX)
			p->resend_at_us = now_us + RESEND_US;
	}
	/* Persist: one byte beyond a closed window, now and then. */
	if (p->sent_bytes < o->send_bytes && p->sent_bytes == p->acked_bytes && p->sent_bytes >= p->peer_edge &&
	    p->probe_at_us == UINT64_MAX)
		p->probe_at_us = now_us + RESEND_US;
}

static void resend(struct peer *p, uint64_t now_us)
{
	uint32_t mss = (p->peer_mss < p->options.mss ? p->peer_mss : p->options.mss) - 40u;
	uint32_t at = p->acked_bytes, end = at + 3 * mss;

	p->backoff += p->backoff < BACKOFF_MAX;
	p->resend_at_us = now_us + ((uint64_t)RESEND_US << p->backoff);
	if (!p->opened) {
		transmit(p, TCP_SYN, 0, 0, now_us);
		return;
	}
	end = end < p->sent_bytes ? end : p->sent_bytes;
	for (; at < end; at += mss)
		transmit(p, TCP_PSH, at, end - at < mss ? end - at : mss, now_us);
	if (p->fin_sent && end == p->sent_bytes)
		transmit(p, TCP_FIN, p->sent_bytes, 0, now_us);
}

void peer_turn(struct peer *p, uint64_t now_us)
{
	uint32_t unread = p->received_bytes - p->read_bytes;

	if (p->resend_at_us <= now_us)
		resend(p, now_us);
	if (!p->opened)
		return;
	if (p->options.read_pause_us == 0) {
		p->read_bytes = p->received_bytes;
	} else if (p->read_at_us <= now_us) {
		p->ack_due |= unread >= p->options.window_bytes / 2; /* a window update, only when it is worth one */
		p->read_bytes = p->received_bytes;
		p->read_at_us = UINT64_MAX;
	} else if (unread > 0 && p->read_at_us == UINT64_MAX) {
		p->read_at_us = now_us + p->options.read_pause_us;
	}
	if (p->probe_at_us <= now_us) {
		p->probe_at_us = UINT64_MAX;
		if (p->sent_bytes == p->acked_bytes && p->sent_bytes < p->options.send_bytes && p->sent_bytes >= p->peer_edge) {
			/* the byte counts as sent: it may be taken */
			transmit(p, TCP_PSH, p->sent_bytes, 1, now_us);
			p->sent_bytes++;
			p->resend_at_us = now_us + RESEND_US;
		}
	}
	send_some(p, now_us);
	if (p->ack_due)
		transmit(p, 0, p->sent_bytes + p->fin_sent, 0, now_us);
}

uint64_t peer_deadline_us(const struct peer *p)
{
	uint64_t due = p->resend_at_us;

	due = p->read_at_us < due ? p->read_at_us : due;
	return p->probe_at_us < due ? p->probe_at_us : due;
}

bool peer_finished(const struct peer *p)
{
	return p->opened && p->fin_received && p->fin_acked && p->acked_bytes == p->options.send_bytes;
}
