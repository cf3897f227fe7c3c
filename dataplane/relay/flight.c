#include "dataplane/relay/flight.h"

#include <endian.h>
#include <stdio.h>

_Static_assert(FLOW_CLOSED < 8 && WAIT_CANCEL < 8, "three bits each in a state");

static struct page_flow *entry_of(const struct flight *t, const struct flow *f)
{
	return t->file && f->number < t->flows ? &t->file->flow[f->number] : NULL;
}

/* Between these two a reader sees an odd version and tries again. */
static void write_begin(struct page_flow *e)
{
	atomic_store_explicit(&e->version, atomic_load_explicit(&e->version, memory_order_relaxed) + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static void write_end(struct page_flow *e)
{
	atomic_store_explicit(&e->version, atomic_load_explicit(&e->version, memory_order_relaxed) + 1, memory_order_release);
}

static void keep(struct page_flights *file, const struct page_flow *from, uint8_t cause)
{
	struct page_flow *to = &file->abnormal[file->abnormals % PAGE_ABNORMAL];
	size_t head = offsetof(struct page_flow, state);

	write_begin(to);
	memcpy((uint8_t *)to + head, (const uint8_t *)from + head, sizeof *to - head);
	to->cause = cause;
	write_end(to);
	file->abnormals++;
}

void flight_adopt(struct page_flights *file, uint32_t flows)
{
	if (!file)
		return;
	if (file->magic == PAGE_MAGIC && file->bytes == sizeof(struct page_flow) && file->flows == flows) {
		for (uint32_t i = 0; i < flows; i++) {
			uint32_t phase = file->flow[i].state >> PAGE_STATE_PHASE & 7;

			if (file->flow[i].id && (phase == FLOW_RUNNING || phase == FLOW_ENDING))
				keep(file, &file->flow[i], CLOSE_RESTART);
		}
	} else {
		memset(file->abnormal, 0, sizeof file->abnormal);
		file->abnormals = 0;
	}
	memset((void *)file->flow, 0, (size_t)flows * sizeof *file->flow);
	file->flows = flows;
	file->bytes = sizeof(struct page_flow);
	file->magic = PAGE_MAGIC;
}

static uint32_t tls_state(const struct tls_engine *e)
{
	return e->failed ? 3 : e->established ? 2 : tls_engine_active(e) ? 1 : 0;
}

/* How the halves ended, if they did. */
static uint32_t ends_of(const struct flow *f)
{
	if (f->active) {
		const struct tcp_half *client = &f->active->pair.half[SIDE_CLIENT], *server = &f->active->pair.half[SIDE_SERVER];

		return (uint32_t)client->was_reset << PAGE_STATE_CLIENT_RESET | (uint32_t)server->was_reset << PAGE_STATE_SERVER_RESET |
		       (uint32_t)client->timed_out << PAGE_STATE_CLIENT_DEAD | (uint32_t)server->timed_out << PAGE_STATE_SERVER_DEAD;
	}
	const struct tcp_rest_half *client = &f->rest.tcp.half[SIDE_CLIENT], *server = &f->rest.tcp.half[SIDE_SERVER];

	return (uint32_t)client->was_reset << PAGE_STATE_CLIENT_RESET | (uint32_t)server->was_reset << PAGE_STATE_SERVER_RESET |
	       (uint32_t)client->timed_out << PAGE_STATE_CLIENT_DEAD | (uint32_t)server->timed_out << PAGE_STATE_SERVER_DEAD;
}

static uint32_t state_of(const struct flow *f)
{
	const struct flow_session *s = f->session;
	uint32_t flags = (uint32_t)f->opaque << PAGE_STATE_OPAQUE | (uint32_t)(s && s->logged_in) << PAGE_STATE_LOGGED_IN |
			 (uint32_t)f->read_ended[SIDE_CLIENT] << PAGE_STATE_CLIENT_ENDED | (uint32_t)f->read_ended[SIDE_SERVER] << PAGE_STATE_SERVER_ENDED |
			 ends_of(f) |
			 (uint32_t)f->kill_asked << PAGE_STATE_KILLED | (uint32_t)f->splice.on << PAGE_STATE_SPLICED;

	return (uint32_t)f->phase << PAGE_STATE_PHASE | (uint32_t)f->wait << PAGE_STATE_WAIT |
	       (s ? tls_state(&s->tls[SIDE_CLIENT]) << PAGE_STATE_TLS_CLIENT | tls_state(&s->tls[SIDE_SERVER]) << PAGE_STATE_TLS_SERVER : 0) | flags << PAGE_STATE_FLAGS;
}

static void half_show(const struct tcp_half *h, struct page_half *out)
{
	*out = (struct page_half){
		.state = h->state, .timestamps = h->timestamps, .sack = h->sack, .window_scale = h->window_scale, .mss = h->send.mss,
		.srtt_us = h->rtt.smoothed_us, .congestion_bytes = h->congestion.window_bytes, .window_bytes = h->send.window,
		.in_flight_bytes = h->send.next - h->send.una, .queued_bytes = h->send.queue.bytes,
		.unread_bytes = h->receive.queue.bytes, .held_bytes = h->receive.held.bytes,
	};
}

static void rest_show(const struct tcp_rest_half *h, struct page_half *out)
{
	*out = (struct page_half){
		.state = h->state, .timestamps = h->timestamps, .sack = h->sack, .window_scale = h->window_scale, .mss = h->mss,
		.srtt_us = h->smoothed_us, .congestion_bytes = h->congestion_bytes, .window_bytes = h->window,
	};
}

static void show(const struct flow *f, struct page_flow *e, uint64_t now_us)
{
	e->state = state_of(f);
	e->seen_us = now_us;
	e->cause = f->cause;
	e->octets_up = flow_octets(f, SIDE_SERVER);
	e->octets_down = flow_octets(f, SIDE_CLIENT);
	if (f->session) {
		e->commands = f->session->commands;
		e->rows = f->session->rows;
	}
	e->barriers = f->session ? f->session->barriers[SIDE_SERVER] : f->held_until > 0;
	e->windows = f->session ? f->session->barriers[SIDE_CLIENT] : f->held_until > 0 && f->held_both_ways;
	for (int side = 0; side < 2; side++) {
		if (f->active)
			half_show(&f->active->pair.half[side], &e->half[side]);
		else
			rest_show(&f->rest.tcp.half[side], &e->half[side]);
	}
}

void flight_open(struct flight *t, struct flow *f, uint64_t now_us)
{
	struct page_flow *e = entry_of(t, f);

	if (!e)
		return;
	write_begin(e);
	e->id = f->id;
	e->opened_us = now_us;
	memcpy(e->client, flow_address(f, SIDE_CLIENT)->byte, sizeof e->client);
	memcpy(e->target, flow_address(f, SIDE_SERVER)->byte, sizeof e->target);
	e->client_port = be16toh(flow_port(f, SIDE_CLIENT));
	e->target_port = be16toh(flow_port(f, SIDE_SERVER));
	e->vlan = f->vlan;
	e->family = f->family;
	memcpy(e->service, f->service->name, sizeof e->service);
	e->records = 0;
	e->commands = e->rows = 0;
	show(f, e, now_us);
	write_end(e);
	f->flight_state = e->state;
	flight_note(t, f, PAGE_FLIGHT_opened, SIDE_CLIENT, e->client_port, f->service_number, now_us);
}

void flight_note(struct flight *t, const struct flow *f, enum page_flight what, enum side side, uint32_t a, uint32_t b, uint64_t now_us)
{
	struct page_flow *e = entry_of(t, f);
	uint64_t since_us;

	if (!e || e->id != f->id)
		return;
	since_us = now_us - e->opened_us;
	write_begin(e);
	e->record[e->records % PAGE_RECORDS] = (struct page_record){
		.at_ms = (uint32_t)(since_us / 1000), .at_us = (uint16_t)(since_us % 1000), .what = (uint8_t)what, .side = (uint8_t)side, .a = a, .b = b,
	};
	e->records++;
	write_end(e);
}

void flight_look(struct flight *t, struct flow *f, uint64_t now_us)
{
	uint32_t now = state_of(f), before = f->flight_state;

	if (now == before)
		return;
	f->flight_state = now;
	flight_note(t, f, PAGE_FLIGHT_state, SIDE_CLIENT, now, before, now_us);
}

void flight_end(struct flight *t, struct flow *f, uint64_t now_us)
{
	struct page_flow *e = entry_of(t, f);

	if (!e || e->id != f->id)
		return;
	flight_look(t, f, now_us);
	flight_note(t, f, PAGE_FLIGHT_ended, SIDE_CLIENT, f->cause, f->session ? (uint32_t)f->session->commands : 0, now_us);
	write_begin(e);
	show(f, e, now_us);
	write_end(e);
	if (f->n > 0 && page_cause_abnormal(f->cause)) /* not those that never got as far as a session */
		keep(t->file, e, f->cause);
}

void flight_free(struct flight *t, const struct flow *f)
{
	struct page_flow *e = entry_of(t, f);

	if (!e)
		return;
	write_begin(e);
	e->id = 0;
	write_end(e);
}

void flight_sweep(struct flight *t, const struct flow *flows, unsigned flows_max, uint64_t now_us)
{
	if (!t->file)
		return;
	for (unsigned i = 0; i < flows_max && i < t->flows; i++) {
		const struct flow *f = &flows[t->swept];
		struct page_flow *e = &t->file->flow[t->swept];

		t->swept = t->swept + 1 < t->flows ? t->swept + 1 : 0;
		if (f->phase == FLOW_FREE || e->id != f->id)
			continue;
		write_begin(e);
		show(f, e, now_us);
		write_end(e);
	}
}
