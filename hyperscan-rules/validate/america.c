/* Identifiers of the Americas and Oceania. */
#include "hyperscan-rules/validate/validate.h"

#include <string.h>

#include "hyperscan-rules/validate/digit.h"

bool validate_us_ssn(struct bytes v)
{
	/* Printed in wallets and advertisements; the SSA voided them. */
	static const char SAMPLES[][10] = { "078051120", "219099999", "457555462" };
	unsigned area;

	if (!digits_of(v, 9))
		return false;
	area = number_at(v, 0, 3);
	if (area == 0 || area == 666 || area >= 900 || number_at(v, 3, 2) == 0 || number_at(v, 5, 4) == 0 || all_equal(v))
		return false;
	for (size_t i = 0; i < sizeof SAMPLES / sizeof *SAMPLES; i++)
		if (memcmp(SAMPLES[i], v.base, 9) == 0)
			return false;
	return true;
}

bool validate_us_itin(struct bytes v)
{
	unsigned middle;

	if (!digits_of(v, 9) || v.base[0] != '9')
		return false;
	middle = number_at(v, 3, 2);
	return (middle >= 50 && middle <= 65) || (middle >= 70 && middle <= 88) || (middle >= 90 && middle <= 92) ||
	       (middle >= 94 && middle <= 99);
}

bool validate_us_npi(struct bytes v)
{
	uint8_t full[15] = "80840";

	if (!digits_of(v, 10) || (v.base[0] != '1' && v.base[0] != '2'))
		return false;
	memcpy(full + 5, v.base, 10);
	return validate_luhn(bytes_of(full, 15));
}

bool validate_us_dea(struct bytes v)
{
	unsigned sum;

	if (v.len != 9 || !memchr("ABCDEFGHJKLMPRSTUX", v.base[0], 18) || !(is_upper(v.base[1]) || v.base[1] == '9') ||
	    !all_digits(part(v, 2, 7)) || all_equal(part(v, 2, 7)))
		return false;
	v = part(v, 2, 7);
	sum = digit_at(v, 0) + digit_at(v, 2) + digit_at(v, 4) + 2 * (digit_at(v, 1) + digit_at(v, 3) + digit_at(v, 5));
	return sum % 10 == digit_at(v, 6);
}

bool validate_luhn9(struct bytes v)
{
	return digits_of(v, 9) && v.base[0] != '0' && v.base[0] != '8' && !all_equal(v) && validate_luhn(v);
}

/* One mod 11 digit of CPF and CNPJ: 11 less the rest, 10 and 11 become 0. */
static unsigned brazil_digit(struct bytes v, const uint8_t *weights, size_t count)
{
	unsigned rest = weighted(v, weights, count) % 11;

	return rest < 2 ? 0 : 11 - rest;
}

bool validate_cpf(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 11, 10, 9, 8, 7, 6, 5, 4, 3, 2 };

	return digits_of(v, 11) && !all_equal(v) && brazil_digit(v, WEIGHTS + 1, 9) == digit_at(v, 9) &&
	       brazil_digit(v, WEIGHTS, 10) == digit_at(v, 10);
}

bool validate_cnpj(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2 };

	return digits_of(v, 14) && !all_equal(v) && brazil_digit(v, WEIGHTS + 1, 12) == digit_at(v, 12) &&
	       brazil_digit(v, WEIGHTS, 13) == digit_at(v, 13);
}

bool validate_au_tfn(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 1, 4, 3, 7, 5, 8, 6, 9, 10 };

	return digits_of(v, 9) && !all_equal(v) && weighted(v, WEIGHTS, 9) % 11 == 0;
}

bool validate_au_abn(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19 };

	/* "Subtract 1 from the first digit": 10 less in the weighted sum. */
	return digits_of(v, 11) && v.base[0] != '0' && (weighted(v, WEIGHTS, 11) - 10) % 89 == 0;
}

bool validate_vin(struct bytes v)
{
	/* 49 CFR 565.15 table III; I, O and Q are not used. */
	static const char VALUES[] = "12345678-12345-7-923456789";
	static const uint8_t WEIGHTS[] = { 8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2 };
	unsigned sum = 0;

	if (v.len != 17 || all_digits(v) || !all_digits(part(v, 13, 4)))
		return false;
	for (size_t i = 0; i < 17; i++) {
		uint8_t c = v.base[i];

		if (is_upper(c) && VALUES[c - 'A'] != '-')
			c = (uint8_t)VALUES[c - 'A'];
		if (!is_digit(c))
			return false;
		sum += (unsigned)(c - '0') * WEIGHTS[i];
	}
	return v.base[8] == (sum % 11 == 10 ? 'X' : '0' + sum % 11);
}

bool validate_imei(struct bytes v)
{
	return digits_of(v, 15) && number_at(v, 0, 2) != 0 && !all_equal(v) && validate_luhn(v);
}
