#include "control/anchor/watch.h"

static bool retry_due(const struct anchor_watch *w, uint64_t interval_us, uint64_t now_us)
{
	return now_us - w->asked_us >= (interval_us < ANCHOR_RETRY_US ? interval_us : ANCHOR_RETRY_US);
}

bool anchor_due(const struct anchor_watch *w, uint64_t size, uint64_t sealed, uint64_t interval_us, uint64_t now_us)
{
	if (w->under_way || size <= w->anchored_size)
		return false;
	if (!w->tried)
		return true;
	if (w->failing_us)
		return retry_due(w, interval_us, now_us);
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

bool anchor_round_due(const struct anchor_round *r, uint64_t size, uint64_t sealed, bool over, uint64_t interval_us, uint64_t now_us)
{
	if (size <= r->size)
		return false;
	return r->size == 0 || (over && (now_us - r->begun_us >= interval_us || (sealed > r->size && size >= sealed)));
}

bool anchor_due_in_round(const struct anchor_watch *w, const struct anchor_round *r, uint64_t interval_us, uint64_t now_us)
{
	if (w->under_way || r->size <= w->anchored_size)
		return false;
	return w->asked_size != r->size || retry_due(w, interval_us, now_us);
}

void quorum_reached(struct quorum_watch *q, uint64_t size)
{
	if (size <= q->size)
		return;
	q->size = size;
	q->below_us = 0;
}

bool quorum_alarm_changed(struct quorum_watch *q, bool wanted, uint64_t newest, uint64_t limit_us, uint64_t now_us)
{
	bool alarm;

	if (!wanted || newest <= q->size)
		q->below_us = 0;
	else if (!q->below_us)
		q->below_us = now_us ? now_us : 1;
	alarm = q->below_us && now_us - q->below_us >= limit_us;
	if (alarm == q->alarm)
		return false;
	q->alarm = alarm;
	return true;
}
