#include "platform/os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/os/asked.h"
#include "platform/os/priv.h"

#define CHILD_FD 3
#define BACKOFF_FIRST_MS 100u
#define BACKOFF_LAST_MS 5000u
#define STEADY_MS 60000u
#define STATUS_NO_EXEC 127
#define STATUS_NO_USER 126

static void fell(struct child *c, uint64_t now_ms)
{
	uint64_t wait = BACKOFF_FIRST_MS;

	if (now_ms - c->started_ms >= STEADY_MS)
		c->falls = 0;
	for (unsigned i = 0; i < c->falls && wait < BACKOFF_LAST_MS; i++)
		wait *= 2;
	c->falls++;
	c->due_ms = now_ms + (wait < BACKOFF_LAST_MS ? wait : BACKOFF_LAST_MS);
}

/* In the child, between fork and exec. Never returns. */
static _Noreturn void become(const struct child *c, int fd, pid_t parent)
{
	char *const empty[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC", NULL };
	char err[OS_ERROR_BYTES];
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A terminal's Ctrl-C is for the supervisor, who ends its children in order. */
	setpgid(0, 0);
	if (getppid() != parent)
		_exit(STATUS_NO_EXEC);
	if (c->output > 0 && (dup2(c->output, STDOUT_FILENO) < 0 || dup2(c->output, STDERR_FILENO) < 0))
		_exit(STATUS_NO_EXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || (fd >= 0 && fd != CHILD_FD && dup2(fd, CHILD_FD) < 0))
		_exit(STATUS_NO_EXEC);
	if (fd == CHILD_FD)
		fcntl(CHILD_FD, F_SETFD, 0);
	syscall(SYS_close_range, fd >= 0 ? CHILD_FD + 1 : CHILD_FD, ~0u, 0);
	if (c->user && !priv_drop(c->user, err))
		_exit(STATUS_NO_USER);
	/* Changing user clears it, so it is asked for again. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(STATUS_NO_EXEC);
	if (c->keep_environment)
		execv(c->program, (char *const *)c->argv);
	else
		execve(c->program, (char *const *)c->argv, empty);
	_exit(STATUS_NO_EXEC);
}

static bool ask(struct child *c, uint64_t now_ms, int *fd, char err[OS_ERROR_BYTES])
{
	int connection = asked_connect(c->at, c->argv, err);

	c->pidfd = connection >= 0 ? fcntl(connection, F_DUPFD_CLOEXEC, 0) : -1;
	if (c->pidfd >= 0) {
		*fd = connection;
		return true;
	}
	if (connection >= 0) {
		snprintf(err, OS_ERROR_BYTES, "%.80s: %.60s: raise the limit of open files", c->at, strerror(errno));
		close(connection);
	}
	fell(c, now_ms);
	return false;
}

bool child_start(struct child *c, uint64_t now_ms, int *fd, char err[OS_ERROR_BYTES])
{
	int pair[2] = { -1, -1 };
	pid_t parent = getpid();

	c->started_ms = now_ms;
	if (c->at)
		return ask(c, now_ms, fd, err);
	if (c->socket != CHILD_NO_SOCKET &&
	    socketpair(AF_UNIX, (c->socket == CHILD_STREAM ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC, 0, pair) < 0) {
		snprintf(err, OS_ERROR_BYTES, "%.80s: %.60s: raise the limit of open files", c->program, strerror(errno));
		fell(c, now_ms);
		return false;
	}
	c->pid = fork();
	if (c->pid == 0)
		become(c, pair[1], parent);
	if (pair[1] >= 0)
		close(pair[1]);
	c->pidfd = c->pid > 0 ? (int)syscall(SYS_pidfd_open, c->pid, 0) : -1;
	if (c->pidfd < 0) {
		snprintf(err, OS_ERROR_BYTES, "%.80s: %.60s: raise the limit of processes", c->program, strerror(errno));
		if (c->pid > 0) {
			kill(c->pid, SIGKILL);
			waitpid(c->pid, NULL, 0);
		}
		if (pair[0] >= 0)
			close(pair[0]);
		fell(c, now_ms);
		return false;
	}
	fcntl(c->pidfd, F_SETFD, FD_CLOEXEC);
	if (fd)
		*fd = pair[0];
	return true;
}

short child_events(const struct child *c)
{
	return c->at ? POLLRDHUP : POLLIN;
}

static bool connection_over(const struct child *c)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1;
}

bool child_reap(struct child *c, uint64_t now_ms, char how[OS_ERROR_BYTES])
{
	int status;

	if (c->at) {
		if (c->pidfd < 0 || !connection_over(c))
			return false;
		snprintf(how, OS_ERROR_BYTES, "its connection is over");
		close(c->pidfd);
		c->pidfd = -1;
		fell(c, now_ms);
		return true;
	}
	if (c->pidfd < 0 || waitpid(c->pid, &status, WNOHANG) != c->pid)
		return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_NO_EXEC)
		snprintf(how, OS_ERROR_BYTES, "%.120s cannot be run: check that it is installed", c->program);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_NO_USER)
		snprintf(how, OS_ERROR_BYTES, "its user %.60s cannot be taken", c->user);
	else if (WIFEXITED(status))
		snprintf(how, OS_ERROR_BYTES, "exit status %d", WEXITSTATUS(status));
	else
		snprintf(how, OS_ERROR_BYTES, "signal %d", WTERMSIG(status));
	close(c->pidfd);
	c->pidfd = -1;
	fell(c, now_ms);
	return true;
}

uint64_t child_due(const struct child *c, uint64_t now_ms)
{
	return c->due_ms > now_ms ? c->due_ms - now_ms : 0;
}

void child_signal(const struct child *c, int signal)
{
	if (c->at && c->pidfd >= 0)
		shutdown(c->pidfd, SHUT_RDWR);
	else if (c->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, c->pidfd, signal, NULL, 0);
}
