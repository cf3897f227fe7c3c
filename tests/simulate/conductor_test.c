/* The conductor from frame to frame, with control played by the test: what leaves for the server, and when.
 *
 * Two plain TCP ends (no loss here; the lossy links are simulate.c's) talk a protocol of lines through the real relay, rings
 * and verdict. The inspector of that protocol is in this file: LOGIN, then commands, each judged. Control is a function
 * that reads events and writes orders when a test says so; so every wait can be looked at while it lasts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/relay/relay.h"
#include "platform/base/random.h"
#include "platform/contract/message.h"
#include "platform/contract/policy_write.h"
#include "platform/contract/ring.h"

/* --- The line protocol --- */

struct line_session {
	const struct inspect_env *env;
	const struct inspect_host *host;
	void *context;
	bool asked, in;
	uint32_t ref;
	char held[256];
};

static const struct inspector inspector_line;
const struct inspector *const inspectors[] = { &inspector_line, NULL };

const struct inspector *inspector_find(const char *name)
{
	return strcmp(name, "line") == 0 ? &inspector_line : NULL;
}

static void line_open(void *session, const struct inspect_env *env, const struct inspect_host *host, void *context)
{
	*(struct line_session *)session = (struct line_session){ .env = env, .host = host, .context = context };
}

static void line_conclude(struct line_session *s, bool allowed, const struct judgement *j, struct inspect_io *io)
{
	s->ref = j->n;
	if (allowed) {
		writer_str(io->out[SIDE_SERVER], s->held);
		writer_str(io->out[SIDE_SERVER], "\n");
		return;
	}
	struct inspect_response r = { .ref = j->n, .outcome = j->cancelled ? RESPONSE_CANCELLED : RESPONSE_REFUSED, .status = bytes_str("no") };

	s->host->responded(s->context, &r);
	writer_str(io->out[SIDE_CLIENT], "refused: ");
	writer_put(io->out[SIDE_CLIENT], j->say);
	writer_str(io->out[SIDE_CLIENT], "\n");
}

static struct inspect_result line_client(struct line_session *s, struct bytes line, size_t consumed, struct inspect_io *io)
{
	struct inspect_result result = { .status = INSPECT_OK, .consumed = consumed };
	struct statement st = { .kind = COMMAND_SIMPLE, .raw = line, .database = bytes_str("db") };
	struct judgement j;

	if (!s->asked) {
		struct inspect_login l = { .token = line };

		s->asked = true;
		s->host->login(s->context, &l);
		result.status = INSPECT_WAIT;
		return result;
	}
	snprintf(s->held, sizeof s->held, "%.*s", (int)line.len, (const char *)line.base);
	st.exact = st.generic = hash128(s->env->hash_key, line.base, line.len);
	switch (s->host->judge(s->context, &st, &j)) {
	case JUDGED_WAIT:
		result.status = INSPECT_WAIT;
		result.consumed = 0;
		break;
	case JUDGED_ALLOW:
		line_conclude(s, true, &j, io);
		break;
	case JUDGED_BLOCK:
		line_conclude(s, false, &j, io);
		break;
	}
	return result;
}

static struct inspect_result line_feed(void *session, enum side from, struct bytes in, struct inspect_io *io)
{
	struct line_session *s = session;
	const uint8_t *end = memchr(in.base, '\n', in.len);
	size_t len = end ? (size_t)(end - in.base) : 0;

	if (!end)
		return (struct inspect_result){ .status = INSPECT_MORE };
	if (from == SIDE_CLIENT)
		return line_client(s, bytes_of(in.base, len), len + 1, io);
	writer_bytes(io->out[SIDE_CLIENT], in.base, len + 1);
	struct inspect_response r = { .ref = s->ref, .outcome = RESPONSE_OK, .status = bytes_str("ok"), .rows = 1 };

	s->host->responded(s->context, &r);
	return (struct inspect_result){ .status = INSPECT_OK, .consumed = len + 1 };
}

static struct inspect_result line_answer(void *session, const struct inspect_answer *a, struct inspect_io *io)
{
	struct line_session *s = session;
	struct inspect_result result = { .status = INSPECT_OK };

