/* core.c: the core's start, its loop, its end (node.h). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "control/node.h"
#include "control/node_capture.h"
#include "control/operator_verbs.h"
#include "control/operators.h"
#include "platform/base/random.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"
#include "platform/os/priv.h"
#include "platform/os/sandbox.h"
#include "platform/os/shm.h"

#define NAP_BUSY_US 50u     /* while somebody waits for records: what a command waits on average is half of it */
#define NAP_IDLE_US 1000u
#define NAP_DOUBLE_AFTER 64u /* idle turns before a nap gets longer */
#define TICK_US 1000000u
#define HELPER_TICK_US 20000u
#define FLUSH_MS 3000
#define CLOCK_HOLDOVER_US (24ull * 3600 * 1000000) /* a clock that was right a day ago is off by seconds at most */
#define DESCRIPTORS (OPERATORS_MAX + 8)

struct loop {
	struct node *n;
	int signals;
	unsigned idle_turns;
	uint64_t tick_us, helper_tick_us;
	bool failed;
};

/* --- clocks -------------------------------------------------------------------------------------------------------------- */

static uint64_t clock_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void clock_read(struct node *n)
{
	n->now.wall_us = clock_us(CLOCK_REALTIME);
	n->now.mono_us = clock_us(CLOCK_MONOTONIC);
	if ((int64_t)(n->now.wall_us / 1000000) - n->clock_checked_s >= 10 || !n->now.clk) {
		struct timex t = { 0 };
		int state = adjtimex(&t);

		const char *word = watch_clock_word(state, t.status);

		if (strcmp(word, "free") != 0)
			n->clock_good_us = n->now.mono_us;
		else if (n->clock_good_us && n->now.mono_us - n->clock_good_us < CLOCK_HOLDOVER_US)
			word = "holdover";
		n->now.clk = word;
		n->clock_checked_s = (int64_t)(n->now.wall_us / 1000000);
	}
}

void node_beat(struct node *n, bool busy)
{
	for (unsigned w = 0; w < n->settings->workers; w++)
		life_beat(&((struct ring_header *)n->down[w])->producer, busy);
}

uint64_t node_mono_ms(const struct node *n)
{
	return n->now.mono_us / 1000;
}

struct identity_clock node_identity_clock(const struct node *n)
{
	return (struct identity_clock){ .wall_s = (int64_t)(n->now.wall_us / 1000000), .mono_s = (int64_t)(n->now.mono_us / 1000000) };
}

struct approval_clock node_approval_clock(const struct node *n)
{
	return (struct approval_clock){ .wall_us = n->now.wall_us, .mono_us = n->now.mono_us, .free = !strcmp(n->now.clk, "free") };
}

/* --- records ------------------------------------------------------------------------------------------------------------- */

static void describe_pairs(struct jcs *j, const void *from)
{
	for (const char *const *pair = from; pair[0]; pair += 2)
		jcs_put_text(j, pair[0], bytes_str(pair[1]));
}

uint64_t node_record(struct node *n, const char *type, struct bytes who, const char *const *pairs)
{
	uint64_t index;
	const struct entry e = { .type = type, .who = who, .data = { describe_pairs, pairs },
				 .policy_sha256 = n->current ? policy_hash(n->current) : NULL };

	return inbox_append(n->inbox, &e, true, &index) ? index : UINT64_MAX;
}

/* --- helpers ------------------------------------------------------------------------------------------------------------- */

