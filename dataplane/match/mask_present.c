/* The write-back guard (common.md C7). The text is looked at as it is, and once through each decoder; a decoder's output runs through
 * a window that keeps its tail, so that a mask across two windows is found. */
#include "dataplane/match/mask.h"

#include <string.h>

#include "dataplane/match/mask_token.h"
#include "dataplane/match/survey.h"
#include "hyperscan-rules/validate/validate.h"

#define WINDOW_BYTES 1024
#define TAIL_BYTES 96       /* longer than any mask that is recognised */
#define ENCODED_MIN 12      /* the base64 of nine zeros; shorter runs hold no mask */
#define ZEROS_MIN 8         /* digits of the shortest mask of zeros: zeros_at */

_Static_assert(ENCODED_MIN == SURVEY_WORD && TOKEN_HASH_LETTERS == SURVEY_WORD_LONG, "a survey tells of no shorter runs");

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static size_t letters_at(struct bytes v, size_t at)
{
	size_t len = 0;

	while (at + len < v.len && len <= TOKEN_HASH_LETTERS && token_is_letter(v.base[at + len]))
		len++;
	return len;
}

/* A run of zeros with separators, but for its last four digits: 000-00-0000, 0000-0000-0000-1111, +44 00 0000 0958, DE00 0000 ... */
static bool zeros_at(struct bytes v, size_t at, size_t *end)
{
	uint8_t packed[40];
	size_t count = 0, i = at, skip = 0;
	bool plus = at > 0 && v.base[at - 1] == '+';
	bool country = at > 1 && v.base[at - 1] >= 'A' && v.base[at - 1] <= 'Z' && v.base[at - 2] >= 'A' && v.base[at - 2] <= 'Z';

	for (; i < v.len; i++) {
		if (is_digit(v.base[i])) {
			if (count < sizeof packed)
				packed[count] = v.base[i];
			count++;
		} else if (!strchr(" -./()", v.base[i] ? v.base[i] : 'x') || !is_digit(v.base[i - 1])) {
			break;
		}
	}
	*end = i;
	if (plus)
		skip = packed[0] == '1' || packed[0] == '7' ? 1 : 2;
	if (count > (country ? 34u : 19u) || count < skip + (plus ? 7u : 9u))
		return false;
	return validate_is_masked(bytes_of(packed + skip, count - skip));
}

static bool clear_has_mask(const uint8_t *key, struct bytes v)
{
	size_t end = 0;

	if (memchr(v.base, '@', v.len) &&
	    (memmem(v.base, v.len, TOKEN_MAIL_DOMAIN, strlen(TOKEN_MAIL_DOMAIN)) || memmem(v.base, v.len, "***@", 4)))
		return true;
	for (size_t i = 0; i < v.len; i++) {
		uint8_t c = v.base[i];
		size_t len = 1;

		if (token_is_letter(c)) { /* the first of a run */
			while (i + len < v.len && token_is_letter(v.base[i + len]))
				len++;
			if (len == TOKEN_HASH_LETTERS && token_is_right(key, bytes_of(v.base + i, len), TOKEN_HASH_CHECK_LETTERS))
				return true;
			i += len - 1;
		} else if (is_digit(c)) {
			if (i >= end && zeros_at(v, i, &end))
				return true;
		} else if (c == '*' && i + 3 <= v.len && memcmp(v.base + i, "***", 3) == 0) {
			len = letters_at(v, i + 3);
			if ((len == TOKEN_FULL_LETTERS || len == TOKEN_VALUE_LETTERS) &&
			    token_is_right(key, bytes_of(v.base + i + 3, len), TOKEN_CHECK_LETTERS))
				return true;
		}
	}
	return false;
}

struct window {
	const uint8_t *key;
	uint8_t bytes[WINDOW_BYTES];
	size_t len;
	bool found;
};

