/* inbox_test.c: events from a real ring into a real journal: which records, in which order, exactly once, also when the process that
 * reads is killed at any point; and what a worker that breaks the contract gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/inbox/inbox_kit.h"
#include "control/journal/verify.h"

static struct inbox_kit b;

/* --- a host that lets every `late_every`th in some turns later ----------------------------------------------------------------- */

static struct {
	unsigned every, logins;
	struct { uint64_t flow; unsigned turns; } of[SCRIPT_FLOWS];
} late;

static void login_or_later(struct inbox_kit *k, struct session *s)
{
	if (++late.logins % late.every) {
		inbox_kit_let_in(k, s);
		return;
	}
	for (unsigned i = 0; i < SCRIPT_FLOWS; i++) {
		if (!late.of[i].flow) {
			late.of[i].flow = s->flow;
			late.of[i].turns = 60;
			return;
		}
	}
}

static void late_logins(void)
{
	for (unsigned i = 0; i < SCRIPT_FLOWS; i++) {
		struct session *s = late.of[i].flow && late.of[i].turns-- == 0 ? session_find(b.sessions, 0, late.of[i].flow) : NULL;

		if (s)
			inbox_kit_let_in(&b, s);
		if (late.of[i].turns > 60)
			late.of[i].flow = 0;
	}
}

/* --- set-up -------------------------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
	return inbox_kit_make(&b) ? 0 : -1;
}

static int teardown(void **state)
{
	return inbox_kit_free(&b) ? 0 : -1;
}

static void control_start(void)
{
	if (!inbox_kit_start(&b, NULL))
		fail_msg("%s", b.err);
}

static void settle(void)
{
	if (!inbox_kit_settle(&b))
		fail_msg("%s", b.err);
}

/* --- reading the journal ------------------------------------------------------------------------------------------------- */

struct seen {
	uint32_t flow, n;
	char kind;
};

struct book {
	unsigned count, alarms, payloads, chunks, closes_by_restart;
	struct seen *seen;
};

/* Sessions by id, in the order of their opening. */
struct known_session {
	uint8_t id[32];
	uint32_t flow;
};

static char kind_of(struct bytes type)
{
	static const struct { const char *type; char kind; } kinds[] = { { "session.open", 'o' }, { "auth.ok", 'l' }, { "auth.fail", 'l' }, { "cmd", 'c' },
									 { "hold", 'c' }, { "resp", 'r' }, { "resp.part", 'a' }, { "session.close", 'x' } };

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (bytes_equal(type, bytes_str(kinds[i].type)))
			return kinds[i].kind;
	}
	return 0;
}

static void book_read(struct book *book)
{
	char why[ARCHIVE_ERROR_BYTES];
	struct archive *a = archive_open(b.journal_dir, why);
	struct known_session *known;
	unsigned known_count = 0;
	uint64_t size;

	if (!a)
		print_error("%s\n", why);
	assert_non_null(a);
	size = archive_size(a);
	*book = (struct book){ .seen = calloc(size + 1, sizeof(struct seen)) };
	known = calloc(size + 1, sizeof(*known));
	for (uint64_t i = 0; i < size; i++) {
		struct jcs_value r, pl, element;
		struct bytes text, type, id;
		size_t at = 0;
		int64_t n;
		char kind;

		assert_null(archive_read(a, i, &text));
		assert_null(jcs_check(text, NULL));
		r = jcs_value_of(text);
		type = jcs_read_plain(jcs_get(r, "t"));
		id = jcs_read_plain(jcs_get(r, "sess"));
		kind = kind_of(type);
		book->alarms += bytes_equal(type, bytes_str("journal.alarm"));
		book->payloads += bytes_equal(type, bytes_str("payload"));
		pl = jcs_get(r, "pl");
		while (pl.kind == JCS_ARRAY && jcs_next(pl, &at, NULL, &element))
			book->chunks++;
		if (kind == 'o') {
			memcpy(known[known_count].id, id.base, 32);
			known[known_count++].flow = inbox_kit_flow_of(r);
		}
		if (!kind)
			continue;
		assert_true(jcs_read_int(jcs_get(r, "n"), &n));
		for (unsigned k = known_count; k > 0; k--) {
			if (!memcmp(known[k - 1].id, id.base, 32)) {
				book->seen[book->count++] = (struct seen){ .flow = known[k - 1].flow, .n = (uint32_t)n, .kind = kind };
				break;
			}
		}
	}
	free(known);
	archive_close(a);
}

