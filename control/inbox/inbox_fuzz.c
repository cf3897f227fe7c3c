/* inbox_fuzz.c: a hostile worker. The input is a program: each byte chooses a legal event with chosen fields, an event with chosen
 * bytes, or a scribble over the ring's own positions; a turn after every few. Nothing may crash, and no acknowledgement may run ahead.
 * One inbox and journal serve all inputs, on a tmpfs; each input begins with a hello of a new boot. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/inbox/inbox.h"
#include "control/inbox/worker_script.h"
#include "platform/os/log.h"
#include "platform/os/scratch.h"
#include "platform/os/shm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	char dir[SCRATCH_BYTES], journal_dir[80];
	void *up, *down;
	struct journal *journal;
	struct sessions *sessions;
	struct payload_keys *keys;
	struct inbox *inbox;
	struct worker_script worker;
	struct entry_clock now;
	unsigned inputs, renewals;
} f;

static const struct policy_image *host_image(void *ctx, uint64_t generation) { return NULL; }
static void host_hello(void *ctx, unsigned worker) { }
static void host_scram(void *ctx, struct session *s, const struct event_scram *e) { }
static void host_classify(void *ctx, unsigned worker, const struct event_classify *e) { }
static void host_held(void *ctx, struct session *s, const struct event_command *e, const struct policy_image *image) { s->asked_approval = true; }
static void host_rechecked(void *ctx, struct session *s, const struct event_rechecked *e, const struct policy_image *image) { }
static void host_withdrawn(void *ctx, struct session *s, uint32_t ref, enum withdraw_cause cause) { }
static void host_responded(void *ctx, struct session *s, const struct event_response *e) { }
static void host_closed(void *ctx, struct session *s, const char *cause) { }

static void host_login(void *ctx, struct session *s, const struct event_login *e)
{
	const struct principal shape = { .issuer = "corp", .iss = "i", .sub = "alice", .person = "alice" };
	const struct inbox_grant grant = { .principal = principal_create(&shape), .upstream_user = "app" };
	const struct inbox_refusal why = { .reason = "kid_unknown", .issuer = "", .kid = "", .alg = "", .claim = "", .say = "" };

	if (e->token.len && e->token.base[0] == 'n') {
		principal_put(grant.principal);
		inbox_login_refused(f.inbox, s, &why);
	} else {
		inbox_login_accepted(f.inbox, s, &grant);
	}
}

static void world_end(void)
{
	assert(scratch_remove(f.dir));
}

static void control_start(void)
{
	static const uint8_t key[32] = { 1 };
	char keys[120];
	char err[512];
	const struct journal_config journal = { .dir = f.journal_dir, .origin = "fuzz.example/journal" };
	struct inbox_config config = { .node = "f", .workers = 1, .up = &f.up, .down = &f.down, .commitment_key = key,
				       .host = { &f, host_image, host_hello, host_login, host_scram, host_classify, host_held, host_withdrawn, host_responded,
						 host_closed, host_rechecked } };

	snprintf(keys, sizeof(keys), "%s/payload-keys", f.dir);
	f.keys = payload_keys_open(keys, true, err);
	assert(f.keys);
	config.payload_keys = f.keys;
	f.journal = journal_open(&journal, f.now.wall_us, err);
	f.sessions = f.journal ? sessions_open(f.dir, journal_cursor_get(f.journal, INBOX_CURSOR_VERSION), err) : NULL;
	config.journal = f.journal;
	config.sessions = f.sessions;
	f.inbox = f.sessions ? inbox_create(&config, err) : NULL;
	assert(f.inbox);
	inbox_set_clock(f.inbox, f.now);
}

static void control_stop(void)
{
	inbox_destroy(f.inbox);
	sessions_close(f.sessions);
	payload_keys_close(f.keys);
	journal_close(f.journal);
}

static void world_begin(void)
{
	char err[OS_ERROR_BYTES];

	log_open("fuzz", LOG_LEVEL_ERROR);
	f.now = (struct entry_clock){ .wall_us = 1790000000000000ull, .mono_us = 1000000, .clk = "free" };
	assert(scratch_make(f.dir));
	atexit(world_end);
	snprintf(f.journal_dir, sizeof(f.journal_dir), "%s/journal", f.dir);
	f.up = shm_ring_open(f.dir, 0, SHM_RING_UP, err);
	f.down = shm_ring_open(f.dir, 0, SHM_RING_DOWN, err);
	assert(f.up && f.down && worker_script_init(&f.worker, f.up, f.down, 1));
	control_start();
}

/* A ring that was scribbled on is given up, as after a reboot: new rings, the same journal. */
static void new_rings(void)
{
	char path[100], err[OS_ERROR_BYTES];

	control_stop();
	worker_script_free(&f.worker);
	shm_ring_close(f.up, SHM_RING_UP);
	shm_ring_close(f.down, SHM_RING_DOWN);
	snprintf(path, sizeof(path), "%s/ring-up-0", f.dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/ring-down-0", f.dir);
	unlink(path);
	/* The journal only grows: now and then it begins anew. */
	if (++f.renewals % 100 == 0)
		assert(scratch_remove(f.dir) && mkdir(f.dir, 0700) == 0);
	f.up = shm_ring_open(f.dir, 0, SHM_RING_UP, err);
	f.down = shm_ring_open(f.dir, 0, SHM_RING_DOWN, err);
	assert(f.up && f.down && worker_script_init(&f.worker, f.up, f.down, 1));
	control_start();
}

static void turn(bool scribbled)
{
	f.now.wall_us += 1000;
	f.now.mono_us += 300000;
	assert(inbox_turn(f.inbox, f.now) != INBOX_STOPPED);
	worker_script_orders(&f.worker);
	assert(scribbled || f.worker.durable <= f.worker.position);
}

static bool one(struct reader *r, bool *scribbled)
{
	uint8_t op = reader_u8(r), which = reader_u8(r);
	struct script_flow *flow = &f.worker.flow[which % 8];
	struct bytes text = reader_bytes(r, reader_u8(r) <= r->left ? (size_t)(which % 64) : 0);

	flow->number = flow->number ? flow->number : which % 8 + 1u;
	switch (op % 12) {
	case 0: return worker_script_hello(&f.worker);
	case 1: return worker_script_open_flow(&f.worker, flow, flow->number);
	case 2: return worker_script_login(&f.worker, flow, text);
	case 3: return worker_script_command(&f.worker, flow, text, (enum command_action)(which % 4));
	case 4: return worker_script_respond(&f.worker, flow);
	case 5: return which % 2 ? worker_script_part(&f.worker, flow) : worker_script_payload(&f.worker, flow, text);
	case 6: return worker_script_close(&f.worker, flow, (enum close_cause)(which % 12));
	case 7: flow->n += which % 3; return true;
	case 8: turn(*scribbled); return true;
	case 9: f.worker.boot[0]++; return true;
	case 10:
		if (which % 16) /* seldom: new rings are slow to make */
			return true;
		*scribbled = true;
		((uint8_t *)f.up)[64 + op % 128] ^= which | 1;
		return true;
	default: return worker_script_write(&f.worker, which % 16, reader_bytes(r, r->left < 200 ? r->left : 200));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	bool scribbled = false;

	if (!f.inbox)
		world_begin();
	memset(f.worker.flow, 0, sizeof(f.worker.flow));
	f.worker.said_count = 0;
	f.worker.boot[1]++;
	if (!worker_script_hello(&f.worker))
		return 0;
	while (r.left && one(&r, &scribbled))
		;
	turn(scribbled);
	for (unsigned i = 0; i < 3; i++) {
		f.now.mono_us += 300000;
		assert(inbox_turn(f.inbox, f.now) != INBOX_STOPPED);
	}
	if (scribbled || ++f.inputs % 20000 == 0)
		new_rings();
	return 0;
}
