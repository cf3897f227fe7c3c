/* The real program in a child, over a real socket pair: what it signs, what it refuses, and that nothing makes it fall. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/journal/journal_fixture.h"
#include "control/journal/verify.h"
#include "control/signer/signer_client.h"
#include "control/signer/signer_message.h"
#include "platform/base/random.h"

#define WAIT_MS 20000

static const char *program;
static char dir[128], keys[160], state_file[160];
static pid_t child;
static int fd = -1;

static pid_t start(const char *state, bool init, int *ours)
{
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (pair[1] == 3)
			fcntl(3, F_SETFD, 0);
		else
			dup2(pair[1], 3);
		execl(program, "sluice-signer", "--origin", FIXTURE_ORIGIN, "--keys", keys, "--state", state, init ? "--init" : NULL, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	*ours = pair[0];
	return pid;
}

static int stop(pid_t pid, int ours)
{
	int status = -1;

	close(ours);
	waitpid(pid, &status, 0);
	return status;
}

static void restart(void)
{
	assert_int_equal(stop(child, fd), 0);
	child = start(state_file, false, &fd);
}

static int setup(void **state)
{
	fixture_dir(dir);
	snprintf(keys, sizeof keys, "%s/keys", dir);
	snprintf(state_file, sizeof state_file, "%s/state", dir);
	if (mkdir(keys, 0700) != 0)
		return -1;
	child = start(state_file, true, &fd);
	return 0;
}

static int teardown(void **state)
{
	int status = stop(child, fd);

	fixture_remove(dir);
	return status;
}

/* --- a tree in memory ------------------------------------------------------------------------------------------------- */

#define LEAVES 40

struct tree {
	struct merkle_hash leaf[LEAVES];
};

static bool tree_get(void *ctx, unsigned height, uint64_t number, struct merkle_hash *out)
{
	struct tree *t = ctx;

	if ((number + 1) << height > LEAVES)
		return false;
	*out = merkle_root_of(t->leaf + (number << height), (size_t)1 << height);
	return true;
}

static struct tree make_tree(uint64_t seed, size_t common)
{
	struct tree t;

	for (size_t i = 0; i < LEAVES; i++) {
		uint64_t value = i < common ? i : i + seed * 1000;

		t.leaf[i] = merkle_leaf(bytes_of(&value, sizeof value));
	}
	return t;
}

static struct bytes body_of(struct tree *t, uint64_t size, char text[CHECKPOINT_BODY_MAX])
{
	struct checkpoint c = { .origin = FIXTURE_ORIGIN, .size = size, .root = merkle_root_of(t->leaf, size) };
	struct writer w = writer_of(text, CHECKPOINT_BODY_MAX);

	checkpoint_body(&c, &w);
	return writer_done(&w);
}

static enum journal_signer_answer ask(struct signer_client *client, struct tree *t, uint64_t old_size, uint64_t size, struct writer *lines)
{
	struct merkle_source source = { .ctx = t, .get = tree_get };
	struct merkle_proof proof;
	char text[CHECKPOINT_BODY_MAX];

	if (!merkle_prove_consistency(&source, old_size, size, &proof))
		proof.count = 0;
	return signer_sign(client, old_size, &proof, body_of(t, size, text), lines, WAIT_MS);
}

static void connect_to(struct signer_client *client)
{
	bool open = signer_client_open(client, fd, WAIT_MS);

	if (!open)
		print_error("%s\n", client->why);
	assert_true(open);
}

#define LINES(w) char w##_text[1024]; struct writer w = writer_of(w##_text, sizeof w##_text)

/* --- tests ------------------------------------------------------------------------------------------------------------ */

