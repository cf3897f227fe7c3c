/* E-mail addresses, telephone numbers, network addresses. */
#include "hyperscan-rules/validate/validate.h"

#include <string.h>

#include "hyperscan-rules/validate/digit.h"

/* RFC 1035 2.3.1 labels; bytes above 0x7f are allowed for internationalised names (RFC 5890). */
static bool is_domain(struct bytes v)
{
	size_t label = 0, labels = 0;
	bool digits = true;

	if (v.len < 4 || v.len > 253)
		return false;
	for (size_t i = 0; i <= v.len; i++) {
		uint8_t c = i < v.len ? v.base[i] : '.';

		if (c != '.') {
			if (!is_alnum(c) && c < 0x80 && (c != '-' || label == 0))
				return false;
			digits = label == 0 ? is_digit(c) : digits && is_digit(c);
			label++;
			continue;
		}
		if (label == 0 || label > 63 || v.base[i - 1] == '-')
			return false;
		if (i == v.len && (label < 2 || digits))
			return false; /* the last label is a top-level domain: two characters or more, not a number */
		labels++;
		label = 0;
	}
	return labels >= 2;
}

/* Names under which no person has an address: file names (logo@2x.png) and what masks use. */
static bool is_no_mail_domain(struct bytes domain)
{
	static const char *const TAILS[] = { ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".css", ".js", "masked.invalid" };

	for (size_t i = 0; i < sizeof TAILS / sizeof *TAILS; i++) {
		size_t len = strlen(TAILS[i]);

		if (domain.len >= len && strncasecmp((const char *)domain.base + domain.len - len, TAILS[i], len) == 0)
			return true;
	}
	return false;
}

bool validate_email(struct bytes v)
{
	const uint8_t *at = v.len ? memrchr(v.base, '@', v.len) : NULL;
	struct bytes local, domain;

	if (!at)
		return false;
	local = bytes_of(v.base, (size_t)(at - v.base));
	domain = bytes_of(at + 1, v.len - local.len - 1);
	/* RFC 5321 4.5.3.1.1: 64 octets. 4.1.2: a dot neither first nor last nor twice. */
	if (local.len < 1 || local.len > 64 || local.base[0] == '.' || local.base[local.len - 1] == '.')
		return false;
	for (size_t i = 1; i < local.len; i++)
		if (local.base[i] == '.' && local.base[i - 1] == '.')
			return false;
	return !memchr(local.base, '@', local.len) && is_domain(domain) && !is_no_mail_domain(domain);
}

/* E.164 assigned country codes, ITU Operational Bulletin: a bit for each first digits. */
static bool is_country_code(struct bytes v)
{
	static const char TWO[] = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 "
				  "81 82 84 86 90 91 92 93 94 95 98 ";
	static const char UNUSED[] = "210 214 215 217 219 259 280 283 284 285 286 287 288 289 292 293 294 295 296 384 422 424 425 426 427 428 "
				     "429 671 684 693 694 695 696 697 698 699 801 802 803 804 805 806 807 809 851 854 857 858 859 "
				     "871 872 873 874 875 876 877 879 884 885 887 889 969 978 990 997 999 ";

	if (v.base[0] == '1' || v.base[0] == '7')
		return true;
	for (size_t i = 0; i + 3 <= sizeof TWO - 1; i += 3)
		if (memcmp(TWO + i, v.base, 2) == 0)
			return true;
	if (v.base[0] == '0')
		return false;
	for (size_t i = 0; i + 4 <= sizeof UNUSED - 1; i += 4)
		if (memcmp(UNUSED + i, v.base, 3) == 0)
			return false;
	return true;
}

/* Packed: digits, with a plus in front in the international form. */
bool validate_phone(struct bytes v)
{
	bool plus = v.len > 0 && v.base[0] == '+';

	if (plus)
		v = part(v, 1, v.len - 1);
	if (v.len < 7 || v.len > 15 || !all_digits(v) || all_equal(part(v, 1, v.len - 1)))
		return false;
	if (!plus && v.len > 2 && v.base[0] == '0' && v.base[1] == '0') {
		v = part(v, 2, v.len - 2);
		plus = true;
	}
	if (plus) {
		if (v.len < 8 || !is_country_code(v) || validate_is_masked(part(v, 2, v.len - 2)) || validate_is_masked(part(v, 3, v.len - 3)))
			return false;
		/* North America: area and exchange from 2 to 9, ten digits after the 1. */
		return v.base[0] != '1' || (v.len == 11 && v.base[1] >= '2' && v.base[4] >= '2');
	}
	if (v.base[0] == '0')
		return v.len >= 9 && v.len <= 12 && !validate_is_masked(v); /* national form with the trunk 0 */
	if (v.len == 11 && v.base[0] == '1')
		v = part(v, 1, 10);
	return v.len == 10 && v.base[0] >= '2' && v.base[3] >= '2';
}

bool validate_ipv4(struct bytes v)
{
	unsigned octets[4] = { 0 }, at = 0;
	size_t digits = 0;

	for (size_t i = 0; i < v.len; i++) {
		if (v.base[i] == '.') {
			if (digits == 0 || ++at > 3)
				return false;
			digits = 0;
			continue;
		}
		/* No leading zero: RFC 6943 3.1.1, it would be octal to some readers. */
		if (!is_digit(v.base[i]) || ++digits > 3 || (digits == 2 && octets[at] == 0))
			return false;
		octets[at] = octets[at] * 10 + digit_at(v, i);
		if (octets[at] > 255)
			return false;
	}
	/* The first octet: 0 is "this network", 240 and above is reserved (RFC 6890). A final .0 names a network or a version. */
	return at == 3 && digits > 0 && octets[0] > 0 && octets[0] < 240 && octets[0] != 127;
}

bool validate_ipv6(struct bytes v)
{
	unsigned groups = 0, nonzero = 0;
	bool gap = false;
	size_t i = 0;

	while (i < v.len) {
		size_t digits = 0;

		if (v.base[i] == ':') {
			if (i + 1 >= v.len || v.base[i + 1] != ':' || gap || (i > 0 && v.base[i - 1] == ':'))
				return false;
			gap = true;
			i += 2;
			continue;
		}
		while (i < v.len && hex_value(v.base[i]) >= 0) {
			nonzero += v.base[i] != '0';
			digits++;
			i++;
		}
		if (i < v.len && v.base[i] == '.') { /* RFC 4291 2.2 point 3: the last 32 bits as IPv4 */
			i -= digits;
			return (gap ? groups <= 5 : groups == 6) && validate_ipv4(part(v, i, v.len - i));
		}
		if (digits == 0 || digits > 4 || ++groups > 8)
			return false;
		if (i < v.len && v.base[i] != ':')
			return false;
		if (i < v.len && i + 1 < v.len && v.base[i + 1] != ':')
			i++;
		else if (i + 1 == v.len)
			return false;
	}
	/* "::", "::1" and two groups alone (a time of day) are no address of a person. */
	return (gap ? groups >= 2 && groups <= 7 : groups == 8) && nonzero > 1;
}

bool validate_mac(struct bytes v)
{
	bool zero = true, ones = true;

	if (v.len != 12)
		return false;
	for (size_t i = 0; i < 12; i++) {
		if (hex_value(v.base[i]) < 0)
			return false;
		zero = zero && v.base[i] == '0';
		ones = ones && (v.base[i] | 0x20) == 'f';
	}
	return !zero && !ones;
}
