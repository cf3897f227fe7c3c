/* wire.c: see wire.h. */
#include "tests/harness/wire.h"

#include <stdlib.h>
#include <string.h>

#define MILLION 1000000

/* Thousands of seeds use the same few blocks: the kernel would clear fresh ones each time. Given back by the process's end. */
static struct wire_frame *spare[8];
static unsigned spares;

void wire_init(struct wire *w, const struct wire_profile *profile, uint64_t seed)
{
	*w = (struct wire){ .profile = *profile, .rng = rng_seeded(seed) };
	w->frames = spares > 0 ? spare[--spares] : malloc(WIRE_FRAMES_MAX * sizeof(*w->frames));
}

void wire_free(struct wire *w)
{
	if (spares < sizeof(spare) / sizeof(spare[0]))
		spare[spares++] = w->frames;
	else
		free(w->frames);
	w->frames = NULL;
}

static bool happens(struct wire *w, uint32_t ppm)
{
	return rng_below(&w->rng, MILLION) < ppm;
}

static bool earlier(const struct wire_frame *a, const struct wire_frame *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void push(struct wire *w, const void *frame, size_t len, uint64_t due_us)
{
	struct wire_frame *f;

	if (w->count == WIRE_FRAMES_MAX || len > WIRE_FRAME_BYTES) {
		w->lost++;
		return;
	}
	f = &w->frames[w->count++];
	f->due_us = due_us;
	f->order = w->order++;
	f->len = (uint16_t)len;
	memcpy(f->data, frame, len);
	if (happens(w, w->profile.corrupt_ppm)) {
		size_t bit = rng_below(&w->rng, len * 8);

		f->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		w->corrupted++;
	}
}

void wire_send(struct wire *w, const void *frame, size_t len, uint64_t now_us)
{
	uint64_t due = now_us + w->profile.delay_us;

	w->sent++;
	if (happens(w, w->profile.loss_ppm)) {
		w->lost++;
		return;
	}
	if (w->profile.jitter_us > 0)
		due += rng_below(&w->rng, w->profile.jitter_us);
	if (happens(w, w->profile.reorder_ppm))
		due += w->profile.delay_us + rng_below(&w->rng, w->profile.delay_us * 3 + 1);
	else if (due < w->last_due_us)
		due = w->last_due_us; /* jitter alone does not reorder */
	else
		w->last_due_us = due;
	push(w, frame, len, due);
	if (happens(w, w->profile.duplicate_ppm))
		push(w, frame, len, due + rng_below(&w->rng, w->profile.delay_us * 2 + 1));
}

static unsigned first(const struct wire *w)
{
	unsigned best = 0;

	for (unsigned i = 1; i < w->count; i++)
		if (earlier(&w->frames[i], &w->frames[best]))
			best = i;
	return best;
}

uint64_t wire_due_us(const struct wire *w)
{
	return w->count ? w->frames[first(w)].due_us : UINT64_MAX;
}

size_t wire_receive(struct wire *w, uint64_t now_us, uint8_t out[WIRE_FRAME_BYTES])
{
	unsigned i;
	size_t len;

	if (w->count == 0)
		return 0;
	i = first(w);
	if (w->frames[i].due_us > now_us)
		return 0;
	len = w->frames[i].len;
	memcpy(out, w->frames[i].data, len);
	w->count--;
	memmove(&w->frames[i], &w->frames[w->count], offsetof(struct wire_frame, data) + w->frames[w->count].len);
	return len;
}
