/* reading.h: the journal's readers are served by two threads of their own, so that no search, however long, keeps the core from its rings.
 *
 * What may be read by whom is decided before (operator_read.c), and its record is on disk before a job is handed over. A thread has its
 * own archive.h reader on the journal's directory, sees nothing of the core's state, and may read that directory, the payload keys and the captures only (Landlock): a replay opens
 * what the session's key seals where the core allowed it, a capture (`what` "capture", `id`) what its own does: {"c": "<base64>"}, and {"note": "text"}.
 *
 * The stream on the connection: the answer {"ok": true, "result": {"stream": true}}, then frames of cli/frame.h: {"i": 7, "r": "<record>"},
 * {"t": "text"}, {"f": "name", "b": "<base64>"} (a piece of a bundle's file, or of "report"), {"bundle": {…}}, {"finding": {…}}, {"verified": {…}},
 * {"s": {…}} (a session, session_list.h), {"at": 65536} (still at it), and one {"end": true}, {"end": true, "next": 8} (the page is full: go on with "from": 8), or {"end": true, "status": 1, "error": "what: why: do"}.
 * Ownership: a job takes the descriptor and the arguments. A reader that takes nothing for ten seconds is given up.
 */
#ifndef CONTROL_READING_H
#define CONTROL_READING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/approval/approval.h"
#include "control/journal/merkle.h"
#include "control/keys/export_key.h"
#include "platform/os/error.h"

#define READINGS_MAX 8 /* jobs at once; further ones are told to come again */
#define READING_THREADS 2
#define READING_FRAME_BYTES (1u << 20)

struct readings;

/* Starts the threads, confined. `key` signs the manifests of bundles, and is borrowed. NULL with a text in `err`. Before the process confines itself. */
struct readings *readings_create(const char *journal_dir, const char *payload_keys_dir, const char *captures_dir, const struct export_key *key,
				 char err[OS_ERROR_BYTES]);
/* Waits for what is under way, which ends early. */
void readings_destroy(struct readings *rs);

/* What a reading that ended gave out. */
#define READING_WRONG_BYTES 300

struct reading_given {
	uint64_t reading;           /* the index of its record */
	uint64_t records, sessions; /* given out; of a report or an audit, looked at */
	bool whole;                 /* nothing failed, and the reader took all of it */
	char manifest[65];          /* SHA-256 of a bundle's MANIFEST.sha256; else "" */
	uint64_t keys, erased;      /* of payload, given out in a bundle or used for a replay; that there are no more */
	char approval[APPROVAL_ID_TEXT]; /* by which; else "" */
	bool audit;
	uint64_t findings;          /* of an audit */
	char wrong[READING_WRONG_BYTES]; /* the first of them, of those that say that something is missing if there is one; "" */
	size_t reader_len;
	uint8_t reader[];           /* canonical, who read */
};

/* Tells readers what the signer signed last: audits compare the newest checkpoint with it. By the core's thread, at each change. */
void readings_signed(struct readings *rs, uint64_t size, const struct merkle_hash *root);

/* The next one that ended; NULL: none. The caller frees it. */
struct reading_given *readings_ended(struct readings *rs);

/* `reading`, `reader`: its record, and whose it is; no record (0): its end is not told. Takes over `fd` and `args`: {"what", "from", "to", "limit", "index", "asciicast", "format", "schema", and the strings of struct archive_filter;
 * "disclose", of node_disclose.c, has a bundle hold payload keys; "payload": true has a replay show payload; "certificates" has a bundle sealed to them, as the one file "bundle.p7m": all are the core's to say}. `approval`: by which, else "". False, and nothing is taken, when READINGS_MAX
 * are under way. */
bool readings_take(struct readings *rs, int fd, json_t *args, uint64_t reading, struct bytes reader, const char *approval);
bool readings_busy(struct readings *rs);

#endif
