/* witness_policy.c: see witness_policy.h. Names live only while the text is read: what is kept are places. */
#include "control/anchor/witness_policy.h"

#include <stdio.h>

#include "control/journal/base64.h"
#include "control/journal/note_text.h"

#define NAMES_MAX (WITNESS_POLICY_WITNESSES + WITNESS_POLICY_GROUPS)

_Static_assert(WITNESS_POLICY_WITNESSES <= 64 && WITNESS_POLICY_GROUPS <= 32, "a bit each");

struct name {
	struct bytes text;
	bool is_group, is_member;
	unsigned at; /* place among witnesses or groups */
};

struct reading {
	struct witness_policy *to;
	struct name name[NAMES_MAX];
	unsigned names;
	bool has_quorum;
};

/* --- words ---------------------------------------------------------------------------------------------------------------- */

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* The next word of a line; empty at its end. */
static struct bytes word(struct reader *line)
{
	struct bytes out;
	size_t len = 0;

	while (line->left && is_space(*line->at))
		reader_skip(line, 1);
	out = bytes_of(line->at, 0);
	while (len < line->left && !is_space(line->at[len]))
		len++;
	out.len = len;
	reader_skip(line, len);
	return out;
}

static bool is(struct bytes text, const char *what)
{
	return bytes_equal(text, bytes_str(what));
}

/* "none" is nobody's name. */
static struct name *find(struct reading *r, struct bytes text)
{
	for (unsigned i = 0; i < r->names; i++)
		if (bytes_equal(r->name[i].text, text))
			return &r->name[i];
	return NULL;
}

static const char *define(struct reading *r, struct bytes text, bool is_group, unsigned at)
{
	if (text.len == 0 || is(text, "none"))
		return "not a name";
	if (find(r, text))
		return "a name that is defined already";
	r->name[r->names++] = (struct name){ .text = text, .is_group = is_group, .at = at };
	return NULL;
}

/* --- lines ---------------------------------------------------------------------------------------------------------------- */

static const char *log_line(struct reading *r, struct reader *line)
{
	struct witness_policy *p = r->to;
	struct checkpoint_keys key = { 0 };
	const char *wrong = checkpoint_vkey_read(word(line), &key);

	(void)word(line); /* url */
	for (unsigned i = 0; !wrong && i < p->logs; i++)
		if (!memcmp(p->log[i].ed25519, key.ed25519, sizeof(key.ed25519)))
			wrong = "the key of a log that is listed already";
	if (!wrong && p->logs == WITNESS_POLICY_LOGS)
		wrong = "more logs than 32";
	if (!wrong)
		p->log[p->logs++] = key;
	return wrong;
}

static const char *witness_line(struct reading *r, struct reader *line)
{
	struct witness_policy *p = r->to;
	struct bytes name = word(line);
	struct witness_key key;
	const char *wrong = witness_key_read(word(line), &key);

	(void)word(line); /* url */
	if (!wrong && witness_policy_find(p, key.key) >= 0)
		wrong = "the key of a witness that is listed already";
	if (!wrong && p->witnesses == WITNESS_POLICY_WITNESSES)
		wrong = "more witnesses than 64";
	if (!wrong)
		wrong = define(r, name, false, p->witnesses);
	if (!wrong)
		p->witness[p->witnesses++] = key;
	return wrong;
}

static void add(struct witness_policy_group *g, const struct name *member)
{
	if (member->is_group)
		g->groups |= 1u << member->at;
	else
		g->witnesses |= 1ull << member->at;
}

static const char *group_line(struct reading *r, struct reader *line)
{
	struct witness_policy_group g = { 0 };
	struct bytes name = word(line), threshold = word(line), text;
	struct name *member;
	uint64_t wanted, count = 0;

	for (text = word(line); text.len; text = word(line), count++) {
		member = find(r, text);
		if (!member)
			return "a member that is not defined before it";
		if (member->is_member)
			return "a member of a group already";
		member->is_member = true;
		add(&g, member);
	}
	if (count == 0)
		return "a group without members";
	if (is(threshold, "any"))
		wanted = 1;
	else if (is(threshold, "all"))
		wanted = count;
	else if (!note_decimal(threshold, &wanted))
		return "neither a number nor any nor all";
	if (wanted < 1 || wanted > count)
		return "a number that its members cannot reach, or 0";
	if (r->to->groups == WITNESS_POLICY_GROUPS)
		return "more groups than 32";
	g.wanted = (unsigned)wanted;
	r->to->group[r->to->groups] = g;
	return define(r, name, true, r->to->groups++);
}

static const char *quorum_line(struct reading *r, struct reader *line)
{
	struct bytes text = word(line);
	const struct name *name = find(r, text);

	if (r->has_quorum)
		return "a second quorum";
	r->has_quorum = true;
	if (is(text, "none"))
		return NULL;
	if (!name)
		return "a quorum that is not defined before it";
	add(&r->to->quorum, name);
	r->to->quorum.wanted = 1;
	return NULL;
}

