/* What may leave, for which side, and when: the same for both sides. A barrier names a position in the bytes towards a side and one in the
 * event ring: bytes from the first on leave when the second is durable.
 *
 * Towards the server it stands where a command was judged, and waits for the command's record; and in front of what the client sends in bulk (rows of a
 * COPY), where that is kept, for its payload. Towards the client, with audit "answers",
 * it stands where the events before it describe what was written, and waits for the next one: payload where it is kept; the record of the
 * answer's end; otherwise the record `resp.part`, of a window at most 64 KiB long (a longer message is one window). A window is
 * closed when nothing waits in front of it, or when it is full, so a slow disk makes windows longer, not more of them, and one after
 * the other is inspected while the first waits; how many is bounded by RELAY_OUT_BYTES.
 *
 * The trap is what becomes of it when nothing becomes durable any more: a cut inside a message would make the client take our last words
 * for a part of its data. So it is remembered of each barrier whether a message ends before it; where none does, nothing more is said. */
#include "dataplane/relay/conductor.h"

/* Whether what is written to the client now has to be described first. */
static bool guards(const struct flow *f)
{
	return f->audit == POLICY_AUDIT_ANSWERS && f->session->logged_in && f->session->commands > 0 && !f->opaque && !f->session->own_words;
}

static uint64_t server_position(const struct flow *f)
{
	return f->session->out[SIDE_SERVER].written + (f->session->io ? f->session->io->out[SIDE_SERVER]->len : 0);
}

static void put_from(struct relay *r, struct flow *f, enum side side, uint64_t from, uint64_t position)
{
	struct barrier *list = f->session->barrier[side];
	unsigned n = f->session->barriers[side];

	if (!barrier_any(f))
		f->barrier_since_us = r->now_us;
	/* Merging into the last one keeps bytes longer, never shorter. */
	if (n == FLOW_BARRIERS || (n > 0 && list[n - 1].from == from)) {
		list[n - 1].position = position;
	} else {
		list[n] = (struct barrier){ .from = from, .whole = side == SIDE_CLIENT && f->session->described_whole, .position = position };
		f->session->barriers[side]++;
	}
	orders_await_durable(r, f, position);
}

void barrier_put(struct relay *r, struct flow *f, enum side side, uint64_t position)
{
	put_from(r, f, side, side == SIDE_CLIENT ? f->session->described : server_position(f), position);
}

void barrier_hold(struct relay *r, struct flow *f, uint64_t position, bool both_ways)
{
	f->held_until = position;
	f->held_both_ways = both_ways;
	f->barrier_since_us = r->now_us;
	orders_await_durable(r, f, position);
}

bool barrier_holds(const struct relay *r, struct flow *f, enum side to)
{
	if (f->held_until <= r->durable_position)
		f->held_until = 0;
	return f->held_until > 0 && (to == SIDE_SERVER || f->held_both_ways);
}

static void pass(struct relay *r, struct flow *f, enum side side)
{
	struct barrier *list = f->session->barrier[side];
	unsigned passed = 0;

	while (passed < f->session->barriers[side] && list[passed].position <= r->durable_position)
		passed++;
	if (passed == 0)
		return;
	f->session->barriers[side] -= (uint8_t)passed;
	memmove(list, list + passed, f->session->barriers[side] * sizeof *list);
	f->barrier_since_us = r->now_us;
}

size_t barrier_released(struct relay *r, struct flow *f, enum side side)
{
	const struct stream *out = &f->session->out[side];
	uint64_t start = out->written - stream_bytes(out), until = out->written;

	pass(r, f, side);
	if (side == SIDE_CLIENT && f->session->barriers[side] == 0)
		barrier_window(r, f);
	if (f->session->barriers[side] > 0)
		until = f->session->barrier[side][0].from;
	else if (side == SIDE_CLIENT && guards(f))
		until = f->session->described;
	return until <= start ? 0 : (size_t)(until - start);
}

void barrier_sent_report(struct relay *r, struct flow *f)
{
	struct event_payload e = { .flow = f->id, .data = bytes_of(r->sent, r->sent_bytes) };
	uint64_t position;

	if (r->sent_bytes == 0)
		return;
	e.ref = f->session->sent_ref;
	r->sent_bytes = 0;
	/* The ring had room for all that lay here when the call began: only a broken one comes here. */
	if (!report_payload(&r->report, &e, &position))
		f->kill_asked = true;
	else if (f->audit != POLICY_AUDIT_PROMPT)
		put_from(r, f, SIDE_SERVER, r->sent_from, position);
}

bool barrier_sent(struct relay *r, struct flow *f, uint32_t ref, struct bytes data)
{
	struct flow_session *s = f->session;
	uint64_t left;
	bool whole;

	if (!s->recorded)
		return true;
	if (s->sent_ref != ref) {
		barrier_sent_report(r, f);
		s->sent_ref = ref;
		s->sent_total = 0;
	}
	left = s->payload_bytes_max > s->sent_total ? s->payload_bytes_max - s->sent_total : 0;
	whole = data.len <= left;
	data.len = whole ? data.len : (size_t)left;
	s->sent_total += data.len;
	while (data.len > 0) {
		size_t room = RELAY_WINDOW_BYTES - r->sent_bytes, len = data.len < room ? data.len : room;

		if (r->sent_bytes == 0)
			r->sent_from = server_position(f);
		memcpy(r->sent + r->sent_bytes, data.base, len);
		r->sent_bytes += len;
		data = bytes_of(data.base + len, data.len - len);
		if (r->sent_bytes == RELAY_WINDOW_BYTES)
			barrier_sent_report(r, f);
	}
	return whole;
}

