/* frame.h: the frames on the control socket: u32 length (big endian), then that many bytes of JSON.
 *
 * Request {"verb": "approval list", "args": {…}}. Response {"ok": true, "result": {…}}, or {"ok": false, "status": 1,
 * "error": "what: why: do"} with the exit status of operations.md 2. One request a connection. Pure, both ends.
 */
#ifndef CONTROL_CLI_FRAME_H
#define CONTROL_CLI_FRAME_H

#include "platform/base/bytes.h"

#define FRAME_REQUEST_BYTES (64u << 10)  /* a token and a reason fit */
#define FRAME_RESPONSE_BYTES (16u << 20) /* 10,000 sessions fit */
#define FRAME_DEPTH 16

/* Exit statuses, and the `status` of a response. */
enum frame_status {
	FRAME_DONE = 0,
	FRAME_REFUSED = 1,      /* by state */
	FRAME_USAGE = 2,        /* usage or check error */
	FRAME_NOT_PERMITTED = 3,
	FRAME_UNREACHABLE = 4,  /* the control process */
	FRAME_PENDING = 5,      /* waits for an approval */
};

/* One frame at the start of `in`; PARSE_BAD when it is empty or longer than `max`. */
static inline enum parse_status frame_parse(struct bytes in, size_t max, struct bytes *body)
{
	struct reader r = reader_of_bytes(in);
	uint32_t len = reader_be32(&r);

	*body = (struct bytes){ 0 };
	if (!r.ok)
		return PARSE_MORE;
	if (len == 0 || len > max)
		return PARSE_BAD;
	*body = reader_bytes(&r, len);
	return r.ok ? PARSE_OK : PARSE_MORE;
}

#endif
