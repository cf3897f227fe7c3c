/* veil.c: values as veil.h says, by the shape of their type.
 *
 * Where a class's own mask fits into what it hides it stands there, at the end, behind stars; else there are stars only. Types that are no
 * text get a value that stands for nothing and is as long: zeros, 1970-01-01, a network of the same notation.
 */
#include "dataplane/inspect/postgres/veil.h"

#define FIRST_USER_TYPE 16384 /* FirstNormalObjectId */

static struct pg_shown all(const struct pg_window *w)
{
	return (struct pg_shown){ w->len, w->len };
}

static struct pg_shown through(size_t decided)
{
	return (struct pg_shown){ decided, decided > PG_SIGHT ? decided - PG_SIGHT : 0 };
}

/* `mask` at the end of `len` bytes. */
static void put(const struct pg_veil *x, const struct writer *mask, uint8_t *v, size_t len)
{
	size_t have = mask->ok && mask->len <= len ? mask->len : 0;

	memset(v, x->marks.filler, len - have);
	memcpy(v + len - have, mask->base, have);
}

static void hide(struct pg_veil *x, const struct match_hit *hit, bool number, uint8_t *v, size_t len)
{
	uint8_t text[512];
	struct writer t = writer_of(text, sizeof(text));
	int class = policy_class_of_detector(x->s->env->snapshot->image, &x->command->mask, hit->class);

	pg_command_masked(x->command, class < 0 ? 0 : (unsigned)class);
	if (number) {
		memset(v, '0', len);
		return;
	}
	pg_hit_text(&x->m, hit->class, len, bytes_of(v, len), &t);
	put(x, &t, v, len);
}

static struct pg_shown scan(struct pg_veil *x, const struct class_bits *context, bool number, const struct pg_window *w)
{
	struct match_want want = { .classes = x->m.want.classes, .context = *context };
	size_t longest = match_longest(x->s->env->snapshot->match), at = w->done;
	size_t end = w->last ? w->len : w->len > longest ? w->len - longest : 0;
	struct match_hit *hits = pg_shared(x->s)->veil.hits;
	size_t n = 0;

	if (class_bits_any(&want.classes))
		n = match_value(x->s->env->snapshot->match, x->s->env->scratch, &want, bytes_of(w->v, w->len), hits, PG_VEIL_HITS);
	else
		end = w->len;
	if (!w->last && end <= at) {
		/* So full of escapes that the longest value does not fit into what is seen. */
		memset(w->v + at, number ? '0' : x->marks.filler, w->len - at);
		return through(w->len);
	}
	for (size_t i = 0; i < n; i++) {
		if (hits[i].end <= at)
			continue;
		/* It may go on behind the window, if it is not already as long as anything can be. */
		if (!w->last && hits[i].end > end && hits[i].start > at) {
			end = hits[i].start < end ? hits[i].start : end;
			break;
		}
		if (hits[i].start >= end)
			break;
		if (hits[i].start > at)
			at = hits[i].start;
		hide(x, &hits[i], number, w->v + at, hits[i].end - at);
		at = hits[i].end;
	}
	return through(end > at ? end : at);
}

struct pg_shown pg_veil_text(struct pg_veil *x, int class, const struct class_bits *context, const struct pg_window *w)
{
	uint8_t text[512];
	struct writer t = writer_of(text, sizeof(text));

	if (class < 0)
		return scan(x, context, false, w);
	if (w->first && w->last && w->len)
		pg_class_text(&x->m, class, w->len, w->len > 256, bytes_of(w->v, w->len), &t);
	put(x, &t, w->v + w->done, w->len - w->done);
	return all(w);
}

void pg_veil_open(const struct pg_veil *x, struct pg_layer *l, enum pg_notation notation, const struct pg_window *w, size_t from,
		  struct pg_window *inner)
{
	pg_layer_read(l, notation, &x->marks, bytes_of(w->v + from, w->len - from), w->last);
	*inner = (struct pg_window){ .v = l->plain, .len = l->len, .first = w->first, .last = w->last || l->ended };
	inner->done = w->done > from ? pg_layer_place(l, w->done - from) : 0;
}

struct pg_shown pg_veil_close(const struct pg_veil *x, const struct pg_layer *l, enum pg_notation notation, const struct pg_window *w, size_t from,
			      struct pg_shown shown)
{
	pg_layer_write(l, notation, &x->marks, shown.decided, w->v + from);
	return (struct pg_shown){ from + l->at[shown.decided], from + l->at[shown.keep] };
}

/* Bytes of a bytea in text format: `\x` and digits, or the older notation, which is looked at as it stands. */
static struct pg_shown bytea(struct pg_veil *x, const struct pg_column *c, const struct pg_window *w)
{
	struct pg_layer *l = &pg_shared(x->s)->veil.layer[2];
	size_t from = 0;
	struct pg_window inner;

