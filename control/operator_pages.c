/* operator_pages.c: the verbs about what the workers show of themselves (platform/contract/page.h). The pages are mapped, copied
 * and closed again for each question; no worker is stopped or asked, and a dead one's pages can still be read. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/operator_verbs.h"
#include "platform/contract/page.h"
#include "platform/os/shm.h"

#define FLIGHTS_BYTES_MAX (1u << 30)
#define FLOWS_SHOWN 1000
#define ALIVE_WITHIN_US 2000000u

struct page {
	struct bytes mapped;
	const struct page_worker *worker;
	const struct page_flights *flights;
};

static struct page page_map(const struct node *n, const char *kind, unsigned worker)
{
	struct page p = { 0 };
	char name[32], err[OS_ERROR_BYTES];

	snprintf(name, sizeof(name), "%s-%u", kind, worker);
	p.mapped = shm_map(n->settings->run_dir, name, FLIGHTS_BYTES_MAX, err);
	p.worker = page_worker_open(p.mapped.base, p.mapped.len);
	p.flights = page_flights_open(p.mapped.base, p.mapped.len);
	return p;
}

static void page_unmap(const struct page *p)
{
	if (p->mapped.base)
		shm_unmap((void *)(uintptr_t)p->mapped.base, p->mapped.len);
}

static uint64_t mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* What another process wrote, up to its end and printable. */
static json_t *words(const char *text, size_t cap)
{
	char copy[128];
	size_t len = strnlen(text, cap < sizeof(copy) - 1 ? cap : sizeof(copy) - 1);

	for (size_t i = 0; i < len; i++)
		copy[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	copy[len] = 0;
	return json_string(copy);
}

static void put(json_t *object, const char *name, uint64_t number)
{
	json_object_set_new(object, name, json_integer((json_int_t)(number > INT64_MAX ? INT64_MAX : number)));
}

/* --- workers ------------------------------------------------------------------------------------------------------------- */

bool operation_worker_alive(const struct node *n, unsigned worker, bool *known)
{
	struct page p = page_map(n, "worker", worker);
	uint64_t now = mono_us();
	bool alive = p.worker && p.worker->pid != 0 && now - p.worker->alive_mono_us < ALIVE_WITHIN_US;

	*known = p.worker != NULL;
	page_unmap(&p);
	return alive;
}

void operation_worker_page(const struct node *n, unsigned worker, json_t *row)
{
	struct page p = page_map(n, "worker", worker);
	const struct page_worker *w = p.worker;

	json_object_set_new(row, "alive", json_boolean(w && w->pid != 0 && mono_us() - w->alive_mono_us < ALIVE_WITHIN_US));
	if (w) {
		put(row, "pid", (uint64_t)w->pid);
		put(row, "heartbeat_age_ms", (mono_us() - w->alive_mono_us) / 1000);
		put(row, "turns", w->turns);
		put(row, "naps", w->naps);
		put(row, "policy_generation", w->policy_generation);
		put(row, "flows_open", w->flows_open);
		put(row, "flows_opening", w->flows_opening);
		put(row, "flows_max", w->flows_max);
		put(row, "flows_active", w->active_max - w->active_free);
		put(row, "flows_active_max", w->active_max);
		put(row, "probe_longest", w->probe_longest);
		put(row, "sessions_used", w->sessions_max - w->sessions_free);
		put(row, "sessions_max", w->sessions_max);
		put(row, "chunks_used", w->chunks_max - w->chunks_free);
		put(row, "chunks_max", w->chunks_max);
		for (unsigned i = 0; i < 3; i++) {
			static const char *const used[] = { "buffers_small_used", "buffers_medium_used", "buffers_large_used" };

			put(row, used[i], w->buffers_max[i] - w->buffers_free[i]);
		}
		put(row, "pieces_small_used", w->pieces_max[0] - w->pieces_free[0]);
		put(row, "pieces_large_used", w->pieces_max[1] - w->pieces_free[1]);
		put(row, "frames", w->counters.frames);
		put(row, "bridged", w->counters.bridged);
		put(row, "spliced", w->counters.spliced);
		put(row, "taken_back", w->counters.taken_back);
		put(row, "taken", w->counters.taken);
		put(row, "handed_on", w->counters.handed_on);
		put(row, "handed_over", w->counters.handed_over);
		put(row, "flows_opened", w->counters.flows_opened);
		put(row, "masked_cells", w->counters.masked_cells);
	}
	page_unmap(&p);
}

/* --- standby ------------------------------------------------------------------------------------------------------------- */

json_t *operation_standby(const struct node *n)
{
	static const char *const states[] = { "absent", "watching", "bridging" };
	char err[OS_ERROR_BYTES];
	struct bytes mapped = shm_map(n->settings->run_dir, "standby", 1u << 16, err);
	const struct page_standby *s = page_standby_open(mapped.base, mapped.len);
	uint32_t state = s ? atomic_load(&s->state) : PAGE_STANDBY_ABSENT;
	json_t *row = json_pack("{s:s}", "state", state < 3 ? states[state] : "?");

	if (s) {
		put(row, "takeovers", s->takeovers);
		put(row, "bridged", s->bridged);
		put(row, "dropped", s->dropped);
		put(row, "unsent", s->unsent);
		put(row, "takeover_us", s->up_mono_us - s->down_mono_us);
	}
	if (mapped.base)
		shm_unmap((void *)(uintptr_t)mapped.base, mapped.len);
	return row;
}

/* --- ports --------------------------------------------------------------------------------------------------------------- */

static void put_counts(json_t *row, const struct page_port *p)
{
	put(row, "received", p->received);
	put(row, "sent", p->sent);
	put(row, "dropped_full", p->dropped_full);
	put(row, "dropped_split", p->dropped_split);
}

/* What each worker did at the port is added up; what the device counts is the same whoever asks. */
static void port_add(struct page_port *all, const struct page_port *one)
{
	struct page_port before = *all;

	*all = *one;
	all->received += before.received;
	all->sent += before.sent;
	all->dropped_full += before.dropped_full;
	all->dropped_split += before.dropped_split;
}

static json_t *offloads_json(uint8_t offloads)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < PAGE_OFFLOAD_count; i++)
		if (offloads >> i & 1)
			json_array_append_new(list, json_string(page_offload_name(i)));
	return list;
}

