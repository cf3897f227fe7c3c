/* approval_test.c: bypasses known elsewhere (approvals.md 10), tried on held commands: 1 quorum by group, 4 self-approval in its forms,
 * 5 other text, 6 replay, 7 changed policy, 9 display, 10 lost eligibility, 11 time and failure; and rebuilding from records.
 * The journal is a list of the records' bytes, as the host would write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/approval/approval.h"
#include "control/approval/statement.h"
#include "control/journal/jcs_read.h"

#define RECORDS 4096

struct world {
	struct approvals *as;
	struct approval_clock now;
	unsigned records, answers;
	char *record[RECORDS], *type[RECORDS];
	uint8_t *payload[RECORDS];
	size_t payload_len[RECORDS];
	enum approval_answer last;
	char last_say[APPROVAL_SAY_BYTES];
	bool journal_broken, everybody_invalid;
	unsigned released;
	const char *left_group; /* this person is in no group any more */
};

static struct world w;
static const uint8_t policy_hash_a[32] = { 1 }, policy_hash_b[32] = { 2 };

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

static const struct approval_host host = { .record = host_record, .answer = host_answer, .in_group = host_in_group, .still_valid = host_still_valid };

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

static uint8_t token_counter;

static struct principal *somebody(const char *person, const char *agent, const char *groups)
{
	struct principal shape = { .issuer = "corp", .iss = "https://idp.example", .sub = person, .person = person, .agent = agent, .run = agent[0] ? "run-1" : "" };
	char copy[128], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", groups);
	for (char *g = strtok_r(copy, ",", &save); g; g = strtok_r(NULL, ",", &save))
		shape.groups[shape.groups_count++] = g;
	shape.token_sha256[0] = ++token_counter;
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
	struct approval_command c = { .worker = 1, .flow = 77, .event = &e, .requester = requester, .who = who_json(), .service = "db", .server = "192.0.2.1:5432",
				      .database = "shop", .user = "app", .login = "app", .proto = "postgres", .parser = "test", .policy_sha256 = policy_hash_a,
				      .expires_s = expires_s, .use_by_s = 60 };
	char copy[128], *save = NULL, say[APPROVAL_SAY_BYTES];
	struct approval *a;

	memset(c.session, 7, 16);
	snprintf(copy, sizeof(copy), "%s", needs);
	for (char *need = strtok_r(copy, ",", &save); need; need = strtok_r(NULL, ",", &save)) {
		char *colon = strchr(need, ':');

		*colon = 0;
		snprintf(c.need[c.needs].group, sizeof(c.need[c.needs].group), "%s", need);
		c.need[c.needs++].count = (unsigned)strtoul(colon + 1, NULL, 10);
	}
	a = approvals_request(w.as, &c, w.now, say);
	snprintf(w.last_say, sizeof(w.last_say), "%s", say);
	return a;
}

static struct approval *held(const char *needs)
{
	struct principal *alice = somebody("alice", "agent-7", "agents");
	struct approval *a = held_by(alice, needs, 3, "DELETE FROM orders", 900);

	principal_put(alice);
	assert_non_null(a);
	approvals_durable(w.as);
	assert_int_equal(a->state, APPROVAL_PENDING);
	return a;
}

static enum approval_vote_result vote(struct approval *a, const char *person, const char *groups, bool approve)
{
	struct principal *p = somebody(person, "", groups);
	char text[APPROVAL_SAY_BYTES];
	enum approval_vote_result r;

	approvals_tick(w.as, w.now);
	r = approvals_vote(w.as, a, p, who_json(), approve, "because", w.now, text);
	principal_put(p);
	return r;
}

static bool recorded_last(const char *type)
{
	return w.records && !strcmp(w.type[w.records - 1], type);
}

/* --- the way it should go ------------------------------------------------------------------------------------------------ */

static void a_person_of_the_group_releases_it_and_the_nonce_is_spent_before(void **state)
{
	struct approval *a = held("dba:1");

	assert_int_equal(w.last, APPROVAL_WAITING);
	assert_non_null(strstr(w.last_say, a->id_text));
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_EXECUTING);
	assert_int_equal(w.released, 1);
	assert_string_equal(w.type[0], "approval.request");
	assert_string_equal(w.type[1], "approval.vote");
	assert_string_equal(w.type[2], "approval.grant");
	assert_string_equal(w.type[3], "approval.consume");
	approvals_responded(w.as, 1, 77, 3, false, "00000");
	assert_int_equal(a->state, APPROVAL_EXECUTED);
	assert_string_equal(a->result, "00000");
}

