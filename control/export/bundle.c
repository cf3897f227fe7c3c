#include "control/export/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/merkle.h"
#include "control/journal/tiles.h"

#define MANIFEST "MANIFEST.sha256"

bool bundle_create(struct bundle *b, const char *dir, bool secret)
{
	char path[sizeof b->dir + 128];

	*b = (struct bundle){ 0 };
	if ((size_t)snprintf(b->dir, sizeof b->dir, "%s", dir) >= sizeof b->dir - 128) {
		errno = ENAMETOOLONG;
		return false;
	}
	if (mkdir(dir, secret ? 0700 : 0755) != 0)
		return false;
	b->made = true;
	snprintf(path, sizeof path, "%s/" MANIFEST, dir);
	b->manifest = fopen(path, "wxe+");
	return b->manifest != NULL;
}

bool bundle_create_to(struct bundle *b, const struct bundle_sink *sink)
{
	*b = (struct bundle){ .sink = sink };
	b->manifest = open_memstream(&b->manifest_text, &b->manifest_len);
	return b->manifest != NULL;
}

/* Where a name is, or would be. */
static struct merkle_hash *name_at(struct merkle_hash *names, size_t room, const struct merkle_hash *name)
{
	static const struct merkle_hash none;
	size_t at;

	memcpy(&at, name->b, sizeof at);
	for (at %= room; !merkle_equal(&names[at], &none) && !merkle_equal(&names[at], name);)
		at = (at + 1) % room;
	return &names[at];
}

/* Half of it at most is used. */
static bool names_add(struct bundle *b, const char *name)
{
	struct merkle_hash hash = merkle_sha256(bytes_str(name));

	if (2 * (b->names_count + 1) > b->names_room) {
		size_t room = b->names_room ? 2 * b->names_room : 256;
		struct merkle_hash *more = calloc(room, sizeof *more);

		if (!more)
			return false;
		for (size_t i = 0; i < b->names_room; i++)
			*name_at(more, room, &b->names[i]) = b->names[i];
		free(b->names);
		b->names = more;
		b->names_room = room;
	}
	*name_at(b->names, b->names_room, &hash) = hash;
	b->names_count++;
	return true;
}

bool bundle_has(const struct bundle *b, const char *name)
{
	char path[sizeof b->dir + 128];
	struct stat st;

	if (b->sink) {
		struct merkle_hash hash = merkle_sha256(bytes_str(name));

		return b->names_room && merkle_equal(name_at(b->names, b->names_room, &hash), &hash);
	}
	snprintf(path, sizeof path, "%s/%s", b->dir, name);
	return stat(path, &st) == 0;
}

/* A whole file, to where files go. False with errno. */
static bool put_file(struct bundle *b, const char *name, struct bytes data)
{
	errno = b->sink ? 0 : tiles_write_file(b->dir, name, data);
	if (!b->sink)
		return errno == 0;
	if (!names_add(b, name)) {
		errno = ENOMEM;
		return false;
	}
	return b->sink->piece(b->sink->ctx, name, data);
}

static bool list(struct bundle *b, const uint8_t hash[32], const char *name)
{
	for (size_t i = 0; i < 32; i++)
		fprintf(b->manifest, "%02x", hash[i]);
	return fprintf(b->manifest, "  %s\n", name) > 0;
}

bool bundle_file(struct bundle *b, const char *name, struct bytes data)
{
	struct merkle_hash hash = merkle_sha256(data);

	return put_file(b, name, data) && list(b, hash.b, name);
}

bool bundle_stream_open(struct bundle *b, const char *name)
{
	char path[sizeof b->dir + 128];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	snprintf(path, sizeof path, "%s/%s", b->dir, name);
	snprintf(b->stream_name, sizeof b->stream_name, "%s", name);
	b->stream_hash = ctx;
	b->stream = b->sink ? NULL : fopen(path, "wxe");
	return (b->sink || b->stream) && ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
}

static bool stream_put(struct bundle *b, struct bytes data)
{
	if (!b->sink)
		return fwrite(data.base, 1, data.len, b->stream) == data.len;
	return b->sink->part ? b->sink->part(b->sink->ctx, b->stream_name, data, false) : b->sink->piece(b->sink->ctx, b->stream_name, data);
}

bool bundle_stream_write(struct bundle *b, struct bytes data)
{
	bool put = data.len == 0 || stream_put(b, data);

	return data.len == 0 || (put && EVP_DigestUpdate(b->stream_hash, data.base, data.len) == 1);
}

bool bundle_stream_close(struct bundle *b)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	FILE *stream = b->stream;

	b->stream = NULL;
	if (b->sink && b->sink->part && !b->sink->part(b->sink->ctx, b->stream_name, (struct bytes){ 0 }, true))
		return false;
	return (b->sink || (stream && fclose(stream) == 0)) && EVP_DigestFinal_ex(b->stream_hash, hash, NULL) == 1 && list(b, hash, b->stream_name);
}

static bool sign(struct bundle *b, struct bytes manifest, const struct export_key *key, uint8_t hash[32])
{
	uint8_t signature[EXPORT_KEY_SIGNATURE_BYTES];

	memcpy(hash, merkle_sha256(manifest).b, 32);
	return !key || (export_key_sign(key, manifest, signature) && put_file(b, "MANIFEST.sig", bytes_of(signature, sizeof signature)));
}

/* Of the file as it lies there: it may be long, and a signature is over all of it at once. */
static bool sign_file(struct bundle *b, const struct export_key *key, uint8_t hash[32])
{
	struct stat st;
	void *at;
	bool ok;

	if (fstat(fileno(b->manifest), &st) != 0 || st.st_size == 0)
		return false;
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fileno(b->manifest), 0);
	if (at == MAP_FAILED)
		return false;
	ok = sign(b, bytes_of(at, (size_t)st.st_size), key, hash);
	(void)munmap(at, (size_t)st.st_size);
	return ok;
}

bool bundle_finish(struct bundle *b, const struct export_key *key, uint8_t hash[32])
{
	struct bytes manifest;
	int fd;
	bool ok;

	if (fflush(b->manifest) != 0 || ferror(b->manifest))
		return false;
	manifest = bytes_of(b->manifest_text, b->manifest_len);
	if (b->sink)
		return put_file(b, MANIFEST, manifest) && sign(b, manifest, key, hash);
	if (!sign_file(b, key, hash))
		return false;
	fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok = fd >= 0 && syncfs(fd) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

void bundle_remove(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void bundle_close(struct bundle *b, bool keep)
{
	if (b->stream)
		fclose(b->stream);
	EVP_MD_CTX_free(b->stream_hash);
	if (b->manifest)
		fclose(b->manifest);
	free(b->manifest_text);
	if (b->made && !keep)
		bundle_remove(b->dir);
	free(b->names);
	*b = (struct bundle){ 0 };
}
