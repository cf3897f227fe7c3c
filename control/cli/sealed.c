/* sealed.c: export bundle --recipient: whom it is sealed to, and the one file that it becomes (control/export/bundle_seal.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/cli/sealed.h"
#include "control/export/bundle_seal.h"

#define CERTIFICATE_BYTES (16u << 10)

static unsigned certificates_in(const char *text)
{
	unsigned count = 0;

	for (const char *at = text; (at = strstr(at, "-----BEGIN ")); at++)
		count++;
	return count;
}

/* One file's text at the end of `pem`. NULL, or what is wrong. A chain in it would make its authorities recipients too. */
static const char *take_file(const char *path, char *pem, size_t size)
{
	size_t at = strlen(pem), len;
	FILE *f = fopen(path, "re");

	if (!f)
		return strerror(errno);
	len = fread(pem + at, 1, size - at - 2 < CERTIFICATE_BYTES ? size - at - 2 : CERTIFICATE_BYTES, f);
	pem[at + len] = '\n';
	pem[at + len + 1] = 0;
	fclose(f);
	if (strlen(pem + at) != len + 1)
		return "not text";
	return certificates_in(pem + at) == 1 ? NULL : "there has to be one certificate in it, and nothing else";
}

char *sealed_recipients(struct cli *c, struct recipients *to)
{
	char *pem = calloc(1, RECIPIENTS_PEM_BYTES), err[RECIPIENTS_ERROR_BYTES];
	const char *wrong = pem ? NULL : "out of memory", *path = "";

	for (unsigned i = 0; !wrong && i < c->options; i++) {
		if (strcmp(c->option[i].name, "recipient") != 0)
			continue;
		path = c->option[i].value;
		wrong = take_file(path, pem, RECIPIENTS_PEM_BYTES);
	}
	if (wrong)
		cli_fail(c, FRAME_USAGE, "--recipient %s: %s: give a certificate in PEM, one a file", path, wrong);
	else if (recipients_read(to, bytes_str(pem), time(NULL), err))
		return pem;
	else
		cli_fail(c, FRAME_USAGE, "--recipient: %s: give certificates of RSA or EC keys for encryption", err);
	free(pem);
	return NULL;
}

const char *sealed_fingerprints(const struct recipients *to, char *out, size_t size)
{
	size_t at = 0;

	out[0] = 0;
	for (unsigned i = 0; i < to->count && at < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%s", i ? "," : "", to->fingerprint[i]);
	return out;
}

bool sealed_create(struct sealed_file *s, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	*s = (struct sealed_file){ .path = path, .file = fd >= 0 ? fdopen(fd, "we") : NULL };
	if (!s->file && fd >= 0)
		close(fd);
	return s->file != NULL;
}

bool sealed_put(void *ctx, struct bytes data)
{
	struct sealed_file *s = ctx;

	return fwrite(data.base, 1, data.len, s->file) == data.len;
}

bool sealed_close(struct sealed_file *s, bool keep)
{
	bool good = fflush(s->file) == 0 && fsync(fileno(s->file)) == 0;

	good = fclose(s->file) == 0 && good;
	if (!keep || !good)
		(void)unlink(s->path);
	return good;
}

void sealed_told(const struct recipients *to, const char *path)
{
	for (unsigned i = 0; i < to->count; i++)
		printf("sealed to the certificate with SHA-256 %s\n", to->fingerprint[i]);
	printf("to open it: openssl cms -decrypt -binary -inform DER -in ");
	print_text(stdout, path, strlen(path), 0);
	printf(" -inkey KEY.pem -recip CERT.pem -out bundle.tar.zst && zstd -dc bundle.tar.zst | tar -xf -\n");
}
