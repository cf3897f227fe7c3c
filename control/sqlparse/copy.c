/* COPY: who reads or writes what, and the shape of the stream that a masker will have to read. */
#include "control/sqlparse/walk.h"

static bool set_byte(uint8_t *out, const char *text)
{
	*out = (uint8_t)text[0];
	return text[0] != 0 && text[1] == 0;
}

/* HEADER, HEADER true, HEADER match … (defGetCopyHeaderChoice). False for a value that the server would refuse. */
static bool header_of(const ProtobufCMessage *arg, bool *out)
{
	static const char *const yes[] = { "true", "on", "match", "1" }, *const no[] = { "false", "off", "0" };
	const PgQuery__String *s = TREE_AS(arg, String, string);
	const PgQuery__Integer *i = TREE_AS(arg, Integer, integer);
	const PgQuery__Boolean *b = TREE_AS(arg, Boolean, boolean);

	*out = !arg || (i && i->ival == 1) || (b && b->boolval);
	if (!arg || i || b)
		return !i || i->ival == 0 || i->ival == 1;
	for (size_t n = 0; s && n < sizeof yes / sizeof *yes; n++)
		*out |= strcasecmp(s->sval, yes[n]) == 0;
	for (size_t n = 0; s && !*out && n < sizeof no / sizeof *no; n++)
		if (strcasecmp(s->sval, no[n]) == 0)
			return true;
	return *out;
}

static bool format_of(const char *name, enum copy_format *out)
{
	*out = strcmp(name, "csv") == 0 ? COPY_CSV : strcmp(name, "binary") == 0 ? COPY_BINARY : COPY_TEXT;
	return *out != COPY_TEXT || strcmp(name, "text") == 0;
}

/* False: an option that changes the stream in a way not understood here. */
static bool shape_option(struct copy_shape *shape, const PgQuery__DefElem *d)
{
	static const char *const harmless[] = { "freeze", "force_quote", "force_not_null", "force_null" };
	const ProtobufCMessage *arg = tree_of(d->arg);
	const PgQuery__String *s = TREE_AS(arg, String, string);

	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		if (strcmp(d->defname, harmless[i]) == 0)
			return true;
	if (strcmp(d->defname, "header") == 0)
		return header_of(arg, &shape->header);
	if (!s)
		return false;
	if (strcmp(d->defname, "format") == 0)
		return format_of(s->sval, &shape->format);
	if (strcmp(d->defname, "delimiter") == 0)
		return set_byte(&shape->delimiter, s->sval);
	if (strcmp(d->defname, "quote") == 0)
		return set_byte(&shape->quote, s->sval);
	if (strcmp(d->defname, "escape") == 0)
		return set_byte(&shape->escape, s->sval);
	if (strcmp(d->defname, "null") == 0) {
		shape->null_text = bytes_str(s->sval);
		return shape->null_text.len <= 255;
	}
	return strcmp(d->defname, "encoding") == 0 && (strcasecmp(s->sval, "utf8") == 0 || strcasecmp(s->sval, "utf-8") == 0);
}

static bool shape_of(const PgQuery__CopyStmt *s, struct copy_shape *shape)
{
	*shape = (struct copy_shape){ .format = COPY_TEXT, .null_text = { .base = (const uint8_t *)"\1" } };
	for (size_t i = 0; i < s->n_options; i++) {
		const ProtobufCMessage *m = tree_of(s->options[i]);

		if (!TREE_IS(m, def_elem) || !shape_option(shape, (const PgQuery__DefElem *)m))
			return false;
	}
	/* The defaults depend on the format, which may come last. */
	if (shape->null_text.base[0] == '\1' && shape->null_text.len == 0)
		shape->null_text = bytes_str(shape->format == COPY_TEXT ? "\\N" : "");
	if (!shape->delimiter)
		shape->delimiter = shape->format == COPY_CSV ? ',' : '\t';
	if (!shape->quote)
		shape->quote = '"';
	if (!shape->escape)
		shape->escape = shape->quote;
	return true;
}

static void walk_ends(struct walk *w, const PgQuery__CopyStmt *s)
{
	static const char *const read_file[] = { "pg_catalog", "pg_read_file" };

	if (s->is_program) {
		facts_named(w->facts, VERB_copy_program, OBJECT_OTHER, s->filename);
	} else if (*s->filename && s->is_from) {
		w->facts->flags |= FLAG_calls_unknown_function;
		facts_add(w->facts, VERB_call, OBJECT_FUNCTION, read_file, 2);
	} else if (*s->filename) {
		w->facts->flags |= FLAG_writes_file;
	}
}

void walk_copy(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__CopyStmt *s = (const PgQuery__CopyStmt *)m;
	unsigned before = w->facts->accesses;

	if (s->is_from)
		walk_changes(w, m);
	walk_ends(w, s);
	if (s->relation) {
		facts_relation(w->facts, s->is_from ? VERB_copy_in : VERB_copy_out, s->relation);
		if (!s->is_from)
			facts_relation(w->facts, VERB_select, s->relation);
		walk_node(w, tree_of(s->where_clause));
	} else {
		unsigned after;

		if (w->counted == m)
			w->counted = tree_of(s->query); /* RETURNING: a row for each that changes */
		walk_statement(w, tree_of(s->query));
		after = w->facts->accesses;
		for (unsigned i = before; i < after; i++) {
			struct access a = w->facts->access[i];
			const char *names[4];

			if (a.kind != OBJECT_RELATION || a.verb != VERB_select)
				continue;
			for (unsigned n = 0; n < a.levels; n++)
				names[n] = (const char *)a.level[n].base;
			facts_add(w->facts, VERB_copy_out, a.kind, names, a.levels);
		}
		if (w->facts->accesses == after)
			facts_bare(w->facts, VERB_copy_out);
	}
	if (!shape_of(s, &w->facts->copy))
		w->why = "an option of COPY that is not understood";
}
