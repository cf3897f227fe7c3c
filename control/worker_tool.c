/* worker_tool: a worker that a test drives by lines: events on standard input, orders on standard output.
 *
 * usage: worker_tool RUN_DIR
 *	hello | open FLOW | login FLOW TOKEN | allow FLOW TEXT | block FLOW TEXT | hold FLOW APPROVAL TEXT | respond FLOW REF
 *	recheck ACTION+1 APPROVAL STATE (how orders to judge again are answered; 0: not at all) | withdraw FLOW REF | close FLOW | classify KEY TEXT | junk TYPE | wait ORDER MS
 * `wait` prints each order as one line until one of that name came ("." when none did), the others print "n" of the event.
 * Counters are kept here, so a test may stop control in between. The generation is that of the last order snapshot. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "platform/base/random.h"
#include "platform/contract/classification.h"
#include "platform/contract/message.h"
#include "platform/contract/ring.h"
#include "platform/os/shm.h"

#define FLOWS 256

static struct {
	struct ring_producer up;
	struct ring_consumer down;
	struct life *life;
	uint32_t n[FLOWS];
	uint64_t generation, position;
	struct event_command held[FLOWS]; /* the last one of each flow; its text is held_text */
	char held_text[FLOWS][512], recheck_state[256];
	int recheck_action;               /* -1: rechecks are not answered */
	unsigned recheck_approval;
	uint8_t boot[16], room[LIMIT_MESSAGE_BYTES], order[LIMIT_MESSAGE_BYTES], classification[LIMIT_CLASSIFICATION_BYTES];
	size_t classification_len;
} t;

static void send(unsigned type, struct bytes encoded, uint32_t n)
{
	if (!encoded.base || !ring_write(&t.up, (uint16_t)type, encoded, &t.position)) {
		fprintf(stderr, "worker_tool: event %u does not fit\n", type);
		exit(1);
	}
	printf("%" PRIu32 "\n", n);
}

static void on_command(uint64_t flow, enum command_action action, unsigned approval, const char *text)
{
	const struct event_command e = { .flow = flow, .n = t.n[flow]++, .generation = t.generation, .action = (uint8_t)action, .approval = (uint16_t)approval,
					 .raw = bytes_str(text), .classification = bytes_of(t.classification, t.classification_len),
					 .state = bytes_str("search_path=public") };

	snprintf(t.held_text[flow], sizeof(t.held_text[flow]), "%s", text);
	t.held[flow] = e;
	send(EVENT_command, event_command_encode(&e, t.room, sizeof(t.room)), e.n);
}

/* As the data plane does: the command that waits, under the newest policy. */
static void on_recheck(uint64_t flow)
{
	const struct event_command *held = &t.held[flow % FLOWS];
	const struct event_rechecked e = { .flow = flow, .ref = held->n, .generation = t.generation, .action = (uint8_t)t.recheck_action,
					   .approval = (uint16_t)t.recheck_approval, .raw = bytes_str(t.held_text[flow % FLOWS]),
					   .state = bytes_str(t.recheck_state) };

	if (t.recheck_action >= 0 && !ring_write(&t.up, EVENT_rechecked, event_rechecked_encode(&e, t.room, sizeof(t.room)), &t.position))
		exit(1);
}

static void event(const char *verb, uint64_t flow, char *rest)
{
	if (!strcmp(verb, "recheck")) {
		t.recheck_action = (int)flow - 1;
		t.recheck_approval = (unsigned)strtoul(rest, &rest, 10);
		snprintf(t.recheck_state, sizeof(t.recheck_state), "%s", rest + (*rest == ' '));
		puts("0");
	} else if (!strcmp(verb, "hello")) {
		const struct event_hello e = { .boot = bytes_of(t.boot, 16) };

		send(EVENT_hello, event_hello_encode(&e, t.room, sizeof(t.room)), 0);
	} else if (!strcmp(verb, "open")) {
		const uint8_t client[4] = { 10, 1, 0, (uint8_t)flow }, target[4] = { 10, 1, 0, 200 };
		const struct event_flow_open e = { .flow = flow, .generation = t.generation, .client = bytes_of(client, 4), .client_port = 40000,
						   .target = bytes_of(target, 4), .target_port = 5432 };

		t.n[flow] = 1;
		send(EVENT_flow_open, event_flow_open_encode(&e, t.room, sizeof(t.room)), 0);
	} else if (!strcmp(verb, "login")) {
		const struct event_login e = { .flow = flow, .n = t.n[flow]++, .token = bytes_str(rest), .user = bytes_str("alice"), .database = bytes_str("shop") };

		send(EVENT_login, event_login_encode(&e, t.room, sizeof(t.room)), e.n);
	} else if (!strcmp(verb, "allow")) {
		on_command(flow, COMMAND_ALLOW, 0xffff, rest);
	} else if (!strcmp(verb, "block")) {
		on_command(flow, COMMAND_BLOCK, 0xffff, rest);
	} else if (!strcmp(verb, "hold")) {
		unsigned approval = (unsigned)strtoul(rest, &rest, 10);

		on_command(flow, COMMAND_HOLD, approval, rest + (*rest == ' '));
	} else if (!strcmp(verb, "respond")) {
		const struct event_response e = { .flow = flow, .n = t.n[flow]++, .ref = (uint32_t)strtoul(rest, NULL, 10), .status = bytes_str("00000"),
						  .tag = bytes_str("DELETE 1"), .rows = 1 };

		send(EVENT_response, event_response_encode(&e, t.room, sizeof(t.room)), e.n);
	} else if (!strcmp(verb, "withdraw")) {
		const struct event_withdraw e = { .flow = flow, .ref = (uint32_t)strtoul(rest, NULL, 10) };

		send(EVENT_withdraw, event_withdraw_encode(&e, t.room, sizeof(t.room)), 0);
	} else if (!strcmp(verb, "close")) {
		const struct event_flow_close e = { .flow = flow, .n = t.n[flow], .cause = CLOSE_CLIENT };

		send(EVENT_flow_close, event_flow_close_encode(&e, t.room, sizeof(t.room)), e.n);
	} else if (!strcmp(verb, "classify")) {
		const struct event_classify e = { .key_hi = 1, .key_lo = flow, .text = bytes_str(rest) };

		send(EVENT_classify, event_classify_encode(&e, t.room, sizeof(t.room)), 0);
	} else if (!strcmp(verb, "junk")) {
		send((unsigned)flow, bytes_str("nothing that decodes"), 0);
	} else {
		fprintf(stderr, "worker_tool: %s: no such event\n", verb);
		exit(2);
	}
}

