#include "control/journal/checkpoint.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>

#include "control/journal/base64.h"
#include "control/journal/note_text.h"

/* signed-note: each signature line starts with an em dash (U+2014) and a space. */
static const char dash[] = "\xe2\x80\x94 ";

#define SIGNATURE_MAX 256 /* bytes after base64, key id included */

bool checkpoint_origin_ok(const char *origin)
{
	size_t len = strnlen(origin, CHECKPOINT_ORIGIN_MAX);

	if (len == 0 || len == CHECKPOINT_ORIGIN_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (origin[i] <= ' ' || origin[i] > '~' || origin[i] == '+')
			return false;
	return true;
}

bool checkpoint_body(const struct checkpoint *c, struct writer *out)
{
	char size[24];

	snprintf(size, sizeof size, "\n%llu\n", (unsigned long long)c->size);
	writer_str(out, c->origin);
	writer_str(out, size);
	base64_write(out, bytes_of(c->root.b, sizeof c->root.b));
	writer_u8(out, '\n');
	return out->ok;
}

struct signature {
	struct bytes name;
	uint8_t id[4];
	uint8_t bytes[SIGNATURE_MAX];
	size_t len;
};

/* One signature line; false when it is none. */
static bool signature_read(struct bytes text, struct signature *out)
{
	struct reader r = reader_of_bytes(text);
	struct writer raw = writer_of(out->bytes, sizeof out->bytes);
	const uint8_t *space;

	if (!bytes_equal(reader_bytes(&r, sizeof dash - 1), bytes_str(dash)))
		return false;
	space = r.left ? memchr(r.at, ' ', r.left) : NULL;
	if (!space || space == r.at)
		return false;
	out->name = reader_bytes(&r, (size_t)(space - r.at));
	reader_skip(&r, 1);
	if (!base64_read(reader_rest(&r), &raw) || raw.len <= sizeof out->id)
		return false;
	memcpy(out->id, out->bytes, sizeof out->id);
	out->len = raw.len - sizeof out->id;
	memmove(out->bytes, out->bytes + sizeof out->id, out->len);
	return true;
}

const char *checkpoint_parse(struct bytes text, bool note, struct checkpoint *out, struct bytes *body)
{
	struct reader r = reader_of_bytes(text);
	struct bytes origin = note_line(&r), size = note_line(&r), root = note_line(&r);
	struct checkpoint c = { 0 };
	struct writer hash = writer_of(c.root.b, sizeof c.root.b);
	struct signature s;
	unsigned signatures = 0;

	*out = c;
	if (body)
		*body = (struct bytes){ 0 };
	if (!r.ok || text.len > CHECKPOINT_BYTES_MAX || origin.len >= sizeof c.origin)
		return "a checkpoint that is not three lines";
	if (memchr(origin.base, 0, origin.len))
		return "an origin that is none";
	memcpy(c.origin, origin.base, origin.len);
	if (!checkpoint_origin_ok(c.origin))
		return "an origin that is none";
	if (!note_decimal(size, &c.size))
		return "a tree size that is no decimal number";
	if (!base64_read(root, &hash) || hash.len != sizeof c.root.b)
		return "a root that is not 32 bytes of base64";
	if (!note) {
		if (r.left)
			return "bytes after the checkpoint's body";
		*out = c;
		return NULL;
	}
	if (body)
		*body = bytes_of(text.base, text.len - r.left);
	if (note_line(&r).len != 0 || !r.ok)
		return "a checkpoint without the empty line before its signatures";
	for (; r.left; signatures++)
		if (!signature_read(note_line(&r), &s) || !r.ok || signatures == CHECKPOINT_SIGNATURES_MAX)
			return "a signature line that is none";
	if (signatures == 0)
		return "a checkpoint without a signature";
	*out = c;
	return NULL;
}

/* --- signatures ------------------------------------------------------------------------------------------------------- */

void checkpoint_id_ed25519(const char *name, const uint8_t key[32], uint8_t id[4])
{
	uint8_t text[CHECKPOINT_ORIGIN_MAX + 34];
	struct writer w = writer_of(text, sizeof text);
	struct merkle_hash hash;

	writer_str(&w, name);
	writer_u8(&w, '\n');
	writer_u8(&w, CHECKPOINT_ED25519);
	writer_bytes(&w, key, 32);
	hash = merkle_sha256(writer_done(&w));
	memcpy(id, hash.b, 4);
}

void checkpoint_id_p256(struct bytes spki, uint8_t id[4])
{
	struct merkle_hash hash = merkle_sha256(spki);

	memcpy(id, hash.b, 4);
}

bool checkpoint_signature_line(const char *name, const uint8_t id[4], struct bytes signature, struct writer *out)
{
	uint8_t raw[SIGNATURE_MAX];
	struct writer w = writer_of(raw, sizeof raw);

	writer_bytes(&w, id, 4);
	writer_put(&w, signature);
	if (!w.ok)
		return out->ok = false;
	writer_str(out, dash);
	writer_str(out, name);
	writer_u8(out, ' ');
	base64_write(out, writer_done(&w));
	writer_u8(out, '\n');
	return out->ok;
}

static EVP_PKEY *key_ed25519(const struct checkpoint_keys *keys)
{
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, keys->ed25519, sizeof keys->ed25519);
}

