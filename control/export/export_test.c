/* A bundle is checked by the commands that stand in its own VERIFY.md, with public tools only; after any change they fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/export/bundle_kit.h"
#include "control/export/replay.h"
#include "control/journal/tiles.h"

#define RECORDS 300u

static struct bundle_kit k;

static int build(void **state)
{
	return bundle_kit_make(&k) && bundle_kit_published(&k, RECORDS, 20) ? 0 : -1;
}

static int clean_up(void **state)
{
	bundle_kit_free(&k);
	return 0;
}

static int drop_bundle(void **state)
{
	bundle_kit_drop(&k);
	return 0;
}

static void export_to(const struct archive_filter *filter, struct export_result *result)
{
	struct export_request request = { .filter = *filter };

	bundle_kit_export(&k, &request, result);
}

/* The code blocks of VERIFY.md, run as an auditor would, in a shell that knows nothing of us. 0 when all passed. */
static int run_verify_with(const char *bundle, const char *how_many, const char *policy, const char *kept)
{
	static char said[65536];
	char script[512];

	snprintf(script, sizeof script, "sed -n '/^```sh$/,/^```$/p' VERIFY.md | grep -v '^```' > ../commands && exec sh ../commands '%s' '%s' '%s'", how_many, policy, kept);
	return bundle_kit_shell(bundle, script, said, sizeof said);
}

static int run_verify(const char *bundle, const char *how_many)
{
	return run_verify_with(bundle, how_many, "", "");
}

static void fresh_copy(void)
{
	fixture_remove(k.copy);
	fixture_copy(k.out, k.copy);
}

