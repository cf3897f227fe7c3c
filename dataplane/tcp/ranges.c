/* ranges.c: the list. When it is full, neighbours that differ in nothing but their time become one, with the later time; when
 * that gives no room, the highest SACK mark is forgotten, as a sender may (RFC 2018 5). */
#include "dataplane/tcp/ranges.h"

#include <string.h>

#include "dataplane/tcp/seq.h"

void tcp_recovery_clear(struct tcp_recovery *r, struct tcp_pool *pool)
{
	if (r->board)
		tcp_pool_put(pool, r->board);
	r->board = NULL;
	r->sole.flags = 0;
	r->sacked_bytes = r->lost_bytes = 0;
}

/* What is SACKed needs no time. */
static bool alike(const struct tcp_range *a, const struct tcp_range *b)
{
	return a->flags == b->flags && (a->sent_us == b->sent_us || a->flags & TCP_RANGE_SACKED);
}

static void remove_at(struct tcp_recovery *r, unsigned i)
{
	struct tcp_range *list = tcp_ranges(r);

	memmove(list + i, list + i + 1, (r->board->len - i - 1u) * sizeof(*list));
	r->board->len--;
}

void tcp_ranges_merge(struct tcp_recovery *r, const struct tcp_flight *f, unsigned from, unsigned upto)
{
	struct tcp_range *list = tcp_ranges(r);
	unsigned count = tcp_ranges_count(r, f), kept;

	if (count > 0 && upto >= count)
		upto = count - 1;
	if (!r->board || upto <= from)
		return;
	kept = from;
	for (unsigned i = from + 1; i <= upto; i++)
		if (!alike(&list[kept], &list[i]))
			list[++kept] = list[i];
	memmove(list + kept + 1, list + upto + 1, (count - upto - 1) * sizeof(*list));
	r->board->len = (uint16_t)(count - (upto - kept));
}

static void coarsen(struct tcp_recovery *r)
{
	struct tcp_range *list = tcp_ranges(r);
	uint8_t flags = list[0].flags;
	unsigned kept = 0;

	for (unsigned i = 1; i < r->board->len; i++) {
		if (list[i].flags != flags) {
			list[++kept] = list[i];
			flags = list[i].flags;
			continue;
		}
		if (!(flags & TCP_RANGE_SACKED) && list[kept].sent_us != list[i].sent_us)
			list[kept].flags |= TCP_RANGE_RESENT; /* so that it is never measured */
		list[kept].sent_us = seq_max(list[kept].sent_us, list[i].sent_us);
	}
	r->board->len = (uint16_t)(kept + 1);
}

/* The range below takes it over. */
static void forget_highest(struct tcp_recovery *r, const struct tcp_flight *f)
{
	struct tcp_range *list = tcp_ranges(r);
	unsigned i = r->board->len;
	uint32_t len;

	while (i > 0 && !(list[i - 1].flags & TCP_RANGE_SACKED))
		i--;
	if (i < 2)
		return;
	i--;
	len = tcp_range_end(list, r->board->len, i, f->next) - list[i].start;
	r->sacked_bytes -= len;
	r->lost_bytes += list[i - 1].flags & TCP_RANGE_LOST ? len : 0;
	remove_at(r, i);
}

/* Room for one more. The merged list of a flight in which every second segment is SACKed has no two neighbours alike: then
 * marks are given up from the top until there are. */
static bool make_room(struct tcp_recovery *r, const struct tcp_flight *f)
{
	for (unsigned tries = 0; tries < 4 && r->board->len == TCP_RANGES_MAX; tries++) {
		coarsen(r);
		if (r->board->len == TCP_RANGES_MAX)
			forget_highest(r, f);
	}
	return r->board->len < TCP_RANGES_MAX;
}

/* The sole range moves into a chunk. */
static bool take_board(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f)
{
	unsigned count = tcp_ranges_count(r, f);
	struct tcp_chunk *chunk = r->board ? r->board : tcp_pool_get(pool, false);

	if (!chunk || r->board)
		return chunk != NULL;
	memcpy(chunk->data, &r->sole, sizeof(r->sole));
	chunk->len = (uint16_t)count;
	r->board = chunk;
	return true;
}

/* The range that holds `at`; what is asked for is mostly near the top. */
static unsigned find(const struct tcp_range *list, unsigned count, uint32_t at)
{
	unsigned i = count;

	while (i > 0 && seq_after(list[i - 1].start, at))
		i--;
	return i > 0 ? i - 1 : 0;
}

bool tcp_ranges_cut(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f, uint32_t at, unsigned *index)
{
	unsigned count = tcp_ranges_count(r, f), i;
	struct tcp_range *list;

	*index = count;
	if (at == f->next || count == 0)
		return true;
	i = find(tcp_ranges(r), count, at);
	*index = i;
	if (tcp_ranges(r)[i].start == at)
		return true;
	if (!take_board(r, pool, f))
		return false;
	if (r->board->len == TCP_RANGES_MAX) {
		if (!make_room(r, f))
			return false;
		return tcp_ranges_cut(r, pool, f, at, index);
	}
	list = tcp_ranges(r);
	memmove(list + i + 1, list + i, (count - i) * sizeof(*list));
	list[i + 1].start = at;
	r->board->len++;
	*index = i + 1;
	return true;
}

