/* bundle.h: files of a bundle, each hashed as it is written, so that the manifest is complete by construction. One thread. */
#ifndef CONTROL_EXPORT_BUNDLE_H
#define CONTROL_EXPORT_BUNDLE_H

#include <stdio.h>

#include "control/keys/export_key.h"
#include "control/journal/merkle.h"
#include "platform/base/bytes.h"

/* Where the files go instead of a directory: pieces of a file in order, pieces of other files between them. False: the reader is gone. */
struct bundle_sink {
	bool (*piece)(void *ctx, const char *name, struct bytes data);
	/* Not NULL: files that are written in pieces come here, and `piece` gets whole ones only. `last`: the file's end, without data. */
	bool (*part)(void *ctx, const char *name, struct bytes data, bool last);
	void *ctx;
};

struct bundle {
	char dir[4096];
	bool made;       /* the directory is ours to remove */
	const struct bundle_sink *sink; /* NULL: the directory */
	struct merkle_hash *names; /* with a sink: hashes of the names that it got, by open addressing; 64 bytes a file */
	size_t names_count, names_room;
	FILE *manifest;  /* of a directory its file; with a sink in memory, since its signature is over all of it */
	char *manifest_text;
	size_t manifest_len;
	FILE *stream;    /* a file that is written in pieces */
	char stream_name[64];
	void *stream_hash;
};

/* Makes the directory; `secret`: for nobody else to read. False with errno. */
bool bundle_create(struct bundle *b, const char *dir, bool secret);
bool bundle_file(struct bundle *b, const char *name, struct bytes data);
/* The same into a sink, which outlives the bundle. */
bool bundle_create_to(struct bundle *b, const struct bundle_sink *sink);
/* Whether a file of this name was written. */
bool bundle_has(const struct bundle *b, const char *name);
/* One file in pieces, beside others. */
bool bundle_stream_open(struct bundle *b, const char *name);
bool bundle_stream_write(struct bundle *b, struct bytes data);
bool bundle_stream_close(struct bundle *b);
/* Writes MANIFEST.sha256, its signature by `key` (NULL: none), and syncs all; `hash` is the manifest's own. */
bool bundle_finish(struct bundle *b, const struct export_key *key, uint8_t hash[32]);
/* Frees; removes the directory unless `keep`. */
void bundle_close(struct bundle *b, bool keep);

/* A directory and all in it. */
void bundle_remove(const char *dir);

#endif
