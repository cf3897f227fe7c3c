/* wheel.h: which flow's timer is due. A hashed wheel of 1 ms slots with intrusive lists; setting and clearing are O(1).
 *
 * An entry whose deadline lies beyond one turn of the wheel stays in its slot until its time has come. Times are
 * microseconds of the worker's clock. One worker only; no allocation.
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
	struct wheel_entry slot[WHEEL_SLOTS]; /* list heads */
	uint64_t now_ms;                      /* everything due before this has been handed out */
};

void wheel_init(struct wheel *w, uint64_t now_us);

/* Sets or moves the entry. A deadline in the past is due at the next wheel_next. */
void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t deadline_us);
void wheel_clear(struct wheel_entry *e);

/* An entry that is due, cleared; NULL when there is none. Looks at no more than `*budget` entries and slots, counted down. */
struct wheel_entry *wheel_next(struct wheel *w, uint64_t now_us, unsigned *budget);

#endif
