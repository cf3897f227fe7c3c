/* client.c: the requests under way, and the frames in both directions. Every end of a child goes through detach(), so
 * that each request has exactly one answer. */
#include "control/egress/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/egress/url.h"

#define STUCK_MS (EGRESS_TIMEOUT_MS + 5000u) /* the child's own limit, and time to say so */

struct under_way {
	bool used;
	uint64_t id, since_ms;
};

struct egress_client {
	egress_answer_fn *answer;
	void *context;
	int fd;
	struct under_way request[EGRESS_UNDER_WAY];
	uint8_t in[EGRESS_FRAME_DONE_BYTES];
	size_t in_len;
	uint8_t out[EGRESS_UNDER_WAY * EGRESS_FRAME_REQUEST_BYTES];
	size_t out_len;
};

struct egress_client *egress_client_create(egress_answer_fn *answer, void *context)
{
	struct egress_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->answer = answer;
	c->context = context;
	c->fd = -1;
	return c;
}

void egress_client_destroy(struct egress_client *c)
{
	if (!c)
		return;
	egress_client_detach(c);
	free(c);
}

static struct under_way *find(struct egress_client *c, uint64_t id)
{
	for (size_t i = 0; i < EGRESS_UNDER_WAY; i++)
		if (c->request[i].used && c->request[i].id == id)
			return &c->request[i];
	return NULL;
}

/* What is under way is taken off the list first: an answer may ask anew, which is then refused for want of a child. */
void egress_client_detach(struct egress_client *c)
{
	struct under_way ended[EGRESS_UNDER_WAY];

	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->in_len = c->out_len = 0;
	memcpy(ended, c->request, sizeof(ended));
	memset(c->request, 0, sizeof(c->request));
	for (size_t i = 0; i < EGRESS_UNDER_WAY; i++) {
		struct egress_answer answer = { .id = ended[i].id, .result = EGRESS_died };

		if (ended[i].used)
			c->answer(c->context, &answer);
	}
}

void egress_client_attach(struct egress_client *c, int fd)
{
	egress_client_detach(c);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	c->fd = fd;
}

int egress_client_fd(const struct egress_client *c)
{
	return c->fd;
}

short egress_client_events(const struct egress_client *c)
{
	return c->fd < 0 ? 0 : (short)(POLLIN | (c->out_len ? POLLOUT : 0));
}

static bool flush(struct egress_client *c)
{
	ssize_t sent;

	if (!c->out_len)
		return true;
	sent = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR;
	c->out_len -= (size_t)sent;
	memmove(c->out, c->out + sent, c->out_len);
	return true;
}

static bool ask(struct egress_client *c, const struct egress_request *request, uint64_t now_ms)
{
	struct writer w = writer_of(c->out + c->out_len, sizeof(c->out) - c->out_len);
	struct under_way *place = NULL;

	for (size_t i = 0; i < EGRESS_UNDER_WAY && !place; i++)
		if (!c->request[i].used)
			place = &c->request[i];
	if (c->fd < 0 || !place || find(c, request->id) || request->url.len > EGRESS_URL_BYTES || !egress_url_ok(request->type, request->url) ||
	    !egress_ca_name_ok(request->ca))
		return false;
	egress_put_request(&w, request);
	if (!w.ok)
		return false;
	c->out_len += w.len;
	*place = (struct under_way){ .used = true, .id = request->id, .since_ms = now_ms };
	(void)flush(c); /* a broken socket is noticed by egress_client_ready */
	return true;
}

bool egress_client_get(struct egress_client *c, uint64_t id, const char *url, const char *ca, uint64_t now_ms)
{
	const struct egress_request request = { .type = EGRESS_GET, .id = id, .timeout_ms = EGRESS_TIMEOUT_MS, .bytes_max = LIMIT_FETCH_BYTES,
						.url = bytes_str(url), .ca = bytes_str(ca) };

	return ask(c, &request, now_ms);
}

bool egress_client_post(struct egress_client *c, enum egress_type type, uint64_t id, const char *url, const char *ca, struct bytes data, uint32_t answer_max,
			uint64_t now_ms)
{
	const struct egress_request request = { .type = type, .id = id, .timeout_ms = EGRESS_TIMEOUT_MS, .bytes_max = answer_max, .url = bytes_str(url),
						.ca = bytes_str(ca), .data = data };

	return (type == EGRESS_TIMESTAMP || type == EGRESS_WITNESS) && data.len >= 1 && data.len <= EGRESS_DATA_BYTES && answer_max >= 1 &&
	       answer_max <= LIMIT_FETCH_BYTES && ask(c, &request, now_ms);
}

static bool give(struct egress_client *c, const struct egress_done *done)
{
	struct under_way *request = find(c, done->id);
	struct egress_answer answer = {
		.id = done->id, .result = done->result, .http_status = done->http_status, .content_type = done->content_type, .body = done->body,
	};

	if (!request)
		return false;
	*request = (struct under_way){ 0 };
	c->answer(c->context, &answer);
	return true;
}

/* The frames at the front of the buffer. A callback may detach the child, which empties it. */
static bool take_frames(struct egress_client *c)
{
	for (;;) {
		struct egress_done done;
		size_t frame_bytes;
		int fd = c->fd;

		switch (egress_parse_done(bytes_of(c->in, c->in_len), &done, &frame_bytes)) {
		case PARSE_MORE:
			return true;
		case PARSE_BAD:
			return false;
		case PARSE_OK:
			if (!give(c, &done))
				return false;
			if (c->fd != fd)
				return c->fd >= 0;
			c->in_len -= frame_bytes;
			memmove(c->in, c->in + frame_bytes, c->in_len);
		}
	}
}

static bool receive(struct egress_client *c)
{
	ssize_t got = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);

	if (got == 0)
		return false;
	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	c->in_len += (size_t)got;
	return take_frames(c);
}

bool egress_client_ready(struct egress_client *c)
{
	if (c->fd < 0)
		return false;
	if (flush(c) && receive(c))
		return true;
	egress_client_detach(c);
	return false;
}

bool egress_client_tick(struct egress_client *c, uint64_t now_ms)
{
	for (size_t i = 0; i < EGRESS_UNDER_WAY; i++)
		if (c->request[i].used && now_ms >= c->request[i].since_ms + STUCK_MS) {
			egress_client_detach(c);
			return false;
		}
	return true;
}
