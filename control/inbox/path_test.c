/* kill -9 of control at every point of its path (journal.md 11): each message read from the ring, each record appended, each write and
 * flush of the disk, commit, acknowledgement, checkpoint, the signer's state, a segment's end and the next one's begin, pruning, keys
 * made and destroyed. Killed there, what was acknowledged up to then is in the journal as it lies there; then it is started again, ends its
 * work, and every event is on record once, without a gap, under a checkpoint that the signer signed.
 *
 * The points are counted in a life that nobody ends; then a life is ended at each. The linker puts the functions named below before the
 * real ones (meson.build), disk_kit.h all writes and flushes. A sample; POINTS in the environment: every how manieth of all of
 * them ("1": every one, some thousands).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/inbox/inbox_kit.h"
#include "control/journal/base64.h"
#include "control/journal/disk_kit.h"
#include "control/journal/segment.h"
#include "control/journal/spine.h"
#include "control/journal/tiles.h"
#include "control/journal/verify.h"
#include "control/signer/signer.h"
#include "control/signer/signer_message.h"

#define POINTS_MAX (1u << 16)
#define SESSIONS 5u
#define DISK "a write or a flush"

/* --- the points ---------------------------------------------------------------------------------------------------------- */

struct points {
	bool on;
	unsigned passed, end_at; /* end_at: counted from 1; 0: nowhere */
	const char *name[POINTS_MAX];
};

static struct points *points; /* shared with the process that dies */

static void point(const char *name)
{
	if (!points || !points->on)
		return;
	if (points->passed < POINTS_MAX)
		points->name[points->passed] = name;
	if (++points->passed == points->end_at)
		raise(SIGKILL);
}

static void disk_point(void *ctx)
{
	point(DISK);
}

