/* match_bench: bytes per second of matching with all shipped classes on one core, as JSON.
 *
 *   match_bench CLASSES.hsdb [SECONDS]
 *
 * Rows: raw Hyperscan tier one on the same buffers (the ceiling), match_any and match_value on clean text, on rows with personal
 * data in each, on batches of 16-byte cells, and on cells one by one. Context is given for every class, so nothing is skipped.
 */
#include <hs.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/match/mask.h"
#include "dataplane/match/set.h"
#include "platform/base/random.h"

#define TEXT_BYTES (1u << 20)
#define CHUNK 1024u

struct bench {
	struct match_set *set;
	struct match_scratch *scratch;
	struct match_want want;
	struct bytes text;
	size_t unit;
	size_t hits;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int nothing(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
	return 0;
}

static void run_raw(struct bench *b, struct bytes unit)
{
	hs_scan(b->set->tier_one, (const char *)unit.base, (unsigned)unit.len, 0, b->scratch->hs, nothing, NULL);
}

static void run_any(struct bench *b, struct bytes unit)
{
	b->hits += match_any(b->set, b->scratch, &b->want, unit);
}

static void run_value(struct bench *b, struct bytes unit)
{
	struct match_hit hits[64];

	b->hits += match_value(b->set, b->scratch, &b->want, unit, hits, 64);
}

/* What the data plane does: the message first, its cells only when something can be there. */
static void run_rows(struct bench *b, struct bytes unit)
{
	if (match_any(b->set, b->scratch, &b->want, unit))
		run_value(b, unit);
}

/* The same for a batch of cells. */
static void run_cells(struct bench *b, struct bytes unit)
{
	if (match_any(b->set, b->scratch, &b->want, unit))
		for (size_t at = 0; at + 16 <= unit.len; at += 16)
			run_value(b, bytes_of(unit.base + at, strnlen((const char *)unit.base + at, 16)));
}

static void measure(struct bench *b, const char *name, const char *how, void (*run)(struct bench *, struct bytes), double seconds, bool last)
{
	double start = now(), spent;
	uint64_t bytes = 0, units = 0;

	b->hits = 0;
	do {
		for (size_t at = 0; at + b->unit <= b->text.len; at += b->unit, units++)
			run(b, bytes_of(b->text.base + at, b->unit));
		bytes += b->text.len / b->unit * b->unit;
		spent = now() - start;
	} while (spent < seconds);
	printf("  {\"text\": \"%s\", \"how\": \"%s\", \"unit_bytes\": %zu, \"gbit_s\": %.3f, \"ns_per_unit\": %.1f, \"hits_per_unit\": %.3f}%s\n",
	       name, how, b->unit, (double)bytes * 8 / spent / 1e9, spent * 1e9 / (double)units, (double)b->hits / (double)units, last ? "" : ",");
}

static void fill_clean(uint8_t *text, struct rng *rng)
{
	static const char *const WORDS[] = { "the", "order", "was", "sent", "to", "warehouse", "and", "two", "items", "were", "returned", "in", "good", "state,", "colour", "blue.", "12", "7", "Item", "paid" };
	size_t len = 0;

	while (len + 16 < TEXT_BYTES)
		len += (size_t)snprintf((char *)text + len, TEXT_BYTES - len, "%s ", WORDS[rng_below(rng, sizeof WORDS / sizeof *WORDS)]);
	memset(text + len, ' ', TEXT_BYTES - len);
}

/* Rows of 128 bytes: id, name, e-mail, SSN, card, phone, amount. */
static void fill_rows(uint8_t *text, struct rng *rng)
{
	for (size_t at = 0; at + 128 <= TEXT_BYTES; at += 128) {
		char row[160];
		int len = snprintf(row, sizeof row, "%u\tanna smith\ta.smith%u@example.com\t%03u-%02u-%04u\t4111 1111 1111 1111\t+1 212-555-%04u\t%u.%02u\tnote",
				   (unsigned)rng_below(rng, 100000), (unsigned)rng_below(rng, 1000), 100 + (unsigned)rng_below(rng, 500), 10 + (unsigned)rng_below(rng, 80),
				   1 + (unsigned)rng_below(rng, 9998), (unsigned)rng_below(rng, 10000), (unsigned)rng_below(rng, 1000), (unsigned)rng_below(rng, 100));

		memset(text + at, ' ', 128);
		memcpy(text + at, row, len < 128 ? (size_t)len : 128);
	}
}

/* Cells of 16 bytes: half words, half numbers of 6 to 10 digits. */
static void fill_cells(uint8_t *text, struct rng *rng)
{
	for (size_t at = 0; at + 16 <= TEXT_BYTES; at += 16) {
		char cell[32];
		int len = rng_below(rng, 2) ? snprintf(cell, sizeof cell, "%llu", (unsigned long long)rng_below(rng, 9000000000ull) + 100000)
					    : snprintf(cell, sizeof cell, "warehouse %c", (int)('a' + rng_below(rng, 26)));

		memset(text + at, 0, 16);
		memcpy(text + at, cell, (size_t)len);
	}
}

static struct match_set *load(const char *path)
{
	static uint8_t blob[16 << 20];
	FILE *file = fopen(path, "rb");
	char err[200] = "cannot be opened";
	struct match_set *set = NULL;

	if (file) {
		set = match_set_load(blob, fread(blob, 1, sizeof blob, file), err, sizeof err);
		fclose(file);
	}
	if (!set)
		fprintf(stderr, "match_bench: %s: %s\n", path, err);
	return set;
}

int main(int argc, char **argv)
{
	static uint8_t text[TEXT_BYTES];
	struct bench b = { .set = argc > 1 ? load(argv[1]) : NULL, .text = bytes_of(text, TEXT_BYTES) };
	double seconds = argc > 2 ? atof(argv[2]) : 1.0;
	struct rng rng = rng_seeded(1);

	if (!b.set || !(b.scratch = match_scratch_create(b.set))) {
		match_set_free(b.set);
		return 1;
	}
	memset(&b.want.classes, 0xff, sizeof b.want.classes);
	b.want.context = b.want.classes;
	b.want.least = match_least(b.set, &b.want.classes);
	printf("[\n");
	b.unit = CHUNK;
	fill_clean(text, &rng);
	measure(&b, "clean", "raw tier one", run_raw, seconds, false);
	measure(&b, "clean", "match_any", run_any, seconds, false);
	measure(&b, "clean", "match_value", run_value, seconds, false);
	fill_rows(text, &rng);
	measure(&b, "personal data in every row", "raw tier one", run_raw, seconds, false);
	measure(&b, "personal data in every row", "match_any, match_value", run_rows, seconds, false);
	fill_cells(text, &rng);
	b.unit = 16;
	measure(&b, "cells", "match_value", run_value, seconds, false);
	b.unit = 4096;
	measure(&b, "cells in batches", "raw tier one", run_raw, seconds, false);
	measure(&b, "cells in batches", "match_any, match_value", run_cells, seconds, false);
	memset(&b.want.context, 0, sizeof b.want.context);
	measure(&b, "cells in batches, no context", "match_any, match_value", run_cells, seconds, true);
	printf("]\n");
	match_scratch_destroy(b.scratch);
	match_set_free(b.set);
	return 0;
}