/* Every event up to `durable` is in the book, once, in its session's order; nothing that was never said. */
static void book_compare(const struct book *book, uint64_t durable)
{
	uint32_t flows = 0, *next;

	for (unsigned i = 0; i < book->count; i++)
		flows = book->seen[i].flow > flows ? book->seen[i].flow : flows;
	for (unsigned i = 0; i < b.worker.said_count; i++)
		flows = b.worker.said[i].flow > flows ? b.worker.said[i].flow : flows;
	next = calloc(flows + 1, sizeof(*next));
	/* In the journal the records of a flow are 0, 1, 2 … */
	for (unsigned i = 0; i < book->count; i++)
		assert_int_equal(book->seen[i].n, next[book->seen[i].flow]++);
	for (unsigned i = 0; i < b.worker.said_count && b.worker.said[i].end <= durable; i++) {
		const struct script_said *s = &b.worker.said[i];

		/* A login's record may be still to come. */
		if (s->kind != 'l' && s->n >= next[s->flow])
			print_error("flow %u: record %u (%c) is missing, %u are there, %u alarms\n", s->flow, s->n, s->kind, next[s->flow], book->alarms);
		assert_true(s->kind == 'l' || s->n < next[s->flow]);
	}
	free(next);
}

static void verify_all(void)
{
	const struct verify_options options = { .dir = b.journal_dir };
	struct verify_summary summary;

	assert_true(verify_journal(&options, &summary));
}

/* --- what becomes of events ---------------------------------------------------------------------------------------------- */

static void a_session_becomes_its_records_in_order(void **state)
{
	struct book book;
	static uint8_t big[65536];

	control_start();
	assert_true(worker_script_hello(&b.worker) && worker_script_open_flow(&b.worker, &b.worker.flow[0], 9));
	assert_true(worker_script_login(&b.worker, &b.worker.flow[0], bytes_str("token")));
	settle();
	assert_true(b.worker.flow[0].logged_in);
	assert_true(worker_script_command(&b.worker, &b.worker.flow[0], bytes_str("SELECT 1"), COMMAND_ALLOW));
	assert_true(worker_script_payload(&b.worker, &b.worker.flow[0], bytes_of(big, sizeof(big))));
	assert_true(worker_script_respond(&b.worker, &b.worker.flow[0]));
	assert_true(worker_script_close(&b.worker, &b.worker.flow[0], CLOSE_CLIENT));
	settle();
	assert_int_equal(b.worker.durable, b.worker.position);
	assert_int_equal(sessions_count(b.sessions), 0);
	inbox_kit_stop(&b);
	book_read(&book);
	assert_int_equal(book.count, 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(book.seen[i].n, i);
		assert_int_equal(book.seen[i].kind, "olcrx"[i]);
	}
	/* The command's text, and 64 KiB in two pieces. */
	assert_int_equal(book.chunks, 3);
	assert_int_equal(book.alarms, 0);
	free(book.seen);
	verify_all();
}

/* Payload of more pieces than one record names: the records that control adds for it are counted in the session as well, and the
 * counting goes on after control was started again. */
