/* Mutations of a bundle, by seed: a bit flipped, a byte put in or taken out, a file cut, removed or put in another's place. Each is seen by step 1 of
 * the bundle's VERIFY.md, and, of evidence, also by the step that is there for it when manifest and signature were made to fit.
 *
 * So is what shows who allowed payload keys, and the keys themselves: keys/ and approvals/ of another bundle; and a bundle of more records than
 * have files of their own.
 *
 * The steps are run one by one, as VERIFY.md has them, by the shell and public tools. MUTATIONS in the environment: how many (12, and 6 of each
 * other bundle; the long form is 1,000 and 500); SEED: which ones. What is not seen is printed with seed, number, file and place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/export/disclosure_kit.h"
#include "control/export/export.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/tiles.h"
#include "platform/base/random.h"

/* Few: a proof of them takes the shell few processes. The bundle is [FIRST, END); every tenth record has payload. */
#define RECORDS 20u
#define FIRST 9u
#define END 12u
#define MANY 90u /* of the bundle whose records have no files of their own */
#define KEPT 13u /* the checkpoint that the bundle's reader had */
#define BODY (sizeof(FIXTURE_ORIGIN) + 3 + 45) /* of that: its three lines */
#define FILES_MAX 96
#define FILE_BYTES_MAX (1u << 18)
#define STEPS_MAX 14
#define STEP_BYTES_MAX 8192

/* Evidence, by the beginning of its files' names, and the steps of VERIFY.md that it takes to see it changed. */
static const struct {
	const char *prefix, *steps;
} evidence[] = {
	{ "checkpoint", "2 3 4 5" }, { "vkey", "2 3" },	      { "trust/log-", "2 3" }, { "records/", "2 4 13" }, { "proofs/entry-", "2 4" },
	{ "proofs/", "2 4 5" },	     { "tile/", "2 4 5" }, { "chunks/", "2 4 6" }, { "trust/keys/0-", "2 4 8 10" },
	{ "keys/", "2 4 7 11" },     { "approvals/", "2 4 11" },
	{ "since/", "2 4 8 12" },
};

static char dir[128], out[160], copy[170];
static uint8_t step_room[STEPS_MAX][STEP_BYTES_MAX];
static struct writer step[STEPS_MAX]; /* the code blocks of each */
static char name[FILES_MAX][128];
static unsigned files, unchanged;
static bool disclosed; /* of the bundle only keys/ and approvals/ are changed */
static uint64_t seed;
static struct rng rng;

static struct bytes read_file(const char *in, const char *file, uint8_t *room)
{
	char path[400];
	ssize_t len;
	int fd;

