#include "control/operators.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/cli/frame.h"
#include "control/inbox/who.h"
#include "control/operator_verbs.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"

#define DEADLINE_US 10000000u

enum connection_state { CONNECTION_FREE, CONNECTION_READING, CONNECTION_WAITING, CONNECTION_ANSWERING, CONNECTION_STREAMING };

struct connection {
	enum connection_state state;
	int fd;
	uint64_t question, deadline_us;
	uint8_t in[FRAME_REQUEST_BYTES + 4];
	size_t in_len;
	uint8_t *out;
	size_t out_len, out_sent;
	struct operation operation;
};

struct operators {
	struct node *node;
	int listener;
	uint64_t questions;
	char path[108];
	struct connection connection[OPERATORS_MAX];
};

struct operators *operators_create(struct node *n, char err[OS_ERROR_BYTES])
{
	struct operators *os = calloc(1, sizeof(*os));
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (!os)
		return NULL;
	os->node = n;
	os->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	snprintf(os->path, sizeof(os->path), "%s/control.sock", n->settings->run_dir);
	if (strlen(n->settings->run_dir) + sizeof("/control.sock") > sizeof(at.sun_path)) {
		snprintf(err, OS_ERROR_BYTES, "control socket: run_dir is too long for a socket: choose a shorter one");
		operators_destroy(os);
		return NULL;
	}
	memcpy(at.sun_path, os->path, sizeof(os->path));
	unlink(os->path);
	if (os->listener < 0 || bind(os->listener, (struct sockaddr *)&at, sizeof(at)) < 0 || chmod(os->path, 0660) < 0 ||
	    listen(os->listener, OPERATORS_MAX) < 0) {
		snprintf(err, OS_ERROR_BYTES, "%.100s: %.60s: check the run directory", os->path, strerror(errno));
		operators_destroy(os);
		return NULL;
	}
	return os;
}

static void connection_close(struct connection *c)
{
	if (c->state == CONNECTION_FREE)
		return;
	close(c->fd);
	secret_wipe(c->in, c->in_len);
	free(c->out);
	json_decref(c->operation.args);
	json_decref(c->operation.stream);
	*c = (struct connection){ 0 };
}

void operators_destroy(struct operators *os)
{
	if (!os)
		return;
	for (unsigned i = 0; i < OPERATORS_MAX; i++)
		connection_close(&os->connection[i]);
	if (os->listener >= 0)
		close(os->listener);
	unlink(os->path);
	free(os);
}

unsigned operators_poll(const struct operators *os, struct pollfd *fds)
{
	unsigned count = 0;

	fds[count++] = (struct pollfd){ .fd = os->listener, .events = POLLIN };
	for (unsigned i = 0; i < OPERATORS_MAX; i++) {
		const struct connection *c = &os->connection[i];

		if (c->state == CONNECTION_READING)
			fds[count++] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
		else if (c->state == CONNECTION_ANSWERING)
			fds[count++] = (struct pollfd){ .fd = c->fd, .events = POLLOUT };
	}
	return count;
}

/* --- answers ------------------------------------------------------------------------------------------------------------- */

static void answer(struct connection *c, json_t *response)
{
	size_t len = response ? json_dumpb(response, NULL, 0, JSON_COMPACT) : 0;
	struct writer w;

	c->state = CONNECTION_ANSWERING;
	if (len && len <= FRAME_RESPONSE_BYTES && (c->out = malloc(len + 4))) {
		w = writer_of(c->out, 4);
		writer_be32(&w, (uint32_t)len);
		json_dumpb(response, (char *)c->out + 4, len, JSON_COMPACT);
		c->out_len = len + 4;
	}
	json_decref(response);
}

static void answer_operation(struct connection *c)
{
	struct operation *o = &c->operation;

	if (o->status == FRAME_DONE && o->stream)
		c->state = CONNECTION_STREAMING;
	else if (o->status == FRAME_DONE)
		answer(c, json_pack("{s:b, s:o}", "ok", 1, "result", o->result ? o->result : json_object()));
	else
		answer(c, json_pack("{s:b, s:i, s:s}", "ok", 0, "status", (int)o->status, "error", o->error));
	o->result = NULL;
}

/* --- requests ------------------------------------------------------------------------------------------------------------ */

static bool role_read(struct connection *c)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	c->operation.administrator = peer.uid == 0 || peer.uid == geteuid();
	c->operation.uid = peer.uid;
	return true;
}

