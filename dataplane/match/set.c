/* Loading: every part of the blob is checked before anything uses it; on any failure all is undone. */
#include "dataplane/match/set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *why(hs_error_t error)
{
	switch (error) {
	case HS_DB_VERSION_ERROR:
		return "compiled by another version of Hyperscan";
	case HS_DB_PLATFORM_ERROR:
		return "compiled for another processor: run sluice-rules compile on this machine, or with --generic";
	case HS_NOMEM:
		return "memory is short";
	default:
		return "a Hyperscan database is damaged";
	}
}

/* Hyperscan reads the bytes aligned, so they are copied first. */
static const char *load_database(struct bytes bytes, hs_database_t **out)
{
	hs_error_t error;
	char *copy;

	if (bytes.len == 0)
		return "a Hyperscan database is missing";
	copy = malloc(bytes.len);
	if (!copy)
		return "memory is short";
	memcpy(copy, bytes.base, bytes.len);
	error = hs_deserialize_database(copy, bytes.len, out);
	free(copy);
	return error == HS_SUCCESS ? NULL : why(error);
}

static void sum_up(struct match_set *set)
{
	const struct blob *blob = &set->blob;

	for (unsigned i = 0; i < blob->expressions_count; i++)
		for (unsigned w = 0; w < LIMIT_CLASSES / 64; w++)
			set->group_classes[blob->expressions[i].group].w[w] |= blob->expressions[i].classes[w];
	for (unsigned i = 0; i < blob->classes_count; i++) {
		const struct class *class = &blob->classes[i];

		if (class->shape == SHAPE_NAME) {
			class_bits_add(&set->names_only, i);
			continue;
		}
		if (class->span_max > set->longest)
			set->longest = class->span_max;
		if (class->alone != ALONE_NO)
			class_bits_add(&set->unaided, i);
		class_bits_add(packed_is(class) ? &set->packed : &set->patterned, i);
		if (packed_is(class))
			packed_index_add(&set->packed_index, i, class);
	}
}

static const char *load(struct match_set *set, const void *blob, size_t len)
{
	const char *wrong = blob_decode(bytes_of(blob, len), &set->blob);

	if (!wrong && set->blob.groups_count == 0)
		wrong = "no class has a pattern";
	if (!wrong)
		wrong = load_database(set->blob.tier_one, &set->tier_one);
	for (unsigned i = 0; !wrong && i < set->blob.groups_count; i++)
		wrong = load_database(set->blob.groups[i], &set->groups[i]);
	if (!wrong && !set_index_words(set))
		wrong = "memory is short";
	if (wrong)
		return wrong;
	/* The views into the caller's blob end here. */
	set->blob.tier_one = (struct bytes){ 0 };
	memset(set->blob.groups, 0, sizeof set->blob.groups);
	sum_up(set);
	return NULL;
}

struct match_set *match_set_load(const void *blob, size_t len, char *err, size_t err_len)
{
	struct match_set *set = calloc(1, sizeof *set);
	const char *wrong = set ? load(set, blob, len) : "memory is short";

	if (err_len)
		snprintf(err, err_len, "%s", wrong ? wrong : "");
	if (!wrong)
		return set;
	match_set_free(set);
	return NULL;
}

void match_set_free(struct match_set *set)
{
	if (!set)
		return;
	hs_free_database(set->tier_one);
	for (unsigned i = 0; i < BLOB_GROUPS; i++)
		hs_free_database(set->groups[i]);
	free(set->words);
	free(set);
}

struct match_scratch *match_scratch_create(const struct match_set *set)
{
	struct match_scratch *scratch = calloc(1, sizeof *scratch);
	bool ok = scratch && hs_alloc_scratch(set->tier_one, &scratch->hs) == HS_SUCCESS;

	for (unsigned i = 0; ok && i < set->blob.groups_count; i++)
		ok = hs_alloc_scratch(set->groups[i], &scratch->hs) == HS_SUCCESS;
	if (ok) {
		scratch->set = set;
		return scratch;
	}
	match_scratch_destroy(scratch);
	return NULL;
}

void match_scratch_destroy(struct match_scratch *scratch)
{
	if (!scratch)
		return;
	hs_free_scratch(scratch->hs);
	explicit_bzero(scratch, sizeof *scratch);
	free(scratch);
}

unsigned match_class_count(const struct match_set *set)
{
	return set->blob.classes_count;
}

const char *match_class_name(const struct match_set *set, unsigned class)
{
	return class < set->blob.classes_count ? set->blob.classes[class].name : "?";
}

static bool is_one_of(char slots[][CLASS_NAME_BYTES], const char *name)
{
	for (unsigned i = 0; i < CLASS_ALIASES; i++)
		if (slots[i][0] && strcmp(slots[i], name) == 0)
			return true;
	return false;
}

int match_class_find(const struct match_set *set, const char *name)
{
	for (unsigned i = 0; i < set->blob.classes_count; i++)
		if (strcmp(set->blob.classes[i].name, name) == 0)
			return (int)i;
	for (unsigned i = 0; i < set->blob.classes_count; i++)
		if (is_one_of((char(*)[CLASS_NAME_BYTES])set->blob.classes[i].alias, name))
			return (int)i;
	return -1;
}

bool match_class_bits(const struct match_set *set, const char *name, struct class_bits *out)
{
	int class = match_class_find(set, name);
	bool found = class >= 0;

	memset(out, 0, sizeof *out);
	if (found)
		class_bits_add(out, (unsigned)class);
	for (unsigned i = 0; i < set->blob.classes_count && !found; i++)
		if (is_one_of((char(*)[CLASS_NAME_BYTES])set->blob.classes[i].unions, name))
			class_bits_add(out, i);
	return class_bits_any(out);
}

unsigned match_class_mask_kind(const struct match_set *set, unsigned class)
{
	return class < set->blob.classes_count ? set->blob.classes[class].mask_kind : 0;
}

size_t match_longest(const struct match_set *set)
{
	return set->longest;
}
