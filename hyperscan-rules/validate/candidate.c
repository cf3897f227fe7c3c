/* Backward scanning. Invariants: never reads outside `text`; at most span_max bytes back; a candidate's neighbours are no letters or
 * digits (a 16-digit card inside 17 digits is none), and a bare number is not cut out of a dotted or dashed longer one. */
#include "hyperscan-rules/validate/candidate.h"

#include <string.h>

#include "hyperscan-rules/validate/digit.h"

static bool is_one_of(uint8_t c, const char *set)
{
	for (; *set; set++)
		if ((uint8_t)*set == c)
			return true;
	return false;
}

#define A(name) (1u << ALPHABET_##name)
#define ALL (A(PRINT) | A(PEM))
#define VISIBLE (ALL | A(URL))
#define WORDS (VISIBLE | A(ALNUM) | A(HETU) | A(WORD) | A(JWT) | A(EMAIL))

/* Bit n of a byte's entry: it belongs to alphabet n. */
static const uint16_t ALPHABETS[256] = {
	[1 ... ' '] = ALL, [0x7f] = ALL, ['"'] = ALL, ['\''] = ALL | A(EMAIL), ['<'] = ALL, ['>'] = ALL, ['`'] = ALL,
	['0' ... '9'] = WORDS | A(DIGITS) | A(PHONE) | A(HEX) | A(IPV4) | A(IPV6),
	['A' ... 'F'] = WORDS | A(HEX) | A(IPV6), ['G' ... 'Z'] = WORDS,
	['a' ... 'f'] = WORDS | A(HEX) | A(IPV6), ['g' ... 'z'] = WORDS,
	['_'] = VISIBLE | A(WORD) | A(JWT) | A(EMAIL), ['-'] = VISIBLE | A(HETU) | A(WORD) | A(JWT) | A(EMAIL),
	['+'] = VISIBLE | A(HETU) | A(EMAIL), ['.'] = VISIBLE | A(JWT) | A(EMAIL) | A(IPV4) | A(IPV6), [':'] = VISIBLE | A(IPV6),
	['@'] = VISIBLE | A(EMAIL), ['%'] = VISIBLE | A(EMAIL), ['!'] = VISIBLE | A(EMAIL), ['#'] = VISIBLE | A(EMAIL),
	['$'] = VISIBLE | A(EMAIL), ['^'] = VISIBLE | A(EMAIL), ['~'] = VISIBLE | A(EMAIL),
	['&'] = VISIBLE, ['('] = VISIBLE, [')'] = VISIBLE, ['*'] = VISIBLE, [','] = VISIBLE, ['/'] = VISIBLE, [';'] = VISIBLE, ['='] = VISIBLE,
	['?'] = VISIBLE, ['['] = VISIBLE, ['\\'] = VISIBLE, [']'] = VISIBLE, ['{'] = VISIBLE, ['|'] = VISIBLE, ['}'] = VISIBLE,
	[0x80 ... 0xff] = VISIBLE | A(EMAIL),
};

_Static_assert(ALPHABET_COUNT <= 16, "an entry holds a bit for each alphabet");

bool candidate_in_alphabet(unsigned alphabet, uint8_t c)
{
	return ALPHABETS[c] >> (alphabet & 15) & 1;
}

/* The byte before `at` and the one before that, 0 where the text begins. */
static uint8_t before(struct bytes text, size_t at, size_t back)
{
	return at >= back ? text.base[at - back] : 0;
}

static uint8_t after(struct bytes text, size_t at)
{
	return at < text.len ? text.base[at] : 0;
}

/* No letter or digit next to the number, and no ".5", "-5" or (hex octets) ":5e" that makes it part of a longer one. */
static bool joins(const struct class *class, uint8_t separator, uint8_t beyond)
{
	if (class->alphabet == ALPHABET_HEX)
		return is_one_of(separator, class->separators) && is_alnum(beyond);
	return (separator == '.' || separator == '-') && is_digit(beyond);
}

static bool left_is_free(const struct class *class, struct bytes text, size_t start)
{
	uint8_t c = before(text, start, 1);

	return !is_alnum(c) && !joins(class, c, before(text, start, 2));
}

