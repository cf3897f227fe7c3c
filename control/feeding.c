#include "control/feeding.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/export/stream.h"
#include "control/ship/frame.h"
#include "platform/os/log.h"
#include "platform/os/sandbox.h"
#include "platform/os/settings.h"

#define LOOK_MS 200 /* for new records */
#define PATIENCE_MS 10000 /* for a helper's first word */
#define NEVER UINT64_MAX

/* A helper's socket on its way to the thread. */
struct arrival {
	int fd;
	uint64_t size;
};

struct feed {
	struct feeding *all;
	const struct settings_stream *stream;
	int bell[2]; /* a pipe of struct arrival; its other end closed: it is over */
	pthread_t thread;
	bool has_thread;
	_Atomic uint64_t confirmed; /* NEVER: no helper has said it yet */
	_Atomic uint64_t moved_us;  /* CLOCK_MONOTONIC, when it last grew, or there was nothing to confirm */
	atomic_bool helper;
	/* Of the thread. */
	struct archive *archive;
	struct stream *lines;
	int fd;
	uint64_t next, wait_for;
	uint8_t frame[SHIP_HEADER_BYTES + SHIP_MESSAGE_MAX];
	size_t frame_len; /* one that waits for knowing whether it is the record's last */
	bool gone;
};

struct feeding {
	char dir[320], origin[256];
	struct feed feed[SETTINGS_STREAMS];
	unsigned feeds;
	sem_t ready;
	atomic_bool failed;
	char err[OS_ERROR_BYTES];
};

static uint64_t mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* --- the helper's socket --------------------------------------------------------------------------------------------------- */

/* What it says it wants next. */
static void take_confirmation(struct feed *f, bool first)
{
	uint8_t room[SHIP_NEXT_BYTES];
	ssize_t got = recv(f->fd, room, sizeof(room), MSG_DONTWAIT); /* written whole, and so read */
	struct reader r = reader_of(room, sizeof(room));
	uint64_t next;

	if (got < 0 && (errno == EAGAIN || errno == EINTR) && !first)
		return;
	f->gone |= got != (ssize_t)sizeof(room);
	if (f->gone)
		return;
	next = reader_be64(&r);
	/* A cursor beyond the journal's end is of another journal: nothing is sent before somebody looks. */
	f->gone |= !first && (next > f->next || next < atomic_load(&f->confirmed));
	if (f->gone)
		return;
	if (first)
		f->next = next;
	atomic_store(&f->moved_us, mono_us());
	atomic_store(&f->confirmed, next);
}

/* Waits for events of the helper, or for another one to come; what it says is taken. False when another came or it is over. */
static bool wait_on(struct feed *f, short events, int wait_ms)
{
	struct pollfd fds[2] = { { .fd = f->fd, .events = events | POLLIN }, { .fd = f->bell[0], .events = POLLIN } };

	if (poll(fds, 2, wait_ms) > 0) {
		if (fds[0].revents & POLLIN)
			take_confirmation(f, false);
		else
			f->gone |= (fds[0].revents & (POLLHUP | POLLERR)) != 0;
		f->gone |= fds[1].revents != 0;
	}
	return !f->gone;
}

