/* age_clock.h: the time by which records and keys are old enough to be destroyed (journal.md 5, retention).
 *
 * The wall clock may be set forward, by mistake or on purpose; what retention destroys does not come back. So the time goes on by the
 * monotonic clock. It follows the wall clock back at once, but forward only slowly: what that is ahead is caught up with by an hour a day, so
 * that many small steps do no more than none. If the wall clock is ahead by more than a day, the old time goes on alone, and the new one is
 * taken after a day on which the clock was right by its own word (not free): time enough for somebody to look. A machine that was off for
 * longer waits its day too. Pure; the times are arguments.
 */
#ifndef CONTROL_AGE_CLOCK_H
#define CONTROL_AGE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define AGE_CLOCK_AHEAD_US (24ull * 3600 * 1000000)
#define AGE_CLOCK_WAIT_US (24ull * 3600 * 1000000)
#define AGE_CLOCK_PACE 24 /* of the time that passed, one part in so many is caught up with */

struct age_clock {
	uint64_t time_us;  /* since 1970; 0: nothing is known, the wall clock is taken as it is */
	uint64_t mono_us;  /* when that was */
	uint64_t doubt_us; /* monotonic, since when the wall clock is not followed; 0: it is */
};

enum age_clock_news { AGE_CLOCK_SAME, AGE_CLOCK_AHEAD, AGE_CLOCK_TAKEN, AGE_CLOCK_BACK };

/* To be called before time_us is used, at least each hour. AHEAD: the wall clock is not followed from now on; TAKEN: after the wait it is again;
 * BACK: it is where it should be. */
enum age_clock_news age_clock_look(struct age_clock *c, uint64_t wall_us, uint64_t mono_us, bool free);

#endif
