/* values.c: one value of a result. Whole when its column is tagged; else whatever the match set finds in it.
 *
 * Text that holds several values (JSON, arrays, rows) is taken apart first (json.c, items.c), so that what comes out still is what its type
 * says. Nothing here looks at more than the value, and depth is bounded.
 */
#include "dataplane/inspect/postgres/session.h"

#define HITS 64
#define DEPTH 4

struct pg_masker pg_masker_of(struct pg_session *s, struct pg_command *command, unsigned context)
{
	return (struct pg_masker){ .s = s, .command = command, .want = { .classes = s->plan.want.classes, .context = s->plan.context[context],
						  .least = s->plan.want.least } };
}

/* The match set's number for a policy class: what shape its masks have. */
static unsigned detector_of(const struct pg_session *s, int class)
{
	const struct inspect_snapshot *snapshot = s->env->snapshot;

	for (unsigned i = 0; (unsigned)class < snapshot->classes_count && i < match_class_count(snapshot->match); i++)
		if (class_bits_has(&snapshot->classes[class].detectors, i))
			return i;
	return LIMIT_CLASSES;
}

static struct mask mask_of(const struct pg_session *s, int class)
{
	const struct inspect_snapshot *snapshot = s->env->snapshot;
	struct mask mask = { .kind = MASK_FULL, .key = snapshot->mask_key };

	if (class >= 0 && (unsigned)class < snapshot->classes_count)
		mask.kind = snapshot->classes[class].mask.kind;
	return mask;
}

/* The mask of a text. A class that no detector knows has no shape of its own: three stars. */
void pg_class_text(struct pg_masker *m, int class, size_t len_max, bool full, struct bytes value, struct writer *w)
{
	struct mask mask = mask_of(m->s, class);
	unsigned detector = detector_of(m->s, class);
	size_t at = w->len;

	mask.len_max = len_max;
	if (full)
		mask.kind = MASK_FULL;
	if (detector < LIMIT_CLASSES)
		(void)mask_text(m->s->env->snapshot->match, detector, &mask, value, w);
	if (w->ok && w->len == at)
		for (size_t i = 0; i < 3 && (!len_max || i < len_max); i++)
			writer_u8(w, '*');
}

static const struct mask *choose(void *ctx, unsigned detector)
{
	struct pg_masker *m = ctx;
	int class = policy_class_of_detector(m->s->env->snapshot->image, &m->command->mask, detector);

	/* Looked for, so somebody wants it masked: a class that cannot be told is masked in full. */
	m->kept = mask_of(m->s, class);
	return &m->kept;
}

/* … of what a detector found, when it may be as long as that. */
void pg_hit_text(struct pg_masker *m, unsigned detector, size_t len_max, struct bytes value, struct writer *w)
{
	struct mask mask = *choose(m, detector);

	mask.len_max = len_max;
	(void)mask_text(m->s->env->snapshot->match, detector, &mask, value, w);
}

static size_t look(struct pg_masker *m, struct bytes text, struct match_hit hits[HITS])
{
	const struct inspect_snapshot *snapshot = m->s->env->snapshot;

	if (!text.len || !class_bits_any(&m->want.classes))
		return 0;
	return match_value(snapshot->match, m->s->env->scratch, &m->want, text, hits, HITS);
}

static void count(struct pg_masker *m, const struct match_hit *hits, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int class = policy_class_of_detector(m->s->env->snapshot->image, &m->command->mask, hits[i].class);

		pg_command_masked(m->command, class < 0 ? 0 : (unsigned)class);
	}
}

bool pg_found(struct pg_masker *m, struct bytes text)
{
	struct match_hit hits[HITS];
	size_t n = look(m, text, hits);

	count(m, hits, n);
	return n > 0;
}

bool pg_text(struct pg_masker *m, struct bytes text, struct writer *w)
{
	struct match_hit hits[HITS];
	size_t n = look(m, text, hits);

	if (!n)
		return false;
	count(m, hits, n);
	(void)mask_value(m->s->env->snapshot->match, hits, n, choose, m, text, w);
	return true;
}

static size_t len_max(const struct pg_column *c)
{
	if (c->type == PG_TYPE_NAME)
		return 63;
	/* varchar(n), char(n): n characters; a mask is ASCII. */
	return (c->type == PG_TYPE_VARCHAR || c->type == PG_TYPE_BPCHAR) && c->typmod > 4 ? (size_t)c->typmod - 4 : 0;
}

static enum pg_masked whole(struct pg_masker *m, const struct pg_column *c, struct bytes value, struct writer *w, unsigned depth)
{
	struct pg_type type = pg_type(c->type);
	struct mask mask = mask_of(m->s, c->class);

	if (mask.kind == MASK_NULL || depth > DEPTH)
		return MASKED_NULL;
	switch (type.shape) {
	case SHAPE_TEXT:
		pg_class_text(m, c->class, len_max(c), false, value, w);
		return MASKED_VALUE;
	case SHAPE_JSONB:
		if (c->binary)
			writer_u8(w, 1);
		pg_json(m, c->class, c->binary && value.len ? bytes_of(value.base + 1, value.len - 1) : value, w);
		return MASKED_VALUE;
	case SHAPE_JSON:
		pg_json(m, c->class, value, w);
		return MASKED_VALUE;
	case SHAPE_ARRAY:
		return c->binary ? pg_array_binary(m, c->class, value, w, depth) : pg_items_text(m, &type, c->class, value, w);
	case SHAPE_RECORD:
		return c->binary ? pg_record_binary(m, c->class, value, w, depth) : MASKED_NULL;
	default:
		return pg_type_zero(&type, c->binary, mask.kind == MASK_YEAR, m->s->dates_iso, value, w) ? MASKED_VALUE : MASKED_NULL;
	}
}

