#include "control/export/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/merkle.h"
#include "control/journal/tiles.h"

bool bundle_create(struct bundle *b, const char *dir, bool secret)
{
	*b = (struct bundle){ 0 };
	if ((size_t)snprintf(b->dir, sizeof b->dir, "%s", dir) >= sizeof b->dir - 128) {
		errno = ENAMETOOLONG;
		return false;
	}
	b->manifest = open_memstream(&b->manifest_text, &b->manifest_len);
	if (!b->manifest || mkdir(dir, secret ? 0700 : 0755) != 0)
		return false;
	b->made = true;
	return true;
}

bool bundle_create_to(struct bundle *b, const struct bundle_sink *sink)
{
	*b = (struct bundle){ .sink = sink };
	b->manifest = open_memstream(&b->manifest_text, &b->manifest_len);
	return b->manifest != NULL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

bool bundle_has(const struct bundle *b, const char *name)
{
	char path[sizeof b->dir + 128];
	struct stat st;

	if (b->sink)
		return tfind(name, &b->names, by_name) != NULL;
	snprintf(path, sizeof path, "%s/%s", b->dir, name);
	return stat(path, &st) == 0;
}

/* A whole file, to where files go. False with errno. */
static bool put_file(struct bundle *b, const char *name, struct bytes data)
{
	char *copy;

	errno = b->sink ? 0 : tiles_write_file(b->dir, name, data);
	if (!b->sink)
		return errno == 0;
	copy = strdup(name);
	if (!copy || !tsearch(copy, &b->names, by_name)) {
		free(copy);
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

bool bundle_finish(struct bundle *b, const struct export_key *key, uint8_t hash[32])
{
	uint8_t signature[EXPORT_KEY_SIGNATURE_BYTES];
	struct bytes manifest;
	int fd;
	bool ok;

	if (fflush(b->manifest) != 0)
		return false;
	manifest = bytes_of(b->manifest_text, b->manifest_len);
	memcpy(hash, merkle_sha256(manifest).b, 32);
	if (!put_file(b, "MANIFEST.sha256", manifest))
		return false;
	if (key && (!export_key_sign(key, manifest, signature) || !put_file(b, "MANIFEST.sig", bytes_of(signature, sizeof signature))))
		return false;
	if (b->sink)
		return true;
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
	tdestroy(b->names, free);
	*b = (struct bundle){ 0 };
}
