/* extends.h: whether the tree of a checkpoint that somebody kept is the beginning of the journal's present one.
 *
 * The journal's stored hashes are believed by nobody: what is said here rests on a newer checkpoint that they lead to. Threading: as the archive's.
 */
#ifndef CONTROL_JOURNAL_EXTENDS_H
#define CONTROL_JOURNAL_EXTENDS_H

#include "control/journal/archive.h"

enum extends {
	EXTENDS_YES,     /* `proof` shows it */
	EXTENDS_FORK,    /* the newer checkpoint's tree begins with another one: whoever signed both has two histories */
	EXTENDS_UNKNOWN, /* the stored hashes do not lead to the newer checkpoint */
};

/* `newer` is of this journal, and of `kept->size` records or more. `proof` is of RFC 6962 2.1.2, and zeroed unless the answer is yes. */
enum extends archive_extends(struct archive *a, const struct checkpoint *kept, const struct checkpoint *newer, struct merkle_proof *proof);

#endif
