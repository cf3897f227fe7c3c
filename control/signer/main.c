/* sluice-signer --origin NAME --keys DIR --state FILE [--fd N] [--init]
 *
 * A child of sluice-control on one end of a SOCK_SEQPACKET pair. It reads its keys and opens its state, gives up everything
 * else, and then answers one packet at a time until the other end closes. Exit: 0 at the end, 1 when it could not start.
 */
#include <errno.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/signer/signer.h"
#include "control/signer/signer_message.h"

#define SECURE_HEAP_BYTES 65536
#define SECURE_HEAP_MIN 32

/* The sanitizers make calls of their own, so under them a forbidden call fails instead of killing. */
#ifdef __SANITIZE_ADDRESS__
#define FORBIDDEN SCMP_ACT_ERRNO(EPERM)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FORBIDDEN SCMP_ACT_ERRNO(EPERM)
#endif
#endif
#ifndef FORBIDDEN
#define FORBIDDEN SCMP_ACT_KILL_PROCESS
#endif

struct options {
	const char *origin, *keys, *state;
	int fd;
	bool init;
};

static bool options_read(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
		{ "origin", required_argument, NULL, 'o' }, { "keys", required_argument, NULL, 'k' },
		{ "state", required_argument, NULL, 's' },  { "fd", required_argument, NULL, 'f' },
		{ "init", no_argument, NULL, 'i' },         { 0 },
	};
	int c;

	*o = (struct options){ .fd = 3 };
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'o':
			o->origin = optarg;
			break;
		case 'k':
			o->keys = optarg;
			break;
		case 's':
			o->state = optarg;
			break;
		case 'f':
			o->fd = atoi(optarg);
			break;
		case 'i':
			o->init = true;
			break;
		default:
			return false;
		}
	}
	return o->origin && o->keys && o->state && o->fd >= 0 && optind == argc;
}

static bool memory_protect(void)
{
	struct rlimit none = { 0 };

	if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
		return false;
	/* 1: locked and guarded. 2: guarded, but RLIMIT_MEMLOCK forbids the lock. */
	switch (CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, SECURE_HEAP_MIN)) {
	case 1:
		return true;
	case 2:
		fprintf(stderr, "sluice-signer: the key memory is not locked (RLIMIT_MEMLOCK)\n");
		return true;
	default:
		return false;
	}
}

static bool sandbox(void)
{
	static const int calls[] = {
		SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(read), SCMP_SYS(write),
		SCMP_SYS(pwrite64), SCMP_SYS(fdatasync), SCMP_SYS(close), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(brk),
		SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(getpid),
		SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall),
	};
	scmp_filter_ctx ctx = seccomp_init(FORBIDDEN);
	bool ok = ctx != NULL && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;

	for (size_t i = 0; ok && i < sizeof calls / sizeof calls[0]; i++)
		ok = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0) == 0;
	/* Memory, but never executable. */
	ok = ok && seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0 &&
	     seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0 &&
	     seccomp_load(ctx) == 0;
	seccomp_release(ctx);
	return ok;
}

/* The first signature makes OpenSSL fetch its algorithms and seed its generator, which the sandbox would forbid. */
static bool warm_up(const struct signer *s)
{
	uint8_t lines[SIGNER_TEXT_BYTES_MAX];
	struct writer w = writer_of(lines, sizeof lines);

	return signer_keys_sign(&s->keys, bytes_str("warm up\n"), &w);
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
	}
}

int main(int argc, char **argv)
{
	static struct signer s;
	struct options o;
	const char *wrong = NULL;
	int code;

	if (!options_read(&o, argc, argv)) {
		fprintf(stderr, "usage: sluice-signer --origin NAME --keys DIR --state FILE [--fd N] [--init]\n");
		return 1;
	}
	s.state.fd = -1;
	signal(SIGPIPE, SIG_IGN);
	if (!memory_protect())
		wrong = "memory cannot be protected";
	if (!wrong)
		wrong = signer_keys_load(&s.keys, o.keys, o.origin, o.init);
	if (!wrong)
		wrong = signer_state_open(&s.state, o.state, o.init);
	if (!wrong && !warm_up(&s))
		wrong = "the keys do not sign";
	if (!wrong && !sandbox())
		wrong = "the sandbox cannot be set up";
	if (wrong) {
		fprintf(stderr, "sluice-signer: %s\n", wrong);
		return 1;
	}
	code = serve(&s, o.fd);
	signer_keys_free(&s.keys);
	signer_state_close(&s.state);
	_exit(code);
}