	switch (a->kind) {
	case ANSWER_IDENTITY:
		writer_str(io->out[SIDE_CLIENT], a->allowed ? "welcome\n" : "go away\n");
		if (!a->allowed)
			result = (struct inspect_result){ .status = INSPECT_CLOSE, .cause = CLOSE_REFUSED_LOGIN };
		break;
	case ANSWER_JUDGED:
		line_conclude(s, a->allowed, &a->judgement, io);
		s->in = true; /* the message is still in front of us */
		break;
	case ANSWER_NOTICE:
		writer_str(io->out[SIDE_CLIENT], "notice: ");
		writer_put(io->out[SIDE_CLIENT], a->text);
		writer_str(io->out[SIDE_CLIENT], "\n");
		break;
	case ANSWER_END:
		writer_str(io->out[SIDE_CLIENT], "end: ");
		writer_put(io->out[SIDE_CLIENT], a->text);
		writer_str(io->out[SIDE_CLIENT], "\n");
		result = (struct inspect_result){ .status = INSPECT_CLOSE, .cause = CLOSE_KILLED };
		break;
	default:
		break;
	}
	return result;
}

/* The judged line is consumed by the next feed. */
static struct inspect_result line_feed_again(void *session, enum side from, struct bytes in, struct inspect_io *io)
{
	struct line_session *s = session;
	const uint8_t *end = memchr(in.base, '\n', in.len);

	if (from == SIDE_CLIENT && s->in && end) {
		s->in = false;
		return (struct inspect_result){ .status = INSPECT_OK, .consumed = (size_t)(end - in.base) + 1 };
	}
	return line_feed(session, from, in, io);
}

static struct inspect_result line_ended(void *session, enum side from, struct inspect_io *io)
{
	return (struct inspect_result){ .status = INSPECT_OK };
}

static void line_close(void *session)
{
}

static const struct inspector inspector_line = {
	.name = "line", .session_bytes = sizeof(struct line_session), .open = line_open, .feed = line_feed_again,
	.answer = line_answer, .ended = line_ended, .close = line_close,
};

/* --- Two TCP ends, one wire --- */

struct end {
	struct packet_template template;
	uint32_t next, ack;
	uint16_t port;
	bool open, reset, finished;
	uint8_t got[65536];
	size_t got_bytes;
};

#define FRAMES 256

struct stage {
	struct relay *relay;
	void *up, *down;
	struct ring_consumer events;
	struct ring_producer orders;
	struct relay_snapshot snapshot;
	uint8_t *image;
	struct end end[2]; /* 0: the client at port 0; 1: the server at port 1 */
	uint8_t frame[2048], queue[FRAMES][2048];
	size_t queue_bytes[FRAMES];
	unsigned queue_port[FRAMES], head, tail;
	uint64_t now_us;
	unsigned bridged, dropped;
	/* What control saw, and does. */
	uint64_t last_position, durable_sent, command_position, flow, key_hi, key_lo;
	uint32_t next_n;
	unsigned commands, logins, responses, opens, closes, withdrawals, classifies, hellos;
	unsigned last_action, last_reason, close_cause, last_outcome;
	uint32_t held_ref;
	char last_raw[256], payload[4096];
	size_t payload_bytes;
	bool answer_login, answer_classify, answer_durable;
};

static struct stage *stage;

static uint8_t *room(void *context, unsigned port, size_t *cap)
{
	struct stage *s = context;

	if (s->tail - s->head == FRAMES)
		return NULL;
	*cap = 1600;
	return s->queue[s->tail % FRAMES];
}

static void send_frame(void *context, unsigned port, size_t bytes)
{
	struct stage *s = context;

	s->queue_bytes[s->tail % FRAMES] = bytes;
	s->queue_port[s->tail % FRAMES] = port;
	s->tail++;
}

