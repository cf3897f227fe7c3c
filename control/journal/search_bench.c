/* search_bench [--dir DIR] [--records N]...: what journals of some sizes cost, as JSON on standard output: a record, beside raw LMDB; an audit;
 * a search, with the index and without.
 *
 * For each N (default 10,000 and 1,000,000; 10,000,000 takes 6 GB of DIR): writes N records of about 460 bytes to raw LMDB, then to a journal,
 * in batches of 1,024; publishes, verifies, makes the index, then asks each question as an operator would: a new reader, everything to the last match. "With the index" includes opening
 * the journal and reading the newest records, which no file covers yet. The kernel's cache is warm: the records were just written.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/journal/journal_fixture.h"
#include "control/journal/search_index.h"
#include "control/journal/segment.h"
#include "control/journal/verify.h"
#include "platform/base/random.h"

#define SIZES_MAX 8u
#define REPEAT 5u
#define BATCH 1024u

static const struct {
	const char *name;
	struct archive_filter filter;
} questions[] = {
	{ "a text in 10 records", { .text = "needle" } },
	{ "a text in none", { .text = "no such text" } },
	{ "one session", { .session = "000000000000000000000000000000c7" } },
	{ "one agent run, blocked", { .run = "run-19", .verdict = "blocked" } },
	{ "a table that 10 records read", { .target = "public.haystack" } },
	{ "one second of time", { .since = "2026-11-20T10:00:01", .until = "2026-11-20T10:00:02", .person = "p-3" } },
};
#define QUESTIONS (sizeof questions / sizeof questions[0])

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *why)
{
	fprintf(stderr, "search_bench: %s\n", why);
	exit(1);
}

static void put_text(struct jcs *j, const char *name, const char *format, uint64_t n)
{
	char text[128];

	snprintf(text, sizeof text, format, (unsigned long long)n);
	jcs_put_str(j, name, text);
}

/* 10,000 records a second; sessions of 50 records, runs of 500. Ten records of all hold the needle. */
static struct bytes make_record(uint8_t *room, size_t cap, uint64_t i, uint64_t count)
{
	struct writer w = writer_of(room, cap);
	struct jcs j = jcs_of(&w);
	struct rng rng = rng_seeded(i + 1);
	bool needle = count >= 10 && i % (count / 10) == count / 20;
	uint64_t seconds = i / 10000;
	char text[96];

	jcs_open(&j);
	jcs_key(&j, "op");
	jcs_open(&j);
	snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)rng_next(&rng), (unsigned long long)rng_next(&rng));
	jcs_put_str(&j, "h", text);
	put_text(&j, "norm", needle ? "select needle from haystack where k = %llu" : "select name, email from customers where id = %llu and note = $1", i);
	jcs_key(&j, "objs");
	jcs_open(&j);
	jcs_key(&j, "read");
	jcs_array(&j);
	jcs_str(&j, bytes_str(needle ? "public.haystack" : "public.customers"));
	jcs_array_close(&j);
	jcs_close(&j);
	jcs_close(&j);
	jcs_key(&j, "out");
	jcs_open(&j);
	jcs_put_str(&j, "verdict", i % 101 ? "forwarded" : "blocked");
	jcs_close(&j);
	put_text(&j, "sess", "%032llx", i / 50);
	jcs_put_str(&j, "svc", "shop-db");
	jcs_put_str(&j, "t", i % 2 ? "resp" : "cmd");
	snprintf(text, sizeof text, "2026-11-20T%02u:%02u:%02u.%06uZ", (unsigned)(10 + seconds / 3600), (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60),
		 (unsigned)(i % 10000 * 100));
	jcs_put_str(&j, "ts", text);
	jcs_key(&j, "who");
	jcs_open(&j);
	put_text(&j, "agent", "agent-%llu", i / 50 % 40);
	put_text(&j, "person", "p-%llu", i / 50 % 300);
	put_text(&j, "run", "run-%llu", i / 500);
	jcs_close(&j);
	jcs_close(&j);
	return jcs_done(&j);
}

/* The same records, in the same batches, into one database of LMDB with full durability: what any journal on it has to pay. */
static double fill_raw(const char *dir, uint64_t count)
{
	double start = now_s();
	uint8_t room[4096];
	MDB_env *env;
	MDB_txn *txn = NULL;
	MDB_dbi dbi;
	bool good;

	good = mkdir(dir, 0700) == 0 && segment_env_open(&env, dir, 64ull << 30, 1) == 0 && mdb_txn_begin(env, NULL, 0, &txn) == 0 &&
	       mdb_dbi_open(txn, "entry", MDB_CREATE | MDB_INTEGERKEY, &dbi) == 0 && mdb_txn_commit(txn) == 0;
	for (uint64_t i = 0; good && i < count; i++) {
		struct bytes record = make_record(room, sizeof room, i, count);
		MDB_val k = { sizeof i, &i }, v = { record.len, (void *)(uintptr_t)record.base };

		good = (i % BATCH || mdb_txn_begin(env, NULL, 0, &txn) == 0) && mdb_put(txn, dbi, &k, &v, MDB_APPEND) == 0 &&
		       (((i + 1) % BATCH && i + 1 < count) || mdb_txn_commit(txn) == 0);
	}
	if (!good)
		die("raw LMDB");
	mdb_env_close(env);
	return now_s() - start;
}

