#include "control/ship/link.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct link {
	const struct link_config *config;
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool fail(const struct link *l, char err[OS_ERROR_BYTES], const char *what, const char *why)
{
	snprintf(err, OS_ERROR_BYTES, "%.80s port %.8s: %.40s: %.100s", l->config->host, l->config->port, what, why);
	return false;
}

/* OpenSSL's last reason, or the verification's. */
static bool fail_tls(const struct link *l, char err[OS_ERROR_BYTES], const char *what)
{
	unsigned long code = ERR_peek_last_error();
	long verified = l->ssl ? SSL_get_verify_result(l->ssl) : X509_V_OK;
	const char *why = verified != X509_V_OK ? X509_verify_cert_error_string(verified) : code ? ERR_reason_error_string(code) : "it ended the connection";

	ERR_clear_error();
	return fail(l, err, what, why ? why : "refused");
}

/* --- files --------------------------------------------------------------------------------------------------------------- */

struct link *link_create(const struct link_config *config, char err[OS_ERROR_BYTES])
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l) {
		snprintf(err, OS_ERROR_BYTES, "out of memory");
		return NULL;
	}
	l->config = config;
	l->fd = -1;
	l->ctx = SSL_CTX_new(TLS_client_method());
	if (!l->ctx || SSL_CTX_set_min_proto_version(l->ctx, TLS1_2_VERSION) != 1)
		fail_tls(l, err, "TLS");
	else if (SSL_CTX_load_verify_file(l->ctx, config->ca) != 1)
		fail_tls(l, err, "the file of `ca`");
	else if (SSL_CTX_use_certificate_chain_file(l->ctx, config->certificate) != 1)
		fail_tls(l, err, "the file of `certificate`");
	else if (SSL_CTX_use_PrivateKey_file(l->ctx, config->key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(l->ctx) != 1)
		fail_tls(l, err, "the file of `key`");
	else {
		SSL_CTX_set_verify(l->ctx, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_mode(l->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		return l;
	}
	link_destroy(l);
	return NULL;
}

static void drop(struct link *l)
{
	SSL_free(l->ssl);
	if (l->fd >= 0)
		close(l->fd);
	l->ssl = NULL;
	l->fd = -1;
}

void link_destroy(struct link *l)
{
	if (!l)
		return;
	drop(l);
	SSL_CTX_free(l->ctx);
	free(l);
}

bool link_connected(const struct link *l)
{
	return l->ssl != NULL;
}

/* --- waiting ------------------------------------------------------------------------------------------------------------- */

/* False when time is over or the parent is gone. */
static bool wait_for(const struct link *l, short events, uint64_t until_ms)
{
	struct pollfd fds[2] = { { .fd = l->fd, .events = events }, { .fd = l->config->parent } };

	for (;;) {
		uint64_t now = now_ms();

		if (now >= until_ms || fds[1].revents)
			return false;
		if (poll(fds, 2, (int)(until_ms - now)) > 0 && fds[0].revents)
			return true;
	}
}

/* Whether the operation that gave `result` is to be tried again, after the wait. */
static bool again(const struct link *l, int result, uint64_t until_ms)
{
	int why = SSL_get_error(l->ssl, result);

	return (why == SSL_ERROR_WANT_READ && wait_for(l, POLLIN, until_ms)) || (why == SSL_ERROR_WANT_WRITE && wait_for(l, POLLOUT, until_ms));
}

/* --- connecting ---------------------------------------------------------------------------------------------------------- */

static bool connect_one(struct link *l, const struct addrinfo *to, uint64_t until_ms)
{
	int wrong = 0;
	socklen_t len = sizeof(wrong);

	l->fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return false;
	if (connect(l->fd, to->ai_addr, to->ai_addrlen) == 0)
		return true;
	if (errno == EINPROGRESS && wait_for(l, POLLOUT, until_ms) && getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &wrong, &len) == 0 && wrong == 0)
		return true;
	wrong = wrong ? wrong : errno == EINPROGRESS ? ETIMEDOUT : errno;
	close(l->fd);
	l->fd = -1;
	errno = wrong;
	return false;
}

static bool connect_tcp(struct link *l, uint64_t until_ms, char err[OS_ERROR_BYTES])
{
	const struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *found = NULL;
	int wrong = getaddrinfo(l->config->host, l->config->port, &want, &found);

	if (wrong)
		return fail(l, err, "not found", gai_strerror(wrong));
	errno = 0;
	for (const struct addrinfo *at = found; at && l->fd < 0; at = at->ai_next)
		if (connect_one(l, at, until_ms))
			break;
	wrong = errno;
	freeaddrinfo(found);
	return l->fd >= 0 || fail(l, err, "cannot be reached", strerror(wrong));
}

/* The name, or the address when the host is one. */
static bool expect_name(struct link *l)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(l->ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, l->config->host) == 1)
		return true;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(l->ssl, l->config->host) == 1 && SSL_set_tlsext_host_name(l->ssl, l->config->host) == 1;
}

