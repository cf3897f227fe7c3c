/* presence.h: whether control is there, as a worker sees it without a system call.
 *
 * Control is gone when the kernel says so (life_over), or when its heartbeat stood still for `stalled_us`: a disk that stalls, a
 * process that was stopped. While control announced long work (an odd beat) it may stand still for `busy_us`. What the worker itself
 * was away for is not held against control: one look counts for at most PRESENCE_STEP_US. `stalled_us` 0: the beat is not looked at.
 * One worker. Pure but for the memory that control writes.
 */
#ifndef DATAPLANE_RELAY_PRESENCE_H
#define DATAPLANE_RELAY_PRESENCE_H

#include "platform/contract/life.h"

#define PRESENCE_STEP_US 100000u

struct presence {
	const struct life *life;
	uint64_t beat, looked_us, still_us; /* `still_us`: how long the beat has not changed */
	uint64_t lost_since_us;             /* when it was seen last, if it is lost */
	bool lost;
};

/* Looks, once a turn. Returns whether control is gone. */
static inline bool presence_look(struct presence *p, uint64_t now_us, uint64_t stalled_us, uint64_t busy_us)
{
	uint64_t beat = life_beats(p->life), step = now_us - p->looked_us;
	bool lost;

	p->looked_us = now_us;
	p->still_us = beat == p->beat ? p->still_us + (step < PRESENCE_STEP_US ? step : PRESENCE_STEP_US) : 0;
	p->beat = beat;
	lost = life_over(p->life) || (stalled_us > 0 && p->still_us > (beat & 1 ? busy_us : stalled_us));
	if (lost && !p->lost)
		p->lost_since_us = now_us - p->still_us;
	p->lost = lost;
	return lost;
}

#endif
