#include "dataplane/inspect/postgres/types.h"

static const struct { uint32_t oid; struct pg_type type; } known[] = {
	{ 25, { SHAPE_TEXT } },         { 1043, { SHAPE_TEXT } },      { 1042, { SHAPE_TEXT } },
	{ 19, { SHAPE_TEXT } },         { 18, { SHAPE_TEXT } },        { 705, { SHAPE_TEXT } },
	{ 2275, { SHAPE_TEXT } },       { 114, { SHAPE_JSON } },       { 3802, { SHAPE_JSONB } },
	{ 21, { SHAPE_INTEGER, 2 } },   { 23, { SHAPE_INTEGER, 4 } },  { 20, { SHAPE_INTEGER, 8 } },
	{ 26, { SHAPE_INTEGER, 4 } },   { 700, { SHAPE_FLOAT, 4 } },   { 701, { SHAPE_FLOAT, 8 } },
	{ 790, { SHAPE_MONEY, 8 } },    { 1700, { SHAPE_NUMERIC } },   { 16, { SHAPE_BOOL, 1 } },
	{ 1082, { SHAPE_DATE, 4 } },    { 1114, { SHAPE_TIMESTAMP, 8 } }, { 1184, { SHAPE_TIMESTAMPTZ, 8 } },
	{ 2950, { SHAPE_UUID, 16 } },   { 869, { SHAPE_INET } },       { 650, { SHAPE_CIDR } },
	{ 17, { SHAPE_BYTEA } },        { 2249, { SHAPE_RECORD } },
	{ 1009, { SHAPE_ARRAY, 0, 25 } },   { 1015, { SHAPE_ARRAY, 0, 1043 } }, { 1014, { SHAPE_ARRAY, 0, 1042 } },
	{ 1003, { SHAPE_ARRAY, 0, 19 } },   { 1002, { SHAPE_ARRAY, 0, 18 } },   { 199, { SHAPE_ARRAY, 0, 114 } },
	{ 3807, { SHAPE_ARRAY, 0, 3802 } }, { 1005, { SHAPE_ARRAY, 0, 21 } },   { 1007, { SHAPE_ARRAY, 0, 23 } },
	{ 1016, { SHAPE_ARRAY, 0, 20 } },   { 1028, { SHAPE_ARRAY, 0, 26 } },   { 1021, { SHAPE_ARRAY, 0, 700 } },
	{ 1022, { SHAPE_ARRAY, 0, 701 } },  { 791, { SHAPE_ARRAY, 0, 790 } },   { 1231, { SHAPE_ARRAY, 0, 1700 } },
	{ 1000, { SHAPE_ARRAY, 0, 16 } },   { 1182, { SHAPE_ARRAY, 0, 1082 } }, { 1115, { SHAPE_ARRAY, 0, 1114 } },
	{ 1185, { SHAPE_ARRAY, 0, 1184 } }, { 2951, { SHAPE_ARRAY, 0, 2950 } }, { 1041, { SHAPE_ARRAY, 0, 869 } },
	{ 651, { SHAPE_ARRAY, 0, 650 } },   { 1001, { SHAPE_ARRAY, 0, 17 } },   { 2287, { SHAPE_ARRAY, 0, 2249 } },
};

struct pg_type pg_type(uint32_t oid)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].oid == oid)
			return known[i].type;
	return (struct pg_type){ SHAPE_OTHER };
}

/* Days from 2000-01-01 to the first of January of the year of `days` (proleptic Gregorian; 146097 days are 400 years). */
static int32_t year_start(int64_t days)
{
	int64_t z = days + 730425; /* from 0000-03-01 */
	int64_t era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t year = yoe + era * 400 + (doy >= 306), before = year - 1;

	return (int32_t)(before * 365 + before / 4 - before / 100 + before / 400 - 730119);
}

static bool has_year(struct bytes v)
{
	for (unsigned i = 0; i < 4; i++)
		if (v.len < 5 || v.base[i] < '0' || v.base[i] > '9')
			return false;
	return v.base[4] == '-';
}

static bool date_text(const struct pg_type *t, bool keep_year, bool iso, struct bytes value, struct writer *w)
{
	if (!iso)
		return false;
	if (keep_year && has_year(value))
		writer_bytes(w, value.base, 4);
	else
		writer_str(w, "1970");
	writer_str(w, "-01-01");
	if (t->shape != SHAPE_DATE)
		writer_str(w, " 00:00:00");
	if (t->shape == SHAPE_TIMESTAMPTZ)
		writer_str(w, "+00");
	return true;
}

static bool date_binary(const struct pg_type *t, bool keep_year, struct bytes value, struct writer *w)
{
	struct reader r = reader_of_bytes(value);
	int64_t v = t->shape == SHAPE_DATE ? (int32_t)reader_be32(&r) : (int64_t)reader_be64(&r);
	const int64_t day_us = 86400ll * 1000000;
	int64_t days = -10957; /* 1970-01-01 */

	/* Years within what the text form writes with four digits. */
	if (keep_year && r.ok) {
		int64_t d = t->shape == SHAPE_DATE ? v : (v >= 0 ? v : v - day_us + 1) / day_us;

		if (d > -700000 && d < 2900000)
			days = year_start(d);
	}
	if (t->shape == SHAPE_DATE)
		writer_be32(w, (uint32_t)(int32_t)days);
	else
		writer_be64(w, (uint64_t)(days * day_us));
	return true;
}

