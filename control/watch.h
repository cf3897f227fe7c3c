/* watch.h: when control stops releasing commands because of its journal or its clock, and when it goes on (journal.md 10).
 *
 * Stops: the volume at 98 %, a signer that refuses (this is not the journal that it signed before), a wall clock that went back by
 * more than a second. Goes on: 97 % or less, a signature, the clock where it had been. A disk that fails or stalls is not seen here:
 * the journal stops by itself, or the heartbeat does.
 * Pure; the times are arguments.
 */
#ifndef CONTROL_WATCH_H
#define CONTROL_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define WATCH_CLOCK_BACK_US 1000000u
#define WATCH_RESUME_PERCENT 97u

enum watch_stop { WATCH_RUNS, WATCH_FULL, WATCH_SIGNER, WATCH_CLOCK };

struct watch_seen {
	unsigned level, used_percent; /* enum journal_level; of the volume */
	bool signer_refused;
	uint64_t wall_us, mono_us;
};

struct watch {
	unsigned level;       /* 0 to 4: enum journal_level */
	enum watch_stop stop;
	uint64_t stopped_us;  /* monotonic */
	uint64_t wall_high_us;
};

struct watch_news {
	bool level, stop;     /* changed */
	enum watch_stop before;
	uint64_t without_us;  /* when it runs again: how long it did not */
};

/* Looks once, and says what is new. */
struct watch_news watch_look(struct watch *w, const struct watch_seen *seen);

/* "full", …; "" while it runs. And the same for people. */
const char *watch_word(enum watch_stop stop);
const char *watch_text(enum watch_stop stop);

/* The word for the records' `clk`, from adjtimex's result and status. */
const char *watch_clock_word(int state, int status);

#endif
