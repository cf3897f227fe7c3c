/* tree.h: libpg_query's parse tree, walked without knowing every kind of node.
 *
 * A node is a protobuf message; its kind is its descriptor. PgQuery__Node is only an envelope and is taken off
 * everywhere. What a walker does not know it can still descend into, so that nothing hides in a corner of the
 * grammar. Views into the tree; any thread.
 */
#ifndef CONTROL_SQLPARSE_TREE_H
#define CONTROL_SQLPARSE_TREE_H

#include <pg_query/pg_query.pb-c.h>
#include <stdbool.h>

#define TREE_IS(m, kind) ((m) && (m)->descriptor == &pg_query__##kind##__descriptor)

/* The message as struct PgQuery__X when it is one, else NULL; PgQuery__Type and kind as in pg_query.pb-c.h. */
#define TREE_AS(m, Type, kind) (TREE_IS(m, kind) ? (const PgQuery__##Type *)(m) : NULL)

/* What is in the envelope; NULL for an absent or empty one. */
const ProtobufCMessage *tree_of(const PgQuery__Node *n);

/* Calls `visit` for each direct child, in the order of the grammar's fields. */
void tree_children(const ProtobufCMessage *m, void (*visit)(void *context, const ProtobufCMessage *child), void *context);

/* The value of a String, NULL for anything else. */
const char *tree_string(const PgQuery__Node *n);

/* The strings of a list of Strings, at most `max`; 0 when it is empty, longer, or not all Strings. */
unsigned tree_names(PgQuery__Node *const *list, size_t count, const char **out, unsigned max);

/* The text of a string constant, casts taken off; NULL for anything else. */
const char *tree_constant(const ProtobufCMessage *m);

/* The value of field `name` of `m` as a string, a message or a list; false or NULL when there is none of that kind. */
const char *tree_field_string(const ProtobufCMessage *m, const char *name);
const ProtobufCMessage *tree_field_message(const ProtobufCMessage *m, const char *name);
size_t tree_field_list(const ProtobufCMessage *m, const char *name, PgQuery__Node *const **out);

/* True when the two subtrees are the same but for their places in the text. */
bool tree_equal(const ProtobufCMessage *a, const ProtobufCMessage *b);

#endif