static json_t *port_json(unsigned port, const struct page_port *p, json_t *workers)
{
	char mac[18];
	json_t *row = json_pack("{s:i, s:o, s:o, s:b}", "port", (int)port, "device", words(p->device, sizeof(p->device)), "driver",
				words(p->driver, sizeof(p->driver)), "link", p->link_up);

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", p->mac[0], p->mac[1], p->mac[2], p->mac[3], p->mac[4], p->mac[5]);
	json_object_set_new(row, "mac", json_string(mac));
	json_object_set_new(row, "faces", json_string(port == 0 ? "agents" : "targets"));
	put(row, "mbps", p->link_mbps);
	put(row, "queues", p->queues);
	json_object_set_new(row, "offloads", offloads_json(p->offloads));
	put_counts(row, p);
	put(row, "device_missed", p->device_missed);
	put(row, "device_errors_in", p->device_errors_in);
	put(row, "device_errors_out", p->device_errors_out);
	put(row, "device_no_buffer", p->device_no_buffer);
	json_object_set_new(row, "workers", workers);
	return row;
}

void operation_ports(struct operation *o)
{
	struct page_port all[PAGE_PORTS] = { 0 };
	json_t *workers[PAGE_PORTS], *list = json_array();

	for (unsigned i = 0; i < PAGE_PORTS; i++)
		workers[i] = json_array();
	for (unsigned w = 0; w < o->node->settings->workers; w++) {
		struct page p = page_map(o->node, "worker", w);

		for (unsigned i = 0; p.worker && i < PAGE_PORTS; i++) {
			json_t *row = json_pack("{s:i}", "worker", (int)w);

			port_add(&all[i], &p.worker->port[i]);
			put_counts(row, &p.worker->port[i]);
			json_array_append_new(workers[i], row);
		}
		page_unmap(&p);
	}
	for (unsigned i = 0; i < PAGE_PORTS; i++) {
		if (json_array_size(workers[i]))
			json_array_append_new(list, port_json(i, &all[i], workers[i]));
		else
			json_decref(workers[i]);
	}
	o->result = json_pack("{s:o}", "ports", list);
}

