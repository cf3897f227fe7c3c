#include "control/journal/jcs_text.h"

#include "control/journal/jcs.h"

static const char escaped[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";

char jcs_text_short_escape(uint8_t c)
{
	const char *at = c ? strchr(escaped, c) : NULL;

	return at ? letters[at - escaped] : 0;
}

int jcs_text_short_value(uint8_t letter)
{
	const char *at = letter ? strchr(letters, letter) : NULL;

	return at ? escaped[at - letters] : -1;
}

size_t jcs_text_sequence(struct bytes b)
{
	uint8_t first = b.len ? b.base[0] : 0xff, low = 0x80, high = 0xbf;
	size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;

	if (len == 0 || len > b.len)
		return 0;
	/* RFC 3629 section 4: the second byte excludes overlong forms, surrogates and what is above U+10FFFF. */
	if (first == 0xe0)
		low = 0xa0;
	if (first == 0xed)
		high = 0x9f;
	if (first == 0xf0)
		low = 0x90;
	if (first == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < len; i++) {
		if (b.base[i] < low || b.base[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

bool jcs_is_utf8(struct bytes b)
{
	size_t i = 0;

	while (i < b.len) {
		uint64_t word;
		size_t len;

		if (b.len - i >= 8) {
			memcpy(&word, b.base + i, 8);
			if (!(word & 0x8080808080808080ULL)) {
				i += 8;
				continue;
			}
		}
		len = jcs_text_sequence(bytes_of(b.base + i, b.len - i));
		if (!len)
			return false;
		i += len;
	}
	return true;
}

/* The next UTF-16 code unit of a key as it stands in the output; -1 at the end or where the text is no key. */
struct units {
	struct bytes text;
	size_t at;
	int second; /* the low surrogate that is still to come; 0 when none */
};

static int unit_escape(struct units *u)
{
	uint8_t letter = u->at + 1 < u->text.len ? u->text.base[u->at + 1] : 0;
	int value = 0;

	if (letter != 'u') {
		u->at += 2;
		return jcs_text_short_value(letter);
	}
	for (size_t i = 2; i < 6; i++) {
		uint8_t c = u->at + i < u->text.len ? u->text.base[u->at + i] : 0;

		value = value * 16 + (c >= 'a' ? c - 'a' + 10 : c - '0');
	}
	u->at += 6;
	return value & 0xffff;
}

static int unit_next(struct units *u)
{
	size_t len;
	uint32_t point;
	int second = u->second;

	u->second = 0;
	if (second)
		return second;
	if (u->at >= u->text.len)
		return -1;
	if (u->text.base[u->at] == '\\')
		return unit_escape(u);
	len = jcs_text_sequence(bytes_of(u->text.base + u->at, u->text.len - u->at));
	if (len == 0)
		return -1;
	point = len == 1 ? u->text.base[u->at] : u->text.base[u->at] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++)
		point = point << 6 | (u->text.base[u->at + i] & 0x3f);
	u->at += len;
	if (point < 0x10000)
		return (int)point;
	u->second = (int)(0xdc00 + ((point - 0x10000) & 0x3ff));
	return (int)(0xd800 + ((point - 0x10000) >> 10));
}

int jcs_text_key_order(struct bytes a, struct bytes b)
{
	struct units left = { .text = a }, right = { .text = b };
	size_t shorter = a.len < b.len ? a.len : b.len;
	size_t same = 0;

	/* Where plain ASCII differs first, its byte order decides; that is every name this system uses. */
	while (same < shorter && a.base[same] == b.base[same] && jcs_text_plain(a.base[same]))
		same++;
	if (same < shorter && jcs_text_plain(a.base[same]) && jcs_text_plain(b.base[same]))
		return a.base[same] - b.base[same];
	left.at = right.at = same;
	for (;;) {
		int l = unit_next(&left), r = unit_next(&right);

		if (l != r || l < 0)
			return l - r;
	}
}
