/* filter.h: whether a statement touches rows of its choice or all of them. */
#ifndef CONTROL_SQLPARSE_FILTER_H
#define CONTROL_SQLPARSE_FILTER_H

#include "control/sqlparse/env.h"

/* False when the condition (NULL: none) cannot tell rows apart: constant, without a column, x = x, or one of these
 * as an arm of OR. */
bool filter_selects(const ProtobufCMessage *condition);

/* True when the query's result grows with a relation: neither a WHERE that selects nor a LIMIT, nor only aggregates
 * of bounded size; through subqueries in FROM, CTEs and the arms of set operations. */
bool filter_is_unbounded(const ProtobufCMessage *query, struct env *env, struct arena *a);

#endif
