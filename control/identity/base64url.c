/* base64url.c: see base64url.h. */
#include "control/identity/base64url.h"

#include "platform/base/secret.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int value_of(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

static enum base64url_status decode(struct bytes text, struct writer *w)
{
	uint32_t bits = 0;
	unsigned held = 0;

	for (size_t i = 0; i < text.len; i++) {
		int v = value_of(text.base[i]);

		if (v < 0)
			return BASE64URL_ALPHABET;
		bits = bits << 6 | (uint32_t)v;
		held += 6;
		if (held >= 8) {
			held -= 8;
			writer_u8(w, (uint8_t)(bits >> held));
			bits &= (1u << held) - 1;
		}
	}
	/* RFC 4648 3.5: pad bits MUST be zero; six bits left over are a lone character. */
	if (held == 6 || bits != 0)
		return BASE64URL_NOT_CANONICAL;
	return w->ok ? BASE64URL_OK : BASE64URL_NO_ROOM;
}

enum base64url_status base64url_decode(struct bytes text, uint8_t *out, size_t out_size, size_t *out_len)
{
	struct writer w = writer_of(out, out_size);
	enum base64url_status status = decode(text, &w);

	*out_len = status == BASE64URL_OK ? w.len : 0;
	if (status != BASE64URL_OK && out_size)
		secret_wipe(out, out_size);
	return status;
}

void base64url_encode(struct writer *w, struct bytes data)
{
	struct reader r = reader_of_bytes(data);

	while (r.left) {
		size_t n = r.left < 3 ? r.left : 3;
		uint32_t bits = (uint32_t)reader_be(&r, n) << (8 * (3 - n));

		for (size_t i = 0; i <= n; i++)
			writer_u8(w, (uint8_t)alphabet[bits >> (18 - 6 * i) & 63]);
	}
}