static void window_look(struct window *w)
{
	w->found = w->found || clear_has_mask(w->key, bytes_of(w->bytes, w->len));
	if (w->len > TAIL_BYTES) {
		memmove(w->bytes, w->bytes + w->len - TAIL_BYTES, TAIL_BYTES);
		w->len = TAIL_BYTES;
	}
}

static void window_put(struct window *w, uint8_t c)
{
	if (w->len == sizeof w->bytes)
		window_look(w);
	w->bytes[w->len++] = c;
}

static void window_end(struct window *w)
{
	window_look(w);
	w->len = 0;
}

static int hex(uint8_t c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent escapes, plus signs, and the JSON and C escapes of ASCII characters; everything else as it stands. */
static void look_escaped(struct window *w, struct bytes v)
{
	for (size_t i = 0; i < v.len && !w->found; i++) {
		uint8_t c = v.base[i];

		if (c == '%' && i + 2 < v.len && hex(v.base[i + 1]) >= 0 && hex(v.base[i + 2]) >= 0) {
			c = (uint8_t)(hex(v.base[i + 1]) << 4 | hex(v.base[i + 2]));
			i += 2;
		} else if (c == '\\' && i + 5 < v.len && v.base[i + 1] == 'u' && v.base[i + 2] == '0' && v.base[i + 3] == '0' &&
			   hex(v.base[i + 4]) >= 0 && hex(v.base[i + 5]) >= 0) {
			c = (uint8_t)(hex(v.base[i + 4]) << 4 | hex(v.base[i + 5]));
			i += 5;
		} else if (c == '\\' && i + 1 < v.len && strchr("*@/-", v.base[i + 1] ? v.base[i + 1] : 'x')) {
			continue;
		} else if (c == '+') {
			c = ' ';
		}
		window_put(w, c);
	}
	window_end(w);
}

static int base64(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (is_digit(c))
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

/* The next run behind `*end` of so many characters of an encoding that it may hold a mask. Looks at every twelfth. */
static bool next_run(struct bytes v, int (*value)(uint8_t), size_t *start, size_t *end)
{
	size_t from = *end;

	for (size_t at = from + ENCODED_MIN - 1; at < v.len; at += ENCODED_MIN) {
		if (value(v.base[at]) < 0)
			continue;
		*start = at;
		*end = at + 1;
		while (*start > from && value(v.base[*start - 1]) >= 0)
			--*start;
		while (*end < v.len && value(v.base[*end]) >= 0)
			++*end;
		if (*end - *start >= ENCODED_MIN)
			return true;
		at = *end;
	}
	return false;
}

/* Every run of an encoding's characters is decoded from its first character. `bits` is 6 for base64, 4 for hex. */
static void look_encoded(struct window *w, struct bytes v, unsigned bits, int (*value)(uint8_t))
{
	size_t start, end = 0;

	while (!w->found && next_run(v, value, &start, &end)) {
		unsigned held = 0, have = 0;

		for (size_t i = start; i < end; i++) {
			held = (held << bits | (unsigned)value(v.base[i])) & 0xffff;
			have += bits;
			if (have >= 8) {
				have -= 8;
				window_put(w, (uint8_t)(held >> have));
			}
		}
		window_end(w);
	}
}

bool mask_present(const uint8_t key[MASK_KEY_BYTES], struct bytes text)
{
	struct survey s = survey(text);
	struct window w; /* its bytes are only read where they were written */

	w.key = key;
	w.len = 0;
	w.found = false;
	if ((s.at_sign || s.star || s.digits >= ZEROS_MIN || s.word_max >= TOKEN_HASH_LETTERS) && clear_has_mask(key, text))
		return true;
	if (s.percent || s.backslash)
		look_escaped(&w, text);
	if (w.found || !s.word_max)
		return w.found;
	look_encoded(&w, text, 6, base64);
	if (!w.found)
		look_encoded(&w, text, 4, hex);
	return w.found;
}
