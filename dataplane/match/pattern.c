/* One block-mode database for all patterns of a policy. Text may be anything, so it is scanned as bytes: Hyperscan's UTF-8 mode is
 * undefined for invalid UTF-8. Blob, big endian: u32 magic, u32 number of patterns, u64 SipHash of the rest (against damage, not
 * against an enemy), then Hyperscan's serialized form, which carries its own version and processor. */
#include "dataplane/match/pattern.h"

#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/hash.h"
#include "platform/base/limits.h"

#define MAGIC 0x53504154u /* "SPAT" */
#define HEADER 16
#define PATTERN_BYTES_MAX 1024

struct match_patterns {
	hs_database_t *db;
	hs_scratch_t *scratch;
	unsigned count;
};

static uint64_t checksum_of(struct bytes body)
{
	return hash64((struct hash_key){ MAGIC, HEADER }, body.base, body.len);
}

static hs_database_t *compile(const char *const *patterns, unsigned count, unsigned *bad, char *err, size_t err_len)
{
	unsigned flags[LIMIT_PATTERNS], ids[LIMIT_PATTERNS];
	hs_compile_error_t *why = NULL;
	hs_database_t *db = NULL;

	for (unsigned i = 0; i < count; i++) {
		flags[i] = HS_FLAG_CASELESS | HS_FLAG_SINGLEMATCH | HS_FLAG_DOTALL;
		ids[i] = i;
		if (strlen(patterns[i]) > PATTERN_BYTES_MAX) {
			snprintf(err, err_len, "longer than %d bytes", PATTERN_BYTES_MAX);
			*bad = i;
			return NULL;
		}
	}
	if (hs_compile_multi(patterns, flags, ids, count, HS_MODE_BLOCK, NULL, &db, &why) == HS_SUCCESS)
		return db;
	if (why) {
		*bad = why->expression >= 0 ? (unsigned)why->expression : count;
		snprintf(err, err_len, "%s", why->message);
		hs_free_compile_error(why);
	}
	return NULL;
}

uint8_t *match_patterns_compile(const char *const *patterns, unsigned count, size_t *len, unsigned *bad, char *err, size_t err_len)
{
	hs_database_t *db;
	char *body = NULL;
	uint8_t *blob = NULL;
	size_t body_len = 0;

	*len = 0;
	*bad = count;
	snprintf(err, err_len, "cannot be compiled");
	if (count == 0 || count > LIMIT_PATTERNS)
		return NULL;
	db = compile(patterns, count, bad, err, err_len);
	if (!db)
		return NULL;
	if (hs_serialize_database(db, &body, &body_len) == HS_SUCCESS && body_len < LIMIT_POLICY_IMAGE_BYTES)
		blob = malloc(HEADER + body_len);
	if (blob) {
		struct writer w = writer_of(blob, HEADER + body_len);

		writer_be32(&w, MAGIC);
		writer_be32(&w, count);
		writer_be64(&w, checksum_of(bytes_of(body, body_len)));
		writer_bytes(&w, body, body_len);
		*len = w.len;
	}
	free(body);
	hs_free_database(db);
	return blob;
}

struct match_patterns *match_patterns_load(const void *blob, size_t len, unsigned count, char *err, size_t err_len)
{
	struct reader r = reader_of(blob, len);
	bool header = reader_be32(&r) == MAGIC && reader_be32(&r) == count && count > 0 && count <= LIMIT_PATTERNS;
	uint64_t checksum = reader_be64(&r);
	struct bytes body = reader_rest(&r);
	struct match_patterns *set;

	header = header && r.ok && checksum_of(body) == checksum;
	set = header ? calloc(1, sizeof *set) : NULL;
	snprintf(err, err_len, "%s", header ? "memory is short" : "damaged, or no pattern database for this policy");
	if (!set)
		return NULL;
	set->count = count;
	if (hs_deserialize_database((const char *)body.base, body.len, &set->db) != HS_SUCCESS)
		snprintf(err, err_len, "the pattern database is for another processor or Hyperscan");
	else if (hs_alloc_scratch(set->db, &set->scratch) == HS_SUCCESS)
		return set;
	match_patterns_free(set);
	return NULL;
}

void match_patterns_free(struct match_patterns *set)
{
	if (!set)
		return;
	hs_free_scratch(set->scratch);
	hs_free_database(set->db);
	free(set);
}

struct hits {
	uint64_t *bits;
	unsigned count;
};

static int on_hit(unsigned int id, unsigned long long from, unsigned long long to, unsigned int flags, void *context)
{
	struct hits *h = context;

	if (id < h->count)
		h->bits[id / 64] |= 1ULL << (id % 64);
	return 0;
}

bool match_patterns_scan(struct match_patterns *set, struct bytes text, uint64_t *hits)
{
	struct hits h = { .bits = hits, .count = set->count };

	if (text.len == 0)
		return true;
	if (text.len <= UINT32_MAX && hs_scan(set->db, (const char *)text.base, (unsigned)text.len, 0, set->scratch, on_hit, &h) == HS_SUCCESS)
		return true;
	memset(hits, 0xff, LIMIT_PATTERNS / 8);
	return false;
}
