#include "control/export/bundle_policies.h"

#include <stdlib.h>

#include "control/export/bundle_find.h"
#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"
#include "control/journal/proof.h"
#include "platform/base/limits.h"

#define HASH_DIGITS 64u

struct bundle_policies {
	char hash[BUNDLE_POLICIES_MAX][HASH_DIGITS + 1];
	bool written[BUNDLE_POLICIES_MAX];
	unsigned count;
	uint8_t proof[PROOF_BYTES_MAX];
};

struct bundle_policies *bundle_policies_create(void)
{
	return calloc(1, sizeof(struct bundle_policies));
}

void bundle_policies_destroy(struct bundle_policies *p)
{
	free(p);
}

static bool is_hash(struct bytes text)
{
	uint8_t room[32];
	struct writer w = writer_of(room, sizeof room);

	return text.len == HASH_DIGITS && hex_read(text, &w) && w.len == sizeof room;
}

static unsigned find(const struct bundle_policies *p, struct bytes hash)
{
	unsigned i = 0;

	while (i < p->count && memcmp(p->hash[i], hash.base, HASH_DIGITS) != 0)
		i++;
	return i;
}

void bundle_policies_record(struct bundle_policies *p, struct bytes record)
{
	struct bytes hash = jcs_read_plain(jcs_get(jcs_value_of(record), "pol"));
	unsigned at = is_hash(hash) ? find(p, hash) : BUNDLE_POLICIES_MAX;

	if (at == p->count && at < BUNDLE_POLICIES_MAX)
		memcpy(p->hash[p->count++], hash.base, HASH_DIGITS);
}

static bool put(struct bundle *b, const char *hash, const char *suffix, struct bytes data)
{
	char name[16 + HASH_DIGITS + 16];

	snprintf(name, sizeof name, "policy/%s%s", hash, suffix);
	return bundle_file(b, name, data);
}

/* The source text of a commit, from the chunks that its record names. */
static bool source_of(struct archive *a, struct jcs_value record, uint8_t *room, size_t *len)
{
	struct jcs_value list = jcs_get(record, "pl"), element;
	struct record_chunk chunk;
	struct bytes dir, text;
	uint64_t number;
	size_t at = 0;

	*len = 0;
	while (jcs_next(list, &at, NULL, &element)) {
		if (!record_chunk_read(&element, &chunk, &dir, &number) || archive_payload(a, &chunk, NULL, &text) != NULL || text.len > LIMIT_POLICY_FILE_BYTES - *len)
			return false;
		memcpy(room + *len, text.base, text.len);
		*len += text.len;
	}
	return *len > 0;
}

struct writing {
	struct bundle_policies *policies;
	struct bundle *bundle;
	struct bytes note;
};

/* One `policy.commit`. The newest of a hash counts no more than an older one: they say the same. */
static const char *write_one(void *ctx, struct archive *a, uint64_t index, struct bytes record)
{
	const struct writing *to = ctx;
	struct bundle_policies *p = to->policies;
	struct bundle *b = to->bundle;
	struct bytes hash = jcs_read_plain(jcs_get(jcs_get(jcs_value_of(record), "data"), "hash"));
	unsigned at = is_hash(hash) ? find(p, hash) : BUNDLE_POLICIES_MAX;
	struct writer w = writer_of(p->proof, sizeof p->proof);
	uint8_t *source;
	const char *wrong = NULL;
	size_t len;

	if (at >= p->count || p->written[at])
		return NULL;
	source = malloc(LIMIT_POLICY_FILE_BYTES);
	if (!source)
		return "out of memory";
	if (source_of(a, jcs_value_of(record), source, &len)) {
		wrong = archive_proof(a, index, to->note, &w);
		if (!wrong && !(put(b, p->hash[at], ".cfg", bytes_of(source, len)) && put(b, p->hash[at], ".json", record) &&
				put(b, p->hash[at], ".tlog-proof", writer_done(&w))))
			wrong = "a policy cannot be written: see the disk's space";
		p->written[at] = true;
	}
	free(source);
	return wrong;
}

const char *bundle_policies_write(struct bundle_policies *p, struct bundle *b, const char *dir, uint64_t end, struct bytes note)
{
	const struct archive_filter commits = { .type = "policy.commit", .to = end };
	struct writing to = { .policies = p, .bundle = b, .note = note };

	return p->count ? bundle_find(dir, &commits, write_one, &to) : NULL;
}
