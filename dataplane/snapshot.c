/* The mapping comes from another process, which could still write to it: the image is copied before it is checked. */
#include "dataplane/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

#include "platform/os/shm.h"

struct loaded {
	struct relay_snapshot snapshot; /* first: the pointer that the worker has */
	void *image;
	struct match_set *match;
	struct inspect_class classes[LIMIT_CLASSES];
};

static bool copy_image(struct loaded *l, const char *run_dir, const char *file, char err[OS_ERROR_BYTES])
{
	struct bytes mapped = shm_map(run_dir, file, LIMIT_POLICY_IMAGE_BYTES, err);

	if (!mapped.base)
		return false;
	l->image = aligned_alloc(64, (mapped.len + 63) & ~(size_t)63);
	if (l->image) {
		memcpy(l->image, mapped.base, mapped.len);
		l->snapshot.inspect.image = policy_image_open(l->image, mapped.len, err, OS_ERROR_BYTES);
	} else {
		snprintf(err, OS_ERROR_BYTES, "policy image %s: no memory", file);
	}
	shm_unmap((void *)(uintptr_t)mapped.base, mapped.len);
	return l->snapshot.inspect.image != NULL;
}

static bool load_databases(struct loaded *l, char err[OS_ERROR_BYTES])
{
	const struct policy_image *image = l->snapshot.inspect.image;
	struct bytes classes = policy_class_database(image), patterns = policy_pattern_database(image);

	l->match = match_set_load(classes.base, classes.len, err, OS_ERROR_BYTES);
	if (!l->match)
		return false;
	l->snapshot.scratch = match_scratch_create(l->match);
	if (patterns.len)
		l->snapshot.patterns = match_patterns_load(patterns.base, patterns.len, policy_counts(image).patterns, err, OS_ERROR_BYTES);
	return l->snapshot.scratch && (!patterns.len || l->snapshot.patterns);
}

struct relay_snapshot *snapshot_load(const char *run_dir, const char *file, const uint8_t mask_key[MASK_KEY_BYTES], char err[OS_ERROR_BYTES])
{
	struct loaded *l = calloc(1, sizeof *l);
	struct inspect_snapshot *s;

	if (!l)
		return NULL;
	snprintf(err, OS_ERROR_BYTES, "policy image %s: no memory", file);
	if (!copy_image(l, run_dir, file, err) || !load_databases(l, err)) {
		snapshot_free(&l->snapshot);
		return NULL;
	}
	s = &l->snapshot.inspect;
	memcpy(s->mask_key, mask_key, MASK_KEY_BYTES);
	s->match = l->match;
	s->generation = policy_generation(s->image);
	s->classes = l->classes;
	s->classes_count = policy_counts(s->image).classes;
	for (unsigned i = 0; i < s->classes_count; i++) {
		struct policy_class class = policy_class(s->image, i);

		l->classes[i].detectors = class.detectors;
		l->classes[i].mask = (struct mask){ .kind = (enum mask_kind)class.mask_kind, .key = s->mask_key };
	}
	inspect_snapshot_settle(s);
	return &l->snapshot;
}

void snapshot_free(const struct relay_snapshot *s)
{
	struct loaded *l = (struct loaded *)(uintptr_t)s;

	if (!l)
		return;
	match_patterns_free(l->snapshot.patterns);
	match_scratch_destroy(l->snapshot.scratch);
	match_set_free(l->match);
	free(l->image);
	free(l);
}
