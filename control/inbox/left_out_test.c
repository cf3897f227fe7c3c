/* left_out_test.c: from 90 % of the journal's volume on a service with on_journal_full = "digest" is recorded without payload, and the record of each answer
 * says so; where somebody waits for a record of it, there is one with its digest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "control/inbox/inbox.h"
#include "control/inbox/worker_script.h"
#include "control/journal/archive.h"
#include "platform/contract/policy_write.h"
#include "platform/os/scratch.h"
#include "platform/os/shm.h"

#define NOW_US 1790000000000000ull

static struct {
	char dir[SCRATCH_BYTES], run[80], journal_dir[80];
	void *up, *down;
	struct journal *journal;
	struct sessions *sessions;
	struct payload_keys *keys;
	struct inbox *inbox;
	struct worker_script worker;
	struct entry_clock now;
	const struct policy_image *image;
} b;
static char err[512];

static const struct policy_image *host_image(void *ctx, uint64_t generation) { return b.image; }
static void host_hello(void *ctx, unsigned worker) { }
static void host_scram(void *ctx, struct session *s, const struct event_scram *e) { }
static void host_classify(void *ctx, unsigned worker, const struct event_classify *e) { }
static void host_held(void *ctx, struct session *s, const struct event_command *e, const struct policy_image *image) { }
static void host_rechecked(void *ctx, struct session *s, const struct event_rechecked *e, const struct policy_image *image) { }
static void host_withdrawn(void *ctx, struct session *s, uint32_t ref, enum withdraw_cause cause) { }
static void host_responded(void *ctx, struct session *s, const struct event_response *e) { }
static void host_closed(void *ctx, struct session *s, const char *cause) { }

static void host_login(void *ctx, struct session *s, const struct event_login *e)
{
	const struct principal shape = { .issuer = "corp", .iss = "https://idp.example", .sub = "alice", .person = "alice", .agent = "agent-7", .run = "run-1",
					 .groups = { "agents" }, .groups_count = 1, .exp_s = 1800000000, .end_s = 1800000030 };
	const struct inbox_grant grant = { .principal = principal_create(&shape), .upstream_user = "app" };

	inbox_login_accepted(b.inbox, s, &grant);
}

static void control_start(void)
{
	static const uint8_t key[32] = { 1 };
	char keys[120];
	const struct journal_config journal = { .dir = b.journal_dir, .origin = "test.example/journal" };
	struct inbox_config config = { .node = "t", .workers = 1, .up = &b.up, .down = &b.down, .commitment_key = key,
				       .host = { &b, host_image, host_hello, host_login, host_scram, host_classify, host_held, host_withdrawn, host_responded,
						 host_closed, host_rechecked } };

	b.now = (struct entry_clock){ .wall_us = NOW_US, .mono_us = 1, .clk = "free" };
	snprintf(keys, sizeof(keys), "%s/payload-keys", b.dir);
	b.keys = payload_keys_open(keys, true, err);
	assert_non_null(b.keys);
	config.payload_keys = b.keys;
	b.journal = journal_open(&journal, NOW_US, err);
	assert_non_null(b.journal);
	b.sessions = sessions_open(b.run, journal_cursor_get(b.journal, INBOX_CURSOR_VERSION), err);
	assert_non_null(b.sessions);
	config.journal = b.journal;
	config.sessions = b.sessions;
	b.inbox = inbox_create(&config, err);
	assert_non_null(b.inbox);
	inbox_set_clock(b.inbox, b.now);
}

static void control_stop(void)
{
	inbox_destroy(b.inbox);
	sessions_close(b.sessions);
	payload_keys_close(b.keys);
	journal_close(b.journal);
	b.inbox = NULL;
}

static void settle(void)
{
	for (int i = 0; i < 1000; i++) {
		enum inbox_result r;

		b.now.wall_us += 1000;
		b.now.mono_us += 1000;
		r = inbox_turn(b.inbox, b.now);
		assert_int_not_equal(r, INBOX_STOPPED);
		worker_script_orders(&b.worker);
		if (r == INBOX_IDLE)
			return;
	}
	fail();
}

static int setup(void **state)
{
	memset(&b, 0, sizeof(b));
	if (!scratch_make(b.dir))
		return -1;
	snprintf(b.run, sizeof(b.run), "%s/run", b.dir);
	snprintf(b.journal_dir, sizeof(b.journal_dir), "%s/journal", b.dir);
	if (mkdir(b.run, 0700) < 0)
		return -1;
	b.up = shm_ring_open(b.run, 0, SHM_RING_UP, err);
	b.down = shm_ring_open(b.run, 0, SHM_RING_DOWN, err);
	return b.up && b.down && worker_script_init(&b.worker, b.up, b.down, 42) ? 0 : -1;
}

static int teardown(void **state)
{
	if (b.inbox)
		control_stop();
	worker_script_free(&b.worker);
	shm_ring_close(b.up, SHM_RING_UP);
	shm_ring_close(b.down, SHM_RING_DOWN);
	return scratch_remove(b.dir) ? 0 : -1;
}

static void use_policy(enum policy_audit audit, enum policy_journal_full full)
{
	static _Alignas(64) uint8_t memory[16384];
	const struct spec_listener listener = { .family = 4, .address = { 192, 0, 2, 1 }, .port = 5432 };
	const struct spec_service service = { .name = "shop", .protocol_word = "postgres", .protocol = POLICY_PROTOCOL_OTHER, .audit = audit, .on_journal_full = full,
					      .record = POLICY_RECORD_FULL, .listeners = &listener, .listeners_count = 1 };
	const struct policy_spec spec = { .name = "t", .generation = 1, .services = &service, .services_count = 1,
					  .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE } };
	struct bytes image = policy_image_write(&spec, memory, sizeof(memory));

	b.image = policy_image_open(memory, image.len, err, sizeof(err));
	assert_non_null(b.image);
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
	struct archive *a = archive_open(b.journal_dir, err);
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
		control_start();
		use_policy(rows[i].audit, rows[i].full);
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
		control_stop();
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
