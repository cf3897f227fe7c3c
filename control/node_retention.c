/* node_retention.c: what the policy's journal section says about age: whole segments of records, whole days of payload keys. With
 * journal.prune = "approved" segments go only when two persons approved it (node_deeds.c).
 *
 * What a legal hold covers stays (holds.h), and what a stream has not confirmed ("shipped and confirmed", journal.md 5), unless that
 * stream's prune_waits in sluice.conf is off: journal.prune then names it. Each in two steps, a minute apart at most: the record (`journal.prune`, `key.destroy`), and once that is durable the act. Killed in
 * between, the next start finds the same candidates and says it again. */
#include <stdio.h>

#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"
#include "control/journal/segment_view.h"
#include "control/operator_verbs.h"
#include "platform/os/log.h"

#define AGE_KEEP_US (3600ull * 1000000)
#define LOOK_US (60ull * 1000000)
#define STREAM_STILL_US (5ull * 1000000) /* a receiver that reads confirms each two seconds */
#define PRUNE_TRIES_US (30ull * 1000000)

uint64_t node_prune_limit(const struct node *n, const struct settings_stream **stream)
{
	uint64_t holds = holds_limit(n->holds, NULL), streams = UINT64_MAX;
	struct journal_state state;

	*stream = NULL;
	if (n->settings->stream_count && n->feeding) {
		journal_state(n->journal, &state);
		streams = feeding_limit(n->feeding, state.size, stream);
	} else if (n->settings->stream_count) {
		streams = 0; /* at the start, before anybody can say what was confirmed */
	}
	return holds < streams ? holds : streams;
}

/* --- the time ------------------------------------------------------------------------------------------------------------ */

static void age_keep(struct node *n)
{
	uint8_t room[8];
	struct writer w = writer_of(room, sizeof(room));

	writer_be64(&w, n->age.time_us);
	if (journal_keep(n->journal, KEPT_AGE, writer_done(&w)))
		n->age_kept_us = n->now.mono_us;
}

static void age_news(struct node *n, enum age_clock_news news)
{
	static const char *const states[] = { [AGE_CLOCK_AHEAD] = "ahead", [AGE_CLOCK_TAKEN] = "taken", [AGE_CLOCK_BACK] = "back" };
	char was[ENTRY_TIME_BYTES], is[ENTRY_TIME_BYTES];
	const char *const pairs[] = { "alarm", "clock_step", "by", entry_time(n->age.time_us, was), "state", states[news], "wall", entry_time(n->now.wall_us, is), NULL };

	node_record(n, "journal.alarm", (struct bytes){ 0 }, pairs);
	if (news == AGE_CLOCK_AHEAD)
		log_warn("retention: the clock says %s, by its own pace it is %s: nothing is destroyed for its age by the new time before a day: set the clock right, or wait", is,
			 was);
	else
		log_info("retention: goes by the clock again: %s", is);
}

/* Each tick, before any age is judged. What was known in the run before is kept in the journal. */
static void age_look(struct node *n)
{
	struct reader r = reader_of_bytes(journal_kept(n->journal, KEPT_AGE));
	enum age_clock_news news;
	uint64_t kept_us = reader_be64(&r);

	if (!n->age.mono_us && r.ok)
		n->age = (struct age_clock){ .time_us = kept_us, .mono_us = n->now.mono_us };
	news = age_clock_look(&n->age, n->now.wall_us, n->now.mono_us, !strcmp(n->now.clk, "free"));
	if (news != AGE_CLOCK_SAME)
		age_news(n, news);
	if (news != AGE_CLOCK_SAME || !n->age_kept_us || n->now.mono_us - n->age_kept_us >= AGE_KEEP_US)
		age_keep(n);
}

/* Since 1970: what is older than `age_us`; 0: nothing is. */
static uint64_t before_us(const struct node *n, uint64_t age_us)
{
	return n->age.time_us > age_us ? n->age.time_us - age_us : 0;
}