static void change_byte(const char *name, off_t at, uint8_t mask)
{
	char path[300];
	int fd;
	uint8_t byte;

	snprintf(path, sizeof path, "%s/%s", k.copy, name);
	fd = open(path, O_RDWR);
	if (fd < 0)
		print_error("%s is not there\n", path);
	assert_true(fd >= 0);
	if (at < 0)
		at += lseek(fd, 0, SEEK_END);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= mask;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void bundle_verifies_with_public_tools(void **state)
{
	struct archive_filter all = { 0 }, part = { .from = 250, .to = 256 };
	struct export_result r;
	char path[300];

	export_to(&all, &r);
	assert_int_equal(r.records, RECORDS);
	assert_int_equal(r.checkpoint_size, RECORDS);
	assert_int_equal(r.chunks, RECORDS / 10);
	assert_int_equal(run_verify(k.out, "1"), 0);
	snprintf(path, sizeof path, "%s/tile/entries/000", k.out);
	assert_int_equal(access(path, R_OK), 0);
	snprintf(path, sizeof path, "%s/tile/entries/001.p/44", k.out);
	assert_int_equal(access(path, R_OK), 0);
	/* A byte of an entry there, and a length: nothing else says the same twice. */
	for (unsigned i = 0; i < 2; i++) {
		fresh_copy();
		change_byte(i ? "tile/entries/001.p/44" : "tile/entries/000", i ? 1 : 3000, 1);
		bundle_kit_forge(&k, k.copy);
		assert_int_not_equal(run_verify(k.copy, "1"), 0);
	}
	drop_bundle(NULL);
	export_to(&part, &r);
	assert_int_equal(r.records, 6);
	assert_int_equal(run_verify(k.out, "all"), 0);
	/* The tile's other entries were not asked for. */
	snprintf(path, sizeof path, "%s/tile/entries", k.out);
	assert_int_not_equal(access(path, R_OK), 0);
}

/* The note of the journal's checkpoint of `size` records, and as the file "kept" beside the bundle. */
static struct bytes keep_note(const char *of, uint64_t size, uint8_t room[CHECKPOINT_BYTES_MAX])
{
	char path[200], err[ARCHIVE_ERROR_BYTES];
	struct archive *a;
	struct bytes note;
	uint64_t found;

	snprintf(path, sizeof path, "%s/%s", k.dir, of);
	a = archive_open(path, err);
	assert_true(a && archive_checkpoint(a, size, size, &found, &note) && note.len <= CHECKPOINT_BYTES_MAX);
	memcpy(room, note.base, note.len);
	note = bytes_of(room, note.len);
	archive_close(a);
	assert_int_equal(tiles_write_file(k.dir, "kept", note), 0);
	return note;
}

/* A journal that begins with another record than the fixture's. */
static void publish_other(const char *in, struct fixture_signer *by)
{
	char path[200], err[JOURNAL_ERROR_BYTES];
	struct journal_config config = { .dir = path, .origin = FIXTURE_ORIGIN };
	struct journal_signer s = fixture_signer_journal(by);
	struct journal *j;
	uint64_t index;

	snprintf(path, sizeof path, "%s/%s", k.dir, in);
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_non_null(j);
	assert_int_equal(journal_append(j, bytes_str("{\"n\":0,\"other\":true,\"sess\":\"00000000000000000000000000000000\",\"t\":\"cmd\"}"), &index), JOURNAL_OK);
	assert_true(fixture_fill(j, 59, 50, FIXTURE_TIME) && journal_publish_flush(j, &s, FIXTURE_TIME, 1000));
	journal_close(j);
}

static struct archive *open_in(const char *name)
{
	char path[200], err[ARCHIVE_ERROR_BYTES];
	struct archive *a;

	snprintf(path, sizeof path, "%s/%s", k.dir, name);
	a = archive_open(path, err);
	assert_non_null(a);
	return a;
}

static void publish_in(const char *name, struct fixture_signer *by, uint64_t more)
{
	char path[200];

	snprintf(path, sizeof path, "%s/%s", k.dir, name);
	assert_true(fixture_published(path, by, more, 0));
}

static void copy_in(const char *from, const char *to)
{
	char path[2][200];

	snprintf(path[0], sizeof path[0], "%s/%s", k.dir, from);
	snprintf(path[1], sizeof path[1], "%s/%s", k.dir, to);
	fixture_copy(path[0], path[1]);
}

/* The log went on from 60 to 110 records: its bundle proves that, by the reader's own copy of the checkpoint of 60. */
static void bundle_since_a_kept_checkpoint(void **state)
{
	uint8_t room[5][CHECKPOINT_BYTES_MAX];
	struct fixture_signer own, twice, foreign;
	struct export_request request = { .filter = { .from = 55, .to = 57 }, .out = k.out, .keys = &own.keys };
	struct {
		const char *says;
		struct bytes note;
	} refused[] = { { "a fork", { 0 } }, { "records are missing", { 0 } }, { "the kept checkpoint is", { 0 } }, { "the kept checkpoint is", { 0 } } };
	char err[EXPORT_ERROR_BYTES];
	struct export_result r;
	struct archive *a;

	fixture_signer_init(&own);
	fixture_signer_init(&foreign);
	twice = own; /* the same keys, and no memory of what they signed */
	publish_other("since-fork", &twice);
	publish_in("since-foreign", &foreign, 60);
	publish_in("since", &own, 60);
	publish_in("since", &own, 50);
	a = open_in("since");
	request.since = keep_note("since", 60, room[0]);
	assert_true(export_bundle(a, &request, &r, err));
	assert_int_equal(run_verify_with(k.out, "2", "", "../kept"), 0);
	assert_int_equal(run_verify(k.out, "2"), 0);
	/* Not the one that the reader has. */
	keep_note("since", 110, room[1]);
	assert_int_not_equal(run_verify_with(k.out, "2", "", "../kept"), 0);
	refused[2].note = bytes_of(room[0], 40);
	refused[3].note = keep_note("since-foreign", 60, room[2]);
	refused[0].note = keep_note("since-fork", 60, room[3]);
	fixture_remove(k.out);
	copy_in("since", "since-before");
	publish_in("since", &own, 10);
	refused[1].note = keep_note("since", 120, room[4]);
	archive_close(a);
	a = open_in("since-before");
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		request.since = refused[i].note;
		assert_false(export_bundle(a, &request, &r, err));
		print_message("# %s\n", err);
		assert_non_null(strstr(err, refused[i].says));
		assert_int_not_equal(access(k.out, F_OK), 0);
	}
	archive_close(a);
	fixture_signer_free(&own);
	fixture_signer_free(&foreign);
}