static void who_local(struct operation *o)
{
	char sub[32];
	const struct principal shape = { .issuer = "", .iss = "local", .sub = sub, .person = "", .agent = "", .run = "", .purpose = "",
					 .how = PRINCIPAL_SOURCE };
	struct writer w = writer_of(o->who_room, sizeof(o->who_room));

	snprintf(sub, sizeof(sub), "uid:%u", o->uid);
	o->who = who_write(&shape, &w);
}

static void request_run(struct operators *os, struct connection *c, struct bytes body)
{
	json_error_t problem;
	json_t *request = json_loadb((const char *)body.base, body.len, JSON_REJECT_DUPLICATES, &problem);
	const char *verb = json_string_value(json_object_get(request, "verb"));
	struct operation *o = &c->operation;

	o->node = os->node;
	o->args = json_incref(json_object_get(request, "args"));
	o->question = c->question = ++os->questions;
	who_local(o);
	if (!verb || (o->args && !json_is_object(o->args))) {
		o->status = FRAME_USAGE;
		snprintf(o->error, sizeof(o->error), "request: not of this form: use the sluice command");
	} else {
		operation_run(o, verb);
	}
	json_decref(request);
	if (o->waiting)
		c->state = CONNECTION_WAITING;
	else
		answer_operation(c);
}

static void connection_read(struct operators *os, struct connection *c)
{
	struct bytes body;

	while (c->state == CONNECTION_READING) {
		ssize_t got = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			connection_close(c);
			return;
		}
		c->in_len += (size_t)got;
		switch (frame_parse(bytes_of(c->in, c->in_len), FRAME_REQUEST_BYTES, &body)) {
		case PARSE_MORE:
			continue;
		case PARSE_BAD:
			connection_close(c);
			return;
		case PARSE_OK:
			request_run(os, c, body);
			secret_wipe(c->in, c->in_len);
			return;
		}
	}
}

static void accept_all(struct operators *os)
{
	for (unsigned i = 0; i < OPERATORS_MAX; i++) {
		struct connection *c = &os->connection[i];
		int fd;

		if (c->state != CONNECTION_FREE)
			continue;
		fd = accept4(os->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		*c = (struct connection){ .state = CONNECTION_READING, .fd = fd, .deadline_us = os->node->now.mono_us + DEADLINE_US };
		if (!role_read(c))
			connection_close(c);
	}
}

void operators_ready(struct operators *os)
{
	accept_all(os);
	for (unsigned i = 0; i < OPERATORS_MAX; i++) {
		struct connection *c = &os->connection[i];

		if (c->state == CONNECTION_READING)
			connection_read(os, c);
		if (c->state != CONNECTION_FREE && os->node->now.mono_us > c->deadline_us)
			connection_close(c);
	}
}

/* The record of the reading is on disk: the connection is the reader's from here on. */
static void hand_over(struct operators *os, struct connection *c)
{
	const struct operation *o = &c->operation;

	if (readings_take(os->node->readings, c->fd, o->stream, o->reading, bytes_of(o->reader_room, o->reader_len), o->disclosing)) {
		secret_wipe(c->in, c->in_len);
		json_decref(c->operation.args);
		*c = (struct connection){ 0 };
		return;
	}
	node_disclose_ended(os->node, o->disclosing, "not given out: too many readings");
	operation_fail(&c->operation, FRAME_REFUSED, "read: %u readings are under way: try again later", READINGS_MAX);
	answer_operation(c);
}

void operators_flush(struct operators *os)
{
	for (unsigned i = 0; i < OPERATORS_MAX; i++) {
		struct connection *c = &os->connection[i];

		if (c->state == CONNECTION_STREAMING)
			hand_over(os, c);
		while (c->state == CONNECTION_ANSWERING && c->out_sent < c->out_len) {
			ssize_t sent = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

			if (sent < 0 && (errno == EAGAIN || errno == EINTR))
				break;
			if (sent <= 0)
				c->out_sent = c->out_len;
			else
				c->out_sent += (size_t)sent;
		}
		if (c->state == CONNECTION_ANSWERING && c->out_sent == c->out_len)
			connection_close(c);
	}
}

void operators_identified(struct operators *os, uint64_t question, struct principal *p, const struct identity_failure *why)
{
	for (unsigned i = 0; i < OPERATORS_MAX; i++) {
		struct connection *c = &os->connection[i];

		if (c->state == CONNECTION_FREE || c->question != question)
			continue;
		operation_identified(&c->operation, p, why);
		if (c->state == CONNECTION_WAITING)
			answer_operation(c);
		return;
	}
}
