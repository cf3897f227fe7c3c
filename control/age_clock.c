#include "control/age_clock.h"

static enum age_clock_news follow(struct age_clock *c, uint64_t wall_us, enum age_clock_news news)
{
	c->time_us = wall_us;
	c->doubt_us = 0;
	return news;
}

enum age_clock_news age_clock_look(struct age_clock *c, uint64_t wall_us, uint64_t mono_us, bool free)
{
	bool known = c->time_us != 0;

	if (known)
		c->time_us += mono_us - c->mono_us;
	c->mono_us = mono_us;
	if (!known || wall_us <= c->time_us + AGE_CLOCK_AHEAD_US)
		return follow(c, wall_us, c->doubt_us ? AGE_CLOCK_BACK : AGE_CLOCK_SAME);
	if (!c->doubt_us) {
		c->doubt_us = mono_us ? mono_us : 1;
		return AGE_CLOCK_AHEAD;
	}
	/* The wait is of a clock that is right: one that nobody sets begins it anew. */
	if (free)
		c->doubt_us = mono_us;
	return mono_us - c->doubt_us >= AGE_CLOCK_WAIT_US ? follow(c, wall_us, AGE_CLOCK_TAKEN) : AGE_CLOCK_SAME;
}
