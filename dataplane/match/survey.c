/* Sixteen bytes at a time: whether there is any of a kind is kept as bytes and asked once at the end; only runs need a bit for each byte, and those
 * that cross from one block into the next are followed by what is left at its end. */
#include "dataplane/match/survey.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK 64

/* Whether 12, and 32, bits in a row are set. */
static size_t runs_in(uint64_t m)
{
	uint64_t two = m & m >> 1, four = two & two >> 2, eight = four & four >> 4;

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

#ifdef __SSE2__
struct kinds {
	__m128i digits; /* two sums of eight lanes each */
	__m128i at_sign, star, percent, backslash, high, line_break;
};

static inline __m128i is(__m128i bytes, char c)
{
	return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c));
}

static inline __m128i in_range(__m128i bytes, uint8_t low, uint8_t span)
{
	__m128i moved = _mm_sub_epi8(bytes, _mm_set1_epi8((char)low));

	return _mm_cmpeq_epi8(_mm_min_epu8(moved, _mm_set1_epi8((char)span)), moved);
}

/* The bits of what may be in a word; 0 when words are not wanted. */
static inline uint64_t look(__m128i v, struct kinds *k, bool words)
{
	__m128i digits = in_range(v, '0', 9), zero = _mm_setzero_si128(), letters, signs;

	k->digits = _mm_add_epi64(k->digits, _mm_sad_epu8(_mm_sub_epi8(zero, digits), zero));
	k->at_sign = _mm_or_si128(k->at_sign, is(v, '@'));
	k->high = _mm_or_si128(k->high, v);
	if (!words)
		return 0;
	k->star = _mm_or_si128(k->star, is(v, '*'));
	k->percent = _mm_or_si128(k->percent, is(v, '%'));
	k->backslash = _mm_or_si128(k->backslash, is(v, '\\'));
	letters = in_range(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 25);
	signs = _mm_or_si128(_mm_or_si128(is(v, '+'), is(v, '/')), _mm_or_si128(is(v, '-'), is(v, '_')));
	return (uint64_t)(unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(digits, letters), signs));
}

static inline __m128i load_part(const uint8_t *from, size_t len)
{
	uint8_t part[16] = { 0 };

	for (size_t i = 0; i < len; i++)
		part[i] = from[i];
	return _mm_loadu_si128((const __m128i *)(const void *)part);
}

static inline struct survey look_all(struct bytes text, bool words)
{
	struct kinds k = { 0 };
	struct survey s = { 0 };
	size_t before = 0; /* word bytes at the end of the block before */

	for (size_t at = 0; at < text.len;) {
		uint64_t word = 0;

		for (unsigned shift = 0; shift < BLOCK && at < text.len; shift += 16, at += 16) {
			__m128i v = text.len - at >= 16 ? _mm_loadu_si128((const __m128i *)(const void *)(text.base + at))
							: load_part(text.base + at, text.len - at);

			word |= look(v, &k, words) << shift;
		}
		if (words)
			take_word(&s, word, &before);
	}
	s.digits = (size_t)_mm_cvtsi128_si64(k.digits) + (size_t)_mm_cvtsi128_si64(_mm_srli_si128(k.digits, 8));
	s.at_sign = _mm_movemask_epi8(k.at_sign) != 0;
	s.high = _mm_movemask_epi8(k.high) != 0;
	s.star = _mm_movemask_epi8(k.star) != 0;
	s.percent = _mm_movemask_epi8(k.percent) != 0;
	s.backslash = _mm_movemask_epi8(k.backslash) != 0;
	return s;
}
#else
static struct survey look_all(struct bytes text, bool words)
{
	struct survey s = { 0 };
	size_t before = 0;

	for (size_t at = 0; at < text.len; at += BLOCK) {
		uint64_t word = 0;

		for (size_t i = 0; i < BLOCK && at + i < text.len; i++) {
			uint8_t c = text.base[at + i];
			bool digit = c >= '0' && c <= '9', letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

			word |= (uint64_t)(digit || letter || c == '+' || c == '/' || c == '-' || c == '_') << i;
			s.digits += digit;
			s.at_sign |= c == '@';
			s.high |= c >> 7;
			s.star |= c == '*';
			s.percent |= c == '%';
			s.backslash |= c == '\\';
		}
		take_word(&s, word, &before);
	}
	return s;
}
#endif

struct survey survey(struct bytes text)
{
	return look_all(text, true);
}

struct survey survey_values(struct bytes text)
{
	return look_all(text, false);
}