static double fill(const char *dir, uint64_t count, struct fixture_signer *signer)
{
	struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN };
	struct journal_signer s = fixture_signer_journal(signer);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);
	uint8_t room[4096];
	uint64_t index, wall;
	double start = now_s();

	if (!j)
		die(err);
	for (uint64_t i = 0; i < count; i++) {
		if (journal_append(j, make_record(room, sizeof room, i, count), &index) != JOURNAL_OK)
			die("append");
		wall = FIXTURE_TIME + i * 10;
		if (((i + 1) % BATCH == 0 || i + 1 == count) && journal_commit(j, wall) != JOURNAL_OK)
			die(journal_stopped(j));
		if ((i + 1) % BATCH == 0)
			journal_publish(j, &s, wall);
	}
	if (!journal_publish_flush(j, &s, FIXTURE_TIME + count * 10 + 10000000, 600000))
		die("publish");
	journal_close(j);
	return now_s() - start;
}

static double audit(const char *dir, uint64_t count, const struct fixture_signer *signer)
{
	struct verify_options o = { .dir = dir, .keys = &signer->keys };
	struct verify_summary summary;
	double start = now_s();

	if (!verify_journal(&o, &summary) || summary.size != count)
		die("the journal does not verify");
	return now_s() - start;
}

static double build(const char *dir)
{
	char err[ARCHIVE_ERROR_BYTES];
	double start = now_s();
	struct search_builder *b = search_builder_create(dir, err);
	enum search_step step;

	if (!b)
		die(err);
	while ((step = search_builder_step(b, NULL, NULL, err)) == SEARCH_STEP_BUILT)
		;
	if (step == SEARCH_STEP_FAILED)
		die(err);
	search_builder_destroy(b);
	return now_s() - start;
}

static double ask(const char *dir, const struct archive_filter *f, bool with_index, uint64_t *found)
{
	char err[ARCHIVE_ERROR_BYTES];
	double start = now_s();
	struct archive *a = archive_open(dir, err);
	enum archive_next next;
	uint64_t index = 0;
	struct bytes record;
	const char *why;

	if (!a || (with_index && !archive_use_index(a)))
		die(err);
	for (*found = 0; (next = archive_search(a, f, &index, 65536, &record, &why)) != ARCHIVE_END; index += next == ARCHIVE_FOUND) {
		if (next == ARCHIVE_BROKEN)
			die(why);
		*found += next == ARCHIVE_FOUND;
	}
	archive_close(a);
	return now_s() - start;
}

static int ascending(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void bench_one(const char *dir, uint64_t count, bool last)
{
	double raw = fill_raw(dir, count), wrote, verified, built;
	struct fixture_signer signer;

	fixture_remove(dir);
	fixture_signer_init(&signer);
	wrote = fill(dir, count, &signer);
	verified = audit(dir, count, &signer);
	built = build(dir);
	fixture_signer_free(&signer);
	printf("    {\"records\": %llu, \"raw_us_a_record\": %.3f, \"verify_s\": %.3f, \"write_us_a_record\": %.3f, \"index_us_a_record\": %.3f, \"index_bytes_a_record\": %.1f, \"searches\": [\n",
	       (unsigned long long)count, raw * 1e6 / (double)count, verified, wrote * 1e6 / (double)count, built * 1e6 / (double)count,
	       (double)(count / SEARCH_GROUP) * (SEARCH_HEADER_BYTES + 2097152.0) / (double)count);
	for (unsigned q = 0; q < QUESTIONS; q++) {
		double with[REPEAT], without;
		uint64_t found, same;

		for (unsigned i = 0; i < REPEAT; i++)
			with[i] = ask(dir, &questions[q].filter, true, &found);
		qsort(with, REPEAT, sizeof with[0], ascending);
		without = ask(dir, &questions[q].filter, false, &same);
		if (found != same)
			die("the index hides records");
		printf("      {\"what\": \"%s\", \"found\": %llu, \"with_ms\": %.2f, \"with_ms_most\": %.2f, \"without_ms\": %.2f}%s\n", questions[q].name,
		       (unsigned long long)found, with[REPEAT / 2] * 1e3, with[REPEAT - 1] * 1e3, without * 1e3, q + 1 < QUESTIONS ? "," : "");
		fflush(stdout);
	}
	printf("    ]}%s\n", last ? "" : ",");
}

int main(int argc, char **argv)
{
	static const struct option names[] = { { "dir", required_argument, NULL, 'd' }, { "records", required_argument, NULL, 'r' }, { 0 } };
	uint64_t size[SIZES_MAX] = { 10000, 1000000 };
	unsigned sizes = 0;
	char dir[128], path[PATH_MAX];
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'd' && setenv("TMPDIR", optarg, 1) == 0)
			continue;
		if (c == 'r' && sizes < SIZES_MAX && (size[sizes] = strtoull(optarg, NULL, 10)) > 0 && size[sizes++] <= 100000000)
			continue;
		fprintf(stderr, "usage: search_bench [--dir DIR] [--records N]...\n");
		return 2;
	}
	sizes = sizes ? sizes : 2;
	fixture_dir(dir);
	printf("{\n  \"row\": \"S13\",\n  \"results\": [\n");
	for (unsigned i = 0; i < sizes; i++) {
		snprintf(path, sizeof path, "%s/journal", dir);
		bench_one(path, size[i], i + 1 == sizes);
		fixture_remove(path);
	}
	printf("  ]\n}\n");
	fixture_remove(dir);
	return 0;
}