static void signatures_verify_under_the_keys_it_says(void **state)
{
	struct signer_client client;
	struct tree t = make_tree(0, 0);
	char text[CHECKPOINT_BODY_MAX], note[2048];
	struct writer w = writer_of(note, sizeof note);
	struct checkpoint c;
	struct checkpoint_signatures s;
	LINES(lines);

	connect_to(&client);
	assert_true(client.keys.has_ed25519 && client.keys.has_p256);
	assert_int_equal(ask(&client, &t, 0, 5, &lines), JOURNAL_SIGNER_DONE);
	writer_put(&w, body_of(&t, 5, text));
	writer_u8(&w, '\n');
	writer_put(&w, writer_done(&lines));
	assert_null(checkpoint_verify(writer_done(&w), &client.keys, &c));
	assert_int_equal(c.size, 5);
	s = checkpoint_check_signatures(writer_done(&w), &client.keys);
	assert_int_equal(s.ed25519, SIGNATURE_GOOD);
	assert_int_equal(s.p256, SIGNATURE_GOOD);
	/* A changed body, then a changed signature line. */
	note[strlen(FIXTURE_ORIGIN) + 1] = '6';
	assert_non_null(checkpoint_verify(writer_done(&w), &client.keys, &c));
	note[strlen(FIXTURE_ORIGIN) + 1] = '5';
	note[w.len - 10] ^= 1;
	assert_non_null(checkpoint_verify(writer_done(&w), &client.keys, &c));
}

static void smaller_tree_is_refused(void **state)
{
	struct signer_client client;
	struct tree t = make_tree(0, 0);
	LINES(lines);

	connect_to(&client);
	assert_int_equal(ask(&client, &t, 0, 20, &lines), JOURNAL_SIGNER_DONE);
	assert_int_equal(ask(&client, &t, 20, 19, &lines), JOURNAL_SIGNER_REFUSED);
	assert_non_null(strstr(client.why, "smaller"));
	assert_int_equal(ask(&client, &t, 0, 19, &lines), JOURNAL_SIGNER_REFUSED);
	assert_int_equal(client.size, 20);
}

static void fork_is_refused(void **state)
{
	struct signer_client client;
	struct tree t = make_tree(0, 0), other = make_tree(1, 10);
	LINES(lines);

	connect_to(&client);
	assert_int_equal(ask(&client, &t, 0, 20, &lines), JOURNAL_SIGNER_DONE);
	/* The same size with another root; an extension of another history; the whole from nothing. */
	assert_int_equal(ask(&client, &other, 20, 20, &lines), JOURNAL_SIGNER_REFUSED);
	assert_non_null(strstr(client.why, "another root"));
	assert_int_equal(ask(&client, &other, 20, 30, &lines), JOURNAL_SIGNER_REFUSED);
	assert_int_equal(ask(&client, &other, 10, 30, &lines), JOURNAL_SIGNER_REFUSED);
	assert_int_equal(ask(&client, &other, 0, 30, &lines), JOURNAL_SIGNER_REFUSED);
	/* The same again is no fork: control may have died before it stored the answer. */
	assert_int_equal(ask(&client, &t, 20, 20, &lines), JOURNAL_SIGNER_DONE);
	assert_int_equal(ask(&client, &t, 20, 40, &lines), JOURNAL_SIGNER_DONE);
}

static void proof_is_needed_and_checked(void **state)
{
	struct signer_client client;
	struct tree t = make_tree(0, 0);
	struct merkle_source source = { .ctx = &t, .get = tree_get };
	struct merkle_proof proof;
	char text[CHECKPOINT_BODY_MAX];
	LINES(lines);

	connect_to(&client);
	assert_int_equal(ask(&client, &t, 0, 20, &lines), JOURNAL_SIGNER_DONE);
	assert_true(merkle_prove_consistency(&source, 20, 33, &proof));
	for (size_t i = 0; i < proof.count; i++) {
		proof.hash[i].b[i] ^= 1;
		assert_int_equal(signer_sign(&client, 20, &proof, body_of(&t, 33, text), &lines, WAIT_MS), JOURNAL_SIGNER_REFUSED);
		proof.hash[i].b[i] ^= 1;
	}
	proof.count--;
	assert_int_equal(signer_sign(&client, 20, &proof, body_of(&t, 33, text), &lines, WAIT_MS), JOURNAL_SIGNER_REFUSED);
	proof.count++;
	assert_int_equal(signer_sign(&client, 20, &proof, body_of(&t, 33, text), &lines, WAIT_MS), JOURNAL_SIGNER_DONE);
}

