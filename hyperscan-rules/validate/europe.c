/* National identifiers of Europe. */
#include "hyperscan-rules/validate/validate.h"

#include <string.h>

#include "hyperscan-rules/validate/digit.h"

bool validate_nhs(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 10, 9, 8, 7, 6, 5, 4, 3, 2 };
	unsigned check;

	if (!digits_of(v, 10) || all_equal(v))
		return false;
	check = 11 - weighted(v, WEIGHTS, 9) % 11;
	return check != 10 && check % 11 == digit_at(v, 9);
}

bool validate_nino(struct bytes v)
{
	static const char UNUSED[][3] = { "BG", "GB", "KN", "NK", "NT", "TN", "ZZ" };

	if (v.len != 9 || !is_upper(v.base[0]) || !is_upper(v.base[1]) || !all_digits(part(v, 2, 6)) || v.base[8] < 'A' || v.base[8] > 'D')
		return false;
	if (memchr("DFIQUV", v.base[0], 6) || memchr("DFIOQUV", v.base[1], 7))
		return false;
	for (size_t i = 0; i < sizeof UNUSED / sizeof *UNUSED; i++)
		if (memcmp(UNUSED[i], v.base, 2) == 0)
			return false;
	return true;
}

bool validate_de_tax_id(struct bytes v)
{
	unsigned product = 10, seen[10] = { 0 }, often = 0, missing = 0;

	if (!digits_of(v, 11) || v.base[0] == '0')
		return false;
	for (size_t i = 0; i < 10; i++) {
		unsigned sum = (digit_at(v, i) + product) % 10;

		product = (sum ? sum : 10) * 2 % 11;
		seen[digit_at(v, i)]++;
	}
	/* Exactly one digit occurs twice or three times among the first ten; the others once or not at all. */
	for (unsigned d = 0; d < 10; d++) {
		often += seen[d] >= 2;
		missing += seen[d] == 0;
		if (seen[d] > 3)
			return false;
	}
	if (often != 1 || missing < 1 || missing > 2)
		return false;
	return (11 - product) % 10 == digit_at(v, 10);
}

bool validate_fr_nir(struct bytes v)
{
	uint8_t digits[15] = { 0 };
	struct bytes d = bytes_of(digits, 15);
	uint64_t number = 0;
	unsigned month;

	if (v.len != 15 || (v.base[0] != '1' && v.base[0] != '2'))
		return false;
	memcpy(digits, v.base, 15);
	/* Corsica: 2A counts as 19, 2B as 18. */
	if (digits[5] == '2' && (digits[6] == 'A' || digits[6] == 'B')) {
		digits[5] = '1';
		digits[6] = digits[6] == 'A' ? '9' : '8';
	}
	if (!all_digits(d))
		return false;
	month = number_at(d, 3, 2);
	if (month < 1 || (month > 12 && month != 20)) /* 20: not known */
		return false;
	for (size_t i = 0; i < 13; i++)
		number = number * 10 + digit_at(d, i);
	return 97 - number % 97 == number_at(d, 13, 2);
}

bool validate_es_nif(struct bytes v)
{
	static const char LETTERS[] = "TRWAGMYFPDXBNJZSQVHLCKE";
	uint8_t digits[8];

	if (v.len != 9)
		return false;
	memcpy(digits, v.base, 8);
	if (digits[0] >= 'X' && digits[0] <= 'Z')
		digits[0] = (uint8_t)('0' + digits[0] - 'X');
	if (!all_digits(bytes_of(digits, 8)) || all_equal(bytes_of(digits, 8)))
		return false;
	return v.base[8] == LETTERS[number_at(bytes_of(digits, 8), 0, 8) % 23];
}

bool validate_it_cf(struct bytes v)
{
	static const char SHAPE[] = "LLLLLLDDLDDLDDDL";
	static const uint8_t ODD[] = { 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23 };
	unsigned sum = 0, day;

	if (v.len != 16 || !memchr("ABCDEHLMPRST", v.base[8], 12))
		return false;
	for (size_t i = 0; i < 16; i++) {
		uint8_t c = v.base[i];

		if (SHAPE[i] == 'L' ? !is_upper(c) : !is_digit(c))
			return false;
		if (i == 15)
			break;
		c = is_digit(c) ? c - '0' : c - 'A';
		sum += i % 2 ? c : ODD[c];
	}
	day = number_at(v, 9, 2) % 40; /* women: day plus 40 */
	return day >= 1 && day <= 31 && v.base[15] == 'A' + sum % 26;
}

bool validate_nl_bsn(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 9, 8, 7, 6, 5, 4, 3, 2 };

	if (!digits_of(v, 9) || all_equal(v) || number_at(v, 0, 2) == 0)
		return false;
	return weighted(v, WEIGHTS, 8) % 11 == digit_at(v, 8);
}

bool validate_pl_pesel(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1 };
	static const unsigned CENTURIES[] = { 1900, 2000, 2100, 2200, 1800 };
	unsigned month;

	if (!digits_of(v, 11) || weighted(v, WEIGHTS, 11) % 10 != 0)
		return false;
	month = number_at(v, 2, 2);
	return validate_date(CENTURIES[month / 20] + number_at(v, 0, 2), month % 20, number_at(v, 4, 2));
}

bool validate_be_nrn(struct bytes v)
{
	unsigned body, check;

	if (!digits_of(v, 11) || number_at(v, 2, 2) > 12 || number_at(v, 4, 2) > 31 || number_at(v, 6, 3) == 0 || number_at(v, 2, 4) == 0)
		return false;
	body = number_at(v, 0, 9);
	check = number_at(v, 9, 2);
	return 97 - body % 97 == check || 97 - (2000000000u + body) % 97 == check;
}

bool validate_ch_ahv(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1 };

	return digits_of(v, 13) && number_at(v, 0, 3) == 756 && !validate_is_masked(part(v, 3, 10)) && weighted(v, WEIGHTS, 13) % 10 == 0;
}

/* The candidate keeps its century sign: ddmmyy, sign, three digits, check character. */
bool validate_fi_hetu(struct bytes v)
{
	static const char CHECKS[] = "0123456789ABCDEFHJKLMNPRSTUVWXY";
	unsigned century;

	if (v.len != 11 || !all_digits(part(v, 0, 6)) || !all_digits(part(v, 7, 3)) || number_at(v, 7, 3) < 2)
		return false;
	if (v.base[6] == '+')
		century = 1800;
	else if (v.base[6] == '-' || (v.base[6] >= 'U' && v.base[6] <= 'Y'))
		century = 1900;
	else if (v.base[6] >= 'A' && v.base[6] <= 'F')
		century = 2000;
	else
		return false;
	if (!validate_date(century + number_at(v, 4, 2), number_at(v, 2, 2), number_at(v, 0, 2)))
		return false;
	return v.base[10] == CHECKS[(uint64_t)(number_at(v, 0, 6) * 1000ull + number_at(v, 7, 3)) % 31];
}

bool validate_se_pin(struct bytes v)
{
	unsigned year, day;

	if (v.len == 12) {
		if (!all_digits(v) || (number_at(v, 0, 2) != 19 && number_at(v, 0, 2) != 20))
			return false;
		v = part(v, 2, 10);
	}
	if (!digits_of(v, 10) || !validate_luhn(v))
		return false;
	/* Without a century the leap day is allowed if either century has it. */
	year = number_at(v, 0, 2);
	day = number_at(v, 4, 2);
	return validate_date(2000 + year, number_at(v, 2, 2), day > 60 ? day - 60 : day);
}
