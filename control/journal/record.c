#include "control/journal/record.h"

#include <stdlib.h>
#include <zstd.h>

#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"
#include "platform/base/secret.h"

enum codec { CODEC_RAW = 0, CODEC_ZSTD = 1 };

#define RAW_FRAME_BYTES_MAX 255u
#define LEVEL 1 /* zstd's fastest plain level; the writer's thread pays for it */

struct record_codec {
	ZSTD_CCtx *compress;
	ZSTD_DCtx *expand;
	uint8_t scratch[RECORD_CHUNK_STORED_MAX], frame[RECORD_CHUNK_STORED_MAX];
};

_Static_assert(ZSTD_COMPRESSBOUND(RECORD_CHUNK_BYTES_MAX) + 16 <= RECORD_CHUNK_STORED_MAX,
	       "the worst frame of a chunk and a 16-byte seal fit into the stored size");

struct record_codec *record_codec_create(void)
{
	struct record_codec *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->compress = ZSTD_createCCtx();
	c->expand = ZSTD_createDCtx();
	if (c->compress && c->expand)
		return c;
	record_codec_destroy(c);
	return NULL;
}

void record_codec_destroy(struct record_codec *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->compress);
	ZSTD_freeDCtx(c->expand);
	secret_wipe(c->frame, sizeof c->frame);
	secret_wipe(c->scratch, sizeof c->scratch);
	free(c);
}

bool record_encode(struct record_codec *c, struct bytes canonical, struct writer *out)
{
	size_t size = 0;

	if (canonical.len > RECORD_BYTES_MAX)
		return false;
	if (canonical.len > RECORD_RAW_BYTES_MAX) {
		size = ZSTD_compressCCtx(c->compress, c->scratch, sizeof c->scratch, canonical.base, canonical.len, LEVEL);
		if (ZSTD_isError(size) || size >= canonical.len)
			size = 0;
	}
	writer_u8(out, size ? CODEC_ZSTD : CODEC_RAW);
	writer_put(out, size ? bytes_of(c->scratch, size) : canonical);
	return out->ok;
}

/* One frame that states its size, at most `max`, and nothing behind it. */
static const char *expand(struct record_codec *c, struct bytes frame, size_t max, struct writer *out)
{
	unsigned long long size = ZSTD_getFrameContentSize(frame.base, frame.len);
	size_t whole, got;
	uint8_t *room;

	if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size > max)
		return "a zstd frame without its size, or too big";
	whole = ZSTD_findFrameCompressedSize(frame.base, frame.len);
	if (ZSTD_isError(whole) || whole != frame.len)
		return "bytes after the zstd frame";
	room = writer_room(out, (size_t)size);
	if (!room)
		return "no room for the zstd frame's content";
	got = ZSTD_decompressDCtx(c->expand, room, (size_t)size, frame.base, frame.len);
	return ZSTD_isError(got) || got != size ? "a damaged zstd frame" : NULL;
}

const char *record_decode(struct record_codec *c, struct bytes stored, uint8_t *scratch, struct bytes *canonical)
{
	struct reader r = reader_of_bytes(stored);
	uint8_t codec = reader_u8(&r);
	struct writer w = writer_of(scratch, RECORD_BYTES_MAX);
	const char *wrong;

	*canonical = (struct bytes){ 0 };
	if (!r.ok)
		return "an empty stored value";
	if (codec == CODEC_RAW) {
		if (r.left > RECORD_BYTES_MAX)
			return "a record above 65,535 bytes";
		*canonical = reader_rest(&r);
		return NULL;
	}
	if (codec != CODEC_ZSTD)
		return "an unknown codec byte";
	wrong = expand(c, reader_rest(&r), RECORD_BYTES_MAX, &w);
	if (!wrong)
		*canonical = writer_done(&w);
	return wrong;
}

/* RFC 8878 3.1.1: a frame of one segment with its size in a byte, and one raw block, the last. What a compressor saves of so few
 * bytes is not worth its time: they are most of what databases are asked and answer. */
