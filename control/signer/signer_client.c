#include "control/signer/signer_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

static void why(struct signer_client *client, const char *text, size_t len)
{
	snprintf(client->why, sizeof client->why, "%.*s", (int)(len < sizeof client->why ? len : sizeof client->why - 1), text);
}

static enum journal_signer_answer gone(struct signer_client *client, const char *text)
{
	why(client, text, strlen(text));
	client->fd = -1;
	client->asked = false;
	return JOURNAL_SIGNER_GONE;
}

static bool send_message(struct signer_client *client, const struct signer_message *m)
{
	uint8_t packet[SIGNER_MESSAGE_BYTES_MAX];
	struct writer w = writer_of(packet, sizeof packet);
	ssize_t sent;

	if (client->fd < 0 || !signer_message_encode(m, &w))
		return false;
	do
		sent = send(client->fd, packet, w.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent == (ssize_t)w.len)
		return true;
	if (errno != EAGAIN)
		gone(client, "the signer is gone");
	return false;
}

/* The packet that waits, without waiting for one. */
static enum journal_signer_answer receive(struct signer_client *client, uint8_t packet[SIGNER_MESSAGE_BYTES_MAX], struct signer_message *m)
{
	ssize_t got;

	*m = (struct signer_message){ 0 };
	if (client->fd < 0)
		return JOURNAL_SIGNER_GONE;
	do
		got = recv(client->fd, packet, SIGNER_MESSAGE_BYTES_MAX, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return JOURNAL_SIGNER_WAIT;
	if (got <= 0)
		return gone(client, "the signer is gone");
	if (!signer_message_decode(bytes_of(packet, (size_t)got), m))
		return gone(client, "the signer's answer is malformed");
	return JOURNAL_SIGNER_DONE;
}

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits for a packet until `end_ms`; false when none came. */
static bool wait_packet(struct signer_client *client, uint64_t end_ms)
{
	for (;;) {
		struct pollfd p = { .fd = client->fd, .events = POLLIN };
		uint64_t now = monotonic_ms();
		int ready = now < end_ms ? poll(&p, 1, (int)(end_ms - now)) : 0;

		if (ready > 0)
			return true;
		if (ready == 0 || errno != EINTR)
			return false;
	}
}

bool signer_client_greet(struct signer_client *client, int fd)
{
	const struct signer_message hello = { .type = SIGNER_HELLO };

	*client = (struct signer_client){ .fd = fd };
	return send_message(client, &hello);
}

enum journal_signer_answer signer_client_greeted(struct signer_client *client)
{
	uint8_t packet[SIGNER_MESSAGE_BYTES_MAX];
	struct signer_message answer;
	enum journal_signer_answer got = receive(client, packet, &answer);

