/* What may leave, for which side, and when: the same for both sides. A barrier names a position in the bytes towards a side and one in the
 * event ring: bytes from the first on leave when the second is durable.
 *
 * Towards the server it stands where a command was judged, and waits for the command's record. Towards the client, with audit "answers",
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
	return f->audit == POLICY_AUDIT_ANSWERS && f->logged_in && f->commands > 0 && !f->opaque && !f->own_words;
}

void barrier_put(struct relay *r, struct flow *f, enum side side, uint64_t position)
{
	uint64_t from = side == SIDE_CLIENT ? f->described : f->out[side].written + (f->io ? f->io->out[side]->len : 0);
	struct barrier *list = f->barrier[side];
	unsigned n = f->barriers[side];

	if (!barrier_any(f))
		f->barrier_since_us = r->now_us;
	/* Merging into the last one keeps bytes longer, never shorter. */
	if (n == FLOW_BARRIERS || (n > 0 && list[n - 1].from == from)) {
		list[n - 1].position = position;
	} else {
		list[n] = (struct barrier){ .from = from, .whole = side == SIDE_CLIENT && f->described_whole, .position = position };
		f->barriers[side]++;
	}
	orders_await_durable(r, f, position);
}

static void pass(struct relay *r, struct flow *f, enum side side)
{
	struct barrier *list = f->barrier[side];
	unsigned passed = 0;

	while (passed < f->barriers[side] && list[passed].position <= r->durable_position)
		passed++;
	if (passed == 0)
		return;
	f->barriers[side] -= (uint8_t)passed;
	memmove(list, list + passed, f->barriers[side] * sizeof *list);
	f->barrier_since_us = r->now_us;
}

size_t barrier_released(struct relay *r, struct flow *f, enum side side)
{
	const struct stream *out = &f->out[side];
	uint64_t start = out->written - stream_bytes(out), until = out->written;

	pass(r, f, side);
	if (side == SIDE_CLIENT && f->barriers[side] == 0)
		barrier_window(r, f);
	if (f->barriers[side] > 0)
		until = f->barrier[side][0].from;
	else if (side == SIDE_CLIENT && guards(f))
		until = f->described;
	return until <= start ? 0 : (size_t)(until - start);
}

void barrier_capture(struct relay *r, struct flow *f)
{
	const struct writer *w = f->io ? f->io->out[SIDE_CLIENT] : NULL;

	if (!w || !f->logged_in || f->commands == 0)
		return;
	while (f->captured < w->len) {
		size_t len = w->len - f->captured < RELAY_WINDOW_BYTES ? w->len - f->captured : RELAY_WINDOW_BYTES;
		struct event_payload e = { .flow = f->id, .ref = f->current_ref, .direction = 1,
					   .data = bytes_of(w->base + f->captured, len) };
		uint64_t position;

		f->captured += len;
		f->answer_octets += len;
		f->captured_cut |= f->recorded && (f->captured_total + len > f->payload_bytes_max || !report_has_room(&r->report));
		if (!f->recorded || f->captured_cut || !report_payload(&r->report, &e, &position)) {
			f->bare += (uint32_t)len;
			continue;
		}
		f->captured_total += len;
		if (guards(f))
			barrier_put(r, f, SIDE_CLIENT, position);
	}
}

void barrier_conclude(struct relay *r, struct flow *f, uint64_t position)
{
	if (!guards(f))
		return;
	f->bare = 0;
	f->concluded = true;
	barrier_put(r, f, SIDE_CLIENT, position);
}

static struct inspect_progress progress(const struct flow *f)
{
	return f->session && f->inspector->progress ? f->inspector->progress(f->session) : (struct inspect_progress){ 0 };
}

/* False: it cannot be recorded, and the session must not go on. */
static bool report_window(struct relay *r, struct flow *f, uint64_t rows)
{
	struct event_part e = { .flow = f->id, .n = f->n, .ref = f->wait == WAIT_APPROVAL ? f->pending.ref : f->current_ref, .rows = rows,
				.octets = f->answer_octets, .window = f->bare };
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
	if (!guarded || (f->concluded && f->under_way == 0))
		f->bare = 0;
	f->concluded = false;
	if (f->bare > 0 && f->barriers[SIDE_CLIENT] > 0 && f->bare < RELAY_WINDOW_BYTES)
		return;
	if (guarded && f->described < f->out[SIDE_CLIENT].written) {
		struct inspect_progress now = progress(f);

		if (f->bare > 0 && !report_window(r, f, now.rows))
			return;
		f->described_whole = !now.within;
	}
	f->bare = 0;
	f->described = f->out[SIDE_CLIENT].written;
	if (!guarded)
		f->described_whole = true;
}

void barrier_drop(struct relay *r, struct flow *f)
{
	size_t keep[2] = { barrier_released(r, f, SIDE_CLIENT), barrier_released(r, f, SIDE_SERVER) };
	bool all = keep[SIDE_CLIENT] == stream_bytes(&f->out[SIDE_CLIENT]);
	bool whole = all || (f->barriers[SIDE_CLIENT] > 0 ? f->barrier[SIDE_CLIENT][0].whole : f->described_whole);
	bool commands = keep[SIDE_SERVER] < stream_bytes(&f->out[SIDE_SERVER]);
	const char *say = r->refusing == REFUSING_JOURNAL
		? commands ? "the audit journal cannot be written: what was sent last did not reach the target"
			   : "the audit journal cannot be written: the rest of the answer is withheld"
		: commands ? "the journal does not answer: what was sent last did not reach the target"
			   : "the journal does not answer: the rest of the answer is withheld";

	for (int side = 0; side < 2; side++) {
		stream_truncate(&f->out[side], &r->buffers, keep[side]);
		f->barriers[side] = 0;
	}
	f->bare = 0;
	f->described = f->out[SIDE_CLIENT].written;
	f->own_words = true;
	session_demand_end(r, f, END_KILLED, bytes_str(say));
	if (!whole)
		session_abort(r, f, CLOSE_KILLED);
}
