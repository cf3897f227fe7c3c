#include "dataplane/inspect/postgres/commands.h"

#include "dataplane/inspect/postgres/depth.h"

_Static_assert(PG_DIGESTS_OWN > PG_PORTALS_OWN && PG_DIGESTS_MORE > PG_PORTALS_MORE, "portals alone never use all digests up");
_Static_assert(PG_COMMANDS_OWN >= PG_DIGESTS_OWN && PG_COMMANDS_MORE >= PG_DIGESTS_MORE, "… nor all commands");

struct pg_command *pg_command_deep(const struct pg_commands *c, int command)
{
	unsigned i = (unsigned)(command - PG_COMMANDS_OWN);

	return &c->depths->of[i / PG_COMMANDS_MORE]->command[i % PG_COMMANDS_MORE];
}

struct pg_digest *pg_digest_deep(const struct pg_commands *c, int digest)
{
	unsigned i = (unsigned)(digest - PG_DIGESTS_OWN);

	return &c->depths->of[i / PG_DIGESTS_MORE]->digest[i % PG_DIGESTS_MORE];
}

bool pg_depths_add(struct pg_depths *d)
{
	struct pg_depth *more = d->count < PG_DEPTHS ? pg_borrow(d->lender, INSPECT_PIECE_SMALL) : NULL;

	if (!more)
		return false;
	d->of[d->count++] = more;
	return true;
}

static int free_command(const struct pg_commands *c)
{
	for (int i = 0; i < pg_commands_count(c); i++)
		if (!pg_command_at(c, i)->used)
			return i;
	return -1;
}

static int free_digest(const struct pg_commands *c)
{
	for (int i = 0; i < pg_digests_count(c); i++)
		if (!pg_digest_at(c, i)->used)
			return i;
	return -1;
}

int pg_command_new(struct pg_commands *c)
{
	int i = free_command(c);

	struct pg_command *p;

	if (i < 0)
		return -1;
	p = pg_command_at(c, i);
	memset(p, 0, offsetof(struct pg_command, tag));
	p->used = true;
	p->refs = 1;
	p->digest = p->text_slot = -1;
	return i;
}

int pg_digest_new(struct pg_commands *c)
{
	int i = free_digest(c);

	if (i >= 0)
		*pg_digest_at(c, i) = (struct pg_digest){ .used = true, .relation = -1 };
	return i;
}

bool pg_commands_room(struct pg_commands *c)
{
	return (free_command(c) >= 0 && free_digest(c) >= 0) || pg_depths_add(c->depths);
}

void pg_command_get(struct pg_commands *c, int command)
{
	if (command >= 0)
		pg_command_at(c, command)->refs++;
}

void pg_command_put(struct pg_commands *c, int command, const struct inspect_host *host, void *host_context, bool lost)
{
	struct pg_command *p;

	if (command < 0)
		return;
	p = pg_command_at(c, command);
	if (--p->refs > 0)
		return;
	pg_command_respond(c, command, host, host_context, lost);
	if (p->digest >= 0)
		pg_digest_at(c, p->digest)->used = false;
	p->used = false;
}

static enum response_outcome outcome(const struct pg_command *p, bool lost)
{
	if (p->refused)
		return p->cancelled ? RESPONSE_CANCELLED : RESPONSE_REFUSED;
	if (p->status[0])
		return RESPONSE_ERROR;
	return lost ? RESPONSE_LOST : RESPONSE_OK;
}

void pg_command_respond(struct pg_commands *c, int command, const struct inspect_host *host, void *host_context, bool lost)
{
	struct pg_command *p = pg_command_at(c, command);
	uint32_t masked[LIMIT_CLASSES];
	struct inspect_response r;
	unsigned classes = 0; /* one more than the highest */

	if (p->responded)
		return;
	p->responded = true;
	for (unsigned i = 0; i < p->masked_count; i++)
		if (p->masked[i].class % LIMIT_CLASSES >= classes)
			classes = p->masked[i].class % LIMIT_CLASSES + 1;
	memset(masked, 0, classes * sizeof(masked[0]));
	for (unsigned i = 0; i < p->masked_count; i++)
		masked[p->masked[i].class % LIMIT_CLASSES] = p->masked[i].cells;
	r = (struct inspect_response){
		.ref = p->n, .outcome = outcome(p, lost), .rows = p->rows, .octets = p->octets,
		.status = bytes_str(p->status[0] ? p->status : "00000"), .tag = bytes_of(p->tag, p->tag_len),
		.masked = p->masked_count ? masked : NULL, .masked_count = classes, .limit = p->over, .sent_cut = p->cut,
	};
	host->responded(host_context, &r);
}

void pg_command_masked(struct pg_command *command, unsigned class)
{
	unsigned i = 0;

	while (i < command->masked_count && command->masked[i].class != class)
		i++;
	if (i == PG_MASKED)
		return;
	if (i == command->masked_count) {
		command->masked[i].class = (uint16_t)class;
		command->masked[i].cells = 0;
		command->masked_count++;
	}
	command->masked[i].cells++;
}

unsigned pg_digest_flow(const struct pg_digest *d, unsigned statement, unsigned column, unsigned columns)
{
	unsigned begin = 0, end, at = 0, stars = 0, first_star = 0, last_star = 0;

	for (; at < statement && begin < d->flows; begin++)
		at += d->flow[begin] == PG_FLOW_STATEMENT;
	for (end = begin; end < d->flows && d->flow[end] != PG_FLOW_STATEMENT; end++) {
		if (d->flow[end] != PG_FLOW_STAR)
			continue;
		last_star = end - begin;
		if (!stars++)
			first_star = end - begin;
	}
	if (at < statement || (d->flows_cut && end == d->flows))
		return PG_FLOW_ALL;
	if (!stars)
		return end - begin == columns ? d->flow[begin + column] : PG_FLOW_ALL;
	if (column < first_star)
		return d->flow[begin + column];
	/* Behind the last star columns are counted from the end. */
	if (columns - column <= end - begin - 1 - last_star)
		return d->flow[end - (columns - column)];
	return PG_FLOW_ALL;
}
