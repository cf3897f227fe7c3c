/* survey.h: what kinds of bytes a text has, found in one look over it, 16 bytes at a time. Private to this folder.
 *
 * Most texts have nothing that a mask or a value of the wanted classes needs; a survey costs less than the first of the scans that would
 * otherwise find that out one after the other. Pure, any thread, linear.
 */
#ifndef DATAPLANE_MATCH_SURVEY_H
#define DATAPLANE_MATCH_SURVEY_H

#include "platform/base/bytes.h"

struct survey {
	size_t digits;   /* how many; in a row or not */
	size_t word_max; /* SURVEY_WORD or SURVEY_WORD_LONG when so many letters, digits and + / - _ stand in a row; else 0 */
	bool at_sign, star, percent, backslash;
	bool high;       /* a byte above 0x7f */
};

#define SURVEY_WORD 12
#define SURVEY_WORD_LONG 32

struct survey survey(struct bytes text);

/* Only digits, at_sign and high. */
struct survey survey_values(struct bytes text);

#endif
