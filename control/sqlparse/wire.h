/* wire.h: the words between control and sluice-sqlparse, over a stream socket that is the helper's fd 3.
 *
 * request: u32 length of the rest, u64 id, u8 dialect, text (the rest)
 * answer:  u32 length of the rest, u64 id, u8 known, u8 length + why, classification (the rest; empty when unknown)
 *
 * Integers are big endian. The helper answers in order, one answer for each request. A length outside the limits
 * ends the helper; on the side of control it ends the connection.
 */
#ifndef CONTROL_SQLPARSE_WIRE_H
#define CONTROL_SQLPARSE_WIRE_H

#include "platform/base/limits.h"

enum sqlparse_dialect {
	SQLPARSE_POSTGRES = 0,
};

#define SQLPARSE_FD 3
#define SQLPARSE_WHY_BYTES 128 /* order.def: classified.why */
#define SQLPARSE_ENCODED_BYTES (LIMIT_CLASSIFICATION_BYTES + 2 * LIMIT_STATEMENT_BYTES)
#define SQLPARSE_REQUEST_BYTES (8 + 1 + LIMIT_STATEMENT_BYTES)
#define SQLPARSE_ANSWER_BYTES (8 + 1 + 1 + SQLPARSE_WHY_BYTES + SQLPARSE_ENCODED_BYTES)

#endif
