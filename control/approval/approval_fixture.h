/* approval_fixture.h: for tests: a world of approvals: the journal is a list of the records' bytes, as the host would write them; the
 * worker says what the test told it to. Included by one test program each; everything is static. */
#ifndef CONTROL_APPROVAL_APPROVAL_FIXTURE_H
#define CONTROL_APPROVAL_APPROVAL_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/approval/approval.h"
#include "control/journal/jcs_read.h"

#define RECORDS 4096

/* What the worker says when it is asked again, where it differs from what was held. */
struct said {
	bool silent, stale;        /* says nothing; speaks of a policy that is over */
	bool allow, block, free;   /* the verdict now, instead of the same hold */
	const char *raw, *params, *types, *state, *group; /* not NULL: instead of what was held */
	unsigned deny_quorum, count;
};

struct world {
	struct approvals *as;
	struct approval_clock now;
	unsigned records, answers;
	char *record[RECORDS], *type[RECORDS];
	uint8_t *payload[RECORDS];
	size_t payload_len[RECORDS];
	enum approval_answer last;
	char last_say[APPROVAL_SAY_BYTES];
	bool journal_broken, everybody_invalid, no_news;
	unsigned released, asked, cuts, performed;
	bool free_clock_ok; /* of the policy's approval */
	bool on_demand;     /* what is asked for is given out */
	char sql[64][1024];     /* the held commands' texts, by their number */
	struct said said;
	const char *left_group; /* this person is in no group any more */
};

static struct world w;
static const uint8_t policy_hash_a[32] = { 1 };

/* --- the host ------------------------------------------------------------------------------------------------------------ */

static bool host_record(void *ctx, const struct approval *a, const char *type, struct bytes who, struct bytes data, struct bytes payload, uint64_t *index)
{
	char *text;
	char hash[65];
	size_t room = who.len + data.len + 1024;

	if (w.journal_broken)
		return false;
	assert_true(w.records < RECORDS);
	assert_null(jcs_check(data, NULL));
	for (unsigned i = 0; i < 32; i++)
		snprintf(hash + 2 * i, 3, "%02x", a->statement_sha256[i]);
	text = malloc(room);
	/* Enough of the record for the replay: appr, data, pol, sess, t, who. */
	{
		char pol[65], sess[33];

		for (unsigned i = 0; i < 32; i++)
			snprintf(pol + 2 * i, 3, "%02x", a->policy_sha256[i]);
		for (unsigned i = 0; i < 16; i++)
			snprintf(sess + 2 * i, 3, "%02x", a->session[i]);
		snprintf(text, room, "{\"appr\":{\"h\":\"%s\",\"id\":\"%s\"},\"data\":%.*s,\"pol\":\"%s\",\"sess\":\"%s\",\"t\":\"%s\",\"who\":%.*s}", hash, a->id_text,
			 (int)data.len, (const char *)data.base, pol, sess, type, (int)who.len, (const char *)who.base);
	}
	assert_null(jcs_check(bytes_str(text), NULL));
	w.record[w.records] = text;
	w.type[w.records] = strdup(type);
	w.payload[w.records] = malloc(payload.len + 1);
	if (payload.len)
		memcpy(w.payload[w.records], payload.base, payload.len);
	w.payload_len[w.records] = payload.len;
	*index = w.records++;
	return true;
}

static void host_answer(void *ctx, const struct approval *a, enum approval_answer answer, const char *say)
{
	w.answers++;
	w.last = answer;
	w.released += answer == APPROVAL_RELEASE;
	snprintf(w.last_say, sizeof(w.last_say), "%s", say);
}

static void host_recheck(void *ctx, const struct approval *a)
{
	w.asked++;
}

static void host_perform(void *ctx, const struct approval *a)
{
	w.performed++;
}

static void host_cut(void *ctx, const struct approval *a, const char *say)
{
	w.cuts++;
	snprintf(w.last_say, sizeof(w.last_say), "%s", say);
}

static bool host_in_group(void *ctx, const struct principal *p, const char *group)
{
	if (w.left_group && !strcmp(w.left_group, p->person))
		return false;
	return principal_has_group(p, group);
}

static bool host_still_valid(void *ctx, const struct principal *p)
{
	return !w.everybody_invalid;
}

static bool host_news_known(void *ctx, const struct principal *p)
{
	return !w.no_news;
}

static const struct approval_host host = { .news_known = host_news_known, .record = host_record, .answer = host_answer, .perform = host_perform, .recheck = host_recheck, .cut = host_cut, .in_group = host_in_group, .still_valid = host_still_valid };

static int setup(void **state)
{
	w = (struct world){ .now = { .wall_us = 1790000000000000ull, .mono_us = 5000000 } };
	w.as = approvals_create(&host, "a", "test.example/journal");
	return w.as ? 0 : -1;
}

static int teardown(void **state)
{
	approvals_destroy(w.as);
	for (unsigned i = 0; i < w.records; i++) {
		free(w.record[i]);
		free(w.type[i]);
		free(w.payload[i]);
	}
	return 0;
}

