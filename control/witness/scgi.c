#include "control/witness/scgi.h"

#include "control/journal/note_text.h"

#define LENGTH_BYTES 5u /* of the digits in front of the headers */

static const struct scgi_read bad = { .status = PARSE_BAD };

static struct scgi_read more(size_t needed)
{
	return (struct scgi_read){ .status = PARSE_MORE, .needed = needed };
}

static bool is_twice(const struct bytes *name, unsigned count)
{
	for (unsigned i = 0; i + 1 < count; i++)
		if (bytes_equal(name[i], name[count - 1]))
			return true;
	return false;
}

static bool headers_read(struct bytes text, uint64_t *body, bool *is_post)
{
	struct reader r = reader_of_bytes(text);
	struct bytes name[SCGI_HEADERS], value;
	bool is_scgi = false, has_method = false;
	unsigned count = 0;

	for (*is_post = false; r.left; count++) {
		if (count == SCGI_HEADERS)
			return false;
		name[count] = reader_cstr(&r);
		value = reader_cstr(&r);
		if (!r.ok || name[count].len == 0 || is_twice(name, count + 1))
			return false;
		if (count == 0 && (!bytes_equal(name[0], bytes_str("CONTENT_LENGTH")) || !note_decimal(value, body) || *body > SCGI_BODY_BYTES))
			return false;
		is_scgi |= bytes_equal(name[count], bytes_str("SCGI")) && bytes_equal(value, bytes_str("1"));
		if (bytes_equal(name[count], bytes_str("REQUEST_METHOD"))) {
			has_method = true;
			*is_post = bytes_equal(value, bytes_str("POST"));
		}
	}
	return count > 0 && is_scgi && has_method;
}

struct scgi_read scgi_read(struct bytes in, struct scgi_request *out)
{
	const uint8_t *colon = in.len ? memchr(in.base, ':', in.len < LENGTH_BYTES + 1 ? in.len : LENGTH_BYTES + 1) : NULL;
	size_t digits = colon ? (size_t)(colon - in.base) : 0, begin = digits + 1;
	uint64_t headers, body;
	bool is_post;

	*out = (struct scgi_request){ 0 };
	if (!colon)
		return in.len <= LENGTH_BYTES ? more(in.len + 1) : bad;
	if (!note_decimal(bytes_of(in.base, digits), &headers) || headers > SCGI_HEADERS_BYTES)
		return bad;
	if (in.len < begin + headers + 1)
		return more(begin + headers + 1);
	if (in.base[begin + headers] != ',' || !headers_read(bytes_of(in.base + begin, headers), &body, &is_post))
		return bad;
	begin += headers + 1;
	if (in.len - begin < body)
		return more(begin + body);
	*out = (struct scgi_request){ .is_post = is_post, .body = bytes_of(in.base + begin, body) };
	return (struct scgi_read){ .status = PARSE_OK, .consumed = begin + body };
}
