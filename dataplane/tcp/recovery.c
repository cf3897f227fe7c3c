/* recovery.c: decisions over the ranges that ranges.c keeps. */
#include "dataplane/tcp/ranges.h"
#include "dataplane/tcp/seq.h"

#define PATIENCE_MAX 250
#define PATIENCE_RECOVERIES 16 /* RFC 8985 6.2 step 4 */
#define LOSSY_EACH 16 /* ACKs after which a recovery no longer counts */
#define LOSSY_MAX 64

void tcp_recovery_init(struct tcp_recovery *r, uint32_t isn)
{
	*r = (struct tcp_recovery){ .sole = { .start = isn }, .point = isn, .highest = isn, .rack_end = isn,
				    .duplicate_round = isn, .patience = 1 };
}

static uint32_t sent_ms_ago(uint32_t sent_us, uint64_t now_us)
{
	uint64_t then_us = now_us - ((uint32_t)now_us - sent_us);

	return (uint32_t)(now_us / 1000 - then_us / 1000);
}

/* RFC 8985 6.1: later, or at the same time and further up. */
static bool sent_after(uint32_t us_a, uint32_t end_a, uint32_t us_b, uint32_t end_b)
{
	return us_a == us_b ? seq_after(end_a, end_b) : seq_after(us_a, us_b);
}

/* The piece [start, end) of `range` has arrived (RFC 8985 6.2 steps 1 to 3). */
static void arrived(struct tcp_recovery *r, const struct tcp_range *range, uint32_t start, uint32_t end, struct tcp_delivery *d)
{
	uint32_t rtt_us = (uint32_t)d->now_us - range->sent_us;

	rtt_us += rtt_us == 0;
	d->bytes += end - start;
	if (range->flags & TCP_RANGE_RESENT) {
		/* It may be the first copy that arrived. */
		if (rtt_us < d->rtt_min_us || (d->echo_known && d->echo_ms_ago > sent_ms_ago(range->sent_us, d->now_us)))
			return;
	} else {
		r->reordering |= seq_before(end, r->highest);
		if (!d->sampled)
			d->rtt_us = rtt_us;
		d->sampled = true;
	}
	if (r->rack_rtt_us != 0 && !sent_after(range->sent_us, end, r->rack_sent_us, r->rack_end))
		return;
	r->rack_rtt_us = rtt_us;
	r->rack_sent_us = range->sent_us;
	r->rack_end = end;
}

void tcp_recovery_acked(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f, uint32_t una,
			struct tcp_delivery *d)
{
	struct tcp_range *list = tcp_ranges(r);
	unsigned count = tcp_ranges_count(r, f);
	bool resent = false;

	for (unsigned i = 0; i < count && seq_before(list[i].start, una); i++) {
		uint32_t end = seq_min(tcp_range_end(list, count, i, f->next), una);

		if (!(list[i].flags & TCP_RANGE_SACKED))
			arrived(r, &list[i], list[i].start, end, d);
		resent |= (list[i].flags & TCP_RANGE_RESENT) != 0;
	}
	/* What lay behind a hole arrived long ago; only the echo of what filled it tells a round trip. */
	d->sampled &= !resent;
	tcp_ranges_drop(r, pool, f, una);
	/* These follow, so that they never are half the sequence space behind. */
	r->highest = seq_max(r->highest, una);
	r->rack_end = seq_max(r->rack_end, una);
	r->duplicate_round = seq_max(r->duplicate_round, una);
	r->undoable &= una - r->undo_from < 1u << 30;
}

/* RFC 2883 4: below the cumulative ACK, or inside the second block. */
static void take_duplicate(const struct tcp_options *o, uint32_t una, struct tcp_delivery *d)
{
	const struct tcp_sack_block *b = o->sack;
	bool inside = o->sack_count > 1 && seq_upto(b[1].start, b[0].start) && seq_upto(b[0].end, b[1].end);

	if (!seq_before(b[0].start, b[0].end) || !(seq_upto(b[0].end, una) || inside))
		return;
	d->duplicate = true;
	d->duplicate_start = b[0].start;
	d->duplicate_bytes = b[0].end - b[0].start;
}

static void take_block(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f, struct tcp_sack_block b,
		       struct tcp_delivery *d)
{
	struct tcp_range *list;
	unsigned first, last, count;

