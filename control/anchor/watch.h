/* anchor/watch.h: when an anchor (a time-stamp authority, a witness) is to be asked, and when its silence is an alarm (journal.md 8).
 *
 * The time-stamp authority is asked by itself.  * One value for each. A question is due when there is a newer checkpoint than the one anchored, nothing is under way, and the interval
 * is over since the last question; at once after a segment was sealed; after a failure not before ANCHOR_RETRY_US (or the interval,
 * when that is less). The alarm: ANCHOR_ALARM_US since the first failure behind the last success.
 * Witnesses are asked in rounds, all of them for one and the same checkpoint, or none would get its quorum: a new round begins when there is
 * a newer checkpoint, the interval is over (or a segment was sealed), and the last round is: its checkpoint has its quorum, or nobody is
 * asked any more. Who is slow is asked next for the round that is then. A quorum that no newer checkpoint reaches for a while is an alarm.
 * Pure; times are monotonic microseconds.
 */
#ifndef CONTROL_ANCHOR_WATCH_H
#define CONTROL_ANCHOR_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define ANCHOR_RETRY_US (30ull * 1000000)
#define ANCHOR_ALARM_US (15ull * 60 * 1000000)

struct anchor_watch {
	bool under_way, tried, alarm;
	uint64_t asked_us;      /* the last question */
	uint64_t asked_size;
	uint64_t failing_us;    /* the first failure since the last success; 0: none */
	uint64_t anchored_size; /* the newest checkpoint that is anchored */
	uint64_t anchored_us;   /* when its answer came; 0: not in this run */
};

/* `size`: of the newest checkpoint; `sealed`: the end of the last sealed segment. */
bool anchor_due(const struct anchor_watch *w, uint64_t size, uint64_t sealed, uint64_t interval_us, uint64_t now_us);
void anchor_asked(struct anchor_watch *w, uint64_t size, uint64_t now_us);
/* The question's end. A success counts for the size that was asked. */
void anchor_answered(struct anchor_watch *w, bool good, uint64_t now_us);
/* True when the alarm was raised or is over since the last call; `w->alarm` says which. */
bool anchor_alarm_changed(struct anchor_watch *w, uint64_t now_us);

/* The checkpoint that all witnesses are asked for. size 0: there was no round. */
struct anchor_round {
	uint64_t size, begun_us;
};

/* Whether a new round begins; `size` and `sealed` as above, `over`: the last one is. */
bool anchor_round_due(const struct anchor_round *r, uint64_t size, uint64_t sealed, bool over, uint64_t interval_us, uint64_t now_us);
/* Whether this witness is to be asked for the round's checkpoint: once, and after a failure again (as above). */
bool anchor_due_in_round(const struct anchor_watch *w, const struct anchor_round *r, uint64_t interval_us, uint64_t now_us);

struct quorum_watch {
	uint64_t size;     /* the newest checkpoint that has its quorum; 0: none in this run */
	uint64_t below_us; /* since when there is a newer one; 0: there is none */
	bool alarm;
};

void quorum_reached(struct quorum_watch *q, uint64_t size);
/* True when the alarm was raised or is over since the last call. `wanted`: a quorum is asked for; `newest`: the size of the newest checkpoint. */
bool quorum_alarm_changed(struct quorum_watch *q, bool wanted, uint64_t newest, uint64_t limit_us, uint64_t now_us);

#endif
