/* From the inside out: a file becomes a tar member, that goes through zstd, that through OpenSSL's streaming CMS (a chain of BIOs), and what comes out of
 * that to `put`. `failed` sticks: after the first error nothing more goes anywhere, and the file is not whole. */
#include "control/export/bundle_seal.h"

#include <errno.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "platform/base/secret.h"

#define BLOCK 512u /* tar's */
#define OUT_BYTES (64u << 10)

/* POSIX.1-1988 ustar. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, linkname[100], magic[6], version[2], uname[32], gname[32], major[8], minor[8],
		prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

/* A member that comes in pieces. */
struct pending {
	char name[128];
	uint64_t size;
	ZSTD_CCtx *pack;
	FILE *out;
	char *packed;
	size_t packed_len;
};

struct bundle_seal {
	struct bundle_sink sink;
	bundle_seal_put *put;
	void *ctx;
	const struct recipients *to;
	int64_t time_s;
	CMS_ContentInfo *cms;
	BIO *end, *chain; /* `chain` seals, and ends in `end` */
	ZSTD_CCtx *zstd;
	struct pending pending;
	unsigned part;
	uint64_t bytes, part_begin, part_bytes; /* put; of that before this part; of a part at most, about */
	bool failed;
	const char *error;
	uint8_t *room; /* OUT_BYTES */
	size_t held;   /* sealed, in `out`, not given yet */
	uint8_t *out;  /* OUT_BYTES */
};

static bool give_up(struct bundle_seal *s, const char *error)
{
	if (!s->failed)
		s->error = error;
	s->failed = true;
	errno = error ? EFBIG : EPIPE;
	return false;
}

/* --- sealed bytes, on their way out ---------------------------------------------------------------------------------------- */

static bool flush(struct bundle_seal *s)
{
	if (!s->failed && s->held && !s->put(s->ctx, s->part, bytes_of(s->out, s->held)))
		give_up(s, NULL);
	s->held = 0;
	return !s->failed;
}

static int end_write(BIO *b, const char *data, int len)
{
	struct bundle_seal *s = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	for (int left = len; left > 0 && !s->failed;) {
		size_t part = OUT_BYTES - s->held < (size_t)left ? OUT_BYTES - s->held : (size_t)left;

		memcpy(s->out + s->held, data + (len - left), part);
		s->held += part;
		left -= (int)part;
		s->bytes += part;
		if (s->held == OUT_BYTES)
			flush(s);
	}
	return s->failed ? -1 : len;
}

static long end_ctrl(BIO *b, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *end_method;

/* Once in the life of the process: OpenSSL has 127 numbers to give. */
static void end_method_make(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sealed bundle");

	if (m && BIO_meth_set_write(m, end_write) == 1 && BIO_meth_set_ctrl(m, end_ctrl) == 1)
		end_method = m;
	else
		BIO_meth_free(m);
}

static BIO *end_create(struct bundle_seal *s)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *b;

	if (pthread_once(&once, end_method_make) != 0 || !end_method)
		return NULL;
	b = BIO_new(end_method);
	if (b) {
		BIO_set_data(b, s);
		BIO_set_init(b, 1);
	}
	return b;
}

/* --- the envelope ---------------------------------------------------------------------------------------------------------- */

static bool recipient_add(CMS_ContentInfo *cms, X509 *certificate)
{
	CMS_RecipientInfo *one = CMS_add1_recipient_cert(cms, certificate, CMS_KEY_PARAM);
	EVP_PKEY_CTX *key = one ? CMS_RecipientInfo_get0_pkey_ctx(one) : NULL;

	if (!one)
		return false;
	if (CMS_RecipientInfo_type(one) == CMS_RECIPINFO_TRANS)
		return key && EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_OAEP_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_oaep_md(key, EVP_sha256()) == 1 &&
		       EVP_PKEY_CTX_set_rsa_mgf1_md(key, EVP_sha256()) == 1;
	return CMS_RecipientInfo_type(one) == CMS_RECIPINFO_AGREE && key && EVP_PKEY_CTX_set_ecdh_kdf_md(key, EVP_sha256()) == 1;
}

static bool envelope_open(struct bundle_seal *s)
{
	const struct recipients *to = s->to;
	bool good = to->count > 0;

	s->cms = CMS_AuthEnvelopedData_create(EVP_aes_256_gcm());
	for (unsigned i = 0; good && i < to->count; i++)
		good = s->cms && recipient_add(s->cms, to->certificate[i]);
	if (!good || CMS_set_detached(s->cms, 0) != 1 || !(s->end = end_create(s)))
		return false;
	s->chain = BIO_new_CMS(s->end, s->cms);
	s->part++;
	s->part_begin = s->bytes;
	return s->chain != NULL;
}

/* Frees the chain down to `end`, as the library's own writer does. */
static void chain_free(struct bundle_seal *s)
{
	while (s->chain && s->chain != s->end) {
		BIO *next = BIO_pop(s->chain);

		BIO_free(s->chain);
		s->chain = next;
	}
	s->chain = NULL;
}