/* OpenSSL 3.0 decodes a SubjectPublicKeyInfo in many times what the signature costs, and an audit asks for the same few keys at each
 * checkpoint: those that were asked for last are kept, by their bytes. For any thread.
 */
#define KEYS_KEPT 4u

static struct {
	pthread_mutex_t lock;
	struct {
		uint8_t spki[CHECKPOINT_SPKI_MAX];
		size_t len;
		EVP_PKEY *key;
	} key[KEYS_KEPT];
	unsigned oldest;
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

static EVP_PKEY *decode_p256(struct bytes spki)
{
	const unsigned char *at = spki.base;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
	unsigned slot = kept.oldest;

	if (!key)
		return NULL;
	EVP_PKEY_free(kept.key[slot].key);
	memcpy(kept.key[slot].spki, spki.base, spki.len);
	kept.key[slot].len = spki.len;
	kept.key[slot].key = key;
	kept.oldest = (slot + 1) % KEYS_KEPT;
	return key;
}

/* A reference, or NULL. */
static EVP_PKEY *key_p256(const struct checkpoint_keys *keys)
{
	struct bytes spki = bytes_of(keys->p256_spki, keys->p256_spki_len);
	EVP_PKEY *key = NULL;

	pthread_mutex_lock(&kept.lock);
	for (unsigned i = 0; i < KEYS_KEPT && !key; i++)
		if (kept.key[i].key && bytes_equal(bytes_of(kept.key[i].spki, kept.key[i].len), spki))
			key = kept.key[i].key;
	if (!key)
		key = decode_p256(spki);
	if (key && EVP_PKEY_up_ref(key) != 1)
		key = NULL;
	pthread_mutex_unlock(&kept.lock);
	return key;
}

static enum checkpoint_signature check_one(EVP_PKEY *key, const EVP_MD *md, const struct signature *s, struct bytes body)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = key && ctx && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, s->bytes, s->len, body.base, body.len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return good ? SIGNATURE_GOOD : SIGNATURE_BAD;
}

struct checkpoint_signatures checkpoint_check_signatures(struct bytes note, const struct checkpoint_keys *keys)
{
	struct checkpoint_signatures out = { SIGNATURE_ABSENT, SIGNATURE_ABSENT };
	uint8_t ed25519[4] = { 0 }, p256[4] = { 0 };
	struct checkpoint c;
	struct bytes body;
	struct reader r;

	if (checkpoint_parse(note, true, &c, &body) != NULL)
		return out;
	checkpoint_id_ed25519(keys->name, keys->ed25519, ed25519);
	checkpoint_id_p256(bytes_of(keys->p256_spki, keys->p256_spki_len), p256);
	r = reader_of_bytes(note);
	reader_skip(&r, body.len + 1);
	while (r.left) {
		struct signature s;

		/* A line whose name or id is of no known key is not ours to judge (signed-note). */
		if (!signature_read(note_line(&r), &s) || !bytes_equal(s.name, bytes_str(keys->name)))
			continue;
		if (keys->has_ed25519 && memcmp(s.id, ed25519, 4) == 0 && out.ed25519 != SIGNATURE_BAD)
			out.ed25519 = check_one(key_ed25519(keys), NULL, &s, body);
		else if (keys->has_p256 && memcmp(s.id, p256, 4) == 0 && out.p256 != SIGNATURE_BAD)
			out.p256 = check_one(key_p256(keys), EVP_sha256(), &s, body);
	}
	return out;
}