enum pg_masked pg_whole(struct pg_masker *m, const struct pg_column *c, struct bytes value, struct writer *w)
{
	pg_command_masked(m->command, (unsigned)c->class);
	return whole(m, c, value, w, 0);
}

/* `\x` and hex digits, a piece at a time with what a value may be long in common. */
static bool hex_found(struct pg_masker *m, struct bytes hex)
{
	uint8_t *piece = pg_shared(m->s)->scratch;
	size_t keep = match_longest(m->s->env->snapshot->match), have = 0;

	if (keep > sizeof(pg_shared(m->s)->scratch) / 2)
		keep = sizeof(pg_shared(m->s)->scratch) / 2;
	for (size_t at = 2; at + 1 < hex.len; at += 2) {
		uint8_t c[2];

		for (unsigned i = 0; i < 2; i++) {
			uint8_t d = hex.base[at + i];

			c[i] = (uint8_t)(d >= 'a' ? d - 'a' + 10 : d >= 'A' ? d - 'A' + 10 : d - '0') & 15;
		}
		piece[have++] = (uint8_t)(c[0] << 4 | c[1]);
		if (have == sizeof(pg_shared(m->s)->scratch)) {
			if (pg_found(m, bytes_of(piece, have)))
				return true;
			memmove(piece, piece + have - keep, keep);
			have = keep;
		}
	}
	return pg_found(m, bytes_of(piece, have));
}

static enum pg_masked number(struct pg_masker *m, const struct pg_column *c, const struct pg_type *type, struct bytes value, struct writer *w)
{
	uint8_t text[80];
	struct writer decimal = writer_of(text, sizeof(text));
	struct bytes v = value;

	if (c->binary)
		v = pg_type_decimal(type, value, &decimal) ? writer_done(&decimal) : (struct bytes){ 0 };
	if (v.len < 4 || !pg_found(m, v)) {
		writer_put(w, value);
		return MASKED_VALUE;
	}
	return pg_type_zero(type, c->binary, false, m->s->dates_iso, value, w) ? MASKED_VALUE : MASKED_NULL;
}

static enum pg_masked detect(struct pg_masker *m, const struct pg_column *c, struct bytes value, struct writer *w, unsigned depth)
{
	struct pg_type type = pg_type(c->type);
	bool hex = type.shape == SHAPE_BYTEA && !c->binary && value.len >= 2 && value.base[0] == '\\' && value.base[1] == 'x';

	if (depth > DEPTH)
		return MASKED_NULL;
	switch (type.shape) {
	case SHAPE_BOOL:
	case SHAPE_DATE:
	case SHAPE_TIMESTAMP:
	case SHAPE_TIMESTAMPTZ:
	case SHAPE_UUID:
		break;
	case SHAPE_INTEGER:
	case SHAPE_FLOAT:
	case SHAPE_NUMERIC:
	case SHAPE_MONEY:
		return number(m, c, &type, value, w);
	case SHAPE_INET:
	case SHAPE_CIDR:
		if (!c->binary && pg_found(m, value))
			return pg_type_zero(&type, false, false, true, value, w) ? MASKED_VALUE : MASKED_NULL;
		break;
	case SHAPE_BYTEA:
		if (hex ? hex_found(m, value) : pg_found(m, value)) {
			(void)pg_type_zero(&type, c->binary, false, true, value, w);
			return MASKED_VALUE;
		}
		break;
	case SHAPE_JSONB:
		if (c->binary)
			writer_u8(w, 1);
		pg_json(m, -1, c->binary && value.len ? bytes_of(value.base + 1, value.len - 1) : value, w);
		return MASKED_VALUE;
	case SHAPE_JSON:
		pg_json(m, -1, value, w);
		return MASKED_VALUE;
	case SHAPE_ARRAY:
	case SHAPE_RECORD:
		if (!c->binary)
			return pg_items_text(m, &type, -1, value, w);
		return type.shape == SHAPE_ARRAY ? pg_array_binary(m, -1, value, w, depth) : pg_record_binary(m, -1, value, w, depth);
	case SHAPE_OTHER:
		if (c->binary && pg_found(m, value))
			return MASKED_NULL;
		if (!c->binary && pg_text(m, value, w))
			return MASKED_VALUE;
		break;
	case SHAPE_TEXT:
		if (pg_text(m, value, w))
			return MASKED_VALUE;
		break;
	}
	writer_put(w, value);
	return MASKED_VALUE;
}

enum pg_masked pg_detect(struct pg_masker *m, const struct pg_column *c, struct bytes value, struct writer *w)
{
	return detect(m, c, value, w, 0);
}

enum pg_masked pg_value_at(struct pg_masker *m, const struct pg_column *c, struct bytes value, struct writer *w, unsigned depth)
{
	return c->class >= 0 ? whole(m, c, value, w, depth) : detect(m, c, value, w, depth);
}

enum pg_masked pg_value(struct pg_masker *m, const struct pg_column *c, struct bytes value, struct writer *w)
{
	return c->class >= 0 ? pg_whole(m, c, value, w) : pg_detect(m, c, value, w);
}