static bool zero_binary(const struct pg_type *t, bool keep_year, struct bytes value, struct writer *w)
{
	switch (t->shape) {
	case SHAPE_INTEGER:
	case SHAPE_FLOAT:
	case SHAPE_MONEY:
	case SHAPE_BOOL:
	case SHAPE_UUID:
		for (unsigned i = 0; i < t->width; i++)
			writer_u8(w, 0);
		return true;
	case SHAPE_NUMERIC:
		writer_be64(w, 0); /* ndigits, weight, sign, dscale */
		return true;
	case SHAPE_DATE:
	case SHAPE_TIMESTAMP:
	case SHAPE_TIMESTAMPTZ:
		return date_binary(t, keep_year, value, w);
	case SHAPE_INET:
	case SHAPE_CIDR:
		writer_be32(w, t->shape == SHAPE_CIDR ? 0x02200104 : 0x02200004); /* family, bits, is_cidr, length */
		writer_be32(w, 0);
		return true;
	case SHAPE_BYTEA:
		return true;
	default:
		return false;
	}
}

bool pg_type_zero(const struct pg_type *t, bool binary, bool keep_year, bool iso, struct bytes value, struct writer *w)
{
	if (binary)
		return zero_binary(t, keep_year, value, w);
	switch (t->shape) {
	case SHAPE_INTEGER:
	case SHAPE_FLOAT:
	case SHAPE_NUMERIC:
		writer_str(w, "0");
		return true;
	case SHAPE_MONEY:
		return false; /* its text is the locale's */
	case SHAPE_BOOL:
		writer_str(w, "f");
		return true;
	case SHAPE_DATE:
	case SHAPE_TIMESTAMP:
	case SHAPE_TIMESTAMPTZ:
		return date_text(t, keep_year, iso, value, w);
	case SHAPE_UUID:
		writer_str(w, "00000000-0000-0000-0000-000000000000");
		return true;
	case SHAPE_INET:
		writer_str(w, "0.0.0.0");
		return true;
	case SHAPE_CIDR:
		writer_str(w, "0.0.0.0/32");
		return true;
	case SHAPE_BYTEA:
		writer_str(w, "\\x");
		return true;
	default:
		return false;
	}
}

static void unsigned_text(uint64_t value, struct writer *w)
{
	char text[20];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	writer_bytes(w, text + at, sizeof(text) - at);
}

static void signed_text(int64_t value, struct writer *w)
{
	if (value < 0)
		writer_u8(w, '-');
	unsigned_text(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, w);
}

static bool float_text(const struct pg_type *t, struct reader *r, struct writer *w)
{
	double d;

	if (t->width == 4) {
		uint32_t bits = reader_be32(r);
		float f;

		memcpy(&f, &bits, sizeof(f));
		d = (double)f;
	} else {
		uint64_t bits = reader_be64(r);

		memcpy(&d, &bits, sizeof(d));
	}
	/* Only whole numbers can be a number of somebody. */
	if (!(d > -9e18 && d < 9e18) || d != (double)(int64_t)d)
		return false;
	signed_text((int64_t)d, w);
	return true;
}

/* Base-10000 digits (numeric.c numeric_send). */
static bool numeric_text(struct reader *r, struct writer *w)
{
	unsigned digits = reader_be16(r);
	int weight = (int16_t)reader_be16(r);
	unsigned sign = reader_be16(r);
	bool begun = false;

	reader_be16(r); /* dscale */
	if (!r->ok || weight > 12 || weight < -4 || digits > 16 || (sign != 0 && sign != 0x4000))
		return false;
	for (int i = 0; i <= weight || i < (int)digits; i++) {
		unsigned group = i < (int)digits ? reader_be16(r) : 0;

		if (i == weight + 1)
			writer_u8(w, '.');
		for (unsigned unit = 1000; unit; unit /= 10) {
			begun |= group / unit % 10 || i > weight || (i == weight && unit == 1);
			if (begun)
				writer_u8(w, (uint8_t)('0' + group / unit % 10));
		}
	}
	return r->ok && begun;
}

bool pg_type_decimal(const struct pg_type *t, struct bytes value, struct writer *w)
{
	struct reader r = reader_of_bytes(value);

	switch (t->shape) {
	case SHAPE_INTEGER:
		if (value.len != t->width)
			return false;
		signed_text(t->width == 8 ? (int64_t)reader_be64(&r) : t->width == 4 ? (int64_t)(int32_t)reader_be32(&r) :
			    (int64_t)(int16_t)reader_be16(&r), w);
		return w->ok;
	case SHAPE_FLOAT:
		return value.len == t->width && float_text(t, &r, w) && w->ok;
	case SHAPE_NUMERIC:
		return numeric_text(&r, w) && w->ok;
	default:
		return false;
	}
}