static void transmit(struct stage *s, unsigned from, uint8_t flags, const char *text)
{
	struct end *e = &s->end[from];
	struct tcp_segment segment = { .seq = e->next, .ack = e->ack, .window = 60000, .flags = flags };
	size_t len = text ? strlen(text) : 0;
	struct packet_built built;

	if (len) {
		segment.spans[0] = bytes_of(text, len);
		segment.span_count = 1;
		segment.payload_bytes = (uint32_t)len;
	}
	built = packet_build(&e->template, &segment, s->frame, sizeof s->frame, PACKET_BUILD_FULL);
	e->next += (uint32_t)len + ((flags & (TCP_SYN | TCP_FIN)) != 0);
	switch (relay_frame(s->relay, from, bytes_of(s->frame, built.bytes), PACKET_CHECKSUM_UNKNOWN, s->now_us)) {
	case RELAY_BRIDGE:
		s->bridged++;
		break;
	case RELAY_DROPPED:
		s->dropped++;
		break;
	default:
		break;
	}
}

/* One frame from the relay arrives at an end. */
static void arrive(struct stage *s, unsigned at, struct bytes frame)
{
	struct end *e = &s->end[at];
	struct tcp_segment segment;
	struct packet p;

	assert_int_equal(packet_parse(frame, &p), ERROR_none);
	assert_int_equal(packet_segment(&p, PACKET_CHECKSUM_UNKNOWN, &segment), ERROR_none);
	if (segment.flags & TCP_RST) {
		e->reset = true;
		return;
	}
	if (segment.flags & TCP_SYN) {
		e->ack = segment.seq + 1;
		e->open = true;
		if (at == 1)
			packet_template_reply(&e->template, &p);
		transmit(s, at, at == 1 ? TCP_SYN | TCP_ACK : TCP_ACK, NULL);
		return;
	}
	if (segment.seq == e->ack && (segment.payload_bytes || (segment.flags & TCP_FIN))) {
		assert_true(e->got_bytes + segment.payload_bytes < sizeof e->got);
		if (segment.payload_bytes)
			memcpy(e->got + e->got_bytes, segment.spans[0].base, segment.payload_bytes);
		e->got_bytes += segment.payload_bytes;
		e->ack += segment.payload_bytes + ((segment.flags & TCP_FIN) != 0);
		e->finished |= (segment.flags & TCP_FIN) != 0;
		transmit(s, at, TCP_ACK, NULL);
	}
}

/* --- Control --- */

static uint8_t message[LIMIT_MESSAGE_BYTES], order_bytes[LIMIT_MESSAGE_BYTES];

#define ORDER(s, name, ...) do { \
	struct order_##name m_ = { __VA_ARGS__ }; \
	assert_true(ring_write(&(s)->orders, ORDER_##name, order_##name##_encode(&m_, order_bytes, sizeof order_bytes), NULL)); \
} while (0)

static void identify(struct stage *s, bool accepted)
{
	static const uint8_t groups[32] = { 1 };

	ORDER(s, identity, .flow = s->flow, .accepted = accepted, .generation = s->snapshot.inspect.generation,
	      .groups = bytes_of(groups, 32), .say = bytes_str("who are you"));
}

static void classify(struct stage *s, const char *text, bool known)
{
	uint8_t buffer[1024];
	struct classification_writer cw = classification_writer_of(buffer, sizeof buffer, false);
	struct access a = { .verb = strstr(text, "drop") ? VERB_ddl : strstr(text, "delete") ? VERB_delete : VERB_select,
			    .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str("t") } };

	classification_begin_statement(&cw, 0);
	classification_add_access(&cw, &a);
	classification_begin_targets(&cw);
	classification_end_statement(&cw, NULL);
	ORDER(s, classified, .key_hi = s->key_hi, .key_lo = s->key_lo, .known = known,
	      .classification = known ? classification_finish(&cw, bytes_str(text), bytes_str(text)) : (struct bytes){ 0 });
}

static void count_n(struct stage *s, uint32_t n)
{
	assert_int_equal(n, s->next_n); /* without a gap */
	s->next_n++;
}

static void see_command(struct stage *s, struct bytes payload, uint64_t end)
{
	struct event_command m;

	assert_true(event_command_decode(payload, &m));
	count_n(s, m.n);
	s->commands++;
	s->last_action = m.action;
	s->last_reason = m.reason;
	s->command_position = end;
	s->held_ref = m.n;
	snprintf(s->last_raw, sizeof s->last_raw, "%.*s", (int)m.raw.len, (const char *)m.raw.base);
}

