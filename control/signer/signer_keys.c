#include "control/signer/signer_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/os/durable.h"

#define KEY_FILE_BYTES_MAX 4096

static const char ed25519_file[] = "ed25519.pem", p256_file[] = "p256.pem", uri_file[] = "p256.uri";

/* Zeros over the bytes, on disk; the file stays. What a file system keeps of older blocks is out of reach. */
static bool wipe_file(const char *path)
{
	static const uint8_t zeros[KEY_FILE_BYTES_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= KEY_FILE_BYTES_MAX && fchmod(fd, 0600) == 0;

	if (fd >= 0)
		close(fd);
	fd = good ? open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	good = fd >= 0 && write(fd, zeros, (size_t)st.st_size) == st.st_size && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return good;
}

static const char *read_key(int fd, EVP_PKEY **key)
{
	char *text = OPENSSL_secure_zalloc(KEY_FILE_BYTES_MAX);
	ssize_t len = text ? read(fd, text, KEY_FILE_BYTES_MAX) : -1;
	BIO *bio = len > 0 && len < KEY_FILE_BYTES_MAX ? BIO_new_mem_buf(text, (int)len) : NULL;

	*key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	OPENSSL_secure_clear_free(text, KEY_FILE_BYTES_MAX);
	return *key ? NULL : "a key file that holds no private key";
}

/* Owner's eyes only. systemd's credentials are root's, with an access list whose mask shows as the group's read bit. */
static bool is_private(const struct stat *st)
{
	mode_t allowed = st->st_uid == 0 && st->st_gid == 0 ? 0037 : 0077;

	return S_ISREG(st->st_mode) && (st->st_mode & allowed) == 0 && (st->st_uid == 0 || st->st_uid == geteuid());
}

/* Whole or not at all: a start that was killed here begins anew. */
static const char *write_key(const char *dir, const char *path, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text = NULL, temp[PATH_MAX + 8];
	long len = 0;
	bool ok = bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
		  (len = BIO_get_mem_data(bio, &text)) > 0;

	snprintf(temp, sizeof temp, "%s.new", path);
	(void)wipe_file(temp);
	(void)unlink(temp);
	ok = ok && durable_create(temp, bytes_of(text, (size_t)len), 0400) && rename(temp, path) == 0 && durable_sync_dir(dir) == 0;
	BIO_free(bio);
	return ok ? NULL : "a key file cannot be written";
}

static const char *load_one(const char *dir, const char *prefix, const char *file, bool init, EVP_PKEY **key)
{
	const bool p256 = file == p256_file;
	char path[PATH_MAX];
	const char *wrong = NULL;
	struct stat st;
	int fd;

	if ((size_t)snprintf(path, sizeof path, "%s/%s%s", dir, prefix, file) >= sizeof path)
		return "a path too long";
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT && init) {
		*key = p256 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256") : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		return *key ? write_key(dir, path, *key) : "a key cannot be made";
	}
	if (fd < 0)
		return errno == ENOENT && p256 ? NULL : "a key file cannot be opened";
	if (fstat(fd, &st) != 0 || !is_private(&st))
		wrong = "a key file that others may read";
	else
		wrong = read_key(fd, key);
	close(fd);
	return wrong;
}

static const char *publish(struct signer_keys *k)
{
	EVP_PKEY *second = k->token.is_used ? k->token.public : k->p256;
	size_t len = sizeof k->public.ed25519;
	unsigned char *at = k->public.p256_spki;
	int der;

	if (!EVP_PKEY_is_a(k->ed25519, "ED25519") || EVP_PKEY_get_raw_public_key(k->ed25519, k->public.ed25519, &len) != 1)
		return "ed25519.pem holds another kind of key";
	k->public.has_ed25519 = true;
	if (!second)
		return NULL;
	der = i2d_PUBKEY(second, NULL);
	if (!EVP_PKEY_is_a(second, "EC") || EVP_PKEY_get_bits(second) != 256 || der <= 0 || der > CHECKPOINT_SPKI_MAX)
		return "p256.pem holds another kind of key";
	k->public.p256_spki_len = (size_t)i2d_PUBKEY(second, &at);
	k->public.has_p256 = true;
	return NULL;
}

static bool is_there(const char *dir, const char *prefix, const char *file)
{
	char path[PATH_MAX];
	struct stat st;

	return (size_t)snprintf(path, sizeof path, "%s/%s%s", dir, prefix, file) < sizeof path && lstat(path, &st) == 0;
}

bool signer_keys_have_p256(const char *dir, const char *prefix)
{
	return is_there(dir, prefix, p256_file) || is_there(dir, prefix, uri_file);
}

