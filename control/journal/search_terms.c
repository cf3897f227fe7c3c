#include "control/journal/search_terms.h"

#include <stdio.h>

#include "control/journal/archive.h"
#include "platform/base/hash.h"

#define GRAM 4u
#define HEX_GRAM 8u
#define VALUE_ROWS 6u
#define HEX_ROWS 4u
#define VALUES_MAX 8u /* of one record that stand in pairs */

enum term_kind { TERM_SESSION = 1, TERM_TYPE, TERM_PERSON, TERM_AGENT, TERM_RUN, TERM_SERVICE, TERM_VERDICT, TERM_TARGET, TERM_HEX };

/* Values of one record or of one filter; person and sub are one kind, and make no pair with each other. */
struct values {
	unsigned count;
	struct {
		enum term_kind kind;
		uint64_t hash;
	} value[VALUES_MAX];
};

/* --- hashes to rows --------------------------------------------------------------------------------------------------- */

static uint64_t value_hash(enum term_kind kind, struct bytes text)
{
	return hash64((struct hash_key){ kind, 0x736c756963650001 }, text.base, text.len);
}

static uint64_t pair_hash(uint64_t a, uint64_t b)
{
	return hash_mix(a * 0x9e3779b97f4a7c15 ^ (b << 31 | b >> 33));
}

