#include "dataplane/inspect/postgres/commands.h"

int pg_command_new(struct pg_commands *c)
{
	for (int i = 0; i < PG_COMMANDS; i++) {
		if (c->command[i].used)
			continue;
		c->command[i] = (struct pg_command){ .used = true, .refs = 1, .digest = -1, .text_slot = -1 };
		return i;
	}
	return -1;
}

int pg_digest_new(struct pg_commands *c)
{
	for (int i = 0; i < PG_DIGESTS; i++) {
		struct pg_digest *d = &c->digest[i];

		if (d->used)
			continue;
		*d = (struct pg_digest){ .used = true, .relation = -1 };
		return i;
	}
	return -1;
}

bool pg_commands_room(const struct pg_commands *c)
{
	bool command = false, digest = false;

	for (int i = 0; i < PG_COMMANDS && !command; i++)
		command = !c->command[i].used;
	for (int i = 0; i < PG_DIGESTS && !digest; i++)
		digest = !c->digest[i].used;
	return command && digest;
}

void pg_command_get(struct pg_commands *c, int command)
{
	if (command >= 0)
		c->command[command].refs++;
}

void pg_command_put(struct pg_commands *c, int command, const struct inspect_host *host, void *host_context, bool lost)
{
	if (command < 0 || --c->command[command].refs > 0)
		return;
	pg_command_respond(c, command, host, host_context, lost);
	if (c->command[command].digest >= 0)
		c->digest[c->command[command].digest].used = false;
	c->command[command].used = false;
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
	struct pg_command *p = &c->command[command];
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
		.masked = p->masked_count ? masked : NULL, .masked_count = classes, .limit = p->over,
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
	if (i == command->masked_count)
		command->masked[command->masked_count++].class = (uint16_t)class;
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