static void text(const char *name, struct bytes b)
{
	printf(" %s=", name);
	for (size_t i = 0; i < b.len; i++)
		putchar(b.base[i] > 32 && b.base[i] < 127 ? b.base[i] : '_');
}

static void print_order(uint16_t type, struct bytes payload)
{
	struct order_identity identity;
	struct order_classified classified;
	struct order_approval approval;
	struct order_certificate certificate;
	struct order_trust trust;
	struct order_snapshot snapshot;
	struct order_kill kill;
	struct order_control control;
	struct order_durable durable;

	printf("%s", order_name(type, NULL));
	if (type == ORDER_identity && order_identity_decode(payload, &identity)) {
		printf(" flow=%" PRIu64 " accepted=%u generation=%" PRIu64 " groups=%02x", identity.flow, identity.accepted, identity.generation,
		       identity.groups.len ? identity.groups.base[0] : 0);
		printf(" suspended=%u", identity.suspended);
		text("user", identity.upstream_user);
		text("say", identity.say);
	} else if (type == ORDER_classified && order_classified_decode(payload, &classified)) {
		printf(" key=%" PRIu64 " known=%u", classified.key_lo, classified.known);
		text("why", classified.why);
		if (classified.known && classified.classification.len <= sizeof(t.classification)) {
			memcpy(t.classification, classified.classification.base, classified.classification.len);
			t.classification_len = classified.classification.len;
		}
	} else if (type == ORDER_approval && order_approval_decode(payload, &approval)) {
		printf(" flow=%" PRIu64 " ref=%u answer=%u", approval.flow, approval.ref, approval.answer);
		text("id", approval.id);
		text("say", approval.say);
		if (approval.answer == APPROVAL_RECHECK)
			on_recheck(approval.flow);
	} else if (type == ORDER_certificate && order_certificate_decode(payload, &certificate)) {
		text("service", certificate.service);
	} else if (type == ORDER_trust && order_trust_decode(payload, &trust)) {
		text("service", trust.service);
	} else if (type == ORDER_snapshot && order_snapshot_decode(payload, &snapshot)) {
		t.generation = snapshot.generation;
		text("file", snapshot.file);
	} else if (type == ORDER_kill && order_kill_decode(payload, &kill)) {
		printf(" flow=%" PRIu64, kill.flow);
		text("say", kill.say);
	} else if (type == ORDER_control && order_control_decode(payload, &control)) {
		printf(" journal=%u level=%u", control.journal, control.level);
	} else if (type == ORDER_durable && order_durable_decode(payload, &durable)) {
		printf(" all=%d", durable.position == t.position);
	}
	putchar('\n');
}

static uint64_t mono_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void wait_for(const char *name, uint64_t ms)
{
	uint64_t end = mono_ms() + ms, position;
	struct bytes payload;
	uint16_t type;

	while (mono_ms() < end) {
		life_beat(t.life, false);
		if (!ring_read(&t.down, t.order, sizeof(t.order), &type, &payload, &position)) {
			usleep(200);
			continue;
		}
		print_order(type, payload);
		ring_release(&t.down, position);
		if (!strcmp(order_name(type, NULL), name)) {
			puts("");
			return;
		}
	}
	puts(".");
}

int main(int argc, char **argv)
{
	static char line[65536];
	char err[OS_ERROR_BYTES];
	void *up = argc == 2 ? shm_ring_open(argv[1], 0, SHM_RING_UP, err) : NULL, *down = up ? shm_ring_open(argv[1], 0, SHM_RING_DOWN, err) : NULL;

	if (!down || !ring_attach_producer(&t.up, up, LIMIT_RING_UP_BYTES) || !ring_attach_consumer(&t.down, down, LIMIT_RING_DOWN_BYTES))
		return 1;
	random_secret(t.boot, sizeof(t.boot));
	t.life = &((struct ring_header *)up)->producer;
	if (!life_begin(t.life))
		return 1;
	t.recheck_action = COMMAND_HOLD;
	snprintf(t.recheck_state, sizeof(t.recheck_state), "search_path=public");
	while (fgets(line, sizeof(line), stdin)) {
		char *save = NULL, *verb, *number, *rest;

		line[strcspn(line, "\n")] = 0;
		life_beat(t.life, false);
		verb = strtok_r(line, " ", &save);
		number = verb ? strtok_r(NULL, " ", &save) : NULL;
		rest = save ? save : "";
		if (verb && !strcmp(verb, "wait"))
			wait_for(number ? number : "", strtoull(rest, NULL, 10));
		else if (verb)
			event(verb, number ? strtoull(number, NULL, 10) % FLOWS : 0, rest);
		fflush(stdout);
	}
	return 0;
}
