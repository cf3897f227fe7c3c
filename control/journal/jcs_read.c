/* The checker and the reader of RFC 8785. Every position is an index into `text` that is compared with its length before use.
 * The checker recurses at most JCS_DEPTH_MAX deep.
 */
#include "control/journal/jcs_read.h"

#include "control/journal/base64.h"
#include "control/journal/jcs_text.h"

struct check {
	struct bytes text;
	size_t at;
	const char *wrong;
};

static bool fail(struct check *c, const char *wrong)
{
	if (!c->wrong)
		c->wrong = wrong;
	return false;
}

/* The byte at the position; -1 at the end. */
static int peek(const struct check *c)
{
	return c->at < c->text.len ? c->text.base[c->at] : -1;
}

static bool take(struct check *c, int byte)
{
	if (peek(c) != byte)
		return false;
	c->at++;
	return true;
}

static bool check_escape(struct check *c)
{
	static const char hex[] = "0123456789abcdef";
	struct reader r = reader_of(c->text.base + c->at + 1, c->text.len - c->at - 1);
	struct bytes digits;
	const char *low;

	if (jcs_text_short_value(reader_u8(&r)) >= 0 && r.ok) {
		c->at += 2;
		return true;
	}
	/* RFC 8785 3.2.2.2: other control characters as \u00 and two small digits, nothing else as \u. */
	r = reader_of(c->text.base + c->at + 1, c->text.len - c->at - 1);
	digits = reader_bytes(&r, 5);
	if (!r.ok || memcmp(digits.base, "u00", 3) != 0 || digits.base[3] < '0' || digits.base[3] > '1')
		return fail(c, "an escape that is not canonical");
	low = digits.base[4] ? strchr(hex, digits.base[4]) : NULL;
	if (!low || jcs_text_short_escape((uint8_t)((digits.base[3] - '0') * 16 + (low - hex))))
		return fail(c, "an escape that is not canonical");
	c->at += 6;
	return true;
}

/* A string, the position at its opening quote; `body` gets what is between the quotes. */
static bool check_string(struct check *c, struct bytes *body)
{
	size_t start;

	if (!take(c, '"'))
		return fail(c, "a string is missing");
	start = c->at;
	for (;;) {
		int byte;

		while (c->text.len - c->at >= 8 && jcs_text_plain_word(c->text.base + c->at))
			c->at += 8;
		byte = peek(c);
		if (byte == '"')
			break;
		if (byte == '\\') {
			if (!check_escape(c))
				return false;
		} else if (byte >= 0x80) {
			size_t len = jcs_text_sequence(bytes_of(c->text.base + c->at, c->text.len - c->at));

			if (!len)
				return fail(c, "a string that is not UTF-8");
			c->at += len;
		} else if (byte >= 0x20) {
			c->at++;
		} else {
			return fail(c, byte < 0 ? "a string without its end" : "a control character in a string");
		}
	}
	*body = bytes_of(c->text.base + start, c->at - start);
	c->at++;
	return true;
}

static bool check_number(struct check *c)
{
	bool negative = take(c, '-');
	uint64_t value = 0;
	size_t digits = 0;

	for (; peek(c) >= '0' && peek(c) <= '9'; c->at++, digits++) {
		if (digits && value == 0)
			return fail(c, "a number with a leading zero");
		value = value * 10 + (uint64_t)(peek(c) - '0');
		if (value > JCS_INTEGER_MAX)
			return fail(c, "a number beyond 2^53-1");
	}
	if (digits == 0 || (negative && value == 0))
		return fail(c, "a number that is not canonical");
	if (peek(c) == '.' || peek(c) == 'e' || peek(c) == 'E')
		return fail(c, "a number with a fraction or exponent");
	return true;
}

static bool check_value(struct check *c, unsigned depth);

