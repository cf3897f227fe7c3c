/* Text, bound values, and later the answer, which may quote them in an error. Bound values are withheld as a whole where the text gives one of
 * them a secret's place, or one looks like a secret, each by itself, so that they can still be shown and compared as values. */
#include "control/inbox/withheld.h"

#include "control/inbox/secrets.h"
#include "platform/base/secret.h"
#include "platform/contract/classification.h"

static void key_of(const struct inbox *in, const struct session *s, uint8_t key[32])
{
	inbox_commitment(in, s, bytes_str("secrets of statements"), key);
}

/* The command of COPY ... PROGRAM is the name of an object. */
static bool names_secret(struct bytes encoded)
{
	struct classified_statement st;
	struct classification c;
	struct access a;

	if (!encoded.len || !classification_open(encoded, &c))
		return false;
	while (classification_next(&c.statement_bytes, &st))
		while (access_next(&st.access_bytes, &a))
			for (unsigned i = 0; i < a.levels; i++)
				if (secrets_look(a.level[i]))
					return true;
	return false;
}

/* Formats and values as Bind has them; every value becomes text. False: they are not understood. */
static bool hide_values(struct bytes params, const uint8_t key[32], struct writer *w)
{
	struct reader r = reader_of_bytes(params);
	unsigned count;

	reader_skip(&r, (size_t)reader_be16(&r) * 2);
	count = reader_be16(&r);
	writer_be16(w, 0);
	writer_be16(w, (uint16_t)count);
	for (unsigned i = 0; i < count && r.ok; i++) {
		uint32_t len = reader_be32(&r);
		struct bytes value = len == UINT32_MAX ? (struct bytes){ 0 } : reader_bytes(&r, len);
		size_t mark, before;

		if (len == UINT32_MAX) {
			writer_be32(w, len);
			continue;
		}
		mark = writer_mark(w, 4);
		before = w->len;
		secrets_put(value, key, w);
		writer_patch(w, mark, 4, w->len - before);
	}
	return r.ok && w->ok;
}

/* True: something of it was hidden. */
static bool hide(const uint8_t key[32], struct bytes *raw, struct bytes *params, struct bytes *types)
{
	static uint8_t text_room[LIMIT_STATEMENT_BYTES], params_room[LIMIT_PARAMETERS_BYTES];
	struct writer t = writer_of(text_room, sizeof(text_room)), p = writer_of(params_room, sizeof(params_room));
	struct secrets found = secrets_hide(*raw, key, &t);
	bool values = params->len && (found.values || secrets_look(*params));

	if (found.text)
		*raw = writer_done(&t);
	if (!values)
		return found.text;
	if (!hide_values(*params, key, &p)) {
		p = writer_of(params_room, sizeof(params_room));
		secrets_put(*params, key, &p);
	}
	*params = writer_done(&p);
	*types = (struct bytes){ 0 };
	return true;
}

struct event_command withheld_command(struct inbox *in, struct session *s, const struct event_command *e, struct bytes *norm)
{
	static uint8_t norm_room[2 * LIMIT_STATEMENT_BYTES];
	struct writer n = writer_of(norm_room, sizeof(norm_room));
	struct event_command shown = *e;
	uint8_t key[32];

	if (names_secret(e->classification))
		shown.classification = (struct bytes){ 0 };
	in->withheld = false;
	if (!secrets_suspect(e->raw) && !secrets_suspect(*norm) && !secrets_look(e->params))
		return shown;
	key_of(in, s, key);
	in->withheld = hide(key, &shown.raw, &shown.params, &shown.types);
	if (in->withheld)
		s->secret_ref[s->secrets++ % SESSION_SECRETS] = e->n;
	if (secrets_hide(*norm, key, &n).text)
		*norm = writer_done(&n);
	secret_wipe(key, sizeof(key));
	return shown;
}

void withheld_recheck(struct inbox *in, const struct session *s, struct event_rechecked *e)
{
	uint8_t key[32];

	key_of(in, s, key);
	in->withheld = hide(key, &e->raw, &e->params, &e->types);
	secret_wipe(key, sizeof(key));
}

/* Of a command that is not remembered any more, too. */
static bool answers_secret(const struct session *s, uint32_t ref)
{
	uint32_t oldest = UINT32_MAX;

	for (unsigned i = 0; i < s->secrets && i < SESSION_SECRETS; i++) {
		if (s->secret_ref[i] == ref)
			return true;
		oldest = s->secret_ref[i] < oldest ? s->secret_ref[i] : oldest;
	}
	return s->secrets > SESSION_SECRETS && ref < oldest;
}

void withheld_payload(struct inbox *in, const struct session *s, struct event_payload *e)
{
	static uint8_t room[128];
	struct writer w = writer_of(room, sizeof(room));
	uint8_t key[32];

	if (!answers_secret(s, e->ref))
		return;
	key_of(in, s, key);
	secrets_put(e->data, key, &w);
	secret_wipe(key, sizeof(key));
	e->data = writer_done(&w);
	in->withheld = true;
}
