/* Secrets: tokens with a structure that can be checked. */
#include "hyperscan-rules/validate/validate.h"

#include <string.h>

#include "hyperscan-rules/validate/digit.h"

static int base64_value(uint8_t c)
{
	if (is_upper(c))
		return c - 'A';
	if (is_lower(c))
		return c - 'a' + 26;
	if (is_digit(c))
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

/* Decodes up to `cap` bytes, skipping white space and the escapes \n and \r; stops at the first other byte. */
static size_t base64_head(struct bytes v, uint8_t *out, size_t cap)
{
	unsigned bits = 0, held = 0;
	size_t len = 0;

	for (size_t i = 0; i < v.len && len < cap; i++) {
		uint8_t c = v.base[i];
		int value;

		if (c == '\\' && i + 1 < v.len && (v.base[i + 1] == 'n' || v.base[i + 1] == 'r')) {
			i++;
			continue;
		}
		if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
			continue;
		value = base64_value(c);
		if (value < 0)
			break;
		bits = (bits << 6 | (unsigned)value) & 0xffffff;
		held += 6;
		if (held >= 8) {
			held -= 8;
			out[len++] = (uint8_t)(bits >> held);
		}
	}
	return len;
}

static bool has(const uint8_t *text, size_t len, const char *word)
{
	return memmem(text, len, word, strlen(word)) != NULL;
}

/* RFC 7515 3.1 compact form: header, payload, signature (empty when unsecured, RFC 7519 6). */
bool validate_jwt(struct bytes v)
{
	const uint8_t *dot = v.len ? memchr(v.base, '.', v.len) : NULL, *second;
	uint8_t header[1024];
	size_t head, len;

	if (!dot)
		return false;
	head = (size_t)(dot - v.base);
	second = memchr(dot + 1, '.', v.len - head - 1);
	if (!second || second - dot < 3 || memchr(second + 1, '.', v.len - (size_t)(second + 1 - v.base)))
		return false;
	len = base64_head(part(v, 0, head), header, sizeof header);
	return len > 8 && header[0] == '{' && has(header, len, "\"alg\"");
}

/* RFC 7468. The label ends in PRIVATE KEY; what follows decodes to a DER SEQUENCE, or is an OpenSSH or encrypted legacy key. */
bool validate_pem_key(struct bytes v)
{
	static const char BEGIN[] = "-----BEGIN ", LABEL[] = "PRIVATE KEY-----";
	const uint8_t *label;
	uint8_t der[24];
	struct bytes body;
	size_t len;

	if (v.len < 40 || memcmp(v.base, BEGIN, sizeof BEGIN - 1) != 0)
		return false;
	label = memmem(v.base, v.len < 96 ? v.len : 96, LABEL, sizeof LABEL - 1);
	if (!label)
		return false;
	label += sizeof LABEL - 1;
	body = bytes_of(label, v.len - (size_t)(label - v.base));
	if (has(body.base, body.len < 128 ? body.len : 128, "Proc-Type:"))
		return true;
	len = base64_head(body, der, sizeof der);
	return len >= 16 && (der[0] == 0x30 || memcmp(der, "openssh-key-v1", 14) == 0);
}

/* CRC-32 (IEEE 802.3), bit by bit: 40 bytes at most. */
static uint32_t crc32_of(struct bytes v)
{
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < v.len; i++) {
		crc ^= v.base[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

/* The last six characters are the CRC-32 of the 30 before them, in base62. */
static bool has_crc_tail(struct bytes body)
{
	static const char BASE62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint32_t crc;

	if (body.len != 36)
		return false;
	crc = crc32_of(part(body, 0, 30));
	for (size_t i = 0; i < 6; i++, crc /= 62)
		if (body.base[35 - i] != (uint8_t)BASE62[crc % 62])
			return false;
	return true;
}

bool validate_github_token(struct bytes v)
{
	if (v.len > 82 && memcmp(v.base, "github_pat_", 11) == 0)
		return v.len == 93;
	return v.len == 40 && memcmp(v.base, "gh", 2) == 0 && memchr("pousr", v.base[2], 5) && v.base[3] == '_' &&
	       has_crc_tail(part(v, 4, 36));
}

bool validate_npm_token(struct bytes v)
{
	return v.len == 40 && memcmp(v.base, "npm_", 4) == 0 && has_crc_tail(part(v, 4, 36));
}

/* Entropy as a post-filter: a random token has many different characters; a stand-in (one letter repeated, EXAMPLE) has few. */
bool validate_mixed_token(struct bytes v)
{
	uint64_t seen[4] = { 0 };
	unsigned different = 0, digits = 0, letters = 0, run = 1;

	for (size_t i = 0; i < v.len; i++) {
		uint8_t c = v.base[i];

		different += !(seen[c / 64] >> (c % 64) & 1);
		seen[c / 64] |= 1ULL << (c % 64);
		digits += is_digit(c);
		letters += is_upper(c) || is_lower(c);
		run = i > 0 && c == v.base[i - 1] ? run + 1 : 1;
		if (run >= 8)
			return false;
	}
	return v.len >= 12 && different >= 9 && (digits >= 1 || different >= 14) && letters >= 3;
}

/* "://user:password@", from the scheme's colon to the at sign. Placeholders in brackets are documentation. */
bool validate_url_password(struct bytes v)
{
	struct bytes user, password;
	const uint8_t *colon;

	if (v.len < 7 || memcmp(v.base, "://", 3) != 0 || v.base[v.len - 1] != '@')
		return false;
	user = bytes_of(v.base + 3, v.len - 4);
	/* RFC 3986 3.2: the authority ends at the first slash, question mark or hash. */
	if (memchr(user.base, '/', user.len) || memchr(user.base, '?', user.len) || memchr(user.base, '#', user.len))
		return false;
	colon = memchr(user.base, ':', user.len);
	if (!colon || colon + 1 == user.base + user.len)
		return false;
	password = bytes_of(colon + 1, (size_t)(user.base + user.len - colon - 1));
	return !memchr("{<$[", password.base[0], 4) && !(password.len >= 3 && memcmp(password.base, "***", 3) == 0);
}
