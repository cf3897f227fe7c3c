/* payload_keys.h: where the keys of sessions' payload lie, and how one is destroyed (journal.md 4).
 *
 * A directory of days; a day is <YYYY-MM-DD>/key (the day's own key) and <YYYY-MM-DD>/wrapped: "sluice-wrapped-1" and then 76 bytes a
 * session: id, nonce, AES-256-GCM of the session's key under the day's, with the id as additional data. Plain files, never LMDB values:
 * copy-on-write would leave old pages. Not in the journal's directory: whoever copies a journal copies no key.
 *
 * Destroying one session's key: a new key for the day, all other sessions wrapped anew beside the old directory, the two exchanged, the
 * old files overwritten, synced and removed. Interrupted anywhere, the next opening for writing completes it or leaves it undone.
 * With files this is best effort (journal.md 4): a medium that remaps blocks may keep old ones.
 * An intent is a name under erase/: made before the record `key.destroy`, removed with the key, so that a crash in between leaves
 * either both or something that the next start completes (payload_keys_intent).
 *
 * Keys in memory are wiped on closing. One writer a directory (locked), any number of readers. Threading: one thread an object.
 */
#ifndef CONTROL_JOURNAL_PAYLOAD_KEYS_H
#define CONTROL_JOURNAL_PAYLOAD_KEYS_H

#include "control/journal/seal.h"

#define PAYLOAD_KEYS_ERROR_BYTES 256
#define PAYLOAD_KEYS_DAY_BYTES 11 /* "2026-11-29" and a NUL */

struct payload_keys;

/* `write`: makes the directory when it is absent (mode 0700), and completes what was interrupted. NULL with a text in `err`. */
struct payload_keys *payload_keys_open(const char *dir, bool write, char err[PAYLOAD_KEYS_ERROR_BYTES]);
void payload_keys_close(struct payload_keys *k);

/* A new key for `session`, kept under the day of `now_us` (UTC). Not durable before payload_keys_sync. False: it cannot be kept. */
bool payload_keys_make(struct payload_keys *k, const uint8_t session[SEAL_SESSION_BYTES], uint64_t now_us, struct seal *out);
/* Makes all made keys durable; costs nothing when there are none. After false the object must not be used for writing again. */
bool payload_keys_sync(struct payload_keys *k);

/* False: there is no such key here (destroyed, expired, or never made), `out` is zeroed. */
bool payload_keys_find(struct payload_keys *k, const uint8_t session[SEAL_SESSION_BYTES], struct seal *out);

/* Notes that a key is going to be destroyed; durable when true. */
bool payload_keys_intend(struct payload_keys *k, const uint8_t session[SEAL_SESSION_BYTES]);
/* One that was noted and not done; false when there is none. */
bool payload_keys_intent(struct payload_keys *k, uint8_t session[SEAL_SESSION_BYTES]);
/* Destroys the key and its intent. True also when there is none. */
bool payload_keys_destroy(struct payload_keys *k, const uint8_t session[SEAL_SESSION_BYTES]);

/* Whether the key of this session has to stay. */
struct payload_keys_held {
	bool (*held)(void *ctx, const uint8_t session[SEAL_SESSION_BYTES]);
	void *ctx;
};
/* The oldest day before `day` ("2026-11-29") none of whose sessions is held, its text into `out`; false when there is none. `held` may
 * be NULL. */
bool payload_keys_oldest(struct payload_keys *k, const char *day, const struct payload_keys_held *held, char out[PAYLOAD_KEYS_DAY_BYTES],
			 unsigned *sessions);
/* Destroys all keys of a day. */
bool payload_keys_expire(struct payload_keys *k, const char *day);
/* The day of a time, as text. */
void payload_keys_day(uint64_t now_us, char out[PAYLOAD_KEYS_DAY_BYTES]);

#endif