const char *checkpoint_verify(struct bytes note, const struct checkpoint_keys *keys, struct checkpoint *out)
{
	const char *wrong = checkpoint_parse(note, true, out, NULL);
	struct checkpoint_signatures s;

	if (wrong)
		return wrong;
	s = checkpoint_check_signatures(note, keys);
	if (strcmp(out->origin, keys->name) != 0)
		wrong = "a checkpoint of another origin";
	else if (s.ed25519 == SIGNATURE_ABSENT)
		wrong = "a checkpoint without an Ed25519 signature of the known key";
	else if (s.ed25519 == SIGNATURE_BAD)
		wrong = "a wrong Ed25519 signature";
	else if (s.p256 == SIGNATURE_BAD)
		wrong = "a wrong ECDSA P-256 signature";
	if (wrong)
		*out = (struct checkpoint){ 0 };
	return wrong;
}

/* --- keys as text ----------------------------------------------------------------------------------------------------- */

bool checkpoint_vkey_write(const struct checkpoint_keys *keys, struct writer *out)
{
	uint8_t id[4], raw[33];

	if (!keys->has_ed25519)
		return out->ok = false;
	checkpoint_id_ed25519(keys->name, keys->ed25519, id);
	raw[0] = CHECKPOINT_ED25519;
	memcpy(raw + 1, keys->ed25519, 32);
	writer_str(out, keys->name);
	writer_u8(out, '+');
	hex_write(out, bytes_of(id, sizeof id));
	writer_u8(out, '+');
	base64_write(out, bytes_of(raw, sizeof raw));
	return out->ok;
}

const char *checkpoint_vkey_read(struct bytes text, struct checkpoint_keys *keys)
{
	uint8_t id[4], want[4], raw[33];
	struct writer id_w = writer_of(id, sizeof id), raw_w = writer_of(raw, sizeof raw);
	struct reader r;
	const uint8_t *plus;
	char name[CHECKPOINT_ORIGIN_MAX] = "";

	if (text.len && text.base[text.len - 1] == '\n')
		text.len--;
	plus = text.len ? memchr(text.base, '+', text.len) : NULL;
	if (!plus || (size_t)(plus - text.base) >= sizeof name)
		return "a verifier key without a name";
	r = reader_of_bytes(text);
	memcpy(name, text.base, (size_t)(plus - text.base));
	reader_skip(&r, (size_t)(plus - text.base) + 1);
	if (!checkpoint_origin_ok(name))
		return "a verifier key without a name";
	if (!hex_read(reader_bytes(&r, 8), &id_w) || id_w.len != sizeof id || reader_u8(&r) != '+')
		return "a verifier key without a key id";
	if (!base64_read(reader_rest(&r), &raw_w) || raw_w.len != sizeof raw || raw[0] != CHECKPOINT_ED25519)
		return "a verifier key that is no Ed25519 key";
	checkpoint_id_ed25519(name, raw + 1, want);
	if (memcmp(id, want, sizeof id) != 0)
		return "a verifier key whose id is not its own";
	memcpy(keys->name, name, sizeof name);
	memcpy(keys->ed25519, raw + 1, 32);
	keys->has_ed25519 = true;
	return NULL;
}

bool checkpoint_pem_write(const struct checkpoint_keys *keys, int type, struct writer *out)
{
	bool first = type == CHECKPOINT_ED25519;
	EVP_PKEY *key = first ? keys->has_ed25519 ? key_ed25519(keys) : NULL : keys->has_p256 ? key_p256(keys) : NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len;

	if (key && bio && PEM_write_bio_PUBKEY(bio, key) == 1 && (len = BIO_get_mem_data(bio, &text)) > 0)
		writer_bytes(out, text, (size_t)len);
	else
		out->ok = false;
	BIO_free(bio);
	EVP_PKEY_free(key);
	return out->ok;
}

const char *checkpoint_pem_read(struct bytes pem, struct checkpoint_keys *keys)
{
	BIO *bio = pem.len && pem.len < 65536 ? BIO_new_mem_buf(pem.base, (int)pem.len) : NULL;
	EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	char group[32] = "";
	size_t len = sizeof keys->ed25519;
	const char *wrong = NULL;

	if (key && EVP_PKEY_is_a(key, "ED25519") && EVP_PKEY_get_raw_public_key(key, keys->ed25519, &len) == 1) {
		keys->has_ed25519 = true;
	} else if (key && EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
		   strcmp(group, "prime256v1") == 0) {
		int der = i2d_PUBKEY(key, NULL);
		unsigned char *at = keys->p256_spki;

		if (der > 0 && der <= CHECKPOINT_SPKI_MAX) {
			keys->p256_spki_len = (size_t)i2d_PUBKEY(key, &at);
			keys->has_p256 = true;
		} else {
			wrong = "a P-256 key too long";
		}
	} else {
		wrong = "no Ed25519 or P-256 public key";
	}
	EVP_PKEY_free(key);
	BIO_free(bio);
	return wrong;
}
