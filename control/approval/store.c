#include "control/approval/store.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "platform/base/random.h"
#include "platform/base/secret.h"

/* Crockford's base 32: no letter that is read as another. 128 bits are 26 characters, the first of which holds 3 bits. */
void store_id_text(const uint8_t id[APPROVAL_ID_BYTES], char out[APPROVAL_ID_TEXT])
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	unsigned __int128 value = 0;

	for (unsigned i = 0; i < APPROVAL_ID_BYTES; i++)
		value = value << 8 | id[i];
	for (unsigned i = 0; i < APPROVAL_ID_TEXT - 1; i++)
		out[i] = digits[(unsigned)(value >> (5 * (25 - i))) & 31];
	out[APPROVAL_ID_TEXT - 1] = 0;
}

struct bytes store_who(const struct approval *a)
{
	return bytes_of(a->who, a->who_len);
}

static void approval_free(struct approval *a)
{
	for (unsigned i = 0; a->vote && i < a->votes; i++) {
		principal_put(a->vote[i].voter);
		principal_put(a->vote[i].newer);
	}
	free(a->vote);
	principal_put(a->requester);
	free(a->statement);
	free(a->who);
	free(a);
}

/* The oldest terminal object gives way when too many are kept. */
static void trim(struct approvals *as)
{
	for (unsigned i = 0; as->terminal > APPROVAL_KEPT && i < as->count; i++) {
		if (approval_is_terminal(as->all[i]->state)) {
			store_drop(as, as->all[i]);
			return;
		}
	}
}

struct approval *store_add(struct approvals *as)
{
	struct approval *a;

	if (as->counters.open >= APPROVAL_PENDING_MAX)
		return NULL;
	trim(as);
	if (as->count == as->room) {
		unsigned room = as->room ? 2 * as->room : 64;
		struct approval **all = realloc(as->all, room * sizeof(*all));

		if (!all)
			return NULL;
		as->all = all;
		as->room = room;
	}
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	as->all[as->count++] = a;
	as->counters.open++;
	as->requested++;
	return a;
}

void store_drop(struct approvals *as, struct approval *a)
{
	for (unsigned i = 0; i < as->count; i++) {
		if (as->all[i] != a)
			continue;
		memmove(as->all + i, as->all + i + 1, (as->count - i - 1) * sizeof(*as->all));
		as->count--;
		if (approval_is_terminal(a->state))
			as->terminal--;
		else
			as->counters.open--;
		if (a->state == APPROVAL_REQUESTED)
			as->requested--;
		approval_free(a);
		return;
	}
}

/* Steps, votes and those that lost their weight: they always have room. */
_Static_assert(APPROVAL_HISTORY_MAX >= APPROVAL_NOTES_MAX + 2 * APPROVAL_VOTES_MAX + 8, "no step displaces another from an approval's history");

bool store_begin(struct approval *a, const struct approval_terms *terms, struct principal *requester, struct bytes who, const uint8_t policy_sha256[32],
		 struct approval_clock now)
{
	random_secret(a->id, sizeof(a->id));
	store_id_text(a->id, a->id_text);
	a->state = APPROVAL_REQUESTED;
	a->needs = terms->needs;
	memcpy(a->need, terms->need, sizeof(a->need));
	for (unsigned i = 0; i < a->needs; i++)
		a->quorum += a->need[i].count;
	a->deny_quorum = terms->deny_quorum ? terms->deny_quorum : 1;
	a->created_us = now.wall_us;
	a->expires_us = now.wall_us + terms->expires_s * 1000000ull;
	a->expires_mono_us = now.mono_us + terms->expires_s * 1000000ull;
	a->use_by_s = terms->use_by_s;
	a->use_by_us = a->expires_us + terms->use_by_s * 1000000ull;
	a->free_clock_ok = terms->free_clock_ok;
	a->requester = principal_get(requester);
	snprintf(a->run, sizeof(a->run), "%s", requester->run);
	memcpy(a->policy_sha256, policy_sha256, sizeof(a->policy_sha256));
	a->who = malloc(who.len + 1);
	a->who_len = who.len;
	if (a->who && who.len)
		memcpy(a->who, who.base, who.len);
	return a->who != NULL;
}

bool store_statement(struct approval *a, struct bytes text)
{
	a->statement = text.len ? malloc(text.len) : NULL;
	if (!a->statement)
		return false;
	memcpy(a->statement, text.base, text.len);
	a->statement_len = text.len;
	SHA256(text.base, text.len, a->statement_sha256);
	return true;
}

void store_keep(struct approval *a, struct bytes type, uint64_t index)
{
	bool note = bytes_equal(type, bytes_str("approval.refused")) || bytes_equal(type, bytes_str("approval.join"));

	if (note && a->notes == APPROVAL_NOTES_MAX) {
		a->notes_left_out++;
		return;
	}
	a->notes += note;
	if (a->history < APPROVAL_HISTORY_MAX)
		a->record[a->history++] = index;
	else
		a->history_cut = true;
}

bool store_record(struct approvals *as, struct approval *a, const char *type, struct bytes who, struct bytes data, struct bytes payload)
{
	uint64_t index;

	if (!data.len || !as->host.record(as->host.ctx, a, type, who, data, payload, &index))
		return false;
	store_keep(a, bytes_str(type), index);
	return true;
}