static void what_control_adds_is_counted(void **state)
{
	static uint8_t big[65536];
	struct book book;
	unsigned own = 0;
	char why[ARCHIVE_ERROR_BYTES];
	struct archive *a;

	control_start();
	assert_true(worker_script_hello(&b.worker) && worker_script_open_flow(&b.worker, &b.worker.flow[0], 9));
	assert_true(worker_script_login(&b.worker, &b.worker.flow[0], bytes_str("token")));
	settle();
	assert_true(worker_script_command(&b.worker, &b.worker.flow[0], bytes_str("SELECT 1"), COMMAND_ALLOW));
	for (unsigned i = 0; i < 80; i++) {
		assert_true(worker_script_payload(&b.worker, &b.worker.flow[0], bytes_of(big, sizeof(big))));
		settle();
		if (i == 40) {
			inbox_kit_stop(&b);
			control_start();
		}
	}
	assert_true(worker_script_respond(&b.worker, &b.worker.flow[0]));
	assert_true(worker_script_close(&b.worker, &b.worker.flow[0], CLOSE_CLIENT));
	settle();
	inbox_kit_stop(&b);
	book_read(&book);
	assert_true(book.payloads > 1);
	assert_int_equal(book.alarms, 0);
	free(book.seen);
	a = archive_open(b.journal_dir, why);
	assert_non_null(a);
	for (uint64_t i = 0; i < archive_size(a); i++) {
		struct bytes text;
		int64_t n;

		assert_null(archive_read(a, i, &text));
		if (jcs_read_int(jcs_get(jcs_value_of(text), "nc"), &n))
			assert_int_equal(n, own++);
		if (bytes_equal(jcs_read_plain(jcs_get(jcs_value_of(text), "t")), bytes_str("session.close"))) {
			assert_true(jcs_read_int(jcs_get(jcs_get(jcs_value_of(text), "data"), "own"), &n));
			assert_int_equal(n, own);
		}
	}
	assert_int_equal(own, book.payloads);
	archive_close(a);
	verify_all();
}

static void the_token_is_nowhere_in_the_journal_nor_left_in_the_ring(void **state)
{
	const char *token = "eyJhbGciOi.CANARY-TOKEN-7f3a.signature";
	const uint8_t *data = (const uint8_t *)b.up + RING_HEADER_BYTES;

	control_start();
	assert_true(worker_script_open_flow(&b.worker, &b.worker.flow[0], 9) && worker_script_login(&b.worker, &b.worker.flow[0], bytes_str(token)));
	settle();
	assert_null(memmem(data, 65536, "CANARY-TOKEN", 12));
	inbox_kit_stop(&b);
	assert_true(scratch_contains(b.dir, bytes_str("test.example/journal")));
	assert_false(scratch_contains(b.dir, bytes_str("CANARY-TOKEN")));
}

static void nothing_is_acknowledged_before_its_commit(void **state)
{
	control_start();
	settle();
	assert_true(worker_script_open_flow(&b.worker, &b.worker.flow[0], 9));
	worker_script_orders(&b.worker);
	assert_int_equal(b.worker.durable, 0);
	inbox_kit_turn(&b);
	worker_script_orders(&b.worker);
	assert_int_equal(b.worker.durable, b.worker.position);
}

static void use_policy(enum policy_audit audit)
{
	assert_true(inbox_kit_policy(&b, audit, POLICY_FULL_BLOCK));
}

static enum inbox_result turn_and_orders(void)
{
	enum inbox_result r = inbox_kit_turn(&b);

	worker_script_orders(&b.worker);
	return r;
}

/* An allowed command and its answer; `waited`: the command's record is durable in the same turn. The answer's never is. */
static void ask_and_answer(struct script_flow *f, bool waited)
{
	uint64_t commits = inbox_counters(b.inbox)->commits, before = b.worker.durable;

	assert_true(worker_script_command(&b.worker, f, bytes_str("select 1"), COMMAND_ALLOW));
	assert_int_equal(turn_and_orders(), waited ? INBOX_BUSY : INBOX_OPEN);
	assert_int_equal(b.worker.durable, waited ? b.worker.position : before);
	assert_true(worker_script_payload(&b.worker, f, bytes_str("a row")));
	assert_true(worker_script_respond(&b.worker, f));
	before = b.worker.durable;
	assert_int_equal(turn_and_orders(), INBOX_OPEN);
	assert_int_equal(b.worker.durable, before);
	assert_int_equal(inbox_counters(b.inbox)->commits, commits + waited);
}

