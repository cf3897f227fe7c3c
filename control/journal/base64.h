/* base64.h: RFC 4648 base64, with padding (section 4) and as base64url without (section 5). Decoding is strict: one way to
 * write each byte string (no line breaks, no wrong padding, unused bits zero). Pure functions, any thread.
 */
#ifndef CONTROL_JOURNAL_BASE64_H
#define CONTROL_JOURNAL_BASE64_H

#include "platform/base/bytes.h"

void base64_write(struct writer *out, struct bytes data);
void base64_url_write(struct writer *out, struct bytes data);
/* False when `text` is not exactly what the writer would give for some bytes, or those do not fit. */
bool base64_read(struct bytes text, struct writer *out);
bool base64_url_read(struct bytes text, struct writer *out);

void hex_write(struct writer *out, struct bytes data); /* lower case */
bool hex_read(struct bytes text, struct writer *out);  /* lower case only */

#endif
