#include "control/anchor/judge.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/journal/note_text.h"

#define FILE_BYTES TIMESTAMP_CA_BYTES

_Static_assert(FILE_BYTES >= WITNESS_POLICY_BYTES, "a policy fits");

/* --- whom to believe ------------------------------------------------------------------------------------------------------ */

const char *judge_add_authority(struct judge *j, struct bytes pem)
{
	const char *why = NULL;

	if (j->authority)
		return timestamp_authority_add(j->authority, pem);
	j->authority = timestamp_authority_create(pem, &why);
	return why;
}

static const char *key_add(struct judge *j, const struct witness_key *k)
{
	for (unsigned i = 0; i < j->witnesses; i++)
		if (!strcmp(j->witness[i].name, k->name) && !memcmp(j->witness[i].key, k->key, sizeof(k->key)))
			return NULL;
	if (j->witnesses == JUDGE_WITNESSES_MAX)
		return "too many witnesses' keys";
	j->witness[j->witnesses++] = *k;
	return NULL;
}

static const char *witness_add(struct judge *j, struct bytes line)
{
	struct witness_key k;
	const char *wrong = witness_key_read(line, &k);

	return wrong ? wrong : key_add(j, &k);
}

const char *judge_add_witnesses(struct judge *j, struct bytes text)
{
	struct reader r = reader_of_bytes(text);
	const char *wrong = text.len ? NULL : "holds no key of a witness";

	while (!wrong && r.left) {
		/* The last line may have no newline. */
		struct bytes line = memchr(r.at, '\n', r.left) ? note_line(&r) : reader_rest(&r);

		if (line.len)
			wrong = witness_add(j, line);
	}
	return wrong;
}

const char *judge_add_policy(struct judge *j, struct bytes text, unsigned *line)
{
	struct witness_policy *p = calloc(1, sizeof(*p));
	const char *wrong = p ? witness_policy_read(text, p, line) : "out of memory";

	for (unsigned i = 0; !wrong && i < p->witnesses; i++)
		wrong = key_add(j, &p->witness[i]);
	free(wrong ? p : j->policy);
	if (!wrong)
		j->policy = p;
	return wrong;
}

/* A file's text, to be freed; NULL with what is wrong. */
static uint8_t *file_read(const char *path, size_t *len, const char **wrong)
{
	uint8_t *text = malloc(FILE_BYTES + 1);
	FILE *f = text ? fopen(path, "re") : NULL;

	*wrong = "cannot be read";
	*len = f ? fread(text, 1, FILE_BYTES + 1, f) : 0;
	if (f)
		*wrong = *len > FILE_BYTES ? "is too long" : NULL;
	if (f)
		fclose(f);
	if (!*wrong)
		return text;
	free(text);
	return NULL;
}

static const char *file_add(struct judge *j, const char *path, const char *(*add)(struct judge *j, struct bytes text))
{
	const char *wrong;
	size_t len;
	uint8_t *text = file_read(path, &len, &wrong);

	if (text)
		wrong = add(j, bytes_of(text, len));
	free(text);
	return wrong;
}

const char *judge_read_authority(struct judge *j, const char *path)
{
	return file_add(j, path, judge_add_authority);
}

const char *judge_read_witnesses(struct judge *j, const char *path)
{
	return file_add(j, path, judge_add_witnesses);
}

const char *judge_read_policy(struct judge *j, const char *path, unsigned *line)
{
	const char *wrong;
	size_t len;
	uint8_t *text = file_read(path, &len, &wrong);

	*line = 0;
	if (text)
		wrong = judge_add_policy(j, bytes_of(text, len), line);
	free(text);
	return wrong;
}

static bool is_named(const char *name, const char *begin, const char *end)
{
	size_t len = strlen(name), tail = strlen(end);

	return len > tail && strncmp(name, begin, strlen(begin)) == 0 && strcmp(name + len - tail, end) == 0;
}

