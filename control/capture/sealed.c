#include "control/capture/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "platform/base/secret.h"

#define MAGIC "sluice-capture-1"
#define MAGIC_BYTES (sizeof MAGIC - 1)
#define KIND_CHUNK 'c'
#define KIND_END 'e'
#define LEVEL 1
#define PACKED_BYTES (SEALED_CHUNK_BYTES + (SEALED_CHUNK_BYTES >> 7) + 512u) /* over ZSTD_COMPRESSBOUND */
#define SEALED_BYTES (PACKED_BYTES + SEAL_TAG_BYTES)

_Static_assert(ZSTD_COMPRESSBOUND(SEALED_CHUNK_BYTES) <= PACKED_BYTES, "a chunk that cannot be compressed fits");

void sealed_name(const uint8_t id[SEAL_SESSION_BYTES], bool part, char out[SEALED_NAME_BYTES])
{
	for (unsigned i = 0; i < SEAL_SESSION_BYTES; i++)
		snprintf(out + 2 * i, 3, "%02x", id[i]);
	snprintf(out + 2 * SEAL_SESSION_BYTES, SEALED_NAME_BYTES - 2 * SEAL_SESSION_BYTES, "%s", part ? ".part" : "");
}

static void path_of(const char *dir, const uint8_t id[SEAL_SESSION_BYTES], bool part, char out[400])
{
	char name[SEALED_NAME_BYTES];

	sealed_name(id, part, name);
	snprintf(out, 400, "%.320s/%s", dir, name);
}

static bool write_all(int fd, const uint8_t *at, size_t left)
{
	while (left) {
		ssize_t got = write(fd, at, left);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		left -= (size_t)got;
	}
	return true;
}

static bool broken(struct sealed_writer *w, const char *why)
{
	if (!w->why)
		w->why = why;
	return false;
}

/* Memory that held plain bytes; NULL is none. */
[[gnu::noinline]] static void wipe_free(uint8_t *memory, size_t len)
{
	if (!memory)
		return;
	secret_wipe(memory, len);
	free(memory);
}

static void release(struct sealed_writer *w)
{
	secret_wipe(w->seal.key, sizeof w->seal.key);
	wipe_free(w->room, SEALED_CHUNK_BYTES);
	wipe_free(w->packed, PACKED_BYTES);
	free(w->sealed);
	w->room = w->packed = w->sealed = NULL;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

bool sealed_open(struct sealed_writer *w, const char *dir, struct seal *seal)
{
	char path[400];

	*w = (struct sealed_writer){ .fd = -1, .seal = *seal };
	secret_wipe(seal->key, sizeof seal->key);
	snprintf(w->dir, sizeof w->dir, "%s", dir);
	w->room = malloc(SEALED_CHUNK_BYTES);
	w->packed = malloc(PACKED_BYTES);
	w->sealed = malloc(SEALED_BYTES + 5);
	path_of(dir, w->seal.session, true, path);
	if (w->room && w->packed && w->sealed)
		w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->fd >= 0 && write_all(w->fd, (const uint8_t *)MAGIC, MAGIC_BYTES) && write_all(w->fd, w->seal.session, SEAL_SESSION_BYTES)) {
		w->bytes = MAGIC_BYTES + SEAL_SESSION_BYTES;
		return true;
	}
	release(w);
	return broken(w, "the file cannot be made");
}

static bool put_chunk(struct sealed_writer *w, char kind)
{
	size_t packed = ZSTD_compress(w->packed, PACKED_BYTES, w->room, w->len, LEVEL);
	struct writer head = writer_of(w->sealed, 5), body = writer_of(w->sealed + 5, SEALED_BYTES);

	if (w->fd < 0 || w->why)
		return false;
	if (ZSTD_isError(packed) || !seal_put(&w->seal, bytes_of(&kind, 1), w->chunks, bytes_of(w->packed, packed), &body))
		return broken(w, "a chunk cannot be sealed");
	writer_be32(&head, (uint32_t)body.len + 1);
	writer_u8(&head, (uint8_t)kind);
	if (!write_all(w->fd, w->sealed, body.len + 5))
		return broken(w, "the disk does not take it");
	w->chunks++;
	w->bytes += body.len + 5;
	w->len = 0;
	return true;
}