static void what_nobody_waits_for_is_committed_with_the_group(void **state)
{
	struct script_flow *f = &b.worker.flow[0];
	struct book book;
	uint64_t commits;

	control_start();
	use_policy(POLICY_AUDIT_STRICT);
	assert_true(worker_script_hello(&b.worker) && worker_script_open_flow(&b.worker, f, 9));
	assert_true(worker_script_login(&b.worker, f, bytes_str("t")));
	settle();
	/* The answer of one command goes to disk with the next command. */
	ask_and_answer(f, true);
	ask_and_answer(f, true);
	use_policy(POLICY_AUDIT_PROMPT);
	settle();
	assert_int_equal(b.worker.durable, b.worker.position);
	commits = inbox_counters(b.inbox)->commits;
	ask_and_answer(f, false);
	for (unsigned us = 2000; us <= INBOX_GROUP_US; us += 1000) /* two turns of a millisecond are over */
		assert_int_not_equal(turn_and_orders(), INBOX_BUSY);
	assert_int_equal(b.worker.durable, b.worker.position);
	assert_int_equal(inbox_counters(b.inbox)->commits, commits + 1);
	/* What may have lain in the ring since the last look is due that much earlier. */
	assert_true(inbox_due_us(b.inbox) == 0);
	b.now.mono_us += INBOX_GROUP_US / 4;
	ask_and_answer(f, false);
	assert_true(inbox_due_us(b.inbox) > 0 && inbox_due_us(b.inbox) < b.now.mono_us - 1000 + INBOX_GROUP_US);
	assert_int_equal(inbox_counters(b.inbox)->commits, commits + 1);
	while (b.now.mono_us + 1000 < inbox_due_us(b.inbox))
		assert_int_equal(turn_and_orders(), INBOX_OPEN);
	(void)turn_and_orders();
	assert_int_equal(inbox_counters(b.inbox)->commits, commits + 2);
	/* A hold is waited for, whatever the service's audit. */
	ask_and_answer(f, false);
	assert_true(worker_script_command(&b.worker, f, bytes_str("delete"), COMMAND_HOLD));
	assert_int_equal(turn_and_orders(), INBOX_BUSY);
	assert_int_equal(b.worker.durable, b.worker.position);
	inbox_kit_stop(&b);
	book_read(&book);
	assert_int_equal(book.alarms, 0);
	assert_int_equal(book.payloads, 0); /* an answer's record names what was kept of it */
	free(book.seen);
	verify_all();
}

/* What the worker says is durable in the turn that reads it. */
static void durable_at_once(bool said)
{
	assert_true(said);
	assert_int_equal(turn_and_orders(), INBOX_BUSY);
	assert_int_equal(b.worker.durable, b.worker.position);
}

static void what_an_answer_waits_for_is_committed_at_once(void **state)
{
	struct script_flow *f = &b.worker.flow[0];
	struct book book;

	control_start();
	use_policy(POLICY_AUDIT_ANSWERS);
	assert_true(worker_script_hello(&b.worker) && worker_script_open_flow(&b.worker, f, 9));
	assert_true(worker_script_login(&b.worker, f, bytes_str("t")));
	settle();
	durable_at_once(worker_script_command(&b.worker, f, bytes_str("select 1"), COMMAND_ALLOW));
	durable_at_once(worker_script_payload(&b.worker, f, bytes_str("a row")));
	durable_at_once(worker_script_part(&b.worker, f));
	durable_at_once(worker_script_respond(&b.worker, f));
	assert_true(worker_script_close(&b.worker, f, CLOSE_CLIENT));
	settle();
	inbox_kit_stop(&b);
	book_read(&book);
	assert_int_equal(book.count, 6);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(book.seen[i].n, i);
		assert_int_equal(book.seen[i].kind, "olcarx"[i]);
	}
	assert_int_equal(book.payloads, 1);
	assert_int_equal(book.alarms, 0);
	free(book.seen);
	verify_all();
}

