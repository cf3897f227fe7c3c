/* digest.c: from a classification to what masking needs: which classes are in scope, and what flows into each column.
 *
 * Relations are looked up by name in the catalogue; what cannot be told is taken for tagged with everything the policy masks.
 * Two kinds of trace: `scope` (tagged relations, views over them) and `washed` (relations into which tagged columns were copied).
 */
#include "dataplane/inspect/postgres/reading.h"

static void add_relation(struct pg_reader *r, const struct access *a)
{
	const struct pg_catalogue *c = r->s->catalogue;
	int found[PG_RELATIONS];
	unsigned count = pg_catalogue_find(c, a, found, PG_RELATIONS);
	struct class_bits washed = pg_catalogue_washed(c, a);
	uint64_t schema, name;

	/* An earlier statement of this text may have written it. */
	for (unsigned i = 0; i < r->command->writes; i++)
		if (!pg_catalogue_names(a, &schema, &name) || r->command->write[i].name == name)
			washed = class_bits_or(washed, r->command->written);
	r->washed = class_bits_or(r->washed, washed);
	r->many |= count > PG_RELATIONS;
	for (unsigned i = 0; i < count && i < PG_RELATIONS; i++) {
		unsigned known = 0;

		r->found = class_bits_or(r->found, pg_catalogue_classes(c, found[i]));
		while (known < r->relations && r->relation[known] != found[i])
			known++;
		if (known < r->relations)
			continue;
		if (r->relations == PG_RELATIONS)
			r->many = true;
		else
			r->relation[r->relations++] = found[i];
	}
}

static void flow(struct pg_digest *d, unsigned value)
{
	if (d->flows == sizeof(d->flow) / sizeof(d->flow[0]))
		d->flows_cut = true;
	else
		d->flow[d->flows++] = (uint16_t)value;
}

/* The classes of columns of these names, in any relation of the statement. */
struct class_bits pg_reading_named(const struct pg_reader *r, struct target *t)
{
	struct class_bits classes = r->washed;
	struct bytes name;

	while (target_name(t, &name))
		for (unsigned i = 0; i < r->relations; i++)
			classes = class_bits_or(classes, pg_catalogue_named(r->s->catalogue, r->relation[i], name));
	return classes;
}

static unsigned names_flow(struct pg_reader *r, struct target *t)
{
	struct class_bits classes = pg_reading_named(r, t);
	int class;

	class = pg_class_of(r->s, &classes, &r->command->mask);
	return class < 0 ? PG_FLOW_NONE : (unsigned)class + 1;
}

static void targets(struct pg_reader *r, const struct classified_statement *st)
{
	struct reader at = st->target_bytes;
	struct target t;

	while (target_next(&at, &t)) {
		if (t.taint == TAINT_NONE)
			flow(r->digest, PG_FLOW_NONE);
		else if (t.taint == TAINT_STAR)
			flow(r->digest, PG_FLOW_STAR);
		else if (t.taint == TAINT_ALL || r->many || r->command->blind || !r->s->catalogue)
			flow(r->digest, r->s->catalogue ? PG_FLOW_ALL : PG_FLOW_NONE);
		else
			flow(r->digest, names_flow(r, &t));
	}
}

static void copy(struct pg_reader *r, const struct classified_statement *st, unsigned index)
{
	struct pg_digest *d = r->digest;

	if (!d || st->copy.format == COPY_NONE || d->copies++)
		return;
	d->copy_statement = index;
	d->copy_format = st->copy.format;
	d->copy_delimiter = st->copy.delimiter;
	d->copy_quote = st->copy.quote;
	d->copy_escape = st->copy.escape;
	d->copy_header = st->copy.header;
	d->copy_null_len = (uint8_t)(st->copy.null_text.len < sizeof(d->copy_null) ? st->copy.null_text.len : sizeof(d->copy_null));
	if (d->copy_null_len)
		memcpy(d->copy_null, st->copy.null_text.base, d->copy_null_len);
	d->relation = r->relations == 1 && r->copied == 1 && !r->many ? r->relation[0] : -1;
}

static bool one_of(struct bytes name, const char *const *list)
{
	for (; *list; list++) {
		size_t len = strlen(*list);

		if ((*list)[len - 1] == '*' ? name.len >= len - 1 && !memcmp(name.base, *list, len - 1) : bytes_equal(name, bytes_str(*list)))
			return true;
	}
	return false;
}

/* What carries a value out past the answer's columns (postgres.md 8, L15, L16, D9, D21): settings come back in ParameterStatus and by
 * SHOW, notifications in other sessions, locks and sequences in views of their own. */
static bool carries(const struct access *a)
{
	static const char *const functions[] = { "pg_notify", "pg_logical_emit_message", "pg_advisory*", "pg_try_advisory*", "setval",
						 "lo_*", "lowrite", "dblink*", "pg_file_*", "pg_create_restore_point", NULL };
	struct bytes name = a->levels ? a->level[a->levels - 1] : (struct bytes){ 0 };

	return a->verb == VERB_set || (a->verb == VERB_call && a->kind == OBJECT_FUNCTION && one_of(name, functions)) ||
	       (a->verb == VERB_update && a->kind == OBJECT_RELATION && bytes_equal(name, bytes_str("pg_settings")));
}

/* What answers with the texts of other sessions, or with the content of files and large objects (L22, D9, D10). */
static bool tells(const struct access *a)
{
	static const char *const functions[] = { "pg_stat_get_activity", "pg_stat_get_backend_activity", "pg_stat_statements*", "lo_get", "loread",
						 "pg_read_*", "dblink*", "pg_logical_slot_*", NULL };

	return a->verb == VERB_call && a->kind == OBJECT_FUNCTION && a->levels && one_of(a->level[a->levels - 1], functions);
}

