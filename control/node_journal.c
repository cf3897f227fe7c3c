/* node_journal.c: the state of the journal's volume, of the clock and of revocation news, told to the workers and to the journal.
 *
 * What the workers have to do differently is in order `control`: whether anything may be released at all, and how much room there is.
 * What stopped the process itself (a disk that failed) cannot be recorded at the time; a note in the run directory, which is another
 * volume, lets the next process do it. Why it refused commands, and since when, is kept beside the records: a process that begins without that
 * reason (there is room again; the clock is taken as it is) says that the journal goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/node.h"
#include "platform/os/log.h"
#include "platform/os/shm.h"

#define NOTE "journal-stopped"

static enum journal_room room_of(enum journal_level level)
{
	return level >= JOURNAL_LEVEL_NO_SESSIONS ? JOURNAL_ROOM_NO_SESSIONS : level >= JOURNAL_LEVEL_DIGEST ? JOURNAL_ROOM_DIGEST : JOURNAL_ROOM_ENOUGH;
}

static void tell(struct node *n)
{
	for (unsigned w = 0; w < n->settings->workers; w++)
		node_orders_control(n, w);
}

void node_orders_control(struct node *n, unsigned worker)
{
	const char *why = n->failed ? "the journal stopped" : watch_text(n->watch.stop);
	const struct order_control m = { .boot = bytes_of(n->boot, 16), .journal = n->watch.stop == WATCH_RUNS && !n->failed, .why = bytes_str(why),
					 .level = (uint8_t)room_of((enum journal_level)n->watch.level) };
	uint8_t room[256];

	inbox_order(n->inbox, worker, ORDER_control, order_control_encode(&m, room, sizeof(room)), ORDERS_NOW);
}

static void record_stop(struct node *n, const char *type, const char *cause, const char *detail, uint64_t without_us, unsigned used_percent)
{
	char seconds[32], used[16];
	const char *const pairs[] = { "cause", cause, "detail", detail, "seconds", seconds, "used_pct", used, NULL };

	snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)(without_us / 1000000));
	snprintf(used, sizeof(used), "%u", used_percent);
	node_record(n, type, (struct bytes){ 0 }, pairs);
}

struct kept_stop {
	enum watch_stop stop; /* WATCH_RUNS: none was under way */
	bool same_boot;
	uint64_t mono_us, wall_us; /* when it began */
};

static void stop_keep(struct node *n)
{
	uint8_t room[JOURNAL_KEPT_BYTES];
	struct writer w = writer_of(room, sizeof(room));

	writer_u8(&w, (uint8_t)n->watch.stop);
	writer_bytes(&w, n->machine_boot, sizeof(n->machine_boot));
	writer_be64(&w, n->watch.stopped_us);
	writer_be64(&w, n->now.wall_us);
	(void)journal_keep(n->journal, KEPT_STOP, writer_done(&w));
}

static struct kept_stop stop_kept(const struct node *n)
{
	struct reader r = reader_of_bytes(journal_kept(n->journal, KEPT_STOP));
	struct kept_stop k = { .stop = reader_u8(&r) };

	k.same_boot = bytes_equal(reader_bytes(&r, sizeof(n->machine_boot)), bytes_of(n->machine_boot, sizeof(n->machine_boot)));
	k.mono_us = reader_be64(&r);
	k.wall_us = reader_be64(&r);
	return r.ok && r.left == 0 && k.stop <= WATCH_CLOCK ? k : (struct kept_stop){ .stop = WATCH_RUNS };
}

static uint64_t since(uint64_t then_us, uint64_t now_us)
{
	return now_us > then_us ? now_us - then_us : 0;
}

static void level_news(struct node *n, const struct journal_state *state)
{
	static const char *const words[] = { "ok", "alarm", "digest", "no_sessions", "full", "stopped" };
	char used[16];
	const char *const pairs[] = { "alarm", "volume", "level", words[state->level], "used_pct", used, NULL };

	snprintf(used, sizeof(used), "%u", state->used_percent);
	node_record(n, "journal.alarm", (struct bytes){ 0 }, pairs);
	inbox_set_thrifty(n->inbox, state->level >= JOURNAL_LEVEL_DIGEST);
	if (state->level == JOURNAL_LEVEL_OK)
		log_info("journal: volume %u %% used", state->used_percent);
	else
		log_warn("journal: volume %u %% used: %s: make room", state->used_percent,
			 state->level >= JOURNAL_LEVEL_FULL ? "commands are refused" : state->level == JOURNAL_LEVEL_NO_SESSIONS ? "new sessions are refused" :
			 state->level == JOURNAL_LEVEL_DIGEST ? "payload is left out where the policy says so" : "it fills");
}

static void stop_news(struct node *n, const struct watch_news *news, unsigned used_percent)
{
	enum watch_stop stop = n->watch.stop;

	stop_keep(n);
	if (news->before != WATCH_RUNS && stop != WATCH_RUNS)
		return; /* stopped still, for another cause */
	inbox_pause(n->inbox, stop != WATCH_RUNS);
	if (stop != WATCH_RUNS)
		log_error("journal: %s: commands are refused", watch_text(stop));
	else
		log_warn("journal: goes on after %llu s", (unsigned long long)(news->without_us / 1000000));
	record_stop(n, stop != WATCH_RUNS ? "journal.stop" : "journal.resume", watch_word(stop != WATCH_RUNS ? stop : news->before), "", news->without_us,
		    used_percent);
}