/* --- people -------------------------------------------------------------------------------------------------------------- */

static uint32_t token_counter;

static struct principal *somebody(const char *person, const char *agent, const char *groups)
{
	struct principal shape = { .issuer = "corp", .iss = "https://idp.example", .sub = person, .person = person, .agent = agent, .run = agent[0] ? "run-1" : "" };
	char copy[128], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", groups);
	for (char *g = strtok_r(copy, ",", &save); g; g = strtok_r(NULL, ",", &save))
		shape.groups[shape.groups_count++] = g;
	token_counter++;
	memcpy(shape.token_sha256 + 1, &token_counter, sizeof(token_counter));
	return principal_create(&shape);
}

static struct bytes who_json(void)
{
	return bytes_str("{\"person\":\"x\"}");
}

/* A held command of alice's agent; `needs` as in "dba:1,security:1". */
static struct approval *held_by(struct principal *requester, const char *needs, uint32_t n, const char *sql, uint32_t expires_s)
{
	struct event_command e = { .flow = 77, .n = n, .raw = bytes_str(sql), .state = bytes_str("search_path=public") };
	struct approval_command c = { .worker = 1, .flow = 77, .event = &e, .requester = requester, .service = "db", .server = "192.0.2.1:5432",
				      .database = "shop", .user = "app", .login = "app", .proto = "postgres", .parser = "test", .policy_sha256 = policy_hash_a,
				      .terms = { .expires_s = expires_s, .use_by_s = 60, .free_clock_ok = w.free_clock_ok } };
	char copy[128], *save = NULL, say[APPROVAL_SAY_BYTES], who[400];
	struct approval *a;

	snprintf(who, sizeof(who), "{\"agent\":\"%s\",\"person\":\"%s\",\"run\":\"%s\"}", requester->agent[0] ? requester->agent : "unknown", requester->person,
		 requester->run[0] ? requester->run : "unknown");
	c.who = bytes_str(who);

	memset(c.session, 7, 16);
	snprintf(copy, sizeof(copy), "%s", needs);
	for (char *need = strtok_r(copy, ",", &save); need; need = strtok_r(NULL, ",", &save)) {
		char *colon = strchr(need, ':');

		*colon = 0;
		snprintf(c.terms.need[c.terms.needs].group, sizeof(c.terms.need[c.terms.needs].group), "%s", need);
		c.terms.need[c.terms.needs++].count = (unsigned)strtoul(colon + 1, NULL, 10);
	}
	snprintf(w.sql[n % 64], sizeof(w.sql[0]), "%s", sql);
	a = approvals_request(w.as, &c, w.now, say);
	snprintf(w.last_say, sizeof(w.last_say), "%s", say);
	return a;
}

static inline struct approval *held(const char *needs)
{
	struct principal *alice = somebody("alice", "agent-7", "agents");
	struct approval *a = held_by(alice, needs, 3, "DELETE FROM orders", 900);

	principal_put(alice);
	assert_non_null(a);
	approvals_durable(w.as);
	assert_int_equal(a->state, APPROVAL_PENDING);
	return a;
}

/* The worker's answer to the last question. */
static void worker_says(const struct approval *a)
{
	struct approval_recheck r = { .action = w.said.block ? COMMAND_BLOCK : w.said.allow ? COMMAND_ALLOW : COMMAND_HOLD, .current = !w.said.stale,
				      .raw = bytes_str(w.said.raw ? w.said.raw : w.sql[a->n % 64]), .params = bytes_str(w.said.params ? w.said.params : ""), .types = bytes_str(w.said.types ? w.said.types : ""),
				      .state = bytes_str(w.said.state ? w.said.state : "search_path=public"), .needs = a->needs, .params_free = w.said.free, .free_clock_ok = w.free_clock_ok,
				      .deny_quorum = w.said.deny_quorum ? w.said.deny_quorum : a->deny_quorum };

	memcpy(r.need, a->need, sizeof(r.need));
	if (w.said.group)
		snprintf(r.need[0].group, sizeof(r.need[0].group), "%s", w.said.group);
	if (w.said.count)
		r.need[0].count = w.said.count;
	w.asked = 0;
	if (!w.said.silent)
		approvals_rechecked(w.as, a->worker, a->flow, a->n, &r, w.now);
}

/* Time passes; who is asked answers. */
static inline void tick(const struct approval *a)
{
	approvals_tick(w.as, w.now);
	if (w.asked)
		worker_says(a);
}

static inline enum approval_vote_result vote(struct approval *a, const char *person, const char *groups, bool approve)
{
	struct principal *p = somebody(person, "", groups);
	char text[APPROVAL_SAY_BYTES];
	enum approval_vote_result r;

	approvals_tick(w.as, w.now);
	r = approvals_vote(w.as, a, p, who_json(), approve, "because", w.now, text);
	principal_put(p);
	if (w.asked)
		worker_says(a);
	return r;
}

static inline bool recorded_last(const char *type)
{
	return w.records && !strcmp(w.type[w.records - 1], type);
}

#endif