static void the_statement_says_what_will_run_and_hashes_to_what_is_signed(void **state)
{
	struct approval *a = held("dba:1,security:2");
	struct jcs_value s = jcs_value_of(bytes_of(a->statement, a->statement_len));
	static const char *const fields[] = { "approvers", "cmd", "expires", "id", "kind", "max_uses", "n", "node", "nonce", "not_before", "origin", "params",
					      "parser", "policy", "preview", "proto", "quorum", "reason", "sess", "state_h", "target", "ticket", "use_by",
					      "v", "who" };
	uint8_t hash[32];
	int64_t number;

	assert_null(jcs_check(bytes_of(a->statement, a->statement_len), NULL));
	for (unsigned i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		assert_int_not_equal(jcs_get(s, fields[i]).kind, JCS_NONE);
	assert_true(bytes_equal(jcs_read_plain(jcs_get(jcs_get(s, "cmd"), "norm")), bytes_str("delete from orders")));
	assert_true(jcs_read_int(jcs_get(s, "quorum"), &number) && number == 3);
	SHA256(a->statement, a->statement_len, hash);
	assert_memory_equal(hash, a->statement_sha256, 32);
	assert_int_equal(strlen(a->id_text), 26);
	assert_ptr_equal(approvals_find(w.as, a->id_text), a);
	assert_null(approvals_find(w.as, "zzzz"));
	assert_null(approvals_find(w.as, "abc"));
}

/* --- 1, 4: who may ------------------------------------------------------------------------------------------------------- */

static void one_person_in_all_groups_fills_one_slot(void **state)
{
	struct approval *a = held("dba:1,security:1");

	assert_int_equal(vote(a, "bob", "dba,security", true), APPROVAL_VOTED);
	assert_int_equal(vote(a, "bob", "dba,security", true), APPROVAL_NOT_ELIGIBLE);
	assert_int_equal(a->state, APPROVAL_PENDING);
	assert_int_equal(vote(a, "carol", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(w.released, 1);
}

static void two_of_the_same_group_do_not_make_two_groups(void **state)
{
	struct approval *a = held("dba:1,security:1");

	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_VOTED);
	assert_int_equal(vote(a, "carol", "dba", true), APPROVAL_VOTED);
	assert_int_equal(w.released, 0);
	assert_int_equal(vote(a, "dave", "security", true), APPROVAL_DECIDED);
}

static void nobody_of_the_requesters_side_can_vote(void **state)
{
	struct approval *a = held("dba:1");
	struct principal shape = { .issuer = "corp", .iss = "https://idp.example", .sub = "x", .person = "mallory", .groups = { "dba" }, .groups_count = 1 }, *p;
	char text[APPROVAL_SAY_BYTES];
	unsigned records = w.records;

	assert_int_equal(vote(a, "alice", "dba", true), APPROVAL_NOT_ELIGIBLE);
	/* A second account of the same person. */
	shape.person = "alice";
	shape.sub = "alice-admin";
	p = principal_create(&shape);
	assert_int_equal(approvals_vote(w.as, a, p, who_json(), true, "x", w.now, text), APPROVAL_NOT_ELIGIBLE);
	principal_put(p);
	/* The requester's own token, under another person's name. */
	shape.person = "mallory";
	memcpy(shape.token_sha256, a->requester->token_sha256, 32);
	p = principal_create(&shape);
	assert_int_equal(approvals_vote(w.as, a, p, who_json(), true, "x", w.now, text), APPROVAL_NOT_ELIGIBLE);
	principal_put(p);
	/* An agent, a person behind an agent, nobody. */
	shape.token_sha256[0] = 200;
	shape.agent = "agent-9";
	p = principal_create(&shape);
	assert_int_equal(approvals_vote(w.as, a, p, who_json(), true, "x", w.now, text), APPROVAL_NOT_ELIGIBLE);
	principal_put(p);
	shape.agent = "";
	shape.act_count = 1;
	shape.act[0] = (struct principal_actor){ .iss = "i", .sub = "s" };
	p = principal_create(&shape);
	assert_int_equal(approvals_vote(w.as, a, p, who_json(), true, "x", w.now, text), APPROVAL_NOT_ELIGIBLE);
	principal_put(p);
	shape.act_count = 0;
	shape.person = "";
	p = principal_create(&shape);
	assert_int_equal(approvals_vote(w.as, a, p, who_json(), true, "x", w.now, text), APPROVAL_NOT_ELIGIBLE);
	principal_put(p);
	assert_int_equal(vote(a, "eve", "agents,other", true), APPROVAL_NOT_ELIGIBLE);
	/* Each attempt is a record. */
	assert_int_equal(w.records, records + 7);
	assert_true(recorded_last("approval.refused"));
	assert_int_equal(a->state, APPROVAL_PENDING);
	assert_int_equal(w.released, 0);
}

static void the_actor_chain_cannot_vote(void **state)
{
	struct principal shape = { .issuer = "corp", .iss = "https://idp.example", .sub = "alice", .person = "alice", .agent = "agent-7", .run = "r", .act_count = 2 };
	struct principal *requester;
	struct approval *a;

	shape.act[0] = (struct principal_actor){ .iss = "https://idp.example", .sub = "agent-7", .kind = PRINCIPAL_AGENT };
	shape.act[1] = (struct principal_actor){ .iss = "https://idp.example", .sub = "operator-1", .kind = PRINCIPAL_HUMAN };
	requester = principal_create(&shape);
	a = held_by(requester, "dba:1", 3, "DELETE", 900);
	principal_put(requester);
	approvals_durable(w.as);
	assert_int_equal(vote(a, "operator-1", "dba", true), APPROVAL_NOT_ELIGIBLE);
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
}

/* --- 6: once ------------------------------------------------------------------------------------------------------------- */

static void it_is_released_once_whatever_comes_after(void **state)
{
	struct approval *a = held("dba:1");

	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(vote(a, "carol", "dba", true), APPROVAL_NOT_OPEN);
		approvals_tick(w.as, w.now);
		approvals_durable(w.as);
	}
	assert_int_equal(w.released, 1);
	approvals_responded(w.as, 1, 77, 3, false, "00000");
	approvals_responded(w.as, 1, 77, 3, false, "00000");
	assert_int_equal(a->state, APPROVAL_EXECUTED);
	approvals_session_closed(w.as, 1, 77, "client");
	assert_int_equal(a->state, APPROVAL_EXECUTED);
}

static void statements_of_equal_commands_differ(void **state)
{
	struct approval *a = held("dba:1");
	uint8_t first[32];
	struct principal *alice = somebody("alice", "agent-7", "agents");

	memcpy(first, a->statement_sha256, 32);
	a = held_by(alice, "dba:1", 3, "DELETE FROM orders", 900);
	principal_put(alice);
	assert_memory_not_equal(first, a->statement_sha256, 32);
}

/* --- 7, 10, 11: what changed meanwhile ----------------------------------------------------------------------------------- */

static void another_policy_supersedes_what_waits(void **state)
{
	struct approval *a = held("dba:1");

	approvals_policy_changed(w.as, policy_hash_a);
	assert_int_equal(a->state, APPROVAL_PENDING);
	approvals_policy_changed(w.as, policy_hash_b);
	assert_int_equal(a->state, APPROVAL_SUPERSEDED);
	assert_int_equal(w.last, APPROVAL_REFUSE);
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_NOT_OPEN);
	assert_int_equal(w.released, 0);
}

