/* The scanner for numbers. */
#include "hyperscan-rules/validate/packed.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "hyperscan-rules/validate/digit.h"

bool packed_is(const struct class *class)
{
	return class->shape == SHAPE_PACKED && class->alphabet != ALPHABET_HEX;
}

void packed_index_add(struct packed_index *index, unsigned id, const struct class *class)
{
	/* The sign inside a HETU and the plus of a phone number count as characters of the value, but are in no run. */
	unsigned spare = class->alphabet == ALPHABET_HETU || class->alphabet == ALPHABET_PHONE;

	for (unsigned len = class->length_min > spare ? class->length_min - spare : 1; len <= class->length_max; len++)
		index->by_length[len][id / 64] |= 1ULL << (id % 64);
	for (unsigned digits = class->digits_min; digits <= CLASS_PACKED_MAX; digits++)
		index->by_digits[digits][id / 64] |= 1ULL << (id % 64);
	if (class->alphabet == ALPHABET_DIGITS || class->alphabet == ALPHABET_PHONE)
		index->digits_only[id / 64] |= 1ULL << (id % 64);
}

struct masks {
	uint64_t digits, letters, separators; /* bit i: byte i of 64 */
};

#ifdef __SSE2__
static uint64_t in_range(__m128i bytes, uint8_t low, uint8_t span)
{
	__m128i moved = _mm_sub_epi8(bytes, _mm_set1_epi8((char)low));

	return (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(moved, _mm_set1_epi8((char)span)), moved));
}

static struct masks masks_of(const uint8_t *at)
{
	struct masks m = { 0 };

	for (unsigned i = 0; i < 4; i++) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * i));

		m.digits |= in_range(bytes, '0', 9) << 16 * i;
		m.letters |= in_range(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 25) << 16 * i;
		m.separators |= (in_range(bytes, '-', 2) | in_range(bytes, ' ', 0)) << 16 * i;
	}
	return m;
}
#else
static struct masks masks_of(const uint8_t *at)
{
	struct masks m = { 0 };

	for (unsigned i = 0; i < 64; i++) {
		m.digits |= (uint64_t)is_digit(at[i]) << i;
		m.letters |= (uint64_t)(is_upper(at[i]) || is_lower(at[i])) << i;
		m.separators |= (uint64_t)(at[i] == ' ' || (at[i] >= '-' && at[i] <= '/')) << i;
	}
	return m;
}
#endif

/* dddd, d s d{1,4} s d, d d l d d: the shortest traces of any packed class. */
static bool is_trace(struct masks m)
{
	uint64_t d = m.digits, head = d & m.separators >> 1 & d >> 2, found;

	if (!d)
		return false;
	found = d & d >> 1 & d >> 2 & d >> 3;
	found |= d & d >> 1 & m.letters >> 2 & d >> 3 & d >> 4;
	found |= head & m.separators >> 3 & d >> 4;
	head &= d >> 3;
	found |= head & m.separators >> 4 & d >> 5;
	head &= d >> 4;
	found |= head & m.separators >> 5 & d >> 6;
	return found != 0; /* four digits between separators are dddd already */
}

bool packed_possible(struct bytes text)
{
	uint8_t tail[64] = { 0 };
	size_t at = 0;

	/* Windows of 64 overlap by 8, more than the longest trace. */
	for (; at + 64 <= text.len; at += 56)
		if (is_trace(masks_of(text.base + at)))
			return true;
	if (at < text.len)
		memcpy(tail, text.base + at, text.len - at);
	return is_trace(masks_of(tail));
}

static bool is_separator(uint8_t c)
{
	return c == ' ' || (c >= '-' && c <= '/') || c == '(' || c == ')';
}

/* The last runs that belong together, newest last. */
struct chain {
	unsigned len[PACKED_RUNS], digits[PACKED_RUNS];
	unsigned count;
};

static void chain_push(struct chain *c, size_t len, size_t digits)
{
	if (c->count == PACKED_RUNS) {
		memmove(c->len, c->len + 1, sizeof c->len - sizeof c->len[0]);
		memmove(c->digits, c->digits + 1, sizeof c->digits - sizeof c->digits[0]);
		c->count--;
	}
	c->len[c->count] = len > CLASS_PACKED_MAX ? CLASS_PACKED_MAX + 1 : (unsigned)len;
	c->digits[c->count++] = digits > CLASS_PACKED_MAX ? CLASS_PACKED_MAX + 1 : (unsigned)digits;
}

/* The classes whose length and digits fit a number of runs back from the newest. */
static void chain_fits(const struct chain *c, const struct packed_index *index, uint64_t fits[LIMIT_CLASSES / 64])
{
	unsigned len = 0, digits = 0;

	for (unsigned i = c->count; i > 0; i--) {
		len += c->len[i - 1];
		digits += c->digits[i - 1];
		if (len > CLASS_PACKED_MAX)
			return;
		for (unsigned w = 0; w < LIMIT_CLASSES / 64; w++)
			fits[w] |= index->by_length[len][w] & index->by_digits[digits][w] & (len == digits ? ~0ULL : ~index->digits_only[w]);
	}
}

static bool tell_all(const uint64_t fits[LIMIT_CLASSES / 64], const uint64_t wanted[LIMIT_CLASSES / 64], size_t end, packed_end *tell, void *ctx)
{
	for (unsigned w = 0; w < LIMIT_CLASSES / 64; w++)
		for (uint64_t left = fits[w] & wanted[w]; left; left &= left - 1)
			if (!tell(ctx, w * 64 + (unsigned)__builtin_ctzll(left), end))
				return false;
	return true;
}

void packed_scan(const struct packed_index *index, const uint64_t wanted[LIMIT_CLASSES / 64], struct bytes text, packed_end *tell, void *ctx)
{
	struct chain chain = { .count = 0 };
	size_t i = 0, gap = 0;

	while (i < text.len) {
		uint64_t fits[LIMIT_CLASSES / 64] = { 0 };
		size_t start = i, digits = 0;

		if (!is_alnum(text.base[i])) {
			gap = is_separator(text.base[i]) ? gap + 1 : 3;
			i++;
			continue;
		}
		while (i < text.len && is_alnum(text.base[i]))
			digits += is_digit(text.base[i++]);
		if (gap > 2)
			chain.count = 0;
		gap = 0;
		chain_push(&chain, i - start, digits);
		/* A run of letters can only be the last of a group of four, or a check letter. */
		if (digits == 0 && i - start > 4)
			continue;
		chain_fits(&chain, index, fits);
		if (!tell_all(fits, wanted, i, tell, ctx))
			return;
	}
}
