/* plan.c: from RowDescription (or COPY's targets) to how each column is masked.
 *
 * First lineage: the column's own number in the catalogue; without a number, what the statement's parse says flows into
 * it; what cannot be told counts as every tagged column of the statement (postgres.md 9). Then the name: it may only add. An
 * alias is the agent's choice, so a harmless one lowers nothing. Values are looked at in any case.
 */
#include "dataplane/inspect/postgres/session.h"

/* Of several classes one that leaves nothing, else the first. -1: none. */
int pg_class_of(const struct pg_session *s, const struct class_bits *classes, const struct class_bits *mask)
{
	struct class_bits both = class_bits_and(*classes, *mask);
	int found = -1;

	for (unsigned i = 0; i < s->env->snapshot->classes_count && i < LIMIT_CLASSES; i++) {
		if (!class_bits_has(&both, i))
			continue;
		if (s->env->snapshot->classes[i].mask.kind == MASK_FULL)
			return (int)i;
		if (found < 0)
			found = (int)i;
	}
	/* A class that the snapshot does not have cannot be in its judgement; taken for the first one, never for none. */
	return found < 0 && class_bits_any(&both) ? 0 : found;
}

void pg_plan_none(struct pg_session *s)
{
	s->plan.valid = false;
}

/* False: there is no room for so many columns, and no plan. */
static bool begin(struct pg_session *s, const struct pg_command *command, unsigned columns)
{
	struct pg_wide *wide = columns > PG_COLUMNS_OWN && columns <= LIMIT_COLUMNS ? pg_room_wide(s) : NULL;
	struct pg_plan *p = &s->plan;

	p->source.len = 0;
	p->column = wide ? wide->column : p->own;
	if (columns > PG_COLUMNS_OWN && !wide) {
		pg_plan_none(s);
		p->columns = 0;
		return false;
	}
	p->valid = true;
	p->whole = p->slow = false;
	p->n = command->n;
	p->columns = (uint16_t)columns;
	p->contexts = 1;
	p->context[0] = (struct class_bits){ 0 };
	p->want.classes = policy_detectors(s->env->snapshot->image, &command->mask);
	p->want.context = (struct class_bits){ 0 };
	p->want.least = match_least(s->env->snapshot->match, &p->want.classes);
	p->active = class_bits_any(&p->want.classes);
	s->run_skip = 0;
	return true;
}

static uint8_t context_of(struct pg_plan *p, struct class_bits context)
{
	for (unsigned i = 0; i < p->contexts; i++)
		if (!memcmp(&p->context[i], &context, sizeof(context)))
			return (uint8_t)i;
	if (p->contexts == PG_CONTEXTS) {
		/* Too many kinds of names: the last one takes them all, which only looks for more. */
		p->context[PG_CONTEXTS - 1] = class_bits_or(p->context[PG_CONTEXTS - 1], context);
		return PG_CONTEXTS - 1;
	}
	p->context[p->contexts] = context;
	return (uint8_t)p->contexts++;
}

static void name_prior(struct pg_session *s, const struct pg_command *command, struct bytes name, struct pg_column *column)
{
	struct pg_plan *p = &s->plan;
	struct match_name evidence;
	struct class_bits strong;
	int detector;

	if (!p->active)
		return;
	evidence = match_name(s->env->snapshot->match, name);
	strong = class_bits_and(evidence.strong, p->want.classes);
	detector = class_bits_first(&strong);
	if (column->class < 0 && detector >= 0)
		column->class = (int16_t)policy_class_of_detector(s->env->snapshot->image, &command->mask, (unsigned)detector);
	column->context = context_of(p, class_bits_and(class_bits_or(evidence.strong, evidence.weak), p->want.classes));
}

static void finish(struct pg_session *s, struct pg_column *column)
{
	struct pg_plan *p = &s->plan;
	struct pg_type type = pg_type(column->type);

	p->whole |= column->class >= 0;
	p->active |= column->class >= 0;
	/* Values that do not lie open in the message: numbers in binary, hex, JSON and its escapes, quoted items. */
	p->slow |= type.shape == SHAPE_BYTEA || type.shape == SHAPE_JSON || type.shape == SHAPE_JSONB || type.shape == SHAPE_ARRAY ||
		   type.shape == SHAPE_RECORD || (column->binary && (type.shape == SHAPE_INTEGER || type.shape == SHAPE_FLOAT ||
								     type.shape == SHAPE_NUMERIC || type.shape == SHAPE_MONEY));
	p->want.context = class_bits_or(p->want.context, p->context[column->context]);
}

static int class_by_number(struct pg_session *s, const struct pg_command *c, uint32_t relation, int16_t attnum)
{
	enum pg_column_found found;
	struct class_bits classes;

	if (!s->catalogue)
		return -1;
	if (c->blind)
		return pg_class_of(s, &c->mask, &c->mask);
	classes = pg_catalogue_column(s->catalogue, relation, attnum, &found);
	if (found == PG_COLUMN_ELSEWHERE)
		classes = c->washed;
	else if (found == PG_COLUMN_NEWER)
		classes = pg_command_any(c);
	return pg_class_of(s, &classes, &c->mask);
}