/* A function of the database may leave cursors behind (D8), and settings, and statements; the server's own do not. */
static bool leaves(const struct access *a)
{
	static const char *const functions[] = { "nextval", "currval", "lastval", "setval", "txid_*", "lo_*", "loread", "lowrite", NULL };

	return a->verb == VERB_call && a->kind == OBJECT_FUNCTION && a->levels &&
	       !(a->levels > 1 && bytes_equal(a->level[a->levels - 2], bytes_str("pg_catalog"))) && !one_of(a->level[a->levels - 1], functions);
}

static void accesses(struct pg_reader *r, const struct classified_statement *st)
{
	struct reader at = st->access_bytes;
	const uint32_t silent = 1u << VERB_ddl | 1u << VERB_grant | 1u << VERB_set | 1u << VERB_transaction | 1u << VERB_notify |
				1u << VERB_lock | 1u << VERB_maintain; /* no rows come or change */
	struct pg_command *c = r->command;
	struct access a;

	while (access_next(&at, &a)) {
		c->traits.counts |= !(silent >> a.verb & 1);
		c->traits.by_name |= a.verb == VERB_cursor || a.verb == VERB_prepare || a.verb == VERB_dynamic;
		r->cursor |= a.verb == VERB_cursor || a.verb == VERB_prepare;
		c->traits.may_copy_in |= a.verb == VERB_copy_in || a.verb == VERB_unknown;
		c->traits.alters |= a.verb == VERB_ddl || a.verb == VERB_unknown || a.verb == VERB_dynamic;
		c->traits.drops_names |= a.verb == VERB_unknown || a.verb == VERB_dynamic;
		r->carries |= carries(&a);
		r->tells |= tells(&a);
		r->lasting |= r->cursor || leaves(&a);
		if (leaves(&a) && r->s->catalogue)
			r->s->hidden = class_bits_or(r->s->hidden, c->mask);
		if (a.kind != OBJECT_RELATION)
			continue;
		r->copied += a.verb == VERB_copy_out;
		if (r->s->catalogue && !c->blind)
			add_relation(r, &a);
	}
	r->tells |= (st->flags & FLAG_dynamic) != 0;
	c->traits.calls |= (st->flags & FLAG_calls_unknown_function) != 0;
	c->traits.alters |= (st->flags & FLAG_dynamic) != 0;
	c->traits.drops_names |= (st->flags & FLAG_dynamic) != 0;
}

/* Whether anything that is masked here can flow in the statement. */
static bool tagged(const struct pg_reader *r)
{
	struct class_bits all = class_bits_and(class_bits_or(r->found, r->washed), r->command->mask);

	return class_bits_any(&all) || (r->command->blind && class_bits_any(&r->command->mask));
}

static void unknown(struct pg_session *s, struct pg_command *c)
{
	c->unknown = c->traits.may_copy_in = c->traits.alters = c->traits.drops_names = c->traits.counts = c->traits.by_name = true;
	if (s->catalogue)
		c->scope = c->mask;
}

void pg_digest(struct pg_session *s, struct pg_command *command, const struct judgement *j)
{
	struct classification c;
	struct classified_statement st;
	bool lasting = false;
	struct class_bits any;
	struct reader at;
	unsigned index = 0;

	command->blind = s->catalogue && !pg_catalogue_usable(s->catalogue, s->env->snapshot);
	if (pg_recall(s, command, j->classification))
		return;
	if (!j->classification.len || !classification_open(j->classification, &c)) {
		unknown(s, command);
		return;
	}
	if (command->blind)
		command->scope = command->mask;
	if (class_bits_any(&command->mask) || pg_limited(command))
		command->digest = (int16_t)pg_digest_new(&s->commands);
	at = c.statement_bytes;
	for (; classification_next(&at, &st); index++) {
		struct pg_reader r = { .s = s, .command = command,
				     .digest = command->digest >= 0 ? pg_digest_at(&s->commands, command->digest) : NULL };

		accesses(&r, &st);
		lasting |= r.lasting;
		if (index && r.digest)
			flow(r.digest, PG_FLOW_STATEMENT);
		if (r.digest)
			targets(&r, &st);
		copy(&r, &st, index);
		if (s->catalogue && !command->blind)
			pg_wash(&r, &st);
		command->scope = class_bits_or(command->scope, r.tells && s->catalogue ? command->mask : class_bits_and(r.found, command->mask));
		command->traits.carries |= r.carries && tagged(&r);
		/* DECLARE and PREPARE hide relations behind a name; FETCH and EXECUTE show no relation. */
		if (r.cursor) {
			s->hidden = class_bits_or(s->hidden, class_bits_or(r.found, r.washed));
			command->hidden = class_bits_or(command->hidden, class_bits_and(s->hidden, command->mask));
		}
		command->washed = class_bits_or(command->washed, class_bits_and(r.washed, command->mask));
	}
	/* Nothing tagged flows anywhere: no need to keep where. */
	any = pg_command_any(command);
	if (command->digest >= 0 && !class_bits_any(&any) && !pg_digest_at(&s->commands, command->digest)->copies) {
		pg_digest_at(&s->commands, command->digest)->used = false;
		command->digest = -1;
	}
	if (!lasting)
		pg_recall_keep(s, command, j->classification);
}
