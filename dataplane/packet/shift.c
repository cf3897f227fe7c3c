/* shift.c: see shift.h. An option may lie at an odd offset: its bytes are in the other halves of the checksum's words. */
#include "dataplane/packet/shift.h"

#include <endian.h>
#include <string.h>

enum {
	OFFSET_SEQ = 4,
	OFFSET_ACK = 8,
	OFFSET_DATA = 12,
	OFFSET_FLAGS = 13,
	OFFSET_CHECKSUM = 16,
	HEADER_BYTES = 20,
};

enum {
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_SACK = 5,
	OPTION_TIMESTAMPS = 8,
};

/* A header that is written to, and what its checksum has to be corrected by. */
struct header {
	uint8_t *at;
	uint64_t sum;
};

static void add(struct header *h, size_t offset, uint32_t by)
{
	uint32_t was, is;
	uint64_t change;
	uint16_t folded;

	if (by == 0)
		return;
	memcpy(&was, h->at + offset, sizeof was);
	is = htobe32(be32toh(was) + by);
	memcpy(h->at + offset, &is, sizeof is);
	change = (uint64_t)(uint16_t)~was + (uint16_t)~(was >> 16) + (uint16_t)is + (uint16_t)(is >> 16);
	folded = packet_sum_fold(change);
	h->sum += offset % 2 ? (uint16_t)(folded << 8 | folded >> 8) : folded;
}

static void add_option(struct header *h, size_t offset, uint8_t kind, size_t len, const struct packet_shift *by)
{
	uint32_t echo;

	if (kind == OPTION_TIMESTAMPS && len == 10) {
		memcpy(&echo, h->at + offset + 6, sizeof echo);
		add(h, offset + 2, by->ts_value);
		if (echo != 0)
			add(h, offset + 6, by->ts_echo);
	}
	if (kind == OPTION_SACK)
		for (size_t i = 2; i + 4 <= len; i += 4)
			add(h, offset + i, by->ack);
}

/* Everything but the checksum. */
static struct header shift(const struct packet *p, const struct packet_shift *by)
{
	struct header h = { .at = (uint8_t *)(uintptr_t)(p->frame.base + p->l4_offset) };
	size_t end = (h.at[OFFSET_DATA] >> 4) * 4u, at = HEADER_BYTES;

	add(&h, OFFSET_SEQ, by->seq);
	if (h.at[OFFSET_FLAGS] & TCP_ACK)
		add(&h, OFFSET_ACK, by->ack);
	while (at < end && h.at[at] != OPTION_END) {
		size_t len = h.at[at] == OPTION_NOP ? 1 : at + 1 < end ? h.at[at + 1] : 0;

		if (len == 0 || (h.at[at] != OPTION_NOP && len < 2) || at + len > end)
			break;
		if (len > 1)
			add_option(&h, at, h.at[at], len, by);
		at += len;
	}
	return h;
}

void packet_shift_unfinished(const struct packet *p, const struct packet_shift *by)
{
	(void)shift(p, by);
}

void packet_shift_frame(const struct packet *p, const struct packet_shift *by)
{
	struct header h = shift(p, by);
	uint16_t checksum;

	memcpy(&checksum, h.at + OFFSET_CHECKSUM, sizeof checksum);
	checksum = (uint16_t)~packet_sum_fold(h.sum + (uint16_t)~checksum); /* RFC 1624 3: HC' = ~(~HC + ~m + m') */
	memcpy(h.at + OFFSET_CHECKSUM, &checksum, sizeof checksum);
}

void packet_shift_segment(struct tcp_segment *s, const struct packet_shift *by)
{
	s->seq += by->seq;
	if (s->flags & TCP_ACK)
		s->ack += by->ack;
	for (unsigned i = 0; i < s->options.sack_count; i++) {
		s->options.sack[i].start += by->ack;
		s->options.sack[i].end += by->ack;
	}
	if (s->options.has_timestamps) {
		s->options.ts_value += by->ts_value;
		s->options.ts_echo += s->options.ts_echo ? by->ts_echo : 0;
	}
}