static void a_voter_who_left_the_group_does_not_count_at_the_release(void **state)
{
	struct approval *a = held("dba:1,security:1");

	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_VOTED);
	w.left_group = "bob";
	assert_int_equal(vote(a, "dave", "security", true), APPROVAL_VOTED);
	assert_int_equal(a->state, APPROVAL_PENDING);
	assert_int_equal(w.released, 0);
}

static void nothing_is_released_while_the_clock_is_wrong_or_the_requester_is_gone(void **state)
{
	struct approval *a = held("dba:1");

	approvals_tick(w.as, w.now);
	w.now.wall_us -= 5000000;
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	assert_int_equal(w.released, 0);
	w.now.wall_us += 6000000;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_EXECUTING);
	assert_int_equal(w.released, 1);
}

static void an_approved_one_that_cannot_go_runs_out(void **state)
{
	struct approval *a = held("dba:1");

	approvals_tick(w.as, w.now);
	w.now.wall_us -= 5000000;
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	w.now.mono_us += 61000000;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_EXPIRED);
	assert_int_equal(w.last, APPROVAL_REFUSE);
	assert_int_equal(w.released, 0);
}

static void time_running_out_is_a_block(void **state)
{
	struct approval *a = held("dba:1");

	w.now.mono_us += 899999999;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_PENDING);
	w.now.mono_us += 1;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_EXPIRED);
	assert_int_equal(w.last, APPROVAL_REFUSE);
	assert_non_null(strstr(w.last_say, "expired"));
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_NOT_OPEN);
}

