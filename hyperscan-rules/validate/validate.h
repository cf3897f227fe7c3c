/* validate.h: is this text a value of the class? Check digits, ranges and structure, in pure C.
 *
 * The rules compiler proves its samples with these, the data plane its hits: one code for both. Input is the packed
 * candidate: separators already removed, letters of alphanumeric identifiers in upper case; other classes (e-mail,
 * addresses, tokens) come as they stand. All functions take any bytes of any length, read nothing outside, allocate
 * nothing, and are linear in the length. Sources of the rules: validators.def.
 */
#ifndef HYPERSCAN_RULES_VALIDATE_VALIDATE_H
#define HYPERSCAN_RULES_VALIDATE_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/bytes.h"

enum validator {
#define VALIDATOR(name, source) VALIDATOR_##name,
#include "hyperscan-rules/validate/validators.def"
#undef VALIDATOR
	VALIDATOR_count
};

#define VALIDATOR(name, source) bool validate_##name(struct bytes v);
#include "hyperscan-rules/validate/validators.def"
#undef VALIDATOR

/* False outside the enum. */
bool validate(enum validator which, struct bytes v);

/* VALIDATOR_count when there is none of this name. */
enum validator validator_find(const char *name);
const char *validator_name(enum validator which);

/* Whether the digits are all zero but for at most the last four: what a mask leaves. Never a real number. */
bool validate_is_masked(struct bytes v);

/* Luhn over all digits (ISO/IEC 7812-1 Annex B). False when a byte is no digit. */
bool validate_luhn(struct bytes digits);

/* Verhoeff's dihedral check over all digits. */
bool validate_verhoeff(struct bytes digits);

/* The number written in the digits and letters (A = 10) mod 97, as ISO 7064 MOD 97-10 wants it. 97 when a byte is neither. */
unsigned validate_mod97(struct bytes v);

/* A day of the proleptic calendar: month 1-12, day of the month. */
bool validate_date(unsigned year, unsigned month, unsigned day);

#endif
