#include "tests/simulate/conductor_stage.h"

#include "dataplane/relay/flight.h"

#include <stdio.h>
#include <stdlib.h>

#include "platform/contract/policy_write.h"

struct stage *stage;
uint8_t stage_order_bytes[LIMIT_MESSAGE_BYTES];
uint32_t stage_flows_max = 64, stage_active_max, stage_memory_bytes = 8u << 20;
uint64_t stage_ring_used;
bool stage_opaque, stage_terminated;
struct stage_peers stage_peers;

static uint8_t *room(void *context, unsigned port, size_t *cap)
{
	struct stage *s = context;

	if (s->tail - s->head == STAGE_FRAMES)
		return NULL;
	*cap = 1600;
	return s->queue[s->tail % STAGE_FRAMES];
}

static void send_frame(void *context, unsigned port, size_t bytes)
{
	struct stage *s = context;

	s->queue_bytes[s->tail % STAGE_FRAMES] = bytes;
	s->queue_port[s->tail % STAGE_FRAMES] = port;
	s->tail++;
}

/* The frame at hand leaves by the other port, as it is by now. */
static void stage_pass_on(struct stage *s, unsigned from, size_t len)
{
	assert_true(s->tail - s->head < STAGE_FRAMES);
	memcpy(s->queue[s->tail % STAGE_FRAMES], s->frame, len);
	send_frame(s, 1 - from, len);
}

enum relay_route stage_give(struct stage *s, unsigned from, const struct tcp_segment *segment)
{
	struct packet_built built = packet_build(&s->end[from].template, segment, s->frame, sizeof s->frame, PACKET_BUILD_FULL);
	struct relay *reader = s->entry ? s->entry : s->relay;
	enum relay_route route = relay_frame(reader, from, bytes_of(s->frame, built.bytes), PACKET_CHECKSUM_UNKNOWN, s->now_us);

	if (route == RELAY_ELSEWHERE)
		route = stage_peers.elsewhere(reader, from, bytes_of(s->frame, built.bytes), s->now_us);
	if (route == RELAY_BRIDGE && stage_opaque)
		stage_pass_on(s, from, built.bytes);
	s->bridged += route == RELAY_BRIDGE;
	s->dropped += route == RELAY_DROPPED;
	return route;
}

void stage_transmit(struct stage *s, unsigned from, uint8_t flags, const char *text)
{
	struct end *e = &s->end[from];
	struct tcp_segment segment = { .seq = e->next, .ack = e->ack, .window = e->window, .flags = flags };
	size_t len = text ? strlen(text) : 0;

	if (len) {
		segment.spans[0] = bytes_of(text, len);
		segment.span_count = 1;
		segment.payload_bytes = (uint32_t)len;
	}
	e->next += (uint32_t)len + ((flags & (TCP_SYN | TCP_FIN)) != 0);
	(void)stage_give(s, from, &segment);
}

/* One frame from the relay arrives at an end. */
static void arrive(struct stage *s, unsigned at, struct bytes frame)
{
	struct end *e = &s->end[at];
	struct tcp_segment segment;
	struct packet p;

	assert_int_equal(packet_parse(frame, &p), ERROR_none);
	assert_int_equal(packet_segment(&p, PACKET_CHECKSUM_UNKNOWN, &segment), ERROR_none);
	if (memcmp(at == 1 ? &p.source_port : &p.destination_port, s->client_port, 2) != 0)
		return; /* of no client that the ends play */
	if (segment.flags & TCP_RST) {
		e->reset = true;
		e->reset_seq = segment.seq;
		e->reset_ack = segment.ack;
		return;
	}
	if (segment.flags & TCP_SYN) {
		e->ack = segment.seq + 1;
		e->open = true;
		if (at == 1)
			packet_template_reply(&e->template, &p);
		stage_transmit(s, at, at == 1 ? TCP_SYN | TCP_ACK : TCP_ACK, NULL);
		return;
	}
	if (segment.seq == e->ack && (segment.payload_bytes || (segment.flags & TCP_FIN))) {
		assert_true(e->got_bytes + segment.payload_bytes < sizeof e->got);
		if (segment.payload_bytes)
			memcpy(e->got + e->got_bytes, segment.spans[0].base, segment.payload_bytes);
		e->got_bytes += segment.payload_bytes;
		e->ack += segment.payload_bytes + ((segment.flags & TCP_FIN) != 0);
		e->finished |= (segment.flags & TCP_FIN) != 0;
		stage_transmit(s, at, TCP_ACK, NULL);
	}
}