	if (!tcp_ranges_cut(r, pool, f, b.start, &first) || !tcp_ranges_cut(r, pool, f, b.end, &last) ||
	    !tcp_ranges_cut(r, pool, f, b.start, &first))
		return;
	list = tcp_ranges(r);
	count = tcp_ranges_count(r, f);
	for (unsigned i = first; i < last; i++) {
		uint32_t end = tcp_range_end(list, count, i, f->next), len = end - list[i].start;

		if (list[i].flags & TCP_RANGE_SACKED)
			continue;
		arrived(r, &list[i], list[i].start, end, d);
		r->lost_bytes -= list[i].flags & TCP_RANGE_LOST ? len : 0;
		r->sacked_bytes += len;
		list[i].flags = TCP_RANGE_SACKED;
	}
	tcp_ranges_merge(r, f, first > 0 ? first - 1 : 0, last);
	r->highest = seq_max(r->highest, b.end);
}

void tcp_recovery_sacked(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f,
			 const struct tcp_options *options, struct tcp_delivery *d)
{
	struct tcp_sack_block sorted[TCP_SACK_MAX];
	unsigned count = 0;

	take_duplicate(options, f->una, d);
	for (unsigned i = 0; i < options->sack_count; i++) {
		const struct tcp_sack_block *b = &options->sack[i];
		unsigned at = count;

		/* A liar is not believed. */
		if (!seq_before(b->start, b->end) || !seq_after(b->start, f->una) || seq_after(b->end, f->next))
			continue;
		for (; at > 0 && seq_before(b->start, sorted[at - 1].start); at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = *b;
		count++;
	}
	for (unsigned i = 0; i < count; i++) /* lowest first, or it would look like reordering */
		take_block(r, pool, f, sorted[i], d);
}

/* RFC 6675 4: DupThresh ranges, or more than DupThresh - 1 segments. */
static bool much_sacked(const struct tcp_recovery *r, const struct tcp_flight *f)
{
	const struct tcp_range *list = tcp_ranges(r);
	unsigned count = tcp_ranges_count(r, f), seen = 0;

	if (r->sacked_bytes > (TCP_DUPLICATES - 1) * f->mss)
		return true;
	for (unsigned i = 0; i < count; i++)
		seen += (list[i].flags & TCP_RANGE_SACKED) != 0;
	return seen >= TCP_DUPLICATES;
}

/* RFC 8985 6.2 step 4. */
static uint32_t reorder_window_us(const struct tcp_recovery *r, const struct tcp_flight *f, uint32_t rtt_min_us, uint32_t smoothed_us)
{
	uint64_t window = (uint64_t)r->patience * rtt_min_us / 4;

	if (!r->reordering && (r->mode != TCP_RECOVERY_NONE || much_sacked(r, f)))
		return 0;
	return window < smoothed_us ? (uint32_t)window : smoothed_us;
}

uint32_t tcp_recovery_detect(struct tcp_recovery *r, const struct tcp_flight *f, uint64_t now_us, uint32_t rtt_min_us,
			     uint32_t rtt_smoothed_us)
{
	struct tcp_range *list = tcp_ranges(r);
	unsigned count = tcp_ranges_count(r, f);
	uint32_t due_us, wait_us = 0;

	if (!f->sack || r->rack_rtt_us == 0)
		return 0;
	due_us = r->rack_rtt_us + reorder_window_us(r, f, rtt_min_us, rtt_smoothed_us);
	for (unsigned i = 0; i < count; i++) {
		uint32_t end = tcp_range_end(list, count, i, f->next), age_us = (uint32_t)now_us - list[i].sent_us;

		if (list[i].flags & (TCP_RANGE_SACKED | TCP_RANGE_LOST) ||
		    !sent_after(r->rack_sent_us, r->rack_end, list[i].sent_us, end))
			continue;
		if (age_us >= due_us) {
			list[i].flags |= TCP_RANGE_LOST;
			r->lost_bytes += end - list[i].start;
		} else if (due_us - age_us > wait_us) {
			wait_us = due_us - age_us;
		}
	}
	return wait_us;
}

void tcp_recovery_adapt(struct tcp_recovery *r, const struct tcp_flight *f, bool duplicate, bool ended)
{
	if (duplicate && !seq_before(f->una, r->duplicate_round)) {
		r->duplicate_round = f->next;
		r->patience += r->patience < PATIENCE_MAX;
		r->patience_left = PATIENCE_RECOVERIES;
	} else if (ended && r->patience_left > 0 && --r->patience_left == 0) {
		r->patience = 1;
	}
}

void tcp_recovery_lose_all(struct tcp_recovery *r, const struct tcp_flight *f, bool distrust)
{
	struct tcp_range *list = tcp_ranges(r);
	unsigned count = tcp_ranges_count(r, f);

	r->lost_bytes = 0;
	r->sacked_bytes = distrust ? 0 : r->sacked_bytes;
	for (unsigned i = 0; i < count; i++) {
		if (distrust)
			list[i].flags &= (uint8_t)~TCP_RANGE_SACKED;
		if (list[i].flags & TCP_RANGE_SACKED)
			continue;
		list[i].flags |= TCP_RANGE_LOST;
		r->lost_bytes += tcp_range_end(list, count, i, f->next) - list[i].start;
	}
}

void tcp_recovery_lose_first(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f)
{
	struct tcp_range *first;
	unsigned at;

	(void)tcp_ranges_cut(r, pool, f, seq_min(f->una + f->mss, f->next), &at);
	first = tcp_ranges(r);
	if (tcp_ranges_count(r, f) == 0 || first->flags & (TCP_RANGE_LOST | TCP_RANGE_SACKED))
		return;
	first->flags |= TCP_RANGE_LOST;
	r->lost_bytes += tcp_range_end(first, tcp_ranges_count(r, f), 0, f->next) - f->una;
}

void tcp_recovery_spare(struct tcp_recovery *r, const struct tcp_flight *f)
{
	struct tcp_range *list = tcp_ranges(r);
	unsigned count = tcp_ranges_count(r, f);

	for (unsigned i = 0; i < count; i++)
		list[i].flags &= (uint8_t)~TCP_RANGE_LOST;
	r->lost_bytes = 0;
}

bool tcp_recovery_reneged(const struct tcp_recovery *r, const struct tcp_flight *f)
{
	return tcp_ranges_count(r, f) > 0 && tcp_ranges(r)->flags & TCP_RANGE_SACKED;
}

void tcp_recovery_begin(struct tcp_recovery *r, const struct tcp_flight *f, enum tcp_recovery_mode mode)
{
	if (r->mode == TCP_RECOVERY_NONE) {
		r->undo_from = f->una;
		r->undo_bytes = 0;
		r->undoable = true;
		r->lossy = (uint8_t)(r->lossy + LOSSY_EACH < LOSSY_MAX ? r->lossy + LOSSY_EACH : LOSSY_MAX);
	}
	r->mode = (uint8_t)mode;
	r->point = f->next;
	r->probing = false;
}

bool tcp_recovery_needless(struct tcp_recovery *r, const struct tcp_flight *f, const struct tcp_delivery *d, bool advanced)
{
	uint32_t known;

	if (!r->undoable || r->undo_bytes == 0)
		return false;
	/* What is acknowledged beyond the first hole was sent before we sent anything again. */
	if (r->mode != TCP_RECOVERY_NONE && advanced && seq_after(f->una, r->undo_from) && d->echo_known &&
	    d->echo_ms_ago > sent_ms_ago(r->undo_sent_us, d->now_us))
		return true;
	if (!d->duplicate || seq_before(d->duplicate_start, r->undo_from) || seq_after(d->duplicate_start, f->next))
		return false;
	known = d->duplicate_bytes < r->undo_bytes ? d->duplicate_bytes : r->undo_bytes;
	r->undo_bytes -= known;
	return r->undo_bytes == 0;
}

bool tcp_recovery_lossy(const struct tcp_recovery *r)
{
	return r->lossy > LOSSY_EACH;
}

uint32_t tcp_recovery_pipe(const struct tcp_recovery *r, const struct tcp_flight *f)
{
	uint32_t gone = r->sacked_bytes + r->lost_bytes + (f->sack ? 0 : r->duplicates * f->mss);
	uint32_t flight = f->next - f->una;

	return flight > gone ? flight - gone : 0;
}

bool tcp_recovery_lost(const struct tcp_recovery *r, const struct tcp_flight *f, uint32_t *start, uint32_t *end)
{
	const struct tcp_range *list = tcp_ranges(r);
	unsigned count = tcp_ranges_count(r, f), i = 0;

	if (r->lost_bytes == 0)
		return false;
	while (i < count && !(list[i].flags & TCP_RANGE_LOST))
		i++;
	if (i == count)
		return false;
	*start = list[i].start;
	for (i++; i < count && list[i].flags & TCP_RANGE_LOST; i++)
		continue;
	*end = i < count ? list[i].start : f->next;
	return true;
}

uint32_t tcp_recovery_newest(const struct tcp_recovery *r, const struct tcp_flight *f)
{
	unsigned count = tcp_ranges_count(r, f);

	return count ? tcp_ranges(r)[count - 1].start : f->next;
}