static void a_journal_that_takes_nothing_means_refusal(void **state)
{
	struct principal *alice = somebody("alice", "agent-7", "agents");
	struct approval *a = held("dba:1");

	w.journal_broken = true;
	assert_null(held_by(alice, "dba:1", 4, "DELETE", 900));
	assert_true(w.last_say[0]);
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_NOT_RECORDED);
	assert_int_equal(a->votes, 0);
	assert_int_equal(w.released, 0);
	principal_put(alice);
}

static void a_denial_ends_it_and_its_reason_is_clean(void **state)
{
	struct approval *a = held("dba:1");
	struct principal *bob = somebody("bob", "", "dba");
	char text[APPROVAL_SAY_BYTES];

	assert_int_equal(approvals_vote(w.as, a, bob, who_json(), false, "no \x1b[31m<b>way</b>\n\xe2\x80\xae", w.now, text), APPROVAL_DECIDED);
	principal_put(bob);
	assert_int_equal(a->state, APPROVAL_DENIED);
	assert_int_equal(w.last, APPROVAL_REFUSE);
	assert_null(strpbrk(w.last_say, "\x1b<>\n\xe2"));
	assert_non_null(strstr(w.last_say, "way"));
}

static void withdrawal_cancels_also_before_it_was_durable(void **state)
{
	struct principal *alice = somebody("alice", "agent-7", "agents");
	struct approval *a = held("dba:1"), *b;

	approvals_withdrawn(w.as, 1, 77, 3, "cancelled by the client");
	assert_int_equal(a->state, APPROVAL_CANCELLED);
	b = held_by(alice, "dba:1", 9, "DELETE", 900);
	approvals_withdrawn(w.as, 1, 77, 9, "the client is gone");
	assert_int_equal(b->state, APPROVAL_REQUESTED);
	approvals_durable(w.as);
	assert_int_equal(b->state, APPROVAL_CANCELLED);
	principal_put(alice);
}

static void a_lost_answer_is_unknown_and_never_tried_again(void **state)
{
	struct approval *a = held("dba:1");

	vote(a, "bob", "dba", true);
	approvals_session_closed(w.as, 1, 77, "reset");
	assert_int_equal(a->state, APPROVAL_UNKNOWN);
	assert_int_equal(w.released, 1);
}

static void there_is_a_limit_to_asking(void **state)
{
	struct principal *alice = somebody("alice", "agent-7", "agents");

	for (uint32_t n = 10; n < 15; n++)
		assert_non_null(held_by(alice, "dba:1", n, "DELETE", 900));
	assert_null(held_by(alice, "dba:1", 20, "DELETE", 900));
	assert_non_null(strstr(w.last_say, "too many"));
	approvals_durable(w.as);
	for (uint32_t n = 10; n < 13; n++)
		assert_int_equal(vote(approvals_of_command(w.as, 1, 77, n), "bob", "dba", false), APPROVAL_DECIDED);
	assert_null(held_by(alice, "dba:1", 21, "DELETE", 900));
	assert_non_null(strstr(w.last_say, "denied"));
	assert_non_null(held_by(alice, "dba:1", 22, "another text", 900));
	principal_put(alice);
}

/* --- rebuilding ---------------------------------------------------------------------------------------------------------- */

static void compare(const struct approval *a, const struct approval *b)
{
	assert_string_equal(a->id_text, b->id_text);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->statement_len, b->statement_len);
	assert_memory_equal(a->statement, b->statement, a->statement_len);
	assert_memory_equal(a->statement_sha256, b->statement_sha256, 32);
	assert_memory_equal(a->command_sha256, b->command_sha256, 32);
	assert_memory_equal(a->policy_sha256, b->policy_sha256, 32);
	assert_memory_equal(a->session, b->session, 16);
	assert_int_equal(a->quorum, b->quorum);
	assert_int_equal(a->expires_us, b->expires_us);
	assert_int_equal(a->created_us, b->created_us);
	assert_int_equal(a->flow, b->flow);
	assert_int_equal(a->worker, b->worker);
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->votes, b->votes);
	for (unsigned i = 0; i < a->votes; i++) {
		assert_string_equal(a->vote[i].person, b->vote[i].person);
		assert_string_equal(a->vote[i].reason, b->vote[i].reason);
		assert_string_equal(a->vote[i].credential, b->vote[i].credential);
		assert_int_equal(a->vote[i].approve, b->vote[i].approve);
		assert_int_equal(a->vote[i].wall_us, b->vote[i].wall_us);
	}
	assert_int_equal(a->history, b->history);
	for (unsigned i = 0; i < a->history; i++)
		assert_int_equal(a->record[i], b->record[i]);
	assert_string_equal(a->result, b->result);
}