void judge_read_beside(struct judge *j, const char *dir)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	unsigned files = 0;
	DIR *trust;

	snprintf(path, sizeof(path), "%.3000s/trust", dir);
	trust = opendir(path);
	while (trust && files < JUDGE_FILES_MAX && (entry = readdir(trust))) {
		bool authority = is_named(entry->d_name, "tsa-", ".crt"), witness = is_named(entry->d_name, "witness-", ".vkey");

		if (!authority && !witness)
			continue;
		files++;
		snprintf(path, sizeof(path), "%.3000s/trust/%s", dir, entry->d_name);
		(void)(authority ? judge_read_authority : judge_read_witnesses)(j, path);
	}
	if (trust)
		closedir(trust);
	snprintf(path, sizeof(path), "%.3000s/trust/" WITNESS_POLICY_FILE, dir);
	if (access(path, F_OK) == 0)
		j->policy_wrong = judge_read_policy(j, path, &files);
}

void judge_free(struct judge *j)
{
	timestamp_authority_destroy(j->authority);
	free(j->policy);
	*j = (struct judge){ 0 };
}

/* --- the judgement -------------------------------------------------------------------------------------------------------- */

static void token_judge(const struct judge *j, const struct verify_anchor *a, struct verify_judged *out)
{
	_Static_assert(sizeof(out->who) >= TIMESTAMP_WHO_BYTES, "the signer's name fits");
	enum timestamp_verdict verdict = timestamp_judge(j->authority, a->value, a->note, &out->time_s, out->who, &out->why);

	out->verdict = verdict == TIMESTAMP_GOOD ? VERIFY_GOOD : verdict == TIMESTAMP_UNKNOWN ? VERIFY_UNKNOWN : VERIFY_WRONG;
}

/* Whether a known key made this line's signature, under whatever name and id the line gives: who changed these made it look like somebody's who is
 * not known. */
static bool is_renamed(const struct judge *j, const struct witness_key *said, const struct verify_anchor *a)
{
	uint64_t time_s;
	struct bytes line;

	for (unsigned i = 0; i < j->witnesses; i++) {
		struct witness_key k = *said;

		memcpy(k.key, j->witness[i].key, sizeof(k.key));
		if (cosignature_find(a->value, a->body, &k, &line, &time_s) == NULL)
			return true;
	}
	return false;
}

/* A good cosignature by this key: whether its checkpoint has its quorum now. */
static void quorum_look(struct judge *j, const struct verify_anchor *a, const struct witness_key *by, int64_t time_s)
{
	int place = j->policy ? witness_policy_find(j->policy, by->key) : -1;

	if (place < 0)
		return;
	if (j->look.size != a->size)
		j->look = (struct judge_quorum){ .size = a->size };
	j->look.witnesses |= 1ull << place;
	j->look.time_s = time_s > j->look.time_s ? time_s : j->look.time_s;
	if (a->size < j->quorum.size || !witness_policy_asks(j->policy) || !witness_policy_met(j->policy, j->look.witnesses))
		return;
	if (a->size == j->quorum.size || witness_policy_signed(j->policy, a->note))
		j->quorum = j->look;
}

static void cosignature_judge(struct judge *j, const struct verify_anchor *a, struct verify_judged *out)
{
	struct witness_key said;
	bool known = false;
	struct bytes line;
	uint64_t time_s;

	out->verdict = VERIFY_WRONG;
	out->why = "not one line of a cosignature";
	if (!cosignature_read(a->value, &said, &time_s))
		return;
	snprintf(out->who, sizeof(out->who), "%s", said.name);
	/* An id is four bytes: two keys may share one. */
	for (unsigned i = 0; i < j->witnesses; i++) {
		if (strcmp(j->witness[i].name, said.name) != 0 || memcmp(j->witness[i].id, said.id, sizeof(said.id)) != 0)
			continue;
		known = true;
		out->why = cosignature_find(a->value, a->body, &j->witness[i], &line, &time_s);
		if (out->why)
			continue;
		out->verdict = VERIFY_GOOD;
		out->time_s = (int64_t)time_s;
		quorum_look(j, a, &j->witness[i], (int64_t)time_s);
		return;
	}
	if (known)
		return;
	out->why = "made by the key of a witness that has another name or key id";
	if (is_renamed(j, &said, a))
		return;
	out->verdict = VERIFY_UNKNOWN;
	out->why = "no key of this name and id is given";
}

void judge_anchor(void *ctx, const struct verify_anchor *anchor, struct verify_judged *out)
{
	*out = (struct verify_judged){ 0 };
	if (anchor->is_token)
		token_judge(ctx, anchor, out);
	else
		cosignature_judge(ctx, anchor, out);
}
