/* cosignature.c: see cosignature.h. Text is read line by line, each line whole; numbers have one way to be written. */
#include "control/anchor/cosignature.h"

#include <stdio.h>

#include "control/journal/base64.h"
#include "control/journal/note_text.h"

#define TYPE 0x04
#define RAW_BYTES (4 + 8 + 64)

static const char dash[] = "\xe2\x80\x94 ";

/* --- keys ---------------------------------------------------------------------------------------------------------------- */

void witness_key_id(struct witness_key *k)
{
	uint8_t text[CHECKPOINT_ORIGIN_MAX + 34];
	struct writer w = writer_of(text, sizeof(text));
	struct merkle_hash hash;

	writer_str(&w, k->name);
	writer_u8(&w, '\n');
	writer_u8(&w, TYPE);
	writer_bytes(&w, k->key, sizeof(k->key));
	hash = merkle_sha256(writer_done(&w));
	memcpy(k->id, hash.b, sizeof(k->id));
}

const char *witness_key_read(struct bytes text, struct witness_key *out)
{
	uint8_t id[4], raw[33];
	struct writer id_w = writer_of(id, sizeof(id)), raw_w = writer_of(raw, sizeof(raw));
	struct witness_key k = { 0 };
	const uint8_t *plus;
	struct reader r;

	*out = k;
	if (text.len && text.base[text.len - 1] == '\n')
		text.len--;
	plus = text.len ? memchr(text.base, '+', text.len) : NULL;
	if (!plus || (size_t)(plus - text.base) >= sizeof(k.name) || memchr(text.base, 0, (size_t)(plus - text.base)))
		return "a witness's key without a name";
	r = reader_of_bytes(text);
	memcpy(k.name, text.base, (size_t)(plus - text.base));
	reader_skip(&r, (size_t)(plus - text.base) + 1);
	if (!checkpoint_origin_ok(k.name))
		return "a witness's key without a name";
	if (!hex_read(reader_bytes(&r, 8), &id_w) || id_w.len != sizeof(id) || reader_u8(&r) != '+')
		return "a witness's key without an id";
	if (!base64_read(reader_rest(&r), &raw_w) || raw_w.len != sizeof(raw) || raw[0] != TYPE)
		return "no Ed25519 key of a witness (type 0x04)";
	memcpy(k.key, raw + 1, sizeof(k.key));
	witness_key_id(&k);
	if (memcmp(id, k.id, sizeof(id)) != 0)
		return "a witness's key whose id is not its own";
	*out = k;
	return NULL;
}

bool witness_key_write(const struct witness_key *k, struct writer *out)
{
	uint8_t raw[33] = { TYPE };

	memcpy(raw + 1, k->key, sizeof(k->key));
	writer_str(out, k->name);
	writer_u8(out, '+');
	hex_write(out, bytes_of(k->id, sizeof(k->id)));
	writer_u8(out, '+');
	base64_write(out, bytes_of(raw, sizeof(raw)));
	return out->ok;
}

/* --- lines --------------------------------------------------------------------------------------------------------------- */

static bool message(uint64_t time_s, struct bytes body, struct writer *out)
{
	char head[64];

	snprintf(head, sizeof(head), "cosignature/v1\ntime %llu\n", (unsigned long long)time_s);
	writer_str(out, head);
	writer_put(out, body);
	return out->ok;
}

/* Whether the line is one of this key, and its parts. */
static bool line_read(struct bytes line, const struct witness_key *key, uint64_t *time_s, uint8_t signature[64])
{
	uint8_t raw[RAW_BYTES];
	struct writer w = writer_of(raw, sizeof(raw));
	struct reader r = reader_of_bytes(line), parts;

	if (!bytes_equal(reader_bytes(&r, sizeof(dash) - 1), bytes_str(dash)) || !bytes_equal(reader_bytes(&r, strlen(key->name)), bytes_str(key->name)) ||
	    reader_u8(&r) != ' ' || !base64_read(reader_rest(&r), &w) || w.len != sizeof(raw))
		return false;
	parts = reader_of(raw, sizeof(raw));
	if (!bytes_equal(reader_bytes(&parts, 4), bytes_of(key->id, 4)))
		return false;
	*time_s = reader_be64(&parts);
	memcpy(signature, parts.at, 64);
	return *time_s <= INT64_MAX;
}

