/* node_witness.c: cosignatures of witnesses over checkpoints (C2SP tlog-witness; anchor/cosignature.h).
 *
 * All are asked for the round's checkpoint (anchor/watch.h), so that one can get as many cosignatures as the policy wants.
 * A witness says 409 with the size that it knows when ours is another: the question is sent anew from there, once. A size above our
 * newest, the same size with another root, or 422 mean that it was shown another history of this journal: alarm `fork`, and nothing
 * is signed any more until somebody has looked. Traffic goes on: its records are durable, and a witness must not be able to stop it.
 */
#include <stdio.h>

#include "control/journal/key_list.h"
#include "control/node_anchor.h"
#include "platform/os/log.h"

#define INTERVAL_US (5ull * 1000000) /* journal.md 8: at least every 10 s */
#define URL_BYTES (EGRESS_URL_BYTES + 1)

static bool url_of(const struct settings *s, unsigned i, char url[URL_BYTES])
{
	size_t len = strlen(s->witness[i].url);

	return (size_t)snprintf(url, URL_BYTES, "%s%sadd-checkpoint", s->witness[i].url, len && s->witness[i].url[len - 1] == '/' ? "" : "/") < URL_BYTES &&
	       egress_url_ok(EGRESS_WITNESS, bytes_str(url)) && egress_ca_name_ok(bytes_str(s->witness[i].ca));
}

bool witnesses_read(struct node *n, char err[OS_ERROR_BYTES])
{
	const struct settings *s = n->settings;

	for (unsigned i = 0; i < s->witnesses; i++) {
		struct anchor_witness *w = &n->anchors->witness[i];
		const char *wrong = witness_key_read(bytes_str(s->witness[i].key), &w->key);
		struct writer alarm;
		char url[URL_BYTES];

		if (!wrong && !url_of(s, i, url))
			wrong = "url is not a plain https URL, or ca is not a file name";
		for (unsigned k = 0; !wrong && k < i; k++)
			if (!memcmp(n->anchors->witness[k].key.key, w->key.key, sizeof(w->key.key)) || !memcmp(n->anchors->witness[k].key.id, w->key.id, sizeof(w->key.id)))
				wrong = "the same key, or key id, twice";
		if (wrong) {
			snprintf(err, OS_ERROR_BYTES, "sluice.conf: witness %u: %s: correct it", i + 1, wrong);
			return false;
		}
		alarm = writer_of(w->alarm, sizeof(w->alarm) - 1); /* zeroed behind it */
		writer_str(&alarm, "witness ");
		writer_str(&alarm, w->key.name);
		w->anchor.alarm = w->alarm;
	}
	return true;
}

/* --- the quorum ----------------------------------------------------------------------------------------------------------- */

/* Lines in the spine were verified before they were kept. */
static bool is_cosigned(struct archive *archive, uint64_t size, const struct witness_key *by)
{
	struct witness_key said;
	struct bytes line;
	uint64_t time_s;

	for (unsigned i = 0; archive && archive_anchor(archive, ARCHIVE_COSIGNATURE, size, i, &line); i++)
		if (cosignature_read(line, &said, &time_s) && !strcmp(said.name, by->name) && !memcmp(said.id, by->id, sizeof(by->id)))
			return true;
	return false;
}

/* How many of the configured witnesses cosigned this one checkpoint. */
static unsigned cosigners(struct node *n, uint64_t size)
{
	struct archive *archive = journal_archive(n->journal);
	unsigned count = 0;

	for (unsigned i = 0; i < n->settings->witnesses; i++)
		count += n->anchors->witness[i].anchor.watch.anchored_size == size || is_cosigned(archive, size, &n->anchors->witness[i].key);
	return count;
}

static void quorum_look(struct node *n, uint64_t size)
{
	unsigned wanted = n->anchors->quorum_wanted ? n->anchors->quorum_wanted : 1;

	if (size > n->anchors->quorum.size && cosigners(n, size) >= wanted)
		quorum_reached(&n->anchors->quorum, size);
}

static void quorum_alarm(struct node *n, const struct journal_state *state)
{
	struct anchors *a = n->anchors;
	char size[24], detail[160];
	const char *const pairs[] = { "alarm", "quorum", "anchored_size", size, "detail", detail, "state", a->quorum.alarm ? "back" : "lost", NULL };

	if (!quorum_alarm_changed(&a->quorum, a->quorum_wanted > 0, state->checkpoint_size, n->settings->quorum_alarm_s * 1000000, n->now.mono_us))
		return;
	snprintf(size, sizeof(size), "%llu", (unsigned long long)a->quorum.size);
	snprintf(detail, sizeof(detail), "%u of %u wanted witnesses cosigned the checkpoint of %llu records", cosigners(n, a->round.size), a->quorum_wanted,
		 (unsigned long long)a->round.size);
	node_record(n, "journal.alarm", (struct bytes){ 0 }, pairs);
	if (a->quorum.alarm)
		log_warn("witnesses: no quorum for %llu s: %s: records from %s on are not under one", (unsigned long long)n->settings->quorum_alarm_s, detail, size);
	else
		log_info("witnesses: a quorum again: the checkpoint of %s records", size);
}

