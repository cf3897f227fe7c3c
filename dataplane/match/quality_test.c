/* Precision and recall per class on generated rows with hard negatives (GOALS R7, data-classes.md 8), as a table.
 *
 *   quality_test CLASSES.hsdb rows.tsv       rows of hyperscan-rules/quality_rows.py
 *
 * A valid row counts as found when a hit covers it, also one of another class (a SIN in a column `tax_id` is masked as an SSN: nothing
 * leaks); how often it was another class is a column of the table. A hard negative counts as a false mask of whichever class hits it.
 * Thresholds: recall 0.99 where the column's name is right; recall 0.99 everywhere for classes that need no context; at most 1 false mask
 * in 1,000 hard negatives for those. Everything else is printed as it is.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/match/set.h"

enum { CONDITIONS = 6, FIELDS = 5 };

static const char *const CONDITION[CONDITIONS] = { "right", "short", "foreign", "misleading", "random", "none" };

struct score {
	unsigned rows[CONDITIONS], found[CONDITIONS], other_class, false_masks;
};

struct quality {
	struct match_set *set;
	struct match_scratch *scratch;
	struct score score[LIMIT_CLASSES];
	unsigned negatives, negatives_hit, negatives_hit_unaided;
};

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
		fprintf(stderr, "quality_test: %s: %s\n", path, err);
	return set;
}

static unsigned condition_of(const char *word)
{
	for (unsigned i = 0; i < CONDITIONS; i++)
		if (strcmp(CONDITION[i], word) == 0)
			return i;
	return CONDITIONS;
}

static bool split(char *line, char *fields[FIELDS])
{
	line[strcspn(line, "\n")] = 0;
	for (unsigned i = 0; i < FIELDS; i++) {
		fields[i] = line;
		line = strchr(line, '\t');
		if (!line)
			return i == FIELDS - 1;
		*line++ = 0;
	}
	return false;
}

/* Whether a class is a hit without context; only its bare form may need some. */
static bool is_unaided(const struct match_set *set, unsigned class)
{
	return set->blob.classes[class].alone == ALONE_YES;
}

static bool judge(struct quality *q, char *fields[FIELDS])
{
	int class = match_class_find(q->set, fields[0]);
	unsigned condition = condition_of(fields[2]);
	struct match_want want;
	struct class_bits all;
	struct match_hit hits[16];
	bool valid = fields[1][0] == '1', hit = false, unaided = false;
	size_t count;

	if (class < 0 || condition == CONDITIONS)
		return false;
	memset(&all, 0xff, sizeof all);
	want = match_want(q->set, all, bytes_str(fields[3]));
	count = match_value(q->set, q->scratch, &want, bytes_str(fields[4]), hits, 16);
	for (size_t i = 0; i < count; i++) {
		hit = hit || hits[i].class == class;
		unaided = unaided || is_unaided(q->set, hits[i].class);
		if (!valid)
			q->score[hits[i].class].false_masks++;
	}
	if (valid) {
		q->score[class].rows[condition]++;
		q->score[class].found[condition] += count > 0;
		q->score[class].other_class += count > 0 && !hit;
		return true;
	}
	q->negatives++;
	q->negatives_hit += count > 0;
	q->negatives_hit_unaided += unaided;
	return true;
}

static double share(unsigned part, unsigned whole)
{
	return whole ? (double)part / whole : 1.0;
}

static bool report(const struct quality *q)
{
	bool ok = true;

	printf("# %-18s %9s", "class", "precision");
	for (unsigned i = 0; i < CONDITIONS; i++)
		printf(" %10s", CONDITION[i]);
	printf("  as another  false masks\n");
	for (unsigned c = 0; c < match_class_count(q->set); c++) {
		const struct score *s = &q->score[c];
		unsigned rows = 0, found = 0;
		bool good;

		for (unsigned i = 0; i < CONDITIONS; i++) {
			rows += s->rows[i];
			found += s->found[i];
		}
		if (rows == 0 && s->false_masks == 0)
			continue;
		good = rows == 0 || (share(s->found[0], s->rows[0]) >= 0.99 && (!is_unaided(q->set, c) || share(found, rows) >= 0.99));
		printf("# %-18s %9.4f", match_class_name(q->set, c), share(found, found + s->false_masks));
		for (unsigned i = 0; i < CONDITIONS; i++)
			printf(" %10.4f", share(s->found[i], s->rows[i]));
		printf(" %11u %12u%s\n", s->other_class, s->false_masks, good ? "" : "   BELOW ITS THRESHOLD");
		ok = ok && good;
	}
	printf("# hard negatives: %u, with any hit %u, with a hit of a class that needs no context %u\n", q->negatives, q->negatives_hit, q->negatives_hit_unaided);
	return ok && q->negatives > 0 && q->negatives_hit_unaided * 1000 <= q->negatives;
}

int main(int argc, char **argv)
{
	static struct quality q;
	FILE *rows = argc > 2 ? fopen(argv[2], "r") : NULL;
	char *line = NULL, *fields[FIELDS];
	size_t cap = 0;
	bool ok = rows && (q.set = load(argv[1])) && (q.scratch = match_scratch_create(q.set));

	while (ok && getline(&line, &cap, rows) >= 0)
		ok = split(line, fields) && judge(&q, fields);
	printf("1..1\n");
	ok = ok && report(&q);
	printf("%s 1 - precision and recall on generated rows\n", ok ? "ok" : "not ok");
	free(line);
	if (rows)
		fclose(rows);
	match_scratch_destroy(q.scratch);
	match_set_free(q.set);
	return ok ? 0 : 1;
}