static const char *line_read(struct reading *r, struct bytes text)
{
	static const struct {
		const char *word;
		const char *(*read)(struct reading *r, struct reader *line);
	} kinds[] = { { "log", log_line }, { "witness", witness_line }, { "group", group_line }, { "quorum", quorum_line } };
	struct reader line = reader_of_bytes(text);
	struct bytes first = word(&line);

	if (first.len == 0 || first.base[0] == '#')
		return NULL;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *wrong;

		if (!is(first, kinds[i].word))
			continue;
		wrong = kinds[i].read(r, &line);
		return wrong || word(&line).len == 0 ? wrong : "more words than its kind has";
	}
	return "not a line of a policy (log, witness, group, quorum)";
}

static bool octets_ok(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((text.base[i] < 0x20 && text.base[i] != '\t') || text.base[i] == 0x7f)
			return false;
	return true;
}

static const char *text_read(struct reading *r, struct bytes text, unsigned *number)
{
	struct reader rest = reader_of_bytes(text);
	const char *wrong = NULL;

	for (*number = 1; !wrong && rest.left; *number += !wrong) {
		struct bytes line = note_line(&rest);

		wrong = !rest.ok ? "a line without its end: the text was cut" : !octets_ok(line) ? "a control character" : line_read(r, line);
	}
	if (wrong)
		return wrong;
	*number = 0;
	return r->has_quorum ? NULL : "no quorum line";
}

const char *witness_policy_read(struct bytes text, struct witness_policy *out, unsigned *line)
{
	struct reading r = { .to = out };
	const char *wrong = "longer than 64 KiB";

	*out = (struct witness_policy){ 0 };
	*line = 0;
	if (text.len <= WITNESS_POLICY_BYTES)
		wrong = text_read(&r, text, line);
	if (wrong)
		*out = (struct witness_policy){ 0 };
	return wrong;
}

/* --- the rule ------------------------------------------------------------------------------------------------------------- */

bool witness_policy_asks(const struct witness_policy *p)
{
	return p->quorum.wanted > 0;
}

static bool is_met(const struct witness_policy_group *g, uint64_t witnesses, uint32_t groups)
{
	return (unsigned)__builtin_popcountll(g->witnesses & witnesses) + (unsigned)__builtin_popcount(g->groups & groups) >= g->wanted;
}

bool witness_policy_met(const struct witness_policy *p, uint64_t witnesses)
{
	uint32_t groups = 0;

	for (unsigned i = 0; i < p->groups; i++)
		if (is_met(&p->group[i], witnesses, groups))
			groups |= 1u << i;
	return is_met(&p->quorum, witnesses, groups);
}

int witness_policy_find(const struct witness_policy *p, const uint8_t key[32])
{
	for (unsigned i = 0; i < p->witnesses; i++)
		if (!memcmp(p->witness[i].key, key, sizeof(p->witness[i].key)))
			return (int)i;
	return -1;
}

bool witness_policy_signed(const struct witness_policy *p, struct bytes note)
{
	struct checkpoint c;
	bool good = p->logs == 0;

	for (unsigned i = 0; i < p->logs && !good; i++)
		good = checkpoint_verify(note, &p->log[i], &c) == NULL;
	return good;
}

/* --- writing -------------------------------------------------------------------------------------------------------------- */

bool witness_policy_write_log(const struct checkpoint_keys *log, struct writer *out)
{
	writer_str(out, "log ");
	(void)checkpoint_vkey_write(log, out);
	writer_u8(out, '\n');
	return out->ok;
}

static void name_put(const struct witness_key *k, struct writer *out)
{
	writer_str(out, " witness-");
	hex_write(out, bytes_of(k->id, sizeof(k->id)));
}

bool witness_policy_write_quorum(const struct witness_policy_witness *witness, unsigned count, unsigned wanted, struct writer *out)
{
	char text[96];

	for (unsigned i = 0; i < count; i++) {
		writer_str(out, "witness");
		name_put(witness[i].key, out);
		writer_u8(out, ' ');
		(void)witness_key_write(witness[i].key, out);
		if (witness[i].url[0])
			writer_u8(out, ' ');
		writer_str(out, witness[i].url);
		writer_u8(out, '\n');
	}
	if (wanted > count) {
		snprintf(text, sizeof(text), "# %u witnesses are wanted and %u configured: no quorum can be reached\n", wanted, count);
		writer_str(out, text);
		return out->ok;
	}
	if (wanted == 0) {
		writer_str(out, "quorum none\n");
		return out->ok;
	}
	snprintf(text, sizeof(text), "group witnesses %u", wanted);
	writer_str(out, text);
	for (unsigned i = 0; i < count; i++)
		name_put(witness[i].key, out);
	writer_str(out, "\nquorum witnesses\n");
	return out->ok;
}
