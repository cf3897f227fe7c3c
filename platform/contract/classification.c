#include "platform/contract/classification.h"

#include "platform/base/limits.h"

#define VERSION 3
#define NOT_TOLD 0xffffu

static const char *const verb_words[] = {
#define VERB(name, word) word,
#include "platform/contract/verbs.def"
#undef VERB
};

static const char *const flag_words[] = {
#define FLAG(name, word) word,
#include "platform/contract/flags.def"
#undef FLAG
};

_Static_assert(FLAG_count <= 32, "flags are bits of a u32");

const char *verb_word(enum verb v)
{
	return (unsigned)v < VERB_count ? verb_words[v] : NULL;
}

const char *flag_word(enum flag_bit b)
{
	return (unsigned)b < FLAG_count ? flag_words[b] : NULL;
}

bool verb_touches_only_named(enum verb v)
{
	const uint32_t only = 1u << VERB_select | 1u << VERB_explain | 1u << VERB_copy_out | 1u << VERB_transaction | 1u << VERB_cursor |
			      1u << VERB_prepare | 1u << VERB_notify;

	return (unsigned)v < VERB_count && (only >> v & 1);
}

static int find(const char *const *words, int count, const char *word)
{
	for (int i = 0; i < count; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return -1;
}

int verb_find(const char *word)
{
	return find(verb_words, VERB_count, word);
}

int flag_find(const char *word)
{
	return find(flag_words, FLAG_count, word);
}

static struct bytes short_string(struct reader *r)
{
	return reader_bytes(r, reader_u8(r));
}

bool access_next(struct reader *at, struct access *out)
{
	*out = (struct access){ 0 };
	if (!at->ok || at->left == 0)
		return false;
	out->verb = reader_u8(at);
	out->kind = reader_u8(at);
	out->levels = reader_u8(at);
	if (out->verb >= VERB_count || out->kind >= OBJECT_kinds || out->levels > 4)
		at->ok = false;
	for (unsigned i = 0; at->ok && i < out->levels; i++)
		out->level[i] = short_string(at);
	return at->ok;
}

bool target_next(struct reader *at, struct target *out)
{
	*out = (struct target){ 0 };
	if (!at->ok || at->left == 0)
		return false;
	out->taint = reader_u8(at);
	out->names = reader_u8(at);
	out->rest = *at;
	if (out->taint >= TAINT_count)
		at->ok = false;
	for (unsigned i = 0; i < out->names; i++)
		(void)short_string(at);
	return at->ok;
}

bool target_name(struct target *t, struct bytes *out)
{
	*out = (struct bytes){ 0 };
	if (t->names == 0)
		return false;
	t->names--;
	*out = short_string(&t->rest);
	return t->rest.ok;
}

bool predicate_next(struct reader *at, struct predicate *out)
{
	*out = (struct predicate){ 0 };
	if (!at->ok || at->left == 0)
		return false;
	out->access = reader_be16(at);
	out->column = short_string(at);
	return at->ok;
}

bool written_next(struct reader *at, struct written *out)
{
	*out = (struct written){ 0 };
	if (!at->ok || at->left == 0)
		return false;
	out->access = reader_be16(at);
	out->position = reader_be16(at);
	out->column = short_string(at);
	if (!target_next(at, &out->from) || (out->from.taint != TAINT_NAMES && out->from.taint != TAINT_ALL))
		at->ok = false;
	return at->ok;
}

bool access_same_object(const struct access *a, const struct access *b)
{
	if (a->kind != b->kind || a->levels != b->levels)
		return false;
	for (unsigned i = 0; i < a->levels; i++)
		if (!bytes_equal(a->level[i], b->level[i]))
			return false;
	return true;
}

enum section { SECTION_ACCESSES, SECTION_TARGETS, SECTION_PREDICATES, SECTION_WRITES };

static bool unit_next(struct reader *r, enum section kind, unsigned accesses)
{
	struct access a;
	struct target t;
	struct predicate p;
	struct written w;

	switch (kind) {
	case SECTION_ACCESSES: return access_next(r, &a);
	case SECTION_TARGETS: return target_next(r, &t);
	case SECTION_WRITES: return written_next(r, &w) && w.access < accesses;
	default: return predicate_next(r, &p) && (p.access < accesses || p.access == PREDICATE_ANY);
	}
}

/* Walks `count` units and leaves in `*section` exactly their bytes. */
static bool section_of(struct reader *r, unsigned count, enum section kind, unsigned accesses, struct reader *section)
{
	const uint8_t *start = r->at;

	for (unsigned i = 0; i < count; i++)
		if (!unit_next(r, kind, accesses)) {
			r->ok = false;
			return false;
		}
	*section = reader_of(start, (size_t)(r->at - start));
	return r->ok;
}

static bool copy_shape_read(struct reader *r, struct copy_shape *out)
{
	*out = (struct copy_shape){ .format = reader_u8(r) };
	if (out->format >= COPY_formats)
		r->ok = false;
	if (!r->ok || out->format == COPY_NONE)
		return r->ok;
	out->delimiter = reader_u8(r);
	out->quote = reader_u8(r);
	out->escape = reader_u8(r);
	out->header = reader_u8(r) != 0;
	out->null_text = short_string(r);
	return r->ok;
}

bool classification_next(struct reader *at, struct classified_statement *out)
{
	*out = (struct classified_statement){ 0 };
	if (!at->ok || at->left == 0)
		return false;
	out->flags = reader_be32(at);
	out->accesses = reader_be16(at);
	if (!section_of(at, out->accesses, SECTION_ACCESSES, 0, &out->access_bytes))
		return false;
	out->targets = reader_be16(at);
	if (!section_of(at, out->targets, SECTION_TARGETS, 0, &out->target_bytes))
		return false;
	out->predicates = reader_be16(at);
	if (!section_of(at, out->predicates, SECTION_PREDICATES, out->accesses, &out->predicate_bytes))
		return false;
	out->writes = reader_be16(at);
	out->writes_told = out->writes != NOT_TOLD;
	if (!out->writes_told)
		out->writes = 0;
	if (!section_of(at, out->writes, SECTION_WRITES, out->accesses, &out->write_bytes))
		return false;
	return copy_shape_read(at, &out->copy);
}

bool classification_open(struct bytes encoded, struct classification *out)
{
	struct reader r = reader_of_bytes(encoded);
	struct classified_statement s;
	const uint8_t *start;

	*out = (struct classification){ 0 };
	if (encoded.len > LIMIT_CLASSIFICATION_BYTES + 2 * LIMIT_STATEMENT_BYTES || reader_u8(&r) != VERSION)
		return false;
	out->generic = reader_u8(&r) != 0;
	out->statements = reader_be16(&r);
	start = r.at;
	for (unsigned i = 0; i < out->statements; i++)
		if (!classification_next(&r, &s) || s.accesses > LIMIT_OBJECTS || s.targets > LIMIT_TARGETS ||
		    s.predicates > LIMIT_PREDICATES || s.writes > LIMIT_TARGETS)
			r.ok = false;
	if (r.ok)
		out->statement_bytes = reader_of(start, (size_t)(r.at - start));
	out->canonical = reader_bytes(&r, reader_be32(&r));
	out->normalised = reader_bytes(&r, reader_be32(&r));
	if (r.ok && r.left == 0 && out->statements > 0)
		return true;
	*out = (struct classification){ 0 };
	return false;
}

static void put_short(struct writer *w, struct bytes b)
{
	if (b.len > 255)
		w->ok = false;
	writer_u8(w, (uint8_t)b.len);
	writer_put(w, b);
}

struct classification_writer classification_writer_of(void *base, size_t cap, bool generic)
{
	struct classification_writer cw = { .w = writer_of(base, cap) };

	writer_u8(&cw.w, VERSION);
	writer_u8(&cw.w, generic);
	cw.statements_mark = writer_mark(&cw.w, 2);
	return cw;
}

void classification_begin_statement(struct classification_writer *cw, uint32_t flags)
{
	writer_be32(&cw->w, flags);
	cw->count_mark = writer_mark(&cw->w, 2);
	cw->count = 0;
	cw->predicates = cw->writes = false;
	cw->statements++;
}

void classification_add_access(struct classification_writer *cw, const struct access *a)
{
	if (a->levels > 4 || cw->count >= LIMIT_OBJECTS)
		cw->w.ok = false;
	writer_u8(&cw->w, (uint8_t)a->verb);
	writer_u8(&cw->w, (uint8_t)a->kind);
	writer_u8(&cw->w, (uint8_t)a->levels);
	for (unsigned i = 0; cw->w.ok && i < a->levels; i++)
		put_short(&cw->w, a->level[i]);
	cw->count++;
}

void classification_begin_targets(struct classification_writer *cw)
{
	writer_patch(&cw->w, cw->count_mark, 2, cw->count);
	cw->count_mark = writer_mark(&cw->w, 2);
	cw->count = 0;
}

void classification_add_target(struct classification_writer *cw, enum taint taint, const struct bytes *names, unsigned count)
{
	if (count > 255 || cw->count >= LIMIT_TARGETS)
		cw->w.ok = false;
	writer_u8(&cw->w, (uint8_t)taint);
	writer_u8(&cw->w, (uint8_t)count);
	for (unsigned i = 0; cw->w.ok && i < count; i++)
		put_short(&cw->w, names[i]);
	cw->count++;
}

void classification_begin_predicates(struct classification_writer *cw)
{
	writer_patch(&cw->w, cw->count_mark, 2, cw->count);
	cw->count_mark = writer_mark(&cw->w, 2);
	cw->count = 0;
	cw->predicates = true;
}

void classification_add_predicate(struct classification_writer *cw, unsigned access, struct bytes column)
{
	if (access > PREDICATE_ANY || cw->count >= LIMIT_PREDICATES)
		cw->w.ok = false;
	writer_be16(&cw->w, (uint16_t)access);
	put_short(&cw->w, column);
	cw->count++;
}

void classification_begin_writes(struct classification_writer *cw)
{
	if (!cw->predicates)
		classification_begin_predicates(cw);
	writer_patch(&cw->w, cw->count_mark, 2, cw->count);
	cw->count_mark = writer_mark(&cw->w, 2);
	cw->count = 0;
	cw->writes = true;
}

void classification_add_write(struct classification_writer *cw, unsigned access, unsigned position, struct bytes column, enum taint taint,
			      const struct bytes *names, unsigned count)
{
	if (access > UINT16_MAX || position > UINT16_MAX || count > 255 || cw->count >= LIMIT_TARGETS)
		cw->w.ok = false;
	writer_be16(&cw->w, (uint16_t)access);
	writer_be16(&cw->w, (uint16_t)position);
	put_short(&cw->w, column);
	writer_u8(&cw->w, (uint8_t)taint);
	writer_u8(&cw->w, (uint8_t)count);
	for (unsigned i = 0; cw->w.ok && i < count; i++)
		put_short(&cw->w, names[i]);
	cw->count++;
}

void classification_end_statement(struct classification_writer *cw, const struct copy_shape *copy)
{
	bool told = cw->writes;

	if (!told)
		classification_begin_writes(cw);
	writer_patch(&cw->w, cw->count_mark, 2, told ? cw->count : NOT_TOLD);
	writer_u8(&cw->w, copy ? (uint8_t)copy->format : COPY_NONE);
	if (!copy || copy->format == COPY_NONE)
		return;
	writer_u8(&cw->w, copy->delimiter);
	writer_u8(&cw->w, copy->quote);
	writer_u8(&cw->w, copy->escape);
	writer_u8(&cw->w, copy->header);
	put_short(&cw->w, copy->null_text);
}

struct bytes classification_finish(struct classification_writer *cw, struct bytes canonical, struct bytes normalised)
{
	writer_patch(&cw->w, cw->statements_mark, 2, cw->statements);
	writer_be32(&cw->w, (uint32_t)canonical.len);
	writer_put(&cw->w, canonical);
	writer_be32(&cw->w, (uint32_t)normalised.len);
	writer_put(&cw->w, normalised);
	return writer_done(&cw->w);
}
