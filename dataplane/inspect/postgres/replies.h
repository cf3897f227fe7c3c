/* replies.h: what the server still has to answer, in order: one entry for each message sent that has a reply.
 *
 * An error of an extended-protocol message makes the server skip to the next Sync (PostgreSQL 15 protocol, "Extended
 * Query"): the entries up to it are dropped then, and what they promised is undone by the caller. A queue of
 * the session's own, or a longer one in a piece (depth.h); a full one makes the client wait.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_REPLIES_H
#define DATAPLANE_INSPECT_POSTGRES_REPLIES_H

#include <stddef.h>

#include <stdbool.h>
#include <stdint.h>

#define PG_REPLIES 512 /* at most */
#define PG_REPLIES_OWN 64
#define PG_REPLIES_SPARE 8 /* one client message, with what is injected around it, needs fewer */

enum pg_reply {
	REPLY_PARSE,
	REPLY_BIND,
	REPLY_CLOSE,
	REPLY_DESCRIBE_STATEMENT,
	REPLY_DESCRIBE_PORTAL,
	REPLY_EXECUTE,
	REPLY_QUERY, /* ends with Z */
	REPLY_SYNC,
};

struct pg_expect {
	uint8_t kind;
	bool swallow;    /* injected: the client never sees it */
	bool wrapped;    /* of a simple query that was sent in the extended protocol: no acknowledgements */
	bool completes;  /* SYNC: the command's completion is told with it */
	bool catalogue;  /* rows of the catalogue query */
	bool described;  /* DESCRIBE_STATEMENT: the parameters came, the columns are next */
	int16_t command; /* holds a reference; -1 */
	int16_t slot;    /* of names; -1 */
	int16_t refusal; /* the error that comes is replaced by this; -1 */
	uint32_t serial; /* of the slot */
	uint32_t group;
};

struct pg_replies {
	struct pg_expect *entry; /* `cap` of them */
	uint16_t head, count, cap;
	struct pg_expect own[PG_REPLIES_OWN];
};

_Static_assert((PG_REPLIES & (PG_REPLIES - 1)) == 0 && (PG_REPLIES_OWN & (PG_REPLIES_OWN - 1)) == 0, "a place is found by a mask");

static inline struct pg_expect *pg_reply_at(struct pg_replies *q, unsigned i)
{
	return &q->entry[(q->head + i) & (q->cap - 1u)];
}

/* The oldest; NULL when nothing is awaited. */
static inline struct pg_expect *pg_reply_first(struct pg_replies *q)
{
	return q->count ? &q->entry[q->head] : NULL;
}

static inline bool pg_replies_room(const struct pg_replies *q)
{
	return q->count + PG_REPLIES_SPARE <= q->cap;
}

/* There is room: pg_replies_room was asked. */
static inline struct pg_expect *pg_reply_push(struct pg_replies *q, enum pg_reply kind, uint32_t group)
{
	struct pg_expect *e = pg_reply_at(q, q->count);

	q->count++;
	*e = (struct pg_expect){ .kind = kind, .command = -1, .slot = -1, .refusal = -1, .group = group };
	return e;
}

static inline void pg_reply_pop(struct pg_replies *q)
{
	q->head = (uint16_t)((q->head + 1) & (q->cap - 1u));
	q->count--;
}

#endif
