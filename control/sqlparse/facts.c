#include "control/sqlparse/facts.h"

static bool same_access(const struct access *a, const struct access *b)
{
	if (a->verb != b->verb || a->kind != b->kind || a->levels != b->levels)
		return false;
	for (unsigned i = 0; i < a->levels; i++)
		if (!bytes_equal(a->level[i], b->level[i]))
			return false;
	return true;
}

void facts_add(struct facts *f, enum verb verb, enum object_kind kind, const char *const *names, unsigned count)
{
	struct access a = { .verb = verb, .kind = kind, .levels = count };

	if (count > 4) {
		f->over = true;
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		a.level[i] = bytes_str(names[i]);
		if (a.level[i].len > 255)
			a.level[i].len = 255;
	}
	for (unsigned i = 0; i < f->accesses; i++)
		if (same_access(&f->access[i], &a))
			return;
	if (f->accesses == LIMIT_OBJECTS)
		f->over = true;
	else
		f->access[f->accesses++] = a;
}

void facts_bare(struct facts *f, enum verb verb)
{
	facts_add(f, verb, OBJECT_NONE, NULL, 0);
}

void facts_named(struct facts *f, enum verb verb, enum object_kind kind, const char *name)
{
	facts_add(f, verb, kind, &name, 1);
}

void facts_setting(struct facts *f, struct arena *a, enum verb verb, const char *name)
{
	char *folded = arena_alloc(a, strlen(name) + 1, 1);

	for (size_t i = 0; name[i]; i++)
		folded[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
	facts_named(f, verb, OBJECT_SETTING, folded);
}

void facts_relation(struct facts *f, enum verb verb, const PgQuery__RangeVar *r)
{
	const char *names[3];
	unsigned count = 0;

	if (*r->catalogname)
		names[count++] = r->catalogname;
	if (*r->schemaname)
		names[count++] = r->schemaname;
	else if (strncmp(r->relname, "pg_", 3) == 0)
		names[count++] = "pg_catalog";
	names[count++] = r->relname;
	facts_add(f, verb, OBJECT_RELATION, names, count);
}
