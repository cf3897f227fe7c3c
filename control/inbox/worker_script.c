#include "control/inbox/worker_script.h"

#include <stdlib.h>
#include <stdio.h>

bool worker_script_init(struct worker_script *s, void *up, void *down, uint64_t seed)
{
	*s = (struct worker_script){ .rng = rng_seeded(seed) };
	for (unsigned i = 0; i < 16; i++)
		s->boot[i] = (uint8_t)rng_next(&s->rng);
	s->said = calloc(SCRIPT_SAID_MAX, sizeof(*s->said));
	return s->said && ring_attach_producer(&s->up, up, LIMIT_RING_UP_BYTES) && ring_attach_consumer(&s->down, down, LIMIT_RING_DOWN_BYTES);
}

void worker_script_free(struct worker_script *s)
{
	free(s->said);
}

bool worker_script_write(struct worker_script *s, uint16_t type, struct bytes payload)
{
	return payload.base && ring_write(&s->up, type, payload, &s->position);
}

static bool say(struct worker_script *s, uint16_t type, struct bytes encoded, struct script_flow *f, char kind)
{
	if (!worker_script_write(s, type, encoded))
		return false;
	if (kind && s->said_count < SCRIPT_SAID_MAX)
		s->said[s->said_count++] = (struct script_said){ .end = s->position, .flow = f->number, .n = f->n, .kind = kind };
	f->n += kind != 0;
	return true;
}

bool worker_script_hello(struct worker_script *s)
{
	const struct event_hello e = { .worker = (uint16_t)s->worker, .boot = bytes_of(s->boot, 16) };

	return worker_script_write(s, EVENT_hello, event_hello_encode(&e, s->room, sizeof(s->room)));
}

bool worker_script_open_flow(struct worker_script *s, struct script_flow *f, uint32_t number)
{
	const uint8_t client[4] = { (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number }, target[4] = { 192, 0, 2, 1 };
	const struct event_flow_open e = { .flow = number, .client = bytes_of(client, 4), .client_port = 40000, .target = bytes_of(target, 4), .target_port = 5432 };

	*f = (struct script_flow){ .number = number };
	if (say(s, EVENT_flow_open, event_flow_open_encode(&e, s->room, sizeof(s->room)), f, 'o'))
		return true;
	f->number = 0;
	return false;
}

bool worker_script_login(struct worker_script *s, struct script_flow *f, struct bytes token)
{
	const struct event_login e = { .flow = f->number, .n = f->n, .token = token, .user = bytes_str("app"), .database = bytes_str("shop") };

	f->asked = say(s, EVENT_login, event_login_encode(&e, s->room, sizeof(s->room)), f, 'l');
	return f->asked;
}

bool worker_script_command(struct worker_script *s, struct script_flow *f, struct bytes text, enum command_action action)
{
	const struct event_command e = { .flow = f->number, .n = f->n, .action = (uint8_t)action, .raw = text, .approval = 0xffff };

	f->command = f->n;
	return say(s, EVENT_command, event_command_encode(&e, s->room, sizeof(s->room)), f, 'c');
}

bool worker_script_respond(struct worker_script *s, struct script_flow *f)
{
	const struct event_response e = { .flow = f->number, .n = f->n, .ref = f->command, .status = bytes_str("00000"), .tag = bytes_str("SELECT 1"), .rows = 1 };

	if (!say(s, EVENT_response, event_response_encode(&e, s->room, sizeof(s->room)), f, 'r'))
		return false;
	f->command = 0;
	return true;
}

bool worker_script_payload(struct worker_script *s, struct script_flow *f, struct bytes data)
{
	const struct event_payload e = { .flow = f->number, .ref = f->command, .direction = 1, .data = data };

	return say(s, EVENT_payload, event_payload_encode(&e, s->room, sizeof(s->room)), f, 0);
}

bool worker_script_part(struct worker_script *s, struct script_flow *f)
{
	const struct event_part e = { .flow = f->number, .n = f->n, .ref = f->command, .rows = 7, .octets = 70000, .window = 65536 };

	return say(s, EVENT_part, event_part_encode(&e, s->room, sizeof(s->room)), f, 'a');
}

bool worker_script_close(struct worker_script *s, struct script_flow *f, enum close_cause cause)
{
	const struct event_flow_close e = { .flow = f->number, .n = f->n, .cause = (uint8_t)cause };

	if (!say(s, EVENT_flow_close, event_flow_close_encode(&e, s->room, sizeof(s->room)), f, 'x'))
		return false;
	*f = (struct script_flow){ 0 };
	return true;
}

static bool step_logged_in(struct worker_script *s, struct script_flow *f)
{
	uint8_t data[2000];
	char text[64];

	if (rng_below(&s->rng, 40) == 0)
		return worker_script_close(s, f, CLOSE_CLIENT);
	if (f->command && rng_below(&s->rng, 8) == 0)
		return worker_script_part(s, f);
	if (f->command && rng_below(&s->rng, 4) == 0) {
		memset(data, 'd', sizeof(data));
		return worker_script_payload(s, f, bytes_of(data, 1 + rng_below(&s->rng, sizeof(data))));
	}
	if (f->command)
		return worker_script_respond(s, f);
	snprintf(text, sizeof(text), "SELECT %u FROM t WHERE flow = %u", f->n, f->number);
	return worker_script_command(s, f, bytes_str(text), rng_below(&s->rng, 10) ? COMMAND_ALLOW : COMMAND_BLOCK);
}

bool worker_script_step(struct worker_script *s)
{
	struct script_flow *f = &s->flow[rng_below(&s->rng, SCRIPT_FLOWS)];

	if (s->said_count + 2 > SCRIPT_SAID_MAX)
		return false;
	if (!f->number) {
		if (!worker_script_open_flow(s, f, s->flows + 1))
			return false;
		s->flows++;
		return true;
	}
	if (!f->asked)
		return worker_script_login(s, f, bytes_str("a token"));
	if (f->refused)
		return worker_script_close(s, f, CLOSE_REFUSED_LOGIN);
	return f->logged_in && step_logged_in(s, f);
}

bool worker_script_close_all(struct worker_script *s)
{
	for (unsigned i = 0; i < SCRIPT_FLOWS; i++) {
		if (s->flow[i].number && !worker_script_close(s, &s->flow[i], CLOSE_CLIENT))
			return false;
	}
	return true;
}

static void take_identity(struct worker_script *s, const struct order_identity *m)
{
	for (unsigned i = 0; i < SCRIPT_FLOWS; i++) {
		if (s->flow[i].number != m->flow)
			continue;
		s->flow[i].logged_in = m->accepted;
		s->flow[i].refused = !m->accepted;
		s->refused += !m->accepted;
	}
}

void worker_script_orders(struct worker_script *s)
{
	struct bytes payload;
	uint16_t type;
	uint64_t end = 0;
	bool any = false;

	while (ring_read(&s->down, s->order, sizeof(s->order), &type, &payload, &end)) {
		struct order_durable durable;
		struct order_identity identity;

		any = true;
		s->orders++;
		s->kills += type == ORDER_kill;
		if (type == ORDER_durable && order_durable_decode(payload, &durable) && durable.position > s->durable)
			s->durable = durable.position;
		else if (type == ORDER_identity && order_identity_decode(payload, &identity))
			take_identity(s, &identity);
	}
	if (any)
		ring_release(&s->down, end);
}
