/* mutation_test_weigh.h: for mutation_test_kit.h: which bytes of an LMDB file of a journal carry evidence, or lead to it.
 *
 * A rule, not a list: it walks LMDB's trees from the newest meta page.
 */
#ifndef CONTROL_JOURNAL_MUTATION_TEST_WEIGH_H
#define CONTROL_JOURNAL_MUTATION_TEST_WEIGH_H

#include <stddef.h>
#include <stdint.h>

enum weight {
	WEIGH_NOTHING,
	WEIGH_CONTENT, /* of a record or a chunk: one hash over all of it tells */
	WEIGH_LEADS    /* other evidence, and what leads to evidence */
};

/* One file of the journal, as it was. */
struct file {
	char name[80];
	uint8_t *bytes, *live; /* `live`: of an LMDB file, the weight of each byte */
	size_t len;
	struct file *fork;     /* the same file of the other history; NULL: it is the same, or has none */
};

/* Makes `live`; fails the test on a file that is none. */
void weigh(struct file *f);

#endif