void tcp_ranges_drop(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f, uint32_t una)
{
	struct tcp_range *list = tcp_ranges(r);
	unsigned count = tcp_ranges_count(r, f), drop = 0;

	if (una == f->next) {
		tcp_recovery_clear(r, pool);
		r->sole.start = una;
		return;
	}
	for (unsigned i = 0; i < count && seq_before(list[i].start, una); i++) {
		uint32_t end = tcp_range_end(list, count, i, f->next), len = seq_min(end, una) - list[i].start;

		r->sacked_bytes -= list[i].flags & TCP_RANGE_SACKED ? len : 0;
		r->lost_bytes -= list[i].flags & TCP_RANGE_LOST ? len : 0;
		drop += seq_upto(end, una);
	}
	if (drop > 0) { /* never of the sole one: then all was acknowledged */
		memmove(list, list + drop, (count - drop) * sizeof(*list));
		r->board->len = (uint16_t)(count - drop);
	}
	if (seq_before(list[0].start, una))
		list[0].start = una;
}

static void append(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f, uint32_t start, uint32_t now_us)
{
	unsigned count = tcp_ranges_count(r, f);
	struct tcp_range *last = &tcp_ranges(r)[count ? count - 1 : 0];

	if (count == 0) {
		r->sole = (struct tcp_range){ .start = start, .sent_us = now_us };
		r->rack_rtt_us = 0; /* what was measured before an idle time may be too old to be compared with */
		return;
	}
	if (last->flags == 0 && last->sent_us == now_us)
		return;
	if (take_board(r, pool, f) && (r->board->len < TCP_RANGES_MAX || make_room(r, f))) {
		tcp_ranges(r)[r->board->len++] = (struct tcp_range){ .start = start, .sent_us = now_us };
		return;
	}
	/* No room: the last range grows, and nothing that was known of it is true of all of it. */
	count = tcp_ranges_count(r, f);
	last = &tcp_ranges(r)[count - 1];
	r->sacked_bytes -= last->flags & TCP_RANGE_SACKED ? f->next - last->start : 0;
	r->lost_bytes -= last->flags & TCP_RANGE_LOST ? f->next - last->start : 0;
	*last = (struct tcp_range){ .start = last->start, .sent_us = now_us, .flags = TCP_RANGE_RESENT };
}

void tcp_recovery_sent(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f, uint32_t start, uint32_t end,
		       uint64_t now_us)
{
	unsigned first, last, count;
	struct tcp_range *list;

	if (start == f->next) {
		append(r, pool, f, start, (uint32_t)now_us);
		return;
	}
	if (r->undoable && r->mode != TCP_RECOVERY_NONE) {
		if (r->undo_bytes == 0)
			r->undo_sent_us = (uint32_t)now_us;
		r->undo_bytes += end - start;
	}
	/* Where it cannot be cut the whole range counts as sent again: the rest waits for the next look, or the time-out. */
	(void)tcp_ranges_cut(r, pool, f, end, &last);
	(void)tcp_ranges_cut(r, pool, f, start, &first);
	list = tcp_ranges(r);
	count = tcp_ranges_count(r, f);
	for (unsigned i = first; i < count && seq_before(list[i].start, end); i++) {
		uint32_t len = tcp_range_end(list, count, i, f->next) - list[i].start;

		if (list[i].flags & TCP_RANGE_SACKED)
			continue;
		r->lost_bytes -= list[i].flags & TCP_RANGE_LOST ? len : 0;
		list[i].flags = TCP_RANGE_RESENT;
		list[i].sent_us = (uint32_t)now_us;
	}
	tcp_ranges_merge(r, f, first > 0 ? first - 1 : 0, first + 2);
}

bool tcp_recovery_consistent(const struct tcp_recovery *r, const struct tcp_flight *f)
{
	const struct tcp_range *list = tcp_ranges(r);
	unsigned count = tcp_ranges_count(r, f);
	uint32_t sacked = 0, lost = 0;

	if (count == 0 || list[0].start != f->una)
		return count == 0 && f->una == f->next && !r->board && r->sacked_bytes == 0 && r->lost_bytes == 0;
	for (unsigned i = 0; i < count; i++) {
		uint32_t end = tcp_range_end(list, count, i, f->next);

		if (!seq_before(list[i].start, end) || (list[i].flags & TCP_RANGE_SACKED && list[i].flags != TCP_RANGE_SACKED))
			return false;
		sacked += list[i].flags & TCP_RANGE_SACKED ? end - list[i].start : 0;
		lost += list[i].flags & TCP_RANGE_LOST ? end - list[i].start : 0;
	}
	return sacked == r->sacked_bytes && lost == r->lost_bytes;
}
