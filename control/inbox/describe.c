#include "control/inbox/describe.h"

#include <stdio.h>

#include "control/inbox/secrets.h"
#include "platform/contract/page.h"

#define MASKED_MAX 256

const char *describe_reason(unsigned reason)
{
	static const char *const words[] = {
		"none", "unmatched", "unknown", "too_long", "protocol", "mask_token", "pinned_setting", "approval", "control_lost", "pattern",
		"oracle", "stale", "limit",
	};

	_Static_assert(sizeof words / sizeof *words == REASON_count, "each reason has its word");
	return reason < REASON_count ? words[reason] : "unknown";
}

const char *describe_close_cause(unsigned cause)
{
	return cause < CLOSE_causes ? page_cause_name(cause) : "unknown";
}

const char *describe_withdraw(unsigned cause)
{
	static const char *const words[WITHDRAW_causes] = { "cancelled by the client", "the client is gone", "the server is gone" };

	return cause < WITHDRAW_causes ? words[cause] : "withdrawn";
}

void describe_cause(struct jcs *j, const void *text)
{
	jcs_put_str(j, "cause", text);
}

/* --- command ------------------------------------------------------------------------------------------------------------- */

static void put_flags(struct jcs *j, const struct classification *c)
{
	struct reader at = c->statement_bytes;
	struct classified_statement s;
	uint32_t flags = 0;

	while (classification_next(&at, &s))
		flags |= s.flags;
	for (unsigned bit = 0; bit < FLAG_count; bit++) {
		if (flags >> bit & 1)
			jcs_str(j, bytes_str(flag_word(bit)));
	}
}

static bool verb_writes(enum verb v)
{
	return v != VERB_select && v != VERB_explain && v != VERB_show && v != VERB_copy_out && v != VERB_cursor && v != VERB_prepare;
}

static void put_objects(struct jcs *j, const char *key, const struct classification *c, bool writes)
{
	struct reader at = c->statement_bytes;
	struct classified_statement s;
	struct access a;

	jcs_key(j, key);
	jcs_array(j);
	while (classification_next(&at, &s)) {
		while (access_next(&s.access_bytes, &a)) {
			char name[4 * 256 + 8];
			struct writer w = writer_of(name, sizeof(name));

			if (!a.levels || verb_writes(a.verb) != writes)
				continue;
			for (unsigned i = 0; i < a.levels; i++) {
				if (i)
					writer_u8(&w, '.');
				writer_put(&w, a.level[i]);
			}
			if (secrets_look(writer_done(&w))) /* the command of COPY … PROGRAM */
				jcs_str(j, bytes_str("(holds a secret)"));
			else
				jcs_str(j, jcs_is_utf8(writer_done(&w)) ? writer_done(&w) : bytes_str("(not text)"));
		}
	}
	jcs_array_close(j);
}

static void put_verb(struct jcs *j, const struct classification *c)
{
	struct reader at = c->statement_bytes;
	struct classified_statement s;
	struct access a;
	uint64_t seen = 0;
	char text[512];
	struct writer w = writer_of(text, sizeof(text));

	while (classification_next(&at, &s)) {
		while (access_next(&s.access_bytes, &a)) {
			if (seen >> a.verb & 1)
				continue;
			if (seen)
				writer_u8(&w, ',');
			writer_str(&w, verb_word(a.verb));
			seen |= 1ull << a.verb;
		}
	}
	jcs_key(j, "verb");
	jcs_str(j, writer_done(&w));
}

void describe_op(struct jcs *j, const void *from)
{
	static const char *const kinds[COMMAND_kinds] = { "simple", "prepare", "execute", "copy", "other" };
	const struct describe_command *d = from;

	jcs_key(j, "flags");
	jcs_array(j);
	if (d->known)
		put_flags(j, &d->classified);
	jcs_array_close(j);
	jcs_put_hex(j, "h", bytes_of(d->hash, 32));
	jcs_put_str(j, "kind", d->event->kind < COMMAND_kinds ? kinds[d->event->kind] : "other");
	jcs_put_int(j, "len", (int64_t)d->event->raw.len);
	if (d->known && !d->norm_is_chunk)
		jcs_put_text(j, "norm", d->classified.normalised);
	jcs_key(j, "objs");
	jcs_open(j);
	if (d->known) {
		put_objects(j, "read", &d->classified, false);
		put_objects(j, "write", &d->classified, true);
	}
	jcs_close(j);
	jcs_put_str(j, "parser", d->known ? "libpg_query-15" : "none");
	jcs_put_str(j, "proto", d->proto);
	if (d->known)
		put_verb(j, &d->classified);
	else
		jcs_put_str(j, "verb", verb_word(VERB_unknown));
}

void describe_command_out(struct jcs *j, const void *from)
{
	static const char *const verdicts[COMMAND_actions] = { "forwarded", "blocked", "held" };
	const struct event_command *e = from;

	jcs_put_str(j, "reason", describe_reason(e->reason));
	jcs_put_int(j, "transaction", e->transaction);
	jcs_put_str(j, "verdict", e->action < COMMAND_actions ? verdicts[e->action] : "blocked");
}

