/* Reading and wording of what workers show. Everything here comes from another process: every number is looked up in range. */
#include "platform/contract/page.h"

#include <stdio.h>
#include <string.h>

#include "platform/contract/message.h"

#define COPY_TRIES 1000

const struct page_worker *page_worker_open(const void *base, size_t len)
{
	const struct page_worker *p = base;

	return base && len >= sizeof *p && p->magic == PAGE_MAGIC && p->bytes == sizeof *p ? p : NULL;
}

const struct page_standby *page_standby_open(const void *base, size_t len)
{
	const struct page_standby *p = base;

	return base && len >= sizeof *p && p->magic == PAGE_MAGIC && p->bytes == sizeof *p ? p : NULL;
}

const struct page_flights *page_flights_open(const void *base, size_t len)
{
	const struct page_flights *p = base;

	return base && len >= sizeof *p && p->magic == PAGE_MAGIC && p->bytes == sizeof(struct page_flow) && page_flights_bytes(p->flows) <= len ? p : NULL;
}

bool page_flow_copy(const struct page_flow *from, struct page_flow *to)
{
	for (int i = 0; i < COPY_TRIES; i++) {
		uint32_t before = atomic_load_explicit(&from->version, memory_order_acquire);

		if (before % 2 == 0) {
			memcpy((void *)to, from, sizeof *to);
			atomic_thread_fence(memory_order_acquire);
			if (atomic_load_explicit(&from->version, memory_order_relaxed) == before) {
				to->service[sizeof to->service - 1] = 0;
				return to->id != 0;
			}
		}
	}
	return false;
}

static const char *name_of(const char *const *names, size_t count, uint32_t number)
{
	return number < count ? names[number] : "?";
}

#define NAME_OF(names, number) name_of(names, sizeof(names) / sizeof *(names), number)

const char *page_phase_name(uint32_t state)
{
	static const char *const names[] = { "free", "opening", "running", "ending", "closed" };

	return NAME_OF(names, state >> PAGE_STATE_PHASE & 7);
}

const char *page_wait_name(uint32_t state)
{
	static const char *const names[] = { "", "identity", "proof", "classification", "grants", "ring", "approval", "cancel" };

	return NAME_OF(names, state >> PAGE_STATE_WAIT & 7);
}

const char *page_tcp_name(uint8_t state)
{
	static const char *const names[] = { "closed", "listen", "syn-sent", "syn-received", "established", "fin-wait-1", "fin-wait-2", "close-wait",
		"closing", "last-ack", "time-wait" };

	return NAME_OF(names, state);
}

const char *page_cause_name(uint32_t cause)
{
	static const char *const names[CLOSE_causes] = {
		"client", "server", "reset", "timeout", "refused_login", "protocol", "killed", "tls", "expired", "restart",
	};

	return NAME_OF(names, cause);
}

const char *page_offload_name(unsigned offload)
{
	static const char *const names[PAGE_OFFLOAD_count] = { "rss", "rx_checksum", "tx_checksum", "tso", "lro" };

	return NAME_OF(names, offload);
}

void page_offloads_text(uint8_t offloads, char out[PAGE_TEXT_BYTES])
{
	out[0] = 0;
	for (unsigned i = 0; i < PAGE_OFFLOAD_count; i++)
		if (offloads >> i & 1)
			snprintf(out + strlen(out), PAGE_TEXT_BYTES - strlen(out), "%s%s", out[0] ? " " : "", page_offload_name(i));
	if (!out[0])
		snprintf(out, PAGE_TEXT_BYTES, "none");
}

static void add(char out[PAGE_TEXT_BYTES], const char *text, const char *more)
{
	size_t at = strlen(out);

	snprintf(out + at, PAGE_TEXT_BYTES - at, "%s%s%s", at ? ", " : "", text, more);
}

void page_state_text(uint32_t state, char out[PAGE_TEXT_BYTES])
{
	static const char *const tls[] = { "", "handshake", "established", "failed" };
	static const char *const flags[PAGE_STATE_FLAG_COUNT] = { "opaque", "logged in", "client ended", "server ended", "client reset", "server reset",
		"client dead", "server dead", "killed", "spliced" };
	unsigned client = state >> PAGE_STATE_TLS_CLIENT & 3, server = state >> PAGE_STATE_TLS_SERVER & 3;

	out[0] = 0;
	add(out, page_phase_name(state), "");
	if (page_wait_name(state)[0])
		add(out, "waits for ", page_wait_name(state));
	if (client)
		add(out, "client tls ", tls[client]);
	if (server)
		add(out, "server tls ", tls[server]);
	for (unsigned i = 0; i < PAGE_STATE_FLAG_COUNT; i++)
		if (state >> (PAGE_STATE_FLAGS + i) & 1)
			add(out, flags[i], "");
}

enum shown { shown_none, shown_number, shown_segment, shown_state, shown_cause };

static void number_text(enum shown shown, uint32_t value, char out[PAGE_TEXT_BYTES])
{
	static const char *const flags[] = { "FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR" };

	out[0] = 0;
	switch (shown) {
	case shown_none:
		return;
	case shown_number:
		snprintf(out, PAGE_TEXT_BYTES, "%u", value);
		return;
	case shown_state:
		page_state_text(value, out);
		return;
	case shown_cause:
		snprintf(out, PAGE_TEXT_BYTES, "%s", page_cause_name(value));
		return;
	case shown_segment:
		for (unsigned i = 0; i < 8; i++)
			if (value >> (16 + i) & 1)
				snprintf(out + strlen(out), PAGE_TEXT_BYTES - strlen(out), "%s%s", out[0] ? "+" : "", flags[i]);
		snprintf(out + strlen(out), PAGE_TEXT_BYTES - strlen(out), " %u bytes", value & 0xffff);
		return;
	}
}

void page_record_text(const struct page_record *r, char out[PAGE_TEXT_BYTES])
{
	static const struct {
		const char *name;
		enum shown a, b;
	} rows[] = {
#define FLIGHT(name, a, b) { #name, shown_##a, shown_##b },
#include "platform/contract/flight.def"
#undef FLIGHT
	};
	char a[PAGE_TEXT_BYTES], b[PAGE_TEXT_BYTES];

	if (r->what >= PAGE_FLIGHT_count) {
		snprintf(out, PAGE_TEXT_BYTES, "? %u %u %u", r->what, r->a, r->b);
		return;
	}
	number_text(rows[r->what].a, r->a, a);
	number_text(rows[r->what].b, r->b, b);
	snprintf(out, PAGE_TEXT_BYTES, "%s %s: %.110s; %.110s", rows[r->what].name, r->side ? "server" : "client", a, b);
}

bool page_cause_abnormal(uint8_t cause)
{
	return cause == CLOSE_RESET || cause == CLOSE_TIMEOUT || cause == CLOSE_PROTOCOL || cause == CLOSE_TLS || cause == CLOSE_RESTART;
}