static bool right_is_free(const struct class *class, struct bytes text, size_t end)
{
	uint8_t c = after(text, end);

	return !is_alnum(c) && !joins(class, c, after(text, end + 1));
}

/* Whether the lengths of the groups between separators are those of `grouping`; 255 after a length repeats it. */
static bool grouping_fits(const uint8_t *grouping, const uint8_t *groups, size_t count)
{
	size_t g = 0;

	for (size_t i = 0; i < count; i++) {
		if (grouping[g] == 0)
			return false;
		if (grouping[g + 1] == 255) {
			if (groups[i] != grouping[g] && !(i + 1 == count && groups[i] < grouping[g]))
				return false;
			continue;
		}
		if (groups[i] != grouping[g])
			return false;
		g++;
	}
	return grouping[g] == 0 || grouping[g + 1] == 255;
}

/* The groups of [start, end); false when more than the table holds, or when separators are mixed. */
static bool split_groups(const struct class *class, struct bytes text, const struct candidate *found, uint8_t *groups, size_t cap, size_t *count)
{
	uint8_t separator = 0;
	bool same = true;

	*count = 0;
	for (size_t i = found->start, run = 0; i <= found->end; i++) {
		uint8_t c = i < found->end ? text.base[i] : 0;

		if (i < found->end && (candidate_in_alphabet(class->alphabet, c) || c == '+')) {
			run += c != '+';
			continue;
		}
		if (i < found->end) {
			same = same && (separator == 0 || separator == c);
			separator = c;
		}
		if (run && *count == cap)
			return false;
		if (run)
			groups[(*count)++] = (uint8_t)run;
		run = 0;
	}
	return same || class->alphabet == ALPHABET_PHONE;
}

static bool grouping_is_right(const struct class *class, struct bytes text, struct candidate *found)
{
	uint8_t groups[16];
	size_t count;

	found->separated = class->alphabet == ALPHABET_PHONE && text.base[found->start] == '+';
	if (!split_groups(class, text, found, groups, sizeof groups, &count))
		return false;
	if (count == 1)
		return true;
	for (size_t i = 0; i < CLASS_GROUPINGS && class->groupings[i][0]; i++)
		if (grouping_fits(class->groupings[i], groups, count)) {
			found->separated = true;
			return true;
		}
	return class->alphabet == ALPHABET_PHONE || class->groupings[0][0] == 0;
}

static bool packed_find(const struct class *class, struct bytes text, size_t end, struct candidate *out, uint64_t *work)
{
	uint8_t packed[CLASS_PACKED_MAX];
	size_t starts[CLASS_PACKED_MAX + 1], count = 0, at = end;
	size_t gap_max = class->alphabet == ALPHABET_PHONE ? 2 : 1, gap = 0;

	if (!right_is_free(class, text, end))
		return false;
	while (at > 0 && count < class->length_max && end - at < class->span_max) {
		uint8_t c = text.base[at - 1];
		bool plus = class->alphabet == ALPHABET_PHONE && c == '+' && count > 0 && gap == 0;

		if (candidate_in_alphabet(class->alphabet, c) || plus) {
			at--;
			gap = 0;
			packed[sizeof packed - ++count] = class->case_fold && is_lower(c) ? c & 0xdf : c;
			starts[count] = at;
			if (plus)
				break;
			continue;
		}
		if (count == 0 || gap == gap_max || !is_one_of(c, class->separators))
			break;
		gap++;
		at--;
	}
	*work += 8 + (end - at);
	for (; count >= class->length_min && count > 0; count--) {
		struct bytes value = bytes_of(packed + sizeof packed - count, count);
		struct candidate found = { .start = starts[count], .end = end };

		(*work)++;
		if (!left_is_free(class, text, found.start) || validate_is_masked(value))
			continue;
		if (!validate(class->validator, value) || !grouping_is_right(class, text, &found))
			continue;
		*out = found;
		return true;
	}
	return false;
}