/* --- drops --------------------------------------------------------------------------------------------------------------- */

void operation_drops(struct operation *o)
{
	uint64_t drop[LIMIT_WORKERS][ERROR_count] = { 0 };
	unsigned workers = o->node->settings->workers;
	json_t *list = json_array();

	for (unsigned w = 0; w < workers; w++) {
		struct page p = page_map(o->node, "worker", w);

		if (p.worker)
			memcpy(drop[w], p.worker->counters.drop, sizeof(drop[w]));
		page_unmap(&p);
	}
	for (unsigned i = 1; i < ERROR_count; i++) {
		json_t *row = json_pack("{s:s, s:s}", "drop", error_name(i), "reason", error_text(i)), *each = json_array();
		uint64_t all = 0;

		for (unsigned w = 0; w < workers; w++) {
			all += drop[w][i];
			json_array_append_new(each, json_integer((json_int_t)drop[w][i]));
		}
		put(row, "frames", all);
		json_object_set_new(row, "workers", each);
		json_array_append_new(list, row);
	}
	o->result = json_pack("{s:o}", "drops", list);
}

/* --- flows --------------------------------------------------------------------------------------------------------------- */

static json_t *half_json(const struct page_half *h)
{
	json_t *row = json_pack("{s:s, s:b, s:b, s:b}", "tcp", page_tcp_name(h->state), "timestamps", h->timestamps, "sack", h->sack, "window_scale", h->window_scale);

	put(row, "mss", h->mss);
	put(row, "srtt_us", h->srtt_us);
	put(row, "congestion_bytes", h->congestion_bytes);
	put(row, "window_bytes", h->window_bytes);
	put(row, "in_flight_bytes", h->in_flight_bytes);
	put(row, "queued_bytes", h->queued_bytes);
	put(row, "unread_bytes", h->unread_bytes);
	put(row, "held_bytes", h->held_bytes);
	return row;
}

static json_t *end_json(const uint8_t address[16], uint8_t family, uint16_t port)
{
	char text[ENTRY_ADDRESS_BYTES], end[ENTRY_ADDRESS_BYTES + 12];

	snprintf(end, sizeof(end), family == 6 ? "[%s]:%u" : "%s:%u", entry_address(address, family == 6 ? 16 : 4, text), port);
	return json_string(end);
}

static json_t *flow_json(const struct node *n, unsigned worker, const struct page_flow *f, bool abnormal)
{
	const struct session *s = abnormal ? NULL : session_find(n->sessions, worker, f->id);
	char id[20], state[PAGE_TEXT_BYTES], session[33] = "";
	json_t *row;

	snprintf(id, sizeof(id), "%016llx", (unsigned long long)f->id);
	page_state_text(f->state, state);
	for (unsigned i = 0; s && i < 16; i++)
		snprintf(session + 2 * i, 3, "%02x", s->id[i]);
	row = json_pack("{s:s, s:i, s:o, s:o, s:o, s:i, s:s, s:s, s:s}", "flow", id, "worker", (int)worker, "service", words(f->service, sizeof(f->service)), "client",
			end_json(f->client, f->family, f->client_port), "target", end_json(f->target, f->family, f->target_port), "vlan", (int)f->vlan, "state",
			state, "session", session, "ended", abnormal ? page_cause_name(f->cause) : "");
	put(row, "age_s", (f->seen_us - f->opened_us) / 1000000);
	put(row, "octets_up", f->octets_up);
	put(row, "octets_down", f->octets_down);
	put(row, "commands", f->commands);
	put(row, "rows", f->rows);
	put(row, "unconfirmed", f->barriers);
	put(row, "unconfirmed_answers", f->windows);
	put(row, "records", f->records);
	json_object_set_new(row, "client_side", half_json(&f->half[0]));
	json_object_set_new(row, "server_side", half_json(&f->half[1]));
	return row;
}

