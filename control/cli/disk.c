/* disk.c: `journal bench`: what the journal's disk can do. */
#include "control/cli/cli.h"
#include "control/journal/flush.h"

static const unsigned batches[] = { 1, 64, 256 };
#define BATCHES (sizeof(batches) / sizeof(batches[0]))

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static void bench_json(const char *dir, const struct flush_time *t)
{
	json_t *rates = json_array();

	for (size_t i = 0; i < BATCHES; i++)
		json_array_append_new(rates, json_pack("{s:i, s:I}", "batch", (int)batches[i], "records_per_s", (json_int_t)flush_rate(t, batches[i])));
	print_json(json_pack("{s:s, s:i, s:{s:f, s:f, s:f}, s:o}", "dir", dir, "rounds", (int)FLUSH_ROUNDS, "flush_us", "least", us(t->least_ns), "median",
			     us(t->median_ns), "most", us(t->most_ns), "expected", rates));
}

int cli_journal_bench(struct cli *c)
{
	char own[320], err[JOURNAL_ERROR_BYTES];
	const char *dir = c->positionals ? c->positional[0] : cli_journal_dir(c, own);
	struct flush_time t;

	if (!dir)
		return FRAME_USAGE;
	if (!flush_measure(dir, &t, err))
		return cli_fail(c, FRAME_REFUSED, "%s: name a directory on the journal's disk that you may write to", err);
	if (c->json) {
		bench_json(dir, &t);
		return FRAME_DONE;
	}
	printf("%s: the two flushes of a commit take %.0f us (median of %u; %.0f to %.0f)\n", dir, us(t.median_ns), FLUSH_ROUNDS, us(t.least_ns), us(t.most_ns));
	for (size_t i = 0; i < BATCHES; i++)
		printf("  %4u records a commit: up to %llu durable records/s\n", batches[i], (unsigned long long)flush_rate(&t, batches[i]));
	return FRAME_DONE;
}