void store_enter(struct approvals *as, struct approval *a, enum approval_state to, const char *result)
{
	uint64_t *counter[APPROVAL_states] = {
		[APPROVAL_APPROVED] = &as->counters.granted, [APPROVAL_DENIED] = &as->counters.denied,
		[APPROVAL_EXPIRED] = &as->counters.expired, [APPROVAL_CANCELLED] = &as->counters.cancelled,
		[APPROVAL_SUPERSEDED] = &as->counters.superseded, [APPROVAL_EXECUTED] = &as->counters.executed,
		[APPROVAL_UNKNOWN] = &as->counters.unknown, [APPROVAL_REVOKED] = &as->counters.revoked,
	};

	if (a->state == APPROVAL_REQUESTED && to != APPROVAL_REQUESTED)
		as->requested--;
	if (to != a->state && counter[to])
		(*counter[to])++;
	if (approval_is_terminal(to) && !approval_is_terminal(a->state)) {
		as->terminal++;
		as->counters.open--;
	}
	a->state = to;
	if (result && result[0])
		snprintf(a->result, sizeof(a->result), "%s", result);
}

static struct bytes step_data(const struct approval *a, enum approval_event event, enum approval_state to, const char *cause,
			      struct bytes extra, uint64_t at_us, struct writer *w)
{
	struct jcs j = jcs_of(w);

	jcs_open(&j);
	jcs_put_uint(&j, "at_us", at_us);
	jcs_put_str(&j, "cause", cause ? cause : "");
	jcs_put_str(&j, "event", approval_event_name(event));
	if (extra.len)
		jcs_put_raw(&j, "extra", extra);
	jcs_put_str(&j, "from", approval_state_name(a->state));
	jcs_put_str(&j, "to", approval_state_name(to));
	jcs_close(&j);
	return jcs_done(&j);
}

bool store_step(struct approvals *as, struct approval *a, enum approval_event event, const char *cause, struct bytes who, struct bytes extra)
{
	struct approval_step step = approval_step(a->state, event);
	uint8_t room[STORE_DATA_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct bytes data = step_data(a, event, step.to, cause, extra, as->now.wall_us, &w);

	if (!step.allowed) {
		as->counters.refused_events++;
		(void)store_record(as, a, "approval.refused", who, data, (struct bytes){ 0 });
		return false;
	}
	if (step.record && !store_record(as, a, step.record, who, data, (struct bytes){ 0 }))
		return false;
	if (event != APPROVAL_GETS_VOTE)
		store_enter(as, a, step.to, cause);
	return true;
}

void store_denied(struct approvals *as, const struct approval *a)
{
	const char *run = a->run;
	struct store_denial *d = NULL;

	if (!run[0])
		return;
	for (unsigned i = 0; i < STORE_DENIALS && i < as->denials && !d; i++) {
		if (!memcmp(as->denial[i].command_sha256, a->command_sha256, 32) && !strcmp(as->denial[i].run, run))
			d = &as->denial[i];
	}
	if (!d) {
		d = &as->denial[as->denials++ % STORE_DENIALS];
		*d = (struct store_denial){ 0 };
		memcpy(d->command_sha256, a->command_sha256, 32);
		snprintf(d->run, sizeof(d->run), "%s", run);
	}
	d->count++;
}

struct approvals *approvals_create(const struct approval_host *host, const char *node, const char *origin)
{
	struct approvals *as = calloc(1, sizeof(*as));

	if (!as)
		return NULL;
	as->host = *host;
	snprintf(as->node, sizeof(as->node), "%s", node);
	snprintf(as->origin, sizeof(as->origin), "%s", origin);
	return as;
}

void approvals_destroy(struct approvals *as)
{
	if (!as)
		return;
	for (unsigned i = 0; i < as->count; i++)
		approval_free(as->all[i]);
	free(as->all);
	free(as);
}

struct approval *approvals_find(struct approvals *as, const char *id_text)
{
	size_t len = strlen(id_text);
	struct approval *found = NULL;

	for (unsigned i = 0; len >= 4 && len < APPROVAL_ID_TEXT && i < as->count; i++) {
		if (strncasecmp(as->all[i]->id_text, id_text, len))
			continue;
		if (found)
			return NULL;
		found = as->all[i];
	}
	return found;
}

struct approval *approvals_of_command(struct approvals *as, unsigned worker, uint64_t flow, uint32_t n)
{
	for (unsigned i = as->count; i > 0; i--) {
		struct approval *a = as->all[i - 1];

		if (a->kind == APPROVAL_ONCE_HOLD && a->worker == worker && a->flow == flow && a->n == n)
			return a;
	}
	return NULL;
}

struct approval *approvals_next(struct approvals *as, unsigned *at)
{
	return *at < as->count ? as->all[as->count - 1 - (*at)++] : NULL;
}

struct approval_counters approvals_counters(const struct approvals *as)
{
	return as->counters;
}

uint64_t approvals_low_water(const struct approvals *as, uint64_t size)
{
	for (unsigned i = 0; i < as->count; i++) {
		if (!approval_is_terminal(as->all[i]->state) && as->all[i]->history && as->all[i]->record[0] < size)
			size = as->all[i]->record[0];
	}
	return size;
}

enum approval_vote_result store_refuse(struct approvals *as, struct approval *a, enum approval_event event, const struct principal *voter,
				       struct bytes who, const char *why, char text[APPROVAL_SAY_BYTES])
{
	uint8_t room[STORE_DATA_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct jcs j = jcs_of(&w);

	as->counters.refused_votes++;
	jcs_open(&j);
	jcs_put_uint(&j, "at_us", as->now.wall_us);
	jcs_put_str(&j, "cause", why);
	jcs_put_str(&j, "event", approval_event_name(event));
	jcs_put_str(&j, "from", approval_state_name(a->state));
	if (voter)
		jcs_put_str(&j, "voter", voter->person[0] ? voter->person : "unknown");
	jcs_close(&j);
	(void)store_record(as, a, "approval.refused", who, jcs_done(&j), (struct bytes){ 0 });
	snprintf(text, APPROVAL_SAY_BYTES, "%s", why);
	return APPROVAL_NOT_ELIGIBLE;
}
