/* writes.h: what flows into which column of the relations that a statement writes.
 *
 * Told for INSERT (its SELECT or VALUES, ON CONFLICT DO UPDATE too), UPDATE, CREATE TABLE AS and SELECT INTO, also inside WITH, PREPARE and
 * EXPLAIN; ALTER TABLE with an expression over columns (USING, GENERATED) may fill any column. For everything else (MERGE, DO, views, rules,
 * functions) nothing is told, and whoever reads it takes everything to flow everywhere.
 *
 * Only values count: what a WHERE lets through is no flow, it is a predicate (predicates.h).
 */
#ifndef CONTROL_SQLPARSE_WRITES_H
#define CONTROL_SQLPARSE_WRITES_H

#include "control/sqlparse/columns.h"

struct write {
	struct write *next;
	const PgQuery__RangeVar *relation;
	struct columns columns; /* by name; without a name: the relation's column at this place, counted from 1 */
};

struct writes {
	bool told;
	struct write *first;
};

struct writes writes_of(struct arena *a, const ProtobufCMessage *statement);

#endif
