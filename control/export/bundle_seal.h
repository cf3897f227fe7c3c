/* bundle_seal.h: a bundle as one file that its recipients alone can open (export.md 8): its files as tar, packed with zstd, in a CMS
 * AuthEnvelopedData (RFC 5083) with AES-256-GCM, whose key is wrapped for each of them (RSA-OAEP with SHA-256; ephemeral ECDH). Opened by
 *	openssl cms -decrypt -binary -inform DER -in FILE.p7m -inkey KEY.pem -recip CERT.pem -out bundle.tar.zst
 *	zstd -dc bundle.tar.zst | tar -xf -
 * which says by its exit status whether anything was changed. openssl takes a file into memory before it opens it, and cannot take more than 2 GiB, so
 * what is longer goes on in a second part, and so on: each an envelope with a key of its own, and what is in them, one behind the other, is
 * bundle.tar.zst. A part that is missing, or of another bundle, is no zstd.
 * It is made as the files come: nothing of it is on a disk in clear, and a file that comes in pieces is kept in memory, packed. One thread; `put` is
 * called from within.
 */
#ifndef CONTROL_EXPORT_BUNDLE_SEAL_H
#define CONTROL_EXPORT_BUNDLE_SEAL_H

#include "control/export/export.h"
#include "control/export/recipients.h"

#define BUNDLE_SEAL_PART_BYTES (1ull << 30) /* about, of one part */
#define BUNDLE_SEAL_PARTS_MAX 999u
#define BUNDLE_SEAL_PIECES_BYTES_MAX (1ull << 30) /* packed, of a file that comes in pieces */
#define BUNDLE_SEAL_FILE "bundle.p7m" /* what parts are called on their way: the first; the others have .002, .003, … behind it */
#define BUNDLE_SEAL_FOLDER "sluice-bundle"

/* Gets the parts in order, from 1 on; false ends it. */
typedef bool bundle_seal_put(void *ctx, unsigned part, struct bytes data);

/* export_bundle into sealed parts. The request's `sink` is set here. False with a text in `err`: then what was put is not whole. */
bool bundle_seal_export(struct archive *a, struct export_request *request, const struct recipients *to, bundle_seal_put *put, void *ctx,
			struct export_result *result, char err[EXPORT_ERROR_BYTES]);

/* --- its pieces ------------------------------------------------------------------------------------------------------------- */

struct bundle_seal;

/* `to` is borrowed until the end; `time_s` is the files' time; a part ends soon behind `part_bytes`. NULL when memory is short, or OpenSSL cannot. */
struct bundle_seal *bundle_seal_open(const struct recipients *to, int64_t time_s, uint64_t part_bytes, bundle_seal_put *put, void *ctx);
/* Where export_bundle puts the files; borrowed until the end. */
const struct bundle_sink *bundle_seal_sink(struct bundle_seal *s);
/* What is left, after the last file. False: the file is not whole. */
bool bundle_seal_finish(struct bundle_seal *s);
/* Why it did not get on: a static text; NULL when `put` said no, or nothing is wrong. */
const char *bundle_seal_error(const struct bundle_seal *s);
/* Size of what was put, of all parts. */
uint64_t bundle_seal_bytes(const struct bundle_seal *s);
void bundle_seal_close(struct bundle_seal *s);

#endif