static bool check_object(struct check *c, unsigned depth)
{
	struct bytes last = { 0 }, key;

	if (take(c, '}'))
		return true;
	for (bool first = true;; first = false) {
		size_t at = c->at;

		if (!check_string(c, &key))
			return false;
		if (!first && jcs_text_key_order(last, key) >= 0) {
			c->at = at;
			return fail(c, "keys out of order or repeated");
		}
		last = key;
		if (!take(c, ':'))
			return fail(c, "a colon is missing");
		if (!check_value(c, depth))
			return false;
		if (take(c, '}'))
			return true;
		if (!take(c, ','))
			return fail(c, "an object without its end");
	}
}

static bool check_array(struct check *c, unsigned depth)
{
	if (take(c, ']'))
		return true;
	for (;;) {
		if (!check_value(c, depth))
			return false;
		if (take(c, ']'))
			return true;
		if (!take(c, ','))
			return fail(c, "an array without its end");
	}
}

static bool check_word(struct check *c, const char *word)
{
	for (; *word; word++)
		if (!take(c, *word))
			return fail(c, "a value that is none of object, array, string, integer, true, false");
	return true;
}

static bool check_value(struct check *c, unsigned depth)
{
	struct bytes body;
	int byte = peek(c);

	switch (byte) {
	case '{':
	case '[':
		if (depth == 0)
			return fail(c, "nested deeper than allowed");
		c->at++;
		return byte == '{' ? check_object(c, depth - 1) : check_array(c, depth - 1);
	case '"':
		return check_string(c, &body);
	case 't':
		return check_word(c, "true");
	case 'f':
		return check_word(c, "false");
	case '-':
	case '0' ... '9':
		return check_number(c);
	default:
		return fail(c, "a value that is none of object, array, string, integer, true, false");
	}
}

const char *jcs_check_depth(struct bytes text, unsigned depth, size_t *at)
{
	struct check c = { .text = text };

	if (check_value(&c, depth) && c.at != text.len)
		fail(&c, "bytes after the value");
	if (at)
		*at = c.at;
	return c.wrong;
}

const char *jcs_check(struct bytes text, size_t *at)
{
	return jcs_check_depth(text, JCS_DEPTH_MAX, at);
}

/* --- reading ---------------------------------------------------------------------------------------------------------- */

/* From `at` on, the place of the first quote or backslash; `text.len` when there is none. */
static size_t quote_or_backslash(struct bytes text, size_t at)
{
	for (; text.len - at >= 8; at += 8) {
		unsigned first = jcs_text_word_mark(text.base + at);

		if (first < 8)
			return at + first;
	}
	while (at < text.len && text.base[at] != '"' && text.base[at] != '\\')
		at++;
	return at;
}

/* The length of the string that begins `text`, quotes included; 0 without its end. */
static size_t string_extent(struct bytes text)
{
	for (size_t at = 1; at <= text.len; at += 2) {
		at = quote_or_backslash(text, at);
		if (at < text.len && text.base[at] == '"')
			return at + 1;
	}
	return 0;
}

static size_t container_extent(struct bytes text)
{
	size_t depth = 0;

	for (size_t at = 0; at < text.len; at++) {
		size_t skip;

		switch (text.base[at]) {
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return at + 1;
			break;
		case '"':
			skip = string_extent(bytes_of(text.base + at, text.len - at));
			if (!skip)
				return 0;
			at += skip - 1;
			break;
		}
	}
	return 0;
}

struct jcs_value jcs_value_of(struct bytes text)
{
	struct jcs_value out = { .raw = text };
	size_t len = 0;

	switch (text.len ? text.base[0] : 0) {
	case '{':
	case '[':
		out.kind = text.base[0] == '{' ? JCS_OBJECT : JCS_ARRAY;
		len = container_extent(text);
		break;
	case '"':
		out.kind = JCS_STRING;
		len = string_extent(text);
		break;
	case 't':
	case 'f':
		out.kind = JCS_BOOL;
		len = text.base[0] == 't' ? 4 : 5;
		break;
	case '-':
	case '0' ... '9':
		out.kind = JCS_INTEGER;
		for (len = 1; len < text.len && text.base[len] >= '0' && text.base[len] <= '9';)
			len++;
		break;
	}
	if (len == 0 || len > text.len)
		return (struct jcs_value){ 0 };
	out.raw.len = len;
	return out;
}

