/* scram.c: RFC 5802 3, with SHA-256 (RFC 7677).
 *
 *	SaltedPassword  := Hi(Normalize(password), salt, i)          slow; remembered
 *	ClientKey       := HMAC(SaltedPassword, "Client Key")
 *	StoredKey       := H(ClientKey)
 *	AuthMessage     := client-first-bare "," server-first "," client-final-without-proof
 *	ClientProof     := ClientKey XOR HMAC(StoredKey, AuthMessage)
 *	ServerSignature := HMAC(HMAC(SaltedPassword, "Server Key"), AuthMessage)
 *
 * Both messages come from processes that are not trusted, so each attribute is read in its order and nothing else.
 */
#include "control/credential/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "control/credential/vault.h"
#include "platform/base/random.h"
#include "platform/base/secret.h"

#define DIGEST 32
#define REMEMBERED 64
#define SALT_MIN 8
#define SALT_MAX 64
#define NONCE_MIN 16
#define NONCE_MAX 256
#define INPUT_MAX 1024
#define LOGIN_MAX 256
#define BINDING_MAX 192 /* GS2 header and the longest tls-server-end-point hash */

/* What is remembered. `key` is the keyed hash of login, password, salt and iterations. */
struct salted {
	uint64_t used; /* 0: free */
	uint8_t key[DIGEST], password[DIGEST], login[DIGEST];
};

struct scram {
	uint64_t uses;
	uint8_t secret[DIGEST];
	struct salted salted[REMEMBERED];
};

struct server_first {
	struct bytes nonce, salt_text;
	uint8_t salt[SALT_MAX];
	size_t salt_len;
	uint32_t iterations;
};

static const char *const texts[] = {
#define SCRAM_RESULT(id, text) text,
#include "control/credential/scram.def"
#undef SCRAM_RESULT
};

const char *scram_result_text(enum scram_result result)
{
	return (unsigned)result < SCRAM_result_count ? texts[result] : "unknown";
}

struct scram *scram_create(void)
{
	struct scram *s = vault_alloc(sizeof(*s));

	if (s)
		random_secret(s->secret, sizeof(s->secret));
	return s;
}

void scram_destroy(struct scram *s)
{
	vault_free(s, s ? sizeof(*s) : 0);
}

static bool hmac(const uint8_t key[DIGEST], struct bytes data, uint8_t out[DIGEST])
{
	return HMAC(EVP_sha256(), key, DIGEST, data.base, data.len, out, NULL) != NULL;
}

/* RFC 5802 7, value-safe-char and printable: visible ASCII without the comma. */
static bool nonce_ok(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.base[i] < 0x21 || text.base[i] > 0x7e || text.base[i] == ',')
			return false;
	return text.len >= NONCE_MIN && text.len <= NONCE_MAX;
}

/* `name=value` up to the next comma, which is consumed, or to the end. */
static bool attribute(struct reader *r, char name, struct bytes *value)
{
	struct bytes head = reader_bytes(r, 2);
	size_t len = 0;

	*value = (struct bytes){ 0 };
	if (head.len != 2 || head.base[0] != (uint8_t)name || head.base[1] != '=')
		return false;
	while (len < r->left && r->at[len] != ',')
		len++;
	*value = reader_bytes(r, len);
	if (r->left && reader_u8(r) == ',' && r->left == 0)
		return false; /* a comma with nothing after it */
	return r->ok;
}

static enum scram_result read_client_first(struct bytes text, struct bytes *nonce)
{
	struct reader r = reader_of_bytes(text);
	struct bytes user;

	if (text.len > INPUT_MAX || !attribute(&r, 'n', &user) || !attribute(&r, 'r', nonce) || r.left || !nonce_ok(*nonce))
		return SCRAM_bad_client_first;
	return SCRAM_ok;
}

/* RFC 4648 4, canonical: decode, encode, compare. */
static bool decode_salt(struct server_first *in)
{
	uint8_t raw[SALT_MAX + 8], again[SALT_MAX * 2];
	struct bytes text = in->salt_text;
	int len, padding = 0;

	if (text.len < 4 || text.len % 4 || text.len > (SALT_MAX + 2) / 3 * 4)
		return false;
	while (padding < 2 && text.base[text.len - 1 - (size_t)padding] == '=')
		padding++;
	len = EVP_DecodeBlock(raw, text.base, (int)text.len) - padding;
	if (len < SALT_MIN || len > SALT_MAX)
		return false;
	in->salt_len = (size_t)len;
	memcpy(in->salt, raw, in->salt_len);
	return bytes_equal(bytes_of(again, (size_t)EVP_EncodeBlock(again, raw, len)), text);
}

