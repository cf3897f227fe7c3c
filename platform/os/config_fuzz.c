/* Any bytes as a configuration file: scanned, parsed, and every setting walked. */
#include <stddef.h>
#include <stdint.h>

#include "platform/os/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses the string it was reading when a syntax error follows: some bytes for each file that is refused. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_report report;
	struct config *c;

	if (!config_report_init(&report, "fuzz"))
		return 0;
	c = config_parse((const char *)data, size, &report);
	if (c) {
		const struct config_item *root = config_root(c);

		for (unsigned i = 0; config_name_at(root, i); i++) {
			const char *name = config_name_at(root, i);

			(void)config_string(c, root, name, CONFIG_REQUIRED, "");
			(void)config_strings(c, root, name, CONFIG_REQUIRED);
			(void)config_bytes(c, root, name, CONFIG_REQUIRED, 0, 1, 0);
			(void)config_int(c, root, name, CONFIG_REQUIRED, 0, 1, 0);
			(void)config_list(c, root, name, CONFIG_REQUIRED);
		}
		config_finish(c);
	}
	config_report_sort(&report);
	config_close(c);
	config_report_free(&report);
	return 0;
}
