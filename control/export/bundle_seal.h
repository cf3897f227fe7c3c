/* bundle_seal.h: a bundle as one file that its recipients alone can open (export.md 8): its files as tar, packed with zstd, in a CMS
 * AuthEnvelopedData (RFC 5083) with AES-256-GCM, whose key is wrapped for each of them (RSA-OAEP with SHA-256; ephemeral ECDH). Opened by
 *	openssl cms -decrypt -binary -inform DER -in FILE.p7m -inkey KEY.pem -recip CERT.pem -out bundle.tar.zst
 *	zstd -dc bundle.tar.zst | tar -xf -
 * which says by its exit status whether anything was changed. It is made as the files come: nothing of it is on a disk in clear, and a file that
 * comes in pieces is kept in memory, packed. One thread; `put` is called from within.
 */
#ifndef CONTROL_EXPORT_BUNDLE_SEAL_H
#define CONTROL_EXPORT_BUNDLE_SEAL_H

#include "control/export/export.h"
#include "control/export/recipients.h"

/* openssl takes a sealed file into memory before it opens it, and cannot take more than 2 GiB. */
#define BUNDLE_SEAL_BYTES_MAX (1ull << 30)
/* A record has 32 bytes in a tile that nothing packs, and takes some 100 with its line and its event: more of them than this do not fit. */
#define BUNDLE_SEAL_RECORDS_MAX 8000000u
#define BUNDLE_SEAL_FOLDER "sluice-bundle"

/* export_bundle into one sealed file, which `put` gets in order; false ends it. The request's `sink` and `records_max` are set here. False with a text in `err`:
 * then what was put is not whole. */
bool bundle_seal_export(struct archive *a, struct export_request *request, const struct recipients *to, bool (*put)(void *ctx, struct bytes data), void *ctx,
			struct export_result *result, char err[EXPORT_ERROR_BYTES]);

/* --- its pieces ------------------------------------------------------------------------------------------------------------- */

struct bundle_seal;

/* `put` gets the file in order; false ends it. `time_s` is the files' time. NULL when memory is short, or OpenSSL cannot. */
struct bundle_seal *bundle_seal_open(const struct recipients *to, int64_t time_s, bool (*put)(void *ctx, struct bytes data), void *ctx);
/* Where export_bundle puts the files; borrowed until the end. */
const struct bundle_sink *bundle_seal_sink(struct bundle_seal *s);
/* What is left, after the last file. False: the file is not whole. */
bool bundle_seal_finish(struct bundle_seal *s);
/* Why it did not get on: a static text; NULL when `put` said no, or nothing is wrong. */
const char *bundle_seal_error(const struct bundle_seal *s);
/* Size of what was put. */
uint64_t bundle_seal_bytes(const struct bundle_seal *s);
void bundle_seal_close(struct bundle_seal *s);

#endif
