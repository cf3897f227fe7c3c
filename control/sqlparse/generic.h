/* generic.h: whether a classification holds for every other value of the text's literals.
 *
 * Two texts with the same generic key (pg_lex_scan) differ only in numbers and plain strings. That changes nothing
 * when each of these stands where only its value matters: compared with a column, in the lists of INSERT VALUES, as
 * the new value of UPDATE, in LIMIT and OFFSET. Any other place (an argument, a cast, a type's length, an option, a
 * select list) makes the text not generic. A text without such literals always is.
 */
#ifndef CONTROL_SQLPARSE_GENERIC_H
#define CONTROL_SQLPARSE_GENERIC_H

#include "control/sqlparse/tree.h"
#include "platform/base/bytes.h"

bool generic_is(struct bytes text, const PgQuery__ParseResult *tree);

#endif
