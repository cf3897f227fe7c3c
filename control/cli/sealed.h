/* sealed.h: whom a bundle is sealed to, and what is said of it. */
#ifndef CONTROL_CLI_SEALED_H
#define CONTROL_CLI_SEALED_H

#include "control/cli/cli.h"
#include "control/export/bundle_seal_file.h"
#include "control/export/recipients.h"

#define SEALED_FINGERPRINTS_BYTES (RECIPIENTS_MAX * RECIPIENTS_FINGERPRINT_BYTES)

/* The certificates of each --recipient, one a file: their text, which the caller frees, and `to`, for recipients_free. NULL after an error line. */
char *sealed_recipients(struct cli *c, struct recipients *to);
/* Their fingerprints with commas. */
const char *sealed_fingerprints(const struct recipients *to, char *out, size_t size);

/* To whom, and how it is opened. */
void sealed_told(const struct recipients *to, const struct bundle_seal_file *f);

#endif
