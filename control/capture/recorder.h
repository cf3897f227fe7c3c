/* recorder.h: the thread that empties the workers' capture rings into one sealed pcapng file. One capture at a time.
 *
 * The core hands a job over and looks at the end later; neither waits for the other. The thread is confined to its directory
 * (Landlock). It ends a capture at its time or size, when it is told to, and when the disk or a worker's ring fails; in each case the
 * workers are told first, then what they had written is taken, the rings are zeroed, and the file gets its statistics: what was
 * matched, and what found a ring full.
 * A control process that dies leaves the workers a request that ends by itself, and a `.part` that can be read as far as it goes;
 * recorder_recover names those.
 */
#ifndef CONTROL_CAPTURE_RECORDER_H
#define CONTROL_CAPTURE_RECORDER_H

#include "control/journal/seal.h"
#include "platform/base/limits.h"
#include "platform/contract/capture.h"
#include "platform/os/error.h"

#define RECORDER_TEXT_BYTES 704
#define RECORDER_NAME_BYTES 96

enum recorder_cause { RECORDER_TIME, RECORDER_SIZE, RECORDER_STOPPED, RECORDER_DISK, RECORDER_RING, RECORDER_ENDING };
/* "time", "size", … for records and people. */
const char *recorder_cause_word(enum recorder_cause c);

struct recorder_config {
	const char *dir;                     /* of the files; made when it is absent */
	unsigned workers;
	void *memory[LIMIT_WORKERS];         /* their mapped `capture-<n>` of sizeof(struct capture_file); borrowed */
	const char *port_name[CAPTURE_PORTS], *port_text[CAPTURE_PORTS]; /* borrowed */
};

struct recorder_job {
	struct seal seal;                    /* secret; its session is the capture's id */
	struct capture_request request;      /* its snap and ends are set by the recorder */
	uint64_t wall_us, for_us, bytes_max; /* bytes: of the pcapng */
	bool payload;                        /* whole frames; else their headers */
	char comment[RECORDER_TEXT_BYTES];   /* the file's */
};

struct recorder_end {
	uint8_t id[SEAL_SESSION_BYTES];
	enum recorder_cause cause;
	uint64_t frames, bytes;              /* in the file; bytes of the pcapng */
	uint64_t matched, overruns;          /* by the workers; overruns: not in the file for want of room in a ring */
	unsigned silent;                     /* workers that never said that they had taken the request */
	bool whole;                          /* the file has its end */
};

struct recorder;

/* The directory of the files, for those who confine themselves to it before there is a recorder. */
bool recorder_make_dir(const char *dir, char err[OS_ERROR_BYTES]);
/* Starts the thread. NULL with a text in `err`. Before the process confines itself. */
struct recorder *recorder_create(const struct recorder_config *config, char err[OS_ERROR_BYTES]);
/* Ends what is under way (RECORDER_ENDING) and waits for it: some 100 ms. */
void recorder_destroy(struct recorder *r);

bool recorder_idle(const struct recorder *r);
/* Begins; `job` is copied and its key wiped. Only while idle. */
void recorder_begin(struct recorder *r, struct recorder_job *job);
/* Asks for the end; `cause` becomes its cause. */
void recorder_stop(struct recorder *r, enum recorder_cause cause);
/* Frames and bytes so far. */
void recorder_progress(const struct recorder *r, uint64_t *frames, uint64_t *bytes);
/* Once for each capture, when it has ended; then it is idle again. */
bool recorder_ended(struct recorder *r, struct recorder_end *out);
/* Waits for it, up to a second. */
bool recorder_await(struct recorder *r, struct recorder_end *out);

/* At the start, before recorder_create: gives one file that has no end its final name, and its id; false when there is none. */
bool recorder_recover(const char *dir, uint8_t id[SEAL_SESSION_BYTES]);

#endif
