/* digit.h: small helpers of the validators: digits of a packed candidate. Private to this folder. */
#ifndef HYPERSCAN_RULES_VALIDATE_DIGIT_H
#define HYPERSCAN_RULES_VALIDATE_DIGIT_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/bytes.h"

static inline bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static inline bool is_upper(uint8_t c) { return c >= 'A' && c <= 'Z'; }
static inline bool is_lower(uint8_t c) { return c >= 'a' && c <= 'z'; }
static inline bool is_alnum(uint8_t c) { return is_digit(c) || is_upper(c) || is_lower(c); }

static inline int hex_value(uint8_t c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The digit at `i`; the caller has checked that it is one. */
static inline unsigned digit_at(struct bytes v, size_t i) { return (unsigned)(v.base[i] - '0'); }

static inline bool all_digits(struct bytes v)
{
	for (size_t i = 0; i < v.len; i++)
		if (!is_digit(v.base[i]))
			return false;
	return v.len > 0;
}

/* `len` digits exactly. */
static inline bool digits_of(struct bytes v, size_t len) { return v.len == len && all_digits(v); }

/* The number in digits [from, from + count), count <= 9. */
static inline unsigned number_at(struct bytes v, size_t from, size_t count)
{
	unsigned n = 0;

	for (size_t i = from; i < from + count; i++)
		n = n * 10 + digit_at(v, i);
	return n;
}

static inline bool all_equal(struct bytes v)
{
	for (size_t i = 1; i < v.len; i++)
		if (v.base[i] != v.base[0])
			return false;
	return true;
}

/* Sum of digit times weight over the first `count` digits. */
static inline unsigned weighted(struct bytes v, const uint8_t *weights, size_t count)
{
	unsigned sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += digit_at(v, i) * weights[i];
	return sum;
}

static inline struct bytes part(struct bytes v, size_t from, size_t len) { return bytes_of(v.base + from, len); }

#endif