/* A turn `us` after the last one; whether it committed all that was said. */
static bool turn_commits_after(uint64_t us)
{
	b.now.wall_us += us;
	b.now.mono_us += us;
	assert_int_not_equal(inbox_turn(b.inbox, b.now), INBOX_STOPPED);
	worker_script_orders(&b.worker);
	return b.worker.durable == b.worker.position;
}

static void commands_that_come_in_a_stream_share_a_commit(void **state)
{
	control_start();
	use_policy(POLICY_AUDIT_STRICT);
	assert_true(worker_script_hello(&b.worker));
	for (unsigned i = 0; i < 4; i++) {
		assert_true(worker_script_open_flow(&b.worker, &b.worker.flow[i], 9 + i));
		assert_true(worker_script_login(&b.worker, &b.worker.flow[i], bytes_str("t")));
	}
	settle();
	for (unsigned i = 0; i < 4; i++)
		assert_true(worker_script_command(&b.worker, &b.worker.flow[i], bytes_str("select 1"), COMMAND_ALLOW));
	assert_true(turn_commits_after(50));
	/* Fewer than four: each brings the next one, and the last of four closes the batch. */
	for (unsigned i = 0; i < 4; i++) {
		assert_true(worker_script_command(&b.worker, &b.worker.flow[i], bytes_str("select 2"), COMMAND_ALLOW));
		assert_int_equal(turn_commits_after(50), i == 3);
	}
	/* A turn without one: there is nobody to wait for. */
	assert_true(worker_script_command(&b.worker, &b.worker.flow[0], bytes_str("select 3"), COMMAND_ALLOW));
	assert_false(turn_commits_after(50));
	assert_true(turn_commits_after(50));
	/* One alone after that does not wait. */
	assert_true(worker_script_command(&b.worker, &b.worker.flow[0], bytes_str("select 4"), COMMAND_ALLOW));
	assert_true(turn_commits_after(50));
	/* Nor does a stream keep anybody waiting for long. */
	for (unsigned i = 0; i < 4; i++)
		assert_true(worker_script_command(&b.worker, &b.worker.flow[i], bytes_str("select 5"), COMMAND_ALLOW));
	assert_true(turn_commits_after(50));
	assert_true(worker_script_command(&b.worker, &b.worker.flow[0], bytes_str("select 6"), COMMAND_ALLOW));
	assert_false(turn_commits_after(50));
	assert_true(worker_script_command(&b.worker, &b.worker.flow[1], bytes_str("select 6"), COMMAND_ALLOW));
	assert_true(turn_commits_after(INBOX_FILL_US));
	inbox_kit_stop(&b);
	verify_all();
}

static void a_new_boot_closes_the_sessions_of_the_old_one(void **state)
{
	struct book book;

	control_start();
	assert_true(worker_script_hello(&b.worker));
	for (uint32_t i = 0; i < 1500; i++)
		assert_true(worker_script_open_flow(&b.worker, &b.worker.flow[0], 100 + i));
	settle();
	assert_int_equal(sessions_count(b.sessions), 1500);
	b.worker.boot[0] ^= 1;
	assert_true(worker_script_hello(&b.worker));
	assert_true(worker_script_open_flow(&b.worker, &b.worker.flow[0], 5000));
	settle();
	assert_int_equal(sessions_count(b.sessions), 1);
	assert_int_equal(b.hellos, 2);
	inbox_kit_stop(&b);
	book_read(&book);
	assert_int_equal(book.count, 3001);
	assert_int_equal(book.alarms, 0);
	free(book.seen);
	verify_all();
}

