/* inbox.c: the turn. Rings in, records and cursors into one transaction, acknowledgements out. What an event means is in
 * events.c.
 *
 * The invariant that everything rests on: between two commits nothing leaves this process that depends on the batch. Orders
 * marked ORDERS_COMMITTED wait, `durable` and the release of the ring follow the commit, and the session table keeps its former
 * state until then. */
#include "control/inbox/inbox.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/inbox/describe.h"
#include "control/inbox/state.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"

#define EVENT_RECORDS 8u                                      /* the most that one event causes */
#define EVENT_BYTES (4u * LIMIT_MESSAGE_BYTES)
#define TURN_EVENTS 512u                                      /* of one worker, before the next one's turn */
#define ALARM_WINDOW_US 1000000u
#define ALARMS_A_WINDOW 10u

static uint64_t ring_number(const void *memory)
{
	const struct ring_header *h = memory;
	uint64_t number = 0;

	for (unsigned i = 0; i < 8; i++)
		number = number << 8 | h->id[i];
	return number | 1; /* never 0, which is "no ring yet" */
}

/* Takes a worker's ring up where the journal says that it was left; at the start when it is another ring. */
static bool lane_attach(struct inbox *in, unsigned worker, void *memory, char err[OS_ERROR_BYTES])
{
	struct lane *l = &in->lane[worker];
	uint64_t position = journal_cursor_get(in->journal, INBOX_CURSOR_RING + worker), number = ring_number(memory);

	if (!ring_attach_consumer(&l->ring, memory, LIMIT_RING_UP_BYTES)) {
		snprintf(err, OS_ERROR_BYTES, "ring-up-%u: does not hold a ring: stop both processes and remove it", worker);
		return false;
	}
	if (journal_cursor_get(in->journal, INBOX_CURSOR_RING_ID + worker) != number) {
		position = 0;
		journal_cursor_set(in->journal, INBOX_CURSOR_RING_ID + worker, number);
		journal_cursor_set(in->journal, INBOX_CURSOR_RING + worker, 0);
	}
	l->position = l->acknowledged = position;
	l->state.attached = true;
	if (!ring_seek(&l->ring, position)) {
		l->state.broken = true;
		inbox_alarm(in, worker, "ring_lost", "the ring does not hold the position that the journal knows", NULL);
	} else {
		/* The process before this one may have died between its commit and this. */
		ring_release_wiped(&l->ring, position);
		orders_durable(in->orders, worker, position);
	}
	return true;
}

/* The keys of sessions that the process before this one opened. Without its key a session cannot be recorded: it is ended. */
static void keys_find(struct inbox *in)
{
	for (struct session *s = session_next(in->sessions, NULL); s; s = session_next(in->sessions, s)) {
		if (!s->sealed || payload_keys_find(in->payload_keys, s->id, &s->seal))
			continue;
		inbox_alarm(in, s->worker, "payload_key_lost", "the key of an open session's payload is not there; it is ended", s);
		inbox_kill(in, s, "Sluice cannot record this session any more");
		s->phase = SESSION_BROKEN;
	}
}

struct inbox *inbox_create(const struct inbox_config *config, char err[OS_ERROR_BYTES])
{
	struct inbox *in = calloc(1, sizeof(*in));

	snprintf(err, OS_ERROR_BYTES, "inbox: out of memory: free some");
	if (!in || config->workers > LIMIT_WORKERS)
		goto fail;
	in->host = config->host;
	in->node.name = config->node;
	in->node.now.clk = "free";
	memcpy(in->node.boot, config->machine_boot, 16);
	memcpy(in->commitment_key, config->commitment_key, 32);
	in->payload_keys = config->payload_keys;
	in->journal = config->journal;
	in->sessions = config->sessions;
	in->workers = config->workers;
	in->version = journal_cursor_get(in->journal, INBOX_CURSOR_VERSION);
	in->pending = calloc(INBOX_PENDING_MAX, sizeof(*in->pending));
	in->orders = orders_create(config->down, config->workers);
	if (!in->orders || !in->pending)
		goto fail;
	for (unsigned w = 0; w < in->workers; w++) {
		if (!lane_attach(in, w, config->up[w], err))
			goto fail;
	}
	keys_find(in);
	return in;
fail:
	inbox_destroy(in);
	return NULL;
}

void inbox_destroy(struct inbox *in)
{
	if (!in)
		return;
	orders_destroy(in->orders);
	free(in->pending);
	secret_wipe(in, sizeof(*in));
	free(in);
}

void inbox_set_clock(struct inbox *in, struct entry_clock now)
{
	in->node.now = now;
}

/* A record that control adds to a session of its own accord (payload, approvals, alarms) has its own counter, `nc`: the worker's
 * `n` and this one together number every record that names the session. */
static struct session *own_count(struct inbox *in, struct entry *e)
{
	struct session *s = e->session && !e->has_n ? session_find(in->sessions, e->session->worker, e->session->flow) : NULL;

	if (!s || s != e->session)
		return NULL;
	e->has_nc = true;
	e->nc = s->own;
	return s;
}

