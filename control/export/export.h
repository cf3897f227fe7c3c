/* export.h: evidence bundles that stand alone, and records as lines (export.md 1, 2, 4).
 *
 * A bundle is a directory that an auditor checks with openssl, sha256sum, xxd and base64 alone, as its VERIFY.md says:
 *	records/<first>-<last>.jsonl.zst   the records, "idx" first, in frames (frames.h): without it a line is the record's canonical bytes
 *	proofs/entry-<index>.json     a record's canonical bytes: of each up to EXPORT_PROOFS records, else of those that are picked (bundle_picks.h)
 *	proofs/<index>.tlog-proof     its inclusion under `checkpoint`
 *	checkpoint                    the signed tree head
 *	tile/                         C2SP tiles: level 0 where there are records of the bundle, and the last one; the levels above back to 0; entry
 *	                              bundles where each record has files, the range covers a whole tile and nothing is filtered out
 *	chunks/<xx>/<sha256>          payload chunks as stored (sealed, or plain zstd frames), named by their own hash, in folders by its first byte
 *	keys/<session>.hex            keys of the sessions' payload, only when they are to be disclosed
 *	approvals/<id>/               who allowed that (export_disclosure.h), and the approvals that records name (bundle_approvals.h)
 *	trust/log-ed25519.pem, trust/log-p256.pem, vkey: of the key that signed `checkpoint`
 *	trust/keys/                   all keys of the log, and how each handed over to the next (export_keys.h)
 *	policy/<hash>.cfg             the policies that the records name in `pol`, with proofs (bundle_policies.h)
 *	events/, report.html, assessment-results.json, replay.cast   copies (bundle_copies.h)
 *	checkpoints/                  those that an authority stamped or a witness cosigned (export_anchor.h)
 *	since/                        a checkpoint that the reader kept, and that `checkpoint` extends it (consistency.h)
 *	completeness.json             what the records say of what is not there (completeness.h)
 *	MANIFEST.sha256, VERIFY.md, verify.sh (its commands, to be run as they are), incl.sh, consis.sh
 *	MANIFEST.sig, trust/export.pem   the manifest's signature, Ed25519, and the node's export key (export_key.h)
 * Everything written was checked against the signed root first: a journal with a damaged record in the range gives no bundle.
 * Blocking; reads the archive only, so it may run in any process, also beside the writer. Journaling the export (`export`
 * record with reader, range, manifest hash) is the caller's, before the first byte is given out.
 */
#ifndef CONTROL_EXPORT_EXPORT_H
#define CONTROL_EXPORT_EXPORT_H

#include "control/export/bundle.h"
#include "control/journal/archive.h"
#include "control/journal/checkpoint.h"
#include "control/journal/payload_keys.h"

#define EXPORT_ERROR_BYTES 256
#define EXPORT_PICKS 16u    /* records that may be picked by number; whoever wants more of them asks for less around them */
#define EXPORT_PROOFS 1000u /* as many as somebody may look at one by one; beyond it two files a record would be most of a bundle */

/* By which approval payload keys are disclosed. Views are borrowed. */
struct export_disclosure {
	const char *approval;   /* its number */
	const char *sessions;   /* of these, with commas; NULL or "": of those that the filter lets through */
	const uint64_t *record; /* indexes of its records and of key.disclose, in order */
	unsigned records;
};

/* How far it is. */
struct export_progress {
	uint64_t records;      /* so many match, up to now; 0 while it is only looked whether there are many */
	uint64_t done, total;  /* of the range */
};

struct export_request {
	struct archive_filter filter;       /* which records; `to` 0 is the newest checkpoint */
	const char *out;                    /* directory to be made; must not exist */
	const struct bundle_sink *sink;     /* not NULL: files go there, and `out` is not looked at */
	const struct checkpoint_keys *keys; /* the log's public keys, of any of its generations */
	const struct export_key *key;       /* signs the manifest; NULL: the bundle is not signed as a whole, and says so */
	struct bytes since;                 /* a kept checkpoint's note; empty: none */
	struct payload_keys *disclose;      /* NULL: the content of sealed payload stays unreadable */
	const struct export_disclosure *disclosure; /* NULL: keys of all sessions that the filter lets through, by nobody's approval */
	/* Not NULL: called many times a second; false ends it. */
	bool (*progress)(void *ctx, const struct export_progress *p);
	void *progress_ctx;
	bool (*render)(void *ctx, struct bytes page, char **pdf, size_t *len); /* NULL: no report.pdf; false: no bundle. `pdf` is from malloc */
	void *render_ctx;
	unsigned proofs_max;                /* up to so many records each has files of its own; 0: EXPORT_PROOFS */
	const uint64_t *proof;              /* records that have them in any case; each must match */
	unsigned proofs;
};

struct export_result {
	uint64_t records, chunks, keys;
	uint64_t erased;                /* sessions whose key was to be disclosed, and is gone */
	uint64_t missing;               /* findings in completeness.json */
	uint64_t first, last;           /* indexes of the first and last record */
	uint64_t checkpoint_size;
	uint8_t manifest_sha256[32];
};

/* False with a text in `err`; what was made is then removed. No record that matches is an error too. */
bool export_bundle(struct archive *a, const struct export_request *request, struct export_result *result,
		   char err[EXPORT_ERROR_BYTES]);

/* Records as JSON lines with "idx" first. `write` gets whole lines; returning false ends it, with a text in `err`. */
bool export_jsonl(struct archive *a, const struct archive_filter *filter, bool (*write)(void *ctx, struct bytes line), void *ctx,
		  char err[EXPORT_ERROR_BYTES]);

#endif
