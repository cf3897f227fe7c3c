/* Folding. A table in code: few code points matter, and each is one comparison away. */
#include "dataplane/match/fold.h"

/* Reads one UTF-8 sequence of two or three bytes; 0 when there is none at `at`. */
static uint32_t code_point(struct bytes v, size_t at, size_t *len)
{
	uint8_t a = v.base[at];

	*len = 1;
	if (a >= 0xc2 && a < 0xe0 && at + 1 < v.len && (v.base[at + 1] & 0xc0) == 0x80) {
		*len = 2;
		return (a & 0x1fu) << 6 | (v.base[at + 1] & 0x3fu);
	}
	if (a >= 0xe0 && a < 0xf0 && at + 2 < v.len && (v.base[at + 1] & 0xc0) == 0x80 && (v.base[at + 2] & 0xc0) == 0x80) {
		*len = 3;
		return (a & 0x0fu) << 12 | (v.base[at + 1] & 0x3fu) << 6 | (v.base[at + 2] & 0x3fu);
	}
	return 0;
}

#define KEEP (-1)
#define DROP (-2)

/* The ASCII byte for a code point, DROP or KEEP. */
static int folded(uint32_t c)
{
	if (c >= 0xff01 && c <= 0xff5e)
		return (int)(c - 0xff01 + '!');
	if (c >= 0x660 && c <= 0x669)
		return (int)(c - 0x660 + '0');
	if (c >= 0x6f0 && c <= 0x6f9)
		return (int)(c - 0x6f0 + '0');
	if (c >= 0x966 && c <= 0x96f)
		return (int)(c - 0x966 + '0');
	if (c == 0xad || (c >= 0x200b && c <= 0x200d) || c == 0x2060 || c == 0xfeff)
		return DROP;
	if (c == 0xa0 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f || c == 0x3000)
		return ' ';
	if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212)
		return '-';
	return KEEP;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* A line break with a digit on either side: "4111 1111\n1111 1111". The length of the break, or 0. */
static size_t broken_number(struct bytes v, size_t at)
{
	size_t len = v.base[at] == '\r' && at + 1 < v.len && v.base[at + 1] == '\n' ? 2 : 1;

	if (v.base[at] != '\n' && v.base[at] != '\r')
		return 0;
	return at > 0 && is_digit(v.base[at - 1]) && at + len < v.len && is_digit(v.base[at + len]) ? len : 0;
}

bool fold_is_needed(struct bytes v)
{
	size_t at = 0;

	while (at < v.len) {
		uint64_t word;
		size_t len;

		/* Eight bytes of ASCII without control characters at a time. */
		while (at + 8 <= v.len) {
			memcpy(&word, v.base + at, 8);
			if ((word & 0x8080808080808080ull) || ((word - 0x1010101010101010ull) & 0x8080808080808080ull))
				break;
			at += 8;
		}
		if (at >= v.len)
			return false;
		if (v.base[at] < 0x80) {
			if (broken_number(v, at))
				return true;
			at++;
			continue;
		}
		if (folded(code_point(v, at, &len)) != KEEP)
			return true;
		at += len;
	}
	return false;
}

size_t fold(struct bytes v, size_t from, uint8_t *out, uint32_t *origin, size_t cap)
{
	size_t len = 0, at = from;

	while (at < v.len && len + 3 <= cap) {
		size_t width = broken_number(v, at);
		int to = width ? ' ' : KEEP;

		if (!width) {
			width = 1;
			if (v.base[at] >= 0x80)
				to = folded(code_point(v, at, &width));
		}
		if (to >= 0) {
			origin[len] = (uint32_t)at;
			out[len++] = (uint8_t)to;
		}
		for (size_t i = 0; to == KEEP && i < width; i++) {
			origin[len] = (uint32_t)(at + i);
			out[len++] = v.base[at + i];
		}
		at += width;
	}
	origin[len] = (uint32_t)at;
	return len;
}
