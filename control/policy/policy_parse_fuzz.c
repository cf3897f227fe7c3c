/* Any bytes as a policy file. What the check accepts has to compile, and its image to judge. */
#include <stdlib.h>

#include "control/policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses the string it was reading when a syntax error follows: some bytes for each file that is refused. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig\n";
}

static bool find(const void *context, const char *name, struct class_bits *out)
{
	class_bits_add(out, 1);
	return name[0] != 'x';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct policy_detectors detectors = { .find = find };
	struct config_report report;
	struct policy_tree *t;
	struct verdict v;
	uint8_t *image;
	char err[200];
	size_t len;

	if (!config_report_init(&report, "fuzz"))
		return 0;
	t = policy_parse((const char *)data, size, &detectors, &report);
	if ((t == NULL) == (report.errors == 0))
		abort();
	if (t) {
		if (!policy_compile(t, (struct bytes){ 0 }, 1, &image, &len, err, sizeof err))
			abort();
		verdict_evaluate((const struct policy_image *)image, &(struct verdict_request){ 0 }, &v);
		if (v.action == COMMAND_ALLOW)
			abort();
		free(image);
	}
	policy_close(t);
	config_report_free(&report);
	return 0;
}
