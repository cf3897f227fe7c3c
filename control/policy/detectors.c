#include "control/policy/policy.h"
#include "dataplane/match/match.h"

static bool find(const void *context, const char *name, struct class_bits *out)
{
	return match_class_bits(context, name, out);
}

struct policy_detectors policy_detectors_of_set(const struct match_set *set)
{
	return (struct policy_detectors){ .find = set ? find : NULL, .context = set };
}
