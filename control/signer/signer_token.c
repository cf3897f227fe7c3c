#include "control/signer/signer_token.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/ecdsa.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/signer/signer_tries.h"
#include "control/token/token_message.h"

#define CHILD_FD 3

static char why[512];

/* --- the conversation ---------------------------------------------------------------------------------------------------- */

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool wait_packet(int fd, uint64_t end_ms)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = monotonic_ms();
		int ready = now < end_ms ? poll(&p, 1, (int)(end_ms - now)) : 0;

		if (ready > 0)
			return true;
		if (ready == 0 || errno != EINTR)
			return false;
	}
}

static bool tell(int fd, enum token_type type, struct bytes body)
{
	const struct token_message m = { .type = type, .body = body };
	uint8_t packet[TOKEN_MESSAGE_BYTES_MAX];
	struct writer w = writer_of(packet, sizeof packet);

	return token_message_encode(&m, &w) && send(fd, packet, w.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)w.len;
}

/* One question and its answer, which lies in `packet`. NULL, or a text. */
static const char *ask(int fd, enum token_type type, struct bytes body, enum token_type wanted, uint64_t end_ms, uint8_t packet[TOKEN_MESSAGE_BYTES_MAX + 1],
		       struct token_message *answer)
{
	ssize_t got;

	*answer = (struct token_message){ 0 };
	if (!tell(fd, type, body))
		return "sluice-token is gone";
	if (!wait_packet(fd, end_ms))
		return "the token does not answer in time";
	got = recv(fd, packet, TOKEN_MESSAGE_BYTES_MAX + 1, MSG_DONTWAIT);
	if (got <= 0)
		return "sluice-token is gone";
	if (!token_message_decode(bytes_of(packet, (size_t)got), answer))
		return "sluice-token's answer is malformed";
	if (answer->type == TOKEN_FAILED) {
		snprintf(why, sizeof why, "%.*s", (int)answer->body.len, (const char *)answer->body.base);
		return why;
	}
	return answer->type == wanted ? NULL : "sluice-token's answer is none to its question";
}

/* --- start --------------------------------------------------------------------------------------------------------------- */

/* In the child, between fork and exec. Never returns. */
static _Noreturn void become(const char *program, const char *hide, int fd, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || (fd == CHILD_FD ? fcntl(fd, F_SETFD, 0) : dup2(fd, CHILD_FD)) < 0)
		_exit(127);
	syscall(SYS_close_range, CHILD_FD + 1, ~0u, 0);
	/* A module that hangs does not see the end of its socket; so it ends with us. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	execl(program, "sluice-token", "--hide", hide, (char *)NULL);
	_exit(127);
}

static pid_t spawn(const struct signer_place *place, int *fd)
{
	pid_t parent = getpid(), pid;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		become(place->token, place->dir, pair[1], parent);
	close(pair[1]);
	*fd = pair[0];
	if (pid < 0)
		close(pair[0]);
	return pid;
}

/* Not a secret, but who writes it chooses the key. */
static const char *file_read(const char *path, uint8_t text[TOKEN_FILE_BYTES_MAX + 1], size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	ssize_t got = -1;
	bool ours = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0022) == 0 && (st.st_uid == 0 || st.st_uid == geteuid());

	if (ours)
		got = read(fd, text, TOKEN_FILE_BYTES_MAX + 1);
	if (fd >= 0)
		close(fd);
	*len = got > 0 ? (size_t)got : 0;
	if (fd < 0)
		return "p256.uri: cannot be opened";
	if (!ours)
		return "p256.uri: is one that others may write";
	return got > 0 && got <= TOKEN_FILE_BYTES_MAX ? NULL : "p256.uri: is empty or too long";
}

static const char *key_take(struct signer_token *t, struct bytes spki)
{
	const uint8_t *at = spki.base;

	t->public = d2i_PUBKEY(NULL, &at, (long)spki.len);
	if (t->public && at == spki.base + spki.len && EVP_PKEY_is_a(t->public, "EC") && EVP_PKEY_get_bits(t->public) == 256)
		return NULL;
	EVP_PKEY_free(t->public);
	t->public = NULL;
	return "the token's public key is none on P-256";
}

