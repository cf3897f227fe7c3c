/* bytes.h: one reader and one writer for every format in Sluice.
 *
 * Purpose: bounds-checked access to byte strings whose content is hostile.
 * Both types are plain values over memory that somebody else owns; neither allocates.
 * Both are sticky: after the first access out of bounds `ok` is false, a reader yields zeros and
 * an empty rest, and a writer writes nothing more. So a parser reads straight down and checks `ok` once.
 * Threading: a value belongs to one thread. Integers are big endian unless the name says `le`.
 */
#ifndef PLATFORM_BASE_BYTES_H
#define PLATFORM_BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed byte string. `base` may be NULL only when `len` is 0. */
struct bytes {
	const uint8_t *base;
	size_t len;
};

/* What a parser says of its input, and nothing else about IO. */
enum parse_status {
	PARSE_OK,   /* one whole unit was read; `consumed` bytes belong to it */
	PARSE_MORE, /* the unit is not complete; at least `needed` bytes in all are wanted */
	PARSE_BAD,  /* the input can never become valid */
};

static inline struct bytes bytes_of(const void *base, size_t len)
{
	return (struct bytes){ .base = base, .len = len };
}

static inline struct bytes bytes_str(const char *text)
{
	return bytes_of(text, text ? strlen(text) : 0);
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

/* Constant in time for equal lengths; for secrets. */
static inline bool bytes_equal_secret(struct bytes a, struct bytes b)
{
	uint8_t diff = 0;

	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		diff |= a.base[i] ^ b.base[i];
	return diff == 0;
}

struct reader {
	const uint8_t *at;
	size_t left;
	bool ok;
};

static inline struct reader reader_of(const void *base, size_t len)
{
	return (struct reader){ .at = base, .left = len, .ok = true };
}

static inline struct reader reader_of_bytes(struct bytes b)
{
	return reader_of(b.base, b.len);
}

/* The next `len` bytes, or an empty string and `ok` false. */
static inline struct bytes reader_bytes(struct reader *r, size_t len)
{
	struct bytes out = { 0 };

	if (!r->ok || len > r->left) {
		r->ok = false;
		r->left = 0;
		return out;
	}
	out = bytes_of(r->at, len);
	r->at += len;
	r->left -= len;
	return out;
}

static inline void reader_skip(struct reader *r, size_t len)
{
	(void)reader_bytes(r, len);
}

/* A reader bounded to the next `len` bytes, which are consumed here. Not `ok` when they are not there. */
static inline struct reader reader_sub(struct reader *r, size_t len)
{
	struct bytes b = reader_bytes(r, len);

	return (struct reader){ .at = b.base, .left = b.len, .ok = r->ok };
}

/* The width is a constant where these are inlined: the loops become one load. */
static inline uint64_t reader_be(struct reader *r, size_t width)
{
	const uint8_t *at = r->at;
	uint64_t value = 0;

	if (!r->ok || width > r->left) {
		r->ok = false;
		r->left = 0;
		return 0;
	}
	r->at += width;
	r->left -= width;
	for (size_t i = 0; i < width; i++)
		value = value << 8 | at[i];
	return value;
}

static inline uint64_t reader_le(struct reader *r, size_t width)
{
	const uint8_t *at = r->at;
	uint64_t value = 0;

	if (!r->ok || width > r->left) {
		r->ok = false;
		r->left = 0;
		return 0;
	}
	r->at += width;
	r->left -= width;
	for (size_t i = width; i > 0; i--)
		value = value << 8 | at[i - 1];
	return value;
}

static inline uint8_t reader_u8(struct reader *r) { return (uint8_t)reader_be(r, 1); }
static inline uint16_t reader_be16(struct reader *r) { return (uint16_t)reader_be(r, 2); }
static inline uint32_t reader_be32(struct reader *r) { return (uint32_t)reader_be(r, 4); }
static inline uint64_t reader_be64(struct reader *r) { return reader_be(r, 8); }
static inline uint16_t reader_le16(struct reader *r) { return (uint16_t)reader_le(r, 2); }
static inline uint32_t reader_le32(struct reader *r) { return (uint32_t)reader_le(r, 4); }
static inline uint64_t reader_le64(struct reader *r) { return reader_le(r, 8); }

/* The bytes up to a NUL, which is consumed and not part of the result. Not `ok` without one. */
static inline struct bytes reader_cstr(struct reader *r)
{
	const uint8_t *nul = r->ok && r->left ? memchr(r->at, 0, r->left) : NULL;
	struct bytes out;

	if (!nul) {
		r->ok = false;
		r->left = 0;
		return (struct bytes){ 0 };
	}
	out = reader_bytes(r, (size_t)(nul - r->at));
	reader_skip(r, 1);
	return out;
}

/* All that is left, consumed. */
static inline struct bytes reader_rest(struct reader *r)
{
	return reader_bytes(r, r->left);
}

struct writer {
	uint8_t *base;
	size_t cap;
	size_t len;
	bool ok;
};

static inline struct writer writer_of(void *base, size_t cap)
{
	return (struct writer){ .base = base, .cap = cap, .len = 0, .ok = true };
}

static inline size_t writer_space(const struct writer *w)
{
	return w->ok ? w->cap - w->len : 0;
}

static inline struct bytes writer_done(const struct writer *w)
{
	return w->ok ? bytes_of(w->base, w->len) : (struct bytes){ 0 };
}

/* `len` bytes to be filled by the caller, or NULL. */
static inline uint8_t *writer_room(struct writer *w, size_t len)
{
	uint8_t *room;

	if (!w->ok || len > w->cap - w->len) {
		w->ok = false;
		return NULL;
	}
	room = w->base + w->len;
	w->len += len;
	return room;
}

static inline void writer_bytes(struct writer *w, const void *base, size_t len)
{
	uint8_t *room = writer_room(w, len);

	if (room && len)
		memcpy(room, base, len);
}

static inline void writer_put(struct writer *w, struct bytes b) { writer_bytes(w, b.base, b.len); }
static inline void writer_str(struct writer *w, const char *text) { writer_bytes(w, text, strlen(text)); }

/* The text and its NUL. */
static inline void writer_cstr(struct writer *w, const char *text) { writer_bytes(w, text, strlen(text) + 1); }

static inline void writer_be(struct writer *w, uint64_t value, size_t width)
{
	uint8_t *room = writer_room(w, width);

	if (!room)
		return;
	/* As with reader_be: a constant width makes this one store. */
	value = htobe64(value << 8 * (sizeof value - width));
	memcpy(room, &value, width);
}

static inline void writer_le(struct writer *w, uint64_t value, size_t width)
{
	uint8_t *room = writer_room(w, width);

	if (!room)
		return;
	value = htole64(value);
	memcpy(room, &value, width);
}

static inline void writer_u8(struct writer *w, uint8_t v) { writer_be(w, v, 1); }
static inline void writer_be16(struct writer *w, uint16_t v) { writer_be(w, v, 2); }
static inline void writer_be32(struct writer *w, uint32_t v) { writer_be(w, v, 4); }
static inline void writer_be64(struct writer *w, uint64_t v) { writer_be(w, v, 8); }
static inline void writer_le16(struct writer *w, uint16_t v) { writer_le(w, v, 2); }
static inline void writer_le32(struct writer *w, uint32_t v) { writer_le(w, v, 4); }
static inline void writer_le64(struct writer *w, uint64_t v) { writer_le(w, v, 8); }

/* Reserves `width` bytes for a length that is known later; give the mark to writer_patch. */
static inline size_t writer_mark(struct writer *w, size_t width)
{
	size_t mark = w->len;

	writer_be(w, 0, width);
	return mark;
}

/* Writes `value`, big endian, where writer_mark stood. */
static inline void writer_patch(struct writer *w, size_t mark, size_t width, uint64_t value)
{
	if (!w->ok || mark > w->len || width > w->len - mark)
		return;
	for (size_t i = 0; i < width; i++)
		w->base[mark + i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

#endif
