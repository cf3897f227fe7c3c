#include "control/inbox/inbox_kit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "platform/contract/policy_write.h"
#include "platform/os/shm.h"

#define SETTLES_WITHIN 1000 /* turns */

/* --- the host: everybody is let in, unless the test does it itself --------------------------------------------------------- */

static const struct policy_image *host_image(void *ctx, uint64_t generation) { return ((struct inbox_kit *)ctx)->image; }
static void host_hello(void *ctx, unsigned worker) { ((struct inbox_kit *)ctx)->hellos++; }
static void host_scram(void *ctx, struct session *s, const struct event_scram *e) { }
static void host_classify(void *ctx, unsigned worker, const struct event_classify *e) { }
static void host_held(void *ctx, struct session *s, const struct event_command *e, const struct policy_image *image) { }
static void host_rechecked(void *ctx, struct session *s, const struct event_rechecked *e, const struct policy_image *image) { }
static void host_withdrawn(void *ctx, struct session *s, uint32_t ref, enum withdraw_cause cause) { }
static void host_responded(void *ctx, struct session *s, const struct event_response *e) { }
static void host_closed(void *ctx, struct session *s, const char *cause) { }

void inbox_kit_let_in(struct inbox_kit *k, struct session *s)
{
	const struct principal shape = { .issuer = "corp", .iss = "https://idp.example", .sub = "alice", .person = "alice", .agent = "agent-7", .run = "run-1",
					 .groups = { "agents" }, .groups_count = 1, .exp_s = 1800000000, .end_s = 1800000030 };
	const struct inbox_grant grant = { .principal = principal_create(&shape), .upstream_user = "app" };

	inbox_login_accepted(k->inbox, s, &grant);
}

static void host_login(void *ctx, struct session *s, const struct event_login *e)
{
	struct inbox_kit *k = ctx;

	if (k->login)
		k->login(k, s);
	else
		inbox_kit_let_in(k, s);
}

/* --- set-up ---------------------------------------------------------------------------------------------------------------- */

bool inbox_kit_make(struct inbox_kit *k)
{
	memset(k, 0, sizeof(*k));
	if (!scratch_make(k->dir))
		return false;
	snprintf(k->run, sizeof(k->run), "%s/run", k->dir);
	snprintf(k->journal_dir, sizeof(k->journal_dir), "%s/journal", k->dir);
	snprintf(k->keys_dir, sizeof(k->keys_dir), "%s/payload-keys", k->dir);
	if (mkdir(k->run, 0700) < 0)
		return false;
	k->up = shm_ring_open(k->run, 0, SHM_RING_UP, k->err);
	k->down = shm_ring_open(k->run, 0, SHM_RING_DOWN, k->err);
	return k->up && k->down && worker_script_init(&k->worker, k->up, k->down, 42);
}

bool inbox_kit_free(struct inbox_kit *k)
{
	inbox_kit_stop(k);
	worker_script_free(&k->worker);
	if (k->up)
		shm_ring_close(k->up, SHM_RING_UP);
	if (k->down)
		shm_ring_close(k->down, SHM_RING_DOWN);
	return k->dir[0] && scratch_remove(k->dir);
}

bool inbox_kit_start(struct inbox_kit *k, const struct journal_config *how)
{
	static const uint8_t key[32] = { 1 };
	struct journal_config journal = how ? *how : (struct journal_config){ 0 };
	struct inbox_config config = { .node = "t", .workers = 1, .up = &k->up, .down = &k->down, .commitment_key = key,
				       .host = { k, host_image, host_hello, host_login, host_scram, host_classify, host_held, host_withdrawn, host_responded,
						 host_closed, host_rechecked } };

	journal.dir = k->journal_dir;
	journal.origin = INBOX_KIT_ORIGIN;
	k->now = (struct entry_clock){ .wall_us = INBOX_KIT_US, .mono_us = 1, .clk = "free" };
	k->keys = payload_keys_open(k->keys_dir, true, k->err);
	k->journal = k->keys ? journal_open(&journal, INBOX_KIT_US, k->err) : NULL;
	k->sessions = k->journal ? sessions_open(k->run, journal_cursor_get(k->journal, INBOX_CURSOR_VERSION), k->err) : NULL;
	config.payload_keys = k->keys;
	config.journal = k->journal;
	config.sessions = k->sessions;
	k->inbox = k->sessions ? inbox_create(&config, k->err) : NULL;
	if (k->inbox)
		inbox_set_clock(k->inbox, k->now);
	return k->inbox != NULL;
}

void inbox_kit_stop(struct inbox_kit *k)
{
	inbox_destroy(k->inbox);
	sessions_close(k->sessions);
	payload_keys_close(k->keys);
	journal_close(k->journal);
	k->inbox = NULL;
	k->sessions = NULL;
	k->keys = NULL;
	k->journal = NULL;
}

bool inbox_kit_policy(struct inbox_kit *k, enum policy_audit audit, enum policy_journal_full full)
{
	const struct spec_listener listener = { .family = 4, .address = { 192, 0, 2, 1 }, .port = 5432 };
	const struct spec_service service = { .name = "shop", .protocol_word = "postgres", .protocol = POLICY_PROTOCOL_OTHER, .audit = audit, .on_journal_full = full,
					      .record = POLICY_RECORD_FULL, .listeners = &listener, .listeners_count = 1 };
	const struct policy_spec spec = { .name = "t", .generation = 1, .services = &service, .services_count = 1,
					  .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE } };
	struct bytes image = policy_image_write(&spec, k->policy[audit], sizeof(k->policy[audit]));

	k->image = policy_image_open(k->policy[audit], image.len, k->err, sizeof(k->err));
	return k->image != NULL;
}

/* --- what happens ---------------------------------------------------------------------------------------------------------- */

enum inbox_result inbox_kit_turn(struct inbox_kit *k)
{
	k->now.wall_us += 1000;
	k->now.mono_us += 1000;
	return inbox_turn(k->inbox, k->now);
}

bool inbox_kit_settle(struct inbox_kit *k)
{
	for (unsigned i = 0; i < SETTLES_WITHIN; i++) {
		enum inbox_result r = inbox_kit_turn(k);

		worker_script_orders(&k->worker);
		if (r == INBOX_IDLE)
			return true;
		if (r == INBOX_STOPPED)
			break;
	}
	snprintf(k->err, sizeof(k->err), "%s", k->journal && journal_stopped(k->journal) ? journal_stopped(k->journal) : "turns without end");
	return false;
}

uint32_t inbox_kit_flow_of(struct jcs_value record)
{
	struct bytes a = jcs_read_plain(jcs_get(jcs_get(record, "src"), "addr"));
	unsigned part[4] = { 0 };
	char text[32];

	snprintf(text, sizeof(text), "%.*s", (int)a.len, (const char *)a.base);
	sscanf(text, "%u.%u.%u.%u", &part[0], &part[1], &part[2], &part[3]);
	return part[0] << 24 | part[1] << 16 | part[2] << 8 | part[3];
}
