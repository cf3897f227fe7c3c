/* Masks by form of the class. Each writer below returns false when the value has not the form it expects (a strong column name over
 * free text); then a token stands for the value, whatever it was. */
#include "dataplane/match/mask.h"

#include <string.h>

#include "dataplane/match/mask_token.h"
#include "dataplane/match/set.h"
#include "hyperscan-rules/validate/validate.h"

#define SHAPED_MAX 64 /* the longest value that is masked in its own shape */

static const char *const WORDS[MASK_KIND_COUNT][2] = {
	[MASK_FULL] = { "full", "redact" },
	[MASK_LAST4] = { "last4", "partial" },
	[MASK_NULL] = { "null" },
	[MASK_HASH] = { "hash" },
	[MASK_TOKEN] = { "token" },
	[MASK_EMAIL_DOMAIN] = { "email-domain" },
	[MASK_ZERO] = { "zero" },
	[MASK_YEAR] = { "year" },
};

bool mask_kind_find(const char *word, enum mask_kind *out)
{
	for (unsigned i = 0; i < MASK_KIND_COUNT; i++)
		for (unsigned j = 0; j < 2 && WORDS[i][j]; j++)
			if (strcmp(WORDS[i][j], word) == 0) {
				*out = (enum mask_kind)i;
				return true;
			}
	return false;
}