static void envelope_free(struct bundle_seal *s)
{
	chain_free(s);
	BIO_free(s->end);
	CMS_ContentInfo_free(s->cms);
	s->end = NULL;
	s->cms = NULL;
}

/* The part is whole, and all of it was put. */
static bool envelope_end(struct bundle_seal *s)
{
	return (BIO_flush(s->chain) == 1 && !s->failed) ? flush(s) : give_up(s, "it cannot be sealed");
}

static bool envelope_put(struct bundle_seal *s, size_t len)
{
	if (s->bytes - s->part_begin >= s->part_bytes) {
		if (s->part == BUNDLE_SEAL_PARTS_MAX)
			return give_up(s, "more parts than there are numbers for");
		if (!envelope_end(s))
			return false;
		envelope_free(s);
		if (!envelope_open(s))
			return give_up(s, "memory is short");
	}
	return BIO_write(s->chain, s->room, (int)len) == (int)len || give_up(s, "it cannot be sealed");
}

/* --- tar through zstd ------------------------------------------------------------------------------------------------------ */

static bool pack(struct bundle_seal *s, struct bytes data, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = { data.base, data.len, 0 };
	size_t left = 1;

	while (!s->failed && (how == ZSTD_e_end ? left : in.pos < in.size)) {
		ZSTD_outBuffer out = { s->room, OUT_BYTES, 0 };

		left = ZSTD_compressStream2(s->zstd, &out, &in, how);
		if (ZSTD_isError(left))
			give_up(s, "memory is short");
		else if (out.pos)
			(void)envelope_put(s, out.pos);
	}
	return !s->failed;
}

static void octal(char *out, size_t size, uint64_t value)
{
	out[size - 1] = 0;
	for (size_t i = size - 1; i-- > 0; value >>= 3)
		out[i] = (char)('0' + (value & 7));
}

static bool member_begin(struct bundle_seal *s, const char *name, uint64_t size)
{
	struct header h = { .type = '0', .magic = "ustar", .version = { '0', '0' }, .prefix = BUNDLE_SEAL_FOLDER };
	unsigned sum = 0;

	if (strlen(name) >= sizeof h.name || size >> 33)
		return give_up(s, "a file's name or size does not fit");
	memcpy(h.name, name, strlen(name));
	octal(h.mode, sizeof h.mode, 0600);
	octal(h.uid, sizeof h.uid, 0);
	octal(h.gid, sizeof h.gid, 0);
	octal(h.size, sizeof h.size, size);
	octal(h.mtime, sizeof h.mtime, (uint64_t)s->time_s);
	memset(h.checksum, ' ', sizeof h.checksum);
	for (size_t i = 0; i < sizeof h; i++)
		sum += ((const uint8_t *)&h)[i];
	octal(h.checksum, 7, sum);
	return pack(s, bytes_of(&h, sizeof h), ZSTD_e_continue);
}

static bool member_end(struct bundle_seal *s, uint64_t size)
{
	static const uint8_t zeros[BLOCK];

	return size % BLOCK == 0 || pack(s, bytes_of(zeros, BLOCK - size % BLOCK), ZSTD_e_continue);
}

static bool whole_file(void *ctx, const char *name, struct bytes data)
{
	struct bundle_seal *s = ctx;

	return !s->failed && member_begin(s, name, data.len) && pack(s, data, ZSTD_e_continue) && member_end(s, data.len);
}

/* --- files that come in pieces: their size comes first in a tar, and is known last ------------------------------------------- */

static void pending_free(struct pending *p)
{
	ZSTD_freeCCtx(p->pack);
	if (p->out)
		fclose(p->out);
	if (p->packed)
		secret_wipe(p->packed, p->packed_len);
	free(p->packed);
	*p = (struct pending){ 0 };
}

static bool pending_add(struct bundle_seal *s, struct bytes data, ZSTD_EndDirective how)
{
	struct pending *p = &s->pending;
	ZSTD_inBuffer in = { data.base, data.len, 0 };
	size_t left = 1;

	p->size += data.len;
	while (how == ZSTD_e_end ? left : in.pos < in.size) {
		ZSTD_outBuffer out = { s->room, OUT_BYTES, 0 };

		left = ZSTD_compressStream2(p->pack, &out, &in, how);
		if (ZSTD_isError(left) || fwrite(s->room, 1, out.pos, p->out) != out.pos)
			return give_up(s, "memory is short");
		if ((size_t)ftello(p->out) > BUNDLE_SEAL_PIECES_BYTES_MAX)
			return give_up(s, "a file of more than 1 GiB, packed");
	}
	return true;
}

