/* Numbers of payment: cards, tracks, IBAN, routing numbers. */
#include "hyperscan-rules/validate/validate.h"

#include <string.h>

#include "hyperscan-rules/validate/digit.h"

struct brand {
	unsigned low, high; /* the first six digits */
	uint32_t lengths;   /* bit n: n digits are issued */
};

#define L(n) (1u << (n))

static const struct brand BRANDS[] = {
	{ 400000, 499999, L(13) | L(16) | L(19) },          /* Visa */
	{ 510000, 559999, L(16) }, { 222100, 272099, L(16) }, /* Mastercard */
	{ 340000, 349999, L(15) }, { 370000, 379999, L(15) }, /* American Express */
	{ 300000, 305999, L(14) }, { 360000, 369999, L(14) | L(19) },
	{ 380000, 399999, L(14) | L(19) },                   /* Diners Club */
	{ 601100, 601199, L(16) | L(19) }, { 644000, 659999, L(16) | L(19) }, /* Discover */
	{ 352800, 358999, L(16) | L(19) },                   /* JCB */
	{ 620000, 629999, L(16) | L(17) | L(18) | L(19) },   /* UnionPay */
	{ 500000, 509999, L(18) | L(19) }, { 560000, 589999, L(18) | L(19) }, /* Maestro; its 16 digits would add half as much noise again */
};

bool validate_card(struct bytes v)
{
	unsigned head;

	if (v.len < 13 || v.len > 19 || !all_digits(v))
		return false;
	head = number_at(v, 0, 6);
	for (size_t i = 0; i < sizeof BRANDS / sizeof *BRANDS; i++)
		if (head >= BRANDS[i].low && head <= BRANDS[i].high && BRANDS[i].lengths >> v.len & 1)
			return validate_luhn(v);
	return false;
}

/* ISO/IEC 7813: %B<pan>^<name>^<YYMM><service>...? or ;<pan>=<YYMM><service>...? */
bool validate_card_track(struct bytes v)
{
	bool first = v.len > 2 && v.base[0] == '%' && (v.base[1] == 'B' || v.base[1] == 'b');
	size_t from = first ? 2 : 1, to = from;

	if (v.len < 20 || (!first && v.base[0] != ';') || v.base[v.len - 1] != '?')
		return false;
	while (to < v.len && is_digit(v.base[to]))
		to++;
	if (to >= v.len || v.base[to] != (first ? '^' : '='))
		return false;
	return to - from >= 13 && to - from <= 19 && validate_luhn(part(v, from, to - from));
}

/* IBAN registry, release 97: country and length. */
static const char IBAN_LENGTHS[][5] = {
	"AD24", "AE23", "AL28", "AT20", "AZ28", "BA20", "BE16", "BG22", "BH22", "BI27", "BR29", "BY28", "CH21", "CR22", "CY28",
	"CZ24", "DE22", "DJ27", "DK18", "DO28", "EE20", "EG29", "ES24", "FI18", "FK18", "FO18", "FR27", "GB22", "GE22", "GI23",
	"GL18", "GR27", "GT28", "HR21", "HU28", "IE22", "IL23", "IQ23", "IS26", "IT27", "JO30", "KW30", "KZ20", "LB28", "LC32",
	"LI21", "LT20", "LU20", "LV21", "LY25", "MC27", "MD24", "ME22", "MK19", "MN20", "MR27", "MT31", "MU30", "NI28", "NL18",
	"NO15", "OM23", "PK24", "PL28", "PS29", "PT25", "QA29", "RO24", "RS22", "RU33", "SA24", "SC31", "SD18", "SE24", "SI19",
	"SK24", "SM27", "SO23", "ST25", "SV28", "TL23", "TN24", "TR26", "UA29", "VA22", "VG24", "XK20", "YE30",
};

bool validate_iban(struct bytes v)
{
	uint8_t turned[34];
	bool known = false;
	unsigned check;

	if (v.len < 15 || v.len > 34 || !is_upper(v.base[0]) || !is_upper(v.base[1]) || !is_digit(v.base[2]) || !is_digit(v.base[3]))
		return false;
	for (size_t i = 0; i < sizeof IBAN_LENGTHS / sizeof *IBAN_LENGTHS && !known; i++)
		known = memcmp(IBAN_LENGTHS[i], v.base, 2) == 0 &&
			v.len == (size_t)(IBAN_LENGTHS[i][2] - '0') * 10 + (size_t)(IBAN_LENGTHS[i][3] - '0');
	/* ISO 7064: check digits 00, 01 and 99 are never computed. */
	check = number_at(v, 2, 2);
	if (!known || check < 2 || check > 98)
		return false;
	memcpy(turned, v.base + 4, v.len - 4);
	memcpy(turned + v.len - 4, v.base, 4);
	return validate_mod97(bytes_of(turned, v.len)) == 1;
}

bool validate_aba(struct bytes v)
{
	static const uint8_t WEIGHTS[] = { 3, 7, 1, 3, 7, 1, 3, 7, 1 };
	unsigned prefix;

	if (!digits_of(v, 9) || all_equal(v))
		return false;
	prefix = number_at(v, 0, 2);
	if (!(prefix <= 12 || (prefix >= 21 && prefix <= 32) || (prefix >= 61 && prefix <= 72) || prefix == 80))
		return false;
	return weighted(v, WEIGHTS, 9) % 10 == 0;
}
