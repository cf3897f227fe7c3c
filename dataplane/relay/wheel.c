/* A slot of the fine wheel holds only what is due in its millisecond, so that a look at it is never for nothing. What is farther away
 * lies in the coarse wheel, by turns of the fine one, and moves over when its turn begins. */
#include "dataplane/relay/wheel.h"

#include <stddef.h>

static void slot_init(struct wheel_entry *head)
{
	head->next = head->previous = head;
}

void wheel_init(struct wheel *w, uint64_t now_us)
{
	for (unsigned i = 0; i < WHEEL_SLOTS; i++) {
		slot_init(&w->fine[i]);
		slot_init(&w->coarse[i]);
	}
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

/* What is farther away than both wheels reach is looked at again before it is due. The coarse slot of the turn under way gets nothing. */
static void place(struct wheel *w, struct wheel_entry *e)
{
	uint64_t ms = slot_ms(w, e->deadline_us), turn = ms / WHEEL_SLOTS, turn_last = w->now_ms / WHEEL_SLOTS + WHEEL_SLOTS - 1;
	struct wheel_entry *head = ms - w->now_ms < WHEEL_SLOTS ? &w->fine[ms % WHEEL_SLOTS]
								 : &w->coarse[(turn < turn_last ? turn : turn_last) % WHEEL_SLOTS];

	e->next = head;
	e->previous = head->previous;
	head->previous->next = e;
	head->previous = e;
}

void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t deadline_us)
{
	if (e->next && e->deadline_us == deadline_us)
		return;
	wheel_clear(e);
	e->deadline_us = deadline_us;
	place(w, e);
}

struct wheel_entry *wheel_next(struct wheel *w, uint64_t now_us, unsigned *budget)
{
	for (; *budget > 0; --*budget) {
		struct wheel_entry *far = &w->coarse[w->now_ms / WHEEL_SLOTS % WHEEL_SLOTS], *due = &w->fine[w->now_ms % WHEEL_SLOTS];

		if (far->next != far) {
			struct wheel_entry *e = far->next;

			wheel_clear(e);
			place(w, e);
		} else if (due->next != due) {
			struct wheel_entry *e = due->next;

			--*budget;
			wheel_clear(e);
			return e;
		} else if (w->now_ms < now_us / 1000) {
			w->now_ms++;
		} else {
			return NULL;
		}
	}
	return NULL;
}
