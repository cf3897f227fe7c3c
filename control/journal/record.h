/* record.h: how one record, and one payload chunk, is stored (journal.md 3 and 4).
 *
 * A record is canonical JSON of at most 65,535 bytes (the length field of tlog-tiles entry bundles). Stored: one codec
 * byte, then the data. Codec 0 is the bytes themselves, 1 one zstd frame; hashes are always over the canonical bytes.
 * A payload chunk is stored as one zstd frame, sealed with its session's key (seal.h), and its hash is over the stored bytes, as an
 * auditor's sha256sum sees them. Journals from before seals hold plain frames: their `pl` elements have no `enc`.
 * Decompression is bounded: a frame that does not state its content size, or states more than the limit, is corruption.
 * A struct record_codec holds zstd's contexts and belongs to one thread.
 */
#ifndef CONTROL_JOURNAL_RECORD_H
#define CONTROL_JOURNAL_RECORD_H

#include "control/journal/jcs.h"
#include "control/journal/seal.h"

#define RECORD_VERSION 1 /* `v` of what is written; readers refuse a higher one */
#define RECORD_BYTES_MAX 65535u
#define RECORD_STORED_BYTES_MAX (RECORD_BYTES_MAX + 1)
#define RECORD_RAW_BYTES_MAX 1300u    /* above about 1,340 bytes LMDB's cost a value steps up: compress from here on */
#define RECORD_CHUNK_STORED_MAX 65520u /* fills 16 pages with LMDB's 16-byte header */
#define RECORD_CHUNK_BYTES_MAX 65024u  /* payload bytes of one chunk; their worst zstd frame and a 16-byte seal still fit */

/* Where a payload chunk is: its number (the chunk's key), SHA-256 of its stored bytes, length before compression. */
struct record_chunk {
	uint64_t key;
	uint8_t hash[32];
	uint32_t len;
	bool sealed; /* `enc` is "gcm" */
};

struct record_codec;

/* NULL when memory is short. */
struct record_codec *record_codec_create(void);
void record_codec_destroy(struct record_codec *c);

/* Canonical bytes to stored bytes; false when longer than RECORD_BYTES_MAX or `out` has no room. */
bool record_encode(struct record_codec *c, struct bytes canonical, struct writer *out);

/* Stored bytes to canonical bytes: a view into `stored`, or into `scratch` (RECORD_BYTES_MAX bytes). NULL, or a fixed text
 * saying what is wrong with them. */
const char *record_decode(struct record_codec *c, struct bytes stored, uint8_t *scratch, struct bytes *canonical);

/* Payload to stored chunk and back, at most RECORD_CHUNK_BYTES_MAX and RECORD_CHUNK_STORED_MAX bytes. */
bool record_chunk_encode(struct record_codec *c, struct bytes payload, struct writer *out);
const char *record_chunk_decode(struct record_codec *c, struct bytes stored, struct writer *out);

/* The same, sealed: `number` is the chunk's within the session, `dir` as in the record. */
struct record_seal {
	const struct seal *seal;
	struct bytes dir;
	uint64_t number;
};
bool record_chunk_seal(struct record_codec *c, const struct record_seal *s, struct bytes payload, struct writer *out);
const char *record_chunk_unseal(struct record_codec *c, const struct record_seal *s, struct bytes stored, struct writer *out);

/* `dir` of a payload chunk: what the client sent, and what was delivered to it. */
#define RECORD_DIR_IN "in"
#define RECORD_DIR_OUT "out"

/* One element of the record's `pl` array: {"c":key,"dir":dir,"enc":"gcm","h":hex,"i":number,"len":len}, without `enc` when it
 * is not sealed. `number` rises within the session and never comes twice. Written as a value: call it inside an open array. */
void record_chunk_put(struct jcs *j, const char *dir, uint64_t number, const struct record_chunk *chunk);

/* The fields of a `pl` element; false when it has another form. */
struct jcs_value;
bool record_chunk_read(const struct jcs_value *element, struct record_chunk *out, struct bytes *dir, uint64_t *number);

#endif