static void see(struct stage *s, uint16_t type, struct bytes payload, uint64_t end)
{
	union {
		struct event_flow_open open;
		struct event_login login;
		struct event_classify classify;
		struct event_response response;
		struct event_flow_close close;
		struct event_payload payload;
		struct event_withdraw withdraw;
	} m;
	char text[256];

	switch (type) {
	case EVENT_hello:
		s->hellos++;
		break;
	case EVENT_flow_open:
		assert_true(event_flow_open_decode(payload, &m.open));
		s->flow = m.open.flow;
		s->next_n = 0;
		count_n(s, m.open.n);
		s->opens++;
		break;
	case EVENT_login:
		assert_true(event_login_decode(payload, &m.login));
		count_n(s, m.login.n);
		s->logins++;
		if (s->answer_login)
			identify(s, true);
		break;
	case EVENT_classify:
		assert_true(event_classify_decode(payload, &m.classify));
		s->classifies++;
		s->key_hi = m.classify.key_hi;
		s->key_lo = m.classify.key_lo;
		snprintf(text, sizeof text, "%.*s", (int)m.classify.text.len, (const char *)m.classify.text.base);
		if (s->answer_classify)
			classify(s, text, strstr(text, "???") == NULL);
		break;
	case EVENT_command:
		see_command(s, payload, end);
		break;
	case EVENT_response:
		assert_true(event_response_decode(payload, &m.response));
		count_n(s, m.response.n);
		s->responses++;
		s->last_outcome = m.response.outcome;
		break;
	case EVENT_payload:
		assert_true(event_payload_decode(payload, &m.payload));
		memcpy(s->payload + s->payload_bytes, m.payload.data.base, m.payload.data.len);
		s->payload_bytes += m.payload.data.len;
		break;
	case EVENT_withdraw:
		assert_true(event_withdraw_decode(payload, &m.withdraw));
		s->withdrawals++;
		break;
	case EVENT_flow_close:
		assert_true(event_flow_close_decode(payload, &m.close));
		count_n(s, m.close.n);
		s->closes++;
		s->close_cause = m.close.cause;
		break;
	}
}

static void durable(struct stage *s)
{
	if (s->durable_sent == s->last_position)
		return;
	s->durable_sent = s->last_position;
	ORDER(s, durable, .position = s->durable_sent);
	ring_release(&s->events, s->durable_sent);
}

static void control(struct stage *s)
{
	struct bytes payload;
	uint64_t end;
	uint16_t type;

	while (ring_read(&s->events, message, sizeof message, &type, &payload, &end)) {
		see(s, type, payload, end);
		s->last_position = end;
	}
	if (s->answer_durable)
		durable(s);
}

/* Lets everything happen that can, without time passing beyond 1 ms a round. */
static void settle(struct stage *s)
{
	for (int i = 0; i < 40; i++) {
		s->now_us += 1000;
		relay_turn(s->relay, s->now_us);
		control(s);
		while (s->head != s->tail) {
			unsigned slot = s->head++ % FRAMES;

			arrive(s, s->queue_port[slot], bytes_of(s->queue[slot], s->queue_bytes[slot]));
		}
	}
}

static void pass(struct stage *s, uint64_t us)
{
	for (uint64_t end = s->now_us + us; s->now_us < end;) {
		s->now_us += 50000;
		settle(s);
	}
}

static bool got(struct stage *s, unsigned at, const char *text)
{
	return memmem(s->end[at].got, s->end[at].got_bytes, text, strlen(text)) != NULL;
}

/* --- Set-up --- */

static uint8_t frame_head[] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 10,
	0x9c, 0x40, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
};