static void send_frame(struct feed *f, bool last)
{
	size_t at = 0;

	f->frame[8] = last;
	while (at < f->frame_len && !f->gone) {
		ssize_t sent = send(f->fd, f->frame + at, f->frame_len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			at += (size_t)sent;
		else if (sent == 0 || (errno != EAGAIN && errno != EINTR))
			f->gone = true;
		else
			(void)wait_on(f, POLLOUT, -1);
	}
	f->frame_len = 0;
}

/* A line waits until the next one shows that it is not the record's last. */
static bool take_line(void *ctx, struct bytes line)
{
	struct feed *f = ctx;
	struct writer w = writer_of(f->frame, sizeof(f->frame));

	if (f->frame_len)
		send_frame(f, false);
	writer_be64(&w, f->next);
	writer_u8(&w, 0);
	writer_be32(&w, (uint32_t)line.len);
	writer_put(&w, line);
	f->frame_len = w.ok ? w.len : 0;
	return w.ok && !f->gone;
}

/* --- records --------------------------------------------------------------------------------------------------------------- */

static bool archive_ready(struct feed *f)
{
	static const struct stream_request requests[] = { [SETTINGS_STREAM_OCSF] = { .form = STREAM_SYSLOG }, [SETTINGS_STREAM_CEF] = { .form = STREAM_SYSLOG_CEF } };
	static _Thread_local struct stream_request request;
	char err[EXPORT_ERROR_BYTES > ARCHIVE_ERROR_BYTES ? EXPORT_ERROR_BYTES : ARCHIVE_ERROR_BYTES];

	if (f->archive)
		return archive_refresh(f->archive, err);
	f->archive = archive_open(f->all->dir, err);
	if (!f->archive)
		return false;
	(void)archive_use_index(f->archive);
	request = requests[f->stream->form];
	request.origin = f->all->origin;
	request.schema = f->stream->schema;
	f->lines = stream_open(f->archive, &request, err);
	return f->lines != NULL;
}

static void feed_records(struct feed *f)
{
	while (!f->gone) {
		bool ready = archive_ready(f);
		uint64_t size = ready ? archive_size(f->archive) : 0;

		if (ready && size > f->wait_for && f->next < archive_first(f->archive)) {
			log_warn("stream %s: records %llu to %llu were pruned before they were confirmed", f->stream->name, (unsigned long long)f->next,
				 (unsigned long long)archive_first(f->archive) - 1);
			f->next = archive_first(f->archive);
		}
		while (ready && size > f->wait_for && f->next < size && !f->gone) {
			if (!stream_record(f->lines, f->next, take_line, f))
				f->gone = true;
			if (!f->gone)
				send_frame(f, true);
			f->next += !f->gone;
		}
		if (!f->gone)
			(void)wait_on(f, 0, LOOK_MS);
	}
}

static void feed_helper(struct feed *f, const struct arrival *arrival)
{
	struct pollfd begins = { .fd = arrival->fd, .events = POLLIN };

	f->fd = arrival->fd;
	f->wait_for = arrival->size;
	f->gone = false;
	f->frame_len = 0;
	f->gone = poll(&begins, 1, PATIENCE_MS) <= 0;
	if (!f->gone)
		take_confirmation(f, true);
	atomic_store(&f->helper, !f->gone);
	feed_records(f);
	atomic_store(&f->helper, false);
	close(f->fd);
	f->fd = -1;
}

static void *feed_thread(void *arg)
{
	struct feed *f = arg;
	const char *const read_only[] = { f->all->dir, NULL }, *const nothing[] = { NULL };
	char err[OS_ERROR_BYTES];
	struct arrival arrival;

	if (sandbox_files(read_only, nothing, err) == SANDBOX_FAILED) {
		memcpy(f->all->err, err, sizeof(f->all->err));
		atomic_store(&f->all->failed, true);
	}
	sem_post(&f->all->ready);
	while (read(f->bell[0], &arrival, sizeof(arrival)) == (ssize_t)sizeof(arrival))
		feed_helper(f, &arrival);
	stream_close(f->lines);
	if (f->archive)
		archive_close(f->archive);
	return NULL;
}

/* --- start and end --------------------------------------------------------------------------------------------------------- */

static bool feed_start(struct feeding *all, const struct settings_stream *stream)
{
	struct feed *f = &all->feed[all->feeds];

	f->all = all;
	f->stream = stream;
	f->fd = f->bell[0] = f->bell[1] = -1;
	all->feeds++;
	atomic_store(&f->confirmed, NEVER);
	atomic_store(&f->moved_us, mono_us());
	if (pipe2(f->bell, O_CLOEXEC) < 0 || pthread_create(&f->thread, NULL, feed_thread, f) != 0)
		return false;
	f->has_thread = true;
	while (sem_wait(&all->ready) < 0)
		;
	return true;
}

struct feeding *feeding_create(const char *journal_dir, const struct settings *settings, char err[OS_ERROR_BYTES])
{
	struct feeding *all = calloc(1, sizeof(*all));
	bool good = all && sem_init(&all->ready, 0, 0) == 0;

	snprintf(err, OS_ERROR_BYTES, "streams: cannot start: free memory or descriptors");
	if (good) {
		snprintf(all->dir, sizeof(all->dir), "%s", journal_dir);
		snprintf(all->origin, sizeof(all->origin), "%s", settings->origin);
	}
	for (unsigned i = 0; good && i < settings->stream_count; i++)
		good = feed_start(all, &settings->stream[i]);
	if (good && !atomic_load(&all->failed))
		return all;
	if (all && atomic_load(&all->failed))
		memcpy(err, all->err, OS_ERROR_BYTES);
	feeding_destroy(all);
	return NULL;
}

void feeding_destroy(struct feeding *all)
{
	if (!all)
		return;
	for (unsigned i = 0; i < all->feeds; i++) {
		struct feed *f = &all->feed[i];

		if (f->bell[1] >= 0)
			close(f->bell[1]);
		if (f->has_thread)
			pthread_join(f->thread, NULL);
		if (f->bell[0] >= 0)
			close(f->bell[0]);
	}
	sem_destroy(&all->ready);
	free(all);
}

bool feeding_take(struct feeding *all, unsigned stream, int fd, uint64_t size)
{
	const struct arrival arrival = { .fd = fd, .size = size };

	return stream < all->feeds && write(all->feed[stream].bell[1], &arrival, sizeof(arrival)) == (ssize_t)sizeof(arrival);
}

uint64_t feeding_confirmed(const struct feeding *all, unsigned stream, uint64_t size)
{
	uint64_t confirmed = stream < all->feeds ? atomic_load(&all->feed[stream].confirmed) : NEVER;

	return confirmed > size ? 0 : confirmed;
}

uint64_t feeding_still_us(const struct feeding *all, unsigned stream, uint64_t now_us)
{
	uint64_t moved_us = stream < all->feeds ? atomic_load(&all->feed[stream].moved_us) : 0;

	return now_us > moved_us ? now_us - moved_us : 0;
}

uint64_t feeding_limit(const struct feeding *all, uint64_t size, const struct settings_stream **by)
{
	uint64_t limit = UINT64_MAX;

	if (by)
		*by = NULL;
	for (unsigned i = 0; i < all->feeds; i++) {
		uint64_t confirmed = feeding_confirmed(all, i, size);

		if (!all->feed[i].stream->prune_waits || confirmed >= limit)
			continue;
		limit = confirmed;
		if (by)
			*by = all->feed[i].stream;
	}
	return limit;
}

json_t *feeding_state(const struct feeding *all, uint64_t size, uint64_t now_us)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < all->feeds; i++) {
		const struct feed *f = &all->feed[i];
		uint64_t confirmed = atomic_load(&f->confirmed), moved_us = atomic_load(&f->moved_us), lag;

		confirmed = confirmed == NEVER ? 0 : confirmed;
		lag = size > confirmed ? size - confirmed : 0;
		json_array_append_new(list, json_pack("{s:s, s:b, s:I, s:I, s:I}", "stream", f->stream->name, "helper", atomic_load(&f->helper), "confirmed",
						      (json_int_t)confirmed, "lag", (json_int_t)lag, "waits_s",
						      (json_int_t)(lag && now_us > moved_us ? (now_us - moved_us) / 1000000 : 0)));
	}
	return list;
}
