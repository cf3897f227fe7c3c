/* The inspector of a protocol of lines, for tests of the conductor: the first line logs in, every other one is a command. A line of the
 * client that begins with = is bulk data of the last command. A line of the server that begins with + is a row, and goes by as it comes; any other one ends the answer.
 * It stands in for the registry of inspectors too. "KEY" asks for the session's cancel key; "CANCEL process key" as the first line asks
 * for the end of what that session waits for. "BORROW" takes a piece of memory, until the session ends, and says whether there was one. */
#include <stdio.h>

#include "dataplane/inspect/inspector.h"

#define LINE_PIECES_MAX 64
#define LINE_PIECE_BYTES 100
#define LINE_AWAITED 64u

struct line_session {
	const struct inspect_env *env;
	const struct inspect_host *host;
	void *context;
	bool asked, in, cut;
	uint32_t ref;     /* of the command sent last */
	uint32_t awaited[LINE_AWAITED];
	unsigned sent, answered; /* how many were ever; the one answered next is awaited[answered] */
	char held[256];
	bool within;      /* a row of which the end has not come */
	uint64_t rows;    /* of this answer */
	unsigned answers; /* lines of the server: what a command means here depends on it */
	char state[32];
	uint32_t process;
	void *piece[LINE_PIECES_MAX];
	unsigned pieces;
	_Alignas(8) uint8_t issued[8];
};

static const struct inspector inspector_line;
extern const struct inspector inspector_opaque;
const struct inspector *const inspectors[] = { &inspector_line, &inspector_opaque, NULL };

const struct inspector *inspector_find(const char *name)
{
	return strcmp(name, "line") == 0 ? &inspector_line : strcmp(name, "opaque") == 0 ? &inspector_opaque : NULL;
}

static struct bytes line_state(void *session, bool *in_transaction)
{
	struct line_session *s = session;

	snprintf(s->state, sizeof s->state, "answers=%u", s->answers);
	return bytes_str(s->state);
}

static void line_open(void *session, const struct inspect_env *env, const struct inspect_host *host, void *context)
{
	*(struct line_session *)session = (struct line_session){ .env = env, .host = host, .context = context };
}

static void line_conclude(struct line_session *s, bool allowed, const struct judgement *j, struct inspect_io *io)
{
	s->ref = j->n;
	s->cut = false;
	if (allowed) {
		s->awaited[s->sent++ % LINE_AWAITED] = j->n;
		writer_str(io->out[SIDE_SERVER], s->held);
		writer_str(io->out[SIDE_SERVER], "\n");
		return;
	}
	struct inspect_response r = { .ref = j->n, .outcome = j->cancelled ? RESPONSE_CANCELLED : RESPONSE_REFUSED, .status = bytes_str("no") };

	s->host->responded(s->context, &r);
	writer_str(io->out[SIDE_CLIENT], "refused: ");
	writer_put(io->out[SIDE_CLIENT], j->say);
	writer_str(io->out[SIDE_CLIENT], "\n");
}

static const uint8_t line_upstream_key[] = { 'u', 'p', 'k', 'y' };

static void line_key(struct line_session *s, struct inspect_io *io)
{
	char text[64];

	snprintf(text, sizeof text, "key %u %016llx\n", s->process, (unsigned long long)*(uint64_t *)(void *)s->issued);
	writer_str(io->out[SIDE_CLIENT], text);
}

static void line_borrow(struct line_session *s, struct inspect_io *io)
{
	uint8_t *piece = s->host->borrow(s->context, INSPECT_PIECE_SMALL);
	bool zero = piece && !piece[0] && !memcmp(piece, piece + 1, LINE_PIECE_BYTES - 1);

	writer_str(io->out[SIDE_CLIENT], zero ? "piece\n" : piece ? "dirty\n" : "none\n");
	if (!piece)
		return;
	memset(piece, 0x55, LINE_PIECE_BYTES);
	s->piece[s->pieces++ % LINE_PIECES_MAX] = piece;
}

static struct inspect_result line_cancel(struct line_session *s, struct bytes line, size_t consumed, struct inspect_io *io)
{
	unsigned long long issued = 0;
	unsigned process = 0;
	struct inspect_cancel c;
	char text[64];

