/* text.h: a classification as one line of text, for tests and for people who look into one.
 *
 * "verb object, verb object | flag flag | target target | copy"; statements are separated by " ;; ". Objects are
 * levels joined by dots, functions end in (), settings begin with $, other objects stand in quotes. Targets: - none,
 * a+b names, ! all, * star.
 */
#ifndef CONTROL_SQLPARSE_TEXT_H
#define CONTROL_SQLPARSE_TEXT_H

#include "platform/base/bytes.h"

/* False when the classification is malformed or `w` full. `w` gets no NUL. */
bool classification_text(struct bytes encoded, struct writer *w);

/* The predicates alone: "users.email users.id"; * any column of a relation, ? any relation of the statement. */
bool classification_predicates_text(struct bytes encoded, struct writer *w);

/* What flows into written columns: "t.note=ssn t.#2=a+b t.*=!"; #n by place (two digits), * any column, ? not told. */
bool classification_writes_text(struct bytes encoded, struct writer *w);

#endif
