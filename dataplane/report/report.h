/* report.h: the worker's side of the event ring. One function per event of event.def:
 *
 *   bool report_x(struct report *r, const struct event_x *m, uint64_t *position);
 *
 * False when the ring has no room now: nothing was written, the caller keeps what it has and stops reading its input.
 * `*position` (may be NULL) is what order `durable` must reach before the event is on disk. No allocation, no system
 * call. One worker. A token passes through the scratch memory and is wiped from it.
 */
#ifndef DATAPLANE_REPORT_REPORT_H
#define DATAPLANE_REPORT_REPORT_H

#include "platform/contract/message.h"
#include "platform/contract/ring.h"

/* Below this much free space no new command is begun, so that what is under way can always be reported. */
#define REPORT_RESERVE_BYTES (8u * LIMIT_MESSAGE_BYTES)

struct report {
	struct ring_producer ring;
	uint8_t *scratch; /* LIMIT_MESSAGE_BYTES */
	uint64_t events, refused;
};

static inline bool report_has_room(struct report *r)
{
	return ring_space(&r->ring) > REPORT_RESERVE_BYTES;
}

#define U8(f)
#define U16(f)
#define U32(f)
#define U64(f)
#define BYTES(f, max)
#define END(name)
#define MESSAGE(name, number, when) \
	[[gnu::warn_unused_result]] bool report_##name(struct report *r, const struct event_##name *m, uint64_t *position);
#include "platform/contract/event.def"
#undef MESSAGE
#undef U8
#undef U16
#undef U32
#undef U64
#undef BYTES
#undef END

#endif
