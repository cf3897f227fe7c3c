/* Every command takes a keyed hash and a sealed chunk. OpenSSL 3.0's EVP looks algorithms up by name, under locks, each time that it is not
 * given one that was fetched before: for texts of a hundred bytes that was nine tenths of the time. So the cipher is fetched once, and
 * HMAC (RFC 2104) is made of the hash functions themselves, as in merkle.c.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "control/journal/seal.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>

#include "platform/base/secret.h"

#define DIR_BYTES_MAX 16u
#define CHUNK_BYTES_MAX 65536u

static bool sha256(struct bytes a, struct bytes b, uint8_t out[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(ctx, a.base, a.len) == 1 &&
		    EVP_DigestUpdate(ctx, b.base, b.len) == 1 && EVP_DigestFinal_ex(ctx, out, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

void seal_commitment(const struct seal *s, uint8_t out[32])
{
	if (!sha256(bytes_str("sluice-key-commit"), bytes_of(s->key, sizeof s->key), out))
		memset(out, 0, 32);
}

/* One of the two hashes of RFC 2104: of the key with `pad`, and of `text`. */
static void hmac_pass(const uint8_t key[32], uint8_t pad, struct bytes text, uint8_t out[32])
{
	uint8_t block[SHA256_CBLOCK];
	SHA256_CTX ctx;

	memset(block, pad, sizeof block);
	for (size_t i = 0; i < 32; i++)
		block[i] ^= key[i];
	SHA256_Init(&ctx);
	SHA256_Update(&ctx, block, sizeof block);
	if (text.len)
		SHA256_Update(&ctx, text.base, text.len);
	SHA256_Final(out, &ctx);
	secret_wipe(block, sizeof block);
	secret_wipe(&ctx, sizeof ctx);
}

static void hmac(const uint8_t key[32], struct bytes text, uint8_t out[32])
{
	uint8_t inner[32];

	hmac_pass(key, 0x36, text, inner);
	hmac_pass(key, 0x5c, bytes_of(inner, sizeof inner), out);
}

void seal_command(const struct seal *s, struct bytes text, uint8_t out[32])
{
	uint8_t key[32];

	hmac(s->key, bytes_str("sluice-op"), key);
	hmac(key, text, out);
	secret_wipe(key, sizeof key);
}

static EVP_CIPHER *gcm;

static void gcm_fetch(void)
{
	gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

/* NULL when there is none, which the callers' first step refuses. */
static const EVP_CIPHER *cipher(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)!pthread_once(&once, gcm_fetch);
	return gcm;
}

bool seal_encrypt(const struct seal_cipher *c, struct bytes plain, struct writer *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *to = writer_room(out, plain.len + SEAL_TAG_BYTES);
	int len = 0, rest = 0;
	bool good = ctx && to && plain.len <= CHUNK_BYTES_MAX && cipher() && EVP_EncryptInit_ex(ctx, cipher(), NULL, c->key, c->nonce) == 1 &&
		    EVP_EncryptUpdate(ctx, NULL, &len, c->aad.base, (int)c->aad.len) == 1 &&
		    EVP_EncryptUpdate(ctx, to, &len, plain.base, (int)plain.len) == 1 && EVP_EncryptFinal_ex(ctx, to + len, &rest) == 1 &&
		    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, SEAL_TAG_BYTES, to + plain.len) == 1;

	EVP_CIPHER_CTX_free(ctx);
	if (!good)
		out->ok = false;
	return good;
}

bool seal_decrypt(const struct seal_cipher *c, struct bytes sealed, struct writer *out)
{
	size_t len_plain = sealed.len >= SEAL_TAG_BYTES ? sealed.len - SEAL_TAG_BYTES : 0, before = out->len;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t tag[SEAL_TAG_BYTES], *to = writer_room(out, len_plain);
	int len = 0, rest = 0;
	bool good = ctx && to && sealed.len >= SEAL_TAG_BYTES && len_plain <= CHUNK_BYTES_MAX;

	if (good) {
		memcpy(tag, sealed.base + len_plain, sizeof tag);
		good = cipher() && EVP_DecryptInit_ex(ctx, cipher(), NULL, c->key, c->nonce) == 1 &&
		       EVP_DecryptUpdate(ctx, NULL, &len, c->aad.base, (int)c->aad.len) == 1 &&
		       EVP_DecryptUpdate(ctx, to, &len, sealed.base, (int)len_plain) == 1 &&
		       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, SEAL_TAG_BYTES, tag) == 1 && EVP_DecryptFinal_ex(ctx, to + len, &rest) == 1;
	}
	EVP_CIPHER_CTX_free(ctx);
	if (!good && to) {
		secret_wipe(to, len_plain);
		out->len = before;
	}
	return good;
}

/* The nonce, and what is authenticated beside the content. */
static bool place(const struct seal *s, struct bytes dir, uint64_t number, uint8_t nonce[SEAL_NONCE_BYTES], struct writer *aad)
{
	struct writer w = writer_of(nonce, SEAL_NONCE_BYTES);

	writer_be32(&w, 0);
	writer_be64(&w, number);
	writer_bytes(aad, s->session, sizeof s->session);
	writer_put(aad, dir);
	writer_be64(aad, number);
	return dir.len && dir.len <= DIR_BYTES_MAX && aad->ok;
}

bool seal_put(const struct seal *s, struct bytes dir, uint64_t number, struct bytes plain, struct writer *out)
{
	uint8_t nonce[SEAL_NONCE_BYTES], aad[SEAL_SESSION_BYTES + DIR_BYTES_MAX + 8];
	struct writer w = writer_of(aad, sizeof aad);
	struct seal_cipher c = { .key = s->key, .nonce = nonce };

	if (!place(s, dir, number, nonce, &w))
		return out->ok = false;
	c.aad = writer_done(&w);
	return seal_encrypt(&c, plain, out);
}

const char *seal_open(const struct seal *s, struct bytes dir, uint64_t number, struct bytes sealed, struct writer *out)
{
	uint8_t nonce[SEAL_NONCE_BYTES], aad[SEAL_SESSION_BYTES + DIR_BYTES_MAX + 8];
	struct writer w = writer_of(aad, sizeof aad);
	struct seal_cipher c = { .key = s->key, .nonce = nonce };

	if (!place(s, dir, number, nonce, &w))
		return "a chunk whose place is none";
	c.aad = writer_done(&w);
	return seal_decrypt(&c, sealed, out) ? NULL : "not sealed with this session's key at this place";
}