static void other_origin_is_refused(void **state)
{
	struct signer_client client;
	struct merkle_proof none = { 0 };
	LINES(lines);

	connect_to(&client);
	assert_int_equal(signer_sign(&client, 0, &none, bytes_str("sluice.example/other\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), &lines, WAIT_MS),
			 JOURNAL_SIGNER_REFUSED);
	assert_non_null(strstr(client.why, "origin"));
}

static void state_outlives_the_process(void **state)
{
	struct signer_client client;
	struct tree t = make_tree(0, 0), other = make_tree(1, 0);
	LINES(lines);

	connect_to(&client);
	for (uint64_t size = 1; size <= 7; size++) {
		assert_int_equal(ask(&client, &t, size - 1, size, &lines), JOURNAL_SIGNER_DONE);
		restart();
		connect_to(&client);
		assert_int_equal(client.size, size);
		assert_int_equal(ask(&client, &other, 0, size + 1, &lines), JOURNAL_SIGNER_REFUSED);
	}
	assert_int_equal(stop(child, fd), 0);
	/* kill -9 right after an answer: what was signed is known afterwards. */
	child = start(state_file, false, &fd);
	connect_to(&client);
	assert_int_equal(ask(&client, &t, 7, 9, &lines), JOURNAL_SIGNER_DONE);
	kill(child, SIGKILL);
	stop(child, fd);
	child = start(state_file, false, &fd);
	connect_to(&client);
	assert_int_equal(client.size, 9);
}

static void torn_state_falls_back_to_the_other_slot(void **state)
{
	struct signer_client client;
	struct tree t = make_tree(0, 0);
	uint8_t junk[100] = { 1, 2, 3 };
	int file;
	LINES(lines);

	connect_to(&client);
	assert_int_equal(ask(&client, &t, 0, 5, &lines), JOURNAL_SIGNER_DONE); /* sequence 2: slot 0 */
	assert_int_equal(ask(&client, &t, 5, 6, &lines), JOURNAL_SIGNER_DONE); /* sequence 3: slot 1 */
	stop(child, fd);
	file = open(state_file, O_RDWR);
	assert_int_equal(pwrite(file, junk, sizeof junk, SIGNER_MESSAGE_BYTES_MAX / 8 + 10), sizeof junk);
	close(file);
	child = start(state_file, false, &fd);
	connect_to(&client);
	assert_int_equal(client.size, 5);
}

/* A start that must fail: gone with status 1, before it says its keys. */
static void assert_no_start(const char *state, bool init)
{
	struct signer_client client;
	int ours, status;
	pid_t pid = start(state, init, &ours);

	assert_false(signer_client_open(&client, ours, WAIT_MS));
	status = stop(pid, ours);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

static void missing_or_damaged_state_is_no_fresh_start(void **state)
{
	struct signer_client client;
	char path[200];
	int file;

	connect_to(&client);
	snprintf(path, sizeof path, "%s/gone", dir);
	assert_no_start(path, false);
	file = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(file, "sluice-signer-1\n", 16), 16);
	assert_no_start(path, true);
	assert_int_equal(ftruncate(file, 4096), 0);
	assert_no_start(path, true);
	close(file);
	/* The state that a living signer holds. */
	assert_no_start(state_file, false);
}

static void key_that_others_may_read_is_refused(void **state)
{
	struct signer_client client;
	char path[200];
	struct stat st;

	connect_to(&client);
	snprintf(path, sizeof path, "%s/ed25519.pem", keys);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0400);
	assert_int_equal(chmod(path, 0444), 0);
	stop(child, fd);
	assert_no_start(state_file, false);
	assert_int_equal(chmod(path, 0400), 0);
	child = start(state_file, false, &fd);
	connect_to(&client);
}

static void malformed_messages_are_refused_and_harm_nothing(void **state)
{
	struct signer_client client;
	struct tree t = make_tree(0, 0);
	struct rng rng = rng_seeded(11);
	uint8_t packet[SIGNER_MESSAGE_BYTES_MAX + 100], answer[SIGNER_MESSAGE_BYTES_MAX];
	struct writer w = writer_of(packet, sizeof packet);
	struct signer_message m = { .type = SIGNER_SIGN, .old_size = 0 };
	char text[CHECKPOINT_BODY_MAX];
	LINES(lines);

	connect_to(&client);
	m.text = body_of(&t, 3, text);
	assert_true(signer_message_encode(&m, &w));
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t bad[sizeof packet];
		size_t len = w.len;
		struct pollfd p = { .fd = fd, .events = POLLIN };

		memcpy(bad, packet, len);
		switch (i % 4) {
		case 0:
			len = 1 + rng_below(&rng, len - 1);
			break;
		case 1:
			/* Past the type, the old size and the count: a body or a length that is wrong. */
			bad[8 + rng_below(&rng, len - 8)] ^= (uint8_t)(1 + rng_below(&rng, 255));
			break;
		case 2:
			len = 1 + rng_below(&rng, sizeof bad);
			for (size_t k = 0; k < len; k++)
				bad[k] = (uint8_t)rng_next(&rng);
			if (bad[0] == SIGNER_HELLO)
				bad[0] = SIGNER_SIGNED;
			break;
		default:
			bad[len++] = 0;
		}
		assert_int_equal(send(fd, bad, len, 0), len);
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		assert_true(recv(fd, answer, sizeof answer, 0) > 0);
		if (answer[0] == SIGNER_SIGNED) {
			/* A changed digit of the size or root may be a good first checkpoint: start again from nothing. */
			assert_int_equal(i % 4, 1);
			stop(child, fd);
			assert_int_equal(unlink(state_file), 0);
			child = start(state_file, true, &fd);
			connect_to(&client);
		} else {
			assert_int_equal(answer[0], SIGNER_REFUSED);
		}
	}
	connect_to(&client);
	assert_int_equal(client.size, 0);
	assert_int_equal(ask(&client, &t, 0, 3, &lines), JOURNAL_SIGNER_DONE);
}