/* --- records ------------------------------------------------------------------------------------------------------------- */

/* The streams that do not have all of it, and that nobody waits for. */
static void put_unconfirmed(struct jcs *j, const struct node *n, uint64_t end)
{
	struct bytes names[SETTINGS_STREAMS];
	struct journal_state state;
	unsigned count = 0;

	journal_state(n->journal, &state);
	for (unsigned i = 0; i < n->settings->stream_count; i++)
		if (feeding_confirmed(n->feeding, i, state.size) < end)
			names[count++] = bytes_str(n->settings->stream[i].name);
	if (count)
		jcs_put_strs(j, "unconfirmed", names, count);
}

void node_prune_describe(struct jcs *j, const struct node *n, const struct journal_prune *p)
{
	char sealed[ENTRY_TIME_BYTES];

	jcs_put_uint(j, "end", p->end);
	jcs_put_uint(j, "first", p->first);
	jcs_put_hex(j, "root", bytes_of(p->root.b, sizeof(p->root.b)));
	jcs_put_str(j, "sealed", entry_time(p->sealed_us, sealed));
	jcs_put_int(j, "segments", (int64_t)p->segments);
	put_unconfirmed(j, n, p->end);
}

static void describe_prune(struct jcs *j, const void *from)
{
	const struct node *n = from;

	node_prune_describe(j, n, &n->prune);
}

/* The record of what goes. `a`: the approval it rests on; NULL: the policy alone. */
static bool prune_record(struct node *n, const struct approval *a)
{
	const struct entry e = { .type = "journal.prune", .who = a ? bytes_of(a->who, a->who_len) : (struct bytes){ 0 }, .data = { describe_prune, n },
				 .approval_id = a ? a->id_text : NULL, .approval_sha256 = a ? a->statement_sha256 : NULL,
				 .policy_sha256 = policy_hash(n->current) };

	n->prune_until_us = n->now.mono_us + PRUNE_TRIES_US;
	n->prune_wrong = NULL;
	return inbox_append(n->inbox, &e, true, NULL);
}

/* What would go if nothing kept it. */
static bool time_is_over(struct node *n, uint64_t limit_us, struct journal_prune *would)
{
	bool any;

	journal_protect(n->journal, UINT64_MAX);
	any = journal_prune_candidate(n->journal, limit_us, would);
	node_holds_apply(n);
	return any;
}

/* Whether a hold keeps what else would go, and which. */
static bool held_back(struct node *n, uint64_t limit_us, struct journal_prune *would, const struct hold **by)
{
	uint64_t limit = holds_limit(n->holds, by);

	return *by && time_is_over(n, limit_us, would) && would->end > limit;
}

/* Told once a hold. */
static void tell_held(struct node *n, uint64_t limit_us)
{
	const struct hold *by;
	struct journal_prune would;
	char text[HOLD_TEXT_BYTES];

	if (!held_back(n, limit_us, &would, &by) || n->hold_told == by->index + 1)
		return;
	n->hold_told = by->index + 1;
	log_warn("retention: records up to %llu stay although their time is over: %s", (unsigned long long)would.end - 1, hold_text(by, text));
}

static void stream_alarm(struct node *n, unsigned stream, uint64_t confirmed, uint64_t end)
{
	const struct settings_stream *s = &n->settings->stream[stream];
	char have[24], over[24];
	const char *const pairs[] = { "alarm", "stream_waits", "confirmed", have, "end", over, "stream", s->name, NULL };

	snprintf(have, sizeof(have), "%llu", (unsigned long long)confirmed);
	snprintf(over, sizeof(over), "%llu", (unsigned long long)end);
	log_warn("retention: records up to %s stay although their time is over: stream %s has confirmed those before %s: see its receiver, or give the stream up: "
		 "prune_waits = \"off\" in streams of sluice.conf, or its entry taken out, and a restart", over, s->name, have);
	node_record(n, "journal.alarm", (struct bytes){ 0 }, pairs);
}