static bool read_count(struct bytes text, uint32_t *out)
{
	*out = 0;
	/* posit-number: no leading zero; ten digits are more than the limit in any case. */
	if (text.len == 0 || text.len > 9 || text.base[0] == '0')
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.base[i] < '0' || text.base[i] > '9')
			return false;
		*out = *out * 10 + (text.base[i] - '0');
	}
	return true;
}

static enum scram_result read_server_first(struct bytes text, struct bytes client_nonce, struct server_first *in)
{
	struct reader r = reader_of_bytes(text);
	struct bytes count;

	/* RFC 5802 5.1: `m=` in front has to be refused; extensions behind are, too, as libpq does. */
	if (text.len > INPUT_MAX || !attribute(&r, 'r', &in->nonce) || !attribute(&r, 's', &in->salt_text) || !attribute(&r, 'i', &count) || r.left)
		return SCRAM_bad_server_first;
	/* The server's part has to be there: an echo of our own nonce would make the exchange replayable. */
	if (!nonce_ok(in->nonce) || in->nonce.len <= client_nonce.len || memcmp(in->nonce.base, client_nonce.base, client_nonce.len) != 0)
		return SCRAM_bad_nonce;
	if (!decode_salt(in))
		return SCRAM_bad_salt;
	if (!read_count(count, &in->iterations))
		return count.len > 9 ? SCRAM_iterations_too_many : SCRAM_bad_server_first;
	if (in->iterations < SCRAM_ITERATIONS_MIN)
		return SCRAM_iterations_too_few;
	return in->iterations > SCRAM_ITERATIONS_MAX ? SCRAM_iterations_too_many : SCRAM_ok;
}

/* RFC 5802 7, gs2-header: "n,,", "y,,", or "p=name,," and the binding data. An authorization identity is never sent. */
static bool binding_ok(struct bytes binding)
{
	static const char name[] = "p=tls-server-end-point,,";
	const size_t name_len = sizeof(name) - 1;

	if (bytes_equal(binding, bytes_str("n,,")) || bytes_equal(binding, bytes_str("y,,")))
		return true;
	return binding.len > name_len && binding.len <= BINDING_MAX && memcmp(binding.base, name, name_len) == 0;
}

/* RFC 4013 2: printable ASCII is mapped to itself. */
static bool password_ok(struct bytes password)
{
	for (size_t i = 0; i < password.len; i++)
		if (password.base[i] < 0x20 || password.base[i] > 0x7e)
			return false;
	return password.len >= 1 && password.len <= INPUT_MAX;
}

static bool memory_key(struct scram *s, const struct scram_exchange *e, const struct server_first *in, uint8_t key[DIGEST], uint8_t login[DIGEST])
{
	uint8_t text[16 + LOGIN_MAX + INPUT_MAX + SALT_MAX];
	struct writer w = writer_of(text, sizeof(text));
	bool good = hmac(s->secret, e->login, login);

	writer_be32(&w, (uint32_t)e->login.len);
	writer_put(&w, e->login);
	writer_be32(&w, (uint32_t)e->password.len);
	writer_put(&w, e->password);
	writer_be32(&w, in->iterations);
	writer_bytes(&w, in->salt, in->salt_len);
	good = good && w.ok && hmac(s->secret, writer_done(&w), key);
	secret_wipe(text, sizeof(text));
	return good;
}

/* Remembered, or derived in the place of the one that was used longest ago. */
static struct salted *salted_password(struct scram *s, const struct scram_exchange *e, const struct server_first *in)
{
	uint8_t key[DIGEST], login[DIGEST];
	struct salted *place = &s->salted[0];

