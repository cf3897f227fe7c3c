/* Tags of all sets lie together and small, so that a miss, which every first look-up of a text with a new literal is, costs one line
 * and not one of each slot.
 * Sets of four slots; the set is chosen by the key, which is a keyed hash, so nobody can crowd a set on purpose. A slot keeps
 * the bytes, the opened classification with its views into them, and one verdict with the hash of what it rests on. */
#include "dataplane/verdict/cache.h"

#include "platform/contract/policy_image.h"

#define WAYS 4
#define NAMES_MAX (2 * LIMIT_NAME_BYTES)
#define BASIS_BYTES (sizeof(struct group_bits) + sizeof(struct pattern_bits) + NAMES_MAX + 128)
#define BASIS_MEMOS 16u

struct slot {
	struct hash128 key;
	uint64_t used; /* 0: empty */
	uint32_t len;
	bool has_verdict;
	struct hash128 basis;
	struct classification opened;
	struct verdict verdict;
	_Alignas(64) uint8_t bytes[CACHE_SLOT_BYTES];
};

/* The last texts that were hashed to a verdict's basis: a session's is the same with every command. */
struct basis_memo {
	size_t len; /* 0: empty */
	struct hash128 hash;
	uint8_t text[BASIS_BYTES];
};

struct cache {
	struct hash_key hash_key;
	uint64_t tick;
	unsigned sets;
	struct cache_counts counts;
	struct basis_memo memo[BASIS_MEMOS];
	uint32_t *tag; /* of each slot: a part of its key, 0 when it is empty; behind the slots */
	_Alignas(64) struct slot slots[];
};

size_t cache_bytes(unsigned slots)
{
	return sizeof(struct cache) + (size_t)slots * (sizeof(struct slot) + sizeof(uint32_t));
}

struct cache *cache_init(void *memory, unsigned slots, struct hash_key key)
{
	struct cache *c = memory;

	if (slots < WAYS || (slots & (slots - 1)))
		return NULL;
	memset(memory, 0, cache_bytes(slots));
	c->hash_key = key;
	c->sets = slots / WAYS;
	c->tag = (uint32_t *)(c->slots + slots);
	return c;
}

static size_t set_of(const struct cache *c, struct hash128 key)
{
	return (size_t)(key.lo & (c->sets - 1)) * WAYS;
}

static uint32_t tag_of(struct hash128 key)
{
	return (uint32_t)(key.hi >> 32) | 1;
}

static struct slot *find(struct cache *c, struct hash128 key)
{
	size_t first = set_of(c, key);

	for (size_t i = first; i < first + WAYS; i++) {
		struct slot *s = &c->slots[i];

		if (c->tag[i] == tag_of(key) && s->used && s->key.hi == key.hi && s->key.lo == key.lo)
			return s;
	}
	return NULL;
}

bool cache_find(struct cache *c, struct hash128 key, bool generic, struct classification *out, struct bytes *encoded)
{
	struct slot *s = find(c, key);

	*out = (struct classification){ 0 };
	*encoded = (struct bytes){ 0 };
	if (!s || (generic && !s->opened.generic)) {
		c->counts.misses++;
		return false;
	}
	s->used = ++c->tick;
	*out = s->opened;
	*encoded = bytes_of(s->bytes, s->len);
	c->counts.hits++;
	return true;
}

bool cache_put(struct cache *c, struct hash128 key, struct bytes encoded)
{
	struct slot *set = c->slots + set_of(c, key), *s = find(c, key);

	if (encoded.len > CACHE_SLOT_BYTES) {
		c->counts.too_large++;
		return false;
	}
	if (!s) {
		s = set;
		for (unsigned i = 1; i < WAYS; i++)
			if (set[i].used < s->used)
				s = &set[i];
		c->counts.evicted += s->used != 0;
	}
	s->used = c->tag[s - c->slots] = 0;
	s->has_verdict = false;
	if (encoded.len)
		memmove(s->bytes, encoded.base, encoded.len);
	s->len = (uint32_t)encoded.len;
	if (!classification_open(bytes_of(s->bytes, s->len), &s->opened))
		return false;
	s->key = key;
	s->used = ++c->tick;
	c->tag[s - c->slots] = tag_of(key);
	return true;
}

/* The hash of a basis; the memo is chosen by the session's groups. */
static struct hash128 basis_hash(struct cache *c, const struct group_bits *groups, struct bytes text)
{
	uint64_t mixed = text.len;
	struct basis_memo *m;

	for (size_t i = 0; i < sizeof groups->w / sizeof groups->w[0]; i++)
		mixed = (mixed ^ groups->w[i]) * 0x9e3779b97f4a7c15ULL;
	m = &c->memo[mixed >> 60];
	if (m->len == text.len && !memcmp(m->text, text.base, text.len))
		return m->hash;
	m->len = text.len;
	memcpy(m->text, text.base, text.len);
	m->hash = hash128(c->hash_key, text.base, text.len);
	return m->hash;
}

/* All that verdict_evaluate reads beside the classification. False: not to be remembered. */
static bool basis_of(struct cache *c, const struct policy_image *image, const struct verdict_request *r, struct hash128 *out)
{
	uint8_t text[BASIS_BYTES];
	struct writer w = writer_of(text, sizeof text);

	writer_be64(&w, (uintptr_t)image);
	writer_be64(&w, image->generation);
	writer_be64(&w, image->checksum);
	writer_be32(&w, r->service);
	writer_be32(&w, r->flags);
	writer_u8(&w, r->in_transaction);
	writer_u8(&w, r->schema_unknown);
	writer_u8(&w, r->tagged != NULL);
	writer_be64(&w, r->tagged_version);
	writer_bytes(&w, &r->groups, sizeof r->groups);
	if (image->pattern_count)
		writer_bytes(&w, &r->patterns, sizeof r->patterns);
	if (image->depends & IMAGE_DEPENDS_TIME)
		writer_be64(&w, r->now_s ? r->now_s / 60 : UINT64_MAX);
	if (image->depends & IMAGE_DEPENDS_SOURCE) {
		writer_u8(&w, r->family);
		writer_bytes(&w, r->source, sizeof r->source);
	}
	writer_be32(&w, (uint32_t)r->database.len);
	writer_put(&w, r->database);
	writer_put(&w, r->default_schema);
	if (!w.ok)
		return false;
	*out = basis_hash(c, &r->groups, writer_done(&w));
	return true;
}

void cache_verdict(struct cache *c, struct hash128 key, const struct policy_image *image, const struct verdict_request *request,
		   struct verdict *out)
{
	struct slot *s = find(c, key);
	struct hash128 basis;

	if (!s || !basis_of(c, image, request, &basis)) {
		verdict_evaluate(image, request, out);
		return;
	}
	if (s->has_verdict && s->basis.hi == basis.hi && s->basis.lo == basis.lo) {
		c->counts.verdict_hits++;
		*out = s->verdict;
		return;
	}
	c->counts.verdict_misses++;
	verdict_evaluate(image, request, out);
	s->verdict = *out;
	s->basis = basis;
	s->has_verdict = true;
}

struct cache_counts cache_counts(const struct cache *c)
{
	return c->counts;
}