static json_t *records_json(const struct page_flow *f)
{
	uint64_t first = f->records > PAGE_RECORDS ? f->records - PAGE_RECORDS : 0;
	json_t *list = json_array();

	for (uint64_t i = first; i < f->records; i++) {
		const struct page_record *r = &f->record[i % PAGE_RECORDS];
		char at[32], text[PAGE_TEXT_BYTES];

		snprintf(at, sizeof(at), "%u.%03u", r->at_ms, r->at_us % 1000u);
		page_record_text(r, text);
		json_array_append_new(list, json_pack("{s:s, s:s}", "ms", at, "what", text));
	}
	return list;
}

typedef bool flow_visit(void *context, unsigned worker, const struct page_flow *f, bool abnormal);

/* All flows of the workers' files, then the kept abnormal ones, newest first; until `visit` says false. */
static void flows_each(const struct node *n, bool open, bool abnormal, flow_visit *visit, void *context)
{
	struct page_flow *copy = malloc(sizeof(*copy));
	bool more = copy != NULL;

	for (unsigned w = 0; more && w < n->settings->workers; w++) {
		struct page p = page_map(n, "flight", w);
		uint32_t flows = p.flights ? p.flights->flows : 0;
		uint64_t kept = p.flights ? p.flights->abnormals : 0;

		/* Checked when it was opened, and again here: the other process could have changed it since. */
		if (p.flights && page_flights_bytes(flows) > p.mapped.len)
			flows = 0;
		for (uint32_t i = 0; more && open && i < flows; i++)
			if (page_flow_copy(&p.flights->flow[i], copy))
				more = visit(context, w, copy, false);
		for (uint64_t i = 0; more && abnormal && i < kept && i < PAGE_ABNORMAL; i++)
			if (page_flow_copy(&p.flights->abnormal[(kept - 1 - i) % PAGE_ABNORMAL], copy))
				more = visit(context, w, copy, true);
		page_unmap(&p);
	}
	free(copy);
}

struct listing {
	const struct node *node;
	json_t *list;
};

static bool list_one(void *context, unsigned worker, const struct page_flow *f, bool abnormal)
{
	struct listing *l = context;

	json_array_append_new(l->list, flow_json(l->node, worker, f, abnormal));
	return json_array_size(l->list) < FLOWS_SHOWN;
}

void operation_flows(struct operation *o)
{
	bool abnormal = json_is_true(json_object_get(o->args, "abnormal"));
	struct listing l = { .node = o->node, .list = json_array() };
	uint64_t open = 0;

	flows_each(o->node, !abnormal, abnormal, list_one, &l);
	for (unsigned w = 0; w < o->node->settings->workers; w++) {
		struct page p = page_map(o->node, "worker", w);

		open += p.worker ? p.worker->flows_open : 0;
		page_unmap(&p);
	}
	o->result = json_pack("{s:o, s:I}", "flows", l.list, "open", (json_int_t)open);
}

struct search {
	const struct node *node;
	const char *id;
	unsigned found;
	json_t *row;
};

/* By the beginning of the flow's number, or of its session's. */
static bool search_one(void *context, unsigned worker, const struct page_flow *f, bool abnormal)
{
	struct search *s = context;
	json_t *row = flow_json(s->node, worker, f, abnormal);
	size_t len = strlen(s->id);

	if (strncmp(json_string_value(json_object_get(row, "flow")), s->id, len) == 0 || strncmp(json_string_value(json_object_get(row, "session")), s->id, len) == 0) {
		json_object_set_new(row, "trace", records_json(f));
		s->found++;
		json_decref(s->row);
		s->row = row;
		return s->found < 2;
	}
	json_decref(row);
	return true;
}

void operation_flow(struct operation *o)
{
	struct search s = { .node = o->node, .id = operation_text(o, "id") };

	if (!s.id || strlen(s.id) < 4) {
		operation_fail(o, FRAME_USAGE, "flow: too short: give at least four digits of its number or of its session's: see sluice show flows");
		return;
	}
	flows_each(o->node, true, true, search_one, &s);
	if (s.found == 1) {
		o->result = s.row;
		return;
	}
	json_decref(s.row);
	operation_fail(o, FRAME_REFUSED, "flow %.32s: %s: see sluice show flows, and show flows --abnormal", s.id, s.found ? "not unique" : "no recorder has it");
}
