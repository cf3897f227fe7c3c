#include "bench/endpoint.h"

#define SHIFT 6
#define TIME_WAIT_US 100000u
#define INNER_SEGMENTS 8

struct tcp_config endpoint_config(void)
{
	struct tcp_config c = tcp_config_default();

	c.receive_bytes_max = c.send_bytes_max = 1u << 20;
	c.keepalive_idle_us = 0;
	c.time_wait_us = TIME_WAIT_US;
	return c;
}

static enum tcp_side inner(const struct endpoint *e)
{
	return e->side == TCP_CLIENT ? TCP_SERVER : TCP_CLIENT;
}

static struct tcp_options offer(uint32_t ts_value)
{
	return (struct tcp_options){ .has_mss = true, .mss = 1460, .has_shift = true, .shift = SHIFT, .sack_permitted = true, .has_timestamps = true, .ts_value = ts_value };
}

static bool hear(void *context, const struct tcp_segment *segment)
{
	struct tcp_segment *last = context;

	*last = *segment;
	return true;
}

/* What the inner half has to say is heard by nobody but us. */
static struct tcp_segment hear_inner(struct endpoint *e, uint64_t now_us)
{
	struct tcp_segment said = { 0 };

	(void)tcp_pair_output(&e->pair, inner(e), hear, &said, INNER_SEGMENTS, now_us);
	return said;
}

/* The inner half's handshake, once it has begun: at a server the SYN is answered, at a client the SYN-ACK. */
static void greet_inner(struct endpoint *e, uint32_t isn, uint64_t now_us)
{
	struct tcp_segment said = hear_inner(e, now_us), answer = { .window = UINT16_MAX, .flags = TCP_ACK };

	if (!(said.flags & TCP_SYN))
		return;
	answer.ack = said.seq + 1;
	if (e->side == TCP_CLIENT) {
		answer.seq = isn;
		answer.flags |= TCP_SYN;
		answer.options = offer(isn);
		answer.options.ts_echo = said.options.ts_value;
	} else {
		answer.seq = said.ack;
		answer.options.has_timestamps = said.options.has_timestamps;
		answer.options.ts_value = said.options.ts_echo;
		answer.options.ts_echo = said.options.ts_value;
	}
	(void)tcp_pair_input(&e->pair, inner(e), &answer, now_us);
	tcp_pair_abort(&e->pair, inner(e));
	(void)hear_inner(e, now_us);
	e->alone = true;
}

bool endpoint_connect(struct endpoint *e, const struct endpoint_ways *ways, const struct packet_template *wire, uint32_t isn, uint64_t now_us)
{
	struct tcp_segment syn = { .seq = isn, .window = UINT16_MAX, .flags = TCP_SYN, .options = offer(isn) };

	e->side = TCP_SERVER;
	e->alone = false;
	e->wire = *wire;
	return tcp_pair_open(&e->pair, ways->config, ways->pool, &syn, now_us);
}

bool endpoint_accept(struct endpoint *e, const struct endpoint_ways *ways, const struct packet *p, const struct tcp_segment *syn, uint32_t isn, uint64_t now_us)
{
	e->side = TCP_CLIENT;
	e->alone = false;
	if (!tcp_pair_open(&e->pair, ways->config, ways->pool, syn, now_us))
		return false;
	packet_template_reply(&e->wire, p);
	greet_inner(e, isn, now_us);
	return true;
}

unsigned endpoint_input(struct endpoint *e, const struct tcp_segment *segment, uint64_t now_us)
{
	unsigned events = tcp_pair_input(&e->pair, (enum tcp_side)e->side, segment, now_us);

	if (!e->alone && e->side == TCP_SERVER)
		greet_inner(e, 0, now_us);
	return events;
}

unsigned endpoint_timer(struct endpoint *e, uint64_t now_us)
{
	unsigned events[2];

	tcp_pair_timer(&e->pair, now_us, events);
	if (!e->alone)
		(void)hear_inner(e, now_us);
	return events[e->side];
}

enum tcp_output_status endpoint_output(struct endpoint *e, tcp_emit *emit, void *context, unsigned segments_max, uint64_t now_us)
{
	return tcp_pair_output(&e->pair, (enum tcp_side)e->side, emit, context, segments_max, now_us);
}

void endpoint_abort(struct endpoint *e, uint64_t now_us)
{
	tcp_pair_abort(&e->pair, (enum tcp_side)e->side);
	tcp_pair_abort(&e->pair, inner(e));
	(void)hear_inner(e, now_us);
}

void endpoint_release(struct endpoint *e)
{
	tcp_pair_release(&e->pair);
}
