/* Each block becomes bit masks, a bit a byte. Runs that cross from one block into the next are followed by what is left at its end. */
#include "dataplane/match/survey.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK 64

struct block {
	uint64_t digits, word, at_sign, star, percent, backslash, high, line_break;
};

#ifdef __SSE2__
static uint64_t bits(__m128i where)
{
	return (uint64_t)(unsigned)_mm_movemask_epi8(where);
}

static __m128i is(__m128i bytes, char c)
{
	return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c));
}

static __m128i in_range(__m128i bytes, uint8_t low, uint8_t span)
{
	__m128i moved = _mm_sub_epi8(bytes, _mm_set1_epi8((char)low));

	return _mm_cmpeq_epi8(_mm_min_epu8(moved, _mm_set1_epi8((char)span)), moved);
}

static inline void look(const uint8_t *at, unsigned shift, struct block *b)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
	__m128i digits = in_range(v, '0', 9), letters = in_range(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 25);
	__m128i signs = _mm_or_si128(_mm_or_si128(is(v, '+'), is(v, '/')), _mm_or_si128(is(v, '-'), is(v, '_')));

	b->digits |= bits(digits) << shift;
	b->word |= bits(_mm_or_si128(_mm_or_si128(digits, letters), signs)) << shift;
	b->at_sign |= bits(is(v, '@')) << shift;
	b->star |= bits(is(v, '*')) << shift;
	b->percent |= bits(is(v, '%')) << shift;
	b->backslash |= bits(is(v, '\\')) << shift;
	b->high |= bits(v) << shift;
	b->line_break |= bits(_mm_or_si128(is(v, '\n'), is(v, '\r'))) << shift;
}
#else
static inline void look(const uint8_t *at, unsigned shift, struct block *b)
{
	for (unsigned i = 0; i < 16; i++) {
		uint8_t c = at[i];
		bool digit = c >= '0' && c <= '9', letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

		b->digits |= (uint64_t)digit << (shift + i);
		b->word |= (uint64_t)(digit || letter || c == '+' || c == '/' || c == '-' || c == '_') << (shift + i);
		b->at_sign |= (uint64_t)(c == '@') << (shift + i);
		b->star |= (uint64_t)(c == '*') << (shift + i);
		b->percent |= (uint64_t)(c == '%') << (shift + i);
		b->backslash |= (uint64_t)(c == '\\') << (shift + i);
		b->high |= (uint64_t)(c >> 7) << (shift + i);
		b->line_break |= (uint64_t)(c == '\n' || c == '\r') << (shift + i);
	}
}
#endif

/* Whether 12, and 32, bits in a row are set. */
static size_t runs_in(uint64_t m)
{
	uint64_t four = m & m >> 1 & (m & m >> 1) >> 2, eight = four & four >> 4;

	if (!(eight & four >> 8))
		return 0;
	eight &= eight >> 8;
	return eight & eight >> 16 ? SURVEY_WORD_LONG : SURVEY_WORD;
}

static void take_word(struct survey *s, uint64_t word, size_t *before)
{
	size_t here = runs_in(word), joined;

	if (~word == 0) {
		*before += BLOCK;
		joined = *before;
	} else {
		joined = *before + (size_t)__builtin_ctzll(~word);
		*before = (size_t)__builtin_clzll(~word);
	}
	if (joined >= SURVEY_WORD && here < SURVEY_WORD_LONG)
		here = joined >= SURVEY_WORD_LONG ? SURVEY_WORD_LONG : SURVEY_WORD;
	s->word_max = here > s->word_max ? here : s->word_max;
}

struct survey survey(struct bytes text)
{
	struct survey s = { 0 };
	size_t before = 0; /* word bytes at the end of the block before */

	for (size_t at = 0; at < text.len; at += BLOCK) {
		size_t len = text.len - at < BLOCK ? text.len - at : BLOCK;
		const uint8_t *from = text.base + at;
		uint8_t tail[BLOCK];
		struct block b = { 0 };

		if (len < BLOCK) {
			size_t used = (len + 15) & ~(size_t)15;

			memset(tail + used - 16, 0, 16);
			memcpy(tail, from, len);
			from = tail;
		}
		for (size_t i = 0; i < len; i += 16)
			look(from + i, (unsigned)i, &b);
		s.digits += (size_t)__builtin_popcountll(b.digits);
		s.at_sign |= b.at_sign != 0;
		s.star |= b.star != 0;
		s.percent |= b.percent != 0;
		s.backslash |= b.backslash != 0;
		s.high |= b.high != 0;
		s.line_break |= b.line_break != 0;
		take_word(&s, b.word, &before);
	}
	return s;
}