#define POINT(type, name, parameters, arguments)                                                                                                          \
	type __real_##name parameters;                                                                                                                    \
	type __wrap_##name parameters;                                                                                                                    \
	type __wrap_##name parameters                                                                                                                     \
	{                                                                                                                                                 \
		type result;                                                                                                                              \
                                                                                                                                                          \
		point("before " #name);                                                                                                                   \
		result = __real_##name arguments;                                                                                                         \
		point("after " #name);                                                                                                                    \
		return result;                                                                                                                            \
	}
#define POINT_VOID(name, parameters, arguments)                                                                                                           \
	void __real_##name parameters;                                                                                                                    \
	void __wrap_##name parameters;                                                                                                                    \
	void __wrap_##name parameters                                                                                                                     \
	{                                                                                                                                                 \
		point("before " #name);                                                                                                                   \
		__real_##name arguments;                                                                                                                  \
		point("after " #name);                                                                                                                    \
	}

POINT(bool, ring_read, (struct ring_consumer *c, uint8_t *into, size_t cap, uint16_t *type, struct bytes *payload, uint64_t *end), (c, into, cap, type, payload, end))
POINT_VOID(ring_release, (struct ring_consumer *c, uint64_t position), (c, position))
POINT_VOID(ring_release_wiped, (struct ring_consumer *c, uint64_t position), (c, position))
POINT(bool, ring_write, (struct ring_producer *p, uint16_t type, struct bytes payload, uint64_t *end), (p, type, payload, end))
POINT(enum journal_status, journal_append, (struct journal *j, struct bytes record, uint64_t *index), (j, record, index))
POINT(enum journal_status, journal_append_vital, (struct journal *j, struct bytes record, uint64_t *index), (j, record, index))
POINT(enum journal_status, journal_chunk_sealed, (struct journal *j, const struct record_seal *seal, struct bytes payload, struct record_chunk *out), (j, seal, payload, out))
POINT(enum journal_status, journal_commit, (struct journal *j, uint64_t now_us), (j, now_us))
POINT(const char *, journal_prune, (struct journal *j, const struct journal_prune *what), (j, what))
POINT(int, segment_create, (struct segment *s, const char *dir, uint64_t map_bytes, const struct segment_start *start), (s, dir, map_bytes, start))
POINT(int, segment_commit, (struct segment *s, const struct segment_batch *batch), (s, batch))
POINT(int, segment_seal, (struct segment *s, uint64_t end, const struct merkle_hash *root, uint64_t now_us), (s, end, root, now_us))
POINT(int, durable_sync_dir, (const char *dir), (dir))
POINT(int, spine_commit, (struct spine *s, uint64_t size, struct bytes note, uint64_t tiles), (s, size, note, tiles))
POINT(int, tiles_write, (const char *dir, int level, uint64_t number, unsigned width, struct bytes data), (dir, level, number, width, data))
POINT(int, tiles_write_file, (const char *dir, const char *name, struct bytes data), (dir, name, data))
POINT_VOID(sessions_save, (struct sessions *ss, uint64_t version), (ss, version))
POINT_VOID(sessions_saved, (struct sessions *ss, uint64_t version), (ss, version))
POINT(bool, payload_keys_make, (struct payload_keys *k, const uint8_t *session, uint64_t now_us, struct seal *out), (k, session, now_us, out))
POINT(bool, payload_keys_sync, (struct payload_keys *k), (k))
POINT(bool, payload_keys_intend, (struct payload_keys *k, const uint8_t *session), (k, session))
POINT(bool, payload_keys_destroy, (struct payload_keys *k, const uint8_t *session), (k, session))
POINT(bool, signer_state_save, (struct signer_state *s, uint64_t size, const struct merkle_hash *root), (s, size, root))
POINT(int, rename, (const char *from, const char *to), (from, to))
POINT(int, unlink, (const char *path), (path))
POINT(int, mkdir, (const char *path, mode_t mode), (path, mode))
POINT(int, rmdir, (const char *path), (path))
POINT(int, chmod, (const char *path, mode_t mode), (path, mode))

/* --- the world ----------------------------------------------------------------------------------------------------------- */

static struct inbox_kit b;
static struct {
	char keys_dir[SCRATCH_BYTES], state[96];
	struct signer signer;
	uint8_t packet[SIGNER_MESSAGE_BYTES_MAX];
	struct bytes answer;
} signing;

/* sluice-signer, in this process: its state is on disk before it signs. */
static bool signer_size(void *ctx, uint64_t *size)
{
	*size = signing.signer.state.size;
	return true;
}

static bool signer_ask(void *ctx, uint64_t old_size, const struct merkle_proof *proof, struct bytes body)
{
	const struct signer_message m = { .type = SIGNER_SIGN, .old_size = old_size, .proof = *proof, .text = body };
	uint8_t request[SIGNER_MESSAGE_BYTES_MAX];
	struct writer w = writer_of(request, sizeof(request)), answer = writer_of(signing.packet, sizeof(signing.packet));

	if (!signer_message_encode(&m, &w))
		return false;
	signer_handle(&signing.signer, writer_done(&w), &answer);
	signing.answer = writer_done(&answer);
	return true;
}

static enum journal_signer_answer signer_poll(void *ctx, struct writer *lines, const char **why)
{
	struct signer_message m;

	*why = "refused";
	if (!signer_message_decode(signing.answer, &m) || m.type != SIGNER_SIGNED)
		return JOURNAL_SIGNER_REFUSED;
	writer_put(lines, m.text);
	return JOURNAL_SIGNER_DONE;
}

static const struct journal_signer signer_calls = { .size = signer_size, .ask = signer_ask, .poll = signer_poll };

/* What a worker said before control looks: some sessions, one of them with payload for more than a segment. */
static void worker_says(void)
{
	static uint8_t big[65536];
	struct rng rng = rng_seeded(3);

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)rng_next(&rng);
	assert_true(worker_script_hello(&b.worker));
	for (uint32_t flow = 1; flow <= SESSIONS; flow++) {
		struct script_flow *f = &b.worker.flow[0];

		assert_true(worker_script_open_flow(&b.worker, f, flow) && worker_script_login(&b.worker, f, bytes_str("token")));
		for (unsigned n = 0; n < 65; n++) {
			assert_true(worker_script_command(&b.worker, f, bytes_str("SELECT 1"), COMMAND_ALLOW));
			for (unsigned part = 0; flow == 1 && n == 0 && part < 17; part++)
				assert_true(worker_script_payload(&b.worker, f, bytes_of(big, sizeof(big))));
			assert_true(worker_script_respond(&b.worker, f));
		}
		assert_true(worker_script_close(&b.worker, f, CLOSE_CLIENT));
	}
}

static void world_make(void)
{
	assert_true(inbox_kit_make(&b));
	snprintf(signing.state, sizeof(signing.state), "%s/signed", b.dir);
	assert_null(signer_state_open(&signing.signer.state, signing.state, true));
	signer_state_close(&signing.signer.state);
	worker_says();
}

static void world_end(void)
{
	assert_true(inbox_kit_free(&b));
}

/* --- a life of control --------------------------------------------------------------------------------------------------- */

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "# %s: %s; stopped: %s\n", what, b.err, b.journal && journal_stopped(b.journal) ? journal_stopped(b.journal) : "no");
	_exit(4);
}

static void begin(void)
{
	const struct journal_config how = { .segment_bytes = 1 << 20, .publish_us = 1, .preallocate = true };

	must(!signer_state_open(&signing.signer.state, signing.state, false), "the signer's state");
	must(inbox_kit_start(&b, &how), "start");
}

/* Until everything that was said or appended is committed and published. */
static void settle(void)
{
	enum inbox_result r;

	do {
		r = inbox_kit_turn(&b);
		must(r != INBOX_STOPPED, "inbox_turn");
		(void)journal_publish(b.journal, &signer_calls, b.now.wall_us);
	} while (r != INBOX_IDLE);
	must(journal_publish_flush(b.journal, &signer_calls, b.now.wall_us, 1000), "journal_publish_flush");
}

static void describe_prune(struct jcs *j, const void *from)
{
	const struct journal_prune *p = from;

	jcs_put_uint(j, "end", p->end);
	jcs_put_uint(j, "first", p->first);
	jcs_put_hex(j, "root", bytes_of(p->root.b, sizeof(p->root.b)));
}

static void prunes(void)
{
	struct journal_prune what;
	const struct entry e = { .type = "journal.prune", .data = { describe_prune, &what } };

	if (!journal_prune_candidate(b.journal, UINT64_MAX, &what))
		return;
	must(inbox_append(b.inbox, &e, true, NULL), "the record of pruning");
	settle();
	must(!journal_prune(b.journal, &what), "journal_prune");
}

/* The session whose end is the newest one. */
static bool last_session(struct archive *a, uint8_t id[16])
{
	for (uint64_t i = archive_size(a); i-- > archive_first(a);) {
		struct bytes record;
		struct writer w = writer_of(id, 16);

		if (!archive_read(a, i, &record) && bytes_equal(jcs_read_plain(jcs_get(jcs_value_of(record), "t")), bytes_str("session.close")))
			return hex_read(jcs_read_plain(jcs_get(jcs_value_of(record), "sess")), &w) && w.len == 16;
	}
	return false;
}

static void describe_destroy(struct jcs *j, const void *from)
{
	jcs_put_hex(j, "session", bytes_of(from, 16));
}

static void erases(void)
{
	uint8_t id[16], noted[16];
	const struct entry e = { .type = "key.destroy", .data = { describe_destroy, id } };
	struct seal key;

	must(last_session(journal_archive(b.journal), id), "the last session");
	if (!payload_keys_intent(b.keys, noted)) {
		if (!payload_keys_find(b.keys, id, &key))
			return; /* done in the life before */
		must(payload_keys_intend(b.keys, id), "payload_keys_intend");
	}
	must(inbox_append(b.inbox, &e, true, NULL), "the record of erasing");
	settle();
	must(payload_keys_destroy(b.keys, id), "payload_keys_destroy");
}

/* `counted`: its points are counted, and it ends at one of them (0: none). */
static void life(bool counted, unsigned end_at)
{
	if (counted) {
		points->on = true;
		points->passed = 0;
		points->end_at = end_at;
		disk_watch(b.dir, disk_point, NULL);
	}
	begin();
	settle();
	prunes();
	erases();
	settle();
	points->on = false;
	inbox_kit_stop(&b);
	_exit(0);
}

/* --- what is there afterwards -------------------------------------------------------------------------------------------- */

struct told {
	uint8_t id[32];
	uint32_t flow; /* 0: its opening is pruned */
	uint32_t next;
};

static struct told *told_of(struct told list[SESSIONS], struct bytes id, bool make)
{
	for (unsigned i = 0; i < SESSIONS; i++) {
		if (list[i].next && !memcmp(list[i].id, id.base, 32))
			return &list[i];
		if (!list[i].next && make) {
			memcpy(list[i].id, id.base, 32);
			return &list[i];
		}
	}
	fail_msg("more sessions than there were");
	return NULL;
}

/* Numbers without a gap in each session. Whether there are records of pruning and erasing. */
static void read_all(struct archive *a, struct told list[SESSIONS], bool *pruned, bool *erased)
{
	for (uint64_t i = archive_first(a); i < archive_size(a); i++) {
		struct jcs_value r;
		struct bytes text, type;
		struct told *t;
		int64_t n;

		assert_null(archive_read(a, i, &text));
		r = jcs_value_of(text);
		type = jcs_read_plain(jcs_get(r, "t"));
		*pruned |= bytes_equal(type, bytes_str("journal.prune"));
		*erased |= bytes_equal(type, bytes_str("key.destroy"));
		assert_false(bytes_equal(type, bytes_str("journal.alarm")));
		if (!jcs_read_int(jcs_get(r, "n"), &n))
			continue;
		t = told_of(list, jcs_read_plain(jcs_get(r, "sess")), n == 0 || archive_first(a) > 0);
		if (t->next)
			assert_int_equal(n, t->next);
		t->flow = n == 0 ? inbox_kit_flow_of(r) : t->flow;
		t->next = (uint32_t)n + 1;
	}
}

/* Whatever the worker may have let go is on record, and nothing was removed without a record that says so. */
static void judge(uint64_t durable, bool complete)
{
	struct told list[SESSIONS] = { 0 };
	bool pruned = false, erased = false;
	struct archive *a = archive_open(b.journal_dir, b.err);
	struct payload_keys *keys;
	uint8_t id[16];
	struct seal key;

	if (!a && !complete && !durable)
		return; /* it died before there was a journal */
	if (!a)
		fail_msg("%s", b.err);
	read_all(a, list, &pruned, &erased);
	for (unsigned i = 0; i < b.worker.said_count && b.worker.said[i].end <= durable; i++) {
		const struct script_said *s = &b.worker.said[i];
		bool found = archive_first(a) > 0;

		for (unsigned k = 0; k < SESSIONS && list[k].next; k++)
			found |= list[k].flow == s->flow && s->n < list[k].next;
		if (!found)
			fail_msg("record %u of flow %u was acknowledged and is not there", s->n, s->flow);
	}
	assert_true(archive_first(a) == 0 || pruned);
	keys = payload_keys_open(b.keys_dir, false, b.err);
	if (keys && last_session(a, id)) {
		bool there = payload_keys_find(keys, id, &key);

		assert_true(there || erased);
		assert_true(!there || !complete);
	}
	payload_keys_close(keys);
	archive_close(a);
}

static void judge_the_whole(void)
{
	struct verify_options o = { .dir = b.journal_dir, .keys = &signing.signer.keys.public };
	struct verify_summary s;

	assert_int_equal(b.worker.durable, b.worker.position);
	judge(b.worker.durable, true);
	assert_true(verify_journal(&o, &s));
	assert_int_equal(s.covered, s.size);
}

static int run(bool counted, unsigned end_at)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		life(counted, end_at);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	worker_script_orders(&b.worker);
	return status;
}

