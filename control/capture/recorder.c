/* The state is a number that each side moves on from its own values: IDLE (core) ASKED (thread) RUNNING (thread) OVER (core) IDLE.
 * What belongs to a state is written before it is entered, so there is no lock. */
#include "control/capture/recorder.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/capture/filter.h"
#include "control/capture/pcapng.h"
#include "control/capture/sealed.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"
#include "platform/os/sandbox.h"

#define ROUND_MS 2            /* between two looks at the rings */
#define RECORDS_PER_ROUND 4096u
#define FLUSH_EVERY_US 1000000u
#define ANSWER_WAIT_MS 200    /* a worker that turns answers within microseconds */
#define STATISTICS_BYTES (CAPTURE_PORTS * 256u) /* kept free for the end */
#define APPLICATION "Sluice " SLUICE_VERSION

enum state { IDLE, ASKED, RUNNING, OVER };

struct worker_ring {
	struct capture_reader reader;
	uint64_t number;         /* of the request */
	uint64_t matched[CAPTURE_PORTS], overruns[CAPTURE_PORTS]; /* when it began */
	bool answered;
};

struct recorder {
	struct recorder_config config;
	char dir[320];
	pthread_t thread;
	bool has_thread;
	sem_t wake, ready;
	_Atomic enum state state;
	atomic_bool ending, failed;
	_Atomic int stop;        /* 0, or a cause and 1 */
	char err[OS_ERROR_BYTES];
	struct recorder_job job; /* core while IDLE, thread while RUNNING */
	struct recorder_end end; /* thread while RUNNING, core while OVER */
	_Atomic uint64_t frames, bytes;
	struct worker_ring ring[LIMIT_WORKERS];
	uint8_t frame[CAPTURE_FRAME_BYTES_MAX], block[PCAPNG_PACKET_BYTES_MAX]; /* the one that is put together, and its block */
	struct sealed_writer file;
	uint64_t flush_us;
};

const char *recorder_cause_word(enum recorder_cause c)
{
	static const char *const words[] = { "time", "size", "stopped", "disk", "ring", "control_ended" };

	return words[c];
}

