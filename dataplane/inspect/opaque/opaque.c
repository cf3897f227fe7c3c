/* opaque.c: the protocol of a service that is bridged unread: everything is relayed as it is, from the first byte. */
#include "dataplane/inspect/inspector.h"

extern const struct inspector inspector_opaque;

static unsigned guess(struct bytes first)
{
	return 0;
}

static void open_session(void *session, const struct inspect_env *env, const struct inspect_host *host, void *host_context)
{
}

static struct inspect_result feed(void *session, enum side from, struct bytes in, struct inspect_io *io)
{
	return (struct inspect_result){ .status = INSPECT_OPAQUE };
}

static struct inspect_result answer(void *session, const struct inspect_answer *a, struct inspect_io *io)
{
	if (a->kind == ANSWER_END)
		return (struct inspect_result){ .status = INSPECT_CLOSE, .cause = CLOSE_KILLED };
	return (struct inspect_result){ .status = INSPECT_OK };
}

static struct inspect_result ended(void *session, enum side from, struct inspect_io *io)
{
	return (struct inspect_result){ .status = INSPECT_OK };
}

static void close_session(void *session)
{
}

const struct inspector inspector_opaque = {
	.name = "opaque",
	.session_bytes = 1,
	.wordless = true,
	.guess = guess,
	.open = open_session,
	.feed = feed,
	.answer = answer,
	.ended = ended,
	.close = close_session,
};
