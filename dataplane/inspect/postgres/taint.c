/* taint.c: columns that a transaction copies tagged values into.
 *
 * From the moment that such a command is bound or sent they count as tainted for every session; the catalogue counts holders. At the
 * transaction's end the taint stays when it committed, and goes when it did not, or when the command was never executed: a command that
 * fails blinds nobody. Where it cannot be told (a routine may commit by itself, a session is lost with a commit under way) it stays.
 */
#include "dataplane/inspect/postgres/session.h"

static void remove_at(struct pg_session *s, unsigned i)
{
	s->held_taint[i] = s->held_taint[--s->held_taints];
}

static void settle(struct pg_session *s, unsigned i, bool stays)
{
	struct pg_held_taint *t = &s->held_taint[i];

	if (stays)
		pg_catalogue_taint_keep(s->catalogue, t->taint, &t->classes);
	else
		pg_catalogue_taint_drop(s->catalogue, t->taint);
	remove_at(s, i);
}

void pg_taint_hold(struct pg_session *s, struct pg_command *c)
{
	for (unsigned i = 0; s->catalogue && i < c->writes; i++) {
		unsigned taint = pg_catalogue_taint_hold(s->catalogue, c->write[i].schema, c->write[i].name, c->write[i].column, c->write[i].made, &c->written);

		if (s->held_taints == PG_HELD_TAINTS) {
			pg_catalogue_taint_keep(s->catalogue, taint, &c->written); /* not followed any more */
			continue;
		}
		s->held_taint[s->held_taints++] = (struct pg_held_taint){ .n = c->n, .group = s->group, .taint = (uint8_t)taint, .classes = c->written };
	}
}

void pg_taint_sent(struct pg_session *s, const struct pg_command *c, bool at_once)
{
	for (unsigned i = s->held_taints; i-- > 0;) {
		struct pg_held_taint *t = &s->held_taint[i];

		if (t->n != c->n)
			continue;
		t->sent = true;
		t->group = s->group;
		if (at_once)
			settle(s, i, true);
	}
}

/* A COMMIT was answered: also in the middle of a text whose rest may fail. */
void pg_taint_committed(struct pg_session *s, uint32_t group)
{
	for (unsigned i = s->held_taints; i-- > 0;)
		if (s->held_taint[i].sent && (int32_t)(s->held_taint[i].group - group) <= 0)
			settle(s, i, true);
}

/* A transaction that ended with the answer to `group`. */
void pg_taint_ended(struct pg_session *s, uint32_t group, bool committed)
{
	for (unsigned i = s->held_taints; i-- > 0;)
		if ((int32_t)(s->held_taint[i].group - group) <= 0)
			settle(s, i, committed && s->held_taint[i].sent);
}

/* Without an answer under way the server rolls back what is open; else it may have committed. */
void pg_taint_lost(struct pg_session *s)
{
	for (unsigned i = s->held_taints; i-- > 0;)
		settle(s, i, s->replies.count > 0 && s->held_taint[i].sent);
}
