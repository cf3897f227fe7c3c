/* sluice-control: identity, policy, approvals and the journal of one node. Reads its file, then becomes the monitor, whose child is
 * the core (node.h). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/node.h"
#include "platform/os/log.h"

static void usage(FILE *out)
{
	fprintf(out, "Usage: sluice-control -c FILE\n\n"
		     "The control process of Sluice: verifies who asks, compiles the policy, keeps held commands and the journal.\n\n"
		     "  -c, --config FILE   the node's configuration (sluice.conf)\n"
		     "  -h, --help          this text\n"
		     "  -V, --version       the version\n\n"
		     "Signals: SIGHUP reads the policy again; SIGTERM and SIGINT end it.\n"
		     "Exit status: 0 ended by a signal, 1 failed, 2 wrong usage or configuration.\n");
}

static const char *arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { 0 },
	};
	const char *file = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			file = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("sluice-control " SLUICE_VERSION);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (!file || optind != argc) {
		usage(stderr);
		exit(2);
	}
	return file;
}

int main(int argc, char **argv)
{
	char why[8192] = "";
	const char *file = arguments(argc, argv);
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