bool sealed_append(struct sealed_writer *w, struct bytes data)
{
	while (data.len) {
		size_t some = SEALED_CHUNK_BYTES - w->len < data.len ? SEALED_CHUNK_BYTES - w->len : data.len;

		if (w->fd < 0 || w->why)
			return false;
		memcpy(w->room + w->len, data.base, some);
		w->len += some;
		data = bytes_of(data.base + some, data.len - some);
		if (w->len == SEALED_CHUNK_BYTES && !put_chunk(w, KIND_CHUNK))
			return false;
	}
	return true;
}

bool sealed_flush(struct sealed_writer *w)
{
	return w->len == 0 || put_chunk(w, KIND_CHUNK);
}

bool sealed_close(struct sealed_writer *w)
{
	char part[400], path[400];
	bool good = w->fd >= 0 && sealed_flush(w) && put_chunk(w, KIND_END);

	path_of(w->dir, w->seal.session, true, part);
	path_of(w->dir, w->seal.session, false, path);
	good = good && fdatasync(w->fd) == 0;
	/* Also one that the disk did not take to its end: what is there can be read. */
	if (w->fd >= 0)
		good = rename(part, path) == 0 && good;
	release(w);
	return good || broken(w, "the file cannot be ended");
}

/* --- reading ------------------------------------------------------------------------------------------------------------- */

static ssize_t read_all(int fd, uint8_t *at, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t got = read(fd, at + done, len - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

bool sealed_read_open(struct sealed_reader *r, const char *dir, const struct seal *seal)
{
	uint8_t head[MAGIC_BYTES + SEAL_SESSION_BYTES];
	char path[400];

	*r = (struct sealed_reader){ .seal = *seal };
	path_of(dir, seal->session, false, path);
	r->fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (r->fd < 0) {
		path_of(dir, seal->session, true, path);
		r->fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	}
	r->packed = malloc(PACKED_BYTES);
	r->sealed = malloc(SEALED_BYTES);
	r->room = malloc(SEALED_CHUNK_BYTES);
	if (r->fd >= 0 && r->packed && r->sealed && r->room && read_all(r->fd, head, sizeof head) == (ssize_t)sizeof head && memcmp(head, MAGIC, MAGIC_BYTES) == 0 &&
	    memcmp(head + MAGIC_BYTES, seal->session, SEAL_SESSION_BYTES) == 0)
		return true;
	sealed_read_close(r);
	return false;
}

enum sealed_next sealed_read(struct sealed_reader *r, struct bytes *out)
{
	uint8_t head[5];
	struct reader h = reader_of(head, sizeof head);
	struct writer packed = writer_of(r->packed, PACKED_BYTES);
	size_t len, plain;
	char kind;

	*out = (struct bytes){ 0 };
	if (read_all(r->fd, head, sizeof head) < (ssize_t)sizeof head)
		return SEALED_CUT;
	len = reader_be32(&h);
	kind = (char)reader_u8(&h);
	if (len < 1 || len - 1 > SEALED_BYTES || (kind != KIND_CHUNK && kind != KIND_END))
		return SEALED_BROKEN;
	if (read_all(r->fd, r->sealed, len - 1) < (ssize_t)len - 1)
		return SEALED_CUT;
	if (seal_open(&r->seal, bytes_of(&kind, 1), r->chunks, bytes_of(r->sealed, len - 1), &packed))
		return SEALED_BROKEN;
	plain = ZSTD_decompress(r->room, SEALED_CHUNK_BYTES, r->packed, packed.len);
	if (ZSTD_isError(plain))
		return SEALED_BROKEN;
	r->chunks++;
	*out = bytes_of(r->room, plain);
	return kind == KIND_END ? SEALED_END : SEALED_CHUNK;
}

void sealed_read_close(struct sealed_reader *r)
{
	secret_wipe(r->seal.key, sizeof r->seal.key);
	wipe_free(r->room, SEALED_CHUNK_BYTES);
	wipe_free(r->packed, PACKED_BYTES);
	free(r->sealed);
	if (r->fd >= 0)
		close(r->fd);
	*r = (struct sealed_reader){ .fd = -1 };
}
