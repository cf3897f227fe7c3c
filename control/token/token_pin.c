#include "control/token/token_pin.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "platform/base/secret.h"

/* As for key files (signer_keys.c): the owner's eyes only; systemd's credentials are root's with an access list. */
static bool is_private(const struct stat *st)
{
	mode_t allowed = st->st_uid == 0 && st->st_gid == 0 ? 0037 : 0077;

	return S_ISREG(st->st_mode) && (st->st_mode & allowed) == 0 && (st->st_uid == 0 || st->st_uid == geteuid());
}

const char *token_pin_open(struct token_pin *p, const char *path)
{
	*p = (struct token_pin){ .fd = -1 };
	if (!path)
		return NULL;
	p->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (p->fd < 0)
		return "the PIN's file of pin-source= is not there, or cannot be opened by the signer's user";
	if (fstat(p->fd, &p->at) == 0 && is_private(&p->at))
		return NULL;
	token_pin_close(p);
	return "the PIN's file of pin-source= is one that others may read: it has to be the signer's alone (mode 0400)";
}

bool token_pin_identity(const struct token_pin *p, struct bytes config, uint8_t out[32])
{
	uint8_t room[128];
	struct writer w = writer_of(room, sizeof room);
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	bool good;

	/* Not a hash of the PIN: a short one could be guessed from it. */
	if (p->fd >= 0) {
		writer_be64(&w, p->at.st_dev);
		writer_be64(&w, p->at.st_ino);
		writer_be64(&w, (uint64_t)p->at.st_size);
		writer_be64(&w, (uint64_t)p->at.st_mtim.tv_sec);
		writer_be64(&w, (uint64_t)p->at.st_mtim.tv_nsec);
		writer_be64(&w, (uint64_t)p->at.st_ctim.tv_sec);
		writer_be64(&w, (uint64_t)p->at.st_ctim.tv_nsec);
	}
	good = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(hash, room, writer_done(&w).len) == 1 &&
	       EVP_DigestUpdate(hash, config.base, config.len) == 1 && EVP_DigestFinal_ex(hash, out, NULL) == 1;
	EVP_MD_CTX_free(hash);
	return good;
}

const char *token_pin_read(const struct token_pin *p, uint8_t pin[TOKEN_PIN_BYTES_MAX], size_t *len)
{
	uint8_t text[TOKEN_PIN_BYTES_MAX + 2];
	ssize_t got = pread(p->fd, text, sizeof text, 0);
	const char *wrong = NULL;

	*len = got > 0 ? (size_t)got : 0;
	while (*len && (text[*len - 1] == '\n' || text[*len - 1] == '\r'))
		(*len)--;
	if (*len == 0 || *len > TOKEN_PIN_BYTES_MAX)
		wrong = "the PIN's file of pin-source= is empty, too long, or cannot be read";
	else
		memcpy(pin, text, *len);
	secret_wipe(text, sizeof text);
	return wrong;
}

void token_pin_close(struct token_pin *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}
