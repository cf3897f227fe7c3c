#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "control/journal/archive.h"

/* The file's text; -1 with errno. */
static int file_read(const char *dir, const char *name, char *out, size_t size)
{
	char path[PATH_MAX];
	size_t len;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "re");
	if (!f)
		return -1;
	len = fread(out, 1, size, f);
	fclose(f);
	return (int)len;
}

const char *checkpoint_keys_beside(const char *dir, struct checkpoint_keys *keys)
{
	char text[CHECKPOINT_KEY_TEXT_BYTES];
	int len = file_read(dir, "vkey", text, sizeof text);
	const char *wrong = len < 0 ? "the file vkey cannot be read" : NULL;

	*keys = (struct checkpoint_keys){ 0 };
	if (!wrong)
		wrong = checkpoint_vkey_read(bytes_of(text, (size_t)len), keys);
	if (wrong)
		return wrong;
	len = file_read(dir, "log-p256.pem", text, sizeof text);
	if (len < 0)
		return errno == ENOENT ? NULL : "the file log-p256.pem cannot be read";
	return checkpoint_pem_read(bytes_of(text, (size_t)len), keys);
}
