/* Whatever pg_digest reads has to be in the key: a field forgotten here is a mask forgotten there. */
#include "dataplane/inspect/postgres/session.h"

static bool is_settled(const struct pg_session *s)
{
	return !s->catalogue || !s->catalogue->taints;
}

static uint32_t changes(const struct pg_session *s)
{
	return s->catalogue ? s->catalogue->changes : 0;
}

static bool is_same(const struct pg_session *s, const struct pg_recalled *k, const struct pg_command *command, struct bytes classification)
{
	return k->len == classification.len && k->blind == command->blind && k->limited == pg_limited(command) &&
	       k->catalogue == s->catalogue && k->changes == changes(s) && k->policy_generation == s->policy_generation &&
	       !memcmp(&k->mask, &command->mask, sizeof k->mask) && !memcmp(k->classification, classification.base, classification.len);
}

bool pg_recall(struct pg_session *s, struct pg_command *command, struct bytes classification)
{
	struct pg_recall *r = &s->recall;

	if (!classification.len || !is_settled(s))
		return false;
	for (unsigned i = 0; i < PG_RECALLED; i++) {
		unsigned at = (r->last + i) % PG_RECALLED;
		const struct pg_recalled *k = &r->kept[at];

		if (!is_same(s, k, command, classification))
			continue;
		r->last = (uint8_t)at;
		command->traits = k->traits;
		command->scope = k->scope;
		command->washed = k->washed;
		return true;
	}
	return false;
}

void pg_recall_keep(struct pg_session *s, const struct pg_command *command, struct bytes classification)
{
	struct pg_recall *r = &s->recall;
	struct pg_recalled *k = &r->kept[r->next];
	struct class_bits any = pg_command_any(command);

	if (!classification.len || classification.len > PG_RECALL_BYTES || !is_settled(s) || command->digest >= 0 || command->writes ||
	    class_bits_any(&command->written) || (class_bits_any(&any) && !command->blind))
		return;
	r->last = r->next;
	r->next = (uint8_t)((r->next + 1) % PG_RECALLED);
	k->len = (uint16_t)classification.len;
	k->blind = command->blind;
	k->limited = pg_limited(command);
	k->catalogue = s->catalogue;
	k->changes = changes(s);
	k->policy_generation = s->policy_generation;
	k->mask = command->mask;
	k->traits = command->traits;
	k->scope = command->scope;
	k->washed = command->washed;
	memcpy(k->classification, classification.base, classification.len);
}
