/* sluice-signer --origin NAME --keys DIR --state FILE [--token PROGRAM] [--fd N] [--init]
 *
 * A child of sluice-control on one end of a SOCK_SEQPACKET pair. It reads its keys and opens its state, gives up everything
 * else, and then answers one packet at a time until the other end closes, until a step of a rotation needs its next start, or until a key
 * does not sign. PROGRAM is sluice-token, which it starts for a key in a PKCS#11 token.
 * Exit: 0 at the end, 1 when it could not start or a key did not sign, 2 for wrong arguments.
 */
#include <errno.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/signer/signer.h"
#include "control/signer/signer_message.h"
#include "control/signer/signer_rotation.h"
#include "platform/os/log.h"
#include "platform/os/priv.h"
#include "platform/os/sandbox.h"

#define SECURE_HEAP_BYTES 65536
#define SECURE_HEAP_MIN 32

struct options {
	struct signer_place place;
	int fd;
	bool init;
};

static bool options_read(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
		{ "origin", required_argument, NULL, 'o' }, { "keys", required_argument, NULL, 'k' },
		{ "state", required_argument, NULL, 's' },  { "token", required_argument, NULL, 't' },
		{ "fd", required_argument, NULL, 'f' },     { "init", no_argument, NULL, 'i' },
		{ 0 },
	};
	char *end;
	int c;

	*o = (struct options){ .fd = 3 };
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'o':
			o->place.origin = optarg;
			break;
		case 'k':
			o->place.dir = optarg;
			break;
		case 's':
			o->place.state = optarg;
			break;
		case 't':
			o->place.token = optarg;
			break;
		case 'f':
			o->fd = (int)strtol(optarg, &end, 10);
			if (*optarg == 0 || *end)
				return false;
			break;
		case 'i':
			o->init = true;
			break;
		default:
			return false;
		}
	}
	return o->place.origin && o->place.dir && o->place.state && o->fd >= 0 && optind == argc;
}

/* No core, not traceable; the keys in locked memory between guard pages. */
static bool memory_protect(char err[OS_ERROR_BYTES])
{
	if (!priv_harden(err))
		return false;
	switch (CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, SECURE_HEAP_MIN)) {
	case 1:
		return true;
	case 2:
		log_warn("key memory: not locked: raise RLIMIT_MEMLOCK to 64 KiB");
		return true;
	default:
		snprintf(err, OS_ERROR_BYTES, "key memory: cannot be had: check the memory limits");
		return false;
	}
}

/* No file can be opened any more; of system calls, those of any running process and the flush of the state. */
static bool sandbox(char err[OS_ERROR_BYTES])
{
	static const char *const none[] = { NULL }, *const calls[] = { "fdatasync", NULL };

	return sandbox_enter(none, none, calls, err);
}

/* The first signature makes OpenSSL fetch its algorithms and seed its generator, which the sandbox would forbid. It shows too that the halves of a
 * token's key belong together. NULL, or a text. */
static const char *warm_up(struct signer *s)
{
	uint8_t lines[SIGNER_TEXT_BYTES_MAX];
	struct writer w = writer_of(lines, sizeof lines);
	const char *wrong = signer_keys_sign(&s->keys, bytes_str("warm up\n"), &w);

	return wrong || !s->next.ed25519 ? wrong : signer_keys_sign(&s->next, bytes_str("warm up\n"), &w);
}

static int serve(struct signer *s, int fd)
{
	/* One byte more than allowed, so that a packet too long is seen as such. */
	static uint8_t packet[SIGNER_MESSAGE_BYTES_MAX + 1], answer[SIGNER_MESSAGE_BYTES_MAX];

	for (;;) {
		ssize_t got = recv(fd, packet, sizeof packet, 0);
		struct writer w = writer_of(answer, sizeof answer);
		struct bytes out;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0;
		signer_handle(s, bytes_of(packet, (size_t)got <= SIGNER_MESSAGE_BYTES_MAX ? (size_t)got : 0), &w);
		out = writer_done(&w);
		if (send(fd, out.base, out.len, MSG_NOSIGNAL) < 0 && errno != EINTR)
			return errno != EPIPE;
		if (s->failed)
			log_error("%s: no checkpoint is signed: starting again", s->failed);
		if (s->ends)
			return s->failed != NULL;
	}
}

static bool start(struct signer *s, const struct options *o, char err[OS_ERROR_BYTES])
{
	const char *wrong, *note;

	if (!memory_protect(err))
		return false;
	wrong = signer_rotation_start(s, &o->place, o->init, &note);
	if (note)
		log_warn("%s", note);
	if (!wrong)
		wrong = warm_up(s);
	if (wrong) {
		snprintf(err, OS_ERROR_BYTES, "%s", wrong);
		return false;
	}
	return sandbox(err);
}

int main(int argc, char **argv)
{
	static struct signer s = { .state.fd = -1 };
	char err[OS_ERROR_BYTES];
	struct options o;
	int code;

	log_open("sluice-signer", LOG_LEVEL_INFO);
	if (!options_read(&o, argc, argv)) {
		fprintf(stderr, "usage: sluice-signer --origin NAME --keys DIR --state FILE [--token PROGRAM] [--fd N] [--init]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (!start(&s, &o, err)) {
		log_error("%s", err);
		return 1;
	}
	code = serve(&s, o.fd);
	signer_keys_free(&s.keys);
	signer_keys_free(&s.next);
	signer_state_close(&s.state);
	_exit(code);
}