/* --- the rule beside the journal ------------------------------------------------------------------------------------------ */

/* Keys under their ids, so that a later witness leaves the trust of older cosignatures in place. */
void witnesses_begin(struct node *n)
{
	const struct settings *s = n->settings;

	for (unsigned i = 0; i < s->witnesses; i++) {
		const struct witness_key *k = &n->anchors->witness[i].key;
		char name[40], text[CHECKPOINT_KEY_TEXT_BYTES];
		struct writer w = writer_of(text, sizeof(text));

		snprintf(name, sizeof(name), "witness-%02x%02x%02x%02x.vkey", k->id[0], k->id[1], k->id[2], k->id[3]);
		(void)witness_key_write(k, &w);
		writer_u8(&w, '\n');
		anchor_trust_write(n, name, writer_done(&w));
	}
}

/* The log's keys, all of its rotations and the next ones. */
static void logs_write(struct node *n, struct writer *out)
{
	static struct key_list list;
	struct archive *archive = journal_archive(n->journal);
	const struct checkpoint_keys *keys = &n->signer.keys, *next = n->signer.phase == SIGNER_READY || n->signer.phase == SIGNER_OVERLAP ? &n->signer.next : NULL;

	if (!archive || key_list_load(archive, keys, &list) != NULL)
		list = (struct key_list){ .count = 1, .generation = { { .keys = *keys } } };
	for (unsigned i = 0; i < list.count; i++) {
		(void)witness_policy_write_log(&list.generation[i].keys, out);
		if (next && !memcmp(next->ed25519, list.generation[i].keys.ed25519, sizeof(next->ed25519)))
			next = NULL;
	}
	if (next)
		(void)witness_policy_write_log(next, out);
}

static unsigned wanted_of(const struct node *n)
{
	return n->tree ? n->tree->journal.witnesses : 0;
}

void witnesses_policy(struct node *n)
{
	static char text[WITNESS_POLICY_BYTES];
	struct writer w = writer_of(text, sizeof(text));
	struct witness_policy_witness witness[SETTINGS_WITNESSES];

	if (n->anchors->quorum_wanted != wanted_of(n)) {
		n->anchors->quorum_wanted = wanted_of(n);
		n->anchors->quorum = (struct quorum_watch){ .alarm = n->anchors->quorum.alarm };
		quorum_look(n, n->anchors->round.size);
	}
	if (!n->signer.keys.has_ed25519)
		return;
	logs_write(n, &w);
	for (unsigned i = 0; i < n->settings->witnesses; i++)
		witness[i] = (struct witness_policy_witness){ &n->anchors->witness[i].key, n->settings->witness[i].url };
	if (witness_policy_write_quorum(witness, n->settings->witnesses, wanted_of(n), &w))
		anchor_trust_write(n, WITNESS_POLICY_FILE, writer_done(&w));
}

/* --- questions ------------------------------------------------------------------------------------------------------------ */

static void ask(struct node *n, unsigned i)
{
	struct anchor_witness *w = &n->anchors->witness[i];
	static uint8_t room[EGRESS_DATA_BYTES];
	struct writer out = writer_of(room, sizeof(room));
	struct cosignature_request q = { .old_size = w->old_size, .note = bytes_of(w->note, w->note_len) };
	struct checkpoint c;
	char url[URL_BYTES];
	uint64_t id;

	if (checkpoint_parse(q.note, true, &c, NULL) != NULL)
		return;
	id = anchor_question(n, &w->anchor, c.size);
	if (!journal_consistency(n->journal, w->old_size, c.size, &q.proof) || !cosignature_request_write(&q, &out))
		anchor_failed(n, &w->anchor, "the proof from %llu records on cannot be made", (unsigned long long)w->old_size);
	else if (!url_of(n->settings, i, url) || !egress_client_post(n->egress, EGRESS_WITNESS, id, url, n->settings->witness[i].ca, writer_done(&out),
								      COSIGNATURE_ANSWER_BYTES, node_mono_ms(n)))
		anchor_failed(n, &w->anchor, "sluice-egress takes no question");
}

static bool round_over(const struct node *n)
{
	const struct anchors *a = n->anchors;
	bool over = true;

	if (a->quorum_wanted == 0 || a->quorum.size >= a->round.size)
		return true;
	for (unsigned i = 0; i < n->settings->witnesses; i++)
		over &= !a->witness[i].anchor.watch.under_way;
	return over;
}

