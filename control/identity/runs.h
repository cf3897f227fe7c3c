/* runs.h: whose an agent run is (identity.md 6): a run id belongs to the agent that came with it first, until a day after the last
 * token of that agent that named it has ended. Another agent that comes with it is refused, whoever vouches for it.
 *
 * A binding outlives the process: whoever owns the table keeps each change (runs_keep_with), durable before the login is answered, and gives
 * it back at the start (runs_restore); the hashes' key has to be the same then.
 *
 * Kept of each: keyed hashes of the run and of its owner (issuer and agent; without an agent, issuer and sub), and the source and the
 * token it began with, for whoever asks. When no place is left, or a change cannot be kept,
 * the answer is RUNS_FULL, and the caller refuses.
 * Memory is sized when it is made. Threading: one thread. Times are wall-clock seconds.
 */
#ifndef CONTROL_IDENTITY_RUNS_H
#define CONTROL_IDENTITY_RUNS_H

#include "control/identity/principal.h"
#include "platform/base/bytes.h"
#include "platform/base/hash.h"

#define RUNS_ENTRIES 65536
#define RUNS_PROBES 16
#define RUNS_KEPT_S 86400

enum run_use { RUN_BEGINS, RUN_GOES_ON, RUN_OF_ANOTHER, RUNS_FULL };

struct run_binding {
	struct hash128 run, owner;
	uint8_t source[16], token_sha256[32]; /* of the first login; an IPv4 address in the first 4 bytes */
	int64_t until_s;                      /* 0: free */
};

#define RUNS_STORED_BYTES 88 /* be64 until_s, run, owner; source; token_sha256 */

struct runs;

/* Takes the binding in place `slot`; false: it cannot be kept, and the login must not go on. */
typedef bool runs_keep(void *ctx, unsigned slot, struct bytes stored);

/* NULL without memory. */
struct runs *runs_create(struct hash_key key);
void runs_destroy(struct runs *rs);

/* From now on every change goes to `keep`. */
void runs_keep_with(struct runs *rs, runs_keep *keep, void *ctx);
/* A binding as it was kept. False when it is none; nothing is changed then. */
[[gnu::warn_unused_result]] bool runs_restore(struct runs *rs, unsigned slot, struct bytes stored);

/* A login of `p`, whose run is not empty, from `source` (4 or 16 bytes). `*first` (may be NULL): how the run began; valid until the next call. */
enum run_use runs_use(struct runs *rs, const struct principal *p, struct bytes source, int64_t wall_s, const struct run_binding **first);

#endif
