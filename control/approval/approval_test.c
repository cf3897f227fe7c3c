/* approval_test.c: the way of a held command as it should be, its statement, and rebuilding from records. What is tried against it is in
 * bypass_test.c, the table in machine_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/sha.h>

#include "control/approval/approval_fixture.h"
#include "control/approval/statement.h"

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
	char time[STATEMENT_TIME_BYTES];
	uint8_t hash[32];
	int64_t number;

	assert_null(jcs_check(bytes_of(a->statement, a->statement_len), NULL));
	for (unsigned i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		assert_int_not_equal(jcs_get(s, fields[i]).kind, JCS_NONE);
	assert_true(bytes_equal(jcs_read_plain(jcs_get(jcs_get(s, "cmd"), "norm")), bytes_str("delete from orders")));
	assert_true(jcs_read_int(jcs_get(s, "quorum"), &number) && number == 3);
	assert_true(bytes_equal(jcs_read_plain(jcs_get(s, "expires")), bytes_str(statement_time(a->created_us + 900 * 1000000ull, time))));
	assert_true(bytes_equal(jcs_read_plain(jcs_get(s, "use_by")), bytes_str(statement_time(a->created_us + (900 + 60) * 1000000ull, time))));
	SHA256(a->statement, a->statement_len, hash);
	assert_memory_equal(hash, a->statement_sha256, 32);
	assert_int_equal(strlen(a->id_text), 26);
	assert_ptr_equal(approvals_find(w.as, a->id_text), a);
	assert_null(approvals_find(w.as, "zzzz"));
	assert_null(approvals_find(w.as, "abc"));
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
	assert_int_equal(a->use_by_us, b->use_by_us);
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
	assert_int_equal(a->notes_left_out, b->notes_left_out);
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
		CASE(withdrawal_cancels_also_before_it_was_durable),
		CASE(objects_are_what_their_records_say),
		CASE(records_that_do_not_fit_make_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
