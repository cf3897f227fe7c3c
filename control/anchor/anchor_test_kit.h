/* anchor_test_kit.h: for tests: time-stamp authorities (openssl ts) and witnesses, in a directory that goes away. One thread; abort on failure. */
#ifndef CONTROL_ANCHOR_ANCHOR_TEST_KIT_H
#define CONTROL_ANCHOR_ANCHOR_TEST_KIT_H

#include "control/anchor/cosignature.h"
#include "control/anchor/timestamp.h"

struct anchor_kit {
	char dir[128]; /* NAME.ca.pem of each authority */
};

struct anchor_kit_witness {
	struct witness_key public;
	EVP_PKEY *key;
};

void anchor_kit_open(struct anchor_kit *k);
void anchor_kit_close(struct anchor_kit *k);
/* A CA and a certificate of it, with these lines of x509 extensions. */
void anchor_kit_authority(const struct anchor_kit *k, const char *name, const char *extensions, unsigned days);
/* The answer of that authority over the note; to be freed. */
struct bytes anchor_kit_token(const struct anchor_kit *k, const char *authority, struct bytes note);
/* The last answer's content, changed by a sed command, signed by whatever certificate that name has; to be freed. */
struct bytes anchor_kit_forge(const struct anchor_kit *k, const char *name, const char *edit);
/* A file below dir; to be freed. */
struct bytes anchor_kit_file(const struct anchor_kit *k, const char *name);

struct anchor_kit_witness anchor_kit_witness(const char *name);
/* Its line over the note's body, in `out`. */
struct bytes anchor_kit_cosign(const struct anchor_kit_witness *w, struct bytes note, uint64_t time_s, char out[COSIGNATURE_LINE_BYTES]);

#endif
