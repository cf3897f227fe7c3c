#include "dataplane/inspect/postgres/names.h"

static bool same(const struct pg_name *p, enum pg_name_space space, struct bytes name)
{
	return p->used && p->space == space && bytes_equal(bytes_of(p->name, p->len), name);
}

enum pg_lookup pg_name_find(const struct pg_names *n, enum pg_name_space space, struct bytes name, uint32_t group, int *slot)
{
	int found = -1;

	*slot = -1;
	for (int i = pg_name_slot(n, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(n, i + 1)) {
		const struct pg_name *p = &n->slot[i];

		if (!same(p, space, name))
			continue;
		if ((p->pending && p->made_in != group) || (p->closing && p->closed_in != group))
			return PG_NAME_WAIT;
		/* Made later in this group takes precedence: it stands in the way of what was known. */
		if (!p->closing && (found < 0 || p->serial > n->slot[found].serial))
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

/* Texts lie one after the other; the holes of freed ones are closed when room is short. */
static void text_compact(struct pg_names *n)
{
	uint32_t to = 0, from = 0;

	while (from < n->text_used) {
		struct pg_name *next = NULL;

		for (int i = pg_name_slot(n, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(n, i + 1)) {
			struct pg_name *p = &n->slot[i];

			if (p->used && held(p) && p->text_at >= from && (!next || p->text_at < next->text_at))
				next = p;
		}
		if (!next)
			break;
		from = next->text_at + held(next);
		memmove(n->text + to, n->text + next->text_at, held(next));
		next->text_at = to;
		to += held(next);
	}
	n->text_used = to;
}

int pg_name_add(struct pg_names *n, enum pg_name_space space, struct bytes name, uint32_t group, struct bytes text, struct bytes types)
{
	int first = space == PG_STATEMENT ? 0 : PG_STATEMENTS;
	int end = space == PG_STATEMENT ? PG_STATEMENTS : PG_STATEMENTS + PG_PORTALS;
	int slot = first;
	size_t len = text.len + types.len;
	struct pg_name *p;

	while (slot < end && n->slot[slot].used)
		slot++;
	if (slot == end || name.len > PG_NAME_BYTES || len > PG_TEXT_BYTES)
		return -1;
	if (len > PG_TEXT_BYTES - n->text_used)
		text_compact(n);
	if (len > PG_TEXT_BYTES - n->text_used)
		return -1;
	if (space == PG_STATEMENT && slot >= n->statements_top)
		n->statements_top = slot + 1;
	if (space == PG_PORTAL && slot >= PG_STATEMENTS + n->portals_top)
		n->portals_top = slot + 1 - PG_STATEMENTS;
	p = &n->slot[slot];
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

enum pg_lookup pg_name_fits(const struct pg_names *n, enum pg_name_space space, size_t text_len)
{
	size_t taken = 0;
	bool slot = space == PG_STATEMENT ? n->statements_top < PG_STATEMENTS : n->portals_top < PG_PORTALS, pending = false;

	for (int i = pg_name_slot(n, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(n, i + 1)) {
		pending |= n->slot[i].used && (n->slot[i].pending || n->slot[i].closing);
		taken += n->slot[i].used ? held(&n->slot[i]) : 0;
		slot |= !n->slot[i].used && (i < PG_STATEMENTS) == (space == PG_STATEMENT);
	}
	if (slot && text_len <= PG_TEXT_BYTES - taken)
		return PG_NAME_FOUND;
	return pending && text_len <= PG_TEXT_BYTES ? PG_NAME_WAIT : PG_NAME_UNKNOWN;
}

struct bytes pg_name_text(const struct pg_names *n, int slot)
{
	return bytes_of(n->text + n->slot[slot].text_at, n->slot[slot].text_len);
}

struct bytes pg_name_types(const struct pg_names *n, int slot)
{
	return bytes_of(n->text + n->slot[slot].text_at + n->slot[slot].text_len, n->slot[slot].types_len);
}

void pg_name_confirm(struct pg_names *n, int slot, void (*drop)(void *ctx, int slot), void *ctx)
{
	struct pg_name *p = &n->slot[slot];

	p->pending = false;
	for (int i = pg_name_slot(n, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(n, i + 1))
		if (i != slot && !n->slot[i].pending && same(&n->slot[i], p->space, bytes_of(p->name, p->len)))
			drop(ctx, i);
}

void pg_name_free(struct pg_names *n, int slot)
{
	n->slot[slot].used = false;
}

void pg_name_closing(struct pg_names *n, int slot, uint32_t group)
{
	n->slot[slot].closing = true;
	n->slot[slot].closed_in = group;
}
