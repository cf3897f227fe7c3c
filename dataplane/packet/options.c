/* options.c: TCP options as they lie in a header (RFC 9293 3.1, RFC 7323 2.2 and 3.2, RFC 2018 2 and 3).
 *
 * A wrong length ends the segment, not only the option: what follows cannot be framed. Lengths that are right for the
 * header but wrong for a known kind are refused as well, so that no two readers can disagree about what was said.
 */
#include "dataplane/packet/segment.h"

enum {
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_SHIFT = 3,
	OPTION_SACK_PERMITTED = 4,
	OPTION_SACK = 5,
	OPTION_TIMESTAMPS = 8,
};

#define SHIFT_MAX 14 /* RFC 7323 2.3 */

static void parse_sack(struct reader *body, struct tcp_options *out)
{
	if (body->left == 0 || body->left % 8 != 0)
		body->ok = false;
	out->sack_count = 0;
	while (body->ok && body->left > 0 && out->sack_count < TCP_SACK_MAX) {
		struct tcp_sack_block *block = &out->sack[out->sack_count++];

		block->start = reader_be32(body);
		block->end = reader_be32(body);
	}
}

static void parse_known(uint8_t kind, struct reader *body, struct tcp_options *out)
{
	switch (kind) {
	case OPTION_MSS:
		out->has_mss = true;
		out->mss = reader_be16(body);
		break;
	case OPTION_SHIFT:
		out->has_shift = true;
		out->shift = reader_u8(body);
		out->shift = out->shift > SHIFT_MAX ? SHIFT_MAX : out->shift;
		break;
	case OPTION_SACK_PERMITTED:
		out->sack_permitted = true;
		break;
	case OPTION_SACK:
		parse_sack(body, out);
		break;
	case OPTION_TIMESTAMPS:
		out->has_timestamps = true;
		out->ts_value = reader_be32(body);
		out->ts_echo = reader_be32(body);
		break;
	default:
		(void)reader_rest(body);
	}
	if (body->left != 0)
		body->ok = false;
}

/* What nearly every segment carries: NOP, NOP, timestamps (RFC 7323 appendix A). */
static bool parse_usual(struct bytes raw, struct tcp_options *out)
{
	struct reader r = reader_of_bytes(raw);

	if (raw.len != 12 || reader_be32(&r) != 0x0101080a)
		return false;
	out->has_timestamps = true;
	out->ts_value = reader_be32(&r);
	out->ts_echo = reader_be32(&r);
	return true;
}

bool tcp_options_parse(struct bytes raw, struct tcp_options *out)
{
	struct reader r = reader_of_bytes(raw);

	*out = (struct tcp_options){ 0 };
	if (parse_usual(raw, out))
		return true;
	while (r.ok && r.left > 0) {
		uint8_t kind = reader_u8(&r);
		struct reader body;
		uint8_t len;

		if (kind == OPTION_END)
			return true;
		if (kind == OPTION_NOP)
			continue;
		len = reader_u8(&r);
		body = reader_sub(&r, len < 2 ? SIZE_MAX : len - 2u);
		if (body.ok)
			parse_known(kind, &body, out);
		r.ok = r.ok && body.ok;
	}
	if (r.ok)
		return true;
	*out = (struct tcp_options){ 0 };
	return false;
}

/* SACK blocks beside everything else: each takes eight bytes behind a header of four. */
static unsigned sack_blocks(const struct tcp_options *o, size_t used)
{
	unsigned room = used + 4 > TCP_OPTIONS_BYTES_MAX ? 0 : (unsigned)(TCP_OPTIONS_BYTES_MAX - used - 4) / 8;

	return o->sack_count < room ? o->sack_count : room;
}

static size_t fixed_bytes(const struct tcp_options *o)
{
	size_t used = 0;

	used += o->has_mss ? 4 : 0;
	used += o->has_shift ? 4 : 0;
	used += o->has_timestamps ? 12 : 0;
	used += o->sack_permitted && !o->has_timestamps ? 4 : 0; /* else it takes the place of the two NOPs */
	return used;
}

size_t tcp_options_bytes(const struct tcp_options *o)
{
	size_t used = fixed_bytes(o);
	unsigned blocks = sack_blocks(o, used);

	return used + (blocks ? 4 + 8 * blocks : 0);
}

size_t tcp_options_write(const struct tcp_options *o, uint8_t out[TCP_OPTIONS_BYTES_MAX])
{
	struct writer w = writer_of(out, TCP_OPTIONS_BYTES_MAX);
	unsigned blocks = sack_blocks(o, fixed_bytes(o));

	if (o->has_mss)
		writer_be32(&w, OPTION_MSS << 24 | 4 << 16 | o->mss);
	if (o->has_timestamps) {
		writer_be16(&w, o->sack_permitted ? OPTION_SACK_PERMITTED << 8 | 2 : OPTION_NOP << 8 | OPTION_NOP);
		writer_be16(&w, OPTION_TIMESTAMPS << 8 | 10);
		writer_be32(&w, o->ts_value);
		writer_be32(&w, o->ts_echo);
	} else if (o->sack_permitted) {
		writer_be32(&w, OPTION_NOP << 24 | OPTION_NOP << 16 | OPTION_SACK_PERMITTED << 8 | 2);
	}
	if (o->has_shift)
		writer_be32(&w, OPTION_NOP << 24 | OPTION_SHIFT << 16 | 3 << 8 | o->shift);
	if (blocks)
		writer_be32(&w, OPTION_NOP << 24 | OPTION_NOP << 16 | OPTION_SACK << 8 | (2 + 8 * blocks));
	for (unsigned i = 0; i < blocks; i++) {
		writer_be32(&w, o->sack[i].start);
		writer_be32(&w, o->sack[i].end);
	}
	return w.len;
}
