/* class.h: one data class as data: how its candidates look, who proves them, which names speak for it, how it is masked.
 *
 * Written by the rules compiler from classes/<class>.cfg, carried in the blob classes.hsdb, read by the data plane. Encode and
 * decode are declared together; decode checks every field, because a file is input. Plain values, no ownership.
 */
#ifndef HYPERSCAN_RULES_VALIDATE_CLASS_H
#define HYPERSCAN_RULES_VALIDATE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hyperscan-rules/validate/validate.h"
#include "platform/base/bytes.h"

#define CLASS_NAME_BYTES 32
#define CLASS_ALIASES 4
#define CLASS_SEPARATORS 8
#define CLASS_GROUPINGS 8
#define CLASS_GROUPS 12
#define CLASS_LEADS 8
#define CLASS_LEAD_BYTES 16
#define CLASS_WORDS 128
#define CLASS_SPAN_MAX 8192   /* bytes of the longest value of any class: a private key of 4096 bits is 3.3 KB */
#define CLASS_PACKED_MAX 48

/* How a candidate is cut out of the text, backwards from the end that a pattern reported. */
enum class_shape {
	SHAPE_NAME,   /* no pattern: only a column's name speaks for this class */
	SHAPE_PACKED, /* a number of characters of the alphabet, single separators between groups; proved without them */
	SHAPE_RUN,    /* a run of the alphabet, begun by one of the leads if there are any; proved as it stands */
	SHAPE_COUNT
};

enum class_alphabet {
	ALPHABET_DIGITS,
	ALPHABET_ALNUM,   /* letters and digits; packed in upper case */
	ALPHABET_PHONE,   /* digits, a plus in front */
	ALPHABET_HEX,
	ALPHABET_HETU,    /* letters, digits, plus and minus */
	ALPHABET_WORD,    /* letters, digits, _ and - */
	ALPHABET_JWT,     /* WORD and the dot */
	ALPHABET_EMAIL,   /* RFC 5321 atext less *, with @ and the dot, and bytes above 0x7f */
	ALPHABET_IPV4,    /* digits and dots */
	ALPHABET_IPV6,    /* hex digits, colons and dots */
	ALPHABET_URL,     /* what is neither space, quote, angle bracket nor control */
	ALPHABET_PRINT,   /* all bytes but NUL */
	ALPHABET_PEM,     /* the same; a proved candidate is carried on to its END line, or to the end of the text */
	ALPHABET_COUNT
};

enum class_alone {
	ALONE_NO,        /* only with context: a column's name, or a word in front */
	ALONE_SEPARATED, /* without context only in its separated form (123-45-6789, +44 20 ...) */
	ALONE_YES,
	ALONE_COUNT
};

/* What the mask must look like; mask.c owns the meaning. */
enum class_form {
	FORM_TOKEN,
	FORM_SECRET,
	FORM_DIGITS,
	FORM_CARD,
	FORM_EMAIL,
	FORM_PHONE,
	FORM_IBAN,
	FORM_IPV4,
	FORM_IPV6,
	FORM_MAC,
	FORM_DATE,
	FORM_COUNT
};

/* The strength of a word in a column's name. */
enum class_strength {
	WORD_STRONG,
	WORD_WEAK,
	WORD_NEGATIVE,
	WORD_COUNT
};

struct class_word {
	char text[CLASS_NAME_BYTES]; /* tokens joined by '_', folded */
	uint8_t strength;
};

struct class {
	char name[CLASS_NAME_BYTES];
	char alias[CLASS_ALIASES][CLASS_NAME_BYTES];
	char unions[CLASS_ALIASES][CLASS_NAME_BYTES];
	uint8_t validator, shape, alphabet, alone, form, mask_kind, priority;
	uint8_t case_fold;          /* letters of the packed candidate are folded to upper case */
	uint8_t digits_min;         /* of a packed candidate: at least so many are digits */
	uint16_t length_min, length_max; /* packed characters, or bytes of a run */
	uint16_t span_max;               /* bytes of the candidate with its separators */
	char separators[CLASS_SEPARATORS]; /* NUL terminated */
	uint8_t groupings[CLASS_GROUPINGS][CLASS_GROUPS]; /* lengths of groups, 0 terminated; the last one repeats when it is followed by 255 */
	char leads[CLASS_LEADS][CLASS_LEAD_BYTES];
	struct class_word words[CLASS_WORDS];
	uint16_t words_count;
};

void class_encode(const struct class *class, struct writer *out);

/* False, and `out` zeroed, when a field is out of its range. */
bool class_decode(struct reader *in, struct class *out);

/* Folds a column or key name: tokens of camelCase, snake_case, kebab-case, letters against digits, lower case, Latin letters without
 * their accents; joined and enclosed by '_'. Returns the length; longer names are cut. `out` holds `cap` (>= 2) bytes and is
 * not NUL terminated. */
size_t class_fold_name(struct bytes name, char *out, size_t cap);

#endif
