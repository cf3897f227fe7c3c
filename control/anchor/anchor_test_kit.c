#include "control/anchor/anchor_test_kit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/journal/journal_fixture.h"

__attribute__((format(printf, 2, 3))) static void shell(const struct anchor_kit *k, const char *format, ...)
{
	char text[2048], command[2300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	snprintf(command, sizeof command, "cd %s && { %s; } >log 2>&1", k->dir, text);
	if (system(command) != 0) {
		fprintf(stderr, "%s\n", command);
		abort();
	}
}

void anchor_kit_open(struct anchor_kit *k)
{
	fixture_dir(k->dir);
}

void anchor_kit_close(struct anchor_kit *k)
{
	fixture_remove(k->dir);
}

void anchor_kit_authority(const struct anchor_kit *k, const char *name, const char *extensions, unsigned days)
{
	static const char ec[] = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

	shell(k, "openssl req -x509 %s -days 30 -subj /CN=%s-ca -keyout %s.ca.key -out %s.ca.pem && openssl req %s -subj /CN=%s -keyout %s.key -out %s.csr && "
	      "printf '%s\\n' > %s.ext && openssl x509 -req -in %s.csr -CA %s.ca.pem -CAkey %s.ca.key -CAcreateserial -days %u -extfile %s.ext -out %s.pem",
	      ec, name, name, name, ec, name, name, name, extensions, name, name, name, name, days, name, name);
	shell(k, "printf '[tsa]\\ndefault_tsa=t\\n[t]\\nserial=%s/%s.serial\\nsigner_cert=%s/%s.pem\\nsigner_key=%s/%s.key\\nsigner_digest=sha256\\n"
	      "default_policy=1.2.3.4.1\\ndigests=sha256\\naccuracy=secs:1\\n' > %s.cnf && echo 01 > %s.serial", k->dir, name, k->dir, name, k->dir, name, name, name);
}

struct bytes anchor_kit_file(const struct anchor_kit *k, const char *name)
{
	uint8_t *content = malloc(TIMESTAMP_CA_BYTES);
	char path[300];
	size_t len;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", k->dir, name);
	f = fopen(path, "re");
	if (!f || !content)
		abort();
	len = fread(content, 1, TIMESTAMP_CA_BYTES, f);
	fclose(f);
	return bytes_of(content, len);
}

struct bytes anchor_kit_token(const struct anchor_kit *k, const char *authority, struct bytes note)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof path, "%s/note", k->dir);
	f = fopen(path, "we");
	if (!f || fwrite(note.base, 1, note.len, f) != note.len || fclose(f) != 0)
		abort();
	shell(k, "openssl ts -query -data note -sha256 -cert -out q && openssl ts -reply -config %s.cnf -queryfile q -out r", authority);
	return anchor_kit_file(k, "r");
}

struct bytes anchor_kit_forge(const struct anchor_kit *k, const char *name, const char *edit)
{
	shell(k, "openssl ts -reply -in r -token_out -out token && openssl cms -verify -noverify -inform DER -in token -out tst && LC_ALL=C sed '%s' tst > tst2 && "
	      "openssl cms -sign -binary -nodetach -cades -md sha256 -econtent_type 1.2.840.113549.1.9.16.1.4 -in tst2 -signer %s.pem -inkey %s.key -outform DER -out token2 && "
	      "openssl ts -reply -in token2 -token_in -out r2", edit, name, name);
	return anchor_kit_file(k, "r2");
}

struct anchor_kit_witness anchor_kit_witness(const char *name)
{
	struct anchor_kit_witness w = { .key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };
	size_t len = sizeof w.public.key;

	snprintf(w.public.name, sizeof w.public.name, "%s", name);
	if (!w.key || EVP_PKEY_get_raw_public_key(w.key, w.public.key, &len) != 1)
		abort();
	witness_key_id(&w.public);
	return w;
}

struct bytes anchor_kit_cosign(const struct anchor_kit_witness *w, struct bytes note, uint64_t time_s, char out[COSIGNATURE_LINE_BYTES])
{
	struct writer line = writer_of(out, COSIGNATURE_LINE_BYTES);
	struct checkpoint c;
	struct bytes body;

	if (checkpoint_parse(note, true, &c, &body) != NULL || !cosignature_sign(w->key, &w->public, body, time_s, &line))
		abort();
	return writer_done(&line);
}
