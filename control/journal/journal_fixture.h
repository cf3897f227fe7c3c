/* journal_fixture.h: what the tests of journal, signer and export share: a directory that goes away, records that look like the
 * real ones, and keys in this process that sign whatever extends the last checkpoint. Not for anything but tests.
 */
#ifndef CONTROL_JOURNAL_JOURNAL_FIXTURE_H
#define CONTROL_JOURNAL_JOURNAL_FIXTURE_H

#include <openssl/evp.h>

#include "control/journal/journal.h"

#define FIXTURE_ORIGIN "sluice.example/journal/test"
#define FIXTURE_TIME 1760000000000000ull /* UTC microseconds */

struct fixture_signer {
	EVP_PKEY *ed25519, *p256;
	struct checkpoint_keys keys;
	uint64_t size;
	struct merkle_hash root;
	uint8_t lines[1024];
	size_t lines_len;
	unsigned delay; /* polls that answer WAIT */
	bool refuse, away;
	struct fixture_signer *also; /* signs too: a rotation's overlap; NULL: alone */
};

/* For a test that wants one directory and one signer of it: cmocka's set-up and tear-down of both, anew for each test. */
struct fixture {
	char dir[128];
	struct fixture_signer signer;
};
extern struct fixture fixture;
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* A new directory under TMPDIR (default /dev/shm: what a death of the process leaves there is what it leaves on a disk, and a flush is free). */
void fixture_dir(char out[128]);
/* Removes or copies a tree. */
void fixture_remove(const char *dir);
void fixture_copy(const char *from, const char *to);

void fixture_signer_init(struct fixture_signer *s);
void fixture_signer_free(struct fixture_signer *s);
/* The keys of `also` are the only ones from now on; those until now are given to it, to be freed with it. */
void fixture_signer_hand_over(struct fixture_signer *s);
struct journal_signer fixture_signer_journal(struct fixture_signer *s);

/* Record `number` of session `session` (a `cmd`, or a `resp` when odd), in `out`; its payload when not NULL. */
struct bytes fixture_record(struct writer *out, unsigned session, uint64_t n, const struct record_chunk *payload);
/* Appends `count` records, session by session of 50, each tenth with a payload chunk, and commits in batches of `batch`. */
bool fixture_fill(struct journal *j, uint64_t count, unsigned batch, uint64_t now_us);
/* The same in batches of 10, then a checkpoint of them. */
bool fixture_grow(struct journal *j, struct fixture_signer *signer, uint64_t count);

/* A journal in `dir` of `count` records under a checkpoint, and `more` behind it; closed. The signer may know no other journal. */
bool fixture_published(const char *dir, struct fixture_signer *signer, uint64_t count, uint64_t more);

#endif
