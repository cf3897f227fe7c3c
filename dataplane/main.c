/* sluice-dataplane: ordered start, then the poll loop. Everything that needs root, a file or memory happens before the
 * loop; afterwards the process has given its privileges up, and only the main thread still opens policy images. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/snapshot.h"
#include "dataplane/tls/arena.h"
#include "dataplane/worker.h"
#include "platform/base/random.h"
#include "platform/os/log.h"
#include "platform/os/priv.h"
#include "platform/os/sandbox.h"
#include "platform/os/settings.h"
#include "platform/os/shm.h"

#define MTU_BYTES 1500
#define ARENA_BYTES (128u << 20)
#define SHARED_BYTES (64u << 20)
#define HOUSEKEEPING_US 5000

struct dataplane {
	struct settings *settings;
	struct worker worker;
	struct relay_config config;
	void *up, *down;
	uint8_t mask_key[MASK_KEY_BYTES];
	uint64_t failed_generation;
};

static struct dataplane dataplane;

static void on_signal(int number)
{
	atomic_store(&dataplane.worker.mailbox.stop, true);
}

static void usage(FILE *out)
{
	fprintf(out, "Usage: sluice-dataplane -c FILE\n\n"
		     "The packet workers of Sluice: polls the two wire ports named in FILE (sluice.conf).\n\n"
		     "  -c, --config FILE   the node's configuration\n"
		     "  -h, --help          this text\n"
		     "  -V, --version       the version\n\n"
		     "Exit status: 0 stopped by a signal, 1 failed, 2 wrong usage or configuration.\n");
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
			puts("sluice-dataplane " SLUICE_VERSION);
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

/* The key of the masks: random, and as long-lived as the run directory, so that a restart knows its own tokens. */
static bool load_mask_key(struct dataplane *d, char err[OS_ERROR_BYTES])
{
	static const uint8_t zero[MASK_KEY_BYTES];
	uint8_t *shared = shm_open_or_make(d->settings->run_dir, "mask.key", MASK_KEY_BYTES, 0600, err);

	if (!shared)
		return false;
	if (memcmp(shared, zero, sizeof zero) == 0)
		random_secret(shared, MASK_KEY_BYTES);
	memcpy(d->mask_key, shared, MASK_KEY_BYTES);
	shm_unmap(shared, MASK_KEY_BYTES);
	return true;
}

/* How many sessions fit into `bytes`. */
static uint32_t sessions_in(uint64_t bytes, uint64_t flows)
{
	size_t largest = 1;

	for (const struct inspector *const *i = inspectors; *i; i++)
		if ((*i)->session_bytes > largest)
			largest = (*i)->session_bytes;
	return (uint32_t)(bytes / largest < flows ? bytes / largest : flows);
}

static void size_memory(struct dataplane *d)
{
	uint64_t memory = d->settings->dataplane.memory_bytes, flows = d->settings->dataplane.flows;
	struct relay_config *c = &d->config;

	*c = (struct relay_config){
		.worker = 0, .flows_max = (uint32_t)flows, .sessions_max = sessions_in(memory / 2, flows),
		.chunk_memory_bytes = memory / 2, .shared_bytes = SHARED_BYTES, .mtu_bytes = MTU_BYTES, .window_bytes = 1u << 20, .lost_after_us = 30000000,
		.unnamed = d->settings->dataplane.unnamed_port == SETTINGS_UNNAMED_PASS ? RELAY_UNNAMED_PASS : RELAY_UNNAMED_DROP,
		.tunnels = d->settings->dataplane.tunnels == SETTINGS_TUNNELS_DROP ? RELAY_TUNNELS_DROP : RELAY_TUNNELS_PASS,
		.double_tags = d->settings->dataplane.double_tags == SETTINGS_DOUBLE_TAGS_DROP ? RELAY_DOUBLE_TAGS_DROP : RELAY_DOUBLE_TAGS_INSPECT,
	};
	c->buffers[0] = (uint32_t)(memory / 4 / (32u << 10));
	c->buffers[1] = (uint32_t)(memory / 8 / (256u << 10));
	c->buffers[2] = (uint32_t)(memory / 8 / (2u << 20));
	random_secret(c->boot, sizeof c->boot);
	random_secret(&c->hash_key, sizeof c->hash_key);
}

static bool start(struct dataplane *d, char err[OS_ERROR_BYTES])
{
	const struct settings *s = d->settings;
	const char *device[PORT_COUNT] = { s->dataplane.port[0], s->dataplane.port[1] };

	if (!device[0] || !device[1]) {
		snprintf(err, OS_ERROR_BYTES, "sluice.conf: no wire ports: name two in dataplane.ports");
		return false;
	}
	size_memory(d);
	d->up = shm_ring_open(s->run_dir, 0, SHM_RING_UP, err);
	d->down = d->up ? shm_ring_open(s->run_dir, 0, SHM_RING_DOWN, err) : NULL;
	if (!d->down || !load_mask_key(d, err))
		return false;
	d->worker.published = shm_open_or_make(s->run_dir, "worker-0", sizeof *d->worker.published, 0640, err);
	if (!port_start_environment("sluice-dataplane", s->dataplane.lcores, s->dataplane.eal, err, OS_ERROR_BYTES))
		return false;
	d->worker.ports = port_start(device, MTU_BYTES, err, OS_ERROR_BYTES);
	d->worker.adaptive = s->dataplane.idle == SETTINGS_IDLE_ADAPTIVE;
	return d->worker.ports != NULL;
}

