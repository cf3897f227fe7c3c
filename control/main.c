/* sluice-control: identity, policy, approvals and the journal of one node. Reads its file, then becomes the monitor, whose child is
 * the core (node.h). */
#include <stdio.h>

#include "control/node.h"
#include "platform/os/arguments.h"
#include "platform/os/log.h"

int main(int argc, char **argv)
{
	char why[8192] = "";
	const char *file = arguments_config(argc, argv, "sluice-control",
						"The control process of Sluice: verifies who asks, compiles the policy, keeps held commands and the journal.\n",
						"Signals: SIGHUP reads the policy again; SIGTERM and SIGINT end it.\n"
						"Exit status: 0 ended by a signal, 1 failed, 2 wrong usage or configuration.\n");
	struct settings *settings;
	int status;

	log_open("sluice-control", LOG_LEVEL_INFO);
	settings = settings_open(file, why, sizeof(why));
	if (!settings) {
		fprintf(stderr, "%s\n", why);
		return 2;
	}
	status = monitor_run(settings);
	settings_close(settings);
	return status;
}
