/* node_capture.h: captures on demand (operations.md 5), in the core: the list, the records, what begins when.
 *
 * One capture at a time. `capture.start` is durable before the workers are asked, and with it the commitment of the key that seals the
 * file; `capture.end` follows each end, whatever caused it, with what is in the file and what is missing. After a restart the list
 * knows of older files their names, sizes and times; one that the process before this one left without an end gets its `capture.end`
 * with cause "control_lost". A file whose key is gone (journal erase, retention) is removed within a minute.
 * Threading: the core's thread.
 */
#ifndef CONTROL_NODE_CAPTURE_H
#define CONTROL_NODE_CAPTURE_H

#include <jansson.h>

#include "control/capture/recorder.h"
#include "control/node.h"

#define CAPTURES_KEPT 64u
#define CAPTURE_ID_BYTES 33

struct capture_row {
	char id[CAPTURE_ID_BYTES], service[64], filter[512]; /* service "": none, or not known any more */
	bool running, whole, known, payload;                 /* known: begun by this process */
	uint64_t begun_us, until_us, ended_us;               /* wall clock; 0: not known */
	const char *cause;                                   /* NULL: runs, or not known */
	uint64_t frames, bytes, matched, overruns;
};

struct captures {
	char dir[320];
	void *memory[LIMIT_WORKERS];
	struct recorder *recorder;
	struct recorder_job job;
	bool due;                                            /* `job` begins after the commit */
	struct capture_row row[CAPTURES_KEPT];               /* the newest last; the running one is the last */
	unsigned count;
	uint64_t looked_us;
};

/* Maps the workers' files; with privileges. */
bool node_capture_map(struct node *n, char err[OS_ERROR_BYTES]);
/* Makes the directory; as the user that the process runs as, before anybody confines itself. */
bool node_capture_prepare(struct node *n, char err[OS_ERROR_BYTES]);
/* Lists what is there, and starts the thread; before the process confines itself, after its first record. */
bool node_capture_start(struct node *n, char err[OS_ERROR_BYTES]);
/* After a commit: what was recorded begins. */
void node_capture_commit(struct node *n);
/* Some times a second: the ends. */
void node_capture_tick(struct node *n);
/* Ends the one that runs, as an operator asked. */
void node_capture_stop(struct node *n);
/* When the process ends in order: ends what runs, and records it. */
void node_capture_end(struct node *n);
void node_capture_close(struct node *n);

/* The one that runs, with its numbers so far; NULL. */
struct capture_row *node_capture_running(struct node *n);
struct capture_row *node_capture_find(struct node *n, const char *id);
/* For show health and capture list. */
json_t *node_capture_json(const struct capture_row *row);
json_t *node_capture_health(struct node *n);

#endif
