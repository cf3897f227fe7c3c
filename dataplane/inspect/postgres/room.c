/* room.c: the session's tables, as they grow by what is borrowed and shrink when that is not in use (depth.h). */
#include "dataplane/inspect/postgres/session.h"

void pg_room_open(struct pg_session *s)
{
	s->depths.lender = &s->lender;
	s->commands.depths = &s->depths;
	pg_names_init(&s->names, &s->depths);
	s->replies.entry = s->replies.own;
	s->replies.cap = PG_REPLIES_OWN;
	s->plan.column = s->plan.own;
}

struct pg_wide *pg_room_wide(struct pg_session *s)
{
	if (!s->wide)
		s->wide = pg_borrow(&s->lender, INSPECT_PIECE_SMALL);
	return s->wide;
}

bool pg_room_more_replies(struct pg_session *s)
{
	struct pg_replies *q = &s->replies;
	struct pg_expect *more;

	more = q->cap < PG_REPLIES ? pg_borrow(&s->lender, INSPECT_PIECE_SMALL) : NULL;
	if (!more)
		return false;
	for (unsigned i = 0; i < q->count; i++)
		more[i] = *pg_reply_at(q, i);
	q->entry = more;
	q->head = 0;
	q->cap = PG_REPLIES;
	return true;
}

static bool depth_used(const struct pg_depth *d)
{
	bool used = false;

	for (unsigned i = 0; i < PG_COMMANDS_MORE; i++)
		used |= d->command[i].used;
	for (unsigned i = 0; i < PG_DIGESTS_MORE; i++)
		used |= d->digest[i].used;
	for (unsigned i = 0; i < PG_PORTALS_MORE; i++)
		used |= d->portal[i].used;
	return used;
}

static void settle_depths(struct pg_session *s)
{
	struct pg_depths *d = &s->depths;

	while (d->count && !depth_used(d->of[d->count - 1])) {
		pg_give_back(&s->lender, INSPECT_PIECE_SMALL, d->of[--d->count]);
		d->of[d->count] = NULL;
	}
}

static void settle_replies(struct pg_session *s)
{
	struct pg_replies *q = &s->replies;

	if (q->entry == q->own || q->count)
		return;
	pg_give_back(&s->lender, INSPECT_PIECE_SMALL, q->entry);
	q->entry = q->own;
	q->cap = PG_REPLIES_OWN;
	q->head = 0;
}

/* A plan may have been made by a Describe whose Execute comes later, in the same transaction. */
static void settle_wide(struct pg_session *s)
{
	bool planned = s->plan.column != s->plan.own && s->plan.valid && s->status != 'I';

	if (!s->wide || planned || s->copy_out.running)
		return;
	if (s->plan.column != s->plan.own) {
		pg_plan_none(s);
		s->plan.source.len = 0;
		s->plan.column = s->plan.own;
		s->plan.columns = 0;
	}
	s->copy_out.carry_len = 0;
	pg_give_back(&s->lender, INSPECT_PIECE_SMALL, s->wide);
	s->wide = NULL;
}

void pg_room_settle(struct pg_session *s)
{
	/* A verdict that is awaited, or waits for its message, was promised its place. */
	if (s->waiting || s->verdict_ready)
		return;
	if (s->depths.count)
		settle_depths(s);
	pg_names_settle(&s->names);
	settle_replies(s);
	settle_wide(s);
}

/* Nothing is in use any more. */
void pg_room_close(struct pg_session *s)
{
	s->waiting = s->verdict_ready = false;
	s->copy_out.running = false;
	s->status = 'I';
	pg_room_settle(s);
}
