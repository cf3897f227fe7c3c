/* note_text.h: what the text forms of the tree share (signed notes, `.tlog-proof`, witness requests): lines and decimal numbers.
 * Pure; bounded by the reader. */
#ifndef CONTROL_JOURNAL_NOTE_TEXT_H
#define CONTROL_JOURNAL_NOTE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "platform/base/bytes.h"

/* The next line without its newline; the reader is not `ok` when there is no newline. */
static inline struct bytes note_line(struct reader *r)
{
	const uint8_t *end = r->ok && r->left ? (const uint8_t *)memchr(r->at, '\n', r->left) : NULL;
	struct bytes out = reader_bytes(r, end ? (size_t)(end - r->at) : r->left + 1);

	reader_skip(r, 1);
	return out;
}

/* 1 to 19 digits, nothing else, no leading zero. `out` is 0 where there are none. */
static inline bool note_decimal(struct bytes text, uint64_t *out)
{
	*out = 0;
	if (text.len == 0 || text.len > 19 || (text.len > 1 && text.base[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.base[i] < '0' || text.base[i] > '9')
			return false;
		*out = *out * 10 + (uint64_t)(text.base[i] - '0');
	}
	return true;
}

#endif
