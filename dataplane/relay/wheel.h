/* wheel.h: which flow's timer is due. Two hashed wheels with intrusive lists: slots of 1 ms, and for what is farther away slots of 4 s;
 * setting and clearing are O(1), and an entry is touched once more for each 4.6 hours that it waits.
 *
 * Times are microseconds of the worker's clock. One worker only; no allocation.
 */
#ifndef DATAPLANE_RELAY_WHEEL_H
#define DATAPLANE_RELAY_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_SLOTS 4096u

struct wheel_entry {
	struct wheel_entry *next, *previous; /* NULL, NULL: not set */
	uint64_t deadline_us;
};

struct wheel {
	struct wheel_entry fine[WHEEL_SLOTS], coarse[WHEEL_SLOTS]; /* list heads */
	uint64_t now_ms;                      /* everything due before this has been handed out */
};

void wheel_init(struct wheel *w, uint64_t now_us);

/* Sets or moves the entry. A deadline in the past is due at the next wheel_next. */
void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t deadline_us);
void wheel_clear(struct wheel_entry *e);

/* An entry that is due, cleared; NULL when there is none. Takes no more than `*budget` steps, counted
 * down: what is left is due in the next call. */
struct wheel_entry *wheel_next(struct wheel *w, uint64_t now_us, unsigned *budget);

#endif