static bool frame_raw(struct bytes payload, struct writer *out)
{
	writer_le32(out, 0xfd2fb528u);
	writer_u8(out, 1u << 5);
	writer_u8(out, (uint8_t)payload.len);
	writer_le(out, payload.len << 3 | 1, 3);
	writer_put(out, payload);
	return out->ok;
}

bool record_chunk_encode(struct record_codec *c, struct bytes payload, struct writer *out)
{
	size_t size;

	if (payload.len > RECORD_CHUNK_BYTES_MAX)
		return false;
	if (payload.len <= RAW_FRAME_BYTES_MAX)
		return frame_raw(payload, out);
	size = ZSTD_compressCCtx(c->compress, c->scratch, sizeof c->scratch, payload.base, payload.len, LEVEL);
	if (ZSTD_isError(size))
		return false;
	writer_bytes(out, c->scratch, size);
	return out->ok;
}

const char *record_chunk_decode(struct record_codec *c, struct bytes stored, struct writer *out)
{
	if (stored.len > RECORD_CHUNK_STORED_MAX)
		return "a stored chunk above 65,520 bytes";
	return expand(c, stored, RECORD_CHUNK_BYTES_MAX, out);
}

bool record_chunk_seal(struct record_codec *c, const struct record_seal *s, struct bytes payload, struct writer *out)
{
	struct writer w = writer_of(c->frame, sizeof c->frame);

	return record_chunk_encode(c, payload, &w) && seal_put(s->seal, s->dir, s->number, writer_done(&w), out);
}

const char *record_chunk_unseal(struct record_codec *c, const struct record_seal *s, struct bytes stored, struct writer *out)
{
	struct writer w = writer_of(c->frame, sizeof c->frame);
	const char *wrong = stored.len > RECORD_CHUNK_STORED_MAX ? "a stored chunk above 65,520 bytes" : seal_open(s->seal, s->dir, s->number, stored, &w);

	return wrong ? wrong : record_chunk_decode(c, writer_done(&w), out);
}

void record_chunk_put(struct jcs *j, const char *dir, uint64_t number, const struct record_chunk *chunk)
{
	jcs_open(j);
	jcs_put_uint(j, "c", chunk->key);
	jcs_put_str(j, "dir", dir);
	if (chunk->sealed)
		jcs_put_str(j, "enc", "gcm");
	jcs_put_hex(j, "h", bytes_of(chunk->hash, sizeof chunk->hash));
	jcs_put_uint(j, "i", number);
	jcs_put_uint(j, "len", chunk->len);
	jcs_close(j);
}

bool record_chunk_read(const struct jcs_value *element, struct record_chunk *out, struct bytes *dir, uint64_t *number)
{
	struct writer hash = writer_of(out->hash, sizeof out->hash);
	int64_t key = -1, i = -1, len = -1;
	struct jcs_value name = jcs_get(*element, "dir"), sealed = jcs_get(*element, "enc");

	*out = (struct record_chunk){ 0 };
	if (!jcs_read_int(jcs_get(*element, "c"), &key) || !jcs_read_int(jcs_get(*element, "i"), &i) ||
	    !jcs_read_int(jcs_get(*element, "len"), &len) || name.kind != JCS_STRING || key < 0 || i < 0 || len < 0 ||
	    len > (int64_t)RECORD_CHUNK_BYTES_MAX)
		return false;
	if (sealed.kind != JCS_NONE && !bytes_equal(jcs_read_plain(sealed), bytes_str("gcm")))
		return false;
	if (!hex_read(jcs_read_plain(jcs_get(*element, "h")), &hash) || hash.len != sizeof out->hash)
		return false;
	out->key = (uint64_t)key;
	out->len = (uint32_t)len;
	out->sealed = sealed.kind != JCS_NONE;
	*dir = jcs_read_plain(name);
	*number = (uint64_t)i;
	return true;
}
