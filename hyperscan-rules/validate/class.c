/* The wire form of a class, and the folding of names. */
#include "hyperscan-rules/validate/class.h"

#include <string.h>

#include "hyperscan-rules/validate/digit.h"

void class_encode(const struct class *c, struct writer *out)
{
	writer_bytes(out, c->name, sizeof c->name);
	writer_bytes(out, c->alias, sizeof c->alias);
	writer_bytes(out, c->unions, sizeof c->unions);
	writer_u8(out, c->validator);
	writer_u8(out, c->shape);
	writer_u8(out, c->alphabet);
	writer_u8(out, c->alone);
	writer_u8(out, c->form);
	writer_u8(out, c->mask_kind);
	writer_u8(out, c->priority);
	writer_u8(out, c->case_fold);
	writer_u8(out, c->digits_min);
	writer_be16(out, c->length_min);
	writer_be16(out, c->length_max);
	writer_be16(out, c->span_max);
	writer_bytes(out, c->separators, sizeof c->separators);
	writer_bytes(out, c->groupings, sizeof c->groupings);
	writer_bytes(out, c->leads, sizeof c->leads);
	writer_be16(out, c->words_count);
	for (size_t i = 0; i < c->words_count; i++) {
		writer_bytes(out, c->words[i].text, sizeof c->words[i].text);
		writer_u8(out, c->words[i].strength);
	}
}

/* A NUL-terminated text in a field of fixed size. */
static void read_text(struct reader *in, char *out, size_t size)
{
	struct bytes b = reader_bytes(in, size);

	if (b.len == size)
		memcpy(out, b.base, size);
	if (b.len == size && b.base[size - 1] != 0)
		in->ok = false;
}

static uint8_t read_below(struct reader *in, unsigned bound)
{
	uint8_t value = reader_u8(in);

	if (value >= bound)
		in->ok = false;
	return value;
}

static bool lengths_are_sane(const struct class *c)
{
	if (c->shape == SHAPE_NAME)
		return true;
	if (c->length_min < 1 || c->length_min > c->length_max || c->span_max < c->length_max || c->span_max > CLASS_SPAN_MAX)
		return false;
	return c->shape == SHAPE_RUN || c->length_max <= CLASS_PACKED_MAX;
}

bool class_decode(struct reader *in, struct class *c)
{
	memset(c, 0, sizeof *c);
	read_text(in, c->name, sizeof c->name);
	for (size_t i = 0; i < CLASS_ALIASES; i++)
		read_text(in, c->alias[i], sizeof c->alias[i]);
	for (size_t i = 0; i < CLASS_ALIASES; i++)
		read_text(in, c->unions[i], sizeof c->unions[i]);
	c->validator = read_below(in, VALIDATOR_count);
	c->shape = read_below(in, SHAPE_COUNT);
	c->alphabet = read_below(in, ALPHABET_COUNT);
	c->alone = read_below(in, ALONE_COUNT);
	c->form = read_below(in, FORM_COUNT);
	c->mask_kind = read_below(in, 16);
	c->priority = reader_u8(in);
	c->case_fold = read_below(in, 2);
	c->digits_min = reader_u8(in);
	c->length_min = reader_be16(in);
	c->length_max = reader_be16(in);
	c->span_max = reader_be16(in);
	read_text(in, c->separators, sizeof c->separators);
	for (size_t i = 0; i < CLASS_GROUPINGS; i++)
		read_text(in, (char *)c->groupings[i], sizeof c->groupings[i]);
	for (size_t i = 0; i < CLASS_LEADS; i++)
		read_text(in, c->leads[i], sizeof c->leads[i]);
	c->words_count = reader_be16(in);
	if (c->words_count > CLASS_WORDS)
		in->ok = false;
	for (size_t i = 0; in->ok && i < c->words_count; i++) {
		read_text(in, c->words[i].text, sizeof c->words[i].text);
		c->words[i].strength = read_below(in, WORD_COUNT);
	}
	if (!in->ok || c->name[0] == 0 || !lengths_are_sane(c)) {
		memset(c, 0, sizeof *c);
		in->ok = false;
	}
	return in->ok;
}

/* U+00C0 to U+00FF without their accents; '-' keeps the bytes. */
static const char LATIN[64 + 1] = "aaaaaaaceeeeiiiidnooooo-ouuuuytsaaaaaaaceeeeiiiidnooooo-ouuuuyty";

enum kind { KIND_OTHER, KIND_LOWER, KIND_UPPER, KIND_DIGIT, KIND_HIGH };

static enum kind kind_of(uint8_t c)
{
	if (is_lower(c))
		return KIND_LOWER;
	if (is_upper(c))
		return KIND_UPPER;
	if (is_digit(c))
		return KIND_DIGIT;
	return c >= 0x80 ? KIND_HIGH : KIND_OTHER;
}

/* Whether a new token begins at `i`: after a separator, at a digit after a letter and back, at a hump of camelCase, and at the
 * last capital of an acronym (SSNNumber: ssn, number). */
static bool token_begins(struct bytes name, size_t i)
{
	enum kind before = i > 0 ? kind_of(name.base[i - 1]) : KIND_OTHER, now = kind_of(name.base[i]);

	if (before == KIND_OTHER)
		return true;
	if ((before == KIND_DIGIT) != (now == KIND_DIGIT))
		return true;
	if (now == KIND_UPPER && before != KIND_UPPER)
		return true;
	return now == KIND_UPPER && i + 1 < name.len && kind_of(name.base[i + 1]) == KIND_LOWER;
}

size_t class_fold_name(struct bytes name, char *out, size_t cap)
{
	size_t len = 0;

	for (size_t i = 0; i < name.len && len + 3 < cap; i++) {
		uint8_t c = name.base[i];

		if (kind_of(c) == KIND_OTHER)
			continue;
		if (token_begins(name, i) && (len == 0 || out[len - 1] != '_'))
			out[len++] = '_';
		if (c == 0xc3 && i + 1 < name.len && name.base[i + 1] >= 0x80 && name.base[i + 1] < 0xc0 && LATIN[name.base[i + 1] - 0x80] != '-')
			c = (uint8_t)LATIN[name.base[++i] - 0x80];
		out[len++] = (char)(is_upper(c) ? c | 0x20 : c);
	}
	out[len++] = '_';
	return len;
}