	snprintf(text, sizeof text, "%.*s", (int)line.len, (const char *)line.base);
	if (sscanf(text, "CANCEL %u %llx", &process, &issued) != 2)
		return (struct inspect_result){ .status = INSPECT_CLOSE, .cause = CLOSE_PROTOCOL };
	c = s->host->cancel(s->context, process, bytes_of(&issued, sizeof issued));
	if (c.later)
		return (struct inspect_result){ .status = INSPECT_WAIT };
	snprintf(text, sizeof text, "cancel %u %.*s\n", c.process, (int)c.key.len, (const char *)c.key.base);
	if (c.forward)
		writer_str(io->out[SIDE_SERVER], text);
	return (struct inspect_result){ .status = INSPECT_CLOSE, .consumed = consumed, .cause = CLOSE_CLIENT };
}

static struct inspect_result line_client(struct line_session *s, struct bytes line, size_t consumed, struct inspect_io *io)
{
	struct inspect_result result = { .status = INSPECT_OK, .consumed = consumed };
	struct statement st = { .kind = COMMAND_SIMPLE, .raw = line, .database = bytes_str("db") };
	struct judgement j;

	if (!s->asked && line.len > 6 && !memcmp(line.base, "CANCEL", 6))
		return line_cancel(s, line, consumed, io);
	if (line.len > 6 && !memcmp(line.base, "SHARE ", 6)) {
		writer_str(io->out[SIDE_CLIENT], s->host->share(s->context, line) ? "shared\n" : "");
		return result;
	}
	if (s->asked && line.len && line.base[0] == '=') {
		s->cut |= !s->host->sent(s->context, s->ref, bytes_of(line.base, line.len + 1));
		writer_bytes(io->out[SIDE_SERVER], line.base, line.len + 1);
		return result;
	}
	if (bytes_equal(line, bytes_str("BORROW"))) {
		line_borrow(s, io);
		return result;
	}
	if (bytes_equal(line, bytes_str("KEY"))) {
		line_key(s, io);
		return result;
	}
	if (!s->asked) {
		struct inspect_login l = { .token = line };

		s->asked = true;
		s->host->login(s->context, &l);
		result.status = INSPECT_WAIT;
		return result;
	}
	snprintf(s->held, sizeof s->held, "%.*s", (int)line.len, (const char *)line.base);
	st.state = line_state(s, &st.in_transaction);
	st.exact = st.generic = hash128(s->env->hash_key, line.base, line.len);
	switch (s->host->judge(s->context, &st, &j)) {
	case JUDGED_WAIT:
		result.status = INSPECT_WAIT;
		result.consumed = 0;
		break;
	case JUDGED_ALLOW:
		line_conclude(s, true, &j, io);
		break;
	case JUDGED_BLOCK:
		line_conclude(s, false, &j, io);
		break;
	}
	return result;
}

static struct inspect_result line_row(struct line_session *s, struct bytes in, const uint8_t *end, struct inspect_io *io)
{
	size_t len = end ? (size_t)(end - in.base) + 1 : in.len, space = writer_space(io->out[SIDE_CLIENT]);

	if (space == 0)
		return (struct inspect_result){ .status = INSPECT_FULL, .full = SIDE_CLIENT, .needed = 1 };
	s->within = len > space || !end;
	len = len < space ? len : space;
	writer_bytes(io->out[SIDE_CLIENT], in.base, len);
	s->rows += !s->within;
	return (struct inspect_result){ .status = INSPECT_OK, .consumed = len };
}

static struct inspect_progress line_progress(void *session)
{
	const struct line_session *s = session;

	return (struct inspect_progress){ .rows = s->rows, .ref = s->awaited[s->answered % LINE_AWAITED], .answers = s->answered < s->sent, .within = s->within };
}

static struct inspect_result line_feed(void *session, enum side from, struct bytes in, struct inspect_io *io)
{
	struct line_session *s = session;
	const uint8_t *end = memchr(in.base, '\n', in.len);
	size_t len = end ? (size_t)(end - in.base) : 0;

