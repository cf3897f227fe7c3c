/* recovery.c: the scoreboard.
 *
 *   una            lost_edge              highest       next
 *    |--lost?--[SACKed]--lost--[SACKed]--?--[SACKed]------|
 * Ranges are sorted, disjoint, not touching, above una, inside [una, next]. A hole is what lies between them.
 */
#include "dataplane/tcp/recovery.h"

#include <string.h>

#include "dataplane/tcp/seq.h"

#define RANGES_MAX (sizeof(((struct tcp_chunk *)0)->data) / sizeof(struct tcp_sack_block))

static struct tcp_sack_block *ranges(const struct tcp_recovery *r)
{
	return (struct tcp_sack_block *)(void *)r->board->data;
}

static unsigned range_count(const struct tcp_recovery *r)
{
	return r->board ? r->board->len : 0;
}

void tcp_recovery_init(struct tcp_recovery *r, uint32_t isn)
{
	*r = (struct tcp_recovery){ .point = isn, .high_rxt = isn, .pass_next = isn, .threshold = TCP_THRESHOLD_MIN };
}

void tcp_recovery_clear(struct tcp_recovery *r, struct tcp_pool *pool)
{
	if (r->board)
		tcp_pool_put(pool, r->board);
	r->board = NULL;
}

/* Merges [start, end) into the list. Returns the bytes that were new; 0 when the list is full. */
static uint32_t insert(struct tcp_recovery *r, uint32_t start, uint32_t end)
{
	struct tcp_sack_block *list = ranges(r);
	unsigned count = range_count(r);
	unsigned first = count, last;
	uint32_t covered = 0;

	while (first > 0 && seq_upto(start, list[first - 1].end)) /* most blocks belong near the top */
		first--;
	for (last = first; last < count && seq_upto(list[last].start, end); last++)
		covered += list[last].end - list[last].start;
	if (last == first) {
		if (count == RANGES_MAX)
			return 0;
		memmove(list + first + 1, list + first, (count - first) * sizeof(*list));
		list[first] = (struct tcp_sack_block){ start, end };
		r->board->len = (uint16_t)(count + 1);
		return end - start;
	}
	start = seq_min(start, list[first].start);
	end = seq_max(end, list[last - 1].end);
	list[first] = (struct tcp_sack_block){ start, end };
	memmove(list + first + 1, list + last, (count - last) * sizeof(*list));
	r->board->len = (uint16_t)(count - (last - first - 1));
	return end - start - covered;
}

static bool is_duplicate(const struct tcp_options *o, uint32_t una)
{
	const struct tcp_sack_block *b = o->sack;

	if (seq_upto(b[0].end, una))
		return true;
	return o->sack_count > 1 && seq_upto(b[1].start, b[0].start) && seq_upto(b[0].end, b[1].end);
}

uint32_t tcp_recovery_sacked(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f,
			     const struct tcp_options *options, bool *duplicate)
{
	uint32_t fresh = 0;

	*duplicate = options->sack_count > 0 && is_duplicate(options, f->una);
	for (unsigned i = *duplicate; i < options->sack_count; i++) {
		const struct tcp_sack_block *b = &options->sack[i];

		/* A block must lie in what was sent and is not acknowledged (RFC 2018 5); a liar is not believed. */
		if (!seq_before(b->start, b->end) || !seq_after(b->start, f->una) || seq_after(b->end, f->next))
			continue;
		if (!r->board)
			r->board = tcp_pool_get(pool, false);
		if (!r->board)
			return fresh;
		fresh += insert(r, b->start, b->end);
	}
	return fresh;
}

void tcp_recovery_advance(struct tcp_recovery *r, struct tcp_pool *pool, uint32_t una)
{
	struct tcp_sack_block *list;
	unsigned count = range_count(r), drop = 0;

	if (seq_before(r->high_rxt, una))
		r->high_rxt = una;
	if (count == 0)
		return;
	list = ranges(r);
	while (drop < count && seq_upto(list[drop].end, una))
		drop++;
	if (drop > 0)
		memmove(list, list + drop, (count - drop) * sizeof(*list));
	count -= drop;
	r->board->len = (uint16_t)count;
	if (count == 0)
		tcp_recovery_clear(r, pool);
	else if (seq_before(list[0].start, una))
		list[0].start = una;
}

uint32_t tcp_recovery_highest(const struct tcp_recovery *r, uint32_t una)
{
	unsigned count = range_count(r);

	return count ? ranges(r)[count - 1].end : una;
}