/* A run ends where its alphabet ends; a full stop or colon that ends a sentence does not count. */
static bool run_ends(const struct class *class, struct bytes text, size_t end)
{
	uint8_t c = after(text, end);

	if (class->alphabet >= ALPHABET_URL || end >= text.len)
		return true;
	if (class->alphabet == ALPHABET_EMAIL)
		return !is_alnum(c) && !((c == '.' || c == '-') && is_alnum(after(text, end + 1)));
	if ((c == '.' || c == ':') && candidate_in_alphabet(class->alphabet, c))
		return !candidate_in_alphabet(class->alphabet, after(text, end + 1));
	if (class->alphabet == ALPHABET_IPV4 || class->alphabet == ALPHABET_IPV6)
		return !is_alnum(c) && c != '_';
	return !candidate_in_alphabet(class->alphabet, c);
}

static size_t run_begins(const struct class *class, struct bytes text, size_t end)
{
	size_t at = end, signs = 0;

	while (at > 0 && end - at < class->span_max && candidate_in_alphabet(class->alphabet, text.base[at - 1])) {
		if (class->alphabet == ALPHABET_EMAIL && text.base[at - 1] == '@' && ++signs == 2)
			break;
		at--;
	}
	/* Quotes and dots in front of an address belong to the text around it. */
	while (class->alphabet == ALPHABET_EMAIL && at < end && is_one_of(text.base[at], "'.-%!#$^~"))
		at++;
	return at;
}

static bool lead_at(const struct class *class, struct bytes text, size_t at, size_t end)
{
	for (size_t i = 0; i < CLASS_LEADS && class->leads[i][0]; i++) {
		size_t len = strlen(class->leads[i]);

		if (len > end - at || memcmp(text.base + at, class->leads[i], len) != 0)
			continue;
		return !is_alnum(text.base[at]) || !(is_alnum(before(text, at, 1)) || before(text, at, 1) == '_');
	}
	return false;
}

/* To the end of "-----END ... PRIVATE KEY-----", or of the text when the key was cut off. */
static size_t pem_end(struct bytes text, size_t end)
{
	static const char END[] = "-----END ";
	size_t far = text.len - end > CLASS_SPAN_MAX ? end + CLASS_SPAN_MAX : text.len;
	const uint8_t *mark, *close;

	if (end >= 5 && memcmp(text.base + end - 5, "-----", 5) == 0)
		return end;
	mark = memmem(text.base + end, far - end, END, sizeof END - 1);
	if (!mark)
		return far;
	mark += sizeof END - 1;
	close = memmem(mark, (size_t)(text.base + far - mark), "-----", 5);
	return close ? (size_t)(close + 5 - text.base) : far;
}

static bool run_proved(const struct class *class, struct bytes text, size_t start, size_t end)
{
	size_t len = end - start;

	return len >= class->length_min && len <= class->length_max && validate(class->validator, bytes_of(text.base + start, len));
}

static bool run_find(const struct class *class, struct bytes text, size_t end, struct candidate *out, uint64_t *work)
{
	bool nearest = class->alphabet >= ALPHABET_URL, found = false;
	size_t begin, start;

	if (!run_ends(class, text, end))
		return false;
	begin = run_begins(class, text, end);
	*work += 16 + (end - begin);
	if (class->leads[0][0] == 0) {
		start = begin;
		found = !is_alnum(before(text, start, 1)) && run_proved(class, text, start, end);
	}
	for (size_t i = begin; class->leads[0][0] && i < end && !found; i++) {
		start = nearest ? end - 1 - (i - begin) : i;
		found = lead_at(class, text, start, end) && run_proved(class, text, start, end);
	}
	if (!found)
		return false;
	*out = (struct candidate){ .start = start, .end = class->alphabet == ALPHABET_PEM ? pem_end(text, end) : end, .separated = true };
	return true;
}

bool candidate_find(const struct class *class, struct bytes text, size_t end, struct candidate *out, uint64_t *work)
{
	*out = (struct candidate){ 0 };
	if (end == 0 || end > text.len)
		return false;
	(*work)++;
	switch (class->shape) {
	case SHAPE_PACKED:
		return packed_find(class, text, end, out, work);
	case SHAPE_RUN:
		return run_find(class, text, end, out, work);
	default:
		return false;
	}
}