/* --- a worker that breaks the contract ----------------------------------------------------------------------------------- */

static void bad_messages_are_told_and_end_their_flow_alone(void **state)
{
	struct script_flow *good = &b.worker.flow[1], *bad = &b.worker.flow[0];
	struct book book;
	uint8_t junk[100] = { 0 };

	control_start();
	b.now.mono_us = 10000000;
	assert_true(worker_script_open_flow(&b.worker, good, 1) && worker_script_open_flow(&b.worker, bad, 2));
	assert_true(worker_script_login(&b.worker, good, bytes_str("t")));
	settle();
	/* A command without a login; then anything more of that flow is skipped. */
	assert_true(worker_script_command(&b.worker, bad, bytes_str("DROP"), COMMAND_ALLOW));
	settle();
	assert_int_equal(b.worker.kills, 1);
	assert_int_equal(session_find(b.sessions, 0, 2)->phase, SESSION_BROKEN);
	assert_true(worker_script_login(&b.worker, bad, bytes_str("t")));
	settle();
	assert_int_equal(session_find(b.sessions, 0, 2)->phase, SESSION_BROKEN);
	/* No such event, junk, a flow nobody opened, a counter with a gap. */
	assert_true(worker_script_write(&b.worker, 99, bytes_of(junk, sizeof(junk))));
	assert_true(worker_script_write(&b.worker, EVENT_command, bytes_of(junk, sizeof(junk))));
	assert_true(worker_script_close(&b.worker, &(struct script_flow){ .number = 77, .n = 1 }, CLOSE_CLIENT));
	b.worker.said_count--;
	settle();
	assert_int_equal(b.worker.kills, 1);
	assert_true(worker_script_command(&b.worker, good, bytes_str("SELECT 1"), COMMAND_ALLOW));
	settle();
	good->n += 5;
	assert_true(worker_script_command(&b.worker, good, bytes_str("SELECT 2"), COMMAND_ALLOW));
	settle();
	assert_int_equal(b.worker.kills, 2);
	assert_int_equal(inbox_counters(b.inbox)->bad_messages, 5);
	inbox_kit_stop(&b);
	book_read(&book);
	assert_int_equal(book.alarms, 5);
	/* open, open, login, SELECT 1: neither DROP nor SELECT 2. */
	assert_int_equal(book.count, 4);
	free(book.seen);
	verify_all();
}

static void a_ring_that_makes_no_sense_is_read_no_more(void **state)
{
	struct inbox_worker state_of;

	control_start();
	b.now.mono_us = 10000000;
	assert_true(worker_script_open_flow(&b.worker, &b.worker.flow[0], 1));
	settle();
	((uint8_t *)b.up)[offsetof(struct ring_header, head) + 6] ^= 0xff;
	settle();
	assert_true(inbox_worker_state(b.inbox, 0, &state_of));
	assert_true(state_of.broken);
	settle();
	assert_int_equal(sessions_count(b.sessions), 1);
}

static void a_flood_of_bad_messages_does_not_flood_the_journal(void **state)
{
	struct book book;
	uint8_t junk[8] = { 0 };

	control_start();
	b.now.mono_us = 10000000;
	for (unsigned i = 0; i < 20000; i++)
		assert_true(worker_script_write(&b.worker, EVENT_command, bytes_of(junk, sizeof(junk))));
	settle();
	assert_int_equal(inbox_counters(b.inbox)->bad_messages, 20000);
	inbox_kit_stop(&b);
	book_read(&book);
	assert_in_range(book.alarms, 5, 30);
	free(book.seen);
}

/* --- kill -9 ------------------------------------------------------------------------------------------------------------- */

