#include "control/approval/values.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "dataplane/inspect/postgres/type_names.h"
#include "platform/base/limits.h"

#define VALUE_ROOM (2 * LIMIT_PARAMETERS_BYTES + 8) /* every byte doubled, and the quotes */

/* One value at a time. */
struct values {
	struct reader formats, types, rest;
	unsigned given, count, last;
	bool good;
};

struct value {
	uint32_t type;
	bool binary, null;
	struct bytes bytes;
};

static struct values values_of(struct bytes types, struct bytes params)
{
	struct values v = { .types = reader_of_bytes(types), .rest = reader_of_bytes(params) };

	v.given = reader_be16(&v.rest);
	v.formats = reader_sub(&v.rest, 2u * (size_t)v.given);
	v.count = reader_be16(&v.rest);
	v.good = v.rest.ok;
	if (!v.good)
		v.count = 0;
	return v;
}

static bool value_next(struct values *v, unsigned i, struct value *out)
{
	uint32_t len;

	if (i >= v->count)
		return false;
	if (i < v->given)
		v->last = reader_be16(&v->formats);
	else if (v->given != 1) /* none given: text; one: for all */
		v->last = 0;
	len = reader_be32(&v->rest);
	*out = (struct value){ .binary = v->last == 1, .null = len == UINT32_MAX, .type = v->types.left >= 4 ? reader_be32(&v->types) : 0 };
	if (!out->null)
		out->bytes = reader_bytes(&v->rest, len);
	v->good = v->rest.ok;
	return v->good;
}

/* --- as text ------------------------------------------------------------------------------------------------------------- */

static void put_hex(struct writer *w, struct bytes b, const char *between)
{
	char two[3];

	for (size_t i = 0; i < b.len; i++) {
		if (between[0] && (i == 4 || i == 6 || i == 8 || i == 10))
			writer_str(w, between);
		snprintf(two, sizeof(two), "%02x", b.base[i]);
		writer_bytes(w, two, 2);
	}
}

static bool put_number(struct writer *w, const struct value *v)
{
	struct reader r = reader_of_bytes(v->bytes);
	size_t width = v->type == 21 ? 2 : v->type == 23 || v->type == 26 ? 4 : v->type == 20 ? 8 : 0;
	long long number;
	char text[24];

	if (v->type == 16 && v->bytes.len == 1) {
		writer_str(w, v->bytes.base[0] ? "true" : "false");
		return true;
	}
	if (!width || v->bytes.len != width)
		return false;
	number = width == 2 ? (int16_t)reader_be16(&r) : width == 8 ? (int64_t)reader_be64(&r) : v->type == 26 ? (int64_t)reader_be32(&r) : (int32_t)reader_be32(&r);
	snprintf(text, sizeof(text), "%lld", number);
	writer_str(w, text);
	return true;
}

/* Types whose binary form is their text. */
static bool same_in_both(uint32_t type)
{
	return type == 25 || type == 1043 || type == 1042 || type == 19 || type == 705 || type == 114 || type == 142;
}

static void put_value(struct writer *w, const struct value *v)
{
	bool text = (!v->binary || same_in_both(v->type)) && jcs_is_utf8(v->bytes) && !memchr(v->bytes.base ? v->bytes.base : (const uint8_t *)"", 0, v->bytes.len);

	if (v->null) {
		writer_str(w, "NULL");
		return;
	}
	if (v->binary && put_number(w, v))
		return;
	writer_u8(w, '\'');
	if (!text)
		writer_str(w, "\\x");
	if (!text)
		put_hex(w, v->bytes, v->binary && v->type == 2950 && v->bytes.len == 16 ? "-" : "");
	for (size_t i = 0; text && i < v->bytes.len; i++) {
		if (v->bytes.base[i] == '\'')
			writer_u8(w, '\'');
		writer_u8(w, v->bytes.base[i]);
	}
	writer_u8(w, '\'');
}

/* --- what others see ----------------------------------------------------------------------------------------------------- */

void values_hash(struct bytes types, struct bytes params, uint8_t out[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t len[4];
	struct writer w = writer_of(len, sizeof(len));

	writer_be32(&w, (uint32_t)types.len);
	if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 || EVP_DigestUpdate(ctx, len, sizeof(len)) != 1 ||
	    EVP_DigestUpdate(ctx, types.base, types.len) != 1 || EVP_DigestUpdate(ctx, params.base, params.len) != 1 || EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		memset(out, 0, 32);
	EVP_MD_CTX_free(ctx);
}

size_t values_shown_bytes(struct bytes types, struct bytes params, size_t max)
{
	static uint8_t room[VALUE_ROOM];
	struct values v = values_of(types, params);
	struct value value;
	size_t shown = 0;

	for (unsigned i = 0; shown <= max && value_next(&v, i, &value); i++) {
		struct writer w = writer_of(room, sizeof(room));

		put_value(&w, &value);
		shown += w.ok ? w.len : max + 1;
	}
	return params.len && !(v.good && (shown > max || !v.rest.left)) ? max + 1 : shown;
}

enum list { LIST_FORMATS, LIST_TYPES, LIST_VALUES };

static void put_list(struct jcs *j, const char *key, struct values v, enum list which)
{
	static uint8_t room[VALUE_ROOM];
	struct value value;
	char name[PG_TYPE_NAME_BYTES];

	jcs_key(j, key);
	jcs_array(j);
	for (unsigned i = 0; value_next(&v, i, &value); i++) {
		struct writer w = writer_of(room, sizeof(room));

		if (which == LIST_FORMATS)
			writer_str(&w, value.binary ? "binary" : "text");
		else if (which == LIST_TYPES)
			writer_str(&w, pg_type_name(value.type, name));
		else
			put_value(&w, &value);
		jcs_str(j, writer_done(&w));
	}
	jcs_array_close(j);
}

void values_put(struct jcs *j, struct bytes types, struct bytes params)
{
	struct values v = values_of(types, params);
	uint8_t hash[32];

	/* A list that is cut short counts nothing. */
	if (params.len && values_shown_bytes(types, params, SIZE_MAX - 1) == SIZE_MAX)
		v.count = 0;
	values_hash(types, params, hash);
	jcs_put_int(j, "count", v.count);
	put_list(j, "formats", v, LIST_FORMATS);
	jcs_put_hex(j, "h", bytes_of(hash, sizeof(hash)));
	put_list(j, "types", v, LIST_TYPES);
	put_list(j, "values", v, LIST_VALUES);
}
