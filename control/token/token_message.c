#include "control/token/token_message.h"

/* How long the bytes behind the flags have to be. */
static bool length_ok(enum token_type type, size_t len)
{
	switch (type) {
	case TOKEN_OPEN:
		return len > 0 && len <= TOKEN_FILE_BYTES_MAX;
	case TOKEN_LOGIN:
		return len == 0;
	case TOKEN_SIGN:
	case TOKEN_FOUND:
		return len == TOKEN_DIGEST_BYTES;
	case TOKEN_KEY:
		return len == TOKEN_SPKI_BYTES;
	case TOKEN_SIGNED:
		return len == TOKEN_SIGNATURE_BYTES;
	case TOKEN_FAILED:
		return len > 0 && len <= TOKEN_TEXT_BYTES_MAX;
	default:
		return false;
	}
}

bool token_message_encode(const struct token_message *m, struct writer *out)
{
	writer_u8(out, (uint8_t)m->type);
	if (m->type == TOKEN_FOUND) {
		writer_u8(out, m->tries_pin);
		writer_u8(out, m->pin_count_low);
	}
	if (m->type == TOKEN_FAILED)
		writer_u8(out, m->pin_wrong);
	writer_put(out, m->body);
	if (!length_ok(m->type, m->body.len))
		out->ok = false;
	return out->ok;
}

static bool get_flag(struct reader *r)
{
	uint8_t value = reader_u8(r);

	if (value > 1)
		r->ok = false;
	return value == 1;
}

bool token_message_decode(struct bytes packet, struct token_message *out)
{
	struct reader r = reader_of_bytes(packet);

	*out = (struct token_message){ .type = reader_u8(&r) };
	if (out->type == TOKEN_FOUND) {
		out->tries_pin = get_flag(&r);
		out->pin_count_low = get_flag(&r);
	}
	if (out->type == TOKEN_FAILED)
		out->pin_wrong = get_flag(&r);
	out->body = reader_bytes(&r, r.left);
	if (r.ok && length_ok(out->type, out->body.len))
		return true;
	*out = (struct token_message){ 0 };
	return false;
}