static void session_alone_verifies(void **state)
{
	struct archive_filter one = { .session = "00000000000000000000000000000005" }, targets[] = { { .target = "crm", .to = 256 }, { .in_session = true, .to = 256 } };
	struct export_result r;
	char path[300];

	export_to(&one, &r);
	assert_int_equal(r.records, 50);
	assert_int_equal(r.first, 250);
	assert_int_equal(r.last, 299);
	assert_int_equal(run_verify(k.out, "1"), 0);
	/* Whatever is selected by, entries that were not asked for are not given, even where all of a tile happen to match. */
	for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
		drop_bundle(NULL);
		export_to(&targets[i], &r);
		snprintf(path, sizeof path, "%s/tile/entries", k.out);
		assert_int_not_equal(access(path, R_OK), 0);
	}
}

/* Any file, changed: the manifest. */
static void changed_file_fails(void **state)
{
	static const char *const names[] = { "records/00000000000000000254-00000000000000000257.jsonl.zst",
					     "events/00000000000000000254-00000000000000000257.ocsf.jsonl.zst", "report.html", "checkpoint", "vkey", "incl.sh", "verify.sh", "VERIFY.md", "trust/log-p256.pem", "tile/0/001.p/4",
					     "proofs/entry-255.json", "proofs/255.tlog-proof" };
	struct archive_filter part = { .from = 254, .to = 258 };
	struct export_result r;
	char path[300];

	export_to(&part, &r);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strncmp(names[i], "tile", 4) == 0)
			continue;
		fresh_copy();
		/* In a comment or text where one is, so that the commands themselves still run. */
		change_byte(names[i], 30, 0x01);
		assert_int_not_equal(run_verify(k.copy, "2"), 0);
	}
	fresh_copy();
	snprintf(path, sizeof path, "%s/proofs/entry-254.json", k.copy);
	assert_int_equal(unlink(path), 0);
	assert_int_not_equal(run_verify(k.copy, "2"), 0);
	fresh_copy();
	snprintf(path, sizeof path, "proofs/entry-9.json");
	assert_int_equal(tiles_write_file(k.copy, path, bytes_str("{}")), 0);
	assert_int_not_equal(run_verify(k.copy, "2"), 0);
	assert_int_equal(run_verify(k.out, "2"), 0);
}

/* The same with a manifest made to fit: keys, signatures, tree. */
static void forgery_with_a_fitting_manifest_fails(void **state)
{
	static const struct {
		const char *name;
		off_t at;
		uint8_t mask;
	} rows[] = {
		{ "records/00000000000000000254-00000000000000000257.jsonl.zst", 40, 1 },
		{ "proofs/entry-255.json", 9, 1 },
		{ "proofs/255.tlog-proof", 45, 2 }, /* a sibling hash */
		{ "proofs/255.tlog-proof", 29, 1 }, /* the index */
		{ "checkpoint", 28, 1 },            /* the size */
		{ "checkpoint", 40, 2 },            /* the root */
		{ "checkpoint", 150, 4 },           /* the Ed25519 signature */
		{ "checkpoint", -20, 4 },           /* the P-256 signature */
		{ "vkey", 40, 2 },
		{ "trust/log-ed25519.pem", 50, 4 },
		{ "trust/log-p256.pem", 90, 4 },
		{ "tile/0/000", 255 * 32 + 3, 8 },
		{ "tile/0/000", 3 * 32, 1 },       /* not of a record of this bundle */
		{ "tile/1/000.p/1", 31, 128 },
	};
	struct archive_filter part = { .from = 254, .to = 258 };
	struct export_result r;
	bool seen;

	export_to(&part, &r);
	fresh_copy();
	bundle_kit_forge(&k, k.copy);
	assert_int_equal(run_verify(k.copy, "all"), 0);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fresh_copy();
		change_byte(rows[i].name, rows[i].at, rows[i].mask);
		bundle_kit_forge(&k, k.copy);
		seen = run_verify(k.copy, strstr(rows[i].name, ".tlog-proof") ? "all" : "1") != 0;
		if (!seen)
			print_error("not seen: %s at %lld\n", rows[i].name, (long long)rows[i].at);
		assert_true(seen);
	}
}