	snprintf(path, sizeof path, "%s/%s", in, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	len = read(fd, room, FILE_BYTES_MAX);
	close(fd);
	assert_true(len >= 0 && len < FILE_BYTES_MAX);
	return bytes_of(room, (size_t)len);
}

static void write_file(const char *file, struct bytes content)
{
	char path[400];

	snprintf(path, sizeof path, "%s/%s", copy, file);
	(void)unlink(path);
	assert_int_equal(tiles_write_file(copy, file, content), 0);
}

static int list_file(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	const char *file = path + strlen(out) + 1;
	bool about = !strncmp(file, "keys/", 5) || !strncmp(file, "approvals/", 10);

	if (flag == FTW_F && files < FILES_MAX && (about || !disclosed))
		snprintf(name[files++], sizeof name[0], "%.127s", file);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* VERIFY.md into the code blocks of its steps. */
static void take_steps(void)
{
	static uint8_t room[FILE_BYTES_MAX];
	struct bytes text = read_file(out, "VERIFY.md", room);
	unsigned number = 0;
	bool code = false;

	for (size_t at = 0, len; at < text.len; at += len + 1) {
		const char *line = (const char *)room + at;

		len = strcspn(line, "\n");
		if (len >= 3 && strncmp(line, "```", 3) == 0)
			code = line[3] == 's';
		else if (!code && strncmp(line, "## ", 3) == 0)
			number = (unsigned)strtoul(line + 3, NULL, 10);
		else if (code && number < STEPS_MAX)
			writer_bytes(&step[number], line, len + 1);
	}
	for (unsigned i = 1; i < STEPS_MAX; i++)
		assert_true(step[i].ok && step[i].len > 0);
}

/* The bundle `out` is the one to be changed, as `copy`. */
static void use_bundle(void)
{
	fixture_copy(out, copy);
	files = 0;
	nftw(out, list_file, 16, FTW_PHYS);
	qsort(name, files, sizeof name[0], by_name);
	for (unsigned i = 0; i < STEPS_MAX; i++)
		step[i] = writer_of(step_room[i], sizeof step_room[i]);
	take_steps();
}

static int build(void **state)
{
	char journal_dir[160], err[JOURNAL_ERROR_BYTES], wrong[EXPORT_ERROR_BYTES];
	static struct fixture_signer signer;
	struct export_request request = { .filter = { .from = FIRST, .to = END }, .out = out, .keys = &signer.keys };
	struct export_result result;
	struct export_key *key;
	struct archive *archive;
	uint64_t size;
	bool good;

	fixture_dir(dir);
	snprintf(journal_dir, sizeof journal_dir, "%s/journal", dir);
	snprintf(out, sizeof out, "%s/bundle", dir);
	snprintf(copy, sizeof copy, "%s/changed", dir);
	fixture_signer_init(&signer);
	if (!fixture_published(journal_dir, &signer, KEPT, 0) || !fixture_published(journal_dir, &signer, RECORDS - KEPT, 0))
		return -1;
	archive = archive_open(journal_dir, err);
	if (!archive || !archive_checkpoint(archive, KEPT, KEPT, &size, &request.since))
		return -1;
	request.key = key = export_key_open(dir, true, err);
	good = archive && key && export_bundle(archive, &request, &result, wrong) && result.records == END - FIRST && result.chunks > 0;
	archive_close(archive);
	export_key_close(key);
	fixture_signer_free(&signer);
	use_bundle();
	return good && files > 20 ? 0 : -1;
}

static void publish_sessions(const char *journal_dir, struct fixture_signer *signer, struct payload_keys *keys, uint64_t record[KIT_APPROVAL_RECORDS])
{
	struct journal_config config = { .dir = journal_dir, .origin = FIXTURE_ORIGIN };
	struct journal_signer s = fixture_signer_journal(signer);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);

	assert_true(j && keys);
	kit_session(j, keys, 0);
	kit_session(j, keys, 1);
	kit_approval(j, record);
	(void)kit_held(j, keys, &(struct kit_held){ .voter = { "bob", "dora" } });
	assert_true(payload_keys_sync(keys) && journal_commit(j, FIXTURE_TIME) == JOURNAL_OK && journal_publish_flush(j, &s, FIXTURE_TIME, 1000));
	journal_close(j);
}

/* Two sessions, of which an approval discloses one. */
static int build_disclosed(void **state)
{
	char journal_dir[160], keys_dir[160], session[33], err[JOURNAL_ERROR_BYTES], wrong[EXPORT_ERROR_BYTES] = "";
	static struct fixture_signer signer;
	uint64_t record[KIT_APPROVAL_RECORDS];
	const struct export_disclosure d = { .approval = KIT_APPROVAL, .sessions = session, .record = record, .records = KIT_APPROVAL_RECORDS };
	struct export_request request = { .out = out, .keys = &signer.keys, .disclosure = &d };
	struct export_result result;
	struct archive *archive;
	bool good;

	snprintf(journal_dir, sizeof journal_dir, "%s/sessions", dir);
	snprintf(keys_dir, sizeof keys_dir, "%s/payload-keys", dir);
	snprintf(out, sizeof out, "%s/disclosed", dir);
	snprintf(copy, sizeof copy, "%s/disclosed-changed", dir);
	kit_session_text(0, session);
	request.filter.session = session;
	fixture_signer_init(&signer);
	request.disclose = payload_keys_open(keys_dir, true, err);
	publish_sessions(journal_dir, &signer, request.disclose, record);
	archive = archive_open(journal_dir, err);
	good = archive && export_bundle(archive, &request, &result, wrong) && result.keys == 1;
	archive_close(archive);
	payload_keys_close(request.disclose);
	fixture_signer_free(&signer);
	disclosed = true;
	use_bundle();
	return good && files > 10 ? 0 : -1;
}

/* Records of many, of which two have files: one was asked for, the others the report names. */
static int build_many(void **state)
{
	char journal_dir[160], err[JOURNAL_ERROR_BYTES], wrong[EXPORT_ERROR_BYTES] = "";
	static struct fixture_signer signer;
	static const uint64_t pick = 51;
	struct export_request request = { .filter = { .from = 3, .text = "a" }, .out = out, .keys = &signer.keys, .proofs_max = 5, .proof = &pick, .proofs = 1 };
	struct export_result result;
	struct archive *archive;
	bool good;

	snprintf(journal_dir, sizeof journal_dir, "%s/many", dir);
	snprintf(out, sizeof out, "%s/many-out", dir);
	snprintf(copy, sizeof copy, "%s/many-changed", dir);
	fixture_signer_init(&signer);
	good = fixture_published(journal_dir, &signer, MANY, 0);
	archive = good ? archive_open(journal_dir, err) : NULL;
	good = archive && export_bundle(archive, &request, &result, wrong) && result.records == MANY - 3;
	archive_close(archive);
	fixture_signer_free(&signer);
	disclosed = false;
	use_bundle();
	return good && files > 20 ? 0 : -1;
}

static int clean_up(void **state)
{
	fixture_remove(dir);
	return 0;
}

/* Whether the commands of these steps, "2 3", all succeed in the changed bundle. */
static bool steps_pass(const char *numbers)
{
	static char script[STEPS_MAX * STEP_BYTES_MAX];
	struct writer w = writer_of(script, sizeof script - 1);
	char *const environment[] = { "PATH=/usr/bin:/bin", NULL };
	int status = -1;
	pid_t child;

	writer_str(&w, "set -eu\nCHECK=all\nWORK=$(mktemp -d \"$0/XXXXXX\"); trap 'rm -rf \"$WORK\"' EXIT\n");
	for (const char *at = numbers; *at; at += strspn(at, "0123456789"), at += *at == ' ')
		writer_bytes(&w, step_room[strtoul(at, NULL, 10)], step[strtoul(at, NULL, 10)].len);
	assert_true(w.ok);
	script[w.len] = 0;
	child = fork();
	if (child == 0) {
		int quiet = open("/dev/null", O_WRONLY);

		dup2(quiet, 1);
		dup2(quiet, 2);
		if (chdir(copy) == 0)
			execle("/bin/sh", "sh", "-c", script, dir, (char *)NULL, environment);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* What it takes to see this file changed; NULL: the manifest only. */
static const char *steps_of(const char *file)
{
	for (size_t i = 0; i < sizeof evidence / sizeof evidence[0]; i++)
		if (strncmp(file, evidence[i].prefix, strlen(evidence[i].prefix)) == 0 && !strstr(file, "checkpoints"))
			return evidence[i].steps;
	return NULL;
}

/* Where in a file something is changed. */
static size_t any_place(const char *file, size_t len)
{
	/* Of its signatures one is asked for. */
	if (strcmp(file, "since/checkpoint") == 0)
		return rng_below(&rng, BODY);
	return rng_below(&rng, len);
}

/* Another file of the same kind, or NULL. */
static const char *another(const char *file)
{
	size_t kind = (size_t)(strrchr(file, '/') ? strrchr(file, '/') - file + 2 : 0);
	unsigned begin = (unsigned)rng_below(&rng, files);

	for (unsigned i = 0; kind && i < files; i++) {
		const char *other = name[(begin + i) % files];

		if (strcmp(other, file) != 0 && strncmp(other, file, kind) == 0 && strcmp(strrchr(other, '.') ? strrchr(other, '.') : "", strrchr(file, '.') ? strrchr(file, '.') : "") == 0)
			return other;
	}
	return NULL;
}

/* Changes one file; how, or NULL when that is none. */
static const char *mutate(const char *file, size_t *at)
{
	static const char *const words[] = { "a flipped bit", "a flipped bit", "a byte put in", "a byte taken out", "a cut", "a removal", "another in its place" };
	static uint8_t was[FILE_BYTES_MAX], room[FILE_BYTES_MAX + 1];
	unsigned how = (unsigned)rng_below(&rng, sizeof words / sizeof words[0]);
	struct bytes old = read_file(out, file, was);
	const char *other = another(file);
	char path[400];
	size_t len = old.len;

	*at = old.len ? any_place(file, old.len) : 0;
	if (!old.len || (how == 6 && !other))
		return NULL;
	memcpy(room, was, old.len);
	if (how < 2)
		room[*at] ^= (uint8_t)(1u << rng_below(&rng, 8));
	else if (how == 2)
		memmove(room + *at + 1, was + *at, old.len - *at), len++;
	else if (how == 3)
		memmove(room + *at, was + *at + 1, old.len - *at - 1), len--;
	else if (how == 4)
		len = *at;
	else if (how == 6)
		len = read_file(out, other, room).len;
	if (len == old.len && memcmp(room, was, len) == 0)
		return NULL;
	if (how == 2)
		room[*at] = (uint8_t)(32 + rng_below(&rng, 95));
	write_file(file, bytes_of(room, len));
	snprintf(path, sizeof path, "%s/%s", copy, file);
	if (how == 5)
		assert_int_equal(unlink(path), 0);
	return words[how];
}

/* Packed lines are what they unpack to: step 4 has compared that with the entries. A key is the same in capitals, and `keys` with more blanks. */
static bool says_the_same(const char *file)
{
	static uint8_t room[2][FILE_BYTES_MAX];
	struct bytes text[2];
	char path[400];

	if (strncmp(file, "records/", 8) == 0)
		return true;
	snprintf(path, sizeof path, "%s/%s", copy, file);
	if ((strncmp(file, "keys/", 5) != 0 && !strstr(file, "/keys")) || access(path, F_OK) != 0)
		return false;
	for (unsigned i = 0; i < 2; i++) {
		struct bytes all = read_file(i ? copy : out, file, room[i]);

		text[i] = bytes_of(room[i], 0);
		for (size_t k = 0; k < all.len; k++)
			if (!strchr(" \n", room[i][k]))
				room[i][text[i].len++] = room[i][k] >= 'A' && room[i][k] <= 'F' ? room[i][k] | 0x20 : room[i][k];
	}
	return bytes_equal(text[0], text[1]);
}

static void mutations(unsigned long count)
{
	static uint8_t room[FILE_BYTES_MAX];
	unsigned long missed = 0;

	unchanged = 0;
	for (unsigned long number = 0; number < count;) {
		/* Each file in turn, from a place that the seed says. */
		const char *file = name[(seed * 7 + number * 5) % files], *steps = steps_of(file), *what;
		size_t at;
		bool by_manifest, by_step;

		what = mutate(file, &at);
		if (!what)
			continue;
		by_manifest = !steps_pass("1");
		by_step = !steps || !steps_pass(steps);
		if (!by_step && says_the_same(file))
			unchanged++, by_step = true;
		if ((!by_manifest || !by_step) && missed++ < 20)
			print_error("seed %llu, mutation %lu: %s of %s at %zu was not seen by %s\n", (unsigned long long)seed, number, what, file, at,
				    by_manifest ? "its step" : "the manifest");
		write_file(file, read_file(out, file, room));
		number++;
	}
	print_message("# seed %llu: %lu mutations, %u of them in packing that holds nothing\n", (unsigned long long)seed, count, unchanged);
	assert_int_equal(missed, 0);
	assert_true(steps_pass("1"));
}

static unsigned long asked(unsigned long otherwise)
{
	const char *text = getenv("MUTATIONS");

	return text ? strtoul(text, NULL, 10) : otherwise;
}

static void every_mutation_is_seen(void **state)
{
	assert_true(steps_pass("1"));
	assert_true(steps_pass("2 3 4 5 6 7 8 9 10 11 12 13"));
	mutations(asked(12));
}

static void every_mutation_of_a_disclosure_is_seen(void **state)
{
	assert_true(steps_pass("1 2 4 7 11 13"));
	mutations(asked(12) / 2);
}

static void every_mutation_of_many_records_is_seen(void **state)
{
	assert_true(steps_pass("1"));
	assert_true(steps_pass("2 3 4 5 6 7 8 9 10 11 12 13"));
	mutations(asked(12) / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_mutation_is_seen), cmocka_unit_test_setup(every_mutation_of_a_disclosure_is_seen, build_disclosed),
					   cmocka_unit_test_setup(every_mutation_of_many_records_is_seen, build_many) };

	seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 20261130;
	rng = rng_seeded(seed);
	return cmocka_run_group_tests_name("public", tests, build, clean_up);
}
