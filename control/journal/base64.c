#include "control/journal/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct writer *out, struct bytes data, const char *alphabet, bool pad)
{
	for (size_t i = 0; i < data.len; i += 3) {
		size_t have = data.len - i < 3 ? data.len - i : 3;
		uint32_t group = (uint32_t)data.base[i] << 16;
		char text[4];

		if (have > 1)
			group |= (uint32_t)data.base[i + 1] << 8;
		if (have > 2)
			group |= data.base[i + 2];
		for (size_t k = 0; k < 4; k++)
			text[k] = k <= have ? alphabet[group >> (18 - 6 * k) & 63] : '=';
		writer_bytes(out, text, pad ? 4 : have + 1);
	}
}

static int value_of(uint8_t c, const char *alphabet)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

static bool decode(struct bytes text, const char *alphabet, struct writer *out)
{
	for (size_t i = 0; i < text.len; i += 4) {
		size_t have = text.len - i < 4 ? text.len - i : 4;
		uint32_t group = 0;

		if (have == 1)
			return false;
		for (size_t k = 0; k < have; k++) {
			int value = value_of(text.base[i + k], alphabet);

			if (value < 0)
				return false;
			group |= (uint32_t)value << (18 - 6 * k);
		}
		/* RFC 4648 3.5: the bits that no byte uses are zero. */
		if (group & ((1u << (8 * (4 - have))) - 1) & 0xffffff)
			return false;
		for (size_t k = 0; k + 1 < have; k++)
			writer_u8(out, (uint8_t)(group >> (16 - 8 * k)));
	}
	return out->ok;
}

void base64_write(struct writer *out, struct bytes data)
{
	encode(out, data, standard, true);
}

void base64_url_write(struct writer *out, struct bytes data)
{
	encode(out, data, url, false);
}

bool base64_read(struct bytes text, struct writer *out)
{
	if (text.len % 4)
		return false;
	for (unsigned pad = 0; pad < 2 && text.len && text.base[text.len - 1] == '='; pad++)
		text.len--;
	return decode(text, standard, out);
}

bool base64_url_read(struct bytes text, struct writer *out)
{
	return decode(text, url, out);
}

static uint8_t hex_digit(unsigned value)
{
	return (uint8_t)('0' + value + (value > 9) * ('a' - '9' - 1));
}

void hex_write(struct writer *out, struct bytes data)
{
	uint8_t *room = writer_room(out, 2 * data.len);

	for (size_t i = 0; room && i < data.len; i++) {
		room[2 * i] = hex_digit(data.base[i] >> 4);
		room[2 * i + 1] = hex_digit(data.base[i] & 15);
	}
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_read(struct bytes text, struct writer *out)
{
	if (text.len % 2)
		return false;
	for (size_t i = 0; i < text.len; i += 2) {
		int high = hex_value(text.base[i]), low = hex_value(text.base[i + 1]);

		if (high < 0 || low < 0)
			return false;
		writer_u8(out, (uint8_t)(high << 4 | low));
	}
	return out->ok;
}
