/* export_keys.h: the part of a bundle about the log's checkpoint keys over its life (journal/key_list.h; journal.md 9):
 *
 *	trust/keys/list                  a line for each, oldest first: number, vkey, P-256 SubjectPublicKeyInfo in base64 or "-", the smallest
 *	                                 checkpoint that it has to sign, the first record that it need not have signed or "-", and when it was
 *	                                 named and when it ended by the records' own time, or "-"
 *	trust/keys/<n>-ed25519.pem, -p256.pem
 *	trust/keys/<n>-entry.json, <n>.tlog-proof                       the record that named it beside the one before, and its inclusion
 *	trust/keys/<n>-checkpoint, <n>-checkpoint.consistency           the first checkpoint that both signed: of the bundle's tree
 */
#ifndef CONTROL_EXPORT_EXPORT_KEYS_H
#define CONTROL_EXPORT_EXPORT_KEYS_H

#include "control/export/bundle.h"
#include "control/journal/key_list.h"

/* `note` is the bundle's checkpoint, `newest` what it says. NULL, or a fixed text: then no bundle may be given out. */
const char *export_keys_write(struct bundle *b, struct archive *a, const struct key_list *keys, struct bytes note, const struct checkpoint *newest);

#endif
