#include "dataplane/inspect/postgres/names.h"

#include "dataplane/inspect/postgres/depth.h"

_Static_assert(PG_PORTALS == PG_PORTALS_OWN + PG_DEPTHS * PG_PORTALS_MORE, "the last depth has the last portals");

static bool same(const struct pg_name *p, enum pg_name_space space, struct bytes name)
{
	return p->used && p->space == space && bytes_equal(bytes_of(p->name, p->len), name);
}

enum pg_lookup pg_name_find(const struct pg_names *n, enum pg_name_space space, struct bytes name, uint32_t group, int *slot)
{
	int found = -1;

	*slot = -1;
	for (int i = pg_name_slot(n, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(n, i + 1)) {
		const struct pg_name *p = pg_name_at(n, i);

		if (!same(p, space, name))
			continue;
		if ((p->pending && p->made_in != group) || (p->closing && p->closed_in != group))
			return PG_NAME_WAIT;
		/* Made later in this group takes precedence: it stands in the way of what was known. */
		if (!p->closing && (found < 0 || p->serial > pg_name_at(n, found)->serial))
			found = i;
	}
	*slot = found;
	return found < 0 ? PG_NAME_UNKNOWN : PG_NAME_FOUND;
}

/* Bytes that the slot has among the texts. */
static uint32_t held(const struct pg_name *p)
{
	return p->text_len + p->types_len;
}

/* Texts lie one after the other; this closes the holes of freed ones, there or in another place. */
static void text_move(struct pg_names *n, uint8_t *place, uint32_t cap)
{
	uint32_t to = 0, from = 0;

	while (from < n->text_used) {
		struct pg_name *next = NULL;

		for (int i = pg_name_slot(n, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(n, i + 1)) {
			struct pg_name *p = pg_name_at(n, i);

			if (p->used && held(p) && p->text_at >= from && (!next || p->text_at < next->text_at))
				next = p;
		}
		if (!next)
			break;
		from = next->text_at + held(next);
		memmove(place + to, n->text + next->text_at, held(next));
		next->text_at = to;
		to += held(next);
	}
	n->text_used = to;
	n->text = place;
	n->text_cap = cap;
}

static bool borrow_texts(struct pg_names *n)
{
	if (!n->texts)
		n->texts = pg_borrow(n->lender, INSPECT_PIECE_SMALL);
	return n->texts != NULL;
}

/* Room for so many bytes of text in all. */
static bool text_grow(struct pg_names *n, size_t len)
{
	if (len <= n->text_cap)
		return true;
	if (len <= PG_TEXTS_BYTES && borrow_texts(n)) {
		text_move(n, n->texts->text, PG_TEXTS_BYTES);
		return true;
	}
	if (len <= PG_TEXT_BYTES && !n->large)
		n->large = pg_borrow(n->lender, INSPECT_PIECE_LARGE);
	if (len > PG_TEXT_BYTES || !n->large)
		return false;
	text_move(n, n->large, PG_TEXT_BYTES);
	return true;
}

/* Slots that there are now: statements, or portals. */
static int slots(const struct pg_names *n, enum pg_name_space space)
{
	if (space == PG_STATEMENT)
		return n->texts ? PG_STATEMENTS : PG_STATEMENTS_OWN;
	return PG_PORTALS_OWN + PG_PORTALS_MORE * n->depths->count;
}

struct pg_name *pg_name_beyond(const struct pg_names *n, int slot)
{
	unsigned portal = (unsigned)(slot - PG_STATEMENTS - PG_PORTALS_OWN);

	if (slot < PG_STATEMENTS)
		return &n->texts->statement[slot - PG_STATEMENTS_OWN];
	return &n->depths->of[portal / PG_PORTALS_MORE]->portal[portal % PG_PORTALS_MORE];
}

void pg_names_init(struct pg_names *n, struct pg_depths *depths)
{
	n->depths = depths;
	n->lender = depths->lender;
	n->text = n->own_text;
	n->text_cap = PG_TEXT_OWN_BYTES;
}

int pg_name_add(struct pg_names *n, enum pg_name_space space, struct bytes name, uint32_t group, struct bytes text, struct bytes types)
{
	int first = space == PG_STATEMENT ? 0 : PG_STATEMENTS;
	int end = first + slots(n, space);
	int slot = first;
	size_t len = text.len + types.len;
	struct pg_name *p;

	while (slot < end && pg_name_at(n, slot)->used)
		slot++;
	if (slot == end || name.len > PG_NAME_BYTES || len > PG_TEXT_BYTES)
		return -1;
	if (len > n->text_cap - n->text_used)
		text_move(n, n->text, n->text_cap);
	if (len > n->text_cap - n->text_used)
		return -1;
	if (space == PG_STATEMENT && slot >= n->statements_top)
		n->statements_top = slot + 1;
	if (space == PG_PORTAL && slot >= PG_STATEMENTS + n->portals_top)
		n->portals_top = slot + 1 - PG_STATEMENTS;
	p = pg_name_at(n, slot);
	*p = (struct pg_name){ .used = true, .pending = true, .space = space, .len = (uint8_t)name.len, .made_in = group, .serial = ++n->serial,
			       .command = -1, .text_at = n->text_used, .text_len = (uint32_t)text.len, .types_len = (uint32_t)types.len };
	memcpy(p->name, name.base ? name.base : (const uint8_t *)"", name.len);
	if (text.len)
		memcpy(n->text + n->text_used, text.base, text.len);
	if (types.len)
		memcpy(n->text + n->text_used + text.len, types.base, types.len);
	n->text_used += (uint32_t)len;
	return slot;
}

enum pg_lookup pg_name_fits(struct pg_names *n, enum pg_name_space space, size_t text_len)
{
	int top = space == PG_STATEMENT ? n->statements_top : n->portals_top;
	bool slot = top < slots(n, space), pending = false;
	size_t taken = 0;

	for (int i = pg_name_slot(n, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(n, i + 1)) {
		const struct pg_name *p = pg_name_at(n, i);

		pending |= p->used && (p->pending || p->closing);
		taken += p->used ? held(p) : 0;
		slot |= !p->used && (i < PG_STATEMENTS) == (space == PG_STATEMENT);
	}
	if (!slot)
		slot = space == PG_STATEMENT ? !n->texts && borrow_texts(n) : pg_depths_add(n->depths);
	if (slot && text_grow(n, taken + text_len))
		return PG_NAME_FOUND;
	return pending && text_len <= PG_TEXT_BYTES ? PG_NAME_WAIT : PG_NAME_UNKNOWN;
}

void pg_names_settle(struct pg_names *n)
{
	bool beyond = false;
	size_t taken = 0;

	if (n->portals_top > slots(n, PG_PORTAL))
		n->portals_top = slots(n, PG_PORTAL);
	if (!n->texts && !n->large)
		return;
	for (int i = pg_name_slot(n, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(n, i + 1)) {
		const struct pg_name *p = pg_name_at(n, i);

		taken += p->used ? held(p) : 0;
		beyond |= p->used && i >= PG_STATEMENTS_OWN && i < PG_STATEMENTS;
	}
	/* Half is left free, so that it does not have to grow again at once. */
	if (taken <= PG_TEXT_OWN_BYTES / 2)
		text_move(n, n->own_text, PG_TEXT_OWN_BYTES);
	else if (n->texts && n->text == n->large && taken <= PG_TEXTS_BYTES / 2)
		text_move(n, n->texts->text, PG_TEXTS_BYTES);
	if (n->large && n->text != n->large) {
		pg_give_back(n->lender, INSPECT_PIECE_LARGE, n->large);
		n->large = NULL;
	}
	if (n->texts && n->text != n->texts->text && !beyond) {
		pg_give_back(n->lender, INSPECT_PIECE_SMALL, n->texts);
		n->texts = NULL;
		n->statements_top = n->statements_top < PG_STATEMENTS_OWN ? n->statements_top : PG_STATEMENTS_OWN;
	}
}

struct bytes pg_name_text(const struct pg_names *n, int slot)
{
	const struct pg_name *p = pg_name_at(n, slot);

	return bytes_of(n->text + p->text_at, p->text_len);
}

struct bytes pg_name_types(const struct pg_names *n, int slot)
{
	const struct pg_name *p = pg_name_at(n, slot);

	return bytes_of(n->text + p->text_at + p->text_len, p->types_len);
}

void pg_name_confirm(struct pg_names *n, int slot, void (*drop)(void *ctx, int slot), void *ctx)
{
	struct pg_name *p = pg_name_at(n, slot);

	p->pending = false;
	for (int i = pg_name_slot(n, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(n, i + 1))
		if (i != slot && !pg_name_at(n, i)->pending && same(pg_name_at(n, i), p->space, bytes_of(p->name, p->len)))
			drop(ctx, i);
}

void pg_name_free(struct pg_names *n, int slot)
{
	pg_name_at(n, slot)->used = false;
}

void pg_name_closing(struct pg_names *n, int slot, uint32_t group)
{
	pg_name_at(n, slot)->closing = true;
	pg_name_at(n, slot)->closed_in = group;
}