void node_restart_helper(struct node *n, enum helper h)
{
	uint8_t number = (uint8_t)h;

	/* Once for each life: a second request could hit the helper that the first one brought. */
	if (n->helper_asked[h])
		return;
	n->helper_asked[h] = true;
	(void)!send(n->channel, &number, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void node_helper_back(struct node *n, enum helper h)
{
	char starts[16];
	const char *const pairs[] = { "helper", helper_names[h], "starts", starts, NULL };

	if (n->helper_starts[h] <= 1)
		return;
	snprintf(starts, sizeof(starts), "%u", n->helper_starts[h]);
	log_warn("%s: is back", helper_names[h]);
	node_record(n, "node.health", (struct bytes){ 0 }, pairs);
}

static void helper_arrived(struct node *n, enum helper h, int fd)
{
	n->helper_starts[h]++;
	n->helper_asked[h] = false;
	if (h == HELPER_SIGNER) {
		node_signer_arrived(n, fd);
		return;
	}
	if (h == HELPER_EGRESS)
		egress_client_attach(n->egress, fd);
	else
		sqlparse_connect(n->sqlparse, fd, node_mono_ms(n));
	node_helper_back(n, h);
	if (h == HELPER_EGRESS)
		node_fetch(n);
}

/* What leaves by a stream is an export: its record is durable before the first message (journal.md P8). */
static void stream_arrived(struct node *n, unsigned stream, int fd)
{
	const struct settings_stream *s = stream < n->settings->stream_count ? &n->settings->stream[stream] : NULL;
	const char *const pairs[] = { "detail", s ? s->host : "", "stream", s ? s->name : "", "what", "stream", NULL };
	struct journal_state j;

	journal_state(n->journal, &j);
	if (s)
		node_record(n, "export", (struct bytes){ 0 }, pairs);
	if (!s || !feeding_take(n->feeding, stream, fd, j.size + j.pending))
		close(fd);
}

/* A helper's socket from the monitor. False: the monitor is gone. */
static bool channel_read(struct node *n)
{
	uint8_t number = 0;
	struct iovec io = { .iov_base = &number, .iov_len = 1 };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room) };
	ssize_t got = recvmsg(n->channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	int fd;

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	if (got == 0)
		return false;
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return true;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (number < HELPER_count)
		helper_arrived(n, (enum helper)number, fd);
	else
		stream_arrived(n, number - HELPER_count, fd);
	return true;
}

static void helpers_tick(struct node *n)
{
	uint64_t now_ms = node_mono_ms(n);

	node_signer_tick(n);
	sqlparse_tick(n->sqlparse, now_ms);
	if (sqlparse_lost(n->sqlparse))
		node_restart_helper(n, HELPER_SQLPARSE);
	if (egress_client_fd(n->egress) >= 0 && !egress_client_tick(n->egress, now_ms))
		node_restart_helper(n, HELPER_EGRESS);
}

/* --- start --------------------------------------------------------------------------------------------------------------- */

static bool boot_id_read(uint8_t out[16])
{
	char text[64] = "";
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	unsigned at = 0;

	if (f) {
		if (!fgets(text, sizeof(text), f))
			text[0] = 0;
		fclose(f);
	}
	for (const char *c = text; *c && at < 32; c++) {
		int value = *c >= '0' && *c <= '9' ? *c - '0' : *c >= 'a' && *c <= 'f' ? *c - 'a' + 10 : -1;

		if (value < 0)
			continue;
		out[at / 2] = (uint8_t)(at % 2 ? out[at / 2] | value : value << 4);
		at++;
	}
	return at == 32;
}

/* What needs privileges: keys, credentials, rings. */
static bool start_privileged(struct node *n, char err[OS_ERROR_BYTES])
{
	const struct settings *s = n->settings;
	char keys[320];
	bool made;

	snprintf(keys, sizeof(keys), "%s/keys", s->state_dir);
	n->ca = ca_open(keys, s->node, (int64_t)(n->now.wall_us / 1000000), &made, err);
	n->export_key = n->ca ? export_key_open(keys, true, err) : NULL;
	if (!n->export_key || !ca_commitment_key(keys, n->commitment_key, err) || !node_login_start(n, err) || !node_certificates_read(n, err) ||
	    !node_anchors_read(n, err) || !node_rotate_open(n))
		return false;
	if (made)
		log_info("certificate authority: made in %s; agents trust %s/ca.pem", keys, s->run_dir);
	for (unsigned w = 0; w < s->workers; w++) {
		n->up[w] = shm_ring_open(s->run_dir, w, SHM_RING_UP, err);
		n->down[w] = n->up[w] ? shm_ring_open(s->run_dir, w, SHM_RING_DOWN, err) : NULL;
		if (!n->down[w])
			return false;
	}
	if (!node_capture_map(n, err))
		return false;
	return shm_publish(s->run_dir, "ca.pem", ca_pem(n->ca), 0644, err);
}

static bool start_journal(struct node *n, char err[OS_ERROR_BYTES])
{
	char dir[320];
	const struct journal_config config = { .dir = dir, .origin = n->settings->origin, .reserve = true };
	struct journal_state state;

	snprintf(dir, sizeof(dir), "%s/journal", n->settings->state_dir);
	n->journal = journal_open(&config, n->now.wall_us, err);
	if (!n->journal)
		return false;
	journal_state(n->journal, &state);
	n->first_start = state.size == 0 && flush_measure(dir, &n->flush, err);
	if (state.size == 0 && !n->first_start)
		log_warn("%s", err);
	n->journal_signer = node_signer_journal(n);
	snprintf(dir, sizeof(dir), "%s/payload-keys", n->settings->state_dir);
	n->payload_keys = payload_keys_open(dir, true, err);
	if (!n->payload_keys)
		return false;
	n->sessions = sessions_open(n->settings->run_dir, journal_cursor_get(n->journal, INBOX_CURSOR_VERSION), err);
	return n->sessions != NULL;
}

static bool start_inbox(struct node *n, char err[OS_ERROR_BYTES])
{
	struct inbox_config config = { .node = n->settings->node, .workers = n->settings->workers, .up = n->up, .down = n->down,
				       .journal = n->journal, .sessions = n->sessions, .payload_keys = n->payload_keys, .commitment_key = n->commitment_key,
				       .host = { n, node_image, node_hello, node_login, node_scram, node_classify, node_held, node_withdrawn,
						 node_responded, node_closed, node_rechecked } };
	const struct approval_host host = node_approval_host(n);

	if (!boot_id_read(config.machine_boot))
		random_secret(config.machine_boot, 16);
	memcpy(n->machine_boot, config.machine_boot, sizeof(n->machine_boot));
	n->inbox = inbox_create(&config, err);
	n->approvals = approvals_create(&host, n->settings->node, n->settings->origin);
	if (!n->inbox || !n->approvals)
		return false;
	inbox_set_clock(n->inbox, n->now);
	return true;
}

static bool start_clients(struct node *n, char err[OS_ERROR_BYTES])
{
	const struct sqlparse_sink sink = { .answered = node_classified, .context = n };
	char journal[320], payload_keys[320], captures[320];

	n->egress = egress_client_create(node_egress_answer, n);
	n->sqlparse = sqlparse_client_create(sink, 0);
	n->question = calloc(NODE_QUESTIONS, sizeof(*n->question));
	n->closed = calloc(NODE_CLOSED, sizeof(*n->closed));
	snprintf(journal, sizeof(journal), "%s/journal", n->settings->state_dir);
	snprintf(payload_keys, sizeof(payload_keys), "%s/payload-keys", n->settings->state_dir);
	snprintf(captures, sizeof(captures), "%s/captures", n->settings->state_dir);
	n->readings = readings_create(journal, payload_keys, captures, n->export_key, err);
	n->indexing = n->readings ? indexing_create(journal, err) : NULL;
	n->feeding = n->indexing ? feeding_create(journal, n->settings, err) : NULL;
	n->operators = n->feeding ? operators_create(n, err) : NULL;
	return n->egress && n->sqlparse && n->question && n->closed && n->operators;
}

static bool confine(struct node *n, char err[OS_ERROR_BYTES])
{
	static const char *const calls[] = {
		"openat", "unlink", "unlinkat", "rmdir", "rename", "renameat", "renameat2", "linkat", "mkdir", "mkdirat", "getdents64", "access", "faccessat",
		"faccessat2", "readlink", "fallocate", "ftruncate", "fsync", "fdatasync", "syncfs", "sync_file_range", "flock", "statfs", "fstatfs", "stat", "lstat",
		"chmod", "fchmod", "fchmodat", "fchown", "accept4", "kill", "adjtimex", "clock_adjtime", "socket", "connect", "getppid", "getcwd", "mincore", "lseek",
		NULL,
	};
	char journal[320], payload_keys[320], captures[320], policy[320], *slash;
	const char *const read[] = { policy, n->settings->credentials, n->settings->classes, "/proc/sys/kernel", "/etc", "/usr/share/zoneinfo", NULL };
	const char *const write[] = { journal, payload_keys, captures, n->settings->run_dir, NULL };

	snprintf(journal, sizeof(journal), "%s/journal", n->settings->state_dir);
	snprintf(payload_keys, sizeof(payload_keys), "%s/payload-keys", n->settings->state_dir);
	snprintf(captures, sizeof(captures), "%s/captures", n->settings->state_dir);
	snprintf(policy, sizeof(policy), "%s", n->settings->policy);
	slash = strrchr(policy, '/');
	*(slash == policy ? slash + 1 : slash) = 0;
	return sandbox_enter(read, write, calls, err);
}

/* From now on the workers know that somebody is here; and know it at once when not. */
static bool life_start(struct node *n, char *err, size_t err_size)
{
	for (unsigned w = 0; w < n->settings->workers; w++) {
		if (!life_begin(&((struct ring_header *)n->down[w])->producer)) {
			snprintf(err, err_size, "ring-down-%u: its sign of life cannot be made: remove the file and start again", w);
			return false;
		}
	}
	return true;
}

/* What the disk of this installation can do, once for all (journal.md 6). */
static void disk_told(struct node *n)
{
	char flush_us[24], one[24], many[24];
	const char *const pairs[] = { "flush_us", flush_us, "records_per_s_batch_1", one, "records_per_s_batch_256", many, NULL };

	snprintf(flush_us, sizeof(flush_us), "%llu", (unsigned long long)(n->flush.median_ns / 1000));
	snprintf(one, sizeof(one), "%llu", (unsigned long long)flush_rate(&n->flush, 1));
	snprintf(many, sizeof(many), "%llu", (unsigned long long)flush_rate(&n->flush, 256));
	log_info("journal: the two flushes of a commit take %s us on this disk: at most %s commits/s", flush_us, one);
	node_record(n, "node.health", (struct bytes){ 0 }, pairs);
}

static bool start(struct node *n, char *err, size_t err_size)
{
	char why[OS_ERROR_BYTES] = "out of memory";
	static const char *const pairs[] = { "program", "sluice-control", "version", SLUICE_VERSION, NULL };
	bool good;

	random_secret(n->boot, sizeof(n->boot));
	n->started_us = n->now.wall_us;
	n->started_mono_us = n->now.mono_us;
	good = start_privileged(n, why) && priv_drop(n->settings->users.control, why) && priv_harden(why) && start_journal(n, why) &&
	       node_runs_begin(n, why) && node_holds_begin(n, why) && start_inbox(n, why) && node_capture_prepare(n, why) && start_clients(n, why);
	if (!good) {
		snprintf(err, err_size, "%s", why);
		return false;
	}
	node_record(n, "node.boot", (struct bytes){ 0 }, pairs);
	if (n->first_start)
		disk_told(n);
	node_journal_begun(n);
	node_erase_start(n);
	node_anchors_begin(n);
	for (unsigned w = 0; w < n->settings->workers; w++)
		node_orders_control(n, w);
	if (!node_capture_start(n, why) || !node_approvals_rebuild(n, why) || !confine(n, why)) {
		snprintf(err, err_size, "%s", why);
		return false;
	}
	if (!node_policy_start(n, err, err_size))
		return false;
	/* Without a policy the node stands and blocks; a reload can bring one. */
	if (!node_policy_load(n, NULL, err, err_size))
		log_error("policy: not loaded, everything guarded is blocked: %s", err);
	approvals_restarted(n->approvals, node_approval_clock(n));
	node_login_restarted(n);
	return life_start(n, err, err_size);
}

/* --- the loop ------------------------------------------------------------------------------------------------------------ */

static void signals_read(struct loop *l)
{
	struct signalfd_siginfo info;

	while (read(l->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			l->n->reload = true;
		else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			l->n->ending = true;
	}
}

/* Not longer than until the open batch is due. */
static unsigned nap_until_due(const struct node *n, unsigned nap_us)
{
	uint64_t due_us = inbox_due_us(n->inbox), now_us = clock_us(CLOCK_MONOTONIC);

	if (!due_us || due_us >= now_us + nap_us)
		return nap_us;
	return due_us > now_us ? (unsigned)(due_us - now_us) : 0;
}

/* Sleeps until something can be read, or until the rings are due to be looked at. */
static bool wait_for_something(struct loop *l, bool busy)
{
	struct node *n = l->n;
	struct pollfd fds[DESCRIPTORS];
	unsigned count = operators_poll(n->operators, fds);
	unsigned nap = sessions_count(n->sessions) || sqlparse_open_requests(n->sqlparse) ? NAP_BUSY_US : NAP_IDLE_US;
	struct timespec time = { 0 };

	l->idle_turns = busy ? 0 : l->idle_turns + 1;
	for (unsigned turns = l->idle_turns; turns > NAP_DOUBLE_AFTER && nap < NAP_IDLE_US; turns /= 2)
		nap *= 2;
	time.tv_nsec = busy ? 0 : nap_until_due(n, nap < NAP_IDLE_US ? nap : NAP_IDLE_US) * 1000;
	fds[count++] = (struct pollfd){ .fd = l->signals, .events = POLLIN };
	fds[count++] = (struct pollfd){ .fd = n->channel, .events = POLLIN };
	fds[count++] = (struct pollfd){ .fd = egress_client_fd(n->egress), .events = egress_client_events(n->egress) };
	fds[count++] = (struct pollfd){ .fd = sqlparse_fd(n->sqlparse), .events = POLLIN | (sqlparse_wants_write(n->sqlparse) ? POLLOUT : 0) };
	return ppoll(fds, count, &time, NULL) > 0;
}

static bool descriptors_read(struct loop *l)
{
	struct node *n = l->n;

	signals_read(l);
	if (!channel_read(n))
		return false;
	if (egress_client_fd(n->egress) >= 0 && !egress_client_ready(n->egress)) {
		log_warn("sluice-egress: lost; key sets wait");
		node_restart_helper(n, HELPER_EGRESS);
	}
	if (sqlparse_fd(n->sqlparse) >= 0) {
		sqlparse_readable(n->sqlparse, node_mono_ms(n));
		if (sqlparse_fd(n->sqlparse) >= 0 && sqlparse_wants_write(n->sqlparse))
			sqlparse_writable(n->sqlparse, node_mono_ms(n));
	}
	operators_ready(n->operators);
	return true;
}

static void workers_look(struct node *n)
{
	for (unsigned w = 0; w < n->settings->workers; w++) {
		uint64_t beat = life_beats(&((const struct ring_header *)n->up[w])->producer);

		if (beat != n->worker[w].beat || !n->worker[w].seen_us)
			n->worker[w].seen_us = n->now.mono_us;
		n->worker[w].beat = beat;
	}
}

static void timers(struct loop *l)
{
	struct node *n = l->n;
	char err[4096];

	if (n->now.mono_us - l->helper_tick_us >= HELPER_TICK_US) {
		l->helper_tick_us = n->now.mono_us;
		helpers_tick(n);
		node_capture_tick(n);
		node_holds_tick(n);
		node_deeds_tick(n);
		node_rotate_tick(n);
		operation_readings_ended(n);
	}
	if (n->reload) {
		n->reload = false;
		if (!node_policy_load(n, NULL, err, sizeof(err)))
			log_error("policy: not taken, the one in force stays: %s", err);
	}
	if (n->now.mono_us - l->tick_us < TICK_US)
		return;
	l->tick_us = n->now.mono_us;
	node_approvals_tick(n);
	node_login_tick(n);
	node_check_sessions(n, false);
	node_certificates_tick(n);
	node_journal_look(n);
	node_clock_look(n);
	node_news_look(n);
	workers_look(n);
	node_retention_tick(n);
	node_anchors_tick(n);
}

static void turns(struct loop *l)
{
	struct node *n = l->n;
	bool busy = true;

	while (!n->ending && !l->failed) {
		bool ready = wait_for_something(l, busy);
		enum inbox_result result;

		clock_read(n);
		node_beat(n, false);
		inbox_set_clock(n->inbox, n->now);
		if (ready && !descriptors_read(l)) {
			log_error("monitor: gone: ending");
			l->failed = true;
			break;
		}
		timers(l);
		if ((unsigned)journal_level(n->journal) != n->watch.level)
			node_journal_look(n);
		result = inbox_turn(n->inbox, n->now);
		if (result == INBOX_STOPPED) {
			const char *why = journal_stopped(n->journal) ? journal_stopped(n->journal) : "a record was refused";

			log_error("journal: stopped (%s): starting again", why);
			node_journal_failed(n, why);
			l->failed = true;
			break;
		}
		node_deeds_commit(n);
		node_retention_commit(n);
		node_capture_commit(n);
		if (!node_erase_commit(n)) {
			l->failed = true;
			break;
		}
		approvals_durable(n->approvals);
		operators_flush(n->operators);
		busy = result == INBOX_BUSY;
		if (!node_anchors_fork(n))
			/* A key in a token may take its time, and a thread that only waits for it must not turn. */
			busy |= journal_publish(n->journal, &n->journal_signer, n->now.wall_us) && !journal_publish_waits(n->journal);
	}
}

static void end(struct node *n)
{
	static const char *const pairs[] = { "program", "sluice-control", "state", "ended", NULL };

	if (n->inbox) {
		node_capture_end(n);
		node_record(n, "node.health", (struct bytes){ 0 }, pairs);
		(void)inbox_turn(n->inbox, n->now);
	}
	if (n->journal && !node_anchors_fork(n) && !journal_publish_flush(n->journal, &n->journal_signer, n->now.wall_us, FLUSH_MS))
		log_warn("journal: the last records have no checkpoint yet: the next start signs them");
}

static void close_all(struct node *n)
{
	operators_destroy(n->operators);
	readings_destroy(n->readings);
	node_capture_close(n);
	indexing_destroy(n->indexing);
	feeding_destroy(n->feeding);
	approvals_destroy(n->approvals);
	inbox_destroy(n->inbox);
	sessions_close(n->sessions);
	payload_keys_close(n->payload_keys);
	holds_destroy(n->holds);
	journal_close(n->journal);
	egress_client_destroy(n->egress);
	sqlparse_client_destroy(n->sqlparse);
	node_login_close(n);
	node_anchors_close(n);
	node_rotate_close(n);
	node_certificates_close(n);
	node_policy_close(n);
	ca_close(n->ca);
	export_key_close(n->export_key);
	free(n->question);
	free(n->closed);
	secret_wipe(n->commitment_key, sizeof(n->commitment_key));
}

static bool signals_take(struct loop *l)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);
	l->signals = sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) : -1;
	/* Naps of 50 us are worth something only when the kernel does not stretch them. */
	prctl(PR_SET_TIMERSLACK, 1000UL);
	return l->signals >= 0;
}

int core_run(struct settings *settings, int channel)
{
	static struct node node;
	struct loop loop = { .n = &node };
	char err[8192] = "cannot start";

	node = (struct node){ .settings = settings, .channel = channel, .signer_fd = -1, .signer_fd_greeted = -1 };
	node.signer.fd = node.signer_greeted.fd = -1;
	clock_read(&node);
	if (!signals_take(&loop) || !start(&node, err, sizeof(err))) {
		log_error("%s", err);
		return 1;
	}
	log_info("node %s: journal of %s", settings->node, settings->origin);
	turns(&loop);
	if (!loop.failed)
		end(&node);
	close_all(&node);
	log_info("ended");
	return loop.failed ? 1 : 0;
}
