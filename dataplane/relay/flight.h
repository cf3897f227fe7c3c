/* flight.h: the flight recorders: what happened to a flow, kept where control can read it (platform/contract/page.h).
 *
 * A flow has a recorder when its number is below the count that the file holds; the others note nothing. Notes are of what is not
 * routine: segments with SYN, FIN or RST, drops, changes of state, orders, commands, the end. Data and acknowledgements are in
 * the summary, which flight_sweep writes a few flows at a time. A flow that ends abnormally is copied to the kept ones.
 * The worker's only; no call waits or allocates. A NULL file: nothing is kept.
 */
#ifndef DATAPLANE_RELAY_FLIGHT_H
#define DATAPLANE_RELAY_FLIGHT_H

#include "dataplane/relay/flow.h"
#include "platform/contract/page.h"

struct flight {
	struct page_flights *file; /* NULL: none */
	uint32_t flows;            /* recorders in it; not read from the file again */
	uint32_t swept;
};

/* Keeps the recorders of the process that wrote the file before, then empties it. `file` has room for `flows`. Not in the loop. */
void flight_adopt(struct page_flights *file, uint32_t flows);

void flight_open(struct flight *t, struct flow *f, uint64_t now_us);
void flight_note(struct flight *t, const struct flow *f, enum page_flight what, enum side side, uint32_t a, uint32_t b, uint64_t now_us);

/* Notes a change of the flow's state since the last look. */
void flight_look(struct flight *t, struct flow *f, uint64_t now_us);

/* The session ended; an abnormal one is kept. */
void flight_end(struct flight *t, struct flow *f, uint64_t now_us);
void flight_free(struct flight *t, const struct flow *f);

/* Writes the summaries of the next `flows_max` recorders. */
void flight_sweep(struct flight *t, const struct flow *flows, unsigned flows_max, uint64_t now_us);

static inline uint32_t flight_segment(const struct tcp_segment *s, size_t payload_bytes)
{
	return (uint32_t)s->flags << 16 | (uint32_t)(payload_bytes < 0xffff ? payload_bytes : 0xffff);
}

#endif
