#include "dataplane/port/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/secret.h"

struct message {
	uint32_t len;
	uint8_t bytes[EXCHANGE_MESSAGE_BYTES];
};

/* Counters never wrap in practice at 64 bits. `put` is the giver's, `got` the taker's; each on a line of its own. */
struct lane {
	_Alignas(64) _Atomic uint64_t frames_put;
	_Atomic uint64_t messages_put;
	_Alignas(64) _Atomic uint64_t frames_got;
	_Atomic uint64_t messages_got;
	_Alignas(64) void *frame[EXCHANGE_FRAMES];
	struct message *message; /* EXCHANGE_MESSAGES; NULL: it carries none */
};

struct exchange {
	unsigned workers;
	struct message *messages; /* of all lanes */
	_Alignas(64) struct lane lane[]; /* from * workers + to */
};

/* There from the start: no page fault later. */
static void *zeroed(size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

	return p ? memset(p, 0, bytes) : NULL;
}

struct exchange *exchange_create(unsigned workers, bool messages)
{
	size_t lanes = (size_t)workers * workers, of_a_lane = messages ? EXCHANGE_MESSAGES : 0;
	struct exchange *x = zeroed(sizeof(struct exchange) + lanes * sizeof(struct lane));

	if (!x)
		return NULL;
	x->workers = workers;
	x->messages = messages ? zeroed(lanes * of_a_lane * sizeof *x->messages) : NULL;
	if (messages && !x->messages) {
		free(x);
		return NULL;
	}
	for (size_t i = 0; messages && i < lanes; i++)
		x->lane[i].message = x->messages + i * of_a_lane;
	return x;
}

void exchange_destroy(struct exchange *x)
{
	if (x)
		free(x->messages);
	free(x);
}

static struct lane *lane_of(struct exchange *x, unsigned from, unsigned to)
{
	return &x->lane[from * x->workers + to];
}

bool exchange_give(struct exchange *x, unsigned from, unsigned to, void *frame)
{
	struct lane *l = lane_of(x, from, to);
	uint64_t put = atomic_load_explicit(&l->frames_put, memory_order_relaxed);

	if (put - atomic_load_explicit(&l->frames_got, memory_order_acquire) == EXCHANGE_FRAMES)
		return false;
	l->frame[put % EXCHANGE_FRAMES] = frame;
	atomic_store_explicit(&l->frames_put, put + 1, memory_order_release);
	return true;
}

unsigned exchange_take(struct exchange *x, unsigned from, unsigned to, void **frames, unsigned max)
{
	struct lane *l = lane_of(x, from, to);
	uint64_t got = atomic_load_explicit(&l->frames_got, memory_order_relaxed);
	uint64_t there = atomic_load_explicit(&l->frames_put, memory_order_acquire) - got;
	unsigned count = there < max ? (unsigned)there : max;

	for (unsigned i = 0; i < count; i++)
		frames[i] = l->frame[(got + i) % EXCHANGE_FRAMES];
	if (count)
		atomic_store_explicit(&l->frames_got, got + count, memory_order_release);
	return count;
}

bool exchange_tell(struct exchange *x, unsigned from, unsigned to, struct bytes message, unsigned room)
{
	struct lane *l = lane_of(x, from, to);
	uint64_t put = atomic_load_explicit(&l->messages_put, memory_order_relaxed);
	uint64_t used = put - atomic_load_explicit(&l->messages_got, memory_order_acquire);
	struct message *m = &l->message[put % EXCHANGE_MESSAGES];

	if (message.len == 0)
		return used + room <= EXCHANGE_MESSAGES;
	if (used == EXCHANGE_MESSAGES || message.len > sizeof m->bytes)
		return false;
	m->len = (uint32_t)message.len;
	memcpy(m->bytes, message.base, message.len);
	atomic_store_explicit(&l->messages_put, put + 1, memory_order_release);
	return true;
}

bool exchange_told(struct exchange *x, unsigned from, unsigned to, uint8_t out[EXCHANGE_MESSAGE_BYTES], size_t *len)
{
	struct lane *l = lane_of(x, from, to);
	uint64_t got = atomic_load_explicit(&l->messages_got, memory_order_relaxed);
	struct message *m = &l->message[got % EXCHANGE_MESSAGES];

	if (atomic_load_explicit(&l->messages_put, memory_order_acquire) == got)
		return false;
	*len = m->len;
	memcpy(out, m->bytes, m->len);
	secret_wipe(m->bytes, m->len);
	atomic_store_explicit(&l->messages_got, got + 1, memory_order_release);
	return true;
}
