#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "platform/base/secret.h"
#include "platform/os/settings.h"

#define PATIENCE_S 15
#define PATIENCE_STREAM_S 120 /* a search through ten million records may find nothing for a while */

static int connect_control(struct cli *c, const char *run_dir, int *status)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%.90s/control.sock", run_dir);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		return fd;
	}
	if (errno == EACCES || errno == EPERM)
		*status = cli_fail(c, FRAME_NOT_PERMITTED, "%s: not permitted: run it as root or as a member of the node's group", at.sun_path);
	else
		*status = cli_fail(c, FRAME_UNREACHABLE, "%s: %s: start sluice-control", at.sun_path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool send_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

		if (sent <= 0 && errno != EINTR)
			return false;
		if (sent > 0) {
			bytes += sent;
			len -= (size_t)sent;
		}
	}
	return true;
}

static bool receive_all(int fd, uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t got = recv(fd, bytes, len, 0);

		if (got == 0 || (got < 0 && errno != EINTR))
			return false;
		if (got > 0) {
			bytes += got;
			len -= (size_t)got;
		}
	}
	return true;
}

static bool send_request(int fd, json_t *request)
{
	size_t len = json_dumpb(request, NULL, 0, JSON_COMPACT);
	uint8_t *frame = len && len <= FRAME_REQUEST_BYTES ? malloc(len + 4) : NULL;
	struct writer w;
	bool good;

	if (!frame)
		return false;
	w = writer_of(frame, 4);
	writer_be32(&w, (uint32_t)len);
	json_dumpb(request, (char *)frame + 4, len, JSON_COMPACT);
	good = send_all(fd, frame, len + 4);
	secret_wipe(frame, len + 4); /* it may carry a token */
	free(frame);
	return good;
}

static json_t *receive_response(int fd)
{
	uint8_t header[4], *body = NULL;
	struct reader r;
	uint32_t len;
	json_t *response = NULL;

	if (!receive_all(fd, header, sizeof(header)))
		return NULL;
	r = reader_of(header, sizeof(header));
	len = reader_be32(&r);
	if (len && len <= FRAME_RESPONSE_BYTES && (body = malloc(len)) && receive_all(fd, body, len))
		response = json_loadb((const char *)body, len, JSON_REJECT_DUPLICATES, NULL);
	free(body);
	return response;
}

/* The result of the first answer on a connection that stays open in `*open_fd`. */
static json_t *ask(struct cli *c, const char *verb, json_t *args, int *open_fd, int *status)
{
	struct settings *settings = cli_settings(c);
	json_t *request = json_pack("{s:s, s:o}", "verb", verb, "args", args ? args : json_object()), *response = NULL, *result = NULL;
	int fd = -1;

	*status = FRAME_USAGE;
	if (settings)
		fd = connect_control(c, settings->run_dir, status);
	if (fd >= 0) {
		response = send_request(fd, request) ? receive_response(fd) : NULL;
		if (!response)
			*status = cli_fail(c, FRAME_UNREACHABLE, "%s: no answer: see the log of sluice-control", verb);
	}
	*open_fd = fd;
	json_decref(request);
	if (response && json_is_true(json_object_get(response, "ok"))) {
		*status = FRAME_DONE;
		result = json_incref(json_object_get(response, "result"));
	} else if (response) {
		const char *text = json_string_value(json_object_get(response, "error"));

		*status = cli_fail(c, (enum frame_status)json_integer_value(json_object_get(response, "status")), "%s", text ? text : "refused");
	}
	json_decref(response);
	return result;
}

json_t *cli_ask(struct cli *c, const char *verb, json_t *args, int *status)
{
	int fd;
	json_t *result = ask(c, verb, args, &fd, status);

	if (fd >= 0)
		close(fd);
	return result;
}

static int stream_end(struct cli *c, json_t *frame)
{
	const char *error = json_string_value(json_object_get(frame, "error"));

	return error ? cli_fail(c, (enum frame_status)json_integer_value(json_object_get(frame, "status")), "%s", error) : FRAME_DONE;
}

int cli_stream_of(struct cli *c, const char *verb, json_t *args, bool (*take)(void *ctx, json_t *frame), void *ctx)
{
	const struct timeval patience = { .tv_sec = PATIENCE_STREAM_S };
	int fd, status;
	json_t *result = ask(c, verb, args, &fd, &status), *frame;
	bool going = result != NULL;

	if (going)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (going) {
		frame = receive_response(fd);
		if (!frame)
			status = cli_fail(c, FRAME_UNREACHABLE, "%s: cut off: see the log of sluice-control", verb);
		else if (json_object_get(frame, "end"))
			status = stream_end(c, frame);
		going = frame && take(ctx, frame) && !json_object_get(frame, "end");
		json_decref(frame);
	}
	json_decref(result);
	if (fd >= 0)
		close(fd);
	return status;
}

int cli_stream(struct cli *c, json_t *args, bool (*take)(void *ctx, json_t *frame), void *ctx)
{
	return cli_stream_of(c, "read", args, take, ctx);
}
