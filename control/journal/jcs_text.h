/* jcs_text.h: what the writer and the checker of canonical JSON share: bytes of strings, and the order of keys. */
#ifndef CONTROL_JOURNAL_JCS_TEXT_H
#define CONTROL_JOURNAL_JCS_TEXT_H

#include <endian.h>

#include "platform/base/bytes.h"

/* An ASCII byte that stands for itself in a string (RFC 8785 3.2.2.2). */
static inline bool jcs_text_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Eight bytes that all do. */
static inline bool jcs_text_plain_word(const uint8_t *at)
{
	const uint64_t ones = 0x0101010101010101ULL;
	uint64_t word, quote, backslash;

	memcpy(&word, at, 8);
	quote = word ^ ones * '"';
	backslash = word ^ ones * '\\';
	return !((((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | ((word - ones * 0x20) & ~word) | word) & ones * 0x80);
}

/* The place of the first quote or backslash in eight bytes; 8 when there is none. */
static inline unsigned jcs_text_word_mark(const uint8_t *at)
{
	const uint64_t ones = 0x0101010101010101ULL;
	uint64_t word, quote, backslash, marks;

	memcpy(&word, at, 8);
	word = le64toh(word);
	quote = word ^ ones * '"';
	backslash = word ^ ones * '\\';
	/* A byte above a mark may be marked by the borrow, the lowest one is right. */
	marks = (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & ones * 0x80;
	return marks ? (unsigned)__builtin_ctzll(marks) / 8 : 8;
}

/* Whether all of a text does: most are so, and need neither escapes nor a look at their encoding. */
static inline bool jcs_text_all_plain(struct bytes text)
{
	size_t at = 0;

	for (; text.len - at >= 8; at += 8) {
		if (!jcs_text_plain_word(text.base + at))
			return false;
	}
	if (text.len >= 8)
		return jcs_text_plain_word(text.base + text.len - 8);
	if (text.len >= 4) {
		uint8_t word[8];

		memcpy(word, text.base, 4);
		memcpy(word + 4, text.base + text.len - 4, 4);
		return jcs_text_plain_word(word);
	}
	for (; at < text.len; at++) {
		if (!jcs_text_plain(text.base[at]))
			return false;
	}
	return true;
}

/* The letter after the backslash of a two-character escape; 0 when the byte has none. */
char jcs_text_short_escape(uint8_t c);
/* The byte that such a letter stands for; -1 when it is none. */
int jcs_text_short_value(uint8_t letter);

/* The length of the UTF-8 sequence at the start of `b` (RFC 3629 section 4); 0 when it is none. */
size_t jcs_text_sequence(struct bytes b);

/* Below, at or above 0: the order of two keys, as they stand between their quotes, by UTF-16 code units (RFC 8785 3.2.3). */
int jcs_text_key_order(struct bytes a, struct bytes b);

#endif
