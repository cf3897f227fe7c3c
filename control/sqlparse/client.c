/* A queue of requests, of which the first may be in flight. The helper may do anything at any moment: every way out
 * goes through lose(), which answers the request in flight as unknown and closes the connection, or through
 * answer(), which removes the request before the callback runs. */
#include "control/sqlparse/sqlparse_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/contract/classification.h"

struct request {
	struct request *next;
	uint64_t id, queued_ms;
	uint8_t dialect;
	size_t len;
	uint8_t text[];
};

struct sqlparse_client {
	struct sqlparse_sink sink;
	uint32_t deadline_ms;
	int fd;
	bool lost;
	uint64_t serial; /* of the request in flight; ids on the wire are ours, so that no answer can be mistaken */
	struct request *first, **last;
	size_t count, bytes;
	bool in_flight;
	uint64_t sent_ms;
	size_t out_len, out_sent, in_len;
	uint8_t out[4 + SQLPARSE_REQUEST_BYTES], in[4 + SQLPARSE_ANSWER_BYTES];
};

struct sqlparse_client *sqlparse_client_create(struct sqlparse_sink sink, uint32_t deadline_ms)
{
	struct sqlparse_client *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->sink = sink;
	c->deadline_ms = deadline_ms ? deadline_ms : SQLPARSE_DEADLINE_MS;
	c->fd = -1;
	c->last = &c->first;
	return c;
}

static void disconnect(struct sqlparse_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->in_flight = false;
	c->out_len = c->out_sent = c->in_len = 0;
}

static struct request *take_first(struct sqlparse_client *c)
{
	struct request *r = c->first;

	c->first = r->next;
	if (!c->first)
		c->last = &c->first;
	c->count--;
	c->bytes -= r->len;
	return r;
}

void sqlparse_client_destroy(struct sqlparse_client *c)
{
	if (!c)
		return;
	disconnect(c);
	while (c->first)
		free(take_first(c));
	free(c);
}

int sqlparse_fd(const struct sqlparse_client *c)
{
	return c->fd;
}

bool sqlparse_lost(const struct sqlparse_client *c)
{
	return c->lost;
}

size_t sqlparse_open_requests(const struct sqlparse_client *c)
{
	return c->count;
}

bool sqlparse_wants_write(const struct sqlparse_client *c)
{
	return c->fd >= 0 && c->out_sent < c->out_len;
}

/* Removes the first request and tells its owner. */
static void answer(struct sqlparse_client *c, bool known, struct bytes why, struct bytes classification)
{
	struct request *r = take_first(c);
	uint64_t id = r->id;

	free(r);
	c->in_flight = false;
	c->sink.answered(c->sink.context, id, known, why, classification);
}

static void lose(struct sqlparse_client *c, const char *why)
{
	bool culprit = c->in_flight;

	disconnect(c);
	c->lost = true;
	if (culprit)
		answer(c, false, bytes_str(why), (struct bytes){ 0 });
}

static void send_more(struct sqlparse_client *c)
{
	while (sqlparse_wants_write(c)) {
		ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			c->out_sent += (size_t)n;
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else {
			if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
				lose(c, "the parser ended");
			return;
		}
	}
}

/* Puts the next request on its way when nothing is in flight. */
static void start_next(struct sqlparse_client *c, uint64_t now_ms)
{
	struct writer w = writer_of(c->out, sizeof c->out);
	struct request *r = c->first;

	if (c->fd < 0 || c->in_flight || !r)
		return;
	writer_be32(&w, (uint32_t)(8 + 1 + r->len));
	writer_be64(&w, ++c->serial);
	writer_u8(&w, r->dialect);
	writer_bytes(&w, r->text, r->len);
	c->out_len = w.len;
	c->out_sent = 0;
	c->in_flight = true;
	c->sent_ms = now_ms;
	send_more(c);
}

void sqlparse_connect(struct sqlparse_client *c, int fd, uint64_t now_ms)
{
	disconnect(c);
	c->fd = fd;
	c->lost = fcntl(fd, F_SETFL, O_NONBLOCK) < 0;
	if (c->lost)
		disconnect(c);
	start_next(c, now_ms);
}

bool sqlparse_request(struct sqlparse_client *c, uint64_t id, enum sqlparse_dialect dialect, struct bytes text, uint64_t now_ms)
{
	struct request *r;

	if (text.len > LIMIT_STATEMENT_BYTES || c->count >= SQLPARSE_QUEUE || c->bytes + text.len > SQLPARSE_QUEUE_BYTES)
		return false;
	r = malloc(sizeof *r + text.len);
	if (!r)
		return false;
	*r = (struct request){ .id = id, .queued_ms = now_ms, .dialect = (uint8_t)dialect, .len = text.len };
	if (text.len)
		memcpy(r->text, text.base, text.len);
	*c->last = r;
	c->last = &r->next;
	c->count++;
	c->bytes += text.len;
	start_next(c, now_ms);
	return true;
}

/* One whole answer. False when it breaks a rule of wire.h. */
static bool take_answer(struct sqlparse_client *c, struct bytes body)
{
	struct reader r = reader_of_bytes(body);
	uint64_t serial = reader_be64(&r);
	uint8_t known = reader_u8(&r);
	struct bytes why = reader_bytes(&r, reader_u8(&r));
	struct bytes encoded = reader_bytes(&r, r.left);
	struct classification checked;

	if (!r.ok || !c->in_flight || serial != c->serial || known > 1 || why.len >= SQLPARSE_WHY_BYTES)
		return false;
	if (known ? !classification_open(encoded, &checked) : encoded.len > 0)
		return false;
	answer(c, known, why, encoded);
	return true;
}

/* All whole answers in the buffer; the rest moves to its front. */
static bool take_answers(struct sqlparse_client *c)
{
	struct reader r = reader_of(c->in, c->in_len);

	while (r.left >= 4) {
		struct reader ahead = r;
		uint32_t len = reader_be32(&ahead);

		if (len < 8 + 1 + 1 || len > SQLPARSE_ANSWER_BYTES)
			return false;
		if (ahead.left < len)
			break;
		if (!take_answer(c, reader_bytes(&ahead, len)))
			return false;
		r = ahead;
	}
	memmove(c->in, r.at, r.left);
	c->in_len = r.left;
	return true;
}

void sqlparse_readable(struct sqlparse_client *c, uint64_t now_ms)
{
	while (c->fd >= 0) {
		ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - c->in_len, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0) {
			lose(c, "the parser ended");
			break;
		}
		c->in_len += (size_t)n;
		if (!take_answers(c)) {
			lose(c, "the parser's answer was malformed");
			break;
		}
		start_next(c, now_ms);
	}
}

void sqlparse_writable(struct sqlparse_client *c, uint64_t now_ms)
{
	(void)now_ms;
	send_more(c);
}

void sqlparse_tick(struct sqlparse_client *c, uint64_t now_ms)
{
	if (c->in_flight && now_ms - c->sent_ms >= c->deadline_ms)
		lose(c, "the parser took too long");
	while (c->first && !c->in_flight && now_ms - c->first->queued_ms >= SQLPARSE_WAIT_MS)
		answer(c, false, bytes_str("no parser for too long"), (struct bytes){ 0 });
	start_next(c, now_ms);
}
