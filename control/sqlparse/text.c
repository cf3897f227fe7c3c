#include "control/sqlparse/text.h"

#include "platform/contract/classification.h"

static void put_access(struct writer *w, const struct access *a)
{
	writer_str(w, verb_word(a->verb));
	if (a->kind != OBJECT_NONE)
		writer_str(w, a->kind == OBJECT_SETTING ? " $" : a->kind == OBJECT_OTHER ? " '" : " ");
	for (unsigned i = 0; i < a->levels; i++) {
		if (i > 0)
			writer_u8(w, '.');
		writer_put(w, a->level[i]);
	}
	if (a->kind == OBJECT_FUNCTION || a->kind == OBJECT_OTHER)
		writer_str(w, a->kind == OBJECT_FUNCTION ? "()" : "'");
}

static void put_target(struct writer *w, struct target *t)
{
	static const char *const marks[] = { [TAINT_NONE] = "-", [TAINT_NAMES] = "", [TAINT_ALL] = "!", [TAINT_STAR] = "*" };
	struct bytes name;

	writer_str(w, marks[t->taint]);
	for (bool first = true; target_name(t, &name); first = false) {
		if (!first)
			writer_u8(w, '+');
		writer_put(w, name);
	}
}

static void put_copy(struct writer *w, const struct copy_shape *c)
{
	static const char *const formats[] = { "", "text", "csv", "binary" };

	if (c->format == COPY_NONE)
		return;
	writer_str(w, " | ");
	writer_str(w, formats[c->format]);
	writer_u8(w, ' ');
	writer_u8(w, c->delimiter);
	writer_u8(w, c->quote);
	writer_u8(w, c->escape);
	writer_u8(w, c->header ? 'h' : '-');
	writer_put(w, c->null_text);
}

static bool access_at(const struct classified_statement *s, unsigned number, struct access *a)
{
	struct reader at = s->access_bytes;

	for (unsigned i = 0; access_next(&at, a); i++)
		if (i == number)
			return true;
	return false;
}

static void put_predicate(struct writer *w, const struct classified_statement *s, const struct predicate *p)
{
	struct access a;

	if (!access_at(s, p->access, &a))
		writer_u8(w, '?');
	for (unsigned i = 0; i < a.levels; i++) {
		if (i > 0)
			writer_u8(w, '.');
		writer_put(w, a.level[i]);
	}
	writer_u8(w, '.');
	writer_put(w, p->column.len ? p->column : bytes_str("*"));
}

static void put_statement(struct writer *w, struct classified_statement *s)
{
	struct access a;
	struct target t;

	for (bool first = true; access_next(&s->access_bytes, &a); first = false) {
		writer_str(w, first ? "" : ", ");
		put_access(w, &a);
	}
	writer_str(w, " |");
	for (int bit = 0; bit < FLAG_count; bit++)
		if (s->flags & (1u << bit)) {
			writer_u8(w, ' ');
			writer_str(w, flag_word((enum flag_bit)bit));
		}
	writer_str(w, " |");
	while (target_next(&s->target_bytes, &t)) {
		writer_u8(w, ' ');
		put_target(w, &t);
	}
	put_copy(w, &s->copy);
}

bool classification_predicates_text(struct bytes encoded, struct writer *w)
{
	struct classification c;
	struct classified_statement s;
	struct predicate p;
	struct reader at;

	if (!classification_open(encoded, &c))
		return false;
	at = c.statement_bytes;
	for (bool first = true; classification_next(&at, &s); first = false) {
		struct reader predicates = s.predicate_bytes;

		writer_str(w, first ? "" : " ;; ");
		for (bool one = true; predicate_next(&predicates, &p); one = false) {
			writer_str(w, one ? "" : " ");
			put_predicate(w, &s, &p);
		}
	}
	return w->ok;
}

static void put_written(struct writer *w, const struct classified_statement *s, struct written *c)
{
	static const char digits[] = "0123456789";
	struct access a;

	if (access_at(s, c->access, &a) && a.levels)
		writer_put(w, a.level[a.levels - 1]);
	writer_u8(w, '.');
	if (c->position) {
		writer_u8(w, '#');
		if (c->position > 9)
			writer_u8(w, (uint8_t)digits[c->position / 10 % 10]);
		writer_u8(w, (uint8_t)digits[c->position % 10]);
	} else {
		writer_put(w, c->column.len ? c->column : bytes_str("*"));
	}
	writer_u8(w, '=');
	put_target(w, &c->from);
}

bool classification_writes_text(struct bytes encoded, struct writer *w)
{
	struct classification c;
	struct classified_statement s;
	struct written one;
	struct reader at;

	if (!classification_open(encoded, &c))
		return false;
	at = c.statement_bytes;
	for (bool first = true; classification_next(&at, &s); first = false) {
		struct reader writes = s.write_bytes;

		writer_str(w, first ? "" : " ;; ");
		writer_str(w, s.writes_told ? "" : "?");
		for (bool none = true; written_next(&writes, &one); none = false) {
			writer_str(w, none ? "" : " ");
			put_written(w, &s, &one);
		}
	}
	return w->ok;
}

bool classification_text(struct bytes encoded, struct writer *w)
{
	struct classification c;
	struct classified_statement s;
	struct reader at;

	if (!classification_open(encoded, &c))
		return false;
	at = c.statement_bytes;
	for (bool first = true; classification_next(&at, &s); first = false) {
		writer_str(w, first ? "" : " ;; ");
		put_statement(w, &s);
	}
	return w->ok;
}