static void write_image(struct stage *s)
{
	static const struct spec_listener listener = { .family = 4, .address = { 10, 0, 0, 10 }, .port = 5432, .any_vlan = true };
	static const struct spec_service services[] = {
		{ .name = "lines", .protocol_word = "line", .protocol = POLICY_PROTOCOL_OTHER, .tls = POLICY_TLS_OFF, .search_path = "public",
		  .listeners = &listener, .listeners_count = 1 },
	};
	static const char *const groups[] = { "agents" };
	static const struct policy_need need = { 0, 1 };
	static const struct spec_approval approvals[] = { { .name = "one", .needs = &need, .needs_count = 1, .deny_quorum = 1, .expires_s = 60, .use_by_s = 60 } };
	static struct spec_rule rules[] = {
		{ .id = "ddl", .say = "no schema changes", .action = POLICY_BLOCK, .who_any = true, .purpose_any = true, .services = { 1 },
		  .verbs = 1u << VERB_ddl, .approval = POLICY_NONE, .pattern = POLICY_NONE },
		{ .id = "delete", .action = POLICY_HOLD, .who_any = true, .purpose_any = true, .services = { 1 }, .verbs = 1u << VERB_delete,
		  .approval = 0, .pattern = POLICY_NONE },
		{ .id = "read", .action = POLICY_ALLOW, .who = { { 1 } }, .purpose_any = true, .services = { 1 }, .verbs = 1u << VERB_select,
		  .approval = POLICY_NONE, .pattern = POLICY_NONE },
	};
	struct policy_spec spec = {
		.name = "test", .generation = s->snapshot.inspect.generation + 1, .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE },
		.services = services, .services_count = 1, .groups = groups, .groups_count = 1, .approvals = approvals, .approvals_count = 1,
		.rules = rules, .rules_count = 3,
	};
	struct bytes image = policy_image_write(&spec, NULL, 0);
	char err[256] = "";

	free(s->image);
	s->image = aligned_alloc(64, (image.len + 63) & ~(size_t)63);
	image = policy_image_write(&spec, s->image, image.len);
	s->snapshot.inspect.image = policy_image_open(image.base, image.len, err, sizeof err);
	if (!s->snapshot.inspect.image)
		fail_msg("%s", err);
	s->snapshot.inspect.generation = spec.generation;
}

static int open_stage(void **state)
{
	struct relay_config config = {
		.flows_max = 64, .sessions_max = 16, .chunk_memory_bytes = 8u << 20, .buffers = { 64, 8, 4 }, .mtu_bytes = 1500,
		.window_bytes = 65536, .hash_key = { 1, 2 }, .lost_after_us = 5000000,
	};
	struct relay_wire wire;
	struct packet p;
	char err[200] = "";

	stage = calloc(1, sizeof *stage);
	wire = (struct relay_wire){ .context = stage, .room = room, .send = send_frame };
	stage->up = aligned_alloc(4096, ring_bytes(LIMIT_RING_UP_BYTES));
	stage->down = aligned_alloc(4096, ring_bytes(LIMIT_RING_DOWN_BYTES));
	ring_init(stage->up, LIMIT_RING_UP_BYTES, config.boot);
	ring_init(stage->down, LIMIT_RING_DOWN_BYTES, config.boot);
	stage->relay = relay_create(&config, &wire, stage->up, stage->down, err, sizeof err);
	if (!stage->relay)
		fail_msg("%s", err);
	assert_true(ring_attach_consumer(&stage->events, stage->up, LIMIT_RING_UP_BYTES));
	assert_true(ring_attach_producer(&stage->orders, stage->down, LIMIT_RING_DOWN_BYTES));
	write_image(stage);
	(void)relay_swap_snapshot(stage->relay, &stage->snapshot);
	stage->now_us = 1000000;
	stage->answer_login = stage->answer_classify = stage->answer_durable = true;
	assert_int_equal(packet_parse(bytes_of(frame_head, sizeof frame_head), &p), ERROR_none);
	packet_template_from(&stage->end[0].template, &p);
	packet_template_reply(&stage->end[1].template, &p);
	stage->end[0].next = 1000;
	stage->end[1].next = 9000;
	ORDER(stage, control, .journal = 1);
	return 0;
}

static int close_stage(void **state)
{
	relay_destroy(stage->relay);
	free(stage->image);
	free(stage->up);
	free(stage->down);
	free(stage);
	return 0;
}

static void connect_ends(struct stage *s)
{
	transmit(s, 0, TCP_SYN, NULL);
	settle(s);
	assert_true(s->end[0].open && s->end[1].open);
	assert_int_equal(s->end[0].ack, 9001); /* the server's own number: set-up is mirrored */
	assert_int_equal(s->opens, 1);
}

static void client_says(struct stage *s, const char *text)
{
	transmit(s, 0, TCP_ACK | TCP_PSH, text);
	settle(s);
}