	if (w->first)
		x->state->hex = !c->binary && w->len >= 2 && w->v[0] == '\\' && w->v[1] == 'x';
	from = w->first && x->state->hex ? 2 : 0;
	if (c->class >= 0) {
		size_t at = w->done > from ? w->done : from;

		memset(w->v + at, x->state->hex ? '0' : c->binary ? 0 : x->marks.filler, w->len - at);
		return all(w);
	}
	if (!x->state->hex)
		return scan(x, &x->m.want.context, false, w);
	pg_veil_open(x, l, NOTE_HEX, w, from, &inner);
	return pg_veil_close(x, l, NOTE_HEX, w, from, scan(x, &x->m.want.context, false, &inner));
}

/* Numbers and networks: looked at as their text, and blank when something is in them. */
static struct pg_shown number(struct pg_veil *x, const struct pg_column *c, const struct pg_type *type, const struct pg_window *w)
{
	bool network = type->shape == SHAPE_INET || type->shape == SHAPE_CIDR;
	struct bytes v = bytes_of(w->v, w->len);
	uint8_t text[80];
	struct writer decimal = writer_of(text, sizeof(text));

	if (!w->first || !w->last)
		return c->binary ? all(w) : scan(x, &x->m.want.context, true, w);
	if (c->binary)
		v = !network && pg_type_decimal(type, v, &decimal) ? writer_done(&decimal) : (struct bytes){ 0 };
	if (v.len >= 4 && pg_found(&x->m, v))
		pg_veil_blank(type, c->binary, false, w->v, w->len);
	return all(w);
}

/* A tagged value of a type that is not known: it may be a row of a table's own type, or an array. */
static struct pg_shown unknown(struct pg_veil *x, const struct pg_column *c, const struct pg_window *w)
{
	const struct pg_column item = { .type = PG_TYPE_TEXT, .typmod = -1, .class = c->class };

	if (w->first)
		x->state->open = !c->binary && c->type >= FIRST_USER_TYPE && w->len && (w->v[0] == '(' || w->v[0] == '{') ? w->v[0] : 0;
	if (x->state->open)
		return pg_veil_items(x, x->state->open == '{', &item, w);
	return pg_veil_text(x, c->class, &x->m.want.context, w);
}

static struct pg_shown json(struct pg_veil *x, const struct pg_column *c, const struct pg_type *type, const struct pg_window *w)
{
	struct pg_window text = *w;
	struct pg_shown shown;

	if (type->shape != SHAPE_JSONB || !c->binary || !w->first || !w->len)
		return pg_veil_json(x, c->class, w);
	/* The version stands before the text. */
	text.v++;
	text.len--;
	shown = pg_veil_json(x, c->class, &text);
	return (struct pg_shown){ shown.decided + 1, shown.keep + 1 };
}

struct pg_shown pg_veil_value(struct pg_veil *x, const struct pg_column *c, const struct pg_window *w)
{
	struct pg_type type = c->type || c->binary ? pg_type(c->type) : (struct pg_type){ SHAPE_TEXT };
	struct pg_column item = { .type = type.shape == SHAPE_ARRAY ? type.element : PG_TYPE_TEXT, .typmod = -1, .class = c->class };
	bool keep_year = c->class >= 0 && x->s->env->snapshot->classes[c->class].mask.kind == MASK_YEAR;

	switch (type.shape) {
	case SHAPE_TEXT:
		return pg_veil_text(x, c->class, &x->m.want.context, w);
	case SHAPE_JSON:
	case SHAPE_JSONB:
		return json(x, c, &type, w);
	case SHAPE_ARRAY:
	case SHAPE_RECORD:
		/* In binary only those that are nested too deeply to be taken apart come here. */
		if (c->binary)
			return pg_veil_text(x, c->class, &x->m.want.context, w);
		return pg_veil_items(x, type.shape == SHAPE_ARRAY, &item, w);
	case SHAPE_BYTEA:
		return bytea(x, c, w);
	case SHAPE_OTHER:
		return c->class >= 0 ? unknown(x, c, w) : scan(x, &x->m.want.context, false, w);
	case SHAPE_INTEGER:
	case SHAPE_FLOAT:
	case SHAPE_NUMERIC:
	case SHAPE_MONEY:
	case SHAPE_INET:
	case SHAPE_CIDR:
		if (c->class < 0)
			return number(x, c, &type, w);
		break;
	case SHAPE_BOOL:
	case SHAPE_DATE:
	case SHAPE_TIMESTAMP:
	case SHAPE_TIMESTAMPTZ:
	case SHAPE_UUID:
		if (c->class < 0)
			return all(w);
		break;
	}
	if (w->first && w->last)
		pg_veil_blank(&type, c->binary, keep_year, w->v, w->len);
	else
		memset(w->v + w->done, c->binary ? 0 : '0', w->len - w->done);
	return all(w);
}
