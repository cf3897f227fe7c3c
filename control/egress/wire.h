/* wire.h: the frames between control and sluice-egress.
 *
 * A stream of frames: u32 length of what follows, u8 type, body; big endian. Direction and type decide the body:
 *   EGRESS_GET       (control to egress)  u64 id, u32 timeout in ms, u32 body limit, u16+url, u16+ca
 *   EGRESS_TIMESTAMP (control to egress)  the same, u16+data: an RFC 3161 query. The one kind whose URL may be plain http (RFC 3161 3.4):
 *                                         what leaves is a hash, and what comes back is signed, and bound to the query by its nonce
 *   EGRESS_WITNESS   (control to egress)  the same, u16+data: a POST of text to a witness (C2SP tlog-witness)
 *   EGRESS_DONE      (egress to control)  u64 id, u8 result, u16 HTTP status, u16+content type, u32+body
 * An unknown type, a frame that is too long, too short or has bytes left is a breach: the reader gives the peer up.
 * Pure functions over caller memory.
 */
#ifndef CONTROL_EGRESS_WIRE_H
#define CONTROL_EGRESS_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"
#include "platform/base/limits.h"

#define EGRESS_URL_BYTES 1024
#define EGRESS_CA_BYTES 64
#define EGRESS_CONTENT_TYPE_BYTES 128
#define EGRESS_TIMEOUT_MS 5000u /* identity.md 1 */
#define EGRESS_UNDER_WAY 16     /* requests at once; a client that asks for more is told busy */
#define EGRESS_DATA_BYTES 12288 /* a checkpoint of full size behind 63 hashes */
#define EGRESS_FRAME_REQUEST_BYTES (4 + 1 + 8 + 4 + 4 + 2 + EGRESS_URL_BYTES + 2 + EGRESS_CA_BYTES + 2 + EGRESS_DATA_BYTES)
#define EGRESS_FRAME_DONE_BYTES (4 + 1 + 8 + 1 + 2 + 2 + EGRESS_CONTENT_TYPE_BYTES + 4 + LIMIT_FETCH_BYTES)

enum egress_type {
	EGRESS_GET = 1,
	EGRESS_DONE = 2,
	EGRESS_TIMESTAMP = 3,
	EGRESS_WITNESS = 4,
};

enum egress_result {
#define EGRESS_RESULT(id, text) EGRESS_##id,
#include "control/egress/results.def"
#undef EGRESS_RESULT
	EGRESS_result_count
};

struct egress_request {
	enum egress_type type; /* not EGRESS_DONE */
	uint64_t id;
	uint32_t timeout_ms; /* 1 to EGRESS_TIMEOUT_MS */
	uint32_t bytes_max;  /* 1 to LIMIT_FETCH_BYTES */
	struct bytes url;    /* borrowed, 1 to EGRESS_URL_BYTES, no NUL */
	struct bytes ca;     /* borrowed, at most EGRESS_CA_BYTES; see egress_ca_name_ok */
	struct bytes data;   /* borrowed; empty for EGRESS_GET, else 1 to EGRESS_DATA_BYTES */
};

struct egress_done {
	uint64_t id;
	enum egress_result result;
	uint16_t http_status;
	struct bytes content_type;
	struct bytes body;
};

/* Append one frame; the writer is not ok when it does not fit. */
void egress_put_request(struct writer *w, const struct egress_request *request);
void egress_put_done(struct writer *w, const struct egress_done *done);

/* Read one frame at the start of `in`; `frame_bytes` is its whole length when PARSE_OK. */
enum parse_status egress_parse_request(struct bytes in, struct egress_request *request, size_t *frame_bytes);
enum parse_status egress_parse_done(struct bytes in, struct egress_done *done, size_t *frame_bytes);

/* Whether a request of this type may go to this URL (url.h). */
bool egress_url_ok(enum egress_type type, struct bytes url);

/* Empty, or a plain file name: letters, digits, dot, dash, underscore, not starting with a dot. */
bool egress_ca_name_ok(struct bytes name);

/* "tls_failed" and its text. */
const char *egress_result_name(enum egress_result result);
const char *egress_result_text(enum egress_result result);

#endif