bool link_connect(struct link *l, char err[OS_ERROR_BYTES])
{
	uint64_t until_ms = now_ms() + LINK_PATIENCE_MS;
	int result = 0;

	drop(l);
	if (!connect_tcp(l, until_ms, err))
		return false;
	ERR_clear_error();
	l->ssl = SSL_new(l->ctx);
	if (l->ssl && expect_name(l) && SSL_set_fd(l->ssl, l->fd) == 1)
		while ((result = SSL_connect(l->ssl)) != 1 && again(l, result, until_ms))
			;
	if (result == 1)
		return true;
	fail_tls(l, err, "TLS handshake");
	drop(l);
	return false;
}

/* --- messages ------------------------------------------------------------------------------------------------------------ */

static bool write_all(struct link *l, const uint8_t *at, size_t left)
{
	uint64_t until_ms = now_ms() + LINK_PATIENCE_MS;

	while (left) {
		int result = SSL_write(l->ssl, at, (int)left);

		if (result > 0) {
			at += result;
			left -= (size_t)result;
			until_ms = now_ms() + LINK_PATIENCE_MS;
		} else if (!again(l, result, until_ms)) {
			return false;
		}
	}
	return true;
}

/* RFC 5425 4.3: MSG-LEN SP SYSLOG-MSG, as one TLS record where it fits. */
bool link_send(struct link *l, struct bytes message, char err[OS_ERROR_BYTES])
{
	uint8_t room[16384];
	char head[16];
	int len = snprintf(head, sizeof(head), "%zu ", message.len);
	struct writer w = writer_of(room, sizeof(room));
	bool sent;

	ERR_clear_error();
	writer_bytes(&w, head, (size_t)len);
	writer_put(&w, message);
	sent = w.ok ? write_all(l, room, w.len) : write_all(l, (const uint8_t *)head, (size_t)len) && write_all(l, message.base, message.len);
	if (sent)
		return true;
	fail_tls(l, err, "sending");
	drop(l);
	return false;
}

/* RFC 5425 4.4: the receiver replies with its own close_notify. An end of the TCP connection without it could be anybody's. */
bool link_confirm(struct link *l, char err[OS_ERROR_BYTES])
{
	uint64_t until_ms = now_ms() + LINK_PATIENCE_MS;
	uint8_t nothing[256];
	bool good = false;
	int result, why;

	ERR_clear_error();
	while ((result = SSL_shutdown(l->ssl)) < 0 && again(l, result, until_ms))
		;
	if (result >= 0 && shutdown(l->fd, SHUT_WR) == 0) {
		do {
			errno = 0;
			result = SSL_read(l->ssl, nothing, sizeof(nothing));
			why = SSL_get_error(l->ssl, result);
		} while (result > 0 || (why == SSL_ERROR_WANT_READ && wait_for(l, POLLIN, until_ms)));
		good = why == SSL_ERROR_ZERO_RETURN;
	}
	if (!good)
		fail_tls(l, err, "waiting for what was sent to be read");
	drop(l);
	return good;
}