const char *mask_kind_name(enum mask_kind kind)
{
	return (unsigned)kind < MASK_KIND_COUNT ? WORDS[kind][0] : "?";
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Zeros in the place of letters and digits; separators stay, the last `keep` characters stay. False for anything else. */
static bool zeros(struct bytes v, size_t keep, uint8_t *out)
{
	size_t digits = 0, left = 0;

	for (size_t i = 0; i < v.len; i++) {
		if (!is_alnum(v.base[i]) && !strchr(" -./():", v.base[i] ? v.base[i] : 'x'))
			return false;
		digits += is_digit(v.base[i]);
		left += is_alnum(v.base[i]);
	}
	if (left <= keep || digits == 0)
		return false;
	for (size_t i = 0; i < v.len; i++) {
		out[i] = v.base[i];
		if (is_alnum(v.base[i]) && left-- > keep)
			out[i] = '0';
	}
	return true;
}

/* First digit 0 and a Luhn sum that is wrong on purpose: the second digit is 1 where zeros alone would pass. */
static bool card(struct bytes v, size_t keep, uint8_t *out)
{
	uint8_t packed[SHAPED_MAX];
	size_t count = 0, second = 0;

	if (!zeros(v, keep, out))
		return false;
	for (size_t i = 0; i < v.len; i++)
		if (is_digit(out[i])) {
			second = count == 1 ? i : second;
			packed[count++] = out[i];
		}
	if (count < 12)
		return false;
	if (validate_luhn(bytes_of(packed, count)))
		out[second] = '1';
	return true;
}

/* The country code of an international number stays: 1, 7, or two digits. */
static bool phone(struct bytes v, size_t keep, uint8_t *out)
{
	size_t code = v.base[0] != '+' ? 0 : v.len > 1 && (v.base[1] == '1' || v.base[1] == '7') ? 2 : 3;

	if (v.len < code + 7 || !zeros(bytes_of(v.base + code, v.len - code), keep, out + code))
		return false;
	memcpy(out, v.base, code);
	return true;
}

/* Country, check digits 00 (never computed by ISO 7064), zeros. */
static bool iban(struct bytes v, size_t keep, uint8_t *out)
{
	if (v.len < 15 || is_digit(v.base[0]) || is_digit(v.base[1]) || !is_alnum(v.base[0]) || !is_alnum(v.base[1]) ||
	    !zeros(bytes_of(v.base + 2, v.len - 2), keep, out + 2))
		return false;
	memcpy(out, v.base, 2);
	return true;
}

/* A year is kept in 2001-02-03..., 2001/02/03 and 03.02.2001. */
static void date(struct bytes v, bool year, struct writer *out)
{
	bool four = v.len >= 8;

	for (size_t i = 0; four && i < 4; i++)
		four = is_digit(v.base[i]);
	if (year && four && (v.base[4] == '-' || v.base[4] == '/')) {
		writer_bytes(out, v.base, 5);
		writer_str(out, v.base[4] == '-' ? "01-01" : "01/01");
		return;
	}
	four = v.len == 10 && (v.base[2] == '.' || v.base[2] == '/');
	for (size_t i = 6; four && i < 10; i++)
		four = is_digit(v.base[i]);
	if (year && four) {
		writer_str(out, v.base[2] == '.' ? "01.01." : "01/01/");
		writer_bytes(out, v.base + 6, 4);
		return;
	}
	writer_str(out, "1970-01-01");
}

static void token(const char *class, const uint8_t *key, struct bytes value, unsigned letters, struct writer *out)
{
	writer_str(out, "***");
	token_write(key, class, value, letters, TOKEN_CHECK_LETTERS, out);
	writer_str(out, "***");
}

static bool is_token(const uint8_t *key, struct bytes v)
{
	if (v.len < 6 || memcmp(v.base, "***", 3) != 0 || memcmp(v.base + v.len - 3, "***", 3) != 0)
		return false;
	if (v.len - 6 != TOKEN_FULL_LETTERS && v.len - 6 != TOKEN_VALUE_LETTERS)
		return false;
	return token_is_right(key, bytes_of(v.base + 3, v.len - 6), TOKEN_CHECK_LETTERS);
}

/* A value that is a keyed mask of ours already stays as it is. */
static bool is_mask(const uint8_t *key, struct bytes v)
{
	size_t domain = strlen(TOKEN_MAIL_DOMAIN);

	if (is_token(key, v) || (v.len > 4 && is_token(key, bytes_of(v.base, v.len - 4))))
		return true;
	if (v.len == TOKEN_HASH_LETTERS)
		return token_is_right(key, v, TOKEN_HASH_CHECK_LETTERS);
	return v.len == 1 + TOKEN_VALUE_LETTERS + domain && v.base[0] == 't' && memcmp(v.base + v.len - domain, TOKEN_MAIL_DOMAIN, domain) == 0 &&
	       token_is_right(key, bytes_of(v.base + 1, TOKEN_VALUE_LETTERS), TOKEN_CHECK_LETTERS);
}

static void email(const char *class, const struct mask *mask, struct bytes v, struct writer *out)
{
	const uint8_t *at = v.len ? memrchr(v.base, '@', v.len) : NULL;
	size_t domain = at ? v.len - (size_t)(at - v.base) : 0;

	if (mask->kind == MASK_TOKEN) {
		writer_u8(out, 't');
		token_write(mask->key, class, v, TOKEN_VALUE_LETTERS, TOKEN_CHECK_LETTERS, out);
		writer_str(out, TOKEN_MAIL_DOMAIN);
	} else if (mask->kind == MASK_EMAIL_DOMAIN && domain > 3 && domain < 255) {
		writer_str(out, "***");
		writer_bytes(out, at, domain);
	} else {
		writer_str(out, "***" TOKEN_MAIL_DOMAIN);
	}
}

/* The value's own shape; false when it has none. */
static bool shaped(unsigned form, enum mask_kind kind, struct bytes v, struct writer *out)
{
	size_t keep = kind == MASK_LAST4 ? 4 : 0;
	uint8_t text[SHAPED_MAX];
	bool ok = false;

	if (form == FORM_IPV4 || form == FORM_IPV6 || form == FORM_DATE) {
		if (form == FORM_DATE)
			date(v, kind == MASK_YEAR, out);
		else
			writer_str(out, form == FORM_IPV4 ? "0.0.0.0" : "::");
		return true;
	}
	if (v.len == 0 || v.len > SHAPED_MAX)
		return false;
	if (form == FORM_CARD)
		ok = card(v, keep, text);
	else if (form == FORM_PHONE)
		ok = phone(v, keep, text);
	else if (form == FORM_IBAN)
		ok = iban(v, keep, text);
	else if (form == FORM_DIGITS || form == FORM_MAC)
		ok = zeros(v, form == FORM_MAC ? 0 : keep, text);
	if (ok)
		writer_bytes(out, text, v.len);
	return ok;
}

static void write_mask(const struct class *class, const struct mask *mask, struct bytes v, struct writer *out)
{
	bool url = class->form == FORM_SECRET && v.len > 4 && memcmp(v.base, "://", 3) == 0 && v.base[v.len - 1] == '@';

	if (is_mask(mask->key, v)) {
		writer_put(out, v);
	} else if (mask->kind == MASK_HASH) {
		token_write(mask->key, class->name, v, TOKEN_HASH_LETTERS, TOKEN_HASH_CHECK_LETTERS, out);
	} else if (class->form == FORM_EMAIL) {
		email(class->name, mask, v, out);
	} else if (mask->kind == MASK_TOKEN) {
		token(class->name, mask->key, v, TOKEN_VALUE_LETTERS, out);
	} else if (class->form == FORM_SECRET) {
		/* Secrets never keep a part; of a connection string the scheme and host around it stay readable. */
		writer_str(out, url ? "://" : "");
		token(class->name, mask->key, (struct bytes){ 0 }, TOKEN_FULL_LETTERS, out);
		writer_str(out, url ? "@" : "");
	} else if (class->form == FORM_TOKEN || !shaped(class->form, mask->kind, v, out)) {
		token(class->name, mask->key, (struct bytes){ 0 }, TOKEN_FULL_LETTERS, out);
		if (mask->kind == MASK_LAST4 && class->form == FORM_TOKEN && v.len >= 8)
			writer_bytes(out, v.base + v.len - 4, 4);
	}
}

size_t mask_text(const struct match_set *set, unsigned class, const struct mask *mask, struct bytes value, struct writer *out)
{
	uint8_t text[512];
	struct writer w = writer_of(text, sizeof text);
	struct bytes done;

	if (class >= set->blob.classes_count) {
		out->ok = false;
		return 0;
	}
	write_mask(&set->blob.classes[class], mask, value, &w);
	done = writer_done(&w);
	if (mask->len_max && done.len > mask->len_max)
		done = bytes_of("***", mask->len_max < 3 ? mask->len_max : 3);
	writer_put(out, done);
	return out->ok ? done.len : 0;
}

size_t mask_value(const struct match_set *set, const struct match_hit *hits, size_t hits_count, mask_choose *choose, void *ctx,
		  struct bytes value, struct writer *out)
{
	size_t start = out->len, at = 0;

	for (size_t i = 0; i < hits_count; i++) {
		const struct match_hit *hit = &hits[i];
		const struct mask *mask;

		if (hit->start < at || hit->end <= hit->start || hit->end > value.len) {
			out->ok = false;
			return 0;
		}
		mask = choose(ctx, hit->class);
		if (!mask)
			continue;
		writer_bytes(out, value.base + at, hit->start - at);
		(void)mask_text(set, hit->class, mask, bytes_of(value.base + hit->start, hit->end - hit->start), out);
		at = hit->end;
	}
	writer_bytes(out, value.base + at, value.len - at);
	return out->ok ? out->len - start : 0;
}

size_t mask_value_bound(const struct match_hit *hits, size_t hits_count, struct bytes value)
{
	return value.len + hits_count * SHAPED_MAX;
}
