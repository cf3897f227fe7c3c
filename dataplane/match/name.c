/* Evidence from names: a table of all words of all classes, looked up by the hash of one to five tokens in a row.
 * A name is the agent's or the database's; the key of the hash is fixed because a collision only masks more. */
#include "dataplane/match/set.h"

#include <stdlib.h>
#include <string.h>

static const struct hash_key KEY = { 0x6e616d6573, 0x776f726473 };

static int by_hash(const void *a, const void *b)
{
	const struct set_word *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* A word without its underscores is a word too: firstname for first_name. */
static void add_word(struct match_set *set, const char *text, size_t len, unsigned class, uint8_t strength)
{
	set->words[set->words_count++] = (struct set_word){ .hash = hash64(KEY, text, len), .class = (uint16_t)class, .strength = strength };
}

bool set_index_words(struct match_set *set)
{
	unsigned total = 0;

	for (unsigned c = 0; c < set->blob.classes_count; c++)
		total += 2u * set->blob.classes[c].words_count;
	set->words = calloc(total + 1, sizeof *set->words);
	if (!set->words)
		return false;
	for (unsigned c = 0; c < set->blob.classes_count; c++)
		for (unsigned w = 0; w < set->blob.classes[c].words_count; w++) {
			const struct class_word *word = &set->blob.classes[c].words[w];
			char joined[CLASS_NAME_BYTES];
			size_t len = strlen(word->text), joined_len = 0;

			add_word(set, word->text, len, c, word->strength);
			for (size_t i = 0; i < len; i++)
				if (word->text[i] != '_')
					joined[joined_len++] = word->text[i];
			if (joined_len < len)
				add_word(set, joined, joined_len, c, word->strength);
		}
	qsort(set->words, set->words_count, sizeof *set->words, by_hash);
	return true;
}

static void look_up(const struct match_set *set, const char *text, size_t len, struct match_name *out)
{
	uint64_t hash = hash64(KEY, text, len);
	unsigned low = 0, high = set->words_count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (set->words[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < set->words_count && set->words[low].hash == hash; low++) {
		unsigned strength = set->words[low].strength;

		class_bits_add(strength == WORD_STRONG ? &out->strong : strength == WORD_WEAK ? &out->weak : &out->negative, set->words[low].class);
	}
}

void set_names(const struct match_set *set, struct bytes text, struct match_name *out)
{
	char folded[MATCH_NAME_BYTES];
	size_t len = class_fold_name(text, folded, sizeof folded);
	size_t starts[MATCH_NAME_TOKENS + 1], tokens = 0;

	for (size_t i = 0; i < len && tokens <= MATCH_NAME_TOKENS; i++)
		if (folded[i] == '_')
			starts[tokens++] = i + 1;
	for (size_t from = 0; from + 1 < tokens; from++)
		for (size_t to = from + 1; to < tokens && to - from <= MATCH_WORD_TOKENS; to++)
			look_up(set, folded + starts[from], starts[to] - 1 - starts[from], out);
}

struct match_name match_name(const struct match_set *set, struct bytes name)
{
	struct match_name out = { 0 };

	/* The end of a long name says most: schema.table.column. */
	if (name.len > MATCH_NAME_BYTES / 2)
		name = bytes_of(name.base + name.len - MATCH_NAME_BYTES / 2, MATCH_NAME_BYTES / 2);
	set_names(set, name, &out);
	for (unsigned w = 0; w < LIMIT_CLASSES / 64; w++) {
		/* A word against a class takes back what weak words said. Strong ones stay (order_phone is a phone), but where the name
		 * is all there is (ip_address is no street address). */
		out.strong.w[w] &= ~(out.negative.w[w] & set->names_only.w[w]);
		out.weak.w[w] &= ~(out.negative.w[w] | out.strong.w[w]);
	}
	return out;
}

struct match_want match_want(const struct match_set *set, struct class_bits classes, struct bytes name)
{
	struct match_name said = match_name(set, name);
	struct match_want want;

	want.classes = classes;
	want.context = class_bits_and(classes, class_bits_or(said.strong, said.weak));
	want.least = match_least(set, &classes);
	return want;
}
