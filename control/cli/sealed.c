/* sealed.c: export bundle --recipient: whom it is sealed to, and how it is opened (control/export/bundle_seal.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/cli/sealed.h"

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

void sealed_told(const struct recipients *to, const struct bundle_seal_file *f)
{
	static const char open_it[] = "openssl cms -decrypt -binary -inform DER -in ", with[] = " -inkey KEY.pem -recip CERT.pem", unpack[] = "zstd -dc bundle.tar.zst | tar -xf -";

	for (unsigned i = 0; i < to->count; i++)
		printf("sealed to the certificate with SHA-256 %s\n", to->fingerprint[i]);
	if (f->part > 1)
		printf("in %u parts, each of which openssl can take into memory; all of them are needed\n", f->part);
	printf("to open it: %s", f->part > 1 ? "(for part in " : open_it);
	print_text(stdout, f->path, strlen(f->path), 0);
	if (f->part > 1) {
		printf(" ");
		print_text(stdout, f->path, strlen(f->path), 0);
		printf(".[0-9]*; do %s\"$part\"%s || exit; done) > bundle.tar.zst && %s\n", open_it, with, unpack);
	} else {
		printf("%s -out bundle.tar.zst && %s\n", with, unpack);
	}
}
