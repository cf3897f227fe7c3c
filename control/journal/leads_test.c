/* What leads to evidence is as good as the evidence: page and node headers, keys and names of LMDB's trees, leaf hashes, roots, checkpoints, time
 * stamps, cosignatures, published tiles. Each bit of them, turned alone, is told by the audit. Contents of records and chunks are left out: one
 * hash stands for all their bits, and mutation_test.c turns some of them.
 *
 * BITS in the environment: how many, by SEED (150); "all": every one, some hundred thousand, and SHARE=K/N those that are K modulo N, so that N
 * processes share them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/journal/mutation_test_kit.h"

static bool leads(const struct file *f, uint64_t at)
{
	return !f->live || f->live[at] == WEIGH_LEADS;
}

static void turn(struct file *f, uint64_t at, unsigned bit)
{
	struct verify_summary s;
	struct mutation_report r;

	mutation_poke(f, at, f->bytes[at] ^ (uint8_t)(1u << bit));
	/* A cosignature whose key id became another one is told as a stranger's, whose key nobody gave: that is all that can be known of it. */
	(void)mutation_audit(&r, &s, 0);
	if (!r.first[0])
		mutation_not_seen("a flipped bit", f->name, at);
	mutation_poke(f, at, f->bytes[at]);
	mutation.number++;
}

static uint64_t turn_all(const char *share)
{
	unsigned part = 0, parts = 1;
	uint64_t all = 0;

	if (share && (sscanf(share, "%u/%u", &part, &parts) != 2 || parts == 0 || part >= parts))
		fail_msg("SHARE is K/N with K below N");
	for (unsigned i = 0; i < mutation.files; i++) {
		struct file *f = &mutation.file[i];
		uint64_t before = all;

		for (uint64_t at = 0; at < f->len; at++)
			all += leads(f, at) ? 8 : 0;
		print_message("# %s: %llu bits, a share of them %llu\n", f->name, (unsigned long long)(all - before), (unsigned long long)(all - before) / parts);
		fflush(NULL);
		all = before;
		for (uint64_t at = 0; at < f->len; at++)
			for (unsigned bit = 0; leads(f, at) && bit < 8; bit++)
				if (all++ % parts == part)
					turn(f, at, bit);
	}
	return all / parts;
}

static uint64_t turn_some(unsigned long count)
{
	while (mutation.number < count) {
		struct file *f = &mutation.file[rng_below(&mutation.rng, mutation.files)];
		uint64_t at = rng_below(&mutation.rng, f->len);

		if (leads(f, at))
			turn(f, at, (unsigned)rng_below(&mutation.rng, 8));
	}
	return count;
}

static void every_bit_is_seen(void **state)
{
	const char *bits = getenv("BITS");
	uint64_t least = bits && strcmp(bits, "all") == 0 ? turn_all(getenv("SHARE")) : turn_some(bits ? strtoul(bits, NULL, 10) : 150);

	print_message("# seed %llu: %lu bits\n", (unsigned long long)mutation.seed, mutation.number);
	assert_true(mutation.number >= least && mutation.missed == 0);
}

/* Calls `visit` with the place of each node of LMDB's pages of that kind (1 branch, 2 leaf) which lead to evidence. */
static void each_node(unsigned kind, void (*visit)(struct file *f, uint64_t at, unsigned slot))
{
	for (unsigned i = 0; i < mutation.files; i++) {
		struct file *f = &mutation.file[i];

		for (uint64_t page = 0; mutation_is_lmdb(f) && page + 4096 <= f->len; page += 4096) {
			const uint8_t *head = f->bytes + page;
			unsigned slots = f->live[page + 12] && head[10] == kind ? (unsigned)(head[12] | head[13] << 8) / 2 - 8 : 0;

			for (unsigned slot = 0; slot < slots; slot++)
				visit(f, page + (uint64_t)(head[16 + 2 * slot] | head[17 + 2 * slot] << 8), slot);
		}
	}
}

static unsigned tried;

static void replace(struct file *f, uint64_t at, int by, const char *what)
{
	struct verify_summary s;
	struct mutation_report r;

	mutation_poke(f, at, (uint8_t)(f->bytes[at] + by));
	if (mutation_audit(&r, &s, 0))
		mutation_not_seen(what, f->name, at);
	mutation_poke(f, at, f->bytes[at]);
	tried++;
}

/* The key that divides two pages, one lower and one higher: also where no key lies between, for what is looked for may (a leaf in its run). The
 * first one of a page is left out. */
static void change_divider(struct file *f, uint64_t at, unsigned slot)
{
	if (slot) {
		replace(f, at + 8, -1, "a lower divider");
		replace(f, at + 8, 1, "a higher divider");
	}
}

static void every_divider_is_held(void **state)
{
	tried = 0;
	each_node(1, change_divider);
	print_message("# %u dividers\n", tried);
	assert_true(tried > 10 && mutation.missed == 0);
}

/* Of a database, in each of its letters: also of one that is empty. A name is marked in the node's flags. */
static void change_name(struct file *f, uint64_t at, unsigned slot)
{
	unsigned len = f->bytes[at + 4] == 2 ? f->bytes[at + 6] : 0;

	for (unsigned i = 0; i < len; i++)
		replace(f, at + 8 + i, 1, "another name");
}

static void every_name_is_held(void **state)
{
	tried = 0;
	each_node(2, change_name);
	print_message("# %u letters\n", tried);
	assert_true(tried > 60 && mutation.missed == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_bit_is_seen), cmocka_unit_test(every_divider_is_held), cmocka_unit_test(every_name_is_held) };

	mutation.seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 20261201;
	return cmocka_run_group_tests_name("leads", tests, mutation_build, mutation_clean_up);
}