static void log_in(struct stage *s)
{
	connect_ends(s);
	client_says(s, "LOGIN token\n");
	assert_true(got(s, 0, "welcome\n"));
}

/* --- The promises --- */

static void allowed_command_and_its_answer(void **state)
{
	log_in(stage);
	client_says(stage, "select 1\n");
	assert_true(got(stage, 1, "select 1\n"));
	transmit(stage, 1, TCP_ACK | TCP_PSH, "one row\n");
	settle(stage);
	assert_true(got(stage, 0, "one row\n"));
	assert_int_equal(stage->commands, 1);
	assert_int_equal(stage->responses, 1);
	assert_non_null(memmem(stage->payload, stage->payload_bytes, "one row", 7));
	assert_false(got(stage, 1, "LOGIN"));
}

/* Promise 1: nothing of a command reaches the server before its record is durable. */
static void nothing_before_the_record_is_durable(void **state)
{
	log_in(stage);
	stage->answer_durable = false;
	client_says(stage, "select 1\n");
	pass(stage, 1000000);
	assert_int_equal(stage->commands, 1);
	assert_int_equal(stage->end[1].got_bytes, 0);
	/* Durable up to just before the record is not enough. */
	ORDER(stage, durable, .position = stage->command_position - 8);
	settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 0);
	durable(stage);
	settle(stage);
	assert_true(got(stage, 1, "select 1\n"));
}

static void pipelined_commands_wait_each_for_its_own(void **state)
{
	uint64_t first;

	log_in(stage);
	client_says(stage, "select 1\n"); /* classified, so that the next ones are judged at once */
	stage->answer_durable = false;
	client_says(stage, "select 1\n");
	first = stage->command_position;
	client_says(stage, "select 1\nselect 1\n");
	assert_int_equal(stage->commands, 4);
	assert_int_equal(stage->end[1].got_bytes, 9);
	ORDER(stage, durable, .position = first);
	settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 18);
	durable(stage);
	settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 36);
}

static void refused_command_never_arrives(void **state)
{
	log_in(stage);
	client_says(stage, "drop everything\n");
	assert_true(got(stage, 0, "refused: no schema changes\n"));
	client_says(stage, "select 1\n");
	assert_true(got(stage, 1, "select 1\n"));
	assert_false(got(stage, 1, "drop"));
	assert_int_equal(stage->commands, 2);
}

static void unknown_is_refused(void **state)
{
	log_in(stage);
	client_says(stage, "???\n");
	assert_true(got(stage, 0, "refused: "));
	assert_int_equal(stage->last_reason, REASON_UNKNOWN);
	assert_int_equal(stage->end[1].got_bytes, 0);
}

static void held_command_is_released_once(void **state)
{
	log_in(stage);
	client_says(stage, "delete it\nselect 1\n");
	assert_int_equal(stage->last_action, COMMAND_HOLD);
	ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_WAITING, .say = bytes_str("waiting for approval 7"));
	pass(stage, 60000000); /* no clock of ours ends it */
	assert_true(got(stage, 0, "notice: waiting for approval 7\n"));
	assert_int_equal(stage->end[1].got_bytes, 0);
	ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref + 1, .answer = APPROVAL_RELEASE); /* somebody else's */
	ORDER(stage, approval, .flow = stage->flow + 1, .ref = stage->held_ref, .answer = APPROVAL_RELEASE);
	settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 0);
	uint32_t ref = stage->held_ref;
	ORDER(stage, approval, .flow = stage->flow, .ref = ref, .answer = APPROVAL_RELEASE);
	settle(stage);
	assert_true(got(stage, 1, "delete it\nselect 1\n"));
	ORDER(stage, approval, .flow = stage->flow, .ref = ref, .answer = APPROVAL_RELEASE);
	settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 19);
}

static void denied_command_never_arrives(void **state)
{
	log_in(stage);
	client_says(stage, "delete it\n");
	ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_REFUSE, .say = bytes_str("denied"));
	settle(stage);
	assert_true(got(stage, 0, "refused: denied\n"));
	assert_int_equal(stage->end[1].got_bytes, 0);
}

