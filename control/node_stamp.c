/* node_stamp.c: time stamps over checkpoints from the authority that sluice.conf names (journal.md 8, anchor/timestamp.h). */
#include <stdio.h>
#include <stdlib.h>

#include "control/journal/base64.h"
#include "control/node_anchor.h"
#include "platform/base/random.h"

#define INTERVAL_US (600ull * 1000000) /* without a policy */

bool stamp_read(struct node *n, char err[OS_ERROR_BYTES])
{
	const struct settings *s = n->settings;
	struct anchors *a = n->anchors;
	const char *why = "cannot be read";
	FILE *f;

	a->stamp.alarm = "timestamp";
	if (!s->timestamp.url)
		return true;
	if (!egress_url_ok(EGRESS_TIMESTAMP, bytes_str(s->timestamp.url)) || !egress_ca_name_ok(bytes_str(s->timestamp.ca))) {
		snprintf(err, OS_ERROR_BYTES, "sluice.conf: timestamp: not a plain URL, or ca is not a file name: correct it");
		return false;
	}
	a->roots = malloc(TIMESTAMP_CA_BYTES);
	f = a->roots ? fopen(s->timestamp.roots, "re") : NULL;
	a->roots_len = f ? fread(a->roots, 1, TIMESTAMP_CA_BYTES, f) : 0;
	if (f)
		fclose(f);
	if (a->roots_len)
		a->authority = timestamp_authority_create(bytes_of(a->roots, a->roots_len), &why);
	if (!a->authority)
		snprintf(err, OS_ERROR_BYTES, "%.120s: %s: give the certificates of the time-stamp authority's CA", s->timestamp.roots, why);
	return a->authority != NULL;
}

/* Under a name of its own content, so that a later authority leaves the trust of older tokens in place. */
void stamp_begin(struct node *n)
{
	struct anchors *a = n->anchors;
	struct bytes pem = bytes_of(a->roots, a->roots_len);
	struct merkle_hash hash;
	char name[40] = "tsa-";
	struct writer w = writer_of(name + 4, sizeof(name) - 5);

	if (!a->authority)
		return;
	hash = merkle_sha256(pem);
	hex_write(&w, bytes_of(hash.b, 4));
	writer_str(&w, ".crt");
	anchor_trust_write(n, name, pem);
	(void)archive_anchored(journal_archive(n->journal), ARCHIVE_TOKEN, UINT64_MAX, &a->stamp.watch.anchored_size);
}

static void ask(struct node *n, uint64_t size)
{
	struct anchors *a = n->anchors;
	const struct settings *s = n->settings;
	uint8_t nonce[TIMESTAMP_NONCE_BYTES], room[TIMESTAMP_QUERY_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	uint64_t id = anchor_question(n, &a->stamp, size);

	random_secret(nonce, sizeof(nonce));
	if (!timestamp_query(journal_checkpoint_stored(n->journal), nonce, &a->query, &w))
		anchor_failed(n, &a->stamp, "the query cannot be made");
	else if (!egress_client_post(n->egress, EGRESS_TIMESTAMP, id, s->timestamp.url, s->timestamp.ca, writer_done(&w), TIMESTAMP_ANSWER_BYTES, node_mono_ms(n)))
		anchor_failed(n, &a->stamp, "sluice-egress takes no question");
}

void stamp_tick(struct node *n, const struct journal_state *state)
{
	struct anchors *a = n->anchors;
	uint64_t interval_us = n->tree ? n->tree->journal.timestamp_ms * 1000 : INTERVAL_US;

	if (a->authority && anchor_due(&a->stamp.watch, state->checkpoint_size, state->segment_first, interval_us, n->now.mono_us))
		ask(n, state->checkpoint_size);
}

/* Much of a token is under no signature: its hash in the tree is what shows a change of any byte (journal/verify_stamps.h). */
static void told(struct node *n, uint64_t size, struct bytes token, int64_t time_s)
{
	struct merkle_hash hash = merkle_sha256(token);
	char of[24], sha256[2 * MERKLE_HASH_BYTES + 1] = "", when[24];
	struct writer w = writer_of(sha256, sizeof(sha256) - 1);
	const char *const pairs[] = { "sha256", sha256, "size", of, "time_s", when, NULL };

	hex_write(&w, bytes_of(hash.b, sizeof(hash.b)));
	snprintf(of, sizeof(of), "%llu", (unsigned long long)size);
	snprintf(when, sizeof(when), "%lld", (long long)time_s);
	node_record(n, "journal.stamp", (struct bytes){ 0 }, pairs);
}

void stamp_answer(struct node *n, const struct egress_answer *answer)
{
	struct anchors *a = n->anchors;
	const char *why;
	int64_t time_s;

	if (answer->result != EGRESS_ok) {
		anchor_failed(n, &a->stamp, "%s", egress_result_text(answer->result));
		return;
	}
	if (answer->http_status != 200) {
		anchor_failed(n, &a->stamp, "the authority answers with HTTP status %u", answer->http_status);
		return;
	}
	why = timestamp_accept(a->authority, &a->query, answer->body, (int64_t)(n->now.wall_us / 1000000), &time_s);
	if (!why && !journal_anchor(n->journal, ARCHIVE_TOKEN, a->stamp.watch.asked_size, answer->body))
		why = "the token cannot be kept";
	if (why) {
		anchor_failed(n, &a->stamp, "answer refused: %s", why);
		return;
	}
	told(n, a->stamp.watch.asked_size, answer->body, time_s);
	a->stamp_time_s = time_s;
	anchor_done(n, &a->stamp);
}
