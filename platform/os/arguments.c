#include "platform/os/arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static void usage(FILE *out, const char *program, const char *about, const char *more)
{
	fprintf(out, "Usage: %s -c FILE\n\n%s\n"
		     "  -c, --config FILE   the node's configuration (sluice.conf)\n"
		     "  -h, --help          this text\n"
		     "  -V, --version       the version\n\n%s", program, about, more);
}

const char *arguments_config(int argc, char **argv, const char *program, const char *about, const char *more)
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
			usage(stdout, program, about, more);
			exit(0);
		case 'V':
			printf("%s " SLUICE_VERSION "\n", program);
			exit(0);
		default:
			usage(stderr, program, about, more);
			exit(2);
		}
	}
	if (!file || optind != argc) {
		usage(stderr, program, about, more);
		exit(2);
	}
	return file;
}
