/* SipHash-2-4 after the paper by Aumasson and Bernstein (2012), section 2; 128-bit variant as in its reference. */
#include "platform/base/hash.h"

#include <stdbool.h>
#include <string.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	sip_round(s);
	s->v0 ^= m;
}

static inline uint64_t sip_finish(struct sip *s, uint8_t mark)
{
	s->v2 ^= mark;
	for (int i = 0; i < 4; i++)
		sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static struct sip sip_absorb(struct hash_key key, const uint8_t *p, size_t len, bool wide)
{
	struct sip s = {
		.v0 = key.k0 ^ 0x736f6d6570736575ULL,
		.v1 = key.k1 ^ 0x646f72616e646f6dULL ^ (wide ? 0xee : 0),
		.v2 = key.k0 ^ 0x6c7967656e657261ULL,
		.v3 = key.k1 ^ 0x7465646279746573ULL,
	};
	uint64_t last = (uint64_t)len << 56;
	size_t whole = len & ~(size_t)7;
	uint64_t m;

	for (size_t i = 0; i < whole; i += 8) {
		memcpy(&m, p + i, 8);
		sip_word(&s, m);
	}
	for (size_t i = whole; i < len; i++)
		last |= (uint64_t)p[i] << (8 * (i - whole));
	sip_word(&s, last);
	return s;
}

uint64_t hash64(struct hash_key key, const void *data, size_t len)
{
	struct sip s = sip_absorb(key, data, len, false);

	return sip_finish(&s, 0xff);
}

struct hash128 hash128(struct hash_key key, const void *data, size_t len)
{
	struct sip s = sip_absorb(key, data, len, true);
	struct hash128 out;

	out.lo = sip_finish(&s, 0xee);
	s.v1 ^= 0xdd;
	out.hi = sip_finish(&s, 0);
	return out;
}