/* The streams that keep what else would go: an alarm each time one begins to, unless it is getting on. */
static void streams_look(struct node *n)
{
	uint64_t limit_us = before_us(n, n->tree->journal.retention_records_s * 1000000);
	bool over;
	struct journal_prune would;
	struct journal_state state;

	if (!n->settings->stream_count || !limit_us)
		return;
	over = time_is_over(n, limit_us, &would);
	journal_state(n->journal, &state);
	for (unsigned i = 0; i < n->settings->stream_count; i++) {
		uint64_t confirmed = feeding_confirmed(n->feeding, i, state.size);
		bool keeps = over && n->settings->stream[i].prune_waits && confirmed < would.end, told = n->streams_keep >> i & 1;

		if (keeps == told || (keeps && feeding_still_us(n->feeding, i, n->now.mono_us) < STREAM_STILL_US))
			continue;
		n->streams_keep ^= 1u << i;
		if (keeps)
			stream_alarm(n, i, confirmed, would.end);
		else
			log_info("retention: stream %s keeps nothing back any more", n->settings->stream[i].name);
	}
}

static bool records_look(struct node *n)
{
	uint64_t limit_us = before_us(n, n->tree->journal.retention_records_s * 1000000);

	if (!limit_us)
		return false;
	(void)node_holds_current(n);
	tell_held(n, limit_us);
	return !n->tree->journal.prune_approved && journal_prune_candidate(n->journal, limit_us, &n->prune) && prune_record(n, NULL);
}

static bool key_held(void *ctx, const uint8_t session[16])
{
	struct node *n = ctx;
	struct journal_state state;
	const struct hold *by;

	journal_state(n->journal, &state);
	return holds_session(n->holds, session, state.size, &by) != HOLD_NONE;
}

static bool keys_look(struct node *n)
{
	uint64_t limit_us = before_us(n, n->tree->journal.retention_payload_s * 1000000);
	char limit[PAYLOAD_KEYS_DAY_BYTES], sessions[16];
	unsigned count;
	const struct payload_keys_held held = { key_held, n };
	const char *const pairs[] = { "day", n->expired_day, "reason", "retention_payload of the policy", "sessions", sessions, NULL };

	if (!limit_us)
		return false;
	payload_keys_day(limit_us, limit);
	/* A day of which one session is held stays whole. */
	if (!payload_keys_oldest(n->payload_keys, limit, holds_count(n->holds) ? &held : NULL, n->expired_day, &count))
		return false;
	snprintf(sessions, sizeof(sessions), "%u", count);
	node_record(n, "key.destroy", (struct bytes){ 0 }, pairs);
	return true;
}

void node_retention_tick(struct node *n)
{
	age_look(n);
	if (n->current)
		streams_look(n);
	if (n->now.mono_us - n->retention_us < LOOK_US || !n->current || n->prune.segments || n->expired_day[0])
		return;
	n->retention_us = n->now.mono_us;
	if (!records_look(n))
		n->prune = (struct journal_prune){ 0 };
	if (!keys_look(n))
		n->expired_day[0] = 0;
}

void node_retention_commit(struct node *n)
{
	const char *wrong = n->prune.segments ? journal_prune(n->journal, &n->prune) : NULL;

	if (n->prune.segments && !(wrong && !strcmp(wrong, JOURNAL_PRUNE_LATER) && n->now.mono_us < n->prune_until_us)) {
		if (wrong)
			log_warn("retention: records %llu to %llu stay: %s", (unsigned long long)n->prune.first, (unsigned long long)n->prune.end - 1, wrong);
		else
			log_info("retention: records %llu to %llu were pruned", (unsigned long long)n->prune.first, (unsigned long long)n->prune.end - 1);
		n->prune_wrong = wrong;
		n->prune = (struct journal_prune){ 0 };
	}
	if (n->expired_day[0]) {
		if (!payload_keys_expire(n->payload_keys, n->expired_day))
			log_warn("retention: the payload keys of %s cannot be destroyed: check the disk", n->expired_day);
		n->expired_day[0] = 0;
	}
}