/* Entry, tile and line rewritten together, and none of their single proofs followed: only the way of all tiles to the root is left, and it fails. */
static void swapped_records_fail(void **state)
{
	struct archive_filter part = { .from = 250, .to = 260 };
	static const char script[] =
		"cd proofs && mv entry-251.json t && mv entry-252.json entry-251.json && mv t entry-252.json && cd .. && "
		"while read -r i; do printf '{\"idx\":%s,' $i; tail -c +2 proofs/entry-$i.json; echo; done > ../l <<X\n"
		"250\n251\n252\n253\n254\n255\n256\n257\n258\n259\nX\n"
		"zstd -qf ../l -o records/*.zst\n"
		"for p in '251 252' '252 251'; do set -- $p; { printf '\\000'; cat proofs/entry-$1.json; } | sha256sum | cut -c1-64 | xxd -r -p | "
		"dd of=tile/0/000 bs=32 seek=$1 conv=notrunc 2>/dev/null; done";
	struct export_result r;
	char said[4096];

	export_to(&part, &r);
	fresh_copy();
	assert_int_equal(bundle_kit_shell(k.copy, script, said, sizeof said), 0);
	bundle_kit_forge(&k, k.copy);
	assert_int_not_equal(run_verify(k.copy, "1"), 0);
}