static void round_begin(struct node *n)
{
	struct bytes note = journal_checkpoint_stored(n->journal);
	struct anchors *a = n->anchors;
	struct checkpoint c;

	if (note.len > sizeof(a->round_note) || checkpoint_parse(note, true, &c, NULL) != NULL)
		return;
	memcpy(a->round_note, note.base, note.len);
	a->round_note_len = note.len;
	a->round = (struct anchor_round){ .size = c.size, .begun_us = n->now.mono_us };
}

void witnesses_tick(struct node *n, const struct journal_state *state)
{
	struct anchors *a = n->anchors;

	if (n->settings->witnesses == 0)
		return;
	if (anchor_round_due(&a->round, state->checkpoint_size, state->segment_first, round_over(n), INTERVAL_US, n->now.mono_us))
		round_begin(n);
	for (unsigned i = 0; i < n->settings->witnesses; i++) {
		struct anchor_witness *w = &a->witness[i];

		if (!anchor_due_in_round(&w->anchor.watch, &a->round, INTERVAL_US, n->now.mono_us))
			continue;
		memcpy(w->note, a->round_note, a->round_note_len);
		w->note_len = a->round_note_len;
		w->again = false;
		ask(n, i);
	}
	quorum_alarm(n, state);
}

static void forked(struct node *n, struct anchor_witness *w, const char *why)
{
	const char *const pairs[] = { "alarm", "fork", "detail", why, "witness", w->key.name, NULL };

	if (!n->anchors->fork) {
		node_record(n, "journal.alarm", (struct bytes){ 0 }, pairs);
		log_error("journal: fork: witness %s %s: nothing is signed any more: find out who has another copy of this journal", w->key.name, why);
	}
	n->anchors->fork = true;
	anchor_failed(n, &w->anchor, "fork: it %s", why);
}

static void conflict(struct node *n, unsigned i, struct bytes text)
{
	struct anchor_witness *w = &n->anchors->witness[i];
	uint64_t size;

	if (!cosignature_size_read(text, &size))
		anchor_failed(n, &w->anchor, "HTTP status 409 without a size");
	else if (size > w->anchor.watch.asked_size)
		forked(n, w, "cosigned a longer journal than this one");
	else if (size == w->old_size && size == w->anchor.watch.asked_size)
		forked(n, w, "cosigned another root for as many records");
	else if (w->again || size == w->old_size)
		anchor_failed(n, &w->anchor, "it says sizes that do not agree");
	else {
		w->again = true;
		w->old_size = size;
		w->anchor.watch.under_way = false;
		ask(n, i);
	}
}

/* One that is kept already: after a restart the newest checkpoint may be asked for once more. */
static bool kept(struct node *n, uint64_t size, struct bytes line)
{
	struct bytes have;

	for (unsigned i = 0; archive_anchor(journal_archive(n->journal), ARCHIVE_COSIGNATURE, size, i, &have); i++)
		if (bytes_equal(have, line))
			return true;
	return false;
}

static void cosigned(struct node *n, struct anchor_witness *w, struct bytes lines)
{
	uint64_t size = w->anchor.watch.asked_size, time_s;
	struct bytes body, line;
	struct checkpoint c;
	const char *wrong = checkpoint_parse(bytes_of(w->note, w->note_len), true, &c, &body);

	if (!wrong)
		wrong = cosignature_find(lines, body, &w->key, &line, &time_s);
	if (!wrong && !kept(n, size, line) && !journal_anchor(n->journal, ARCHIVE_COSIGNATURE, size, line))
		wrong = "the cosignature cannot be kept";
	if (wrong) {
		anchor_failed(n, &w->anchor, "answer refused: %s", wrong);
		return;
	}
	w->old_size = size;
	w->time_s = time_s;
	anchor_done(n, &w->anchor);
	quorum_look(n, size);
}

bool witnesses_answer(struct node *n, const struct egress_answer *answer)
{
	for (unsigned i = 0; i < n->settings->witnesses; i++) {
		struct anchor_witness *w = &n->anchors->witness[i];

		if (w->anchor.id != answer->id)
			continue;
		if (answer->result != EGRESS_ok)
			anchor_failed(n, &w->anchor, "%s", egress_result_text(answer->result));
		else if (answer->http_status == 200)
			cosigned(n, w, answer->body);
		else if (answer->http_status == 409)
			conflict(n, i, answer->body);
		else if (answer->http_status == 422)
			forked(n, w, "says that this journal does not extend what it cosigned");
		else
			anchor_failed(n, &w->anchor, "it answers with HTTP status %u", answer->http_status);
		return true;
	}
	return false;
}

uint64_t witnesses_size(const struct node *n)
{
	return n->anchors->quorum.size;
}