/* --- Control --- */

static uint8_t message[LIMIT_MESSAGE_BYTES];

void stage_identify(struct stage *s, bool accepted)
{
	static const uint8_t groups[32] = { 1 };

	STAGE_ORDER(s, identity, .flow = s->flow, .accepted = accepted, .generation = s->snapshot.inspect.generation,
	      .groups = bytes_of(groups, 32), .say = bytes_str("who are you"));
}

void stage_classify(struct stage *s, const char *text, bool known)
{
	uint8_t buffer[1024];
	struct classification_writer cw = classification_writer_of(buffer, sizeof buffer, false);
	struct access a = { .verb = strstr(text, "drop") ? VERB_ddl : strstr(text, "delete") ? VERB_delete : VERB_select,
			    .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str("t") } };

	classification_begin_statement(&cw, 0);
	classification_add_access(&cw, &a);
	classification_begin_targets(&cw);
	classification_end_statement(&cw, NULL);
	STAGE_ORDER(s, classified, .key_hi = s->key_hi, .key_lo = s->key_lo, .known = known,
	      .classification = known ? classification_finish(&cw, bytes_str(text), bytes_str(text)) : (struct bytes){ 0 });
}

static void count_n(struct stage *s, uint32_t n)
{
	if (!s->fuzzed)
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

static void see_response(struct stage *s, struct bytes payload, uint64_t end)
{
	struct event_response m;

	assert_true(event_response_decode(payload, &m));
	count_n(s, m.n);
	s->responses++;
	s->response_position = end;
	s->last_outcome = m.outcome;
	s->last_truncated = m.truncated;
	s->last_ref = m.ref;
}

static void see_part(struct stage *s, struct bytes payload)
{
	assert_true(event_part_decode(payload, &s->part));
	count_n(s, s->part.n);
	s->parts++;
	s->part_octets += s->part.window;
}

static void see_rechecked(struct stage *s, struct bytes payload)
{
	assert_true(event_rechecked_decode(payload, &s->recheck));
	s->rechecks++;
	snprintf(s->recheck_state, sizeof s->recheck_state, "%.*s", (int)s->recheck.state.len, (const char *)s->recheck.state.base);
	snprintf(s->recheck_raw, sizeof s->recheck_raw, "%.*s", (int)s->recheck.raw.len, (const char *)s->recheck.raw.base);
}

static void see(struct stage *s, uint16_t type, struct bytes payload, uint64_t end)
{
	union {
		struct event_flow_open open;
		struct event_login login;
		struct event_classify classify;
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
			stage_identify(s, true);
		break;
	case EVENT_classify:
		assert_true(event_classify_decode(payload, &m.classify));
		s->classifies++;
		s->key_hi = m.classify.key_hi;
		s->key_lo = m.classify.key_lo;
		snprintf(text, sizeof text, "%.*s", (int)m.classify.text.len, (const char *)m.classify.text.base);
		if (s->answer_classify)
			stage_classify(s, text, strstr(text, "???") == NULL);
		break;
	case EVENT_command:
		see_command(s, payload, end);
		break;
	case EVENT_response:
		see_response(s, payload, end);
		break;
	case EVENT_payload:
		assert_true(event_payload_decode(payload, &m.payload));
		if (m.payload.data.len > sizeof s->payload - s->payload_bytes)
			break;
		memcpy(s->payload + s->payload_bytes, m.payload.data.base, m.payload.data.len);
		s->payload_bytes += m.payload.data.len;
		break;
	case EVENT_part:
		see_part(s, payload);
		break;
	case EVENT_withdraw:
		assert_true(event_withdraw_decode(payload, &m.withdraw));
		s->withdrawals++;
		break;
	case EVENT_rechecked:
		see_rechecked(s, payload);
		break;
	case EVENT_flow_close:
		assert_true(event_flow_close_decode(payload, &m.close));
		count_n(s, m.close.n);
		s->closes++;
		s->close_cause = m.close.cause;
		s->octets_up = m.close.octets_up;
		s->octets_down = m.close.octets_down;
		break;
	}
}

void stage_durable(struct stage *s)
{
	if (s->durable_sent == s->last_position)
		return;
	s->durable_sent = s->last_position;
	STAGE_ORDER(s, durable, .position = s->durable_sent);
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
		stage_durable(s);
	if (s->beats)
		life_beat(&((struct ring_header *)s->down)->producer, false);
}

/* Lets everything happen that can, without time passing beyond 1 ms a round. */
void stage_settle(struct stage *s)
{
	for (int i = 0; i < 40; i++) {
		s->now_us += 1000;
		relay_turn(s->relay, s->now_us);
		control(s);
		while (s->head != s->tail) {
			unsigned slot = s->head++ % STAGE_FRAMES;

			arrive(s, s->queue_port[slot], bytes_of(s->queue[slot], s->queue_bytes[slot]));
		}
	}
}

void stage_pass(struct stage *s, uint64_t us)
{
	for (uint64_t end = s->now_us + us; s->now_us < end;) {
		s->now_us += 50000;
		stage_settle(s);
	}
}

bool stage_got(struct stage *s, unsigned at, const char *text)
{
	return memmem(s->end[at].got, s->end[at].got_bytes, text, strlen(text)) != NULL;
}

/* --- Set-up --- */

uint8_t stage_frame_head[54] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 10,
	0x9c, 0x40, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
};