static int class_by_flow(struct pg_session *s, const struct pg_command *c, unsigned column, unsigned columns)
{
	struct class_bits any = pg_command_any(c);
	unsigned flow = PG_FLOW_ALL;

	if (c->digest >= 0)
		flow = pg_digest_flow(pg_digest_at(&s->commands, c->digest), c->statement, column, columns);
	if (flow == PG_FLOW_NONE)
		return -1;
	if (flow < PG_FLOW_ALL)
		return (int)flow - 1;
	return pg_class_of(s, &any, &c->mask);
}

static bool same_bits(const struct class_bits *a, const struct class_bits *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* All that columns' masks depend on. A command with a digest has flows of its own, and is never the same. */
static bool same_source(const struct pg_session *s, const struct pg_command *c, struct bytes description)
{
	const struct pg_plan_source *from = &s->plan.source;
	struct class_bits any = pg_command_any(c);

	return from->len && c->digest < 0 && from->len == description.len && from->blind == c->blind &&
	       from->policy_generation == s->policy_generation && (!s->catalogue || from->catalogue_build == s->catalogue->build) &&
	       same_bits(&from->mask, &c->mask) && same_bits(&from->any, &any) && same_bits(&from->washed, &c->washed) &&
	       !memcmp(from->description, description.base, description.len);
}

static void keep_source(struct pg_session *s, const struct pg_command *c, struct bytes description)
{
	struct pg_plan_source *to = &s->plan.source;

	if (!s->plan.valid || c->digest >= 0 || description.len > sizeof(to->description))
		return;
	to->len = (uint16_t)description.len;
	to->blind = c->blind;
	to->catalogue_build = s->catalogue ? s->catalogue->build : 0;
	to->policy_generation = s->policy_generation;
	to->mask = c->mask;
	to->any = pg_command_any(c);
	to->washed = c->washed;
	memcpy(to->description, description.base, description.len);
}

void pg_plan_rows(struct pg_session *s, const struct pg_command *command, struct bytes description)
{
	struct reader r = reader_of_bytes(description);
	unsigned columns = reader_be16(&r);

	if (same_source(s, command, description)) {
		s->plan.valid = true;
		s->plan.n = command->n;
		s->run_skip = 0;
		return;
	}
	if (!begin(s, command, columns))
		return;
	for (unsigned i = 0; i < columns && r.ok; i++) {
		struct pg_column *c = &s->plan.column[i];
		struct bytes name = reader_cstr(&r);
		uint32_t relation = reader_be32(&r);
		int16_t attnum = (int16_t)reader_be16(&r);

		*c = (struct pg_column){ .class = -1 };
		c->type = reader_be32(&r);
		reader_be16(&r);
		c->typmod = (int32_t)reader_be32(&r);
		c->binary = reader_be16(&r) != 0;
		c->class = (int16_t)(relation ? class_by_number(s, command, relation, attnum) : class_by_flow(s, command, i, columns));
		name_prior(s, command, name, c);
		finish(s, c);
	}
	s->plan.valid = r.ok && !r.left;
	keep_source(s, command, description);
}

/* COPY relation: by position or by the names of the column list. COPY (query): by flow only. */
static bool copy_column(struct pg_session *s, const struct pg_command *command, const struct pg_digest *d, unsigned i, unsigned columns,
			struct pg_column *c)
{
	struct class_bits classes = { 0 };
	const struct pg_tagged_column *tag;
	unsigned flow = pg_digest_flow(d, d->copy_statement, i, columns);

	*c = (struct pg_column){ .class = -1, .type = 0, .typmod = -1 };
	if (flow == PG_FLOW_NONE)
		return true;
	if (flow < PG_FLOW_ALL) {
		c->class = (int16_t)(flow - 1);
		return true;
	}
	if (command->blind || class_bits_any(&command->washed) || d->relation < 0 ||
	    pg_catalogue_relation(s->catalogue, d->relation)->columns != columns || !(d->flows == 1 && d->flow[0] == PG_FLOW_STAR)) {
		struct class_bits any = class_bits_or(command->scope, command->washed);

		return !class_bits_any(&any);
	}
	tag = pg_catalogue_position(s->catalogue, d->relation, i + 1, &classes);
	c->class = (int16_t)pg_class_of(s, &classes, &command->mask);
	c->type = tag && c->class >= 0 ? tag->type : 0;
	return true;
}

/* `columns` come from CopyOutResponse, which on_copy leaves in s->plan.columns. */
bool pg_plan_copy(struct pg_session *s, const struct pg_command *command)
{
	const struct pg_digest *d = command->digest >= 0 ? pg_digest_at(&s->commands, command->digest) : NULL;
	unsigned columns = s->plan.columns;

	s->plan.source.len = 0; /* its number of columns is overwritten already */
	if (!begin(s, command, columns))
		return false;
	if (!d || d->copies != 1 || d->copy_format == COPY_NONE) {
		pg_plan_none(s);
		return false;
	}
	s->plan.slow = pg_copy_odd(d);
	for (unsigned i = 0; i < columns; i++) {
		struct pg_column *c = &s->plan.column[i];

		if (!copy_column(s, command, d, i, columns, c))
			return false;
		c->binary = d->copy_format == COPY_BINARY;
		s->plan.whole |= c->class >= 0;
		s->plan.active |= c->class >= 0;
	}
	return true;
}
