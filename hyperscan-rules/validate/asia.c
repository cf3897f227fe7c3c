/* National identifiers of Asia and Africa. */
#include "hyperscan-rules/validate/validate.h"

#include <string.h>

#include "hyperscan-rules/validate/digit.h"

bool validate_aadhaar(struct bytes v)
{
	return digits_of(v, 12) && v.base[0] >= '2' && !all_equal(v) && validate_verhoeff(v);
}

bool validate_in_pan(struct bytes v)
{
	if (v.len != 10 || !all_digits(part(v, 5, 4)) || number_at(v, 5, 4) == 0 || !is_upper(v.base[9]))
		return false;
	for (size_t i = 0; i < 5; i++)
		if (!is_upper(v.base[i]))
			return false;
	return memchr("ABCFGHJLPT", v.base[3], 10) != NULL;
}

bool validate_in_gstin(struct bytes v)
{
	static const char BASE36[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	unsigned sum = 0, state;

	if (v.len != 15 || !all_digits(part(v, 0, 2)) || !validate_in_pan(part(v, 2, 10)) || v.base[13] != 'Z')
		return false;
	state = number_at(v, 0, 2);
	if (state < 1 || (state > 38 && state != 97 && state != 99))
		return false;
	for (size_t i = 0; i < 14; i++) {
		uint8_t c = v.base[i];
		unsigned product = (unsigned)(is_digit(c) ? c - '0' : is_upper(c) ? c - 'A' + 10 : 36) * (i % 2 ? 2 : 1);

		sum += product / 36 + product % 36;
	}
	return v.base[14] == BASE36[(36 - sum % 36) % 36];
}

bool validate_kr_rrn(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5 };
	unsigned century;

	if (!digits_of(v, 13) || v.base[6] < '1' || v.base[6] > '8')
		return false;
	century = (v.base[6] - '1') % 4 < 2 ? 1900 : 2000;
	if (!validate_date(century + number_at(v, 0, 2), number_at(v, 2, 2), number_at(v, 4, 2)))
		return false;
	return (11 - weighted(v, WEIGHTS, 12) % 11) % 10 == digit_at(v, 12);
}

bool validate_sg_nric(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 2, 7, 6, 5, 4, 3, 2 };
	static const char CITIZEN[] = "JZIHGFEDCBA", FOREIGN[] = "XWUTRQPNMLK";
	unsigned sum;

	if (v.len != 9 || !memchr("STFG", v.base[0], 4) || !all_digits(part(v, 1, 7)) || all_equal(part(v, 1, 7)))
		return false;
	sum = weighted(part(v, 1, 7), WEIGHTS, 7) + (v.base[0] == 'T' || v.base[0] == 'G' ? 4 : 0);
	return v.base[8] == (v.base[0] == 'S' || v.base[0] == 'T' ? CITIZEN : FOREIGN)[sum % 11];
}

bool validate_tr_tckn(struct bytes v)
{
	unsigned odd = 0, even = 0;

	if (!digits_of(v, 11) || v.base[0] == '0')
		return false;
	for (size_t i = 0; i < 9; i++)
		*(i % 2 ? &even : &odd) += digit_at(v, i);
	if ((odd * 7 + 90 - even) % 10 != digit_at(v, 9))
		return false;
	return (odd + even + digit_at(v, 9)) % 10 == digit_at(v, 10);
}

bool validate_za_id(struct bytes v)
{
	if (!digits_of(v, 13) || v.base[10] > '2' || !validate_luhn(v))
		return false;
	return validate_date(2000 + number_at(v, 0, 2), number_at(v, 2, 2), number_at(v, 4, 2));
}

bool validate_th_id(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2 };

	return digits_of(v, 13) && v.base[0] >= '1' && v.base[0] <= '8' && (11 - weighted(v, WEIGHTS, 12) % 11) % 10 == digit_at(v, 12);
}

bool validate_cn_id(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2 };
	unsigned year;

	if (v.len != 18 || !all_digits(part(v, 0, 17)) || v.base[0] < '1' || v.base[0] > '8')
		return false;
	year = number_at(v, 6, 4);
	if (year < 1880 || year > 2099 || !validate_date(year, number_at(v, 10, 2), number_at(v, 12, 2)))
		return false;
	return v.base[17] == "10X98765432"[weighted(v, WEIGHTS, 17) % 11];
}
