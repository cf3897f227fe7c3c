/* frame.h: PostgreSQL's message framing, protocol 3 (type byte, int32 length that counts itself, body).
 *
 * pg_frame_read looks at the first message of `in`. PARSE_OK: the whole message is there. PARSE_MORE: at least
 * `frame->total` bytes are wanted when `head` is true (type and length are known already), else five. PARSE_BAD: the
 * length cannot be; framing is lost. Nothing here knows what a message means. Pure functions.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_FRAME_H
#define DATAPLANE_INSPECT_POSTGRES_FRAME_H

#include "platform/base/bytes.h"

#define PG_FRAME_HEAD 5
#define PG_FRAME_MAX (1u << 30) /* MaxAllocSize of the server: no message is longer */

struct pg_frame {
	uint8_t type;
	bool head;         /* type and total are valid */
	size_t total;      /* bytes of the message, with its head */
	struct bytes body; /* what is there of it */
	struct bytes whole; /* head and body, after PARSE_OK */
};

enum parse_status pg_frame_read(struct bytes in, struct pg_frame *frame);

/* Writing: pg_frame_end patches the length of what pg_frame_begin started. */
size_t pg_frame_begin(struct writer *w, char type);
void pg_frame_end(struct writer *w, size_t mark);

/* `type` with `body` as it is. */
void pg_frame_put(struct writer *w, char type, struct bytes body);

#endif