static uint64_t clock_us(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void nap(void)
{
	(void)poll(NULL, 0, ROUND_MS);
}

/* --- one capture --------------------------------------------------------------------------------------------------------- */

static bool append(struct recorder *r, const struct writer *w)
{
	struct bytes block = writer_done(w);

	if (!block.len || !sealed_append(&r->file, block))
		return false;
	r->end.bytes += block.len;
	atomic_store_explicit(&r->bytes, r->end.bytes, memory_order_relaxed);
	return true;
}

static bool begin_file(struct recorder *r)
{
	uint8_t room[PCAPNG_BLOCK_BYTES_MAX];
	struct writer w = writer_of(room, sizeof room);
	bool good = sealed_open(&r->file, r->dir, &r->job.seal);

	pcapng_section(&w, APPLICATION, r->job.comment);
	good = good && append(r, &w);
	for (unsigned i = 0; good && i < CAPTURE_PORTS; i++) {
		w = writer_of(room, sizeof room);
		pcapng_interface(&w, r->config.port_name[i], r->config.port_text[i], r->job.payload ? CAPTURE_FRAME_BYTES_MAX : CAPTURE_SNAP_BYTES);
		good = append(r, &w);
	}
	return good && sealed_flush(&r->file);
}

static void ask(struct recorder *r, enum capture_snap snap)
{
	r->job.request.snap = snap;
	for (unsigned i = 0; i < r->config.workers; i++)
		r->ring[i].number = capture_ask(r->ring[i].reader.file, &r->job.request);
}

static void begin_rings(struct recorder *r)
{
	for (unsigned i = 0; i < r->config.workers; i++) {
		struct worker_ring *ring = &r->ring[i];
		struct capture_file *f = r->config.memory[i];

		ring->reader = capture_reader_of(f);
		ring->answered = false;
		for (unsigned port = 0; port < CAPTURE_PORTS; port++) {
			ring->matched[port] = atomic_load(&f->matched[port]);
			ring->overruns[port] = atomic_load(&f->overruns[port]);
		}
	}
	r->job.request.until_wall_us = r->job.wall_us + r->job.for_us;
	r->job.request.bytes_max = r->job.bytes_max;
	ask(r, r->job.payload ? CAPTURE_FRAMES : CAPTURE_HEADERS);
}

/* The next frame: its first record, and what all of its records hold, which came at once. */
static enum capture_got next_frame(struct recorder *r, struct capture_reader *reader, struct capture_record *first, struct bytes *bytes)
{
	enum capture_got got = capture_read(reader, first);
	struct capture_record part = *first;
	size_t len = 0;

	if (got != CAPTURE_GOT)
		return got;
	for (;;) {
		if (part.captured > sizeof r->frame - len)
			return CAPTURE_BROKEN;
		memcpy(r->frame + len, part.bytes, part.captured);
		len += part.captured;
		if (!(part.direction & CAPTURE_MORE))
			break;
		if (capture_read(reader, &part) != CAPTURE_GOT)
			return CAPTURE_BROKEN;
	}
	*bytes = bytes_of(r->frame, len);
	return len <= first->original ? CAPTURE_GOT : CAPTURE_BROKEN;
}

/* What the rings hold, up to a bound. False: the capture ends, for `cause`. */
static bool drain(struct recorder *r, enum recorder_cause *cause)
{
	struct capture_record record;
	struct bytes bytes;

	for (unsigned i = 0; i < r->config.workers; i++) {
		enum capture_got got = CAPTURE_GOT;

		r->ring[i].answered |= atomic_load(&r->ring[i].reader.file->answered) == r->ring[i].number;
		for (unsigned n = 0; n < RECORDS_PER_ROUND; n++) {
			struct writer w = writer_of(r->block, sizeof r->block);

			got = next_frame(r, &r->ring[i].reader, &record, &bytes);
			if (got != CAPTURE_GOT)
				break;
			pcapng_packet(&w, &record, bytes, r->end.frames);
			*cause = RECORDER_SIZE;
			if (r->end.bytes + w.len + STATISTICS_BYTES > r->job.bytes_max)
				return false;
			*cause = RECORDER_DISK;
			if (!append(r, &w))
				return false;
			atomic_store_explicit(&r->frames, ++r->end.frames, memory_order_relaxed);
		}
		*cause = RECORDER_RING;
		if (got == CAPTURE_BROKEN)
			return false;
	}
	return true;
}

/* Nothing is written into the ring any more; false: nobody knows, because the worker does not turn. */
static bool quiet(struct worker_ring *ring)
{
	for (unsigned waited = 0; waited < ANSWER_WAIT_MS; waited += ROUND_MS) {
		if (atomic_load_explicit(&ring->reader.file->answered, memory_order_acquire) == ring->number)
			return true;
		nap();
	}
	return false;
}

static void end_rings(struct recorder *r, enum recorder_cause cause)
{
	enum recorder_cause ignored;

	ask(r, CAPTURE_OFF);
	for (unsigned i = 0; i < r->config.workers; i++)
		r->end.silent += !quiet(&r->ring[i]) && !r->ring[i].answered;
	/* As long as the capture was to last, what was copied of it belongs to it. */
	for (unsigned n = 0; n < CAPTURE_SLOTS / RECORDS_PER_ROUND && cause != RECORDER_SIZE && cause != RECORDER_DISK && cause != RECORDER_RING; n++)
		if (!drain(r, &ignored))
			break;
	for (unsigned i = 0; i < r->config.workers; i++)
		if (atomic_load(&r->ring[i].reader.file->answered) == r->ring[i].number)
			capture_wipe(&r->ring[i].reader);
}

static void end_file(struct recorder *r)
{
	uint8_t room[PCAPNG_BLOCK_BYTES_MAX];
	bool good = true;

	for (unsigned port = 0; port < CAPTURE_PORTS; port++) {
		struct pcapng_counts c = { .begin_us = r->job.wall_us, .end_us = clock_us(CLOCK_REALTIME) };
		struct writer w = writer_of(room, sizeof room);
		char comment[100];

		for (unsigned i = 0; i < r->config.workers; i++) {
			c.received += atomic_load(&r->ring[i].reader.file->matched[port]) - r->ring[i].matched[port];
			c.dropped += atomic_load(&r->ring[i].reader.file->overruns[port]) - r->ring[i].overruns[port];
		}
		snprintf(comment, sizeof comment, "%llu frames are missing: a ring was full", (unsigned long long)c.dropped);
		c.comment = c.dropped ? comment : NULL;
		pcapng_statistics(&w, port, &c);
		good = good && append(r, &w);
		r->end.matched += c.received;
		r->end.overruns += c.dropped;
	}
	r->end.whole = sealed_close(&r->file) && good;
}

static void capture(struct recorder *r)
{
	enum recorder_cause cause = RECORDER_DISK;
	uint64_t until_us = clock_us(CLOCK_MONOTONIC) + r->job.for_us;

	begin_rings(r);
	if (begin_file(r)) {
		while (drain(r, &cause)) {
			uint64_t now_us = clock_us(CLOCK_MONOTONIC);
			int stop = atomic_load(&r->stop);

			cause = stop ? (enum recorder_cause)(stop - 1) : atomic_load(&r->ending) ? RECORDER_ENDING : RECORDER_TIME;
			if (stop || atomic_load(&r->ending) || now_us >= until_us)
				break;
			cause = RECORDER_DISK;
			if (now_us - r->flush_us >= FLUSH_EVERY_US && !sealed_flush(&r->file))
				break;
			if (now_us - r->flush_us >= FLUSH_EVERY_US)
				r->flush_us = now_us;
			nap();
		}
	}
	end_rings(r, cause);
	end_file(r);
	r->end.cause = cause;
	if (cause == RECORDER_DISK || !r->end.whole)
		log_warn("capture: %s", r->file.why ? r->file.why : "ended by a full disk");
}

/* --- the thread ---------------------------------------------------------------------------------------------------------- */

static void *work(void *arg)
{
	struct recorder *r = arg;
	const char *const nothing[] = { NULL }, *const write[] = { r->dir, NULL };
	char err[OS_ERROR_BYTES];

	if (sandbox_files(nothing, write, err) == SANDBOX_FAILED) {
		memcpy(r->err, err, sizeof r->err);
		atomic_store(&r->failed, true);
	}
	sem_post(&r->ready);
	for (;;) {
		while (sem_wait(&r->wake) < 0)
			;
		if (atomic_load(&r->state) == ASKED) {
			atomic_store(&r->state, RUNNING);
			capture(r);
			secret_wipe(&r->job.seal, sizeof r->job.seal);
			secret_wipe(r->frame, sizeof r->frame);
			secret_wipe(r->block, sizeof r->block);
			atomic_store(&r->state, OVER);
		}
		if (atomic_load(&r->ending))
			return NULL;
	}
}

/* Whatever the process before this one had asked for is over. */
static bool attach(struct recorder *r, char err[OS_ERROR_BYTES])
{
	for (unsigned i = 0; i < r->config.workers; i++) {
		struct capture_file *f = capture_open(r->config.memory[i], sizeof *f);

		if (!f) {
			snprintf(err, OS_ERROR_BYTES, "capture-%u: of another version: stop both processes and remove it", i);
			return false;
		}
		r->ring[i].reader = capture_reader_of(f);
	}
	r->job.request = capture_filter_none();
	ask(r, CAPTURE_OFF);
	return true;
}

bool recorder_make_dir(const char *dir, char err[OS_ERROR_BYTES])
{
	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		return true;
	snprintf(err, OS_ERROR_BYTES, "%.160s: %s: check its owner and mode", dir, strerror(errno));
	return false;
}

struct recorder *recorder_create(const struct recorder_config *config, char err[OS_ERROR_BYTES])
{
	struct recorder *r = calloc(1, sizeof *r);

	snprintf(err, OS_ERROR_BYTES, "captures: cannot start: free memory");
	if (!r)
		return NULL;
	r->config = *config;
	snprintf(r->dir, sizeof r->dir, "%s", config->dir);
	r->file.fd = -1;
	if (!recorder_make_dir(r->dir, err) || !attach(r, err) || sem_init(&r->wake, 0, 0) < 0 || sem_init(&r->ready, 0, 0) < 0) {
		free(r);
		return NULL;
	}
	r->has_thread = pthread_create(&r->thread, NULL, work, r) == 0;
	while (r->has_thread && sem_wait(&r->ready) < 0)
		;
	if (r->has_thread && !atomic_load(&r->failed))
		return r;
	if (atomic_load(&r->failed))
		memcpy(err, r->err, OS_ERROR_BYTES);
	recorder_destroy(r);
	return NULL;
}

void recorder_destroy(struct recorder *r)
{
	if (!r)
		return;
	atomic_store(&r->ending, true);
	sem_post(&r->wake);
	if (r->has_thread)
		pthread_join(r->thread, NULL);
	sem_destroy(&r->wake);
	sem_destroy(&r->ready);
	free(r);
}

bool recorder_idle(const struct recorder *r)
{
	return atomic_load(&r->state) == IDLE;
}

void recorder_begin(struct recorder *r, struct recorder_job *job)
{
	r->job = *job;
	secret_wipe(job->seal.key, sizeof job->seal.key);
	r->end = (struct recorder_end){ 0 };
	memcpy(r->end.id, job->seal.session, sizeof r->end.id);
	atomic_store(&r->frames, 0);
	atomic_store(&r->bytes, 0);
	atomic_store(&r->stop, 0);
	atomic_store(&r->state, ASKED);
	sem_post(&r->wake);
}

void recorder_stop(struct recorder *r, enum recorder_cause cause)
{
	atomic_store(&r->stop, (int)cause + 1);
}

void recorder_progress(const struct recorder *r, uint64_t *frames, uint64_t *bytes)
{
	*frames = atomic_load(&r->frames);
	*bytes = atomic_load(&r->bytes);
}

bool recorder_ended(struct recorder *r, struct recorder_end *out)
{
	if (atomic_load(&r->state) != OVER)
		return false;
	*out = r->end;
	atomic_store(&r->state, IDLE);
	return true;
}

bool recorder_await(struct recorder *r, struct recorder_end *out)
{
	bool ended = false;

	for (unsigned waited = 0; waited < 1000 && !(ended = recorder_ended(r, out)); waited += ROUND_MS)
		nap();
	return ended;
}

/* --- what a process left ------------------------------------------------------------------------------------------------- */

static bool id_of(const char *name, uint8_t id[SEAL_SESSION_BYTES])
{
	char again[SEALED_NAME_BYTES];

	for (unsigned i = 0; i < SEAL_SESSION_BYTES; i++) {
		unsigned byte;

		if (sscanf(name + 2 * i, "%2x", &byte) != 1)
			return false;
		id[i] = (uint8_t)byte;
	}
	sealed_name(id, true, again);
	return strcmp(name, again) == 0;
}

bool recorder_recover(const char *dir, uint8_t id[SEAL_SESSION_BYTES])
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		char name[SEALED_NAME_BYTES];

		if (strlen(e->d_name) != SEALED_NAME_BYTES - 3 || !id_of(e->d_name, id))
			continue;
		sealed_name(id, false, name);
		found = renameat(dirfd(d), e->d_name, dirfd(d), name) == 0;
	}
	if (d)
		closedir(d);
	return found;
}
