/* The two lists are expanded three times each: encode, decode, names. A field is one line in each expansion. */
#include "platform/contract/message.h"

/* Inlined, so that an encoder's writer stays in registers: a command's event has six of these. */
static inline __attribute__((always_inline)) void put_bytes(struct writer *w, struct bytes b, size_t max)
{
	if (b.len > max)
		w->ok = false;
	writer_be32(w, (uint32_t)b.len);
	writer_put(w, b);
}

static struct bytes get_bytes(struct reader *r, size_t max)
{
	uint32_t len = reader_be32(r);

	if (len > max)
		r->ok = false;
	return reader_bytes(r, len);
}

#define U8(f) writer_u8(&w, m->f);
#define U16(f) writer_be16(&w, m->f);
#define U32(f) writer_be32(&w, m->f);
#define U64(f) writer_be64(&w, m->f);
#define BYTES(f, max) put_bytes(&w, m->f, max);
#define END(name) return writer_done(&w); }
#define MESSAGE(name, number, when) \
	struct bytes event_##name##_encode(const struct event_##name *m, void *into, size_t cap) \
	{ struct writer w = writer_of(into, cap);
#include "platform/contract/event.def"
#undef MESSAGE
#define MESSAGE(name, number, when) \
	struct bytes order_##name##_encode(const struct order_##name *m, void *into, size_t cap) \
	{ struct writer w = writer_of(into, cap);
#include "platform/contract/order.def"
#undef MESSAGE
#undef U8
#undef U16
#undef U32
#undef U64
#undef BYTES
#undef END

#define U8(f) m->f = reader_u8(&r);
#define U16(f) m->f = reader_be16(&r);
#define U32(f) m->f = reader_be32(&r);
#define U64(f) m->f = reader_be64(&r);
#define BYTES(f, max) m->f = get_bytes(&r, max);
#define END(name) if (r.ok && r.left == 0) return true; memset(m, 0, sizeof *m); return false; }
#define MESSAGE(name, number, when) \
	bool event_##name##_decode(struct bytes from, struct event_##name *m) \
	{ struct reader r = reader_of_bytes(from); memset(m, 0, sizeof *m);
#include "platform/contract/event.def"
#undef MESSAGE
#define MESSAGE(name, number, when) \
	bool order_##name##_decode(struct bytes from, struct order_##name *m) \
	{ struct reader r = reader_of_bytes(from); memset(m, 0, sizeof *m);
#include "platform/contract/order.def"
#undef MESSAGE
#undef U8
#undef U16
#undef U32
#undef U64
#undef BYTES
#undef END

struct message_name {
	const char *name;
	unsigned number;
	enum message_when when;
};

#define U8(f)
#define U16(f)
#define U32(f)
#define U64(f)
#define BYTES(f, max)
#define END(name)
#define MESSAGE(name, number, when) { #name, number, when },
static const struct message_name events[] = {
#include "platform/contract/event.def"
};
static const struct message_name orders[] = {
#include "platform/contract/order.def"
};
#undef MESSAGE

static const char *find(const struct message_name *list, size_t count, unsigned number, enum message_when *when)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].number == number) {
			if (when)
				*when = list[i].when;
			return list[i].name;
		}
	return NULL;
}

const char *event_name(unsigned number, enum message_when *when)
{
	return find(events, sizeof events / sizeof *events, number, when);
}

const char *order_name(unsigned number, enum message_when *when)
{
	return find(orders, sizeof orders / sizeof *orders, number, when);
}
