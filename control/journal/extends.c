#include "control/journal/extends.h"

#define TRIES 8

/* As this view has it. */
static enum extends extends_once(struct archive *a, const struct checkpoint *kept, const struct checkpoint *newer, struct merkle_proof *proof)
{
	struct merkle_source source = archive_source(a);
	struct merkle_hash have;

	if (!merkle_root_at(&source, kept->size, &have) || !merkle_prove_consistency(&source, kept->size, newer->size, proof) ||
	    !merkle_check_consistency(kept->size, &have, newer->size, &newer->root, proof))
		return EXTENDS_UNKNOWN;
	return merkle_equal(&have, &kept->root) ? EXTENDS_YES : EXTENDS_FORK;
}

enum extends archive_extends(struct archive *a, const struct checkpoint *kept, const struct checkpoint *newer, struct merkle_proof *proof)
{
	char err[ARCHIVE_ERROR_BYTES];
	enum extends answer = EXTENDS_UNKNOWN;

	/* Beside a writer the view may be old. */
	for (unsigned tries = 0; kept->size <= newer->size && answer == EXTENDS_UNKNOWN && tries < TRIES && (tries == 0 || archive_refresh(a, err)); tries++)
		answer = extends_once(a, kept, newer, proof);
	if (answer != EXTENDS_YES)
		*proof = (struct merkle_proof){ 0 };
	return answer;
}
