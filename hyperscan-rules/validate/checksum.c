/* Check-digit schemes shared by many numbers, and the table of validators. */
#include "hyperscan-rules/validate/validate.h"

#include <string.h>

#include "hyperscan-rules/validate/digit.h"

static bool (*const TABLE[])(struct bytes) = {
#define VALIDATOR(name, source) validate_##name,
#include "hyperscan-rules/validate/validators.def"
#undef VALIDATOR
};

static const char *const NAMES[] = {
#define VALIDATOR(name, source) #name,
#include "hyperscan-rules/validate/validators.def"
#undef VALIDATOR
};

bool validate(enum validator which, struct bytes v)
{
	return (unsigned)which < VALIDATOR_count && TABLE[which](v);
}

enum validator validator_find(const char *name)
{
	for (unsigned i = 0; i < VALIDATOR_count; i++)
		if (strcmp(NAMES[i], name) == 0)
			return (enum validator)i;
	return VALIDATOR_count;
}

const char *validator_name(enum validator which)
{
	return (unsigned)which < VALIDATOR_count ? NAMES[which] : "?";
}

bool validate_none(struct bytes v)
{
	return v.len > 0;
}

bool validate_is_masked(struct bytes v)
{
	if (v.len < 6 || !all_digits(v))
		return false;
	for (size_t i = 0; i + 4 < v.len; i++)
		if (v.base[i] != '0' && !(i == 1 && v.base[i] == '1'))
			return false;
	return true;
}

bool validate_luhn(struct bytes digits)
{
	unsigned sum = 0;

	if (!all_digits(digits))
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		unsigned d = digit_at(digits, digits.len - 1 - i);

		if (i % 2)
			d = d > 4 ? 2 * d - 9 : 2 * d;
		sum += d;
	}
	return sum % 10 == 0;
}

bool validate_verhoeff(struct bytes digits)
{
	/* The dihedral group D5 and the permutation, from Verhoeff 1969. */
	static const uint8_t D5[10][10] = {
		{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, { 1, 2, 3, 4, 0, 6, 7, 8, 9, 5 },
		{ 2, 3, 4, 0, 1, 7, 8, 9, 5, 6 }, { 3, 4, 0, 1, 2, 8, 9, 5, 6, 7 },
		{ 4, 0, 1, 2, 3, 9, 5, 6, 7, 8 }, { 5, 9, 8, 7, 6, 0, 4, 3, 2, 1 },
		{ 6, 5, 9, 8, 7, 1, 0, 4, 3, 2 }, { 7, 6, 5, 9, 8, 2, 1, 0, 4, 3 },
		{ 8, 7, 6, 5, 9, 3, 2, 1, 0, 4 }, { 9, 8, 7, 6, 5, 4, 3, 2, 1, 0 },
	};
	static const uint8_t TURN[10] = { 1, 5, 7, 6, 2, 8, 3, 0, 9, 4 };
	unsigned check = 0;

	if (!all_digits(digits))
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		unsigned d = digit_at(digits, digits.len - 1 - i);

		for (size_t turn = 0; turn < i % 8; turn++)
			d = TURN[d];
		check = D5[check][d];
	}
	return check == 0;
}

unsigned validate_mod97(struct bytes v)
{
	unsigned rest = 0;

	for (size_t i = 0; i < v.len; i++) {
		if (is_digit(v.base[i]))
			rest = (rest * 10 + digit_at(v, i)) % 97;
		else if (is_upper(v.base[i]))
			rest = (rest * 100 + v.base[i] - 'A' + 10) % 97;
		else
			return 97;
	}
	return rest;
}

bool validate_date(unsigned year, unsigned month, unsigned day)
{
	static const uint8_t DAYS[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (month < 1 || month > 12 || day < 1)
		return false;
	return day <= DAYS[month - 1] + (unsigned)(month == 2 && leap);
}
