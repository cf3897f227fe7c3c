/* sluice-token --hide DIR [--fd N]
 *
 * A child of sluice-signer on one end of a SOCK_SEQPACKET pair, for one PKCS#11 key: a module opens files, sockets and threads, and the signer's
 * sandbox has none of them. It loads the module, logs in once, and signs what the signer asks for until the pair closes.
 * What the module may do is confined before it is loaded: nothing below DIR (the other keys), no program, no new privilege.
 * Exit: 0 at the end, 1 after it has said FAILED, 2 for wrong arguments.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/token/token_config.h"
#include "control/token/token_module.h"
#include "control/token/token_pin.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"
#include "platform/os/priv.h"
#include "platform/os/sandbox.h"

#define FILES_MAX 256
#define FILE_BYTES_MAX (64u << 20)

struct token {
	int fd;
	const char *hide;
	struct token_config config;
	struct token_pin pin;
	struct token_module module;
};

static bool options_read(struct token *t, int argc, char **argv)
{
	static const struct option names[] = { { "hide", required_argument, NULL, 'h' }, { "fd", required_argument, NULL, 'f' }, { 0 } };
	char *end;
	int c;

	t->fd = 3;
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'h') {
			t->hide = optarg;
		} else if (c == 'f') {
			t->fd = (int)strtol(optarg, &end, 10);
			if (*optarg == 0 || *end)
				return false;
		} else {
			return false;
		}
	}
	return t->hide && t->fd >= 0 && optind == argc;
}

static bool say(struct token *t, const struct token_message *m)
{
	uint8_t packet[TOKEN_MESSAGE_BYTES_MAX];
	struct writer w = writer_of(packet, sizeof packet);

	return token_message_encode(m, &w) && send(t->fd, packet, w.len, MSG_NOSIGNAL) == (ssize_t)w.len;
}

static int fail(struct token *t, const char *text)
{
	const struct token_message m = { .type = TOKEN_FAILED, .pin_wrong = t->module.pin_wrong, .body = bytes_of(text, strnlen(text, TOKEN_TEXT_BYTES_MAX)) };

	(void)say(t, &m);
	return 1;
}

/* The next packet, which has to be of this type. False: the other end is gone, or breaks the order; both end us. */
static bool hear(struct token *t, enum token_type type, uint8_t packet[TOKEN_MESSAGE_BYTES_MAX + 1], struct token_message *m)
{
	ssize_t got;

	do
		got = recv(t->fd, packet, TOKEN_MESSAGE_BYTES_MAX + 1, 0);
	while (got < 0 && errno == EINTR);
	return got > 0 && token_message_decode(bytes_of(packet, (size_t)got), m) && m->type == type;
}

/* At most so much; what is less already stays. */
static bool limit(__rlimit_resource_t what, rlim_t most)
{
	struct rlimit now;

	if (getrlimit(what, &now) < 0)
		return false;
	now.rlim_max = now.rlim_max < most ? now.rlim_max : most;
	now.rlim_cur = now.rlim_max;
	return setrlimit(what, &now) == 0;
}

/* Before the first byte of the module runs. */
static bool confine(struct token *t, char err[OS_ERROR_BYTES])
{
	if (!limit(RLIMIT_NOFILE, FILES_MAX) || !limit(RLIMIT_FSIZE, FILE_BYTES_MAX)) {
		snprintf(err, OS_ERROR_BYTES, "limits: %.60s: check the kernel", strerror(errno));
		return false;
	}
	return sandbox_module(t->hide, err);
}

/* OPEN: the file, the PIN's file, the sandbox, the module, the token; in this order. NULL, or what to say. */
static const char *open_all(struct token *t, struct bytes file, struct token_message *found, uint8_t identity[TOKEN_DIGEST_BYTES], char err[OS_ERROR_BYTES])
{
	const char *wrong = token_config_read(&t->config, file);

	if (!wrong)
		wrong = token_pin_open(&t->pin, t->config.pin);
	if (!wrong && !token_pin_identity(&t->pin, file, identity))
		wrong = "out of memory";
	for (unsigned i = 0; !wrong && i < t->config.variables; i++)
		if (putenv((char *)(uintptr_t)t->config.variable[i]) != 0)
			wrong = "out of memory";
	if (wrong)
		return wrong;
	if (!confine(t, err) || !token_module_open(&t->module, &t->config, err))
		return err;
	*found = (struct token_message){ .type = TOKEN_FOUND, .tries_pin = t->module.wants_login, .pin_count_low = t->module.pin_count_low,
					 .body = bytes_of(identity, TOKEN_DIGEST_BYTES) };
	return NULL;
}

/* LOGIN: one try. */
static const char *login(struct token *t, uint8_t spki[TOKEN_SPKI_BYTES], char err[OS_ERROR_BYTES])
{
	uint8_t pin[TOKEN_PIN_BYTES_MAX];
	size_t len = 0;
	const char *wrong = t->module.wants_login ? token_pin_read(&t->pin, pin, &len) : NULL;

	if (!wrong && !token_module_login(&t->module, &t->config, bytes_of(pin, len), spki, err))
		wrong = err;
	secret_wipe(pin, sizeof pin);
	token_pin_close(&t->pin);
	return wrong;
}

static int serve(struct token *t)
{
	uint8_t packet[TOKEN_MESSAGE_BYTES_MAX + 1], out[TOKEN_SPKI_BYTES];
	char err[OS_ERROR_BYTES] = "";
	struct token_message m, answer;
	const char *wrong;

	if (!hear(t, TOKEN_OPEN, packet, &m))
		return 1;
	if ((wrong = open_all(t, m.body, &answer, out, err)) != NULL)
		return fail(t, wrong);
	if (!say(t, &answer) || !hear(t, TOKEN_LOGIN, packet, &m))
		return 1;
	if ((wrong = login(t, out, err)) != NULL)
		return fail(t, wrong);
	answer = (struct token_message){ .type = TOKEN_KEY, .body = bytes_of(out, TOKEN_SPKI_BYTES) };
	while (say(t, &answer) && hear(t, TOKEN_SIGN, packet, &m)) {
		if (!token_module_sign(&t->module, m.body, out, err))
			return fail(t, err);
		answer = (struct token_message){ .type = TOKEN_SIGNED, .body = bytes_of(out, TOKEN_SIGNATURE_BYTES) };
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct token t = { .pin.fd = -1 };
	char err[OS_ERROR_BYTES];

	log_open("sluice-token", LOG_LEVEL_INFO);
	if (!options_read(&t, argc, argv)) {
		fprintf(stderr, "usage: sluice-token --hide DIR [--fd N]\n");
		return 2;
	}
	if (!priv_harden(err))
		_exit(fail(&t, err));
	/* No C_Finalize: a module that hangs must not keep us. */
	_exit(serve(&t));
}