static void client_says_when_the_signer_is_gone(void **state)
{
	struct signer_client client;
	struct tree t = make_tree(0, 0);
	struct journal_signer j;
	uint64_t size;
	LINES(lines);

	connect_to(&client);
	j = signer_client_journal(&client);
	assert_true(j.size(j.ctx, &size));
	kill(child, SIGKILL);
	assert_int_equal(ask(&client, &t, 0, 5, &lines), JOURNAL_SIGNER_GONE);
	assert_false(j.size(j.ctx, &size));
	stop(child, fd);
	child = start(state_file, false, &fd);
	connect_to(&client);
}

/* Control forgets to wait: the answer that comes later is counted, not taken for the next one's. */
static void stale_answer_is_absorbed(void **state)
{
	struct signer_client client;
	struct tree t = make_tree(0, 0);
	struct journal_signer j;
	struct merkle_proof none = { 0 };
	char text[CHECKPOINT_BODY_MAX];
	uint64_t size = 0;
	LINES(lines);

	connect_to(&client);
	j = signer_client_journal(&client);
	assert_true(j.ask(j.ctx, 0, &none, body_of(&t, 4, text)));
	assert_false(j.ask(j.ctx, 0, &none, body_of(&t, 5, text)));
	for (unsigned i = 0; i < 2000 && !j.size(j.ctx, &size); i++)
		usleep(1000);
	assert_int_equal(size, 4);
	assert_int_equal(ask(&client, &t, 4, 9, &lines), JOURNAL_SIGNER_DONE);
}

