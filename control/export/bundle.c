#include "control/export/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/merkle.h"
#include "control/journal/tiles.h"

bool bundle_create(struct bundle *b, const char *dir)
{
	*b = (struct bundle){ 0 };
	if ((size_t)snprintf(b->dir, sizeof b->dir, "%s", dir) >= sizeof b->dir - 128) {
		errno = ENAMETOOLONG;
		return false;
	}
	b->manifest = open_memstream(&b->manifest_text, &b->manifest_len);
	if (!b->manifest || mkdir(dir, 0755) != 0)
		return false;
	b->made = true;
	return true;
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

	errno = tiles_write_file(b->dir, name, data);
	return errno == 0 && list(b, hash.b, name);
}

bool bundle_stream_open(struct bundle *b, const char *name)
{
	char path[sizeof b->dir + 128];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	snprintf(path, sizeof path, "%s/%s", b->dir, name);
	snprintf(b->stream_name, sizeof b->stream_name, "%s", name);
	b->stream_hash = ctx;
	b->stream = fopen(path, "wxe");
	return b->stream && ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
}

bool bundle_stream_write(struct bundle *b, struct bytes data)
{
	return data.len == 0 || (fwrite(data.base, 1, data.len, b->stream) == data.len && EVP_DigestUpdate(b->stream_hash, data.base, data.len) == 1);
}

bool bundle_stream_close(struct bundle *b)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	FILE *stream = b->stream;

	b->stream = NULL;
	return stream && fclose(stream) == 0 && EVP_DigestFinal_ex(b->stream_hash, hash, NULL) == 1 && list(b, hash, b->stream_name);
}

bool bundle_finish(struct bundle *b, uint8_t hash[32])
{
	struct bytes manifest;
	int fd;
	bool ok;

	if (fflush(b->manifest) != 0)
		return false;
	manifest = bytes_of(b->manifest_text, b->manifest_len);
	memcpy(hash, merkle_sha256(manifest).b, 32);
	errno = tiles_write_file(b->dir, "MANIFEST.sha256", manifest);
	if (errno)
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

void bundle_close(struct bundle *b, bool keep)
{
	if (b->stream)
		fclose(b->stream);
	EVP_MD_CTX_free(b->stream_hash);
	if (b->manifest)
		fclose(b->manifest);
	free(b->manifest_text);
	if (b->made && !keep)
		nftw(b->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	*b = (struct bundle){ 0 };
}
