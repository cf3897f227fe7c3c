/* Addresses of crypto currencies. */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_* on the stack: the EVP interface allocates, and this runs in the poll loop */
#include "hyperscan-rules/validate/validate.h"

#include <openssl/sha.h>
#include <string.h>

#include "hyperscan-rules/validate/digit.h"

static void sha256(const uint8_t *data, size_t len, uint8_t out[32])
{
	SHA256_CTX ctx;

	SHA256_Init(&ctx);
	SHA256_Update(&ctx, data, len);
	SHA256_Final(out, &ctx);
}

/* Base58Check: version, 20 bytes, the first four bytes of a double SHA-256. */
static bool is_base58check(struct bytes v)
{
	static const char ALPHABET[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
	uint8_t number[25] = { 0 }, hash[32];

	for (size_t i = 0; i < v.len; i++) {
		const char *at = memchr(ALPHABET, v.base[i], 58);
		unsigned carry;

		if (!at)
			return false;
		carry = (unsigned)(at - ALPHABET);
		for (size_t j = sizeof number; j > 0; j--) {
			carry += number[j - 1] * 58u;
			number[j - 1] = (uint8_t)carry;
			carry >>= 8;
		}
		if (carry)
			return false;
	}
	sha256(number, 21, hash);
	sha256(hash, 32, hash);
	return memcmp(hash, number + 21, 4) == 0 && number[0] != 0x80;
}

/* BIP 173, BIP 350: human part "bc" or "tb", polymod 1 or 0x2bc830a3. */
static bool is_bech32(struct bytes v)
{
	static const char ALPHABET[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
	static const uint32_t GENERATOR[] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3 };
	static const uint8_t HUMAN_BC[] = { 3, 3, 0, 2, 3 }, HUMAN_TB[] = { 3, 3, 0, 20, 2 };
	bool upper = is_upper(v.base[0]);
	const uint8_t *human = (v.base[0] | 0x20) == 'b' ? HUMAN_BC : HUMAN_TB;
	uint32_t check = 1;

	for (size_t i = 0; i < 5 + v.len - 3; i++) {
		uint32_t top = check >> 25, value;

		if (i < 5) {
			value = human[i];
		} else {
			uint8_t c = v.base[i - 2];
			const char *at;

			if (upper ? is_lower(c) : is_upper(c))
				return false; /* BIP 173: mixed case is not accepted */
			at = memchr(ALPHABET, is_upper(c) ? c | 0x20 : c, 32);
			if (!at)
				return false;
			value = (uint32_t)(at - ALPHABET);
		}
		check = (check & 0x1ffffff) << 5 ^ value;
		for (int bit = 0; bit < 5; bit++)
			check ^= top >> bit & 1 ? GENERATOR[bit] : 0;
	}
	return check == 1 || check == 0x2bc830a3;
}

bool validate_crypto_address(struct bytes v)
{
	if (v.len == 42 && v.base[0] == '0' && v.base[1] == 'x') {
		bool zero = true;

		for (size_t i = 2; i < 42; i++) {
			if (hex_value(v.base[i]) < 0)
				return false;
			zero = zero && v.base[i] == '0';
		}
		return !zero;
	}
	if (v.len >= 14 && v.len <= 90 && strncasecmp((const char *)v.base, "bc1", 3) == 0)
		return is_bech32(v);
	if (v.len >= 14 && v.len <= 90 && strncasecmp((const char *)v.base, "tb1", 3) == 0)
		return is_bech32(v);
	return v.len >= 26 && v.len <= 35 && is_base58check(v);
}