/* 10.6, 10.8: the records alone say what is; after a restart a held command is cancelled, an executing one unknown. */
static void objects_are_what_their_records_say(void **state)
{
	struct approval *denied = held("dba:1"), *pending, *executing;
	struct approvals *again;
	struct approval *a, *b;
	unsigned at = 0, again_at = 0, count = 0;

	vote(denied, "bob", "dba", false);
	executing = held("dba:1");
	vote(executing, "bob", "dba", true);
	pending = held("dba:1,security:1");
	vote(pending, "carol", "dba", true);
	vote(pending, "alice", "dba", true);
	again = approvals_create(&host, "a", "test.example/journal");
	for (unsigned i = 0; i < w.records; i++)
		assert_true(approvals_replay(again, i, bytes_str(w.record[i]), bytes_of(w.payload[i], w.payload_len[i])));
	while ((a = approvals_next(w.as, &at)) && (b = approvals_next(again, &again_at))) {
		compare(a, b);
		count++;
	}
	assert_int_equal(count, 3);
	w.released = 0;
	approvals_restarted(again, w.now);
	assert_int_equal(approvals_find(again, pending->id_text)->state, APPROVAL_CANCELLED);
	assert_int_equal(approvals_find(again, executing->id_text)->state, APPROVAL_UNKNOWN);
	assert_int_equal(approvals_find(again, denied->id_text)->state, APPROVAL_DENIED);
	assert_int_equal(w.last, APPROVAL_REFUSE);
	assert_int_equal(w.released, 0);
	assert_int_equal(approvals_counters(again).open, 0);
	approvals_destroy(again);
}

/* 10.8: a grant without its request, a statement that was edited, votes of another object: no state comes of them. */
static void records_that_do_not_fit_make_nothing(void **state)
{
	struct approval *a = held("dba:1");
	struct approvals *again = approvals_create(&host, "a", "test.example/journal");

	vote(a, "bob", "dba", true);
	assert_false(approvals_replay(again, 0, bytes_str(w.record[2]), (struct bytes){ 0 }));
	w.payload[0][10] ^= 1;
	assert_false(approvals_replay(again, 0, bytes_str(w.record[0]), bytes_of(w.payload[0], w.payload_len[0])));
	w.payload[0][10] ^= 1;
	assert_true(approvals_replay(again, 0, bytes_str(w.record[0]), bytes_of(w.payload[0], w.payload_len[0])));
	/* Consumed without a grant. */
	assert_false(approvals_replay(again, 3, bytes_str(w.record[3]), (struct bytes){ 0 }));
	assert_int_equal(approvals_find(again, a->id_text)->state, APPROVAL_PENDING);
	assert_false(approvals_replay(again, 9, bytes_str("{\"t\":\"approval.request\"}"), (struct bytes){ 0 }));
	assert_false(approvals_replay(again, 9, bytes_str("nonsense"), (struct bytes){ 0 }));
	approvals_destroy(again);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_person_of_the_group_releases_it_and_the_nonce_is_spent_before),
		CASE(the_statement_says_what_will_run_and_hashes_to_what_is_signed),
		CASE(one_person_in_all_groups_fills_one_slot),
		CASE(two_of_the_same_group_do_not_make_two_groups),
		CASE(nobody_of_the_requesters_side_can_vote),
		CASE(the_actor_chain_cannot_vote),
		CASE(it_is_released_once_whatever_comes_after),
		CASE(statements_of_equal_commands_differ),
		CASE(another_policy_supersedes_what_waits),
		CASE(a_voter_who_left_the_group_does_not_count_at_the_release),
		CASE(nothing_is_released_while_the_clock_is_wrong_or_the_requester_is_gone),
		CASE(an_approved_one_that_cannot_go_runs_out),
		CASE(time_running_out_is_a_block),
		CASE(a_journal_that_takes_nothing_means_refusal),
		CASE(a_denial_ends_it_and_its_reason_is_clean),
		CASE(withdrawal_cancels_also_before_it_was_durable),
		CASE(a_lost_answer_is_unknown_and_never_tried_again),
		CASE(there_is_a_limit_to_asking),
		CASE(objects_are_what_their_records_say),
		CASE(records_that_do_not_fit_make_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
