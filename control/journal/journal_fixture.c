#include "control/journal/journal_fixture.h"

#include <ftw.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture fixture;

int fixture_setup(void **state)
{
	fixture_dir(fixture.dir);
	fixture_signer_init(&fixture.signer);
	return 0;
}

int fixture_teardown(void **state)
{
	fixture_remove(fixture.dir);
	fixture_signer_free(&fixture.signer);
	return 0;
}

void fixture_dir(char out[128])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(out, 128, "%.90s/sluice-journal-XXXXXX", tmp ? tmp : "/dev/shm");
	if (!mkdtemp(out))
		abort();
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

void fixture_remove(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void fixture_copy(const char *from, const char *to)
{
	pid_t child = fork();
	int status = 1;

	if (child == 0) {
		execl("/bin/cp", "cp", "-aT", from, to, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		abort();
}

void fixture_signer_init(struct fixture_signer *s)
{
	size_t len = sizeof s->keys.ed25519;
	unsigned char *at = s->keys.p256_spki;

	*s = (struct fixture_signer){ .root = merkle_empty() };
	s->ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	s->p256 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	snprintf(s->keys.name, sizeof s->keys.name, "%s", FIXTURE_ORIGIN);
	if (!s->ed25519 || !s->p256 || EVP_PKEY_get_raw_public_key(s->ed25519, s->keys.ed25519, &len) != 1)
		abort();
	at = s->keys.p256_spki;
	s->keys.p256_spki_len = (size_t)i2d_PUBKEY(s->p256, &at);
	s->keys.has_ed25519 = s->keys.has_p256 = true;
}

void fixture_signer_free(struct fixture_signer *s)
{
	EVP_PKEY_free(s->ed25519);
	EVP_PKEY_free(s->p256);
}

static void sign_line(struct fixture_signer *s, EVP_PKEY *key, const EVP_MD *md, const uint8_t id[4], struct bytes body, struct writer *w)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[128];
	size_t len = sizeof signature;

	if (EVP_DigestSignInit(ctx, NULL, md, NULL, key) != 1 || EVP_DigestSign(ctx, signature, &len, body.base, body.len) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
	checkpoint_signature_line(s->keys.name, id, bytes_of(signature, len), w);
}

static bool signer_size(void *ctx, uint64_t *size)
{
	struct fixture_signer *s = ctx;

	*size = s->size;
	return !s->away;
}

static void sign_both(struct fixture_signer *s, struct bytes body, struct writer *w)
{
	uint8_t id[4];

	checkpoint_id_ed25519(s->keys.name, s->keys.ed25519, id);
	sign_line(s, s->ed25519, NULL, id, body, w);
	checkpoint_id_p256(bytes_of(s->keys.p256_spki, s->keys.p256_spki_len), id);
	sign_line(s, s->p256, EVP_sha256(), id, body, w);
}

void fixture_signer_hand_over(struct fixture_signer *s)
{
	struct fixture_signer *other = s->also, mine = *s;

	s->ed25519 = other->ed25519;
	s->p256 = other->p256;
	s->keys = other->keys;
	s->also = NULL;
	other->ed25519 = mine.ed25519;
	other->p256 = mine.p256;
	other->keys = mine.keys;
}

static bool signer_ask(void *ctx, uint64_t old_size, const struct merkle_proof *proof, struct bytes body)
{
	struct fixture_signer *s = ctx;
	struct writer w = writer_of(s->lines, sizeof s->lines);
	struct checkpoint c;

	if (checkpoint_parse(body, false, &c, NULL) != NULL || old_size != s->size ||
	    !merkle_check_consistency(s->size, &s->root, c.size, &c.root, proof))
		return false;
	sign_both(s, body, &w);
	if (s->also)
		sign_both(s->also, body, &w);
	s->lines_len = w.len;
	s->size = c.size;
	s->root = c.root;
	return true;
}

static enum journal_signer_answer signer_poll(void *ctx, struct writer *lines, const char **why)
{
	struct fixture_signer *s = ctx;

	*why = "refused by the test";
	if (s->refuse)
		return JOURNAL_SIGNER_REFUSED;
	if (s->delay) {
		s->delay--;
		return JOURNAL_SIGNER_WAIT;
	}
	writer_bytes(lines, s->lines, s->lines_len);
	return JOURNAL_SIGNER_DONE;
}

struct journal_signer fixture_signer_journal(struct fixture_signer *s)
{
	return (struct journal_signer){ .ctx = s, .size = signer_size, .ask = signer_ask, .poll = signer_poll };
}

struct bytes fixture_record(struct writer *out, unsigned session, uint64_t n, const struct record_chunk *payload)
{
	struct jcs j = jcs_of(out);
	char ts[40], sess[33];
	uint64_t second = n % 60;

	snprintf(ts, sizeof ts, "2026-11-20T10:%02u:%02u.%06uZ", session % 60, (unsigned)second, (unsigned)n % 1000000);
	snprintf(sess, sizeof sess, "%032x", session);
	jcs_open(&j);
	jcs_put_str(&j, "boot", "5f0c8a1e");
	jcs_put_uint(&j, "mono", n * 1000);
	jcs_put_uint(&j, "n", n);
	jcs_put_str(&j, "node", "test-node");
	jcs_key(&j, "op");
	jcs_open(&j);
	jcs_put_text(&j, "norm", bytes_str("select c.name, c.email from customers c where c.id = $1 and c.note = $2"));
	jcs_put_str(&j, "proto", "postgres");
	jcs_close(&j);
	jcs_key(&j, "out");
	jcs_open(&j);
	jcs_put_uint(&j, "bytes", 100 + n);
	jcs_put_str(&j, "verdict", n % 7 ? "forwarded" : "blocked");
	jcs_close(&j);
	if (payload) {
		jcs_key(&j, "pl");
		jcs_array(&j);
		record_chunk_put(&j, n % 2 ? "out" : "in", n / 10, payload);
		jcs_array_close(&j);
	}
	jcs_put_str(&j, "sess", sess);
	jcs_put_str(&j, "svc", "crm");
	jcs_put_str(&j, "t", n % 2 ? "resp" : "cmd");
	jcs_put_str(&j, "ts", ts);
	jcs_put_int(&j, "v", 1);
	jcs_key(&j, "who");
	jcs_open(&j);
	jcs_put_str(&j, "agent", "report-bot");
	jcs_put_str(&j, "person", session % 2 ? "ada" : "grace");
	jcs_close(&j);
	jcs_close(&j);
	return jcs_done(&j);
}

bool fixture_fill(struct journal *j, uint64_t count, unsigned batch, uint64_t now_us)
{
	struct journal_state state;
	uint64_t start;

	journal_state(j, &state);
	start = state.size + state.pending;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = start + i, n = at % 50, index;
		uint8_t text[4096];
		char payload[512];
		struct writer w = writer_of(text, sizeof text);
		struct record_chunk chunk;
		bool with_payload = n % 10 == 0;

		if (!journal_has_room(j, 1, 8192) && journal_commit(j, now_us) != JOURNAL_OK)
			return false;
		snprintf(payload, sizeof payload, "select * from customers where id = %llu -- payload of record %llu", (unsigned long long)at,
			 (unsigned long long)at);
		if (with_payload && journal_chunk(j, bytes_str(payload), &chunk) != JOURNAL_OK)
			return false;
		if (journal_append(j, fixture_record(&w, (unsigned)(at / 50), n, with_payload ? &chunk : NULL), &index) != JOURNAL_OK || index != at)
			return false;
		if ((i + 1) % batch == 0 && journal_commit(j, now_us) != JOURNAL_OK)
			return false;
	}
	return journal_commit(j, now_us) == JOURNAL_OK;
}

bool fixture_grow(struct journal *j, struct fixture_signer *signer, uint64_t count)
{
	struct journal_signer s = fixture_signer_journal(signer);

	return fixture_fill(j, count, 10, FIXTURE_TIME) && journal_publish_flush(j, &s, FIXTURE_TIME, 5000);
}

bool fixture_published(const char *dir, struct fixture_signer *signer, uint64_t count, uint64_t more)
{
	struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN };
	struct journal_signer s = fixture_signer_journal(signer);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);
	bool good = j && fixture_fill(j, count, 50, FIXTURE_TIME) && journal_publish_flush(j, &s, FIXTURE_TIME, 1000) &&
		    (more == 0 || fixture_fill(j, more, 20, FIXTURE_TIME));

	if (j)
		journal_close(j);
	return good;
}
