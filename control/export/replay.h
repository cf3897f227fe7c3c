/* replay.h: one session told again, in order: what the client sent, what was delivered to it, what was decided.
 *
 * For people, not evidence. `plain` output is safe for a terminal: control characters stand as \xNN. Time is the record's `ts`.
 * Threading: one thread, that of the archive; the archive must outlive the replay.
 */
#ifndef CONTROL_EXPORT_REPLAY_H
#define CONTROL_EXPORT_REPLAY_H

#include "control/export/export.h"
#include "control/journal/payload_keys.h"

/* Views are valid until the next call. */
struct replay_event {
	uint64_t index;    /* of the record */
	int64_t at_us;     /* since the session's first record */
	char dir;          /* 'i' sent by the client, 'o' sent to the client, 'm' a mark (open, command, verdict, approval, close) */
	struct bytes text; /* bytes as journaled (payload), or one line that describes the mark */
};

struct replay;

/* `session`: 32 hexadecimal digits. `keys` (may be NULL, must outlive the replay) opens sealed payload; what cannot be opened is told
 * as a mark. NULL with a text in `err`. */
struct replay *replay_open(struct archive *a, struct payload_keys *keys, const char *session, char err[EXPORT_ERROR_BYTES]);
void replay_close(struct replay *r);
/* False at the end, or on an error (then replay_error is not NULL). */
bool replay_next(struct replay *r, struct replay_event *event);
const char *replay_error(const struct replay *r);

/* What of the session the filter lets through, as asciicast v2, as a plain transcript, or timed: a line an event, [seconds, "m" or "i" or "o", text as in
 * the transcript], which no content can pretend to be. The filter names the session. Invalid UTF-8 becomes U+FFFD. */
enum replay_form { REPLAY_ASCIICAST, REPLAY_PLAIN, REPLAY_TIMED };
bool replay_write(struct archive *a, struct payload_keys *keys, const struct archive_filter *filter, enum replay_form form, bool (*write)(void *ctx, struct bytes text),
		  void *ctx, char err[EXPORT_ERROR_BYTES]);
/* The same for who may read records and no payload (export.md 8): its records, and a mark for each piece of payload, sealed or not. */
bool replay_write_withheld(struct archive *a, const struct archive_filter *filter, enum replay_form form, bool (*write)(void *ctx, struct bytes text), void *ctx,
			   char err[EXPORT_ERROR_BYTES]);

#endif
