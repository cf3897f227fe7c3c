/* journal_bench [--dir DIR] [--seconds S] [--record BYTES]: GOALS.md S13 as JSON on standard output.
 *
 * For batches of 1, 64 and 1,024 records: raw LMDB (one database, full durability, nothing but the bytes) and the journal (checked,
 * hashed, tree, cursors), on the same disk, one after the other; records a second, and how long a record waits for its commit
 * (p50, p99, from being handed over to the acknowledgement). Then: publishing beside the writing, and the speed of verification.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/journal/journal_fixture.h"
#include "control/journal/segment.h"
#include "control/journal/verify.h"

#define SAMPLES_MAX 4000000u

static double seconds_each = 3;
static size_t record_bytes = 400;
static uint32_t *samples;
static size_t sample_count;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static uint32_t percentile(double p)
{
	return sample_count ? samples[(size_t)((double)(sample_count - 1) * p)] : 0;
}

static void sample(uint64_t us)
{
	if (sample_count < SAMPLES_MAX)
		samples[sample_count++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static void report(const char *name, unsigned batch, uint64_t records, double seconds, bool last)
{
	qsort(samples, sample_count, sizeof *samples, ascending);
	printf("    {\"what\": \"%s\", \"batch\": %u, \"record_bytes\": %zu, \"records_per_s\": %.0f, \"commits_per_s\": %.0f, "
	       "\"ack_p50_us\": %u, \"ack_p99_us\": %u, \"ack_max_us\": %u}%s\n",
	       name, batch, record_bytes, (double)records / seconds, (double)records / batch / seconds, percentile(0.5), percentile(0.99),
	       percentile(1), last ? "" : ",");
	fflush(stdout);
	sample_count = 0;
}

/* A record of about the wanted length, different each time. */
static struct bytes make_record(uint8_t *room, size_t cap, uint64_t n)
{
	static char filler[65536];
	struct writer w = writer_of(room, cap);
	struct jcs j = jcs_of(&w);

	if (!filler[0])
		memset(filler, 'q', sizeof filler - 1);
	jcs_open(&j);
	jcs_put_uint(&j, "n", n % 50);
	jcs_key(&j, "norm");
	jcs_str(&j, bytes_of(filler, record_bytes > 90 ? record_bytes - 90 : 1));
	jcs_key(&j, "sess");
	{
		char sess[33];

		snprintf(sess, sizeof sess, "%032llx", (unsigned long long)(n / 50));
		jcs_str(&j, bytes_str(sess));
	}
	jcs_put_str(&j, "t", "cmd");
	jcs_close(&j);
	return jcs_done(&j);
}

static void must(int code, const char *what)
{
	if (code == 0)
		return;
	fprintf(stderr, "journal_bench: %s: %s\n", what, segment_error(code));
	exit(1);
}

static void bench_raw(const char *dir, unsigned batch)
{
	uint64_t key = 0, start, end;
	static uint8_t room[70000];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	mkdir(dir, 0700);
	must(segment_env_open(&env, dir, 16ull << 30, 1), "open");
	must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	must(mdb_dbi_open(txn, "entry", MDB_CREATE | MDB_INTEGERKEY, &dbi), "database");
	must(mdb_txn_commit(txn), "commit");
	start = now_ns();
	end = start + (uint64_t)(seconds_each * 1e9);
	while (now_ns() < end) {
		uint64_t handed = now_ns(), done;

		must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
		for (unsigned i = 0; i < batch; i++, key++) {
			struct bytes record = make_record(room, sizeof room, key);
			MDB_val k = { sizeof key, &key }, v = { record.len, (void *)(uintptr_t)record.base };

			must(mdb_put(txn, dbi, &k, &v, MDB_APPEND), "put");
		}
		must(mdb_txn_commit(txn), "commit");
		done = now_ns();
		sample((done - handed) / 1000);
	}
	report("raw LMDB", batch, key, (double)(now_ns() - start) / 1e9, false);
	mdb_env_close(env);
}