static void ends_at(unsigned which, const char *name)
{
	int status;

	world_make();
	status = run(true, which);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail_msg("point %u (%s): not reached, status %x", which, name, (unsigned)status);
	judge(b.worker.durable, false);
	points->on = false;
	status = run(false, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("point %u (%s): it does not begin anew, status %x", which, name, (unsigned)status);
	judge_the_whole();
	world_end();
}

/* What each test run has time for; each time the middle one of its name. */
static const char *const always[] = { "before segment_commit", "after segment_seal", "before journal_prune", DISK };

/* Every `step`th; 0: the sample above. */
static bool is_chosen(const struct points *all, unsigned i, unsigned step)
{
	unsigned same = 0, before = 0;

	if (step)
		return i % step == 0;
	for (unsigned k = 0; k < all->passed; k++) {
		same += all->name[k] == all->name[i];
		before += k < i && all->name[k] == all->name[i];
	}
	for (size_t k = 0; before == same / 2 && k < sizeof(always) / sizeof(always[0]); k++)
		if (!strcmp(all->name[i], always[k]))
			return true;
	return false;
}

static void killed_at_every_point_nothing_is_lost_and_nothing_comes_twice(void **state)
{
	const char *wanted = getenv("POINTS");
	unsigned step = wanted ? (unsigned)strtoul(wanted, NULL, 10) : 0, ended = 0, kinds = 0;
	struct points *all = calloc(1, sizeof(*all));

	world_make();
	assert_int_equal(run(true, 0), 0);
	judge_the_whole();
	world_end();
	*all = *points;
	assert_true(all->passed < POINTS_MAX);
	for (unsigned i = 0; i < all->passed; i++) {
		bool is_new = true;

		for (unsigned k = 0; k < i && is_new; k++)
			is_new = all->name[k] != all->name[i];
		kinds += is_new;
		if (!is_chosen(all, i, step))
			continue;
		ends_at(i + 1, all->name[i]);
		ended++;
	}
	assert_true(ended >= sizeof(always) / sizeof(always[0]));
	print_message("# %u lives ended, of %u points of %u kinds\n", ended, all->passed, kinds);
	free(all);
}

static int setup(void **state)
{
	points = mmap(NULL, sizeof(*points), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return points != MAP_FAILED && scratch_make(signing.keys_dir) && !signer_keys_load(&signing.signer.keys, &(struct signer_place){ .dir = signing.keys_dir, .origin = INBOX_KIT_ORIGIN }, "", true, NULL) ? 0 : -1;
}

static int teardown(void **state)
{
	signer_keys_free(&signing.signer.keys);
	return scratch_remove(signing.keys_dir) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(killed_at_every_point_nothing_is_lost_and_nothing_comes_twice) };

	return cmocka_run_group_tests_name("inbox_path", tests, setup, teardown);
}