uint32_t tcp_recovery_sacked_above(const struct tcp_recovery *r, uint32_t from)
{
	uint32_t sum = 0;

	for (unsigned i = range_count(r); i > 0; i--) {
		const struct tcp_sack_block *b = &ranges(r)[i - 1];

		if (seq_upto(b->end, from))
			break;
		sum += b->end - seq_max(b->start, from);
	}
	return sum;
}

/* DupThresh, but never more than half of what is in flight: a learnt patience must not wait for what cannot come. */
static uint32_t threshold_of(const struct tcp_recovery *r, const struct tcp_flight *f)
{
	uint32_t half = (f->next - f->una) / f->mss / 2;

	half = half < TCP_THRESHOLD_MIN ? TCP_THRESHOLD_MIN : half;
	return r->threshold < half ? r->threshold : half;
}

/* RFC 6675 4, IsLost: DupThresh ranges, or more than DupThresh - 1 segments, are SACKed above. */
static uint32_t sacked_edge(const struct tcp_recovery *r, const struct tcp_flight *f)
{
	uint32_t sum = 0, seen = 0, threshold = threshold_of(r, f);

	for (unsigned i = range_count(r); i > 0; i--) {
		const struct tcp_sack_block *b = &ranges(r)[i - 1];

		sum += b->end - b->start;
		seen++;
		if (seen >= threshold || sum > (threshold - 1) * f->mss)
			return b->start;
	}
	return f->una;
}

uint32_t tcp_recovery_lost_edge(const struct tcp_recovery *r, const struct tcp_flight *f)
{
	uint32_t edge;

	if (r->mode == TCP_RECOVERY_TIMEOUT)
		return r->point;
	if (!f->sack) /* RFC 6582 3.2: only the first segment is known to be lost */
		return r->mode == TCP_RECOVERY_FAST ? seq_min(f->una + f->mss, f->next) : f->una;
	edge = sacked_edge(r, f);
	/* The probe left two round trips behind everything else: what it overtook is lost (as in RFC 8985 6.2). */
	if (r->probing && range_count(r) > 0 && seq_upto(r->probe_end, tcp_recovery_highest(r, f->una)))
		edge = seq_max(edge, ranges(r)[range_count(r) - 1].start);
	return edge;
}

static uint32_t unsacked(const struct tcp_recovery *r, uint32_t from, uint32_t upto)
{
	uint32_t sum;

	if (!seq_before(from, upto))
		return 0;
	sum = upto - from;
	return sum - (tcp_recovery_sacked_above(r, from) - tcp_recovery_sacked_above(r, upto));
}

uint32_t tcp_recovery_pipe(const struct tcp_recovery *r, const struct tcp_flight *f)
{
	uint32_t flight = f->next - f->una;
	uint32_t edge, gone;

	if (r->mode == TCP_RECOVERY_NONE && !r->board && r->duplicates == 0)
		return flight;
	if (f->sack || r->mode == TCP_RECOVERY_TIMEOUT) {
		edge = tcp_recovery_lost_edge(r, f);
		return unsacked(r, f->una, seq_min(r->high_rxt, edge)) + unsacked(r, edge, f->next);
	}
	/* Without SACK every duplicate ACK is one segment that has left the path. */
	gone = r->duplicates * f->mss;
	if (r->mode == TCP_RECOVERY_FAST && seq_upto(r->high_rxt, f->una))
		gone += f->mss;
	return flight > gone ? flight - gone : 0;
}

bool tcp_recovery_hole(const struct tcp_recovery *r, uint32_t from, uint32_t upto, uint32_t *start, uint32_t *end)
{
	unsigned i = 0, count = range_count(r);

	while (i < count && seq_upto(ranges(r)[i].end, from))
		i++;
	if (i < count && seq_upto(ranges(r)[i].start, from))
		from = ranges(r)[i++].end;
	if (!seq_before(from, upto))
		return false;
	*start = from;
	*end = i < count ? seq_min(ranges(r)[i].start, upto) : upto;
	return true;
}

void tcp_recovery_reordered(struct tcp_recovery *r, uint32_t segments)
{
	if (segments >= TCP_THRESHOLD_MAX)
		segments = TCP_THRESHOLD_MAX - 1;
	if (segments + 1 > r->threshold)
		r->threshold = (uint8_t)(segments + 1);
}
