/* search_terms.h: what of a record a search index remembers, and what of it a filter asks for.
 *
 * A block of records is a set of TERMS_ROWS bits. Each record sets some of them: for the values that a filter can name (alone and
 * in pairs), and for every four letters that stand together in its bytes. A filter names bits that are set in every block that
 * holds a match; a block where one is missing need not be read. So an index may only ever say "not here": what is found is read
 * and compared by archive_search.
 *
 * Stretches of TERMS_HEX_RUN and more hexadecimal digits (ids, hashes) would fill any block with noise. Of them only every eighth
 * group of eight digits is remembered: a text is looked for inside of them when it has TERMS_HEX_RUN digits or more.
 * What gives no bit: a text of fewer than four letters, one of fewer hexadecimal digits than TERMS_HEX_RUN and nothing else, and a type by a
 * prefix that does not end in a dot. Pure functions, any thread.
 */
#ifndef CONTROL_JOURNAL_SEARCH_TERMS_H
#define CONTROL_JOURNAL_SEARCH_TERMS_H

#include "control/journal/jcs_read.h"

#define TERMS_ROWS 65536u
#define TERMS_CLAUSES 48u
#define TERMS_CLAUSE_ROWS 8u
#define TERMS_ALTERNATIVES 8u
#define TERMS_HEX_RUN 16u

struct archive_filter;

/* All rows of one of the alternatives. */
struct terms_clause {
	uint32_t alternatives;
	struct {
		uint16_t rows, row[TERMS_CLAUSE_ROWS];
	} any[TERMS_ALTERNATIVES];
};

/* All clauses. No padding anywhere: two of them are the same question when their bytes are. */
struct terms {
	uint32_t clauses;
	struct terms_clause clause[TERMS_CLAUSES];
};

/* The members of a record that filters ask about, by one walk. */
enum terms_member { TERMS_DATA, TERMS_DST, TERMS_OP, TERMS_OUT, TERMS_SESS, TERMS_SVC, TERMS_T, TERMS_TS, TERMS_WHO, TERMS_MEMBERS };
struct terms_members {
	struct jcs_value of[TERMS_MEMBERS];
};
struct terms_members terms_members_of(struct bytes record);

/* Sets the bits of one record in its block's. */
void terms_of_record(struct bytes record, const struct terms_members *m, uint64_t block[TERMS_ROWS / 64]);

/* `out` is written whole. No clause: every block may hold a match. */
void terms_of_filter(const struct archive_filter *filter, struct terms *out);

/* What a record is about, for the filter `target`: its service, the server's address (alone and with the port, IPv6 in brackets),
 * the database, what was read and written. `visit` says whether to go on; false when it did not. */
bool terms_targets(const struct terms_members *m, bool (*visit)(void *ctx, struct bytes target), void *ctx);

#endif