static void load_wanted(struct dataplane *d, uint64_t wanted)
{
	char err[OS_ERROR_BYTES];
	const struct relay_snapshot *s = snapshot_load(d->settings->run_dir, d->worker.mailbox.file, d->mask_key, err);

	if (!s) {
		log_error("policy generation %llu: %s: the one in force stays", (unsigned long long)wanted, err);
		d->failed_generation = wanted;
		return;
	}
	log_info("policy generation %llu is in force", (unsigned long long)wanted);
	atomic_store_explicit(&d->worker.mailbox.next, s, memory_order_release);
}

/* The main thread while the worker polls: policy images in, old ones out. */
static int housekeeping(void *argument)
{
	struct dataplane *d = argument;
	struct worker_mailbox *m = &d->worker.mailbox;
	uint64_t loaded = 0;

	while (!atomic_load(&m->stop)) {
		uint64_t wanted = atomic_load_explicit(&m->wanted, memory_order_acquire);
		const struct relay_snapshot *retired = atomic_load_explicit(&m->retired, memory_order_acquire);

		if (wanted != loaded && wanted != d->failed_generation && !atomic_load(&m->next)) {
			load_wanted(d, wanted);
			loaded = wanted;
		}
		if (retired) {
			snapshot_free(retired);
			atomic_store(&m->retired, NULL);
		}
		usleep(HOUSEKEEPING_US);
	}
	return 0;
}

/* What the drivers call in the loop, and what loading a policy image takes. Landlock holds for one thread, so the worker
 * asks for it too. */
static bool confine_files(struct dataplane *d)
{
	const char *const read[] = { d->settings->run_dir, "/sys/devices/system", "/proc/meminfo", "/etc", NULL };
	const char *const write[] = { NULL };
	char err[OS_ERROR_BYTES];
	enum sandbox_result result = sandbox_files(read, write, err);

	if (result != SANDBOX_DONE)
		log_warn("%s", err);
	return result != SANDBOX_FAILED;
}

static bool confine_calls(char err[OS_ERROR_BYTES])
{
	static const char *const calls[] = { "openat", "unlink", "stat", "lstat", "access", "faccessat", "eventfd2",
		"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "prctl", /* the worker, for itself */ NULL };

	return sandbox_calls(calls, err);
}

static uint64_t wall_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* On the worker's own thread: its memory for TLS, its relay, its loop. */
static int work(void *argument)
{
	struct dataplane *d = argument;
	struct relay_wire wire = worker_wire(d->worker.ports);
	char err[OS_ERROR_BYTES];
	int rc;

	d->config.wall_offset_us = wall_us() - port_now_us();
	if (!confine_files(d)) {
		atomic_store(&d->worker.mailbox.stop, true);
		return 1;
	}
	if (!tls_arena_enter(ARENA_BYTES)) {
		log_error("worker 0: no memory for TLS: %u MiB wanted", ARENA_BYTES >> 20);
		atomic_store(&d->worker.mailbox.stop, true);
		return 1;
	}
	d->worker.relay = relay_create(&d->config, &wire, d->up, d->down, err, sizeof err);
	if (!d->worker.relay) {
		log_error("%s", err);
		atomic_store(&d->worker.mailbox.stop, true);
		return 1;
	}
	rc = worker_run(&d->worker);
	relay_destroy(d->worker.relay);
	return rc;
}

int main(int argc, char **argv)
{
	struct dataplane *d = &dataplane;
	char why[4096] = "", err[OS_ERROR_BYTES] = "";
	int rc;

	log_open("sluice-dataplane", LOG_LEVEL_INFO);
	d->settings = settings_open(arguments(argc, argv), why, sizeof why);
	if (!d->settings) {
		fprintf(stderr, "%s\n", why);
		return 2;
	}
	if (!tls_arena_install()) {
		log_error("OpenSSL was used before its memory was set up");
		return 1;
	}
	if (!start(d, err) || !priv_drop(d->settings->users.dataplane, err) || !priv_harden(err) ||
	    !confine_files(d) || !confine_calls(err)) {
		log_error("%s", err);
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	log_info("polling %s and %s", d->settings->dataplane.port[0], d->settings->dataplane.port[1]);
	rc = port_run_worker(work, d, housekeeping, d);
	if (rc < 0)
		log_error("no core for the worker: give two lcores");
	port_stop(d->worker.ports);
	log_info("stopped");
	_exit(rc == 0 ? 0 : 1); /* what DPDK does at exit takes calls that are forbidden by now */
}