/* Whether payload of the current answer may still be kept; what says no stays said. */
static bool capture_on(struct relay *r, struct flow *f, size_t len)
{
	struct flow_session *s = f->session;

	if (s->recorded && s->captured_total + len > s->payload_bytes_max)
		s->captured_cut |= RESPONSE_CUT_LIMIT;
	else if (s->recorded && !s->captured_cut && !report_has_room(&r->report))
		s->captured_cut |= RESPONSE_CUT_RING;
	return s->recorded && !s->captured_cut;
}

void barrier_capture(struct relay *r, struct flow *f)
{
	const struct writer *w = f->session->io ? f->session->io->out[SIDE_CLIENT] : NULL;

	if (!w || !f->session->logged_in || f->session->commands == 0)
		return;
	while (f->session->captured < w->len) {
		size_t len = w->len - f->session->captured < RELAY_WINDOW_BYTES ? w->len - f->session->captured : RELAY_WINDOW_BYTES;
		struct event_payload e = { .flow = f->id, .ref = f->session->current_ref, .direction = 1,
					   .data = bytes_of(w->base + f->session->captured, len) };
		uint64_t position;

		f->session->captured += len;
		f->session->answer_octets += len;
		if (!capture_on(r, f, len) || !report_payload(&r->report, &e, &position)) {
			f->session->bare += (uint32_t)len;
			continue;
		}
		f->session->captured_total += len;
		if (guards(f))
			barrier_put(r, f, SIDE_CLIENT, position);
	}
}

void barrier_conclude(struct relay *r, struct flow *f, uint64_t position)
{
	if (!guards(f))
		return;
	f->session->bare = 0;
	f->session->concluded = true;
	barrier_put(r, f, SIDE_CLIENT, position);
}

static struct inspect_progress progress(const struct flow *f)
{
	return f->session->inspector->progress ? f->session->inspector->progress(f->session->memory) : (struct inspect_progress){ 0 };
}

/* False: it cannot be recorded, and the session must not go on. */
static bool report_window(struct relay *r, struct flow *f, const struct inspect_progress *now)
{
	uint32_t ref = f->session->noticed ? f->session->pending.ref : now->answers ? now->ref : f->session->current_ref;
	struct event_part e = { .flow = f->id, .n = f->n, .ref = ref, .rows = now->rows, .octets = f->session->answer_octets, .window = f->session->bare };
	uint64_t position;

	if (!report_part(&r->report, &e, &position)) {
		f->kill_asked = true;
		return false;
	}
	f->n++;
	barrier_put(r, f, SIDE_CLIENT, position);
	return true;
}

void barrier_window(struct relay *r, struct flow *f)
{
	bool guarded = guards(f);

	/* What follows the end of the last answer in the same call belongs to it. */
	if (!guarded || (f->session->concluded && f->session->under_way == 0))
		f->session->bare = 0;
	f->session->concluded = false;
	if (f->session->bare > 0 && f->session->barriers[SIDE_CLIENT] > 0 && f->session->bare < RELAY_WINDOW_BYTES)
		return;
	if (guarded && f->session->described < f->session->out[SIDE_CLIENT].written) {
		struct inspect_progress now = progress(f);

		if (f->session->bare > 0 && !report_window(r, f, &now))
			return;
		f->session->described_whole = !now.within;
	}
	f->session->bare = 0;
	f->session->described = f->session->out[SIDE_CLIENT].written;
	if (!guarded)
		f->session->described_whole = true;
}

static const char *withheld_text(const struct relay *r, bool commands)
{
	if (r->refusing == REFUSING_JOURNAL)
		return commands ? "the audit journal cannot be written: what was sent last did not reach the target"
				: "the audit journal cannot be written: the rest of the answer is withheld";
	return commands ? "the journal does not answer: what was sent last did not reach the target"
			: "the journal does not answer: the rest of the answer is withheld";
}

/* What waits lies in TCP, and nobody moves it any more. */
static void drop_unread(struct relay *r, struct flow *f)
{
	bool answers = f->held_both_ways && tcp_readable_bytes(&f->active->pair.half[TCP_SERVER]) > 0;

	f->held_until = 0;
	session_demand_end(r, f, END_KILLED, bytes_str(withheld_text(r, tcp_readable_bytes(&f->active->pair.half[TCP_CLIENT]) > 0)));
	if (answers)
		session_abort(r, f, CLOSE_KILLED);
}

void barrier_drop(struct relay *r, struct flow *f)
{
	size_t keep[2];
	bool all, whole, commands;

	if (!f->session) {
		drop_unread(r, f);
		return;
	}
	keep[SIDE_CLIENT] = barrier_released(r, f, SIDE_CLIENT);
	keep[SIDE_SERVER] = barrier_released(r, f, SIDE_SERVER);
	all = keep[SIDE_CLIENT] == stream_bytes(&f->session->out[SIDE_CLIENT]);
	whole = all || (f->session->barriers[SIDE_CLIENT] > 0 ? f->session->barrier[SIDE_CLIENT][0].whole : f->session->described_whole);
	commands = keep[SIDE_SERVER] < stream_bytes(&f->session->out[SIDE_SERVER]);
	for (int side = 0; side < 2; side++) {
		stream_truncate(&f->session->out[side], &r->buffers, keep[side]);
		f->session->barriers[side] = 0;
	}
	f->session->bare = 0;
	f->session->described = f->session->out[SIDE_CLIENT].written;
	f->session->own_words = true;
	session_demand_end(r, f, END_KILLED, bytes_str(withheld_text(r, commands)));
	if (!whole)
		session_abort(r, f, CLOSE_KILLED);
}
