/* The writer of RFC 8785. Each level remembers where its last key stands in the output, so that order and uniqueness cost one
 * comparison a key. The trap of RFC 8785 3.2.3: keys are ordered by UTF-16 code units, which differs from the order of UTF-8
 * bytes where surrogates meet U+E000 to U+FFFF, and keys stand in the output with their escapes.
 */
#include "control/journal/jcs.h"

#include <stdio.h>

#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"
#include "control/journal/jcs_text.h"

struct jcs jcs_of(struct writer *out)
{
	return (struct jcs){ .out = out, .start = out->len };
}

struct bytes jcs_done(const struct jcs *j)
{
	if (j->fault || !j->done || !j->out->ok)
		return (struct bytes){ 0 };
	return bytes_of(j->out->base + j->start, j->out->len - j->start);
}

static void fail(struct jcs *j, const char *fault)
{
	if (!j->fault)
		j->fault = fault;
}

/* Before any value: the place must allow one; writes the comma of an array. */
static bool value_begin(struct jcs *j)
{
	if (j->fault)
		return false;
	if (j->depth == 0) {
		if (j->done)
			fail(j, "a second value after the outermost one");
		return !j->done;
	}
	if (j->level[j->depth - 1].object) {
		if (!j->level[j->depth - 1].wants_value)
			fail(j, "a value without a key");
		return j->level[j->depth - 1].wants_value;
	}
	if (j->level[j->depth - 1].count)
		writer_u8(j->out, ',');
	return true;
}

static void value_end(struct jcs *j)
{
	if (!j->out->ok)
		fail(j, "no room");
	if (j->depth == 0) {
		j->done = true;
		return;
	}
	j->level[j->depth - 1].wants_value = false;
	j->level[j->depth - 1].count++;
}

static void enter(struct jcs *j, bool object)
{
	if (!value_begin(j))
		return;
	if (j->depth == JCS_DEPTH_MAX) {
		fail(j, "nested deeper than 8");
		return;
	}
	memset(&j->level[j->depth], 0, sizeof j->level[j->depth]);
	j->level[j->depth++].object = object;
	writer_u8(j->out, object ? '{' : '[');
}

static void leave(struct jcs *j, bool object)
{
	if (j->fault)
		return;
	if (j->depth == 0 || j->level[j->depth - 1].object != object || j->level[j->depth - 1].wants_value) {
		fail(j, "closed what is not open");
		return;
	}
	writer_u8(j->out, object ? '}' : ']');
	j->depth--;
	value_end(j);
}

void jcs_open(struct jcs *j)
{
	enter(j, true);
}

void jcs_close(struct jcs *j)
{
	leave(j, true);
}

void jcs_array(struct jcs *j)
{
	enter(j, false);
}

void jcs_array_close(struct jcs *j)
{
	leave(j, false);
}

/* A string's body with the escapes of RFC 8785 3.2.2.2; runs of plain bytes are copied whole. */
static void write_body(struct writer *out, struct bytes text)
{
	size_t run = 0;

	for (size_t i = 0; i < text.len; i++) {
		char escape[7];
		size_t len;

		if (jcs_text_plain(text.base[i]) || text.base[i] >= 0x80)
			continue;
		writer_bytes(out, text.base + run, i - run);
		run = i + 1;
		escape[0] = '\\';
		escape[1] = jcs_text_short_escape(text.base[i]);
		len = 2;
		if (!escape[1])
			len = (size_t)snprintf(escape, sizeof escape, "\\u%04x", text.base[i]);
		writer_bytes(out, escape, len);
	}
	writer_bytes(out, text.len ? text.base + run : NULL, text.len - run);
}

/* A text that stands for itself, between quotes, behind a comma and in front of a colon where wanted. */
static void write_plain(struct writer *out, bool comma, struct bytes text, bool colon)
{
	uint8_t *room = writer_room(out, comma + text.len + 2u + colon);

	if (!room)
		return;
	if (comma)
		*room++ = ',';
	*room++ = '"';
	if (text.len)
		memcpy(room, text.base, text.len);
	room += text.len;
	*room++ = '"';
	if (colon)
		*room = ':';
}

void jcs_str(struct jcs *j, struct bytes utf8)
{
	if (!value_begin(j))
		return;
	if (jcs_text_all_plain(utf8)) {
		write_plain(j->out, false, utf8, false);
		value_end(j);
		return;
	}
	if (!jcs_is_utf8(utf8)) {
		fail(j, "a string that is not UTF-8");
		return;
	}
	writer_u8(j->out, '"');
	write_body(j->out, utf8);
	writer_u8(j->out, '"');
	value_end(j);
}

