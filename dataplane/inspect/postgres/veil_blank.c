/* veil_blank.c: the value of a type that stands for nothing, in exactly as many bytes as the one it hides. */
#include "dataplane/inspect/postgres/veil.h"

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static size_t digits(const uint8_t *v, size_t len)
{
	size_t n = 0;

	while (n < len && is_digit(v[n]))
		n++;
	return n;
}

/* `text` at the end of `len` bytes of zeros, or as much of its end as fits. */
static void zeros(uint8_t *v, size_t len, const char *text)
{
	size_t have = strlen(text) < len ? strlen(text) : len;

	memset(v, '0', len);
	memcpy(v + len - have, text + strlen(text) - have, have);
}

/* ISO style: the year, month and day, the time, the zone. Before Christ becomes after; infinity becomes a day too. */
static void date_text(uint8_t *v, size_t len, bool keep_year)
{
	static const char *const parts[] = { "1970", "01", "01" };
	unsigned part = 0;

	if (!len || !is_digit(v[0])) {
		memset(v, ' ', len);
		if (len >= 8)
			memcpy(v, "19700101", 8);
		return;
	}
	for (size_t at = 0; at < len;) {
		size_t run = digits(v + at, len - at);

		if (run && !(part == 0 && keep_year))
			zeros(v + at, run, part < 3 ? parts[part] : "0");
		part += run > 0;
		at += run;
		if (at < len && (v[at] | 32) >= 'a' && (v[at] | 32) <= 'z')
			v[at] = ' ';
		at += at < len;
	}
}

/* Four numbers without leading zeros that no netmask of the value they stand for cuts through. */
static void quad(uint8_t *v, size_t len)
{
	static const char *const octet[] = { "", "0", "64", "128" };

	for (size_t at = 0; at < len; at++) {
		size_t run = digits(v + at, len - at);

		if (run)
			zeros(v + at, run, run <= 3 ? octet[run] : "");
		at += run;
	}
}

static void network_text(uint8_t *v, size_t len)
{
	const uint8_t *slash = memchr(v, '/', len), *colon;
	size_t address = slash ? (size_t)(slash - v) : len, from = 0;

	colon = memrchr(v, ':', address);
	if (colon && memchr(colon, '.', (size_t)(v + address - colon)))
		from = (size_t)(colon - v) + 1;
	if (!colon || from)
		quad(v + from, address - from);
	for (size_t i = 0; colon && i < (from ? from : address); i++)
		if (v[i] != ':')
			v[i] = '0';
}

static void text(const struct pg_type *type, bool keep_year, uint8_t *v, size_t len)
{
	switch (type->shape) {
	case SHAPE_BOOL:
		memset(v, 'f', len);
		return;
	case SHAPE_DATE:
	case SHAPE_TIMESTAMP:
	case SHAPE_TIMESTAMPTZ:
		date_text(v, len, keep_year);
		return;
	case SHAPE_INET:
	case SHAPE_CIDR:
		network_text(v, len);
		return;
	case SHAPE_UUID:
	case SHAPE_MONEY:
		/* Marks stay: dashes, a currency. */
		for (size_t i = 0; i < len; i++)
			if (is_digit(v[i]) || (type->shape == SHAPE_UUID && v[i] != '-'))
				v[i] = '0';
		return;
	default:
		memset(v, '0', len);
	}
}

static void binary(const struct pg_type *type, bool keep_year, uint8_t *v, size_t len)
{
	uint8_t date[8];
	struct writer w = writer_of(date, sizeof(date));

	switch (type->shape) {
	case SHAPE_DATE:
	case SHAPE_TIMESTAMP:
	case SHAPE_TIMESTAMPTZ:
		if (len == type->width && pg_type_zero(type, true, keep_year, true, bytes_of(v, len), &w) && w.len == len) {
			memcpy(v, date, len);
			return;
		}
		break;
	case SHAPE_NUMERIC:
		/* ndigits stays; weight, sign, dscale and digits are 0. */
		if (len >= 8) {
			memset(v + 2, 0, len - 2);
			return;
		}
		break;
	case SHAPE_INET:
	case SHAPE_CIDR:
		/* Family and length stay; a host. */
		if (len == 8 || len == 20) {
			v[1] = len == 8 ? 32 : 128;
			memset(v + 4, 0, len - 4);
			return;
		}
		break;
	default:
		break;
	}
	memset(v, 0, len);
}

void pg_veil_blank(const struct pg_type *type, bool is_binary, bool keep_year, uint8_t *v, size_t len)
{
	if (is_binary)
		binary(type, keep_year, v, len);
	else
		text(type, keep_year, v, len);
}