	if (got != JOURNAL_SIGNER_DONE)
		return got;
	if (answer.type != SIGNER_KEYS)
		return gone(client, "the signer does not say its keys");
	client->keys = answer.keys;
	client->next = answer.next;
	client->phase = answer.phase;
	client->size = answer.size;
	client->root = answer.root;
	return JOURNAL_SIGNER_DONE;
}

bool signer_client_open(struct signer_client *client, int fd, unsigned wait_ms)
{
	if (!signer_client_greet(client, fd))
		return false;
	if (!wait_packet(client, monotonic_ms() + wait_ms)) {
		gone(client, "the signer does not answer");
		return false;
	}
	return signer_client_greeted(client) == JOURNAL_SIGNER_DONE;
}

/* An answer that nobody waited for any more still says what was signed. */
static void absorb(struct signer_client *client)
{
	uint8_t packet[SIGNER_MESSAGE_BYTES_MAX];
	struct signer_message m;

	if (!client->asked || receive(client, packet, &m) != JOURNAL_SIGNER_DONE)
		return;
	client->asked = false;
	if (m.type == SIGNER_SIGNED) {
		client->size = client->asked_size;
		client->root = client->asked_root;
	}
}

bool signer_client_busy(struct signer_client *client)
{
	absorb(client);
	return client->asked;
}

bool signer_client_step(struct signer_client *client, enum signer_step step, const uint8_t key[32], unsigned wait_ms)
{
	static const enum signer_phase after[] = { [SIGNER_STEP_PREPARE] = SIGNER_MAKE, [SIGNER_STEP_OVERLAP] = SIGNER_OVERLAP, [SIGNER_STEP_RETIRE] = SIGNER_RETIRE };
	struct signer_message m = { .type = SIGNER_ROTATE, .step = step }, answer;
	uint8_t packet[SIGNER_MESSAGE_BYTES_MAX];

	memcpy(m.key, key, sizeof m.key);
	if (signer_client_busy(client) || !send_message(client, &m)) {
		why(client, "the signer takes no request", strlen("the signer takes no request"));
		return false;
	}
	if (!wait_packet(client, monotonic_ms() + wait_ms)) {
		gone(client, "the signer does not answer");
		return false;
	}
	if (receive(client, packet, &answer) != JOURNAL_SIGNER_DONE)
		return false;
	if (answer.type == SIGNER_DONE) {
		client->phase = after[step];
		return true;
	}
	if (answer.type == SIGNER_REFUSED)
		why(client, (const char *)answer.text.base, answer.text.len);
	else
		gone(client, "the signer's answer is none to a step of a rotation");
	return false;
}

static bool client_size(void *ctx, uint64_t *size)
{
	struct signer_client *client = ctx;

	absorb(client);
	*size = client->size;
	return client->fd >= 0 && !client->asked;
}

static bool client_ask(void *ctx, uint64_t old_size, const struct merkle_proof *proof, struct bytes body)
{
	struct signer_client *client = ctx;
	struct signer_message m = { .type = SIGNER_SIGN, .old_size = old_size, .proof = *proof, .text = body };
	struct checkpoint c;

	/* One question at a time: the answer to an older one must not pass for this one's. */
	if (client->asked || checkpoint_parse(body, false, &c, NULL) != NULL || !send_message(client, &m))
		return false;
	client->asked = true;
	client->asked_size = c.size;
	client->asked_root = c.root;
	return true;
}

static enum journal_signer_answer client_poll(void *ctx, struct writer *lines, const char **text)
{
	struct signer_client *client = ctx;
	uint8_t packet[SIGNER_MESSAGE_BYTES_MAX];
	struct signer_message m;
	enum journal_signer_answer answer = receive(client, packet, &m);

	*text = client->why;
	if (answer != JOURNAL_SIGNER_DONE)
		return answer;
	client->asked = false;
	if (m.type == SIGNER_SIGNED) {
		client->size = client->asked_size;
		client->root = client->asked_root;
		writer_put(lines, m.text);
		return JOURNAL_SIGNER_DONE;
	}
	if (m.type == SIGNER_FAILED) {
		/* It ends; its next life may sign. No refusal: the checkpoint is as good as before. */
		gone(client, "");
		why(client, (const char *)m.text.base, m.text.len);
		return JOURNAL_SIGNER_GONE;
	}
	if (m.type != SIGNER_REFUSED)
		return gone(client, "the signer's answer is none to a request");
	why(client, (const char *)m.text.base, m.text.len);
	return JOURNAL_SIGNER_REFUSED;
}

struct journal_signer signer_client_journal(struct signer_client *client)
{
	return (struct journal_signer){ .ctx = client, .size = client_size, .ask = client_ask, .poll = client_poll };
}

enum journal_signer_answer signer_sign(struct signer_client *client, uint64_t old_size, const struct merkle_proof *proof,
				       struct bytes body, struct writer *lines, unsigned wait_ms)
{
	const char *text;

	if (!client_ask(client, old_size, proof, body)) {
		if (client->fd >= 0)
			why(client, "the signer takes no request", strlen("the signer takes no request"));
		return JOURNAL_SIGNER_GONE;
	}
	if (!wait_packet(client, monotonic_ms() + wait_ms))
		return gone(client, "the signer does not answer");
	return client_poll(client, lines, &text);
}
