#include "control/age_clock.h"

static enum age_clock_news follow(struct age_clock *c, uint64_t wall_us, enum age_clock_news news)
{
	c->time_us = wall_us;
	c->doubt_us = 0;
	return news;
}

enum age_clock_news age_clock_look(struct age_clock *c, uint64_t wall_us, uint64_t mono_us, bool free)
{
	uint64_t passed_us = mono_us - c->mono_us, behind_us;

	c->mono_us = mono_us;
	if (!c->time_us)
		return follow(c, wall_us, AGE_CLOCK_SAME);
	c->time_us += passed_us;
	behind_us = wall_us > c->time_us ? wall_us - c->time_us : 0;
	if (behind_us <= AGE_CLOCK_AHEAD_US) {
		uint64_t step_us = passed_us / AGE_CLOCK_PACE;

		return follow(c, behind_us > step_us ? c->time_us + step_us : wall_us, c->doubt_us ? AGE_CLOCK_BACK : AGE_CLOCK_SAME);
	}
	if (!c->doubt_us) {
		c->doubt_us = mono_us ? mono_us : 1;
		return AGE_CLOCK_AHEAD;
	}
	/* The wait is of a clock that is right: one that nobody sets begins it anew. */
	if (free)
		c->doubt_us = mono_us;
	return mono_us - c->doubt_us >= AGE_CLOCK_WAIT_US ? follow(c, wall_us, AGE_CLOCK_TAKEN) : AGE_CLOCK_SAME;
}
