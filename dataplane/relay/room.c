/* Whose place a new flow takes when the table is full. What is open never gives way; of the others, oldest first:
 *
 *   half of all flows are half open,
 *   or of the records of active.c      a half-open one: it is a flood, or a server that does not answer
 *   a place is free                    nobody
 *   some are in TIME-WAIT              one of them
 *   none are                           a half-open one
 *
 * So a flood takes the place of connections that are over, up to half of the table, and then of itself. A half-open flow whose place
 * is taken is a handshake that its client begins again. One in TIME-WAIT is a connection that both peers have ended and both
 * applications have all bytes of; what can still come is answered as RFC 9293 3.10.7.1 answers to a connection that is not there, by
 * a RST with the number that was acknowledged, or as `midstream` says:
 *
 *   - a FIN whose acknowledgement was lost, which is what TIME-WAIT is kept for (RFC 9293 3.3.2). Its sender is in LAST-ACK or
 *     CLOSING: a RST there ends the connection, as the acknowledgement would have; it had read to the end already.
 *   - a delayed segment. It belongs to nothing and is not passed on. A copy of its sender's very last acknowledgement is answered with
 *     a RST that may end that sender's own TIME-WAIT (RFC 1337): as it would be two seconds later, when ours is over.
 *   - a SYN that takes the 4-tuple again (RFC 6191). TIME-WAIT here lets it pass only if it is newer than the old connection. This
 *     now is for the peer that closed first, whose own TIME-WAIT, not ours, kept the 4-tuple from being used again without us: a
 *     client's SYN arrives there with its own ISN and timestamp, and is judged as it would be on the bare wire. What of the old
 *     connection is still under way between us and a peer has the old acknowledgement, which nothing new accepts (RFC 5961 5).
 */
#include "dataplane/relay/conductor.h"

#include "platform/base/limits.h"

void room_enter(struct relay *r, struct flow *f, enum flow_listed list)
{
	struct flow_list *l = &r->list[list];

	f->listed = (uint8_t)list;
	f->listed_before = l->last;
	f->listed_after = NULL;
	if (l->last)
		l->last->listed_after = f;
	else
		l->first = f;
	l->last = f;
	l->count++;
}

void room_leave(struct relay *r, struct flow *f)
{
	struct flow_list *l = &r->list[f->listed];

	if (f->listed == LISTED_NOT)
		return;
	f->listed = LISTED_NOT;
	if (f->listed_before)
		f->listed_before->listed_after = f->listed_after;
	else
		l->first = f->listed_after;
	if (f->listed_after)
		f->listed_after->listed_before = f->listed_before;
	else
		l->last = f->listed_before;
	l->count--;
}

bool room_make(struct relay *r)
{
	struct flow *opening = r->list[LISTED_OPENING].first, *waiting = r->list[LISTED_WAITING].first;
	bool crowded = opening && r->list[LISTED_OPENING].count >= r->opening_max;

	if (r->free_count > 0 && !crowded)
		return true;
	if (!crowded && waiting) {
		r->counters.drop[ERROR_waiting_shed]++;
		relay_flow_free(r, waiting);
		return true;
	}
	if (!opening)
		return false;
	r->counters.drop[ERROR_opening_shed]++;
	session_end(r, opening, CLOSE_TIMEOUT);
	relay_flow_free(r, opening);
	return true;
}

/* ring_space looks how far control is only when half of the ring was used up at its last look; what is asked for has to be less. */
#define KEPT_BYTES_MAX (LIMIT_RING_UP_BYTES / 2 - 2 * REPORT_RESERVE_BYTES)

/* Control takes what is recorded out of the ring at its own pace. When it falls behind, a new flow would be opened, wait for its record
 * or find no room for it, and be given up by a client that waited for too long: work that is of no use to anybody, taken from those that
 * could be finished. Its SYN is not answered instead, and comes again.
 *
 *   no room in the ring   for the begin and the end of all that are under way, and of this one (at most half of the ring is kept for that)
 *   others wait           for their records, many of them for a while, or some for long: more than two batches of control's commits, so that
 *                         a slow disk is kept busy; when control is lost, who comes is told so (orders.c)
 */
bool room_for_records(struct relay *r)
{
	uint64_t under_way = relay_flows_open(r) - r->list[LISTED_WAITING].count + 1, kept = under_way * RELAY_RECORDS_BYTES;
	uint64_t waiting = r->durable_tail - r->durable_head;
	const struct durable_wait *oldest = &r->durable[r->durable_head % RELAY_DURABLE_QUEUE];

	kept = kept < KEPT_BYTES_MAX ? kept : KEPT_BYTES_MAX;
	if (ring_space(&r->report.ring) < REPORT_RESERVE_BYTES + kept)
		return false;
	if (r->refusing != REFUSING_NOTHING || waiting < RELAY_BEHIND_FEW || oldest->position <= r->durable_position)
		return true;
	return r->now_us - oldest->since_us < (waiting < RELAY_BEHIND_MANY ? RELAY_BEHIND_LATE_US : RELAY_BEHIND_SOON_US);
}