static bool pending_unpack(struct bundle_seal *s)
{
	struct pending *p = &s->pending;
	ZSTD_inBuffer in = { p->packed, p->packed_len, 0 };
	ZSTD_DCtx *unpack = ZSTD_createDCtx();
	uint8_t *room = malloc(OUT_BYTES);
	uint64_t given = 0;
	size_t more = 1;

	while (unpack && room && !s->failed && more) {
		ZSTD_outBuffer out = { room, OUT_BYTES, 0 };

		more = ZSTD_decompressStream(unpack, &out, &in);
		if (ZSTD_isError(more) || (more && !out.pos && in.pos == in.size))
			break;
		given += out.pos;
		(void)pack(s, bytes_of(room, out.pos), ZSTD_e_continue);
	}
	ZSTD_freeDCtx(unpack);
	if (room)
		secret_wipe(room, OUT_BYTES);
	free(room);
	return given == p->size ? !s->failed : give_up(s, "memory is short");
}

static bool part_of_file(void *ctx, const char *name, struct bytes data, bool last)
{
	struct bundle_seal *s = ctx;
	struct pending *p = &s->pending;
	bool good;

	if (s->failed)
		return false;
	if (!p->out) {
		if (strlen(name) >= sizeof p->name)
			return give_up(s, "a file's name does not fit");
		memcpy(p->name, name, strlen(name) + 1);
		p->pack = ZSTD_createCCtx();
		p->out = open_memstream(&p->packed, &p->packed_len);
		if (!p->pack || !p->out)
			return give_up(s, "memory is short");
	}
	if (strcmp(p->name, name))
		return give_up(s, "two files come in pieces at once");
	good = pending_add(s, data, last ? ZSTD_e_end : ZSTD_e_continue);
	if (good && last) {
		good = fflush(p->out) == 0 && member_begin(s, p->name, p->size) && pending_unpack(s) && member_end(s, p->size);
		pending_free(p);
	}
	return good || give_up(s, "memory is short");
}

/* --- all of it ------------------------------------------------------------------------------------------------------------- */

struct bundle_seal *bundle_seal_open(const struct recipients *to, int64_t time_s, uint64_t part_bytes, bundle_seal_put *put, void *ctx)
{
	struct bundle_seal *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->sink = (struct bundle_sink){ .piece = whole_file, .part = part_of_file, .ctx = s };
	s->put = put;
	s->ctx = ctx;
	s->to = to;
	s->time_s = time_s;
	s->part_bytes = part_bytes;
	s->room = malloc(OUT_BYTES);
	s->out = malloc(OUT_BYTES);
	s->zstd = ZSTD_createCCtx();
	ERR_clear_error();
	if (s->room && s->out && s->zstd && !ZSTD_isError(ZSTD_CCtx_setParameter(s->zstd, ZSTD_c_checksumFlag, 1)) && envelope_open(s))
		return s;
	bundle_seal_close(s);
	return NULL;
}

const struct bundle_sink *bundle_seal_sink(struct bundle_seal *s)
{
	return &s->sink;
}

bool bundle_seal_finish(struct bundle_seal *s)
{
	static const uint8_t zeros[2 * BLOCK];

	if (s->pending.out)
		return give_up(s, "a file has no end");
	return pack(s, bytes_of(zeros, sizeof zeros), ZSTD_e_end) && envelope_end(s);
}

const char *bundle_seal_error(const struct bundle_seal *s)
{
	return s->error;
}

uint64_t bundle_seal_bytes(const struct bundle_seal *s)
{
	return s->bytes;
}

void bundle_seal_close(struct bundle_seal *s)
{
	if (!s)
		return;
	/* What is freed may be flushed: it goes nowhere. */
	s->failed = true;
	pending_free(&s->pending);
	envelope_free(s);
	ZSTD_freeCCtx(s->zstd);
	if (s->room)
		secret_wipe(s->room, OUT_BYTES);
	free(s->room);
	free(s->out);
	ERR_clear_error();
	free(s);
}

bool bundle_seal_export(struct archive *a, struct export_request *request, const struct recipients *to, bundle_seal_put *put, void *ctx,
			struct export_result *result, char err[EXPORT_ERROR_BYTES])
{
	struct bundle_seal *s = bundle_seal_open(to, time(NULL), BUNDLE_SEAL_PART_BYTES, put, ctx);
	bool good;

	*result = (struct export_result){ 0 };
	if (!s) {
		snprintf(err, EXPORT_ERROR_BYTES, "a bundle cannot be sealed to these certificates");
		return false;
	}
	request->sink = bundle_seal_sink(s);
	good = export_bundle(a, request, result, err);
	if (good && !bundle_seal_finish(s)) {
		snprintf(err, EXPORT_ERROR_BYTES, "the sealed bundle is not whole");
		good = false;
	}
	if (!good && bundle_seal_error(s))
		snprintf(err, EXPORT_ERROR_BYTES, "the sealed bundle: %s: take a smaller range", bundle_seal_error(s));
	bundle_seal_close(s);
	request->sink = NULL;
	return good;
}
