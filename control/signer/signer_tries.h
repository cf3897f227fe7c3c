/* signer_tries.h: a PIN is tried once. A token locks itself after a few wrong ones, and control starts a signer that fails again and again.
 *
 * The file beside the state says what was tried, as 32 bytes that change with p256.uri and with the PIN's file (token_message.h, FOUND), and how
 * it ended. It is on disk before the try and goes away with a right PIN. A wrong PIN, or two tries whose end nobody saw, are not repeated until one of the two
 * files changes or a person removes this one. One thread.
 */
#ifndef CONTROL_SIGNER_SIGNER_TRIES_H
#define CONTROL_SIGNER_SIGNER_TRIES_H

#include "control/journal/merkle.h"

/* NULL: the try is on disk and may be made. Or a text that lives until the next call. `count_low`: the token has seen a wrong PIN lately. */
const char *signer_tries_begin(const char *path, struct bytes identity, bool count_low);
/* How it ended. False: not on disk; after begin, which was, there is at most one more try. */
bool signer_tries_end(const char *path, struct bytes identity, bool pin_wrong);

#endif
