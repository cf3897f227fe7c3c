#include "dataplane/report/report.h"

#include "platform/base/secret.h"

static bool put(struct report *r, unsigned number, struct bytes encoded, uint64_t *position)
{
	bool written = encoded.len > 0 && ring_write(&r->ring, (uint16_t)number, encoded, position);

	if (number == EVENT_login)
		secret_wipe(r->scratch, encoded.len);
	if (written)
		r->events++;
	else
		r->refused++;
	return written;
}

/* What was made in the ring itself. */
static bool publish(struct report *r, unsigned number, size_t len, uint64_t *position)
{
	uint64_t end;

	if (len == 0) {
		r->refused++;
		return false;
	}
	end = ring_publish(&r->ring, (uint16_t)number, len);
	if (position)
		*position = end;
	r->events++;
	return true;
}

#define U8(f)
#define U16(f)
#define U32(f)
#define U64(f)
#define BYTES(f, max)
#define END(name)
#define MESSAGE(name, number, when) \
	bool report_##name(struct report *r, const struct event_##name *m, uint64_t *position) \
	{ \
		uint8_t *place = number == EVENT_login ? NULL : ring_place(&r->ring); /* a token is in no ring but as a message */ \
		if (place) \
			return publish(r, number, event_##name##_encode(m, place, LIMIT_MESSAGE_BYTES).len, position); \
		return put(r, number, event_##name##_encode(m, r->scratch, LIMIT_MESSAGE_BYTES), position); \
	}
#include "platform/contract/event.def"