/* The whole way: a journal that publishes through the real signer, is rolled back to yesterday's copy, and is not signed on. */
static void rolled_back_journal_is_not_signed(void **state)
{
	char live[160], copy[160], err[JOURNAL_ERROR_BYTES];
	struct journal_config config = { .dir = live, .origin = FIXTURE_ORIGIN };
	struct verify_options verify = { .dir = live };
	struct verify_summary summary;
	struct signer_client client;
	struct journal_signer s;
	struct journal_state st;
	struct journal *j;

	snprintf(live, sizeof live, "%s/journal", dir);
	snprintf(copy, sizeof copy, "%s/copy", dir);
	connect_to(&client);
	s = signer_client_journal(&client);
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_non_null(j);
	assert_true(fixture_fill(j, 300, 10, FIXTURE_TIME));
	assert_true(journal_publish_flush(j, &s, FIXTURE_TIME, WAIT_MS));
	journal_close(j);
	fixture_copy(live, copy);
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_true(fixture_fill(j, 300, 10, FIXTURE_TIME));
	assert_true(journal_publish_flush(j, &s, FIXTURE_TIME, WAIT_MS));
	journal_close(j);
	verify.keys = &client.keys;
	assert_true(verify_journal(&verify, &summary));
	assert_int_equal(summary.covered, 600);
	/* Yesterday's image, one record on it, then as long as the real one and longer: another history. */
	config.dir = copy;
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_non_null(j);
	assert_true(fixture_fill(j, 100, 10, FIXTURE_TIME + 1));
	assert_false(journal_publish_flush(j, &s, FIXTURE_TIME, 500));
	journal_state(j, &st);
	assert_non_null(strstr(st.signer, "longer journal"));
	journal_close(j);
	assert_int_equal(client.size, 600);
}

/* --- rotation --------------------------------------------------------------------------------------------------------- */

/* The process has ended by itself; another one goes on. */
static void next_start(struct signer_client *client)
{
	assert_int_equal(stop(child, fd), 0);
	child = start(state_file, false, &fd);
	connect_to(client);
}

static void step(struct signer_client *client, enum signer_step step, const uint8_t key[32])
{
	bool good = signer_client_step(client, step, key, WAIT_MS);

	if (!good)
		print_error("%s\n", client->why);
	assert_true(good);
}

static void assert_refused(struct signer_client *client, enum signer_step step, const uint8_t key[32], const char *why)
{
	assert_false(signer_client_step(client, step, key, WAIT_MS));
	if (!strstr(client->why, why))
		print_error("%s\n", client->why);
	assert_non_null(strstr(client->why, why));
}

/* Whose Ed25519 and P-256 signatures a new checkpoint carries. */
static bool signs(struct signer_client *client, const struct checkpoint_keys *by)
{
	static struct tree t;
	char text[CHECKPOINT_BODY_MAX], note[2048];
	struct writer w = writer_of(note, sizeof note);
	struct checkpoint_signatures s;
	LINES(lines);

	t = make_tree(0, 0);
	assert_int_equal(ask(client, &t, client->size, client->size + 1, &lines), JOURNAL_SIGNER_DONE);
	writer_put(&w, body_of(&t, client->size, text));
	writer_u8(&w, '\n');
	writer_put(&w, writer_done(&lines));
	s = checkpoint_check_signatures(writer_done(&w), by);
	assert_int_equal(s.ed25519, s.p256);
	assert_int_not_equal(s.ed25519, SIGNATURE_BAD);
	return s.ed25519 == SIGNATURE_GOOD;
}

static bool file_there(const char *name)
{
	char path[200];

	snprintf(path, sizeof path, "%s/%s", keys, name);
	return access(path, F_OK) == 0;
}

