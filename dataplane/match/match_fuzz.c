/* Matching, masking and the write-back guard on any value. The class file is found by the environment, because libFuzzer owns the
 * arguments: SLUICE_CLASSES=.../classes.hsdb match_fuzz. Without it there is nothing to do. */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/match/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct match_set *set;
static struct match_scratch *scratch;
static const uint8_t KEY[MASK_KEY_BYTES] = "0123456789abcdefghijklmnopqrstu";

static void load(void)
{
	static uint8_t blob[16 << 20];
	const char *path = getenv("SLUICE_CLASSES");
	FILE *file = path ? fopen(path, "rb") : NULL;
	char err[200] = "SLUICE_CLASSES names no file";

	if (file) {
		set = match_set_load(blob, fread(blob, 1, sizeof blob, file), err, sizeof err);
		fclose(file);
	}
	scratch = set ? match_scratch_create(set) : NULL;
	if (!scratch) {
		fprintf(stderr, "match_fuzz: %s\n", err);
		exit(77);
	}
}

static const struct mask *choose(void *ctx, unsigned class)
{
	static struct mask mask;

	mask = (struct mask){ .kind = (enum mask_kind)(*(const uint8_t *)ctx % MASK_KIND_COUNT), .key = KEY };
	return &mask;
}

/* What is known of two classes that may be passed over quickly changes nothing of what is found. */
static void try_least(struct bytes value)
{
	struct match_hit with[64], without[64];
	struct match_want want = { 0 };
	size_t count;

	for (unsigned i = 0; i < 2; i++)
		class_bits_add(&want.classes, (unsigned)match_class_find(set, i ? "email" : "payment_card"));
	try_least(value);
	count = match_value(set, scratch, &want, value, without, 64);
	want.least = match_least(set, &want.classes);
	if (match_value(set, scratch, &want, value, with, 64) != count || memcmp(with, without, count * sizeof *with) || (count && !match_any(set, scratch, &want, value)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[1 << 20];
	struct match_hit hits[64];
	struct match_want want = { 0 };
	struct bytes value;
	struct writer w = writer_of(out, sizeof out);
	size_t count;

	if (!set)
		load();
	if (size < 1 || size > sizeof out / 2)
		return 0;
	memset(&want.classes, 0xff, sizeof want.classes);
	want.context = want.classes;
	value = bytes_of(data + 1, size - 1);
	(void)match_name(set, value);
	(void)mask_present(KEY, value);
	count = match_value(set, scratch, &want, value, hits, 64);
	for (size_t i = 0; i < count; i++)
		if (hits[i].start >= hits[i].end || hits[i].end > value.len || (i && hits[i].start < hits[i - 1].end))
			abort();
	if (count && !match_any(set, scratch, &want, value))
		abort();
	mask_value(set, hits, count, choose, (void *)data, value, &w);
	if (w.ok && w.len > mask_value_bound(hits, count, value))
		abort();
	return 0;
}
