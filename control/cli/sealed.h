/* sealed.h: a bundle that leaves as one sealed file. */
#ifndef CONTROL_CLI_SEALED_H
#define CONTROL_CLI_SEALED_H

#include "control/cli/cli.h"
#include "control/export/recipients.h"
#include "platform/base/bytes.h"

#define SEALED_FINGERPRINTS_BYTES (RECIPIENTS_MAX * RECIPIENTS_FINGERPRINT_BYTES)

/* The certificates of each --recipient, one a file: their text, which the caller frees, and `to`, for recipients_free. NULL after an error line. */
char *sealed_recipients(struct cli *c, struct recipients *to);
/* Their fingerprints with commas. */
const char *sealed_fingerprints(const struct recipients *to, char *out, size_t size);

/* The file, which must not exist; for its owner alone. */
struct sealed_file {
	const char *path;
	FILE *file;
};

/* False with errno. */
bool sealed_create(struct sealed_file *s, const char *path);
/* `ctx` is the struct. */
bool sealed_put(void *ctx, struct bytes data);
/* On disk, or removed when it is not to be kept. */
bool sealed_close(struct sealed_file *s, bool keep);
/* To whom, and how it is opened. */
void sealed_told(const struct recipients *to, const char *path);

#endif