void stage_write_image(struct stage *s)
{
	static const struct spec_listener listener = { .family = 4, .address = { 10, 0, 0, 10 }, .port = 5432, .any_vlan = true };
	const struct spec_service opaque = { .audit = s->audit, .name = "lines", .protocol_word = "opaque", .protocol = POLICY_PROTOCOL_OPAQUE, .splice = s->unspliced ? POLICY_SPLICE_OFF : POLICY_SPLICE_ON, .tls = POLICY_TLS_OFF,
						    .reason = "test", .listeners = &listener, .listeners_count = 1 };
	const struct spec_service services[] = {
		{ .audit = s->audit, .record = s->record, .payload_bytes_max = s->payload_bytes_max, .name = "lines", .protocol_word = "line", .protocol = POLICY_PROTOCOL_OTHER, .tls = POLICY_TLS_OFF, .search_path = "public",
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
		.name = "test", .generation = s->snapshot.inspect.generation + 1 + s->reloads, .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE },
		.services = stage_opaque ? &opaque : services, .services_count = 1, .groups = groups, .groups_count = 1, .approvals = approvals, .approvals_count = 1,
		.rules = rules, .rules_count = 3,
	};

	spec.defaults.on_control_lost = s->wait_for_control ? POLICY_LOST_WAIT : POLICY_LOST_BLOCK;
	if (s->hold_unknown) {
		spec.defaults.unknown = POLICY_HOLD;
		spec.defaults.approval = 0;
	}
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

bool stage_reload(struct stage *s)
{
	struct relay_snapshot first = s->snapshot, *next = &s->spare[s->reloads % 2];

	if (s->leaving_image && !relay_retired_snapshot(s->relay))
		return false;
	free(s->leaving_image);
	s->leaving_image = s->image;
	s->image = NULL;
	stage_write_image(s);
	*next = s->snapshot;
	s->snapshot = first;
	s->reloads++;
	return relay_swap_snapshot(s->relay, next);
}

/* The rings of a stage that was closed, for the next one: most of a stage is their memory, and it need not be fresh. */
static void *spare_up, *spare_down;

static void take_rings(struct stage *s, const uint8_t boot[16])
{
	s->up = spare_up ? spare_up : aligned_alloc(4096, ring_bytes(LIMIT_RING_UP_BYTES));
	s->down = spare_down ? spare_down : aligned_alloc(4096, ring_bytes(LIMIT_RING_DOWN_BYTES));
	spare_up = spare_down = NULL;
	ring_init(s->up, LIMIT_RING_UP_BYTES, boot);
	atomic_store(&((struct ring_header *)s->up)->head, stage_ring_used);
	ring_init(s->down, LIMIT_RING_DOWN_BYTES, boot);
}

static void give_rings(struct stage *s)
{
	free(spare_up);
	free(spare_down);
	spare_up = s->up;
	spare_down = s->down;
}

int stage_open(void **state)
{
	struct relay_config config = {
		.worker = stage_peers.worker, .workers = stage_peers.workers, .flows_max = stage_flows_max, .sessions_max = stage_flows_max / 4, .active_max = stage_active_max, .chunk_memory_bytes = stage_memory_bytes, .buffers = { stage_flows_max / 8 > 64 ? stage_flows_max / 8 : 64, 8, 4 }, .shared_bytes = stage_memory_bytes / 2, .mtu_bytes = 1500,
		.window_bytes = 65536, .hash_key = { 1, 2 }, .lost_after_us = 5000000, .stalled_after_us = 1000000,
		.splice = stage_terminated ? RELAY_SPLICE_OFF : RELAY_SPLICE_ON,
	};
	struct relay_wire wire;
	struct packet p;
	char err[200] = "";

	stage = calloc(1, sizeof *stage);
	wire = (struct relay_wire){ .context = stage, .room = room, .send = send_frame, .hand = stage_peers.hand, .tell = stage_peers.tell };
	memcpy(stage->client_port, stage_frame_head + 34, sizeof stage->client_port);
	stage->flights = calloc(1, page_flights_bytes(config.flows_max));
	config.flights = stage->flights;
	config.flight_flows = config.flows_max;
	flight_adopt(stage->flights, config.flows_max);
	take_rings(stage, config.boot);
	stage->relay = relay_create(&config, &wire, stage->up, stage->down, err, sizeof err);
	if (!stage->relay)
		fail_msg("%s", err);
	assert_true(ring_attach_consumer(&stage->events, stage->up, LIMIT_RING_UP_BYTES));
	assert_true(ring_attach_producer(&stage->orders, stage->down, LIMIT_RING_DOWN_BYTES));
	stage_write_image(stage);
	assert_true(relay_swap_snapshot(stage->relay, &stage->snapshot));
	stage->now_us = 1000000;
	stage->answer_login = stage->answer_classify = stage->answer_durable = stage->beats = true;
	assert_int_equal(packet_parse(bytes_of(stage_frame_head, sizeof stage_frame_head), &p), ERROR_none);
	packet_template_from(&stage->end[0].template, &p);
	packet_template_reply(&stage->end[1].template, &p);
	stage->end[0].window = stage->end[1].window = 60000;
	stage->end[0].next = 1000;
	stage->end[1].next = 9000;
	STAGE_ORDER(stage, control, .journal = 1);
	return 0;
}

int stage_close(void **state)
{
	relay_destroy(stage->relay);
	free(stage->flights);
	free(stage->image);
	free(stage->leaving_image);
	give_rings(stage);
	free(stage);
	return 0;
}

void stage_connect(struct stage *s)
{
	stage_transmit(s, 0, TCP_SYN, NULL);
	stage_settle(s);
	assert_true(s->end[0].open && s->end[1].open);
	assert_int_equal(s->end[0].ack, 9001); /* the server's own number: set-up is mirrored */
	assert_int_equal(s->opens, 1);
}

void stage_client_says(struct stage *s, const char *text)
{
	stage_transmit(s, 0, TCP_ACK | TCP_PSH, text);
	stage_settle(s);
}

void stage_log_in(struct stage *s)
{
	stage_connect(s);
	stage_client_says(s, "LOGIN token\n");
	assert_true(stage_got(s, 0, "welcome\n"));
}
