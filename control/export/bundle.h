/* bundle.h: files of a bundle, each hashed as it is written, so that the manifest is complete by construction. One thread. */
#ifndef CONTROL_EXPORT_BUNDLE_H
#define CONTROL_EXPORT_BUNDLE_H

#include <stdio.h>

#include "platform/base/bytes.h"

struct bundle {
	char dir[4096];
	bool made;       /* the directory is ours to remove */
	FILE *manifest;  /* in memory */
	char *manifest_text;
	size_t manifest_len;
	FILE *stream;    /* a file that is written in pieces */
	char stream_name[64];
	void *stream_hash;
};

/* Makes the directory. False with errno. */
bool bundle_create(struct bundle *b, const char *dir);
bool bundle_file(struct bundle *b, const char *name, struct bytes data);
/* One file in pieces, beside others. */
bool bundle_stream_open(struct bundle *b, const char *name);
bool bundle_stream_write(struct bundle *b, struct bytes data);
bool bundle_stream_close(struct bundle *b);
/* Writes MANIFEST.sha256, and syncs all; `hash` is the manifest's own. */
bool bundle_finish(struct bundle *b, uint8_t hash[32]);
/* Frees; removes the directory unless `keep`. */
void bundle_close(struct bundle *b, bool keep);

#endif
