/* left_out_test.c: from 90 % of the journal's volume on a service with on_journal_full = "digest" is recorded without payload, and the record of each answer
 * says so; where somebody waits for a record of it, there is one with its digest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "control/inbox/inbox_kit.h"
#include "control/journal/archive.h"

static struct inbox_kit b;

static int setup(void **state)
{
	return inbox_kit_make(&b) ? 0 : -1;
}

static int teardown(void **state)
{
	return inbox_kit_free(&b) ? 0 : -1;
}

static void settle(void)
{
	if (!inbox_kit_settle(&b))
		fail_msg("%s", b.err);
}

static bool say_payload(struct script_flow *f, unsigned direction, const char *text)
{
	const struct event_payload e = { .flow = f->number, .ref = f->command, .direction = (uint8_t)direction, .data = bytes_str(text) };
	uint8_t room[256];

	return worker_script_write(&b.worker, EVENT_payload, event_payload_encode(&e, room, sizeof(room)));
}

/* How many records have all of these texts. */
static unsigned records_with(const char *one, const char *other)
{
	struct archive_filter filter = { .text = one };
	struct archive *a = archive_open(b.journal_dir, b.err);
	uint64_t index = 0;
	struct bytes record;
	const char *why;
	unsigned count = 0;

	assert_non_null(a);
	for (; archive_search(a, &filter, &index, 65536, &record, &why) == ARCHIVE_FOUND; index++)
		count += memmem(record.base, record.len, other, strlen(other)) != NULL;
	archive_close(a);
	return count;
}

static void payload_is_left_out_where_the_policy_says_so(void **state)
{
	static const struct {
		enum policy_audit audit;
		enum policy_journal_full full;
		bool thrifty;
		unsigned kept, marked, digests; /* records with payload of rows; answers that say it is missing; records instead of it */
	} rows[] = {
		{ POLICY_AUDIT_STRICT, POLICY_FULL_DIGEST, false, 1, 0, 0 }, { POLICY_AUDIT_STRICT, POLICY_FULL_BLOCK, true, 1, 0, 0 },
		{ POLICY_AUDIT_PROMPT, POLICY_FULL_DIGEST, true, 0, 1, 0 },  { POLICY_AUDIT_STRICT, POLICY_FULL_DIGEST, true, 0, 1, 1 },
		{ POLICY_AUDIT_ANSWERS, POLICY_FULL_DIGEST, true, 0, 1, 2 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct script_flow *f = &b.worker.flow[0];

		if (i > 0) {
			teardown(state);
			assert_int_equal(setup(state), 0);
		}
		assert_true(inbox_kit_start(&b, NULL) && inbox_kit_policy(&b, rows[i].audit, rows[i].full));
		assert_true(worker_script_hello(&b.worker) && worker_script_open_flow(&b.worker, f, 9) && worker_script_login(&b.worker, f, bytes_str("t")));
		settle();
		inbox_set_thrifty(b.inbox, rows[i].thrifty);
		assert_true(worker_script_command(&b.worker, f, bytes_str("copy t from stdin"), COMMAND_ALLOW));
		assert_true(say_payload(f, 0, "1\ta row\n") && say_payload(f, 1, "COPY 1"));
		assert_true(worker_script_respond(&b.worker, f));
		settle();
		assert_int_equal(b.worker.durable, b.worker.position);
		/* The next one is whole again. */
		inbox_set_thrifty(b.inbox, false);
		assert_true(worker_script_command(&b.worker, f, bytes_str("select 1"), COMMAND_ALLOW) && worker_script_respond(&b.worker, f));
		settle();
		inbox_kit_stop(&b);
		assert_int_equal(records_with("\"t\":\"resp\"", "\"pl\":"), rows[i].kept);
		assert_int_equal(records_with("\"t\":\"resp\"", "\"truncated\":true,\"truncated_by\":[\"journal_full\"]"), rows[i].marked);
		assert_int_equal(records_with("\"t\":\"payload\"", "\"left_out\":\"journal_full\""), rows[i].digests);
		assert_int_equal(records_with("\"t\":\"resp\"", "\"v\":1"), 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(payload_is_left_out_where_the_policy_says_so, setup, teardown) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
