/* wire.c: frames of wire.h. A frame is judged by its length before it is complete, so that nothing large is awaited. */
#include "control/egress/wire.h"

#include "control/egress/url.h"

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

void egress_put_request(struct writer *w, const struct egress_request *request)
{
	size_t mark = writer_mark(w, 4);

	writer_u8(w, (uint8_t)request->type);
	writer_be64(w, request->id);
	writer_be32(w, request->timeout_ms);
	writer_be32(w, request->bytes_max);
	writer_be16(w, (uint16_t)request->url.len);
	writer_put(w, request->url);
	writer_be16(w, (uint16_t)request->ca.len);
	writer_put(w, request->ca);
	if (request->type != EGRESS_GET) {
		writer_be16(w, (uint16_t)request->data.len);
		writer_put(w, request->data);
	}
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

bool egress_url_ok(enum egress_type type, struct bytes url)
{
	struct egress_url parsed;

	return egress_url_parse(url, &parsed) || (type == EGRESS_TIMESTAMP && egress_url_parse_plain(url, &parsed));
}

/* The body behind length and type of one frame; `types` has a bit for each type that is allowed. */
static enum parse_status open_frame(struct bytes in, unsigned types, size_t frame_max, struct reader *body, size_t *frame_bytes)
{
	struct reader r = reader_of_bytes(in);
	uint32_t len = reader_be32(&r);

	*frame_bytes = 0;
	if (!r.ok)
		return PARSE_MORE;
	if (len < 1 || len > frame_max - 4)
		return PARSE_BAD;
	if (r.left && (r.at[0] > 31 || !(types >> r.at[0] & 1)))
		return PARSE_BAD;
	if (r.left < len)
		return PARSE_MORE;
	*body = reader_sub(&r, len);
	*frame_bytes = 4 + (size_t)len;
	return PARSE_OK;
}

enum parse_status egress_parse_request(struct bytes in, struct egress_request *request, size_t *frame_bytes)
{
	const unsigned types = 1u << EGRESS_GET | 1u << EGRESS_TIMESTAMP | 1u << EGRESS_WITNESS;
	struct reader r;
	enum parse_status status = open_frame(in, types, EGRESS_FRAME_REQUEST_BYTES, &r, frame_bytes);

	*request = (struct egress_request){ 0 };
	if (status != PARSE_OK)
		return status;
	request->type = (enum egress_type)reader_u8(&r);
	request->id = reader_be64(&r);
	request->timeout_ms = reader_be32(&r);
	request->bytes_max = reader_be32(&r);
	request->url = reader_bytes(&r, reader_be16(&r));
	request->ca = reader_bytes(&r, reader_be16(&r));
	if (request->type != EGRESS_GET)
		request->data = reader_bytes(&r, reader_be16(&r));
	if (r.ok && r.left == 0 && request->timeout_ms >= 1 && request->timeout_ms <= EGRESS_TIMEOUT_MS && request->bytes_max >= 1 &&
	    request->bytes_max <= LIMIT_FETCH_BYTES && request->url.len >= 1 && request->url.len <= EGRESS_URL_BYTES &&
	    !memchr(request->url.base, 0, request->url.len) && egress_ca_name_ok(request->ca) &&
	    (request->type == EGRESS_GET || (request->data.len >= 1 && request->data.len <= EGRESS_DATA_BYTES)))
		return PARSE_OK;
	*request = (struct egress_request){ 0 };
	return PARSE_BAD;
}

enum parse_status egress_parse_done(struct bytes in, struct egress_done *done, size_t *frame_bytes)
{
	struct reader r;
	enum parse_status status = open_frame(in, 1u << EGRESS_DONE, EGRESS_FRAME_DONE_BYTES, &r, frame_bytes);
	uint8_t result;

	*done = (struct egress_done){ 0 };
	if (status != PARSE_OK)
		return status;
	reader_skip(&r, 1);
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
