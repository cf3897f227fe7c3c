#include "dataplane/relay/wheel.h"

#include <stddef.h>

void wheel_init(struct wheel *w, uint64_t now_us)
{
	for (unsigned i = 0; i < WHEEL_SLOTS; i++)
		w->slot[i].next = w->slot[i].previous = &w->slot[i];
	w->now_ms = now_us / 1000;
}

void wheel_clear(struct wheel_entry *e)
{
	if (!e->next)
		return;
	e->next->previous = e->previous;
	e->previous->next = e->next;
	e->next = e->previous = NULL;
}

/* Rounded up, so that an entry handed out is due. */
static uint64_t slot_ms(const struct wheel *w, uint64_t deadline_us)
{
	uint64_t ms = (deadline_us + 999) / 1000;

	return ms < w->now_ms ? w->now_ms : ms;
}

void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t deadline_us)
{
	struct wheel_entry *head;

	if (e->next && e->deadline_us == deadline_us)
		return;
	wheel_clear(e);
	e->deadline_us = deadline_us;
	head = &w->slot[slot_ms(w, deadline_us) % WHEEL_SLOTS];
	e->next = head;
	e->previous = head->previous;
	head->previous->next = e;
	head->previous = e;
}

struct wheel_entry *wheel_next(struct wheel *w, uint64_t now_us, unsigned *budget)
{
	uint64_t now_ms = now_us / 1000;

	while (*budget > 0) {
		struct wheel_entry *head = &w->slot[w->now_ms % WHEEL_SLOTS];

		for (struct wheel_entry *e = head->next; e != head && *budget > 0; e = e->next) {
			--*budget;
			if (slot_ms(w, e->deadline_us) <= w->now_ms && e->deadline_us <= now_us) {
				wheel_clear(e);
				return e;
			}
		}
		if (w->now_ms >= now_ms || *budget == 0)
			return NULL;
		w->now_ms++;
		--*budget;
	}
	return NULL;
}