/* --- by hand: node_deeds.c ----------------------------------------------------------------------------------------------- */

bool node_prune_possible(struct operation *o, struct journal_prune *what)
{
	struct node *n = o->node;
	uint64_t limit_us = before_us(n, n->tree->journal.retention_records_s * 1000000);
	const struct settings_stream *stream;
	const struct hold *by;
	struct journal_prune would;
	char text[HOLD_TEXT_BYTES];

	(void)node_holds_current(n);
	if (journal_prune_candidate(n->journal, limit_us, what))
		return true;
	if (held_back(n, limit_us, &would, &by))
		operation_fail(o, FRAME_REFUSED, "prune: %s covers records of the oldest segments: nothing goes before it is released: see sluice journal hold list",
			       hold_text(by, text));
	else if (time_is_over(n, limit_us, &would) && node_prune_limit(n, &stream) < would.end && stream)
		operation_fail(o, FRAME_REFUSED, "prune: stream %s has not confirmed records of the oldest segments: nothing goes before it has them: see its receiver, "
			       "or give it up with prune_waits = \"off\" in streams of sluice.conf", stream->name);
	else
		operation_fail(o, FRAME_REFUSED, "prune: no sealed segment is older than journal.retention_records of the policy: nothing to do");
	return false;
}

static bool number(struct jcs_value args, const char *key, uint64_t *out)
{
	int64_t value = 0;
	bool good = jcs_read_int(jcs_get(args, key), &value) && value >= 0;

	*out = good ? (uint64_t)value : 0;
	return good;
}

/* The segments that were approved, as they are now; false: they are others. */
static bool same_segments(struct node *n, const struct journal_prune *what, struct bytes root_hex)
{
	struct archive *archive = journal_archive(n->journal);
	const struct segment_view *last = archive && what->segments ? archive_segment(archive, what->segments - 1) : NULL;
	char root[65] = "";
	struct writer w = writer_of(root, sizeof(root) - 1);

	if (!last || archive_first(archive) != what->first || !last->sealed || last->end != what->end)
		return false;
	hex_write(&w, bytes_of(last->seal_root.b, sizeof(last->seal_root.b)));
	return bytes_equal(writer_done(&w), root_hex);
}

const char *node_prune_begin(struct node *n, const struct approval *a, struct jcs_value args)
{
	struct journal_prune what = { 0 }, now;
	uint64_t segments, age_us = n->current ? n->tree->journal.retention_records_s * 1000000 : UINT64_MAX;
	const struct settings_stream *stream;
	const struct hold *by;

	if (n->prune.segments || n->expired_day[0])
		return NULL; /* the automatic one is under way */
	if (!number(args, "first", &what.first) || !number(args, "end", &what.end) || !number(args, "segments", &segments) || segments > UINT32_MAX)
		return "not done: no segments";
	what.segments = (unsigned)segments;
	if (!same_segments(n, &what, jcs_read_plain(jcs_get(args, "root"))))
		return "not done: these segments are not there any more";
	if (!node_holds_current(n) && holds_limit(n->holds, &by) < what.end && by->seen < what.end)
		return NULL; /* not compared so far */
	if (holds_limit(n->holds, &by) < what.end)
		return "not done: a legal hold covers records of them";
	if (node_prune_limit(n, &stream) < what.end)
		return "not done: a stream has not confirmed records of them";
	if (n->now.wall_us <= age_us || !journal_prune_candidate(n->journal, n->now.wall_us - age_us, &now) || now.end < what.end)
		return "not done: the policy keeps them longer now";
	what.sealed_us = archive_segment(journal_archive(n->journal), what.segments - 1)->seal_us;
	what.root = archive_segment(journal_archive(n->journal), what.segments - 1)->seal_root;
	n->prune = what;
	if (prune_record(n, a))
		return "";
	n->prune = (struct journal_prune){ 0 };
	return "not done: the journal does not take the record";
}
