/* wire.c: frames of wire.h. A frame is judged by its length before it is complete, so that nothing large is awaited. */
#include "control/egress/wire.h"

static const char *const names[] = {
#define EGRESS_RESULT(id, text) #id,
#include "control/egress/results.def"
#undef EGRESS_RESULT
};

static const char *const texts[] = {
#define EGRESS_RESULT(id, text) text,
#include "control/egress/results.def"
#undef EGRESS_RESULT
};

const char *egress_result_name(enum egress_result result)
{
	return (unsigned)result < EGRESS_result_count ? names[result] : "unknown";
}

const char *egress_result_text(enum egress_result result)
{
	return (unsigned)result < EGRESS_result_count ? texts[result] : "unknown";
}

bool egress_ca_name_ok(struct bytes name)
{
	if (name.len > EGRESS_CA_BYTES || (name.len && name.base[0] == '.'))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.base[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!alnum && c != '.' && c != '-' && c != '_')
			return false;
	}
	return true;
}

void egress_put_get(struct writer *w, const struct egress_get *get)
{
	size_t mark = writer_mark(w, 4);

	writer_u8(w, EGRESS_GET);
	writer_be64(w, get->id);
	writer_be32(w, get->timeout_ms);
	writer_be32(w, get->bytes_max);
	writer_be16(w, (uint16_t)get->url.len);
	writer_put(w, get->url);
	writer_be16(w, (uint16_t)get->ca.len);
	writer_put(w, get->ca);
	writer_patch(w, mark, 4, w->len - mark - 4);
}

void egress_put_done(struct writer *w, const struct egress_done *done)
{
	size_t mark = writer_mark(w, 4);

	writer_u8(w, EGRESS_DONE);
	writer_be64(w, done->id);
	writer_u8(w, (uint8_t)done->result);
	writer_be16(w, done->http_status);
	writer_be16(w, (uint16_t)done->content_type.len);
	writer_put(w, done->content_type);
	writer_be32(w, (uint32_t)done->body.len);
	writer_put(w, done->body);
	writer_patch(w, mark, 4, w->len - mark - 4);
}

/* The body behind length and type of one frame. */
static enum parse_status open_frame(struct bytes in, uint8_t type, size_t frame_max, struct reader *body, size_t *frame_bytes)
{
	struct reader r = reader_of_bytes(in);
	uint32_t len = reader_be32(&r);

	*frame_bytes = 0;
	if (!r.ok)
		return PARSE_MORE;
	if (len < 1 || len > frame_max - 4)
		return PARSE_BAD;
	if (r.left && r.at[0] != type)
		return PARSE_BAD;
	if (r.left < len)
		return PARSE_MORE;
	*body = reader_sub(&r, len);
	reader_skip(body, 1);
	*frame_bytes = 4 + (size_t)len;
	return PARSE_OK;
}

enum parse_status egress_parse_get(struct bytes in, struct egress_get *get, size_t *frame_bytes)
{
	struct reader r;
	enum parse_status status = open_frame(in, EGRESS_GET, EGRESS_FRAME_GET_BYTES, &r, frame_bytes);

	*get = (struct egress_get){ 0 };
	if (status != PARSE_OK)
		return status;
	get->id = reader_be64(&r);
	get->timeout_ms = reader_be32(&r);
	get->bytes_max = reader_be32(&r);
	get->url = reader_bytes(&r, reader_be16(&r));
	get->ca = reader_bytes(&r, reader_be16(&r));
	if (r.ok && r.left == 0 && get->timeout_ms >= 1 && get->timeout_ms <= EGRESS_TIMEOUT_MS && get->bytes_max >= 1 &&
	    get->bytes_max <= LIMIT_FETCH_BYTES && get->url.len >= 1 && get->url.len <= EGRESS_URL_BYTES && !memchr(get->url.base, 0, get->url.len) &&
	    egress_ca_name_ok(get->ca))
		return PARSE_OK;
	*get = (struct egress_get){ 0 };
	return PARSE_BAD;
}

enum parse_status egress_parse_done(struct bytes in, struct egress_done *done, size_t *frame_bytes)
{
	struct reader r;
	enum parse_status status = open_frame(in, EGRESS_DONE, EGRESS_FRAME_DONE_BYTES, &r, frame_bytes);
	uint8_t result;

	*done = (struct egress_done){ 0 };
	if (status != PARSE_OK)
		return status;
	done->id = reader_be64(&r);
	result = reader_u8(&r);
	done->http_status = reader_be16(&r);
	done->content_type = reader_bytes(&r, reader_be16(&r));
	done->body = reader_bytes(&r, reader_be32(&r));
	done->result = (enum egress_result)result;
	/* EGRESS_died is never said by a child; an answer that is not ok carries nothing. */
	if (r.ok && r.left == 0 && result < EGRESS_died && done->content_type.len <= EGRESS_CONTENT_TYPE_BYTES && done->body.len <= LIMIT_FETCH_BYTES &&
	    (result == EGRESS_ok || (done->http_status == 0 && done->body.len == 0)))
		return PARSE_OK;
	*done = (struct egress_done){ 0 };
	return PARSE_BAD;
}