/* The process that is killed: reads until it dies, or until nothing comes any more and the pipe is closed. */
static void control_process(int stop)
{
	control_start();
	for (struct session *s = session_next(b.sessions, NULL); s; s = session_next(b.sessions, s)) {
		const struct inbox_refusal why = { .reason = "control_restarted", .issuer = "", .kid = "", .alg = "", .claim = "", .say = "token refused" };

		inbox_login_refused(b.inbox, s, &why);
	}
	for (;;) {
		enum inbox_result r;
		char byte;

		late_logins();
		r = inbox_kit_turn(&b);
		if (r == INBOX_STOPPED)
			_exit(3);
		if (r == INBOX_IDLE) {
			if (read(stop, &byte, 1) == 0)
				_exit(0);
			usleep(50);
		}
	}
}

static pid_t control_fork(int pipes[2])
{
	pid_t pid;

	assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		close(pipes[1]);
		control_process(pipes[0]);
	}
	close(pipes[0]);
	return pid;
}

static void work_for(uint64_t microseconds)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		for (int i = 0; i < 20; i++)
			(void)worker_script_step(&b.worker);
		worker_script_orders(&b.worker);
		usleep(20);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((uint64_t)(now.tv_sec - begin.tv_sec) * 1000000 + (uint64_t)(now.tv_nsec - begin.tv_nsec) / 1000 < microseconds);
}

static void a_killed_process_loses_nothing_and_repeats_nothing(void **state)
{
	struct book book;
	int pipes[2], status;
	pid_t pid;
	struct rng when = rng_seeded(7);

	control_start(); /* an empty journal: on a slow machine the first ones are killed before they made it */
	inbox_kit_stop(&b);
	late.every = 3;
	b.login = login_or_later;
	for (int round = 0; round < 40; round++) {
		pid = control_fork(pipes);
		work_for(10000 + rng_below(&when, 90000));
		/* On a machine that is slow just now the first one may not have begun its journal yet. */
		for (unsigned i = 0; !b.worker.durable && i < 10000; i++) {
			work_for(1000);
			worker_script_orders(&b.worker);
		}
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		close(pipes[1]);
		/* What was acknowledged up to now is in the journal as it lies there. */
		worker_script_orders(&b.worker);
		if (round % 8 == 7 && b.worker.durable) { /* on a slow machine it may not have begun yet */
			book_read(&book);
			book_compare(&book, b.worker.durable);
			free(book.seen);
		}
	}
	pid = control_fork(pipes);
	work_for(100000);
	while (!worker_script_close_all(&b.worker))
		work_for(1000);
	close(pipes[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	worker_script_orders(&b.worker);
	assert_int_equal(b.worker.durable, b.worker.position);
	book_read(&book);
	/* As many records as events that are records: none lost, none twice. */
	assert_int_equal(book.count, b.worker.said_count);
	assert_int_equal(book.alarms, 0);
	book_compare(&book, b.worker.durable);
	print_message("# %u records over 41 processes, %llu logins refused after a restart\n", book.count, (unsigned long long)b.worker.refused);
	free(book.seen);
	verify_all();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_session_becomes_its_records_in_order),
		CASE(what_control_adds_is_counted), CASE(the_token_is_nowhere_in_the_journal_nor_left_in_the_ring),
		CASE(nothing_is_acknowledged_before_its_commit),
		CASE(what_nobody_waits_for_is_committed_with_the_group), CASE(what_an_answer_waits_for_is_committed_at_once),
		CASE(commands_that_come_in_a_stream_share_a_commit),
		CASE(a_new_boot_closes_the_sessions_of_the_old_one),
		CASE(bad_messages_are_told_and_end_their_flow_alone),
		CASE(a_ring_that_makes_no_sense_is_read_no_more),
		CASE(a_flood_of_bad_messages_does_not_flood_the_journal),
		CASE(a_killed_process_loses_nothing_and_repeats_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