/* The second key: in a token where p256.uri says so, and else in its file. */
static const char *load_second(struct signer_keys *k, const struct signer_place *place, const char *prefix, bool init, bool *of_token)
{
	if (!is_there(place->dir, prefix, uri_file))
		return load_one(place->dir, prefix, p256_file, init, &k->p256);
	if (is_there(place->dir, prefix, p256_file))
		return "p256.pem and p256.uri: both are there, and only one can be the second key: remove one";
	*of_token = true;
	return signer_token_open(&k->token, place, prefix);
}

const char *signer_keys_load(struct signer_keys *k, const struct signer_place *place, const char *prefix, bool init, bool *of_token)
{
	bool token = false;
	const char *wrong;

	*k = (struct signer_keys){ 0 };
	if (!checkpoint_origin_ok(place->origin))
		return "an origin that is none";
	snprintf(k->public.name, sizeof k->public.name, "%s", place->origin);
	wrong = load_one(place->dir, prefix, ed25519_file, init, &k->ed25519);
	if (!wrong)
		wrong = load_second(k, place, prefix, init, &token);
	if (!wrong)
		wrong = publish(k);
	if (wrong)
		signer_keys_free(k);
	if (of_token)
		*of_token = wrong && token;
	return wrong;
}

void signer_keys_free(struct signer_keys *k)
{
	EVP_PKEY_free(k->ed25519);
	EVP_PKEY_free(k->p256);
	signer_token_close(&k->token);
	*k = (struct signer_keys){ 0 };
}

/* A file that holds a key; p256.uri has no secret. */
static bool holds_key(const char *file)
{
	return file != uri_file;
}

/* An old file that is not renamed over: its bytes, then its name. */
static bool remove_old(const char *dir, const char *file)
{
	char path[PATH_MAX];

	if (!is_there(dir, "", file))
		return true;
	return (size_t)snprintf(path, sizeof path, "%s/%s", dir, file) < sizeof path && (!holds_key(file) || wipe_file(path)) && unlink(path) == 0;
}

static bool replace_one(const char *dir, const char *prefix, const char *file)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct stat st;

	if ((size_t)snprintf(from, sizeof from, "%s/%s%s", dir, prefix, file) >= sizeof from)
		return false;
	snprintf(to, sizeof to, "%s/%s", dir, file);
	if (lstat(from, &st) != 0)
		return errno == ENOENT;
	if (holds_key(file) && lstat(to, &st) == 0 && !wipe_file(to))
		return false;
	return rename(from, to) == 0;
}

/* The old one goes before the new one comes: never are there both, wherever this ends. */
static bool replace_second(const char *dir, const char *prefix)
{
	if (is_there(dir, prefix, uri_file))
		return remove_old(dir, p256_file) && replace_one(dir, prefix, uri_file);
	if (is_there(dir, prefix, p256_file))
		return remove_old(dir, uri_file) && replace_one(dir, prefix, p256_file);
	return true;
}

bool signer_keys_replace(const char *dir, const char *prefix)
{
	bool ed25519 = replace_one(dir, prefix, ed25519_file), p256 = replace_second(dir, prefix);
	bool synced = durable_sync_dir(dir) == 0;

	return ed25519 && p256 && synced;
}

static bool sign_one(EVP_PKEY *key, const EVP_MD *md, struct bytes body, uint8_t signature[SIGNER_SIGNATURE_BYTES_MAX], size_t *len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok;

	*len = SIGNER_SIGNATURE_BYTES_MAX;
	ok = ctx && EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1 && EVP_DigestSign(ctx, signature, len, body.base, body.len) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

const char *signer_keys_sign(struct signer_keys *k, struct bytes body, struct writer *lines)
{
	const struct checkpoint_keys *p = &k->public;
	uint8_t id[4], signature[SIGNER_SIGNATURE_BYTES_MAX];
	const char *wrong;
	size_t len;

	checkpoint_id_ed25519(p->name, p->ed25519, id);
	if (!sign_one(k->ed25519, NULL, body, signature, &len) || !checkpoint_signature_line(p->name, id, bytes_of(signature, len), lines))
		return "the keys do not sign";
	if (!p->has_p256)
		return NULL;
	checkpoint_id_p256(bytes_of(p->p256_spki, p->p256_spki_len), id);
	if (k->token.is_used)
		wrong = signer_token_sign(&k->token, body, signature, &len);
	else
		wrong = sign_one(k->p256, EVP_sha256(), body, signature, &len) ? NULL : "the keys do not sign";
	if (!wrong && !checkpoint_signature_line(p->name, id, bytes_of(signature, len), lines))
		wrong = "the keys do not sign";
	return wrong;
}