static void rotation_goes_from_one_key_over_both_to_the_other(void **state)
{
	struct signer_client client;
	struct checkpoint_keys old, new;

	connect_to(&client);
	old = client.keys;
	assert_true(signs(&client, &old));
	step(&client, SIGNER_STEP_PREPARE, old.ed25519);
	next_start(&client);
	assert_int_equal(client.phase, SIGNER_READY);
	assert_memory_equal(client.keys.ed25519, old.ed25519, 32);
	new = client.next;
	assert_memory_not_equal(new.ed25519, old.ed25519, 32);
	assert_true(new.has_p256);
	assert_true(signs(&client, &old));
	assert_false(signs(&client, &new));
	step(&client, SIGNER_STEP_OVERLAP, new.ed25519);
	assert_true(signs(&client, &old));
	assert_true(signs(&client, &new));
	step(&client, SIGNER_STEP_RETIRE, new.ed25519);
	next_start(&client);
	assert_int_equal(client.phase, SIGNER_STABLE);
	assert_memory_equal(client.keys.ed25519, new.ed25519, 32);
	assert_false(signs(&client, &old));
	assert_true(signs(&client, &new));
	assert_false(file_there("next-ed25519.pem") || file_there("next-p256.pem"));
	/* And once more. */
	step(&client, SIGNER_STEP_PREPARE, new.ed25519);
	next_start(&client);
	assert_int_equal(client.phase, SIGNER_READY);
	assert_memory_not_equal(client.next.ed25519, new.ed25519, 32);
	assert_memory_not_equal(client.next.ed25519, old.ed25519, 32);
}

/* Only the next step, and only about the key that it is about. */
static void steps_out_of_order_are_refused(void **state)
{
	static const uint8_t nobody[32];
	struct signer_client client;
	struct checkpoint_keys old, new;

	connect_to(&client);
	old = client.keys;
	assert_refused(&client, SIGNER_STEP_PREPARE, nobody, "another key");
	assert_refused(&client, SIGNER_STEP_OVERLAP, old.ed25519, "not the next");
	assert_refused(&client, SIGNER_STEP_RETIRE, old.ed25519, "not the next");
	step(&client, SIGNER_STEP_PREPARE, old.ed25519);
	next_start(&client);
	new = client.next;
	assert_refused(&client, SIGNER_STEP_PREPARE, old.ed25519, "under way");
	assert_refused(&client, SIGNER_STEP_RETIRE, new.ed25519, "not the next");
	assert_refused(&client, SIGNER_STEP_OVERLAP, old.ed25519, "another key");
	step(&client, SIGNER_STEP_OVERLAP, new.ed25519);
	assert_refused(&client, SIGNER_STEP_PREPARE, old.ed25519, "under way");
	assert_refused(&client, SIGNER_STEP_PREPARE, new.ed25519, "under way");
	assert_refused(&client, SIGNER_STEP_OVERLAP, new.ed25519, "not the next");
	assert_refused(&client, SIGNER_STEP_RETIRE, old.ed25519, "another key");
	assert_true(signs(&client, &old));
	assert_true(signs(&client, &new));
}

static void kill_and_start(struct signer_client *client)
{
	kill(child, SIGKILL);
	stop(child, fd);
	child = start(state_file, false, &fd);
	connect_to(client);
}

