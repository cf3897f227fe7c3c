/* taint.c: columns that a transaction copies tagged values into.
 *
 * From the moment that such a command is bound or sent they count as tainted for every session; the catalogue counts holders. At the
 * transaction's end the taint stays when it committed, and goes when it did not, or when the command was never executed: a command that
 * fails blinds nobody. Where it cannot be told (a routine may commit by itself, a session is lost with a commit under way) it stays.
 * Sessions of other workers count as well: each step is told to them, and a command for which there is no room to tell is refused (wash.c).
 */
#include "dataplane/inspect/postgres/session.h"

enum step { TAINT_HOLD, TAINT_KEEP, TAINT_DROP };

/* One step, as another worker hears it. Its numbers of taints are not ours: the fields say which one it is. */
struct step_told {
	uint8_t step, taint;
	bool made;
	uint8_t database_len;
	char database[63];
	uint64_t schema, name, column;
	struct class_bits classes;
};

_Static_assert(sizeof(struct step_told) <= INSPECT_SHARE_BYTES, "one message");

static void tell(const struct pg_session *s, enum step step, unsigned number, const struct class_bits *classes)
{
	const struct pg_catalogue *c = s->catalogue;
	const struct pg_taint *t = &c->taint[number];
	struct step_told told = { .step = (uint8_t)step, .taint = (uint8_t)number, .made = t->made, .database_len = c->name_len,
				  .schema = t->schema, .name = t->name, .column = t->column, .classes = *classes };

	memcpy(told.database, c->name, sizeof told.database);
	if (s->host->share)
		(void)s->host->share(s->host_context, bytes_of(&told, sizeof told));
}

void pg_taint_heard(void *shared, unsigned from, struct bytes what)
{
	struct step_told told;
	struct pg_catalogue *c;
	uint8_t *ours;

	if (what.len != sizeof told || from >= LIMIT_WORKERS)
		return;
	memcpy(&told, what.base, sizeof told);
	c = pg_catalogue_of(shared, bytes_of(told.database, told.database_len));
	if (!c)
		return; /* no room for this database: none of its sessions gets in here either */
	ours = &c->of_peer[from][told.taint];
	/* Held, and not kept or dropped yet, under another number: it is held once more rather than lost. */
	if (told.step == TAINT_HOLD || (told.step == TAINT_KEEP && !c->taint[*ours].holders))
		*ours = (uint8_t)pg_catalogue_taint_hold(c, told.schema, told.name, told.column, told.made, &told.classes);
	if (told.step == TAINT_KEEP)
		pg_catalogue_taint_keep(c, *ours, &told.classes);
	if (told.step == TAINT_DROP)
		pg_catalogue_taint_drop(c, *ours);
}

static void remove_at(struct pg_session *s, unsigned i)
{
	s->held_taint[i] = s->held_taint[--s->held_taints];
}

static void settle(struct pg_session *s, unsigned i, bool stays)
{
	struct pg_held_taint *t = &s->held_taint[i];

	tell(s, stays ? TAINT_KEEP : TAINT_DROP, t->taint, &t->classes);
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

		tell(s, TAINT_HOLD, taint, &c->written);
		if (s->held_taints == PG_HELD_TAINTS) {
			tell(s, TAINT_KEEP, taint, &c->written);
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