static const char *log_in(struct signer_token *t, struct bytes file, const char *tries, uint64_t end_ms)
{
	uint8_t packet[TOKEN_MESSAGE_BYTES_MAX + 1], identity[TOKEN_DIGEST_BYTES];
	const struct bytes id = bytes_of(identity, sizeof identity);
	struct token_message found, m;
	const char *wrong = ask(t->fd, TOKEN_OPEN, file, TOKEN_FOUND, end_ms, packet, &found);

	if (wrong)
		return wrong;
	memcpy(identity, found.body.base, sizeof identity);
	if (found.tries_pin && (wrong = signer_tries_begin(tries, id, found.pin_count_low)) != NULL)
		return wrong;
	wrong = ask(t->fd, TOKEN_LOGIN, (struct bytes){ 0 }, TOKEN_KEY, end_ms, packet, &m);
	/* Without an answer nobody knows whether the token counted: the try stays on disk. */
	if (found.tries_pin && m.type != TOKEN_NONE && !signer_tries_end(tries, id, m.pin_wrong) && !wrong)
		wrong = "the state's directory cannot be written";
	return wrong ? wrong : key_take(t, m.body);
}

const char *signer_token_open(struct signer_token *t, const struct signer_place *place, const char *prefix)
{
	uint8_t file[TOKEN_FILE_BYTES_MAX + 1];
	char path[PATH_MAX], tries[PATH_MAX];
	const char *wrong;
	size_t len;
	pid_t pid;

	*t = (struct signer_token){ .fd = -1 };
	if (!place->token || !place->state)
		return "p256.uri: no token can be used here: --token is missing";
	if ((size_t)snprintf(path, sizeof path, "%s/%sp256.uri", place->dir, prefix) >= sizeof path ||
	    (size_t)snprintf(tries, sizeof tries, "%s.%sp256-pin", place->state, prefix) >= sizeof tries - 8)
		return "a path too long";
	if ((wrong = file_read(path, file, &len)) != NULL)
		return wrong;
	pid = spawn(place, &t->fd);
	if (pid < 0)
		return "sluice-token cannot be started: raise the limit of processes";
	wrong = log_in(t, bytes_of(file, len), tries, monotonic_ms() + SIGNER_TOKEN_START_MS);
	if (!wrong) {
		t->is_used = true;
		return NULL;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(t->fd);
	*t = (struct signer_token){ .fd = -1 };
	return wrong;
}

/* --- signatures ---------------------------------------------------------------------------------------------------------- */

/* r || s as ECDSA-Sig-Value (RFC 3279 2.2.3). */
static bool to_der(struct bytes raw, uint8_t der[SIGNER_SIGNATURE_BYTES_MAX], size_t *len)
{
	ECDSA_SIG *signature = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw.base, TOKEN_SIGNATURE_BYTES / 2, NULL), *s = BN_bin2bn(raw.base + TOKEN_SIGNATURE_BYTES / 2, TOKEN_SIGNATURE_BYTES / 2, NULL);
	bool taken = signature && r && s && ECDSA_SIG_set0(signature, r, s) == 1;
	int bytes = taken ? i2d_ECDSA_SIG(signature, NULL) : 0;
	uint8_t *at = der;
	bool good = bytes > 0 && bytes <= SIGNER_SIGNATURE_BYTES_MAX && i2d_ECDSA_SIG(signature, &at) == bytes;

	if (!taken) {
		BN_free(r);
		BN_free(s);
	}
	ECDSA_SIG_free(signature);
	*len = good ? (size_t)bytes : 0;
	return good;
}

static bool verifies(EVP_PKEY *key, struct bytes body, struct bytes signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, signature.base, signature.len, body.base, body.len) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

const char *signer_token_sign(struct signer_token *t, struct bytes body, uint8_t signature[SIGNER_SIGNATURE_BYTES_MAX], size_t *len)
{
	uint8_t packet[TOKEN_MESSAGE_BYTES_MAX + 1];
	struct merkle_hash digest = merkle_sha256(body);
	struct token_message m;
	const char *wrong;

	if (t->failed)
		return "the token has failed before";
	wrong = ask(t->fd, TOKEN_SIGN, bytes_of(digest.b, sizeof digest.b), TOKEN_SIGNED, monotonic_ms() + SIGNER_TOKEN_SIGN_MS, packet, &m);
	if (!wrong && (!to_der(m.body, signature, len) || !verifies(t->public, body, bytes_of(signature, *len))))
		wrong = "the token's signature does not verify under its own key: the token is faulty, or its public key is another key's";
	t->failed = wrong != NULL;
	return wrong;
}

void signer_token_close(struct signer_token *t)
{
	if (t->is_used)
		close(t->fd);
	EVP_PKEY_free(t->public);
	*t = (struct signer_token){ .fd = -1 };
}
