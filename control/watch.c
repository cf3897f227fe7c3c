#include "control/watch.h"

#include <stddef.h>
#include <sys/timex.h>

#include "control/journal/journal.h"

static enum watch_stop cause(const struct watch *w, const struct watch_seen *seen)
{
	if (seen->level >= JOURNAL_LEVEL_FULL || (w->stop == WATCH_FULL && seen->used_percent > WATCH_RESUME_PERCENT))
		return WATCH_FULL;
	if (seen->signer_refused)
		return WATCH_SIGNER;
	/* Stopped, it goes on only where it had been. */
	if (seen->wall_us + (w->stop == WATCH_CLOCK ? 0 : WATCH_CLOCK_BACK_US) < w->wall_high_us)
		return WATCH_CLOCK;
	return WATCH_RUNS;
}

struct watch_news watch_look(struct watch *w, const struct watch_seen *seen)
{
	enum watch_stop stop = cause(w, seen);
	struct watch_news news = { .level = seen->level != w->level, .stop = stop != w->stop, .before = w->stop };

	if (news.stop && w->stop == WATCH_RUNS)
		w->stopped_us = seen->mono_us;
	if (news.stop && stop == WATCH_RUNS)
		news.without_us = seen->mono_us - w->stopped_us;
	if (seen->wall_us > w->wall_high_us)
		w->wall_high_us = seen->wall_us;
	w->level = seen->level;
	w->stop = stop;
	return news;
}

const char *watch_word(enum watch_stop stop)
{
	static const char *const words[] = { "", "full", "signer", "clock" };

	return words[stop];
}

const char *watch_text(enum watch_stop stop)
{
	static const char *const texts[] = { "", "the journal's volume is full", "the signer refuses this journal", "the clock went back" };

	return texts[stop];
}

const char *watch_clock_word(int state, int status)
{
	return state < 0 || state == TIME_ERROR || (status & STA_UNSYNC) ? "free" : "synchronised";
}