bool jcs_next(struct jcs_value container, size_t *at, struct bytes *key, struct jcs_value *value)
{
	struct bytes text = container.raw;
	struct bytes name = { 0 };

	*value = (struct jcs_value){ 0 };
	if ((container.kind != JCS_OBJECT && container.kind != JCS_ARRAY) || *at >= text.len)
		return false;
	/* At the start the bracket, later the comma, is skipped. */
	*at += *at == 0 || text.base[*at] == ',' ? 1 : 0;
	if (container.kind == JCS_OBJECT) {
		struct jcs_value quoted = jcs_value_of(bytes_of(text.base + *at, text.len - *at));

		if (quoted.kind != JCS_STRING || *at + quoted.raw.len >= text.len)
			return false;
		name = bytes_of(quoted.raw.base + 1, quoted.raw.len - 2);
		*at += quoted.raw.len + 1;
	}
	*value = jcs_value_of(bytes_of(text.base + *at, text.len - *at));
	if (value->kind == JCS_NONE)
		return false;
	*at += value->raw.len;
	if (key)
		*key = name;
	return true;
}

/* Below, at or above 0: where a member's name stands beside `want`, which needs no escaping. A name with an escape counts as below: its order is
 * not that of its bytes (RFC 8785 3.2.3). */
static int name_order(struct bytes name, const char *want)
{
	size_t i = 0;

	while (i < name.len && want[i] && name.base[i] == (uint8_t)want[i])
		i++;
	if (i == name.len)
		return want[i] ? -1 : 0;
	return name.base[i] > (uint8_t)want[i] && name.base[i] != '\\' ? 1 : -1;
}

void jcs_pick(struct jcs_value object, unsigned count, const char *const key[], struct jcs_value out[])
{
	struct jcs_value value;
	struct bytes name;
	unsigned next = 0;
	size_t at = 0;

	memset(out, 0, count * sizeof *out);
	while (next < count && object.kind == JCS_OBJECT && jcs_next(object, &at, &name, &value)) {
		int order = name_order(name, key[next]);

		while (order > 0 && ++next < count)
			order = name_order(name, key[next]);
		if (order == 0)
			out[next++] = value;
	}
}

struct jcs_value jcs_get(struct jcs_value object, const char *key)
{
	struct jcs_value value;

	jcs_pick(object, 1, &key, &value);
	return value;
}

bool jcs_read_str(struct jcs_value value, struct writer *out)
{
	struct bytes body = jcs_read_plain(value);

	if (value.kind != JCS_STRING)
		return false;
	for (size_t i = 0; i < body.len; i++) {
		int escape;

		if (body.base[i] != '\\') {
			writer_u8(out, body.base[i]);
			continue;
		}
		escape = i + 1 < body.len ? jcs_text_short_value(body.base[i + 1]) : -1;
		if (escape >= 0) {
			writer_u8(out, (uint8_t)escape);
			i += 1;
		} else if (i + 5 < body.len && body.base[i + 1] == 'u') {
			struct bytes digits = bytes_of(body.base + i + 4, 2);

			if (!hex_read(digits, out))
				return false;
			i += 5;
		} else {
			return false;
		}
	}
	return out->ok;
}

struct bytes jcs_read_plain(struct jcs_value value)
{
	if (value.kind != JCS_STRING || value.raw.len < 2)
		return (struct bytes){ 0 };
	return bytes_of(value.raw.base + 1, value.raw.len - 2);
}

bool jcs_read_int(struct jcs_value value, int64_t *out)
{
	struct check c = { .text = value.raw };
	int64_t sum = 0;

	*out = 0;
	if (value.kind != JCS_INTEGER || !check_number(&c) || c.at != value.raw.len)
		return false;
	for (size_t i = value.raw.base[0] == '-'; i < value.raw.len; i++)
		sum = sum * 10 + (value.raw.base[i] - '0');
	*out = value.raw.base[0] == '-' ? -sum : sum;
	return true;
}

bool jcs_read_bool(struct jcs_value value, bool *out)
{
	*out = value.kind == JCS_BOOL && value.raw.len == 4;
	return value.kind == JCS_BOOL;
}
