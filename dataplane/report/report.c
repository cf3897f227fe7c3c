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

#define U8(f)
#define U16(f)
#define U32(f)
#define U64(f)
#define BYTES(f, max)
#define END(name)
#define MESSAGE(name, number, when) \
	bool report_##name(struct report *r, const struct event_##name *m, uint64_t *position) \
	{ \
		return put(r, number, event_##name##_encode(m, r->scratch, LIMIT_MESSAGE_BYTES), position); \
	}
#include "platform/contract/event.def"
