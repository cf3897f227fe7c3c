/* json.c: a JSON value with its leaves masked; what comes out is JSON again.
 *
 * One pass over the server's own output, which is valid JSON. A leaf is matched as its decoded text, with the key before it as its name:
 * a key that names a class masks the leaf unseen. Numbers become 0, strings the class's mask. Keys are values too when something is
 * found in them. Strings that cannot be decoded within the scratch are masked when they hold anything at all.
 */
#include "dataplane/inspect/postgres/session.h"

#define LEAF_BYTES 4096

struct walk {
	struct pg_masker *m;
	int class;            /* every leaf; -1: what is found */
	struct pg_masker key; /* the same masker with the last key's context */
	int key_class;        /* the class that the last key names; -1 */
};

/* The text between the quotes, decoded. Surrogates stand as '?': no class has letters beyond the first plane. */
static bool decode(struct bytes v, struct writer *w)
{
	for (size_t i = 0; i < v.len; i++) {
		static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
		const char *short_form;
		int code;

		if (v.base[i] != '\\' || i + 1 == v.len) {
			writer_u8(w, v.base[i]);
			continue;
		}
		i++;
		short_form = strchr(from, v.base[i]);
		if (v.base[i] == 'u' && (code = pg_hex4(v, i + 1)) >= 0) {
			i += 4;
			if (code < 0x80) {
				writer_u8(w, (uint8_t)code);
			} else if (code < 0x800) {
				writer_u8(w, (uint8_t)(0xc0 | code >> 6));
				writer_u8(w, (uint8_t)(0x80 | (code & 63)));
			} else {
				writer_u8(w, '?');
			}
		} else if (v.base[i] && short_form) {
			writer_u8(w, (uint8_t)to[short_form - from]);
		} else {
			writer_u8(w, v.base[i]);
		}
	}
	return w->ok;
}

static void quoted_mask(struct walk *k, int class, struct bytes value, struct writer *w)
{
	uint8_t text[512];
	struct writer t = writer_of(text, sizeof(text));

	pg_class_text(k->m, class, 0, memchr(value.base, '\\', value.len) || value.len > 256, value, &t);
	writer_u8(w, '"');
	for (size_t i = 0; i < t.len && t.ok; i++) {
		if (text[i] == '"' || text[i] == '\\')
			writer_u8(w, '\\');
		writer_u8(w, text[i] < 0x20 ? ' ' : text[i]);
	}
	writer_u8(w, '"');
}

/* A string leaf or a key, `raw` between its quotes. */
static void string(struct walk *k, struct bytes raw, bool key, struct writer *w)
{
	struct pg_masker *m = key ? k->m : &k->key;
	int class = key ? -1 : k->class >= 0 ? k->class : k->key_class;
	uint8_t text[LEAF_BYTES];
	struct writer t = writer_of(text, sizeof(text));
	struct bytes plain = raw;
	size_t at = w->len;

	if (class >= 0) {
		if (k->class < 0)
			pg_command_masked(m->command, (unsigned)class);
		quoted_mask(k, class, raw, w);
		return;
	}
	if (raw.len && memchr(raw.base, '\\', raw.len)) {
		/* What is longer is looked at with its escapes in place as well. */
		bool whole = decode(raw, &t);

		plain = bytes_of(text, t.len);
		if (pg_found(m, plain) || (!whole && pg_found(m, raw))) {
			writer_str(w, "\"***\"");
			return;
		}
	} else {
		writer_u8(w, '"');
		if (pg_text(m, raw, w)) {
			writer_u8(w, '"');
			/* A mask that keeps characters of the value keeps none that JSON escapes: there were none. */
			return;
		}
		w->len = w->ok ? at : w->len;
	}
	writer_u8(w, '"');
	writer_put(w, raw);
	writer_u8(w, '"');
}

static void bare(struct walk *k, struct bytes v, struct writer *w)
{
	bool number = v.len && (v.base[0] == '-' || (v.base[0] >= '0' && v.base[0] <= '9'));
	int class = k->class >= 0 ? k->class : k->key_class;

	if (number && (class >= 0 || pg_found(&k->key, v))) {
		if (k->class < 0 && class >= 0)
			pg_command_masked(k->m->command, (unsigned)class);
		writer_u8(w, '0');
	} else {
		writer_put(w, v);
	}
}

void pg_json_key(const struct pg_masker *m, struct bytes key, struct class_bits *context, int *class)
{
	const struct inspect_snapshot *snapshot = m->s->env->snapshot;
	struct match_name name = match_name(snapshot->match, key);
	struct class_bits strong = class_bits_and(name.strong, m->want.classes);

	*context = class_bits_and(class_bits_or(name.strong, name.weak), m->want.classes);
	*class = -1;
	for (unsigned i = 0; i < LIMIT_CLASSES && *class < 0; i++)
		if (class_bits_has(&strong, i))
			*class = policy_class_of_detector(snapshot->image, &m->command->mask, i);
}

static void learn(struct walk *k, struct bytes key)
{
	struct class_bits context;

	pg_json_key(k->m, key, &context, &k->key_class);
	k->key = *k->m;
	k->key.want.context = class_bits_or(k->m->want.context, context);
}

static size_t string_end(struct bytes v, size_t at)
{
	while (at < v.len && v.base[at] != '"')
		at += v.base[at] == '\\' ? 2 : 1;
	return at < v.len ? at : v.len;
}

static bool space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

void pg_json(struct pg_masker *m, int class, struct bytes v, struct writer *w)
{
	struct walk k = { .m = m, .class = class, .key = *m, .key_class = -1 };
	size_t at = 0;

	while (at < v.len && w->ok) {
		uint8_t c = v.base[at];

		if (c == '"') {
			size_t end = string_end(v, at + 1), next = end + 1;
			struct bytes raw = bytes_of(v.base + at + 1, end - at - 1);
			bool key;

			while (next < v.len && space(v.base[next]))
				next++;
			key = next < v.len && v.base[next] == ':';
			string(&k, raw, key, w);
			if (key)
				learn(&k, raw);
			at = end + 1;
		} else if (space(c) || strchr("{}[],:", c)) {
			/* An object in an array under a key keeps the key's meaning; after `}` none is left. */
			if (c == '}') {
				k.key = *m;
				k.key_class = -1;
			}
			writer_u8(w, c);
			at++;
		} else {
			size_t end = at;

			while (end < v.len && !space(v.base[end]) && !memchr("{}[],:\"", v.base[end], 7))
				end++;
			bare(&k, bytes_of(v.base + at, end - at), w);
			at = end;
		}
	}
}