static void client_that_goes_withdraws(void **state)
{
	log_in(stage);
	client_says(stage, "delete it\n");
	transmit(stage, 0, TCP_ACK | TCP_FIN, NULL);
	settle(stage);
	assert_int_equal(stage->withdrawals, 1);
	ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_RELEASE);
	settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 0);
	assert_true(stage->end[1].finished);
}

static void wrong_identity_ends(void **state)
{
	stage->answer_login = false;
	connect_ends(stage);
	client_says(stage, "LOGIN token\n");
	client_says(stage, "select 1\n");
	assert_int_equal(stage->commands, 0);
	identify(stage, false);
	settle(stage);
	assert_true(got(stage, 0, "go away\n"));
	assert_true(stage->end[0].finished);
	assert_int_equal(stage->close_cause, CLOSE_REFUSED_LOGIN);
	assert_int_equal(stage->end[1].got_bytes, 0);
}

/* Control gone: what waits is refused after the configured time, and nothing of it arrives. */
static void lost_control_refuses(void **state)
{
	log_in(stage);
	stage->answer_classify = stage->answer_durable = false;
	client_says(stage, "select 1\n");
	pass(stage, 6000000);
	assert_true(got(stage, 0, "refused: "));
	assert_int_equal(stage->last_reason, REASON_CONTROL_LOST);
	assert_int_equal(stage->end[1].got_bytes, 0);
}

static void lost_journal_ends_the_session_unsent(void **state)
{
	log_in(stage);
	stage->answer_durable = false;
	client_says(stage, "select 1\n");
	pass(stage, 7000000);
	assert_true(got(stage, 0, "end: the journal does not answer\n"));
	durable(stage);
	settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 0);
	assert_int_equal(stage->close_cause, CLOSE_KILLED);
}

static void stopped_journal_refuses_at_once(void **state)
{
	log_in(stage);
	ORDER(stage, control, .journal = 0, .why = bytes_str("disk full"));
	client_says(stage, "select 1\n");
	assert_true(got(stage, 0, "refused: the audit journal cannot be written"));
	assert_int_equal(stage->end[1].got_bytes, 0);
	ORDER(stage, control, .journal = 1);
	client_says(stage, "select 1\n");
	assert_true(got(stage, 1, "select 1\n"));
}

static void kill_order_ends_in_the_protocols_words(void **state)
{
	log_in(stage);
	ORDER(stage, kill, .flow = stage->flow, .say = bytes_str("revoked"));
	settle(stage);
	assert_true(got(stage, 0, "end: revoked\n"));
	assert_true(stage->end[0].finished);
	assert_int_equal(stage->closes, 1);
}

/* A new policy: sessions stay, and judge again only when control has said what groups they are in now. */
static void new_policy_waits_for_new_grants(void **state)
{
	struct stage *s = stage;
	struct relay_snapshot before;
	uint8_t *image;

	log_in(s);
	client_says(s, "select 1\n");
	before = s->snapshot;
	image = s->image;
	s->image = NULL;
	struct relay_snapshot *next = calloc(1, sizeof *next);
	write_image(s);
	*next = s->snapshot;
	s->snapshot = before;
	assert_ptr_equal(relay_swap_snapshot(s->relay, next), &s->snapshot);
	client_says(s, "select 1\n");
	assert_int_equal(s->commands, 1);
	assert_int_equal(s->end[1].got_bytes, 9);
	s->snapshot.inspect.generation = next->inspect.generation;
	identify(s, true);
	settle(s);
	assert_int_equal(s->commands, 2);
	assert_int_equal(s->end[1].got_bytes, 18);
	client_says(s, "drop all\n");
	assert_false(got(s, 1, "drop"));
	free(image);
	relay_destroy(s->relay);
	s->relay = NULL;
	free(next);
}

static void half_close_passes_through(void **state)
{
	log_in(stage);
	client_says(stage, "select 1\n");
	transmit(stage, 0, TCP_ACK | TCP_FIN, NULL);
	settle(stage);
	assert_true(stage->end[1].finished);
	transmit(stage, 1, TCP_ACK | TCP_PSH, "late row\n");
	settle(stage);
	assert_true(got(stage, 0, "late row\n"));
	transmit(stage, 1, TCP_ACK | TCP_FIN, NULL);
	settle(stage);
	assert_true(stage->end[0].finished);
	assert_int_equal(stage->closes, 1);
	pass(stage, 5000000);
	assert_int_equal(relay_flows_open(stage->relay), 0);
}