/* kill -9 after each answer; and at the places of a start where the files are half of what they become. */
static void rotation_goes_on_after_a_kill_anywhere(void **state)
{
	static const char *const moved[] = { "ed25519.pem", "p256.pem" };
	struct signer_client client;
	struct checkpoint_keys old, new;
	char from[200], to[200];

	connect_to(&client);
	old = client.keys;
	/* The state says MAKE, one file is made and the other half written. */
	step(&client, SIGNER_STEP_PREPARE, old.ed25519);
	kill_and_start(&client);
	new = client.next;
	kill_and_start(&client);
	assert_int_equal(client.phase, SIGNER_READY);
	assert_memory_equal(client.next.ed25519, new.ed25519, 32);
	step(&client, SIGNER_STEP_OVERLAP, new.ed25519);
	kill_and_start(&client);
	assert_int_equal(client.phase, SIGNER_OVERLAP);
	assert_true(signs(&client, &old));
	assert_true(signs(&client, &new));
	step(&client, SIGNER_STEP_RETIRE, new.ed25519);
	kill(child, SIGKILL);
	stop(child, fd);
	/* As if the start had been killed behind the first of the two: its old file overwritten and replaced. */
	snprintf(from, sizeof from, "%s/next-%s", keys, moved[0]);
	snprintf(to, sizeof to, "%s/%s", keys, moved[0]);
	assert_int_equal(rename(from, to), 0);
	snprintf(to, sizeof to, "%s/%s", keys, moved[1]);
	assert_int_equal(chmod(to, 0600), 0);
	assert_int_equal(truncate(to, 0), 0);
	child = start(state_file, false, &fd);
	connect_to(&client);
	assert_int_equal(client.phase, SIGNER_STABLE);
	assert_memory_equal(client.keys.ed25519, new.ed25519, 32);
	assert_true(client.keys.has_p256);
	assert_memory_equal(client.keys.p256_spki, new.p256_spki, new.p256_spki_len);
	kill_and_start(&client);
	assert_false(signs(&client, &old));
	assert_true(signs(&client, &new));
}

/* A key file half written by a start that was killed is no key file. */
static void half_made_keys_are_made_anew(void **state)
{
	struct signer_client client;
	char path[200];
	int file;

	connect_to(&client);
	step(&client, SIGNER_STEP_PREPARE, client.keys.ed25519);
	assert_int_equal(stop(child, fd), 0);
	snprintf(path, sizeof path, "%s/next-ed25519.pem.new", keys);
	file = open(path, O_WRONLY | O_CREAT, 0400);
	assert_int_equal(write(file, "-----BEGIN", 10), 10);
	close(file);
	child = start(state_file, false, &fd);
	connect_to(&client);
	assert_int_equal(client.phase, SIGNER_READY);
	assert_false(file_there("next-ed25519.pem.new"));
}

/* Keys that are put there before are taken; the old ones again, or what is none, end the rotation and not the signing. */
static void given_keys_are_taken_and_bad_ones_end_it(void **state)
{
	static const char *const how[] = { "openssl genpkey -algorithm ed25519 -out %s/next-ed25519.pem", "cp %s/ed25519.pem %s/next-ed25519.pem",
					   "echo no key > %s/next-ed25519.pem", "openssl genpkey -algorithm ed25519 -out %s/next-ed25519.pem && chmod 0444 %s/next-ed25519.pem" };

	for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
		struct signer_client client;
		struct checkpoint_keys old;
		char command[700];

		connect_to(&client);
		old = client.keys;
		step(&client, SIGNER_STEP_PREPARE, old.ed25519);
		assert_int_equal(stop(child, fd), 0);
		snprintf(command, sizeof command, how[i], keys, keys);
		assert_int_equal(system(command), 0);
		if (i < 3) {
			snprintf(command, sizeof command, "chmod 0400 %s/next-ed25519.pem", keys);
			assert_int_equal(system(command), 0);
		}
		child = start(state_file, false, &fd);
		connect_to(&client);
		assert_int_equal(client.phase, i == 0 ? SIGNER_READY : SIGNER_STABLE);
		assert_memory_equal(client.keys.ed25519, old.ed25519, 32);
		assert_true(signs(&client, &old));
		if (i == 0) {
			step(&client, SIGNER_STEP_OVERLAP, client.next.ed25519);
			step(&client, SIGNER_STEP_RETIRE, client.next.ed25519);
			next_start(&client);
		}
		snprintf(command, sizeof command, "rm -f %s/next-*", keys);
		assert_int_equal(system(command), 0);
	}
}

