#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/signer/signer_token_test_kit.h"

#define LEAVES 40

struct signer_token_kit kit = { .child = -1, .fd = -1 };

bool kit_arguments(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: %s PATH-OF-SLUICE-SIGNER PATH-OF-SLUICE-TOKEN PATH-OF-FAKE-MODULE\n", program_invocation_short_name);
		return false;
	}
	kit.program = argv[1];
	kit.token = argv[2];
	kit.fake = realpath(argv[3], NULL);
	if (!kit.fake)
		fprintf(stderr, "%s: %s is not there\n", program_invocation_short_name, argv[3]);
	return kit.fake != NULL;
}

/* --- the process ------------------------------------------------------------------------------------------------------ */

void kit_start(bool init)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	kit.child = fork();
	assert_true(kit.child >= 0);
	if (kit.child == 0) {
		int out = open(kit.log_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		if (pair[1] == 3)
			fcntl(3, F_SETFD, 0);
		else
			dup2(pair[1], 3);
		dup2(out, 2);
		execl(kit.program, "sluice-signer", "--origin", FIXTURE_ORIGIN, "--keys", kit.keys, "--state", kit.state_file, "--token", kit.token, init ? "--init" : NULL, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	kit.fd = pair[0];
}

/* How it ended, by itself or by the end of its socket. */
int kit_stop(void)
{
	int status = -1;

	close(kit.fd);
	kit.fd = -1;
	waitpid(kit.child, &status, 0);
	kit.child = -1;
	return status;
}

void kit_ends_with(int code)
{
	int status = kit_stop();

	assert_int_equal(status, W_EXITCODE(code, 0));
}

/* `path` is relative to the directory of this test. */
void kit_put(const char *path, unsigned mode, const char *text)
{
	char full[400];
	FILE *f;

	snprintf(full, sizeof full, "%s/%s", kit.dir, path);
	(void)unlink(full);
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(full, mode), 0);
}

size_t kit_get(const char *path, char *text, size_t room)
{
	char full[400];
	FILE *f;
	size_t len = 0;

	snprintf(full, sizeof full, "%s/%s", kit.dir, path);
	f = fopen(full, "r");
	if (f) {
		len = fread(text, 1, room - 1, f);
		fclose(f);
	}
	text[len] = 0;
	return len;
}

bool kit_is_there(const char *path)
{
	char full[400];

	snprintf(full, sizeof full, "%s/%s", kit.dir, path);
	return access(full, F_OK) == 0;
}

void kit_shell(const char *format, ...)
{
	char command[2000];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof command, format, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void connected(void)
{
	if (!signer_client_open(&kit.client, kit.fd, WAIT_MS)) {
		char text[2000];

		kit_get("log", text, sizeof text);
		fail_msg("%s: %s", kit.client.why, text);
	}
}

void kit_works(bool init)
{
	kit_start(init);
	connected();
}

/* It ends with status 1, says `why`, and no PIN. */
void kit_fails_with(bool init, const char *why)
{
	char text[2000];

	kit_start(init);
	assert_false(signer_client_open(&kit.client, kit.fd, WAIT_MS));
	kit_ends_with(1);
	kit_get("log", text, sizeof text);
	if (!strstr(text, why))
		fail_msg("not said: %s: %s", why, text);
	assert_null(strstr(text, "CANARY"));
}

/* The helper of the signer that runs. */
pid_t kit_helper(void)
{
	char path[64], text[64] = "";
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", kit.child, kit.child);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof text, f));
	fclose(f);
	return (pid_t)strtol(text, NULL, 10);
}

/* --- tokens ----------------------------------------------------------------------------------------------------------- */

void kit_tool(const char *label, const char *more)
{
	kit_shell("SOFTHSM2_CONF=%s/softhsm2.conf pkcs11-tool --module " SOFTHSM " --token-label %s --login --pin " PIN " %s >%s/tool.log 2>&1", kit.dir, label, more, kit.dir);
}

void kit_token_make(const char *label)
{
	kit_shell("SOFTHSM2_CONF=%s/softhsm2.conf softhsm2-util --init-token --free --label %s --so-pin 87654321 --pin " PIN " >%s/tool.log 2>&1", kit.dir, label, kit.dir);
	kit_tool(label, "--keypairgen --key-type EC:prime256v1 --label journal --id 01 --usage-sign");
}

/* The text of p256.uri; `name` may have attributes behind the label. */
const char *kit_soft(const char *name)
{
	static char text[900];

	snprintf(text, sizeof text, "pkcs11:token=%s?module-path=" SOFTHSM "&pin-source=file:%s/pin\nSOFTHSM2_CONF=%s/softhsm2.conf\n", name, kit.dir, kit.dir);
	return text;
}

const char *kit_fake_does(const char *does)
{
	static char text[1400];

	snprintf(text, sizeof text, "pkcs11:token=fake;object=k?module-path=%s&pin-source=file:%s/pin\nFAKE_DOES=%s\nFAKE_LOGINS=%s/logins\nFAKE_PEEK=%s/ed25519.pem\n", kit.fake, kit.dir,
		 does, kit.dir, kit.keys);
	return text;
}

const char *kit_fake_later(const char *does)
{
	static char text[1600];

	snprintf(text, sizeof text, "%sFAKE_WHEN=%s/when\n", kit_fake_does(does), kit.dir);
	return text;
}

size_t kit_logins(void)
{
	char text[64];

	return kit_get("logins", text, sizeof text);
}

int kit_setup(void **state)
{
	char conf[400];

	fixture_dir(kit.dir);
	snprintf(kit.keys, sizeof kit.keys, "%s/keys", kit.dir);
	snprintf(kit.state_file, sizeof kit.state_file, "%s/keys/state", kit.dir);
	snprintf(kit.log_file, sizeof kit.log_file, "%s/log", kit.dir);
	snprintf(conf, sizeof conf, "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n", kit.dir);
	kit_shell("mkdir -m 0700 %s %s/tokens", kit.keys, kit.dir);
	kit_put("softhsm2.conf", 0600, conf);
	kit_put("pin", 0400, PIN "\n");
	kit_put("logins", 0600, "");
	return 0;
}

int kit_setup_soft(void **state)
{
	kit_setup(state);
	kit_token_make("one");
	kit_put("keys/p256.uri", 0400, kit_soft("one;object=journal"));
	return 0;
}

int kit_teardown(void **state)
{
	if (kit.child > 0) {
		kill(kit.child, SIGKILL);
		kit_stop();
	}
	fixture_remove(kit.dir);
	return 0;
}

/* --- checkpoints ------------------------------------------------------------------------------------------------------ */

static struct merkle_hash leaf[LEAVES];

static bool tree_get(void *ctx, unsigned height, uint64_t number, struct merkle_hash *out)
{
	if ((number + 1) << height > LEAVES)
		return false;
	*out = merkle_root_of(leaf + (number << height), (size_t)1 << height);
	return true;
}

/* Asks for one of `size` records; `note` gets body and lines. Trees of another `seed` are other histories. */
enum journal_signer_answer kit_ask(uint64_t seed, uint64_t size, struct writer *note)
{
	struct merkle_source source = { .get = tree_get };
	struct checkpoint c = { .origin = FIXTURE_ORIGIN, .size = size };
	struct merkle_proof proof;
	struct bytes body;

	for (uint64_t i = 0; i < LEAVES; i++) {
		uint64_t value = i + seed * 1000;

		leaf[i] = merkle_leaf(bytes_of(&value, sizeof value));
	}
	c.root = merkle_root_of(leaf, size);
	if (!merkle_prove_consistency(&source, kit.client.size, size, &proof))
		proof.count = 0;
	checkpoint_body(&c, note);
	body = writer_done(note);
	writer_u8(note, '\n');
	return signer_sign(&kit.client, kit.client.size, &proof, body, note, WAIT_MS);
}

unsigned kit_lines_of(struct bytes note)
{
	unsigned lines = 0;

	for (size_t i = 0; i + 1 < note.len; i++)
		lines += note.base[i] == '\n' && note.base[i + 1] == 0xe2;
	return lines;
}

/* One more record; both lines of each of these keys are there and verify. */
void kit_signs(const struct checkpoint_keys *by, unsigned lines)
{
	struct checkpoint_signatures s;
	NOTE(note);

	assert_int_equal(kit_ask(0, kit.client.size + 1, &note), JOURNAL_SIGNER_DONE);
	assert_int_equal(kit_lines_of(writer_done(&note)), lines);
	s = checkpoint_check_signatures(writer_done(&note), by);
	assert_int_equal(s.ed25519, SIGNATURE_GOOD);
	assert_int_equal(s.p256, SIGNATURE_GOOD);
}