/* --- response ------------------------------------------------------------------------------------------------------------ */

struct masked {
	unsigned class;
	uint32_t cells;
};

/* The list sorted by class, which is by name; equal classes joined. */
static unsigned masked_read(struct bytes from, struct masked out[MASKED_MAX])
{
	struct reader r = reader_of_bytes(from);
	unsigned count = 0;

	while (r.left >= 6 && count < MASKED_MAX) {
		struct masked m = { .class = reader_be16(&r), .cells = reader_be32(&r) };
		unsigned at = count;

		for (; at > 0 && out[at - 1].class > m.class; at--)
			out[at] = out[at - 1];
		if (at > 0 && out[at - 1].class == m.class) {
			memmove(out + at, out + at + 1, (count - at) * sizeof(*out));
			out[at - 1].cells += m.cells;
			continue;
		}
		out[at] = m;
		count++;
	}
	return count;
}

static uint64_t put_masked(struct jcs *j, const struct describe_response *d)
{
	struct masked list[MASKED_MAX];
	unsigned count = masked_read(d->event->masked, list), classes = d->image ? policy_counts(d->image).classes : 0;
	uint64_t cells = 0;

	jcs_key(j, "masked");
	jcs_open(j);
	for (unsigned i = 0; i < count; i++) {
		cells += list[i].cells;
		if (list[i].class >= classes)
			continue;
		jcs_key_bytes(j, policy_class(d->image, list[i].class).name);
		jcs_int(j, list[i].cells);
	}
	jcs_close(j);
	jcs_put_uint(j, "masked_cells", cells);
	return cells;
}

/* That payload is missing, and all that it is missing for. */
static void put_cut(struct jcs *j, unsigned cut)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = { { RESPONSE_CUT_JOURNAL, "journal_full" }, { RESPONSE_CUT_LIMIT, "payload_limit" }, { RESPONSE_CUT_RING, "ring_full" } };

	jcs_put_bool(j, "truncated", true);
	jcs_key(j, "truncated_by");
	jcs_array(j);
	for (unsigned i = 0; i < 3; i++)
		if (cut & words[i].bit)
			jcs_str(j, bytes_str(words[i].word));
	jcs_array_close(j);
}

void describe_response_out(struct jcs *j, const void *from)
{
	static const char *const verdicts[RESPONSE_outcomes] = { "forwarded", "error", "blocked", "cancelled", "lost" };
	const struct describe_response *d = from;
	const struct event_response *e = d->event;
	uint64_t cells;

	jcs_put_text(j, "code", e->status);
	if (e->limit != RESPONSE_LIMIT_NONE)
		jcs_put_str(j, "limit", e->limit == RESPONSE_LIMIT_ROWS ? "max_rows" : "max_bytes");
	cells = put_masked(j, d);
	jcs_put_uint(j, "octets", e->octets);
	jcs_put_uint(j, "rows", e->rows);
	jcs_put_text(j, "tag", e->tag);
	if (e->truncated)
		put_cut(j, e->truncated);
	jcs_put_uint(j, "us", e->duration_us);
	jcs_put_str(j, "verdict", e->outcome == RESPONSE_OK && cells ? "masked" : verdicts[e->outcome]);
}

void describe_part_out(struct jcs *j, const void *from)
{
	const struct event_part *e = from;

	jcs_put_uint(j, "octets", e->octets);
	jcs_put_uint(j, "rows", e->rows);
	jcs_put_str(j, "verdict", "part");
	jcs_put_uint(j, "window", e->window);
}

/* --- the rest ------------------------------------------------------------------------------------------------------------ */

void describe_flow_close(struct jcs *j, const void *from)
{
	const struct describe_close *d = from;
	const struct event_flow_close *e = d->event;

	jcs_put_str(j, "cause", describe_close_cause(e->cause));
	jcs_put_uint(j, "commands", e->commands);
	jcs_put_int(j, "last_n", e->n);
	jcs_put_uint(j, "octets_down", e->octets_down);
	jcs_put_uint(j, "octets_up", e->octets_up);
	jcs_put_int(j, "own", d->own);
	jcs_put_uint(j, "rows", e->rows);
	jcs_put_text(j, "text", e->text);
}

void describe_tick(struct jcs *j, const void *from)
{
	const struct describe_tick *d = from;
	const struct event_tick *e = d->event;

	jcs_put_uint(j, "blocked", e->blocked);
	jcs_put_uint(j, "commands", e->commands);
	jcs_put_uint(j, "durable", e->durable);
	jcs_put_uint(j, "events", e->events);
	jcs_put_uint(j, "flows_open", e->flows_open);
	jcs_put_uint(j, "held", e->held);
	jcs_put_uint(j, "packets", e->packets);
	jcs_put_uint(j, "recorded", d->recorded);
	jcs_put_uint(j, "released", e->released);
	jcs_put_int(j, "worker", e->worker);
}