void jcs_int(struct jcs *j, int64_t value)
{
	char text[24];
	char *at = text + sizeof text;
	uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	if (!value_begin(j))
		return;
	if (left > JCS_INTEGER_MAX) {
		fail(j, "a number beyond 2^53-1");
		return;
	}
	do {
		*--at = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	if (value < 0)
		*--at = '-';
	writer_bytes(j->out, at, (size_t)(text + sizeof text - at));
	value_end(j);
}

void jcs_bool(struct jcs *j, bool value)
{
	if (!value_begin(j))
		return;
	writer_str(j->out, value ? "true" : "false");
	value_end(j);
}

void jcs_put_composed(struct jcs *j, const char *key, struct bytes composed, unsigned depth)
{
	jcs_key(j, key);
	if (!value_begin(j))
		return;
	if (composed.len == 0 || depth > JCS_DEPTH_MAX - j->depth) {
		fail(j, "nothing composed, or nested deeper than 8");
		return;
	}
	writer_put(j->out, composed);
	value_end(j);
}

void jcs_raw(struct jcs *j, struct bytes canonical)
{
	const char *wrong;

	if (!value_begin(j))
		return;
	wrong = jcs_check_depth(canonical, JCS_DEPTH_MAX - j->depth, NULL);
	if (wrong) {
		fail(j, wrong);
		return;
	}
	writer_put(j->out, canonical);
	value_end(j);
}

/* Whether a key may follow another one; most differ in their first letter. */
static bool is_later(struct bytes last, struct bytes key)
{
	if (last.len && key.len && last.base[0] != key.base[0] && jcs_text_plain(last.base[0]) && jcs_text_plain(key.base[0]))
		return last.base[0] < key.base[0];
	return jcs_text_key_order(last, key) < 0;
}

static void key_parts(struct jcs *j, struct bytes first, const char *suffix)
{
	struct bytes last, key;
	bool again;
	size_t at;

	if (j->fault)
		return;
	if (j->depth == 0 || !j->level[j->depth - 1].object || j->level[j->depth - 1].wants_value) {
		fail(j, "a key where none belongs");
		return;
	}
	again = j->level[j->depth - 1].count > 0;
	at = j->out->len + again + 1;
	if (!suffix[0] && jcs_text_all_plain(first)) {
		write_plain(j->out, again, first, true);
		key = bytes_of(j->out->base + at, first.len);
	} else if (jcs_is_utf8(first)) {
		writer_str(j->out, again ? ",\"" : "\"");
		write_body(j->out, first);
		writer_str(j->out, suffix);
		key = bytes_of(j->out->base + at, j->out->len - at);
		writer_str(j->out, "\":");
	} else {
		fail(j, "a key that is not UTF-8");
		return;
	}
	if (!j->out->ok) {
		fail(j, "no room");
		return;
	}
	last = bytes_of(j->out->base + j->level[j->depth - 1].key_at, j->level[j->depth - 1].key_len);
	if (again && !is_later(last, key)) {
		fail(j, "keys out of order or repeated");
		return;
	}
	j->level[j->depth - 1].key_at = at;
	j->level[j->depth - 1].key_len = key.len;
	j->level[j->depth - 1].wants_value = true;
}

void jcs_key(struct jcs *j, const char *key)
{
	key_parts(j, bytes_str(key), "");
}

void jcs_key_bytes(struct jcs *j, struct bytes utf8)
{
	key_parts(j, utf8, "");
}

void jcs_put_str(struct jcs *j, const char *key, const char *text)
{
	jcs_key(j, key);
	jcs_str(j, bytes_str(text));
}

void jcs_put_int(struct jcs *j, const char *key, int64_t value)
{
	jcs_key(j, key);
	jcs_int(j, value);
}

void jcs_put_uint(struct jcs *j, const char *key, uint64_t value)
{
	char text[24];

	jcs_key(j, key);
	if (value <= JCS_INTEGER_MAX) {
		jcs_int(j, (int64_t)value);
		return;
	}
	snprintf(text, sizeof text, "%llu", (unsigned long long)value);
	jcs_str(j, bytes_str(text));
}

void jcs_put_bool(struct jcs *j, const char *key, bool value)
{
	jcs_key(j, key);
	jcs_bool(j, value);
}

void jcs_put_raw(struct jcs *j, const char *key, struct bytes canonical)
{
	jcs_key(j, key);
	jcs_raw(j, canonical);
}

/* A quoted encoding of bytes, which needs no escapes. */
static void put_encoded(struct jcs *j, struct bytes data, void (*encode)(struct writer *, struct bytes))
{
	if (!value_begin(j))
		return;
	writer_u8(j->out, '"');
	encode(j->out, data);
	writer_u8(j->out, '"');
	value_end(j);
}

void jcs_put_text(struct jcs *j, const char *key, struct bytes text)
{
	if (jcs_is_utf8(text)) {
		jcs_key(j, key);
		jcs_str(j, text);
		return;
	}
	key_parts(j, bytes_str(key), "_b64");
	put_encoded(j, text, base64_url_write);
}

void jcs_put_b64(struct jcs *j, const char *key, struct bytes data)
{
	jcs_key(j, key);
	put_encoded(j, data, base64_url_write);
}

void jcs_put_hex(struct jcs *j, const char *key, struct bytes data)
{
	jcs_key(j, key);
	put_encoded(j, data, hex_write);
}

void jcs_put_strs(struct jcs *j, const char *key, const struct bytes *texts, size_t count)
{
	jcs_key(j, key);
	jcs_array(j);
	for (size_t i = 0; i < count; i++)
		jcs_str(j, texts[i]);
	jcs_array_close(j);
}