/* Without the export key no manifest can be made to fit; a bundle of a copy has no signature, and says so. */
static void bundle_is_signed_as_a_whole(void **state)
{
	static const char *const added[] = { "proofs/MANIFEST.sha256", "trust/MANIFEST.sig" };
	struct archive_filter part = { .from = 254, .to = 258 };
	struct export_request of_a_copy = { .filter = part, .out = k.copy, .keys = &k.signer.keys };
	char err[EXPORT_ERROR_BYTES], path[300];
	struct export_result r;

	export_to(&part, &r);
	fresh_copy();
	assert_int_equal(run_verify(k.copy, "1"), 0);
	/* A file that no later step looks at. */
	change_byte("report.html", 400, 1);
	bundle_kit_manifest(k.copy);
	assert_int_not_equal(run_verify(k.copy, "1"), 0);
	fresh_copy();
	change_byte("MANIFEST.sig", 20, 4);
	assert_int_not_equal(run_verify(k.copy, "1"), 0);
	fresh_copy();
	change_byte("trust/export.pem", 50, 4);
	bundle_kit_manifest(k.copy);
	assert_int_not_equal(run_verify(k.copy, "1"), 0);
	fresh_copy();
	snprintf(path, sizeof path, "%s/MANIFEST.sig", k.copy);
	assert_int_equal(unlink(path), 0);
	assert_int_not_equal(run_verify(k.copy, "1"), 0);
	for (size_t i = 0; i < sizeof added / sizeof added[0]; i++) {
		fresh_copy();
		assert_int_equal(tiles_write_file(k.copy, added[i], bytes_str("{}")), 0);
		assert_int_not_equal(run_verify(k.copy, "1"), 0);
	}
	fixture_remove(k.copy);
	assert_true(export_bundle(k.archive, &of_a_copy, &r, err));
	assert_int_equal(run_verify(k.copy, "1"), 0);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void damaged_journal_gives_no_bundle(void **state)
{
	struct export_request request = { .filter = { 0 }, .out = k.out, .keys = &k.signer.keys };
	char damaged[180], path[300], err[EXPORT_ERROR_BYTES];
	struct export_result r;
	struct archive *a;
	uint8_t *content;
	struct stat st;
	int fd;

	snprintf(damaged, sizeof damaged, "%s/damaged", k.dir);
	fixture_copy(k.journal_dir, damaged);
	snprintf(path, sizeof path, "%s/seg/%020d/data.mdb", damaged, 0);
	fd = open(path, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	content = malloc((size_t)st.st_size);
	assert_int_equal(pread(fd, content, (size_t)st.st_size, 0), st.st_size);
	/* Every copy of record 5's time, also those in pages that are no longer used. */
	for (uint8_t *at = content; (at = memmem(at, (size_t)(content + st.st_size - at), "10:00:05.000005", 15)) != NULL; at++)
		assert_int_equal(pwrite(fd, "10:00:06", 8, at - content), 8);
	close(fd);
	free(content);
	a = archive_open(damaged, err);
	assert_non_null(a);
	assert_false(export_bundle(a, &request, &r, err));
	assert_non_null(strstr(err, "record 5"));
	assert_int_not_equal(access(k.out, F_OK), 0);
	archive_close(a);
}

static void what_cannot_be_proven_is_refused(void **state)
{
	struct export_request late = { .filter = { .from = 690, .to = 710 }, .out = k.out, .keys = &k.signer.keys };
	struct export_request none = { .filter = { .text = "nowhere" }, .out = k.out, .keys = &k.signer.keys };
	struct export_request there = { .filter = { 0 }, .out = k.dir, .keys = &k.signer.keys };
	struct fixture_signer other;
	struct export_request foreign = { .filter = { 0 }, .out = k.out, .keys = &other.keys };
	char err[EXPORT_ERROR_BYTES];
	struct export_result r;

	fixture_signer_init(&other);
	assert_false(export_bundle(k.archive, &late, &r, err));
	assert_false(export_bundle(k.archive, &none, &r, err));
	assert_false(export_bundle(k.archive, &there, &r, err));
	assert_int_equal(access(k.journal_dir, F_OK), 0);
	assert_false(export_bundle(k.archive, &foreign, &r, err));
	assert_int_not_equal(access(k.out, F_OK), 0);
	fixture_signer_free(&other);
}

/* Beside a writer that does not stop: the same evidence as at rest. */
static void bundle_of_a_living_journal_verifies(void **state)
{
	char live[180], err[EXPORT_ERROR_BYTES];
	struct fixture_signer own;
	struct export_request request = { .filter = { .to = 40 }, .out = k.out, .keys = &own.keys };
	struct export_result r;
	struct archive *a = NULL;
	int status;
	pid_t child;

	snprintf(live, sizeof live, "%s/live", k.dir);
	fixture_signer_init(&own);
	child = fork();
	if (child == 0) {
		struct journal_config config = { .dir = live, .origin = FIXTURE_ORIGIN, .publish_us = 1000 };
		struct journal_signer s = fixture_signer_journal(&own);
		struct journal *j = journal_open(&config, FIXTURE_TIME, err);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* Some commits during each step of an export, and a processor left for it. */
		for (uint64_t turn = 0; j && fixture_fill(j, 5, 5, FIXTURE_TIME); turn++, usleep(500))
			journal_publish(j, &s, FIXTURE_TIME + turn * 500);
		_exit(1);
	}
	for (unsigned round = 0; round < 6;) {
		usleep(5000);
		a = archive_open(live, err);
		if (!a)
			continue;
		if (archive_size(a) > 400) {
			bool ok = export_bundle(a, &request, &r, err);

			if (!ok)
				print_error("%s\n", err);
			assert_true(ok);
			if (round++ == 3)
				assert_int_equal(run_verify(k.out, "1"), 0);
			fixture_remove(k.out);
		}
		archive_close(a);
	}
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	fixture_signer_free(&own);
}

/* --- lines and replay ----------------------------------------------------------------------------------------------------- */

struct collected {
	char text[1 << 20];
	size_t len;
	unsigned lines;
};

static bool collect(void *ctx, struct bytes text)
{
	struct collected *c = ctx;

	if (text.len >= sizeof c->text - c->len)
		return false;
	memcpy(c->text + c->len, text.base, text.len);
	c->len += text.len;
	c->text[c->len] = 0;
	for (size_t i = 0; i < text.len; i++)
		c->lines += text.base[i] == '\n';
	return true;
}

static void lines_begin_with_their_index(void **state)
{
	static struct collected c;
	struct archive_filter part = { .from = RECORDS, .to = RECORDS + 20 };
	char err[EXPORT_ERROR_BYTES];

	memset(&c, 0, sizeof c);
	assert_true(export_jsonl(k.archive, &part, collect, &c, err));
	assert_int_equal(c.lines, 20);
	assert_memory_equal(c.text, "{\"idx\":300,\"boot\":", 18);
}

static void replay_tells_the_session_in_order(void **state)
{
	char err[EXPORT_ERROR_BYTES];
	struct replay *r = replay_open(k.archive, NULL, "00000000000000000000000000000005", err);
	struct replay_event e;
	unsigned marks = 0, payloads = 0;
	int64_t last = 0;

	while (replay_next(r, &e)) {
		assert_true(e.at_us >= last);
		last = e.at_us;
		if (e.dir == 'm')
			assert_int_equal(e.index, 250 + marks++);
		else
			payloads++;
	}
	assert_null(replay_error(r));
	assert_int_equal(marks, 50);
	assert_int_equal(payloads, 5);
	assert_true(last > 48000000 && last < 50000000);
	replay_close(r);
}

static void replay_writes_both_forms(void **state)
{
	static struct collected c;
	char err[EXPORT_ERROR_BYTES];

	memset(&c, 0, sizeof c);
	assert_true(replay_write(k.archive, NULL, &(struct archive_filter){ .session = "00000000000000000000000000000005" }, REPLAY_ASCIICAST, collect, &c, err));
	assert_int_equal(c.lines, 56);
	assert_memory_equal(c.text, "{\"version\": 2, \"width\": 120,", 28);
	assert_non_null(strstr(c.text, "\n[0.000000, \"o\", \"\\u001b[2m# cmd 0 blocked"));
	assert_non_null(strstr(c.text, "[0.000000, \"i\", \"select * from customers"));
	memset(&c, 0, sizeof c);
	assert_true(replay_write(k.archive, NULL, &(struct archive_filter){ .session = "00000000000000000000000000000005" }, REPLAY_PLAIN, collect, &c, err));
	assert_int_equal(c.lines, 55);
	assert_non_null(strstr(c.text, "> select * from customers where id = 250"));
	assert_false(replay_write(k.archive, NULL, &(struct archive_filter){ .session = "0000000000000000000000000000ffff" }, REPLAY_PLAIN, collect, &c, err));
}

/* Where payload is missing, the replay says so, and why. */
static void replay_tells_what_was_not_kept(void **state)
{
	static const char *const record[] = {
		"{\"n\":0,\"sess\":\"00000000000000000000000000000001\",\"t\":\"cmd\",\"ts\":\"2026-11-20T10:00:00.000000Z\"}",
		"{\"n\":1,\"out\":{\"truncated\":true,\"truncated_by\":[\"payload_limit\",\"ring_full\"],\"verdict\":\"forwarded\"},\"ref\":0,\"sess\":\"00000000000000000000000000000001\",\"t\":\"resp\",\"ts\":\"2026-11-20T10:00:00.000000Z\"}",
		"{\"data\":{\"left_out\":\"journal_full\"},\"nc\":0,\"sess\":\"00000000000000000000000000000001\",\"t\":\"payload\",\"ts\":\"2026-11-20T10:00:00.000000Z\"}",
	};
	char path[180], err[JOURNAL_ERROR_BYTES];
	struct journal_config config = { .dir = path, .origin = FIXTURE_ORIGIN };
	static struct collected c;
	struct journal *j;
	uint64_t index;

	snprintf(path, sizeof path, "%s/not-kept", k.dir);
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_non_null(j);
	for (size_t i = 0; i < sizeof record / sizeof *record; i++)
		assert_int_equal(journal_append(j, bytes_str(record[i]), &index), JOURNAL_OK);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	memset(&c, 0, sizeof c);
	assert_true(replay_write(journal_archive(j), NULL, &(struct archive_filter){ .session = "00000000000000000000000000000001" }, REPLAY_PLAIN, collect, &c, err));
	assert_string_equal(c.text, "     0.000000 # cmd 0\n"
				    "     0.000000 # resp 1 answers 0 forwarded payload not kept: [\"payload_limit\",\"ring_full\"]\n"
				    "     0.000000 # payload payload not kept: journal_full\n");
	journal_close(j);
}

/* What an agent sends must not steer the terminal of the one who looks. */
static void replay_gives_a_terminal_nothing_to_obey(void **state)
{
	char hostile_dir[180], err[JOURNAL_ERROR_BYTES], text[4096];
	struct journal_config config = { .dir = hostile_dir, .origin = FIXTURE_ORIGIN };
	static const char payload[] = "a\x1b]0;title\x07\x1b[2J\x7f\xff\xfe\r\n\tb\xc2\x9b" "31m\xe2\x80\xae";
	static struct collected c;
	struct writer w = writer_of(text, sizeof text);
	struct record_chunk chunk;
	struct journal *j;
	uint64_t index;

	snprintf(hostile_dir, sizeof hostile_dir, "%s/hostile", k.dir);
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_non_null(j);
	assert_int_equal(journal_chunk(j, bytes_of(payload, sizeof payload - 1), &chunk), JOURNAL_OK);
	assert_int_equal(journal_append(j, fixture_record(&w, 1, 1, &chunk), &index), JOURNAL_OK);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	memset(&c, 0, sizeof c);
	assert_true(replay_write(journal_archive(j), NULL, &(struct archive_filter){ .session = "00000000000000000000000000000001" }, REPLAY_PLAIN, collect, &c, err));
	for (size_t i = 0; i < c.len; i++)
		assert_true((uint8_t)c.text[i] >= 0x20 || c.text[i] == '\n' || c.text[i] == '\t');
	assert_null(strstr(c.text, "\xc2\x9b"));
	assert_non_null(strstr(c.text, "\\x1b]0;title\\x07\\x1b[2J\\x7f\xef\xbf\xbd\xef\xbf\xbd\\x0d\n\tb<U+009B>31m<U+202E>"));
	memset(&c, 0, sizeof c);
	assert_true(replay_write(journal_archive(j), NULL, &(struct archive_filter){ .session = "00000000000000000000000000000001" }, REPLAY_TIMED, collect, &c, err));
	assert_int_equal(c.lines, 2);
	assert_non_null(strstr(c.text, "\n[0.000000,\"o\",\"a\\\\x1b]0;title\\\\x07\\\\x1b[2J\\\\x7f\xef\xbf\xbd\xef\xbf\xbd\\\\x0d\\n\\tb<U+009B>31m<U+202E>\"]\n"));
	journal_close(j);
}

#define TEST(name) cmocka_unit_test_teardown(name, drop_bundle)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bundle_verifies_with_public_tools),
		TEST(bundle_since_a_kept_checkpoint),
		TEST(session_alone_verifies),
		TEST(changed_file_fails),
		TEST(forgery_with_a_fitting_manifest_fails),
		TEST(swapped_records_fail),
		TEST(bundle_is_signed_as_a_whole),
		TEST(damaged_journal_gives_no_bundle),
		TEST(what_cannot_be_proven_is_refused),
		TEST(bundle_of_a_living_journal_verifies),
		TEST(lines_begin_with_their_index),
		TEST(replay_tells_the_session_in_order),
		TEST(replay_writes_both_forms),
		TEST(replay_tells_what_was_not_kept),
		TEST(replay_gives_a_terminal_nothing_to_obey),
	};

	return cmocka_run_group_tests_name("export", tests, build, clean_up);
}
