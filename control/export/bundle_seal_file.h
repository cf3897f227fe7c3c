/* bundle_seal_file.h: where the parts of a sealed bundle go (bundle_seal.h): OUT, and where there are more of them OUT.002, OUT.003, … One thread. */
#ifndef CONTROL_EXPORT_BUNDLE_SEAL_FILE_H
#define CONTROL_EXPORT_BUNDLE_SEAL_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "platform/base/bytes.h"

/* Its files, which must not exist; for their owner alone. */
struct bundle_seal_file {
	const char *path; /* borrowed */
	FILE *file;       /* of `part`; NULL: it could not be made */
	unsigned part;
};

/* The first part. False with errno. */
bool bundle_seal_file_create(struct bundle_seal_file *s, const char *path);
/* A bundle_seal_put; `ctx` is the struct. */
bool bundle_seal_file_put(void *ctx, unsigned part, struct bytes data);
/* The same, by the name that sluice-control gives a part: "bundle.p7m", "bundle.p7m.002", … */
bool bundle_seal_file_put_named(struct bundle_seal_file *s, const char *name, struct bytes data);
/* All of it on disk, or removed when it is not to be kept. */
bool bundle_seal_file_close(struct bundle_seal_file *s, bool keep);

#endif
