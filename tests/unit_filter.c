/* unit_filter.c: runs a program with no other system calls than those of a list, as systemd does for SystemCallFilter.
 *
 * usage: unit_filter LIST PROGRAM [ARGUMENT ...]     LIST: a file, one name a line; names that this kernel does not know are passed over
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	FILE *f = argc > 2 ? fopen(argv[1], "re") : NULL;
	char name[64];

	if (!filter || !f) {
		fprintf(stderr, "usage: unit_filter LIST PROGRAM [ARGUMENT ...]\n");
		return 2;
	}
	while (fscanf(f, "%63s", name) == 1) {
		int number = seccomp_syscall_resolve_name(name);

		if (number >= 0 && seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) < 0)
			return 2;
	}
	fclose(f);
	if (seccomp_load(filter) < 0)
		return 2;
	seccomp_release(filter);
	execv(argv[2], argv + 2);
	fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
	return 2;
}