static uint64_t bench_journal(const char *dir, unsigned batch, bool publish, struct fixture_signer *signer)
{
	struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN };
	struct journal_signer s = fixture_signer_journal(signer);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);
	static uint8_t room[70000];
	uint64_t records = 0, start = now_ns(), end = start + (uint64_t)(seconds_each * 1e9), index;

	if (!j) {
		fprintf(stderr, "journal_bench: %s\n", err);
		exit(1);
	}
	while (now_ns() < end) {
		uint64_t handed = now_ns(), wall = FIXTURE_TIME + (handed - start) / 1000;

		for (unsigned i = 0; i < batch; i++, records++)
			if (journal_append(j, make_record(room, sizeof room, records), &index) != JOURNAL_OK)
				exit(1);
		journal_cursor_set(j, 0, records);
		if (journal_commit(j, wall) != JOURNAL_OK) {
			fprintf(stderr, "journal_bench: %s\n", journal_stopped(j));
			exit(1);
		}
		/* What comes after the commit delays the next batch: it belongs to that one's wait. */
		if (publish)
			journal_publish(j, &s, wall);
		sample((now_ns() - handed) / 1000);
	}
	report(publish ? "journal, publishing" : "journal", batch, records, (double)(now_ns() - start) / 1e9, false);
	if (publish && !journal_publish_flush(j, &s, FIXTURE_TIME + 3600000000ull, 60000))
		exit(1);
	journal_close(j);
	return records;
}

static void bench_verify(const char *dir, const struct fixture_signer *signer)
{
	struct verify_options o = { .dir = dir, .keys = &signer->keys };
	struct verify_summary summary;
	uint64_t start = now_ns();
	bool good = verify_journal(&o, &summary);
	double seconds = (double)(now_ns() - start) / 1e9;

	printf("    {\"what\": \"verify\", \"records\": %llu, \"checkpoints\": %llu, \"good\": %s, \"seconds\": %.3f, \"records_per_s\": %.0f}\n",
	       (unsigned long long)summary.size, (unsigned long long)summary.checkpoints, good ? "true" : "false", seconds,
	       (double)summary.size / seconds);
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "dir", required_argument, NULL, 'd' }, { "seconds", required_argument, NULL, 's' }, { "record", required_argument, NULL, 'r' }, { 0 },
	};
	static const unsigned batches[] = { 1, 64, 1024 };
	char dir[128] = "", path[PATH_MAX];
	struct fixture_signer signer;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'd' && (size_t)snprintf(dir, sizeof dir, "%s", optarg) < sizeof dir)
			continue;
		if (c == 's' && (seconds_each = strtod(optarg, NULL)) > 0)
			continue;
		if (c == 'r' && (record_bytes = strtoul(optarg, NULL, 10)) > 90 && record_bytes < 60000)
			continue;
		fprintf(stderr, "usage: journal_bench [--dir DIR] [--seconds S] [--record BYTES]\n");
		return 2;
	}
	if (dir[0] && setenv("TMPDIR", dir, 1) != 0)
		return 1;
	fixture_dir(dir);
	samples = malloc(SAMPLES_MAX * sizeof *samples);
	if (!samples)
		return 1;
	printf("{\n  \"row\": \"S13\",\n  \"results\": [\n");
	for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
		snprintf(path, sizeof path, "%s/raw%u", dir, batches[i]);
		bench_raw(path, batches[i]);
		fixture_remove(path);
		fixture_signer_init(&signer);
		snprintf(path, sizeof path, "%s/journal%u", dir, batches[i]);
		bench_journal(path, batches[i], false, &signer);
		fixture_remove(path);
		fixture_signer_free(&signer);
	}
	fixture_signer_init(&signer);
	snprintf(path, sizeof path, "%s/published", dir);
	bench_journal(path, 1024, true, &signer);
	bench_verify(path, &signer);
	printf("  ]\n}\n");
	fixture_signer_free(&signer);
	fixture_remove(dir);
	free(samples);
	return 0;
}
