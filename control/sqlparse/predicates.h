/* predicates.h: which columns decide something instead of being shown.
 *
 * What a statement answers, how many rows, in which order, and whether it fails, tells of every column that stands in a
 * condition, a join, an order, a group, a set operation, or an expression that may fail on a value (common.md C6). Here: all
 * columns in such places, as written, from everywhere in a statement: subqueries, CTEs, changes, definitions. What a column is
 * worth is not known here; a name that may be a column of several relations is one of each.
 *
 * A value may go into a row, as it is or through a function of total.def, which cannot fail on any value and whose result
 * can be masked as a whole; that is no predicate. Everything else is one.
 */
#ifndef CONTROL_SQLPARSE_PREDICATES_H
#define CONTROL_SQLPARSE_PREDICATES_H

#include "control/sqlparse/columns.h"

/* Adds those of `statement` to `*into`. `condition`: its output decides too (an expression of a DO block). */
void predicates_add(struct arena *a, const ProtobufCMessage *statement, bool condition, struct taint_set *into);

#endif