	if (!memory_key(s, e, in, key, login))
		return NULL;
	for (size_t i = 0; i < REMEMBERED; i++) {
		struct salted *have = &s->salted[i];

		if (have->used && CRYPTO_memcmp(have->key, key, DIGEST) == 0) {
			have->used = ++s->uses;
			return have;
		}
		if (have->used < place->used)
			place = have;
	}
	secret_wipe(place, sizeof(*place));
	if (PKCS5_PBKDF2_HMAC((const char *)e->password.base, (int)e->password.len, in->salt, (int)in->salt_len, (int)in->iterations, EVP_sha256(), DIGEST, place->password) != 1)
		return NULL;
	memcpy(place->key, key, DIGEST);
	memcpy(place->login, login, DIGEST);
	place->used = ++s->uses;
	return place;
}

static void put_base64(struct writer *w, const uint8_t *data, size_t len)
{
	uint8_t text[BINDING_MAX * 2];
	int text_len = EVP_EncodeBlock(text, data, (int)len);

	writer_bytes(w, text, (size_t)text_len);
}

/* `auth` holds client-first-bare "," server-first "," and client-final-without-proof is appended to it and to `message`. */
static bool prove(const struct salted *salted, struct bytes auth, struct writer *message, char signature[48])
{
	uint8_t client_key[DIGEST], stored_key[DIGEST], server_key[DIGEST], mac[DIGEST];
	struct writer w = writer_of(signature, 48);
	bool good = hmac(salted->password, bytes_str("Client Key"), client_key) && EVP_Digest(client_key, DIGEST, stored_key, NULL, EVP_sha256(), NULL) == 1 &&
		    hmac(stored_key, auth, mac);

	for (size_t i = 0; i < DIGEST; i++)
		mac[i] ^= client_key[i];
	writer_str(message, ",p=");
	put_base64(message, mac, DIGEST);
	writer_u8(message, 0);
	good = good && hmac(salted->password, bytes_str("Server Key"), server_key) && hmac(server_key, auth, mac);
	put_base64(&w, mac, DIGEST);
	writer_u8(&w, 0);
	secret_wipe(client_key, sizeof(client_key));
	secret_wipe(stored_key, sizeof(stored_key));
	secret_wipe(server_key, sizeof(server_key));
	secret_wipe(mac, sizeof(mac));
	return good && message->ok && w.ok;
}

static enum scram_result compute(struct scram *s, const struct scram_exchange *e, struct scram_final *out)
{
	struct server_first in = { 0 };
	struct bytes client_nonce;
	uint8_t auth[2 * INPUT_MAX + SCRAM_MESSAGE_BYTES];
	struct writer a = writer_of(auth, sizeof(auth)), m = writer_of(out->message, sizeof(out->message));
	const struct salted *salted;
	enum scram_result result = read_client_first(e->client_first_bare, &client_nonce);

	if (!result)
		result = read_server_first(e->server_first, client_nonce, &in);
	if (result)
		return result;
	if (!binding_ok(e->channel_binding))
		return SCRAM_bad_channel_binding;
	if (!password_ok(e->password))
		return SCRAM_bad_password;
	writer_str(&m, "c=");
	put_base64(&m, e->channel_binding.base, e->channel_binding.len);
	writer_str(&m, ",r=");
	writer_put(&m, in.nonce);
	writer_put(&a, e->client_first_bare);
	writer_u8(&a, ',');
	writer_put(&a, e->server_first);
	writer_u8(&a, ',');
	writer_put(&a, writer_done(&m));
	salted = e->login.len <= LOGIN_MAX ? salted_password(s, e, &in) : NULL;
	return salted && a.ok && prove(salted, writer_done(&a), &m, out->server_signature) ? SCRAM_ok : SCRAM_failed;
}

enum scram_result scram_client_final(struct scram *s, const struct scram_exchange *exchange, struct scram_final *out)
{
	enum scram_result result;

	memset(out, 0, sizeof(*out));
	result = compute(s, exchange, out);
	if (result)
		secret_wipe(out, sizeof(*out));
	return result;
}

void scram_forget(struct scram *s, struct bytes login)
{
	uint8_t mac[DIGEST];

	if (!hmac(s->secret, login, mac))
		return;
	for (size_t i = 0; i < REMEMBERED; i++)
		if (s->salted[i].used && memcmp(s->salted[i].login, mac, DIGEST) == 0)
			secret_wipe(&s->salted[i], sizeof(s->salted[i]));
}
