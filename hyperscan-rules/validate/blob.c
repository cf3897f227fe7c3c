/* The compiled rules as one file. */
#include "hyperscan-rules/validate/blob.h"

#include <openssl/evp.h>
#include <string.h>

static const char MAGIC[] = "SLUICEHS";

#define HEADER_BYTES (8 + 4 + 8 + 32)

static bool digest(struct bytes body, uint8_t out[32])
{
	return EVP_Digest(body.base, body.len, out, NULL, EVP_sha256(), NULL) == 1;
}

static void encode_expressions(const struct blob_expression *list, unsigned count, bool grouped, struct writer *out)
{
	writer_be16(out, (uint16_t)count);
	for (unsigned i = 0; i < count; i++) {
		if (grouped)
			writer_u8(out, list[i].group);
		for (unsigned w = 0; w < LIMIT_CLASSES / 64; w++)
			writer_be64(out, list[i].classes[w]);
	}
}

static void encode_database(struct bytes database, struct writer *out)
{
	writer_be32(out, (uint32_t)database.len);
	writer_put(out, database);
}

void blob_encode(const struct blob *blob, struct writer *out)
{
	size_t start = out->len, length_mark, digest_at;
	uint8_t hash[32] = { 0 };

	writer_bytes(out, MAGIC, 8);
	writer_be32(out, BLOB_VERSION);
	length_mark = writer_mark(out, 8);
	digest_at = out->len;
	writer_bytes(out, hash, sizeof hash);
	writer_be16(out, (uint16_t)blob->classes_count);
	for (unsigned i = 0; i < blob->classes_count; i++)
		class_encode(&blob->classes[i], out);
	encode_expressions(blob->triggers, blob->triggers_count, false, out);
	encode_expressions(blob->expressions, blob->expressions_count, true, out);
	writer_u8(out, (uint8_t)blob->groups_count);
	encode_database(blob->tier_one, out);
	for (unsigned i = 0; i < blob->groups_count; i++)
		encode_database(blob->groups[i], out);
	writer_patch(out, length_mark, 8, out->len - start);
	if (!out->ok || !digest(bytes_of(out->base + digest_at + 32, out->len - digest_at - 32), hash)) {
		out->ok = false;
		return;
	}
	memcpy(out->base + digest_at, hash, sizeof hash);
}

static bool decode_expressions(struct reader *in, struct blob_expression *list, unsigned *count, bool grouped, unsigned classes_count)
{
	*count = reader_be16(in);
	if (*count > BLOB_EXPRESSIONS)
		return false;
	for (unsigned i = 0; in->ok && i < *count; i++) {
		list[i].group = grouped ? reader_u8(in) : 0;
		if (list[i].group >= BLOB_GROUPS)
			return false;
		for (unsigned w = 0; w < LIMIT_CLASSES / 64; w++)
			list[i].classes[w] = reader_be64(in);
		for (unsigned bit = classes_count; bit < LIMIT_CLASSES; bit++)
			if (list[i].classes[bit / 64] >> (bit % 64) & 1)
				return false;
	}
	return in->ok;
}

static struct bytes decode_database(struct reader *in)
{
	uint32_t len = reader_be32(in);

	return reader_bytes(in, len);
}

static const char *decode_body(struct reader *in, struct blob *out)
{
	out->classes_count = reader_be16(in);
	if (out->classes_count > LIMIT_CLASSES)
		return "more classes than LIMIT_CLASSES";
	for (unsigned i = 0; i < out->classes_count; i++)
		if (!class_decode(in, &out->classes[i]))
			return "a class is malformed";
	if (!decode_expressions(in, out->triggers, &out->triggers_count, false, out->classes_count))
		return "the table of triggers is malformed";
	if (!decode_expressions(in, out->expressions, &out->expressions_count, true, out->classes_count))
		return "the table of expressions is malformed";
	out->groups_count = reader_u8(in);
	if (out->groups_count > BLOB_GROUPS)
		return "more groups than a blob can hold";
	for (unsigned i = 0; i < out->expressions_count; i++)
		if (out->expressions[i].group >= out->groups_count)
			return "an expression names a group that is not there";
	out->tier_one = decode_database(in);
	for (unsigned i = 0; i < out->groups_count; i++)
		out->groups[i] = decode_database(in);
	if (!in->ok || in->left != 0)
		return "the databases do not fill the file";
	return NULL;
}

const char *blob_decode(struct bytes in, struct blob *out)
{
	struct reader r = reader_of_bytes(in);
	struct bytes magic = reader_bytes(&r, 8), stored;
	uint32_t version = reader_be32(&r);
	uint64_t length = reader_be64(&r);
	uint8_t hash[32];
	const char *wrong;

	memset(out, 0, sizeof *out);
	stored = reader_bytes(&r, 32);
	if (!r.ok || memcmp(magic.base, MAGIC, 8) != 0)
		return "not a file of compiled classes";
	if (version != BLOB_VERSION)
		return "compiled by another version";
	if (length != in.len)
		return "the length in the header is not the file's";
	if (!digest(bytes_of(r.at, r.left), hash) || memcmp(hash, stored.base, 32) != 0)
		return "the checksum does not match";
	wrong = decode_body(&r, out);
	if (wrong)
		memset(out, 0, sizeof *out);
	return wrong;
}
