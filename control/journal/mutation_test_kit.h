/* mutation_test_kit.h: for tests of the audit: a journal of two segments with time stamps, cosignatures and payload, a fork of it, its files as they
 * were, and an audit of the files as they are now. One of each in a process: cmocka's set-up makes it.
 */
#ifndef CONTROL_JOURNAL_MUTATION_TEST_KIT_H
#define CONTROL_JOURNAL_MUTATION_TEST_KIT_H

#include "control/anchor/anchor_test_kit.h"
#include "control/anchor/judge.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/mutation_test_weigh.h"
#include "control/journal/verify.h"
#include "platform/base/random.h"

#define MUTATION_RECORDS 406u
#define MUTATION_FILES 24

extern struct mutation {
	char dir[128], fork_dir[128];
	struct fixture_signer signer;
	struct anchor_kit anchors;
	struct anchor_kit_witness witness, second_witness;
	struct judge judge;
	struct file file[MUTATION_FILES], fork_file[MUTATION_FILES]; /* without locks, keys and tiles that were outgrown */
	unsigned files, fork_files;
	unsigned stamps;              /* records of time stamps, from the second segment's first record on */
	struct verify_summary whole;  /* what an audit says of it unchanged */
	uint64_t seed;                /* set before mutation_build */
	struct rng rng;
	unsigned long number, missed; /* of the mutation under way; how many were not seen */
} mutation;

struct mutation_report {
	unsigned findings;
	bool named;      /* one of them is of the record in question, or of a range with it */
	uint64_t index;
	char first[200];
};

/* Set-up and end of a group of tests. */
int mutation_build(void **state);
int mutation_clean_up(void **state);

/* Whether nothing was found. `index` is the record that should be named. */
bool mutation_audit(struct mutation_report *r, struct verify_summary *s, uint64_t index);
/* The same root, counts and anchors as of the journal unchanged. */
bool mutation_nothing_changed(const struct verify_summary *s);
/* Counts it, and prints the first ones. */
void mutation_not_seen(const char *what, const char *name, uint64_t at);

void mutation_path(const char *in, const char *name, char out[256]);
void mutation_write(const struct file *f, const uint8_t *bytes, size_t len);
/* As it was. */
void mutation_restore(const struct file *f);
void mutation_poke(const struct file *f, uint64_t at, uint8_t byte);
bool mutation_is_lmdb(const struct file *f);

#endif
