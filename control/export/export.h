/* export.h: evidence bundles that stand alone, and the replay of a session (export.md 1, 2, 4).
 *
 * A bundle is a directory that an auditor checks with openssl, sha256sum, xxd and base64 alone, as its VERIFY.md says:
 *	records.jsonl               the records, "idx" first; for people and jq, not evidence
 *	entry-<index>.json          each record's canonical bytes
 *	<index>.tlog-proof          its inclusion under `checkpoint`
 *	checkpoint, tile/           the signed tree head; C2SP tiles for the range, upper levels back to 0
 *	chunks/<sha256>             payload chunks as stored, named by their own hash
 *	trust/log-ed25519.pem, trust/log-p256.pem, vkey
 *	MANIFEST.sha256, VERIFY.md, incl.sh, verify.sh (the commands of VERIFY.md, to be run as they are)
 * Everything written was checked against the tree first: a journal with a damaged record in the range gives no bundle.
 * Blocking; reads the archive only, so it may run in any process, also beside the writer. Journaling the export (`export`
 * record with reader, range, manifest hash) is the caller's, before the first byte is given out.
 */
#ifndef CONTROL_EXPORT_EXPORT_H
#define CONTROL_EXPORT_EXPORT_H

#include "control/journal/archive.h"
#include "control/journal/checkpoint.h"

#define EXPORT_ERROR_BYTES 256

struct export_request {
	struct archive_filter filter;       /* which records; from..to is the range of tiles */
	const char *out;                    /* directory to be made; must not exist */
	const struct checkpoint_keys *keys; /* the log's public keys, as the signer gave them */
	unsigned proofs_max;                /* most records of a bundle; 0: 100,000 */
};

struct export_result {
	uint64_t records, chunks;
	uint64_t first, last;           /* indexes of the first and last record */
	uint64_t checkpoint_size;
	uint8_t manifest_sha256[32];
};

/* False with a text in `err`; the directory is then removed. */
bool export_bundle(struct archive *a, const struct export_request *request, struct export_result *result,
		   char err[EXPORT_ERROR_BYTES]);

/* Records as JSON lines with "idx" first. `write` gets whole lines; returning false ends it. */
bool export_jsonl(struct archive *a, const struct archive_filter *filter, bool (*write)(void *ctx, struct bytes line), void *ctx,
		  char err[EXPORT_ERROR_BYTES]);

/* --- replay ----------------------------------------------------------------------------------------------------------- */

/* One step of a session, in order. Views are valid until the next call. */
struct replay_event {
	uint64_t index;          /* of the record */
	int64_t at_us;           /* since the session's first record */
	char dir;                /* 'i' sent by the client, 'o' sent to the client, 'm' a mark (open, verdict, approval, close) */
	struct bytes text;       /* bytes as journaled (payload), or one line that describes the mark */
};

struct replay;

/* `session`: 32 hexadecimal digits. NULL with a text in `err`. */
struct replay *replay_open(struct archive *a, const char *session, char err[EXPORT_ERROR_BYTES]);
void replay_close(struct replay *r);
/* False at the end, or on an error (then replay_error is not NULL). */
bool replay_next(struct replay *r, struct replay_event *event);
const char *replay_error(const struct replay *r);

/* The whole session as asciicast v2, or as a plain transcript. */
enum replay_form { REPLAY_ASCIICAST, REPLAY_PLAIN };
bool replay_write(struct archive *a, const char *session, enum replay_form form, bool (*write)(void *ctx, struct bytes text),
		  void *ctx, char err[EXPORT_ERROR_BYTES]);

#endif
