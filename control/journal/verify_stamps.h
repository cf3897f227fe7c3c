/* verify_stamps.h: what records say of time stamps (journal.stamp: size, sha256 of the token), held against the tokens in the spine: part of
 * verify.h's audit. Of a token much is under no signature (algorithms, certificates that the chain does not need, its status: RFC 5652 5.3,
 * RFC 3161 2.4.2), so the record's leaf is what shows a change of any byte, and that a token is gone. Tokens that no record tells of are
 * of before there were such records, or of records that were pruned. Threading: as verify.h's.
 */
#ifndef CONTROL_JOURNAL_VERIFY_STAMPS_H
#define CONTROL_JOURNAL_VERIFY_STAMPS_H

#include "control/journal/jcs_read.h"
#include "control/journal/verify_report.h"

struct verify_stamp {
	uint64_t index, size; /* of the record; of the stamped checkpoint */
	struct merkle_hash token;
	bool seen;
};

struct verify_stamps {
	struct verify_stamp *said; /* by size, then index, once verify_stamps_see was asked */
	size_t count, room;
	bool sorted;
};

/* A record journal.stamp, in the order of their indexes. False: out of memory. */
bool verify_stamps_add(struct verify_stamps *s, uint64_t index, struct jcs_value record);
/* After the last record, for each token: whether it is one that a record tells of, or none tells of that checkpoint; else the record in `*index`. */
bool verify_stamps_see(struct verify_stamps *s, uint64_t size, const struct merkle_hash *token, uint64_t *index);
/* After the last token: reports what was not seen, of records before `newest`, the size of the newest checkpoint that is kept with the tokens. */
void verify_stamps_missing(const struct verify_stamps *s, struct verify_report *r, uint64_t newest);
void verify_stamps_free(struct verify_stamps *s);

#endif
