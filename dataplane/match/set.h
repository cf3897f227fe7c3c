/* set.h: the inside of a match_set and of a scratch. Private to this folder. */
#ifndef DATAPLANE_MATCH_SET_H
#define DATAPLANE_MATCH_SET_H

#include <hs.h>

#include "dataplane/match/match.h"
#include "hyperscan-rules/validate/blob.h"
#include "hyperscan-rules/validate/packed.h"
#include "platform/base/hash.h"

#define MATCH_HITS_RAW 4096      /* proved hits of one value before overlaps are resolved */
#define MATCH_FOLD_BYTES 65536   /* one window of a value that has to be folded first */
#define MATCH_NAME_BYTES 256
#define MATCH_NAME_TOKENS 32     /* tokens of one name that are looked at */
#define MATCH_WORD_TOKENS 5      /* the longest word of a class file */
#define MATCH_CONTEXT_BYTES 48   /* how far before a number a word still speaks for it */

/* One word of one class; sorted by hash for binary search. */
struct set_word {
	uint64_t hash;
	uint16_t class;
	uint8_t strength;
};

struct match_set {
	struct blob blob;
	hs_database_t *tier_one;
	hs_database_t *groups[BLOB_GROUPS];
	struct class_bits group_classes[BLOB_GROUPS];
	struct packed_index packed_index;
	struct class_bits packed;     /* found by the scanner for numbers */
	struct class_bits patterned;  /* found by Hyperscan */
	struct class_bits unaided;    /* may be a hit without context, in one form or another */
	struct class_bits names_only; /* no pattern: a column's name is all the evidence */
	struct set_word *words;
	unsigned words_count;
	size_t longest;
};

struct raw_hit {
	uint32_t start, end;
	uint16_t class;
};

struct match_scratch {
	const struct match_set *set;
	hs_scratch_t *hs;
	struct raw_hit raw[MATCH_HITS_RAW];
	unsigned raw_count;
	uint8_t folded[MATCH_FOLD_BYTES];
	uint32_t origin[MATCH_FOLD_BYTES + 1]; /* where in the value byte i of the folded text stood */
};

/* Adds the classes of which `text` (a name, or words in front of a value) holds a word. */
void set_names(const struct match_set *set, struct bytes text, struct match_name *out);

/* Builds the word table of a set; false when memory is short. */
bool set_index_words(struct match_set *set);

#endif