bool inbox_append(struct inbox *in, const struct entry *entry, bool vital, uint64_t *index)
{
	struct entry counted = *entry, *e = &counted;
	struct session *s = own_count(in, e);
	struct writer w = writer_of(in->record, sizeof(in->record));
	struct jcs record = jcs_of(&w);
	enum journal_status status;
	uint64_t at;

	entry_compose(&in->node, e, &record);
	if (!jcs_done(&record).len) {
		log_error("record %s: cannot be written as canonical JSON: report this", e->type);
		return false;
	}
	status = journal_append_composed(in->journal, &record, vital, &at);
	if (status != JOURNAL_OK) {
		log_error("record %s: the journal refuses it (%s): see `sluice show health`", e->type,
			  status == JOURNAL_BAD_RECORD ? journal_refusal(in->journal) : status == JOURNAL_STOPPED ? "stopped" :
			  status == JOURNAL_NO_SPACE ? "no space" : "batch full");
		in->stopped = in->stopped || status == JOURNAL_STOPPED || status == JOURNAL_BATCH_FULL || status == JOURNAL_NO_SPACE;
		return false;
	}
	in->counters.records++;
	in->appended++;
	in->urgent |= !in->patient;
	if (s) {
		s->own++;
		session_touch(in->sessions, s);
	}
	if (index)
		*index = at;
	return true;
}

bool inbox_chunks(struct inbox *in, struct session *s, const char *dir, struct bytes payload, struct entry_chunk *list, unsigned *count)
{
	uint32_t number = 0;

	while (payload.len) {
		struct bytes piece = bytes_of(payload.base, payload.len < RECORD_CHUNK_BYTES_MAX ? payload.len : RECORD_CHUNK_BYTES_MAX);

		const struct record_seal seal = { .seal = s ? &s->seal : NULL, .dir = bytes_str(dir), .number = s ? s->chunks : number };

		if (*count == ENTRY_CHUNKS_MAX ||
		    journal_chunk_sealed(in->journal, s && s->sealed ? &seal : NULL, piece, &list[*count].chunk) != JOURNAL_OK)
			return false;
		list[*count].dir = dir;
		list[*count].number = s ? s->chunks++ : number++;
		(*count)++;
		payload.base += piece.len;
		payload.len -= piece.len;
	}
	if (s)
		session_touch(in->sessions, s);
	return true;
}

bool inbox_order(struct inbox *in, unsigned worker, unsigned number, struct bytes encoded, enum orders_when when)
{
	in->urgent |= when == ORDERS_COMMITTED;
	if (orders_put(in->orders, worker, number, encoded, when))
		return true;
	log_error("order %s for worker %u: does not fit or no memory: report this", order_name(number, NULL), worker);
	return false;
}

struct alarm {
	const char *what, *detail;
	unsigned worker;
	uint64_t left_out;
};

static void describe_alarm(struct jcs *j, const void *from)
{
	const struct alarm *a = from;

	jcs_put_str(j, "alarm", a->what);
	jcs_put_str(j, "detail", a->detail);
	jcs_put_uint(j, "left_out", a->left_out);
	jcs_put_int(j, "worker", a->worker);
}

void inbox_alarm(struct inbox *in, unsigned worker, const char *what, const char *detail, struct session *s)
{
	struct lane *l = &in->lane[worker];
	const struct alarm a = { .what = what, .detail = detail, .worker = worker, .left_out = l->alarms_left_out };
	const struct entry e = { .type = "journal.alarm", .session = s, .data = { describe_alarm, &a } };
	uint64_t now = in->node.now.mono_us;

	/* A window of credit: each alarm moves it on by its share of the second. */
	if (l->alarm_us + ALARM_WINDOW_US < now)
		l->alarm_us = now - ALARM_WINDOW_US;
	if (l->alarm_us + ALARM_WINDOW_US / ALARMS_A_WINDOW > now && now >= ALARM_WINDOW_US) {
		l->alarms_left_out++;
		return;
	}
	l->alarm_us += ALARM_WINDOW_US / ALARMS_A_WINDOW;
	log_warn("worker %u: %s: %s", worker, what, detail);
	if (inbox_append(in, &e, true, NULL))
		l->alarms_left_out = 0;
}

/* --- the turn ------------------------------------------------------------------------------------------------------------ */

/* The oldest that there can be in it came after the rings were last seen empty. */
static void begin_batch(struct inbox *in)
{
	if (in->due_us)
		return;
	in->began_us = in->node.now.mono_us;
	in->due_us = (in->empty_us ? in->empty_us : in->began_us) + INBOX_GROUP_US;
}