void node_journal_look(struct node *n)
{
	struct journal_state state;
	struct watch_seen seen = { .wall_us = n->now.wall_us, .mono_us = n->now.mono_us };
	struct watch_news news;

	journal_state(n->journal, &state);
	seen.level = state.level;
	seen.used_percent = state.used_percent;
	seen.signer_refused = state.signer_refused;
	news = watch_look(&n->watch, &seen);
	if (news.level)
		level_news(n, &state);
	if (news.stop)
		stop_news(n, &news, state.used_percent);
	if (news.level || news.stop)
		tell(n);
	if (state.commit_us_last > NODE_SLOW_COMMIT_US && state.commits != n->slow_commit) {
		char ms[32];
		const char *const pairs[] = { "alarm", "slow_flush", "ms", ms, NULL };

		snprintf(ms, sizeof(ms), "%llu", (unsigned long long)(state.commit_us_last / 1000));
		n->slow_commit = state.commits;
		node_record(n, "journal.alarm", (struct bytes){ 0 }, pairs);
	}
}

/* --- a journal that stopped the process --------------------------------------------------------------------------------- */

void node_journal_failed(struct node *n, const char *why)
{
	char text[400], err[OS_ERROR_BYTES];

	n->failed = true;
	tell(n);
	inbox_tell(n->inbox);
	snprintf(text, sizeof(text), "%llu %.300s\n", (unsigned long long)n->now.wall_us, why);
	if (!shm_publish(n->settings->run_dir, NOTE, bytes_str(text), 0600, err))
		log_warn("%s", err);
}

/* What the process before this one was stopped by. */
static void stop_over(struct node *n, const struct kept_stop *before)
{
	struct journal_state state;
	uint64_t without_us = before->same_boot ? since(before->mono_us, n->now.mono_us) : since(before->wall_us, n->now.wall_us);

	if (before->stop == WATCH_RUNS)
		return;
	if (n->watch.stop == WATCH_RUNS) {
		journal_state(n->journal, &state);
		log_warn("journal: a new process goes on after %llu s: %s", (unsigned long long)(without_us / 1000000), watch_text(before->stop));
		record_stop(n, "journal.resume", watch_word(before->stop), "a new process", without_us, state.used_percent);
	} else if (before->same_boot && before->mono_us < n->watch.stopped_us) {
		n->watch.stopped_us = before->mono_us; /* it never went on */
	}
	stop_keep(n);
}

void node_journal_begun(struct node *n)
{
	const struct kept_stop before = stop_kept(n);
	char path[400], why[320] = "";
	unsigned long long at_us = 0;
	FILE *f;

	node_journal_look(n);
	stop_over(n, &before);
	snprintf(path, sizeof(path), "%.240s/" NOTE, n->settings->run_dir);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fscanf(f, "%llu %300[^\n]", &at_us, why) == 2 && jcs_is_utf8(bytes_str(why))) {
		struct journal_state state;

		journal_state(n->journal, &state);
		record_stop(n, "journal.stop", "failed", why, 0, state.used_percent);
		if (n->watch.stop == WATCH_RUNS)
			record_stop(n, "journal.resume", "failed", why, since(at_us, n->now.wall_us), state.used_percent);
	}
	fclose(f);
	unlink(path);
}

/* --- the clock and the news ---------------------------------------------------------------------------------------------- */

void node_clock_look(struct node *n)
{
	const char *const pairs[] = { "clk", n->now.clk, NULL };

	if (n->clk_told && !strcmp(n->clk_told, n->now.clk))
		return;
	if (n->clk_told || !strcmp(n->now.clk, "free"))
		log_warn("clock: %s", n->now.clk);
	n->clk_told = n->now.clk;
	node_record(n, "node.clock", (struct bytes){ 0 }, pairs);
}

bool node_issuer_stale(const struct node *n, const struct identity_status *s)
{
	int64_t begun_s = (int64_t)(n->started_mono_us / 1000000), now_s = (int64_t)(n->now.mono_us / 1000000);

	return (s->age_s < 0 ? now_s - begun_s : s->age_s) > (int64_t)s->news_s_max;
}

void node_news_look(struct node *n)
{
	for (unsigned i = 0; n->identity && i < identity_count(n->identity) && i < LIMIT_ISSUERS; i++) {
		struct identity_status s = identity_status_of(n->identity, i, node_identity_clock(n));
		bool stale = node_issuer_stale(n, &s);
		char age[32];
		const char *const pairs[] = { "age_s", age, "issuer", s.name, NULL };

		if (stale == (n->stale_issuers >> i & 1))
			continue;
		n->stale_issuers ^= 1u << i;
		snprintf(age, sizeof(age), "%lld", (long long)s.age_s);
		log_warn("issuer %s: %s", s.name, stale ? "its key set is too old to know who was revoked: check the provider" : "revocation news is fresh again");
		node_record(n, stale ? "revoke.stale" : "revoke.fresh", (struct bytes){ 0 }, pairs);
	}
}