/* What the old key's file was is not on the disk any more: another name of the same file shows it. */
static void old_key_is_overwritten(void **state)
{
	static const char *const files[] = { "ed25519.pem", "p256.pem" };
	struct signer_client client;
	char path[200], other[200], text[4096];

	connect_to(&client);
	step(&client, SIGNER_STEP_PREPARE, client.keys.ed25519);
	next_start(&client);
	step(&client, SIGNER_STEP_OVERLAP, client.next.ed25519);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", keys, files[i]);
		snprintf(other, sizeof other, "%s/other-%s", dir, files[i]);
		assert_int_equal(link(path, other), 0);
	}
	step(&client, SIGNER_STEP_RETIRE, client.next.ed25519);
	next_start(&client);
	for (unsigned i = 0; i < 2; i++) {
		FILE *f;
		size_t len;

		snprintf(other, sizeof other, "%s/other-%s", dir, files[i]);
		f = fopen(other, "r");
		len = fread(text, 1, sizeof text, f);
		fclose(f);
		assert_true(len > 50);
		for (size_t k = 0; k < len; k++)
			assert_int_equal(text[k], 0);
	}
}

/* The state of a signer before there were rotations. */
static void state_of_older_signers_is_read(void **state)
{
	uint8_t slot[SIGNER_STATE_SLOT_BYTES] = { 0 };
	struct tree t = make_tree(0, 0);
	struct merkle_hash root = merkle_root_of(t.leaf, 5), sum;
	struct writer w = writer_of(slot, sizeof slot);
	struct signer_client client;
	int file;

	connect_to(&client);
	assert_int_equal(stop(child, fd), 0);
	writer_str(&w, "sluice-signer-1\n");
	writer_be64(&w, 2);
	writer_be64(&w, 5);
	writer_bytes(&w, root.b, sizeof root.b);
	sum = merkle_sha256(writer_done(&w));
	writer_bytes(&w, sum.b, sizeof sum.b);
	file = open(state_file, O_RDWR);
	assert_int_equal(pwrite(file, slot, sizeof slot, 0), sizeof slot);
	close(file);
	child = start(state_file, false, &fd);
	connect_to(&client);
	assert_int_equal(client.size, 5);
	assert_int_equal(client.phase, SIGNER_STABLE);
	assert_true(signs(&client, &client.keys));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(signatures_verify_under_the_keys_it_says, setup, teardown),
		cmocka_unit_test_setup_teardown(smaller_tree_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(fork_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(proof_is_needed_and_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(other_origin_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(state_outlives_the_process, setup, teardown),
		cmocka_unit_test_setup_teardown(torn_state_falls_back_to_the_other_slot, setup, teardown),
		cmocka_unit_test_setup_teardown(missing_or_damaged_state_is_no_fresh_start, setup, teardown),
		cmocka_unit_test_setup_teardown(key_that_others_may_read_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(malformed_messages_are_refused_and_harm_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(client_says_when_the_signer_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(stale_answer_is_absorbed, setup, teardown),
		cmocka_unit_test_setup_teardown(rolled_back_journal_is_not_signed, setup, teardown),
		cmocka_unit_test_setup_teardown(rotation_goes_from_one_key_over_both_to_the_other, setup, teardown),
		cmocka_unit_test_setup_teardown(steps_out_of_order_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(rotation_goes_on_after_a_kill_anywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(half_made_keys_are_made_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(given_keys_are_taken_and_bad_ones_end_it, setup, teardown),
		cmocka_unit_test_setup_teardown(old_key_is_overwritten, setup, teardown),
		cmocka_unit_test_setup_teardown(state_of_older_signers_is_read, setup, teardown),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: signer_test PATH-OF-SLUICE-SIGNER\n");
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests_name("signer", tests, NULL, NULL);
}
