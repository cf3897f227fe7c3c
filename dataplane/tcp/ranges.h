/* ranges.h: the list behind recovery.h: sorted, adjacent, covering the flight. Only for recovery.c and tests.
 *
 *   r->board NULL: the one in r->sole, or none when nothing is in flight
 */
#ifndef DATAPLANE_TCP_RANGES_H
#define DATAPLANE_TCP_RANGES_H

#include "dataplane/tcp/recovery.h"

#define TCP_RANGES_MAX (sizeof(((struct tcp_chunk *)0)->data) / sizeof(struct tcp_range))

static inline struct tcp_range *tcp_ranges(const struct tcp_recovery *r)
{
	return r->board ? (struct tcp_range *)(void *)r->board->data : (struct tcp_range *)(uintptr_t)&r->sole;
}

static inline unsigned tcp_ranges_count(const struct tcp_recovery *r, const struct tcp_flight *f)
{
	return r->board ? r->board->len : f->next != f->una;
}

static inline uint32_t tcp_range_end(const struct tcp_range *list, unsigned count, unsigned i, uint32_t next)
{
	return i + 1 < count ? list[i + 1].start : next;
}

/* Makes `at`, in [una, next], the start of a range (or the end of the last); *index is that range's (or the count). False:
 * no memory, nothing was changed but perhaps merged. */
bool tcp_ranges_cut(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f, uint32_t at, unsigned *index);

/* Merges neighbours that say the same, in list[from, upto]. */
void tcp_ranges_merge(struct tcp_recovery *r, const struct tcp_flight *f, unsigned from, unsigned upto);

/* Forgets what lies below `una`. */
void tcp_ranges_drop(struct tcp_recovery *r, struct tcp_pool *pool, const struct tcp_flight *f, uint32_t una);

#endif