static uint16_t hash_row(uint64_t hash, unsigned i)
{
	return (uint16_t)((hash >> 32) + i * ((hash & 0xffff) | 1) + (hash >> 16 & 0xffff) * i * i);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static bool is_hex(uint8_t c)
{
	c = lower(c);
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Of four letters, lower case, the first one in the highest byte. */
static uint16_t gram_row(uint32_t gram)
{
	return (uint16_t)(gram * 0x9e3779b1u >> 16);
}

/* Of eight hexadecimal digits. */
static uint64_t hex_hash(const uint8_t *at)
{
	uint8_t text[HEX_GRAM];

	for (unsigned i = 0; i < HEX_GRAM; i++)
		text[i] = lower(at[i]);
	return value_hash(TERM_HEX, bytes_of(text, HEX_GRAM));
}

static size_t hex_run(struct bytes text, size_t at)
{
	size_t end = at;

	while (end < text.len && is_hex(text.base[end]))
		end++;
	return end - at;
}

/* --- what a record is about ------------------------------------------------------------------------------------------- */

static bool visit_list(struct jcs_value list, bool (*visit)(void *ctx, struct bytes target), void *ctx)
{
	struct jcs_value value;
	size_t at = 0;

	while (list.kind == JCS_ARRAY && jcs_next(list, &at, NULL, &value))
		if (value.kind == JCS_STRING && !visit(ctx, jcs_read_plain(value)))
			return false;
	return true;
}

static bool visit_address(struct jcs_value end, bool (*visit)(void *ctx, struct bytes target), void *ctx)
{
	struct bytes address = jcs_read_plain(jcs_get(end, "addr"));
	bool colon = address.len && memchr(address.base, ':', address.len);
	char text[96];
	int64_t port;
	int len;

	if (!address.len)
		return true;
	if (!visit(ctx, address))
		return false;
	if (address.len > 64 || !jcs_read_int(jcs_get(end, "port"), &port))
		return true;
	len = snprintf(text, sizeof text, colon ? "[%.*s]:%lld" : "%.*s:%lld", (int)address.len, (const char *)address.base, (long long)port);
	return visit(ctx, bytes_of(text, (size_t)len));
}

struct terms_members terms_members_of(struct bytes record)
{
	static const char *const key[TERMS_MEMBERS] = { "data", "dst", "op", "out", "sess", "svc", "t", "ts", "who" };
	struct terms_members m;

	jcs_pick(jcs_value_of(record), TERMS_MEMBERS, key, m.of);
	return m;
}

bool terms_targets(const struct terms_members *m, bool (*visit)(void *ctx, struct bytes target), void *ctx)
{
	static const char *const key[] = { "read", "write" };
	struct jcs_value service = m->of[TERMS_SVC], database = jcs_get(m->of[TERMS_DATA], "database"), objects[2];

	jcs_pick(jcs_get(m->of[TERMS_OP], "objs"), 2, key, objects);
	return (service.kind != JCS_STRING || visit(ctx, jcs_read_plain(service))) && visit_address(m->of[TERMS_DST], visit, ctx) &&
	       (database.kind != JCS_STRING || visit(ctx, jcs_read_plain(database))) && visit_list(objects[0], visit, ctx) && visit_list(objects[1], visit, ctx);
}

/* --- of a record ------------------------------------------------------------------------------------------------------- */

static void set_hash(uint64_t *block, uint64_t hash, unsigned rows)
{
	for (unsigned i = 0; i < rows; i++) {
		uint16_t row = hash_row(hash, i);

		block[row / 64] |= 1ull << row % 64;
	}
}

static bool set_target(void *ctx, struct bytes target)
{
	set_hash(ctx, value_hash(TERM_TARGET, target), VALUE_ROWS);
	return true;
}

static void value_take(struct values *v, enum term_kind kind, struct jcs_value value)
{
	if (value.kind != JCS_STRING)
		return;
	v->value[v->count].kind = kind;
	v->value[v->count++].hash = value_hash(kind, jcs_read_plain(value));
}

/* Also each prefix of a type that ends in a dot. */
static void set_prefixes(uint64_t *block, struct bytes type)
{
	for (size_t i = 0; i < type.len; i++)
		if (type.base[i] == '.')
			set_hash(block, value_hash(TERM_TYPE, bytes_of(type.base, i + 1)), VALUE_ROWS);
}

static void set_values(uint64_t *block, const struct terms_members *m)
{
	static const char *const key[] = { "agent", "person", "run", "sub" };
	struct jcs_value type = m->of[TERMS_T], session = m->of[TERMS_SESS], who[4];
	struct values v = { 0 };

	jcs_pick(m->of[TERMS_WHO], 4, key, who);
	value_take(&v, TERM_TYPE, type);
	value_take(&v, TERM_PERSON, who[1]);
	value_take(&v, TERM_PERSON, who[3]);
	value_take(&v, TERM_AGENT, who[0]);
	value_take(&v, TERM_RUN, who[2]);
	value_take(&v, TERM_SERVICE, m->of[TERMS_SVC]);
	value_take(&v, TERM_VERDICT, jcs_get(m->of[TERMS_OUT], "verdict"));
	for (unsigned i = 0; i < v.count; i++) {
		set_hash(block, v.value[i].hash, VALUE_ROWS);
		for (unsigned k = i + 1; k < v.count; k++)
			if (v.value[i].kind != v.value[k].kind)
				set_hash(block, pair_hash(v.value[i].hash, v.value[k].hash), VALUE_ROWS);
	}
	if (type.kind == JCS_STRING)
		set_prefixes(block, jcs_read_plain(type));
	if (session.kind == JCS_STRING)
		set_hash(block, value_hash(TERM_SESSION, jcs_read_plain(session)), VALUE_ROWS);
	(void)terms_targets(m, set_target, block);
}

/* Four letters are passed over when all of them stand in one long run of hexadecimal digits. */
static void set_grams(uint64_t *block, struct bytes text)
{
	size_t run_end = 0, long_from = 0, long_to = 0; /* the last run looked at, and the last long one */
	uint32_t gram = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (i >= run_end && is_hex(text.base[i])) {
			size_t run = hex_run(text, i);

			run_end = i + run;
			for (size_t at = 0; run >= TERMS_HEX_RUN && at + HEX_GRAM <= run; at += HEX_GRAM)
				set_hash(block, hex_hash(text.base + i + at), HEX_ROWS);
			long_from = run >= TERMS_HEX_RUN ? i : long_from;
			long_to = run >= TERMS_HEX_RUN ? run_end : long_to;
		}
		gram = gram << 8 | lower(text.base[i]);
		if (i + 1 >= GRAM && (i >= long_to || i + 1 - GRAM < long_from))
			block[gram_row(gram) / 64] |= 1ull << gram_row(gram) % 64;
	}
}

void terms_of_record(struct bytes record, const struct terms_members *m, uint64_t block[TERMS_ROWS / 64])
{
	set_values(block, m);
	set_grams(block, record);
}

/* --- of a filter ------------------------------------------------------------------------------------------------------- */

static struct terms_clause *clause_add(struct terms *t)
{
	return t->clauses < TERMS_CLAUSES ? &t->clause[t->clauses++] : NULL;
}

static void ask_hash(struct terms *t, uint64_t hash)
{
	struct terms_clause *c = clause_add(t);

	if (!c)
		return;
	c->alternatives = 1;
	c->any[0].rows = VALUE_ROWS;
	for (unsigned i = 0; i < VALUE_ROWS; i++)
		c->any[0].row[i] = hash_row(hash, i);
}

static void ask_value(struct terms *t, struct values *v, enum term_kind kind, const char *text)
{
	uint64_t hash;

	if (!text)
		return;
	hash = value_hash(kind, bytes_str(text));
	ask_hash(t, hash);
	if (kind == TERM_SESSION || kind == TERM_TARGET)
		return;
	v->value[v->count].kind = kind;
	v->value[v->count++].hash = hash;
}

static void ask_type(struct terms *t, struct values *v, const char *type)
{
	size_t len = type ? strlen(type) : 0;

	if (len && type[len - 1] == '*') {
		if (len > 1 && type[len - 2] == '.')
			ask_hash(t, value_hash(TERM_TYPE, bytes_of(type, len - 1)));
	} else if (len && type[len - 1] == '.') {
		ask_hash(t, value_hash(TERM_TYPE, bytes_str(type)));
	} else {
		ask_value(t, v, TERM_TYPE, type);
	}
}

_Static_assert(TERMS_HEX_RUN >= 2 * HEX_GRAM - 1, "a long run holds a remembered group at every distance");

/* A run of digits that is surely part of a long one: at one of eight distances from its beginning lie the remembered groups. */
static void ask_hex(struct terms *t, const uint8_t *run, size_t len)
{
	struct terms_clause *c = clause_add(t);

	for (unsigned start = 0; c && start < HEX_GRAM; start++) {
		uint16_t *rows = &c->any[start].rows;

		c->alternatives++;
		for (size_t at = start; at + HEX_GRAM <= len && *rows + HEX_ROWS <= TERMS_CLAUSE_ROWS; at += HEX_GRAM)
			for (unsigned i = 0; i < HEX_ROWS; i++)
				c->any[start].row[(*rows)++] = hash_row(hex_hash(run + at), i);
	}
}

struct gram_clause {
	struct terms *terms;
	struct terms_clause *open;
};

static void ask_gram(struct gram_clause *g, const uint8_t *at)
{
	uint32_t gram = (uint32_t)lower(at[0]) << 24 | (uint32_t)lower(at[1]) << 16 | (uint32_t)lower(at[2]) << 8 | lower(at[3]);

	if (!g->open || g->open->any[0].rows == TERMS_CLAUSE_ROWS) {
		g->open = clause_add(g->terms);
		if (!g->open)
			return;
		g->open->alternatives = 1;
	}
	g->open->any[0].row[g->open->any[0].rows++] = gram_row(gram);
}

/* A run at either end of the text may go on in the record, so how long it is there is not known, unless it is long already. */
static void ask_text(struct terms *t, struct bytes text)
{
	struct gram_clause g = { .terms = t };

	for (size_t i = 0; i < text.len;) {
		size_t run = hex_run(text, i), end = i + run;
		bool edge = i == 0 || end == text.len, is_long = run >= TERMS_HEX_RUN;

		if (is_long)
			ask_hex(t, text.base + i, run);
		/* Grams that begin in this run, or at this letter; those that lie in the run only when it is surely short. */
		for (size_t at = i; at < (run ? end : i + 1) && at + GRAM <= text.len; at++)
			if (at + GRAM > end || (run && !edge && !is_long))
				ask_gram(&g, text.base + at);
		i = run ? end : i + 1;
	}
}

void terms_of_filter(const struct archive_filter *f, struct terms *out)
{
	struct values v = { 0 };

	memset(out, 0, sizeof *out);
	ask_value(out, &v, TERM_SESSION, f->session);
	ask_type(out, &v, f->type);
	ask_value(out, &v, TERM_PERSON, f->person);
	ask_value(out, &v, TERM_AGENT, f->agent);
	ask_value(out, &v, TERM_RUN, f->run);
	ask_value(out, &v, TERM_SERVICE, f->service);
	ask_value(out, &v, TERM_VERDICT, f->verdict);
	ask_value(out, &v, TERM_TARGET, f->target);
	for (unsigned i = 0; i < v.count; i++)
		for (unsigned k = i + 1; k < v.count; k++)
			ask_hash(out, pair_hash(v.value[i].hash, v.value[k].hash));
	if (f->text)
		ask_text(out, bytes_str(f->text));
}
