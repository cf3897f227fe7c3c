/* frames.h: lines in zstd frames, a file each, so that whoever reads needs one at a time (export.md 4).
 *
 * A file is `<prefix><first>-<last><suffix>`, both numbers in 20 digits, so that the names in order give the lines in order. It is one
 * zstd frame with content size and checksum, of at most FRAME_LINES lines and FRAME_BYTES bytes. One thread.
 */
#ifndef CONTROL_EXPORT_FRAMES_H
#define CONTROL_EXPORT_FRAMES_H

#include "platform/base/bytes.h"

#define FRAME_LINES 1024u
#define FRAME_BYTES (4u << 20)
#define FRAME_NAME_BYTES 128u

struct frames;

struct frames_to {
	const char *prefix, *suffix; /* together under FRAME_NAME_BYTES - 44 bytes */
	bool (*put)(void *ctx, const char *name, struct bytes file);
	void *ctx;
};

/* NULL when memory is short. `to` is copied, its texts are not. */
struct frames *frames_create(const struct frames_to *to);
void frames_destroy(struct frames *f);
/* One line, without its line break, of the record `index`; indexes ascend. False when `put` said so, or the line alone is longer than a frame. */
bool frames_line(struct frames *f, uint64_t index, struct bytes line);
/* Puts what is left; then more lines may follow. */
bool frames_finish(struct frames *f);

#endif