static void reset_passes_through(void **state)
{
	log_in(stage);
	transmit(stage, 1, TCP_RST | TCP_ACK, NULL);
	settle(stage);
	assert_true(stage->end[0].reset);
	assert_int_equal(stage->close_cause, CLOSE_RESET);
	assert_int_equal(relay_flows_open(stage->relay), 0);
}

static void midstream_is_answered_with_a_reset(void **state)
{
	transmit(stage, 0, TCP_ACK | TCP_PSH, "select 1\n");
	settle(stage);
	assert_true(stage->end[0].reset);
	assert_int_equal(stage->dropped, 1);
	assert_int_equal(relay_counters(stage->relay)->drop[ERROR_midstream_guarded], 1);
}

/* What no service names is bridged; a guarded target's other ports are not open to new connections. */
static void bridge_and_drop(void **state)
{
	uint8_t frame[sizeof frame_head];
	static const struct {
		unsigned offset, value;
		enum relay_route want;
	} rows[] = {
		{ 33, 99, RELAY_BRIDGE },      /* another target */
		{ 37, 81, RELAY_DROPPED },     /* the guarded target, another port, SYN */
		{ 13, 6, RELAY_BRIDGE },       /* ARP */
		{ 23, 1, RELAY_BRIDGE },       /* ICMP */
		{ 23, 17, RELAY_BRIDGE },      /* UDP to the service's port: no TCP, dropped below */
		{ 23, 47, RELAY_DROPPED },     /* GRE to the guarded target */
		{ 20, 0x20, RELAY_DROPPED },   /* a fragment */
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		memcpy(frame, frame_head, sizeof frame);
		frame[rows[i].offset] = (uint8_t)rows[i].value;
		enum relay_route route = relay_frame(stage->relay, 0, bytes_of(frame, sizeof frame), PACKET_CHECKSUM_PARTIAL, stage->now_us);

		if (rows[i].value == 17)
			assert_int_equal(route, RELAY_DROPPED);
		else if (route != rows[i].want)
			fail_msg("row %zu: route %d", i, route);
	}
}

static void bad_checksum_is_dropped(void **state)
{
	assert_int_equal(relay_frame(stage->relay, 0, bytes_of(frame_head, sizeof frame_head), PACKET_CHECKSUM_UNKNOWN, stage->now_us), RELAY_DROPPED);
	assert_int_equal(relay_flows_open(stage->relay), 0);
}

static void hostile_orders_have_no_effect(void **state)
{
	struct rng rng = rng_seeded(99);
	uint8_t junk[300];

	log_in(stage);
	for (int i = 0; i < 3000; i++) {
		size_t len = rng_below(&rng, sizeof junk);

		for (size_t k = 0; k < len; k++)
			junk[k] = (uint8_t)rng_next(&rng);
		if (!ring_write(&stage->orders, (uint16_t)rng_below(&rng, 16), bytes_of(junk, len), NULL))
			break;
		settle(stage);
	}
	assert_true(relay_counters(stage->relay)->drop[ERROR_ring_message_bad] > 100);
	assert_int_equal(stage->end[1].got_bytes, 0);
}

#define STAGED(f) cmocka_unit_test_setup_teardown(f, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(allowed_command_and_its_answer), STAGED(nothing_before_the_record_is_durable),
		STAGED(pipelined_commands_wait_each_for_its_own), STAGED(refused_command_never_arrives), STAGED(unknown_is_refused),
		STAGED(held_command_is_released_once), STAGED(denied_command_never_arrives), STAGED(client_that_goes_withdraws),
		STAGED(wrong_identity_ends), STAGED(lost_control_refuses), STAGED(lost_journal_ends_the_session_unsent),
		STAGED(stopped_journal_refuses_at_once), STAGED(kill_order_ends_in_the_protocols_words),
		STAGED(new_policy_waits_for_new_grants), STAGED(half_close_passes_through), STAGED(reset_passes_through),
		STAGED(midstream_is_answered_with_a_reset), STAGED(bridge_and_drop), STAGED(bad_checksum_is_dropped),
		STAGED(hostile_orders_have_no_effect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