/* Reads one worker's events into the batch. True when it may have left some. */
static bool lane_read(struct inbox *in, unsigned worker)
{
	struct lane *l = &in->lane[worker];
	unsigned i;

	for (i = 0; i < TURN_EVENTS && !in->paused && !l->state.broken && !in->stopped && !orders_full(in->orders, worker); i++) {
		struct bytes payload;
		uint16_t type;
		uint64_t end;

		/* Full: what is in the ring stays there, and its workers hold or refuse. */
		if (journal_level(in->journal) >= JOURNAL_LEVEL_FULL)
			break;
		if (!journal_has_room(in->journal, EVENT_RECORDS + in->pendings, EVENT_BYTES)) {
			in->urgent = true;
			break;
		}
		if (!ring_read(&l->ring, in->message, sizeof(in->message), &type, &payload, &end)) {
			if (l->ring.broken) {
				l->state.broken = true;
				inbox_alarm(in, worker, "ring_broken", "lengths or positions in the ring make no sense; it is read no more", NULL);
			}
			break;
		}
		in->again = in->patient = in->withheld = false;
		inbox_event(in, worker, type, payload);
		in->urgent |= !in->patient;
		in->patient = false;
		if (in->again) {
			/* More records than a batch holds: the rest of it is the next turn's. */
			l->state.broken = !ring_seek(&l->ring, l->position);
			return true;
		}
		in->counters.events++;
		in->counters.by_event[type < EVENT_end ? type : 0]++;
		if (type == EVENT_login || type == EVENT_classify || in->withheld) {
			secret_wipe(in->message, payload.len);
			l->secret = true;
		}
		l->position = end;
		journal_cursor_set(in->journal, INBOX_CURSOR_RING + worker, end);
		begin_batch(in);
	}
	return i == TURN_EVENTS;
}

static void lane_acknowledge(struct inbox *in, unsigned worker)
{
	struct lane *l = &in->lane[worker];

	if (l->position == l->acknowledged || l->state.broken)
		return;
	if (l->secret)
		ring_release_wiped(&l->ring, l->position);
	else
		ring_release(&l->ring, l->position);
	l->secret = false;
	l->acknowledged = l->position;
	l->state.position = l->position;
	orders_durable(in->orders, worker, l->position);
}

static bool commit(struct inbox *in)
{
	inbox_payload_flush(in, NULL);
	sessions_save(in->sessions, in->version + 1);
	journal_cursor_set(in->journal, INBOX_CURSOR_VERSION, in->version + 1);
	/* A key is on disk before the first record that needs it. */
	if (in->stopped || !payload_keys_sync(in->payload_keys) || journal_commit(in->journal, in->node.now.wall_us) != JOURNAL_OK)
		return false;
	sessions_saved(in->sessions, ++in->version);
	in->counters.commits++;
	in->appended = 0;
	for (unsigned w = 0; w < in->workers; w++)
		lane_acknowledge(in, w);
	orders_committed(in->orders);
	return true;
}

/* Whether the commands in the batch are all that can be waited for; `before` of them came with earlier turns. */
static bool is_filled(const struct inbox *in, unsigned before)
{
	uint64_t now = in->node.now.mono_us;

	if (now - in->committed_us > INBOX_FORGET_US || in->waiters >= in->waiters_before)
		return true;
	return in->waiters == before || now - in->began_us >= INBOX_FILL_US;
}

/* Somebody waits, and no longer for company. */
static bool is_wanted(const struct inbox *in, unsigned before)
{
	return in->urgent || (in->waiters && is_filled(in, before));
}

enum inbox_result inbox_turn(struct inbox *in, struct entry_clock now)
{
	unsigned before = in->waiters;
	bool more = false, urgent, wrote;

	in->node.now = now;
	if (in->appended)
		begin_batch(in);
	for (unsigned w = 0; w < in->workers; w++)
		more |= lane_read(in, w);
	if (!more)
		in->empty_us = now.mono_us;
	urgent = is_wanted(in, before);
	if (in->due_us && (urgent || now.mono_us >= in->due_us)) {
		if (!commit(in)) {
			in->stopped = true;
			return INBOX_STOPPED;
		}
		if (in->waiters) {
			in->waiters_before = in->waiters;
			in->committed_us = now.mono_us;
		}
		in->due_us = in->waiters = 0;
		wrote = orders_flush(in->orders);
		more |= urgent;
	} else {
		/* A host may have put orders to be committed with nothing to commit. */
		if (!in->due_us)
			orders_committed(in->orders);
		wrote = orders_flush(in->orders);
		more |= wrote;
	}
	in->urgent = false;
	return in->stopped ? INBOX_STOPPED : more ? INBOX_BUSY : in->due_us ? INBOX_OPEN : INBOX_IDLE;
}

uint64_t inbox_due_us(const struct inbox *in)
{
	return in->due_us;
}

void inbox_pause(struct inbox *in, bool pause)
{
	in->paused = pause;
}

void inbox_set_thrifty(struct inbox *in, bool thrifty)
{
	in->thrifty = thrifty;
}

void inbox_tell(struct inbox *in)
{
	(void)orders_flush(in->orders);
}

const struct inbox_counters *inbox_counters(const struct inbox *in)
{
	return &in->counters;
}

bool inbox_worker_state(const struct inbox *in, unsigned worker, struct inbox_worker *out)
{
	if (worker >= in->workers)
		return false;
	*out = in->lane[worker].state;
	if (!out->broken)
		out->backlog_bytes = atomic_load(&in->lane[worker].ring.header->head) - in->lane[worker].acknowledged;
	return true;
}

struct sessions *inbox_sessions(struct inbox *in)
{
	return in->sessions;
}
