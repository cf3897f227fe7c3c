/* node_witness.c: cosignatures of witnesses over checkpoints (C2SP tlog-witness; anchor/cosignature.h).
 *
 * A witness says 409 with the size that it knows when ours is another: the question is sent anew from there, once. A size above our
 * newest, the same size with another root, or 422 mean that it was shown another history of this journal: alarm `fork`, and nothing
 * is signed any more until somebody has looked. Traffic goes on: its records are durable, and a witness must not be able to stop it.
 */
#include <stdio.h>

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
			if (!memcmp(n->anchors->witness[k].key.key, w->key.key, sizeof(w->key.key)))
				wrong = "the same key twice";
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

/* Keys under their ids, so that a later witness leaves the trust of older cosignatures in place; and the rule as it is now. */
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

void witnesses_tick(struct node *n, const struct journal_state *state)
{
	struct bytes note = journal_checkpoint_stored(n->journal);

	for (unsigned i = 0; i < n->settings->witnesses; i++) {
		struct anchor_witness *w = &n->anchors->witness[i];

		if (!anchor_due(&w->anchor.watch, state->checkpoint_size, state->segment_first, INTERVAL_US, n->now.mono_us))
			continue;
		memcpy(w->note, note.base, note.len);
		w->note_len = note.len;
		w->again = false;
		ask(n, i);
	}
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
	unsigned wanted = n->tree && n->tree->journal.witnesses ? n->tree->journal.witnesses : 1;
	uint64_t best = 0;

	for (unsigned i = 0; i < n->settings->witnesses; i++) {
		uint64_t size = n->anchors->witness[i].anchor.watch.anchored_size;
		unsigned count = 0;

		for (unsigned k = 0; k < n->settings->witnesses; k++)
			count += n->anchors->witness[k].anchor.watch.anchored_size >= size;
		if (count >= wanted && size > best)
			best = size;
	}
	return best;
}
