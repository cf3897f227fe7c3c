#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/export/bundle_kit.h"
#include "control/journal/tiles.h"

/* --- the journal ----------------------------------------------------------------------------------------------------------- */

bool bundle_kit_make(struct bundle_kit *k)
{
	char err[EXPORT_ERROR_BYTES];

	*k = (struct bundle_kit){ 0 };
	fixture_dir(k->dir);
	snprintf(k->journal_dir, sizeof k->journal_dir, "%s/journal", k->dir);
	snprintf(k->out, sizeof k->out, "%s/out", k->dir);
	snprintf(k->copy, sizeof k->copy, "%s/copy", k->dir);
	fixture_signer_init(&k->signer);
	k->key = export_key_open(k->dir, true, err);
	return k->key != NULL;
}

void bundle_kit_free(struct bundle_kit *k)
{
	archive_close(k->archive);
	export_key_close(k->key);
	fixture_remove(k->dir);
	fixture_signer_free(&k->signer);
}

static bool read_it(struct bundle_kit *k)
{
	char err[ARCHIVE_ERROR_BYTES];

	archive_close(k->archive);
	k->archive = archive_open(k->journal_dir, err);
	if (!k->archive)
		print_error("%s\n", err);
	return k->archive != NULL;
}

bool bundle_kit_published(struct bundle_kit *k, uint64_t count, uint64_t more)
{
	return fixture_published(k->journal_dir, &k->signer, count, more) && read_it(k);
}

struct journal *bundle_kit_open(struct bundle_kit *k)
{
	const struct journal_config config = { .dir = k->journal_dir, .origin = FIXTURE_ORIGIN };
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);

	if (!j)
		fail_msg("%s", err);
	return j;
}

void bundle_kit_close(struct bundle_kit *k, struct journal *j)
{
	struct journal_signer s = fixture_signer_journal(&k->signer);

	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	assert_true(journal_publish_flush(j, &s, FIXTURE_TIME, 1000));
	journal_close(j);
	assert_true(read_it(k));
}

void bundle_kit_anew(struct bundle_kit *k)
{
	archive_close(k->archive);
	k->archive = NULL;
	bundle_kit_drop(k);
	fixture_remove(k->journal_dir);
	fixture_signer_free(&k->signer);
	fixture_signer_init(&k->signer);
}

/* --- bundles --------------------------------------------------------------------------------------------------------------- */

bool bundle_kit_may_export(struct bundle_kit *k, struct export_request *request, struct export_result *result, char err[EXPORT_ERROR_BYTES])
{
	request->out = k->out;
	request->keys = &k->signer.keys;
	request->key = k->key;
	return export_bundle(k->archive, request, result, err);
}

void bundle_kit_export(struct bundle_kit *k, struct export_request *request, struct export_result *result)
{
	char err[EXPORT_ERROR_BYTES];

	if (!bundle_kit_may_export(k, request, result, err))
		fail_msg("%s", err);
}

void bundle_kit_drop(struct bundle_kit *k)
{
	fixture_remove(k->out);
	fixture_remove(k->copy);
}

/* --- the shell ------------------------------------------------------------------------------------------------------------- */

int bundle_kit_shell(const char *in, const char *script, char *said, size_t size)
{
	char *const environment[] = { "PATH=/usr/bin:/bin", NULL };
	char rest[4096];
	int status = -1, pipes[2];
	size_t len = 0;
	ssize_t got;
	pid_t child;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		if (chdir(in) == 0)
			execle("/bin/sh", "sh", "-c", script, (char *)NULL, environment);
		_exit(127);
	}
	close(pipes[1]);
	while ((got = read(pipes[0], said + len, size - 1 - len)) > 0)
		len += (size_t)got;
	said[len] = 0;
	/* Whoever says more than there is room for is not ended by that. */
	while (read(pipes[0], rest, sizeof rest) > 0)
		;
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int bundle_kit_run(const char *in, const char *format, ...)
{
	char text[2048], script[2400], none[1];
	va_list args;

	va_start(args, format);
	assert_true(vsnprintf(text, sizeof text, format, args) < (int)sizeof text);
	va_end(args);
	snprintf(script, sizeof script, "{ %s\n} >log 2>&1", text);
	return bundle_kit_shell(in, script, none, sizeof none);
}

void bundle_kit_manifest(const char *bundle)
{
	char said[4096];

	if (bundle_kit_shell(bundle, "rm MANIFEST.sha256; find . -type f ! -name MANIFEST.sig | sed 's,^./,,' | xargs -d '\\n' sha256sum > ../m && mv ../m MANIFEST.sha256",
			     said, sizeof said) != 0)
		fail_msg("%s", said);
}

void bundle_kit_forge(struct bundle_kit *k, const char *bundle)
{
	static uint8_t manifest[1 << 20];
	uint8_t signature[EXPORT_KEY_SIGNATURE_BYTES];
	char path[300];
	ssize_t len;
	int fd;

	bundle_kit_manifest(bundle);
	snprintf(path, sizeof path, "%s/MANIFEST.sha256", bundle);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = read(fd, manifest, sizeof manifest);
	close(fd);
	assert_true(len > 0 && (size_t)len < sizeof manifest);
	assert_true(export_key_sign(k->key, bytes_of(manifest, (size_t)len), signature));
	assert_int_equal(tiles_write_file(bundle, "MANIFEST.sig", bytes_of(signature, sizeof signature)), 0);
}
