/* arguments.h: the command line that the node's daemons share: PROGRAM -c FILE, --help, --version. At start, one thread. */
#ifndef PLATFORM_OS_ARGUMENTS_H
#define PLATFORM_OS_ARGUMENTS_H

/* The path after -c. `program` is the name for --version; `about` is what --help says between the usage line and the options,
 * `more` what it says after them (exit status, signals); both end in a newline. Ends the process: status 0 after --help (on
 * stdout) and --version, 2 after wrong usage (the help on stderr). The path lives as long as `argv`. */
const char *arguments_config(int argc, char **argv, const char *program, const char *about, const char *more);

#endif