	if (from == SIDE_SERVER && in.len > 0 && (s->within || in.base[0] == '+'))
		return line_row(s, in, end, io);
	if (!end)
		return (struct inspect_result){ .status = INSPECT_MORE };
	if (from == SIDE_CLIENT)
		return line_client(s, bytes_of(in.base, len), len + 1, io);
	writer_bytes(io->out[SIDE_CLIENT], in.base, len + 1);
	s->answers++;
	struct inspect_response r = { .ref = s->answered < s->sent ? s->awaited[s->answered % LINE_AWAITED] : s->ref, .outcome = RESPONSE_OK, .status = bytes_str("ok"),
				      .rows = s->rows + 1, .sent_cut = s->cut };

	s->rows = 0;
	s->answered += s->answered < s->sent;
	s->host->responded(s->context, &r);
	return (struct inspect_result){ .status = INSPECT_OK, .consumed = len + 1 };
}

static struct inspect_result line_answer(void *session, const struct inspect_answer *a, struct inspect_io *io)
{
	struct line_session *s = session;
	struct inspect_result result = { .status = INSPECT_OK };

	switch (a->kind) {
	case ANSWER_IDENTITY:
		writer_str(io->out[SIDE_CLIENT], a->allowed ? "welcome\n" : "go away\n");
		if (a->allowed)
			s->process = s->host->cancel_issue(s->context, 77, bytes_of(line_upstream_key, sizeof line_upstream_key), s->issued, sizeof s->issued);
		if (!a->allowed)
			result = (struct inspect_result){ .status = INSPECT_CLOSE, .cause = CLOSE_REFUSED_LOGIN };
		break;
	case ANSWER_JUDGED:
		line_conclude(s, a->allowed, &a->judgement, io);
		s->in = true; /* the message is still in front of us */
		break;
	case ANSWER_NOTICE:
		writer_str(io->out[SIDE_CLIENT], "notice: ");
		writer_put(io->out[SIDE_CLIENT], a->text);
		writer_str(io->out[SIDE_CLIENT], "\n");
		break;
	case ANSWER_END:
		if (a->end == END_UPSTREAM_LOST)
			break;
		writer_str(io->out[SIDE_CLIENT], "end: ");
		writer_put(io->out[SIDE_CLIENT], a->text);
		writer_str(io->out[SIDE_CLIENT], "\n");
		result = (struct inspect_result){ .status = INSPECT_CLOSE, .cause = CLOSE_KILLED };
		break;
	default:
		break;
	}
	return result;
}

/* The judged line is consumed by the next feed. */
static struct inspect_result line_feed_again(void *session, enum side from, struct bytes in, struct inspect_io *io)
{
	struct line_session *s = session;
	const uint8_t *end = memchr(in.base, '\n', in.len);

	if (from == SIDE_CLIENT && s->in && end) {
		s->in = false;
		return (struct inspect_result){ .status = INSPECT_OK, .consumed = (size_t)(end - in.base) + 1 };
	}
	return line_feed(session, from, in, io);
}

static struct inspect_result line_ended(void *session, enum side from, struct inspect_io *io)
{
	return (struct inspect_result){ .status = INSPECT_OK };
}

/* What was shared by this service's sessions on other workers, for tests to look at. */
char line_heard[INSPECT_SHARE_BYTES + 1];

static void line_hear(void *shared, unsigned from, struct bytes what)
{
	snprintf(line_heard, sizeof line_heard, "%u: %.*s", from, (int)what.len, (const char *)what.base);
}

static void line_close(void *session)
{
	struct line_session *s = session;

	while (s->pieces)
		s->host->give_back(s->context, INSPECT_PIECE_SMALL, s->piece[--s->pieces]);
}

static const struct inspector inspector_line = {
	.name = "line", .session_bytes = sizeof(struct line_session), .shared_bytes = 64, .piece_bytes = { LINE_PIECE_BYTES }, .heard = line_hear, .open = line_open, .feed = line_feed_again,
	.state = line_state, .progress = line_progress, .answer = line_answer, .ended = line_ended, .close = line_close,
};
