#include "control/inbox/orders.h"

#include <stdlib.h>

#include "platform/base/secret.h"

struct order {
	struct order *next;
	size_t len;
	uint16_t number;
	uint8_t payload[];
};

struct queue {
	struct order *first, **end;
	size_t bytes;
};

struct lane {
	struct ring_producer ring;
	struct queue ready, waiting; /* waiting: for the commit */
	uint64_t durable;            /* to be told; 0: nothing new */
};

struct orders {
	unsigned workers;
	struct lane lane[LIMIT_WORKERS];
};

static void queue_init(struct queue *q)
{
	*q = (struct queue){ 0 };
	q->end = &q->first;
}

static void order_free(struct order *o)
{
	secret_wipe(o->payload, o->len);
	free(o);
}

static void queue_drop(struct queue *q)
{
	while (q->first) {
		struct order *o = q->first;

		q->first = o->next;
		order_free(o);
	}
	queue_init(q);
}

struct orders *orders_create(void *const *memory, unsigned workers)
{
	struct orders *os = calloc(1, sizeof(*os));

	if (!os || workers > LIMIT_WORKERS) {
		free(os);
		return NULL;
	}
	os->workers = workers;
	for (unsigned w = 0; w < workers; w++) {
		queue_init(&os->lane[w].ready);
		queue_init(&os->lane[w].waiting);
		if (!ring_attach_producer(&os->lane[w].ring, memory[w], LIMIT_RING_DOWN_BYTES)) {
			free(os);
			return NULL;
		}
	}
	return os;
}

void orders_destroy(struct orders *os)
{
	if (!os)
		return;
	for (unsigned w = 0; w < os->workers; w++) {
		queue_drop(&os->lane[w].ready);
		queue_drop(&os->lane[w].waiting);
	}
	free(os);
}

bool orders_put(struct orders *os, unsigned worker, unsigned number, struct bytes encoded, enum orders_when when)
{
	struct queue *q;
	struct order *o;

	if (worker >= os->workers || !encoded.len || encoded.len > LIMIT_MESSAGE_BYTES)
		return false;
	o = malloc(sizeof(*o) + encoded.len);
	if (!o)
		return false;
	o->next = NULL;
	o->number = (uint16_t)number;
	o->len = encoded.len;
	memcpy(o->payload, encoded.base, encoded.len);
	q = when == ORDERS_NOW ? &os->lane[worker].ready : &os->lane[worker].waiting;
	*q->end = o;
	q->end = &o->next;
	q->bytes += o->len;
	return true;
}

void orders_durable(struct orders *os, unsigned worker, uint64_t position)
{
	if (worker < os->workers)
		os->lane[worker].durable = position;
}

void orders_committed(struct orders *os)
{
	for (unsigned w = 0; w < os->workers; w++) {
		struct lane *l = &os->lane[w];

		if (!l->waiting.first)
			continue;
		*l->ready.end = l->waiting.first;
		l->ready.end = l->waiting.end;
		l->ready.bytes += l->waiting.bytes;
		queue_init(&l->waiting);
	}
}

static bool lane_flush(struct lane *l)
{
	bool wrote = false;

	/* First, because commands wait for it; it never overtakes what it rests on, which is the journal. */
	if (l->durable) {
		uint8_t room[64];
		const struct order_durable m = { .position = l->durable };

		if (!ring_write(&l->ring, ORDER_durable, order_durable_encode(&m, room, sizeof(room)), NULL))
			return false;
		l->durable = 0;
		wrote = true;
	}
	while (l->ready.first) {
		struct order *o = l->ready.first;

		if (!ring_write(&l->ring, o->number, bytes_of(o->payload, o->len), NULL))
			break;
		l->ready.first = o->next;
		l->ready.bytes -= o->len;
		if (!l->ready.first)
			l->ready.end = &l->ready.first;
		order_free(o);
		wrote = true;
	}
	return wrote;
}

bool orders_flush(struct orders *os)
{
	bool wrote = false;

	for (unsigned w = 0; w < os->workers; w++)
		wrote |= lane_flush(&os->lane[w]);
	return wrote;
}

bool orders_full(const struct orders *os, unsigned worker)
{
	return os->lane[worker].ready.bytes + os->lane[worker].waiting.bytes > ORDERS_QUEUE_BYTES;
}
