#include "control/policy/policy.h"
#include "dataplane/match/match.h"
#include "dataplane/match/pattern.h"

static bool find(const void *context, const char *name, struct class_bits *out)
{
	return match_class_bits(context, name, out);
}

struct policy_detectors policy_detectors_of_set(const struct match_set *set)
{
	return (struct policy_detectors){ .find = set ? find : NULL, .context = set };
}

void policy_scan(const struct policy_image *image, struct bytes text, struct pattern_bits *hits)
{
	struct bytes blob = policy_pattern_database(image);
	struct match_patterns *patterns;
	char err[100];

	if (policy_counts(image).patterns == 0)
		return;
	patterns = match_patterns_load(blob.base, blob.len, policy_counts(image).patterns, err, sizeof err);
	if (patterns)
		(void)match_patterns_scan(patterns, text, hits->w);
	else
		memset(hits, 0xff, sizeof *hits);
	match_patterns_free(patterns);
}
