/* sealed.h: a file of bytes under a capture's key, as payload is kept under a session's (control/journal/seal.h).
 *
 * "sluice-capture-1" and the capture's 16-byte id; then chunks: u32 length (big endian), then that many bytes: one of kind (`c`, or
 * `e` for the last), the rest AES-256-GCM of a zstd frame of at most SEALED_CHUNK_BYTES. The number of a chunk is its place, and
 * with kind and id it is authenticated: none can be taken out, put elsewhere or brought from another file; a file that lacks its end was
 * cut off, or its writer was. Its name is the id in hexadecimal, with `.part` behind it while it is written.
 * Threading: one thread an object.
 */
#ifndef CONTROL_CAPTURE_SEALED_H
#define CONTROL_CAPTURE_SEALED_H

#include "control/journal/seal.h"

#define SEALED_CHUNK_BYTES (64u << 10)
#define SEALED_NAME_BYTES 40 /* 32 digits, ".part", and a zero */

struct sealed_writer {
	int fd;                     /* -1: none, or it failed */
	char dir[320];
	struct seal seal;           /* secret; wiped at the end */
	uint64_t chunks, bytes;     /* bytes: in the file */
	size_t len;                 /* in `room` */
	uint8_t *room, *packed, *sealed;
	const char *why;            /* of the failure */
};

/* The name of a capture's file. */
void sealed_name(const uint8_t id[SEAL_SESSION_BYTES], bool part, char out[SEALED_NAME_BYTES]);

/* Makes the file, and wipes `seal`. False with `why`. */
bool sealed_open(struct sealed_writer *w, const char *dir, struct seal *seal);
/* False: the disk does not take it; the rest is for sealed_close. */
bool sealed_append(struct sealed_writer *w, struct bytes data);
/* Seals what is there, so that a reader finds it. */
bool sealed_flush(struct sealed_writer *w);
/* Ends the file: everything on disk, under its final name. False with `why`; what was sealed stays readable. */
bool sealed_close(struct sealed_writer *w);

enum sealed_next { SEALED_CHUNK, SEALED_END, SEALED_CUT, SEALED_BROKEN };

struct sealed_reader {
	int fd;
	struct seal seal;
	uint64_t chunks;
	uint8_t *packed, *sealed, *room;
};

/* Opens a capture's file, ended or not, for reading. `seal` names it. False: it is not there, or is none. */
bool sealed_read_open(struct sealed_reader *r, const char *dir, const struct seal *seal);
/* The next bytes, borrowed until the next call. CUT: the file ends without its end. BROKEN: it was changed, or the key is another. */
enum sealed_next sealed_read(struct sealed_reader *r, struct bytes *out);
void sealed_read_close(struct sealed_reader *r);

#endif