bool cosignature_read(struct bytes text, struct witness_key *key, uint64_t *time_s)
{
	struct reader r = reader_of_bytes(text), name;
	struct bytes line = note_line(&r);
	uint8_t signature[64], raw[RAW_BYTES];
	struct writer w = writer_of(raw, sizeof(raw));
	const uint8_t *space;

	*key = (struct witness_key){ 0 };
	*time_s = 0;
	if (!r.ok || r.left || line.len < sizeof(dash))
		return false;
	name = reader_of_bytes(line);
	reader_skip(&name, sizeof(dash) - 1);
	space = memchr(name.at, ' ', name.left);
	if (!space || (size_t)(space - name.at) >= sizeof(key->name))
		return false;
	memcpy(key->name, name.at, (size_t)(space - name.at));
	reader_skip(&name, (size_t)(space - name.at) + 1);
	if (checkpoint_origin_ok(key->name) && base64_read(reader_rest(&name), &w) && w.len == sizeof(raw)) {
		memcpy(key->id, raw, sizeof(key->id));
		if (line_read(line, key, time_s, signature))
			return true;
	}
	*key = (struct witness_key){ 0 };
	*time_s = 0;
	return false;
}

static bool verify(const struct witness_key *key, uint64_t time_s, const uint8_t signature[64], struct bytes body)
{
	uint8_t text[CHECKPOINT_BODY_MAX + 64];
	struct writer w = writer_of(text, sizeof(text));
	EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->key, sizeof(key->key));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = message(time_s, body, &w) && public && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, public) == 1 &&
		    EVP_DigestVerify(ctx, signature, 64, text, w.len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(public);
	return good;
}

const char *cosignature_find(struct bytes lines, struct bytes body, const struct witness_key *key, struct bytes *line, uint64_t *time_s)
{
	struct reader r = reader_of_bytes(lines);
	uint8_t signature[64];

	*line = (struct bytes){ 0 };
	*time_s = 0;
	if (lines.len > COSIGNATURE_ANSWER_BYTES)
		return "an answer too long";
	while (r.left) {
		struct bytes text = note_line(&r);

		if (!r.ok)
			return "an answer that is not lines";
		if (!line_read(text, key, time_s, signature))
			continue;
		if (!verify(key, *time_s, signature, body)) {
			*time_s = 0;
			return "a wrong cosignature";
		}
		*line = bytes_of(text.base, text.len + 1);
		return NULL;
	}
	*time_s = 0;
	return "no cosignature of the configured key";
}

bool cosignature_sign(EVP_PKEY *private, const struct witness_key *key, struct bytes body, uint64_t time_s, struct writer *out)
{
	uint8_t text[CHECKPOINT_BODY_MAX + 64], raw[8 + 64];
	struct writer w = writer_of(text, sizeof(text)), r = writer_of(raw, sizeof(raw));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 64;
	bool good;

	writer_be64(&r, time_s);
	good = message(time_s, body, &w) && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, private) == 1 &&
	       EVP_DigestSign(ctx, raw + 8, &len, text, w.len) == 1 && len == 64 && checkpoint_signature_line(key->name, key->id, bytes_of(raw, sizeof(raw)), out);
	EVP_MD_CTX_free(ctx);
	return good;
}

/* --- requests ------------------------------------------------------------------------------------------------------------ */

bool cosignature_request_write(const struct cosignature_request *q, struct writer *out)
{
	char head[40];

	if (q->proof.count > COSIGNATURE_PROOF_MAX)
		return out->ok = false;
	snprintf(head, sizeof(head), "old %llu\n", (unsigned long long)q->old_size);
	writer_str(out, head);
	for (size_t i = 0; i < q->proof.count; i++) {
		base64_write(out, bytes_of(q->proof.hash[i].b, MERKLE_HASH_BYTES));
		writer_u8(out, '\n');
	}
	writer_u8(out, '\n');
	writer_put(out, q->note);
	return out->ok;
}

static bool request_read(struct bytes text, struct cosignature_request *out)
{
	struct reader r = reader_of_bytes(text);
	struct bytes line = note_line(&r);

	if (line.len < 5 || memcmp(line.base, "old ", 4) != 0 || !note_decimal(bytes_of(line.base + 4, line.len - 4), &out->old_size))
		return false;
	for (line = note_line(&r); r.ok && line.len; line = note_line(&r)) {
		struct writer w = writer_of(out->proof.hash[out->proof.count].b, MERKLE_HASH_BYTES);

		if (out->proof.count == COSIGNATURE_PROOF_MAX || !base64_read(line, &w) || w.len != MERKLE_HASH_BYTES)
			return false;
		out->proof.count++;
	}
	out->note = reader_rest(&r);
	return r.ok && out->note.len > 0;
}

bool cosignature_request_read(struct bytes text, struct cosignature_request *out)
{
	*out = (struct cosignature_request){ 0 };
	if (request_read(text, out))
		return true;
	*out = (struct cosignature_request){ 0 };
	return false;
}

bool cosignature_size_read(struct bytes text, uint64_t *size)
{
	return text.len && text.base[text.len - 1] == '\n' ? note_decimal(bytes_of(text.base, text.len - 1), size) : note_decimal(text, size);
}
