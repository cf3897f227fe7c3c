#include "control/export/bundle_seal_file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "control/export/bundle_seal.h"

/* The first part has the name that was asked for. */
static const char *part_path(const struct bundle_seal_file *s, unsigned part, char *out, size_t size)
{
	if (part == 1)
		return s->path;
	return (size_t)snprintf(out, size, "%s.%03u", s->path, part) < size ? out : NULL;
}

static bool part_create(struct bundle_seal_file *s, unsigned part)
{
	char room[4096];
	const char *path = part_path(s, part, room, sizeof room);
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;

	s->file = fd >= 0 ? fdopen(fd, "we") : NULL;
	if (!s->file && fd >= 0)
		close(fd);
	if (s->file)
		s->part = part;
	return s->file != NULL;
}

static bool part_close(struct bundle_seal_file *s)
{
	FILE *file = s->file;
	bool good = file && fflush(file) == 0 && fsync(fileno(file)) == 0;

	s->file = NULL;
	return (!file || fclose(file) == 0) && good;
}

bool bundle_seal_file_create(struct bundle_seal_file *s, const char *path)
{
	*s = (struct bundle_seal_file){ .path = path };
	return part_create(s, 1);
}

bool bundle_seal_file_put(void *ctx, unsigned part, struct bytes data)
{
	struct bundle_seal_file *s = ctx;

	if (part != s->part && (part != s->part + 1 || !part_close(s) || !part_create(s, part)))
		return false;
	return s->file && fwrite(data.base, 1, data.len, s->file) == data.len;
}

bool bundle_seal_file_put_named(struct bundle_seal_file *s, const char *name, struct bytes data)
{
	static const char first[] = BUNDLE_SEAL_FILE;
	unsigned part = 1;
	char end;

	if (strncmp(name, first, sizeof first - 1) != 0)
		return false;
	name += sizeof first - 1;
	return (name[0] == 0 || (sscanf(name, ".%3u%c", &part, &end) == 1 && part > 1)) && bundle_seal_file_put(s, part, data);
}

bool bundle_seal_file_close(struct bundle_seal_file *s, bool keep)
{
	bool good = part_close(s);
	char room[4096];

	for (unsigned part = 1; part <= s->part && (!keep || !good); part++)
		(void)unlink(part_path(s, part, room, sizeof room));
	return good;
}
