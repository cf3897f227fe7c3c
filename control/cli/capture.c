/* capture.c: captures on demand: start, stop, list, save. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/journal/base64.h"

int cli_capture_start(struct cli *c)
{
	static const char *const options[] = { "service", "filter", "for", "max", "reason" };
	json_t *args;

	if (!cli_option(c, "reason"))
		return cli_fail(c, FRAME_USAGE, "capture start: no reason: give --reason");
	args = json_object();
	for (unsigned i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (cli_option(c, options[i]))
			json_object_set_new(args, options[i], json_string(cli_option(c, options[i])));
	if (cli_option(c, "payload"))
		json_object_set_new(args, "payload", json_true());
	if (!cli_token(c, args)) {
		json_decref(args);
		return FRAME_USAGE;
	}
	return cli_ask_and_print(c, "capture start", args, cli_members_text);
}

int cli_capture_stop(struct cli *c)
{
	const char *reason = cli_option(c, "reason");

	if (!reason)
		return cli_fail(c, FRAME_USAGE, "capture stop: no reason: give --reason");
	return cli_ask_and_print(c, "capture stop", json_pack("{s:s, s:s}", "id", c->positional[0], "reason", reason), cli_members_text);
}

static void list_text(json_t *result)
{
	static const struct print_column columns[] = {
		{ "capture", "id", 32 }, { "state", "state", 7 }, { "service", "service", 12 }, { "filter", "filter", 24 }, { "begun", "begun", 27 }, { "ended", "ended", 27 },
		{ "cause", "cause", 13 }, { "frames", "frames", 10 }, { "missing", "overruns", 8 }, { "bytes", "bytes", 12 },
	};

	print_table(json_object_get(result, "captures"), columns, sizeof(columns) / sizeof(*columns));
}

int cli_capture_list(struct cli *c)
{
	return cli_ask_and_print(c, "capture list", NULL, list_text);
}

struct saving {
	int fd;
	int error; /* errno of the first write that failed */
};

static void write_all(struct saving *s, struct bytes data)
{
	while (data.len && !s->error) {
		ssize_t sent = write(s->fd, data.base, data.len);

		if (sent > 0)
			data = bytes_of(data.base + sent, data.len - (size_t)sent);
		else if (sent == 0 || errno != EINTR)
			s->error = sent == 0 ? ENOSPC : errno;
	}
}

static bool arrives(void *ctx, json_t *frame)
{
	struct saving *s = ctx;
	json_t *piece = json_object_get(frame, "c");
	const char *note = json_string_value(json_object_get(frame, "note"));
	size_t len = json_string_length(piece);
	uint8_t *room = piece ? malloc(len + 1) : NULL;
	struct writer w = writer_of(room, room ? len + 1 : 0);

	if (piece && base64_read(bytes_of(json_string_value(piece), len), &w))
		write_all(s, writer_done(&w));
	else if (piece)
		s->error = EPROTO;
	if (note)
		fprintf(stderr, "sluice: capture save: %s\n", note);
	free(room);
	return !s->error;
}

int cli_capture_save(struct cli *c)
{
	const char *out = cli_option(c, "out");
	struct saving s = { .fd = STDOUT_FILENO };
	int status;

	if (!out && isatty(STDOUT_FILENO))
		return cli_fail(c, FRAME_USAGE, "capture save: standard output is a terminal: give --out, or a pipe to tcpdump -r -");
	if (out && (s.fd = open(out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
		return cli_fail(c, FRAME_REFUSED, "%s: %s: give another --out", out, strerror(errno));
	status = cli_stream_of(c, "capture save", json_pack("{s:s, s:b}", "id", c->positional[0], "to_file", out != NULL), arrives, &s);
	if (out && close(s.fd) != 0 && !s.error)
		s.error = errno;
	if (s.error)
		status = cli_fail(c, FRAME_REFUSED, "%s: %s: see the disk's space", out ? out : "standard output", strerror(s.error));
	if (out && status != FRAME_DONE)
		(void)unlink(out);
	return status;
}
