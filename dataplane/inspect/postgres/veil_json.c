/* veil_json.c: JSON as json.c masks it, with quotes, keys and structure where they were.
 *
 * One token after the other; what a key says of its value is all that is remembered, so there is no depth to be limited. A token that does not
 * end within the window waits for one that begins with it; a string that is longer than that is looked at like any long text, unless its key
 * or column masks it; a number that is longer becomes 0. Masked numbers are a 0 and spaces.
 */
#include "dataplane/inspect/postgres/veil.h"

static bool space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool mark(uint8_t c)
{
	return memchr("{}[],:\"", c, 7) != NULL;
}

static int class_of(const struct pg_veil *x, int class, bool key)
{
	return class >= 0 ? class : key ? -1 : x->state->key_class;
}

/* The characters of a string, from `from` on. `*over`: its end was seen, and all of it is decided. */
static struct pg_shown string(struct pg_veil *x, int class, bool key, const struct pg_window *w, size_t from, bool *over)
{
	struct pg_layer *l = &pg_shared(x->s)->veil.layer[2];
	int masked = class_of(x, key ? -1 : class, key);
	struct class_bits context = class_bits_or(x->m.want.context, key ? (struct class_bits){ 0 } : x->state->key_context);
	struct pg_window inner;
	struct pg_shown shown;

	pg_veil_open(x, l, NOTE_JSON, w, from, &inner);
	inner.first = x->state->json == PG_JSON_BETWEEN;
	if (masked >= 0 && class < 0)
		pg_command_masked(x->command, (unsigned)masked);
	shown = pg_veil_text(x, masked, &context, &inner);
	*over = inner.last && shown.decided == inner.len;
	return pg_veil_close(x, l, NOTE_JSON, w, from, shown);
}

static void learn(struct pg_veil *x, struct bytes key)
{
	int class;

	pg_json_key(&x->m, key, &x->state->key_context, &class);
	x->state->key_class = (int16_t)class;
}

static void forget(struct pg_veil *x)
{
	x->state->key_context = (struct class_bits){ 0 };
	x->state->key_class = -1;
}

static void zero(const struct pg_veil *x, uint8_t *v, size_t len)
{
	if (x->spaces || len == 1) {
		memset(v, ' ', len);
		v[0] = '0';
	} else if (len == 2) {
		memcpy(v, "-0", 2);
	} else {
		memset(v, '0', len);
		v[1] = '.';
	}
}

static void bare(struct pg_veil *x, int class, uint8_t *v, size_t len)
{
	bool number = v[0] == '-' || (v[0] >= '0' && v[0] <= '9');
	struct pg_masker m = x->m;
	int masked = class_of(x, class, false);

	m.want.context = class_bits_or(m.want.context, x->state->key_context);
	if (!number || (masked < 0 && !pg_found(&m, bytes_of(v, len))))
		return;
	if (masked >= 0 && class < 0)
		pg_command_masked(x->command, (unsigned)masked);
	zero(x, v, len);
}

/* The token at `at`: where it ends, when all of it can be dealt with; 0: it needs a window of its own. */
static size_t string_token(struct pg_veil *x, int class, const struct pg_window *w, size_t at)
{
	size_t end = at + 1, next;
	struct pg_window whole;
	bool key, unsure, over;

	while (end < w->len && w->v[end] != '"')
		end += w->v[end] == '\\' ? 2 : 1;
	next = end + 1;
	while (next < w->len && space(w->v[next]))
		next++;
	if (end >= w->len && !w->last)
		return 0;
	end = end < w->len ? end : w->len;
	unsure = next >= w->len && !w->last;
	if (unsure && at > 0)
		return 0;
	key = next < w->len && w->v[next] == ':';
	whole = (struct pg_window){ .v = w->v, .len = end, .first = true, .last = true };
	if (key || unsure) {
		/* What it says, before it may be masked itself. */
		struct pg_veiled before = *x->state, after;

		learn(x, bytes_of(w->v + at + 1, end - at - 1));
		after = *x->state;
		*x->state = before;
		(void)string(x, class, key, &whole, at + 1, &over);
		*x->state = after;
	} else {
		(void)string(x, class, false, &whole, at + 1, &over);
	}
	return end < w->len ? end + 1 : w->len;
}

static size_t bare_token(struct pg_veil *x, int class, const struct pg_window *w, size_t at)
{
	size_t end = at;

	while (end < w->len && !space(w->v[end]) && !mark(w->v[end]))
		end++;
	if (end == w->len && !w->last) {
		if (at > 0)
			return 0;
		zero(x, w->v, w->len);
		x->state->json = PG_JSON_BARE;
		return end;
	}
	bare(x, class, w->v + at, end - at);
	return end;
}

/* What is left of a token that began in an earlier window: where it ends; `*shown` when it does not. */
static bool rest(struct pg_veil *x, int class, const struct pg_window *w, size_t *at, struct pg_shown *shown)
{
	bool over = true;

	if (x->state->json == PG_JSON_STRING) {
		*shown = string(x, class, false, w, 0, &over);
		if (!over)
			return false;
		*at = shown->decided + (shown->decided < w->len);
	} else if (x->state->json == PG_JSON_BARE) {
		for (*at = w->done; *at < w->len && !space(w->v[*at]) && !mark(w->v[*at]); ++*at)
			w->v[*at] = x->spaces ? ' ' : '0';
		over = *at < w->len || w->last;
		*shown = (struct pg_shown){ *at, *at };
	}
	if (over)
		x->state->json = PG_JSON_BETWEEN;
	return over;
}

struct pg_shown pg_veil_json(struct pg_veil *x, int class, const struct pg_window *w)
{
	struct pg_shown shown = { 0 };
	size_t at = 0;

	if (w->first)
		forget(x);
	if (!rest(x, class, w, &at, &shown))
		return shown;
	while (at < w->len) {
		uint8_t c = w->v[at];
		size_t end = at + 1;
		bool over;

		if (c == '"')
			end = string_token(x, class, w, at);
		else if (!space(c) && !mark(c))
			end = bare_token(x, class, w, at);
		else if (c == '}')
			forget(x);
		if (!end && !at) {
			/* Longer than a window. */
			shown = string(x, class, false, w, 1, &over);
			x->state->json = PG_JSON_STRING;
			return shown;
		}
		if (!end)
			break;
		at = end;
	}
	return (struct pg_shown){ at, at };
}
