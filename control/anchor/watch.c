#include "control/anchor/watch.h"

bool anchor_due(const struct anchor_watch *w, uint64_t size, uint64_t sealed, uint64_t interval_us, uint64_t now_us)
{
	uint64_t retry_us = interval_us < ANCHOR_RETRY_US ? interval_us : ANCHOR_RETRY_US;

	if (w->under_way || size <= w->anchored_size)
		return false;
	if (!w->tried)
		return true;
	if (w->failing_us)
		return now_us - w->asked_us >= retry_us;
	return now_us - w->asked_us >= interval_us || (sealed > w->anchored_size && size >= sealed);
}

void anchor_asked(struct anchor_watch *w, uint64_t size, uint64_t now_us)
{
	w->under_way = w->tried = true;
	w->asked_size = size;
	w->asked_us = now_us;
}

void anchor_answered(struct anchor_watch *w, bool good, uint64_t now_us)
{
	w->under_way = false;
	if (good) {
		w->anchored_size = w->asked_size > w->anchored_size ? w->asked_size : w->anchored_size;
		w->anchored_us = now_us;
		w->failing_us = 0;
	} else if (!w->failing_us) {
		w->failing_us = now_us ? now_us : 1;
	}
}

bool anchor_alarm_changed(struct anchor_watch *w, uint64_t now_us)
{
	bool alarm = w->failing_us && now_us - w->failing_us >= ANCHOR_ALARM_US;
	bool changed = alarm != w->alarm;

	w->alarm = alarm;
	return changed;
}
