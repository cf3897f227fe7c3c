/* Keyed tokens. */
#include "dataplane/match/mask_token.h"

#include "platform/base/hash.h"

static const char LETTERS[] = "bcdfghjkmnpqrstv"; /* token_is_letter knows them too */

/* Half 0 of the key makes payloads, half 1 checks. */
static struct hash_key key_half(const uint8_t *key, unsigned half)
{
	struct reader r = reader_of(key + 16 * half, 16);
	struct hash_key out;

	out.k0 = reader_le64(&r);
	out.k1 = reader_le64(&r);
	return out;
}

static void write_letters(uint64_t bits, unsigned count, struct writer *out)
{
	for (unsigned i = 0; i < count; i++, bits >>= 4)
		writer_u8(out, (uint8_t)LETTERS[bits & 15]);
}

void token_write(const uint8_t *key, const char *class, struct bytes value, unsigned letters, unsigned check, struct writer *out)
{
	unsigned payload = letters - check;
	size_t start = out->len;
	struct hash_key half = key_half(key, 0);
	uint64_t class_hash = hash64(half, class, strlen(class));
	struct hash128 hash;

	/* The class is bound in through the key, so that equal values of two classes are not seen to be equal. */
	half.k0 ^= class_hash;
	hash = hash128(half, value.base, value.len);
	write_letters(hash.lo, payload > 16 ? 16 : payload, out);
	if (payload > 16)
		write_letters(hash.hi, payload - 16, out);
	if (out->ok)
		write_letters(hash64(key_half(key, 1), out->base + start, payload), check, out);
}

bool token_is_right(const uint8_t *key, struct bytes letters, unsigned check)
{
	uint64_t bits;
	size_t payload;

	if (letters.len <= check)
		return false;
	for (size_t i = 0; i < letters.len; i++)
		if (!token_is_letter(letters.base[i]))
			return false;
	payload = letters.len - check;
	bits = hash64(key_half(key, 1), letters.base, payload);
	for (unsigned i = 0; i < check; i++, bits >>= 4)
		if (letters.base[payload + i] != (uint8_t)LETTERS[bits & 15])
			return false;
	return true;
}
