/* walk.h: collects what a statement accesses. Internal to this folder.
 *
 * One walker over the whole tree, with a handler for each kind of node that means something, and plain descent for
 * all others; so an access in an unexpected place is still found. A statement without a handler is VERB_unknown.
 */
#ifndef CONTROL_SQLPARSE_WALK_H
#define CONTROL_SQLPARSE_WALK_H

#include "control/sqlparse/env.h"
#include "control/sqlparse/facts.h"
#include "control/sqlparse/predicates.h"

/* A parse result that must live until the answer is encoded. */
struct parsed {
	struct parsed *next;
	PgQuery__ParseResult *tree;
};

struct walk {
	struct arena *arena;
	struct facts *facts;
	struct parsed **parsed;
	struct taint_set *predicates; /* of everything walked */
	struct env *env;
	const ProtobufCMessage *counted; /* the statement whose completion counts the rows that it changes */
	enum verb verb;     /* of relations met next */
	bool locking;       /* they are locked too: FOR UPDATE */
	unsigned depth;     /* of code inside code */
	const char *why;    /* the text is unknown */
};

/* Any node; NULL is nothing. */
void walk_node(struct walk *w, const ProtobufCMessage *m);
void walk_nodes(struct walk *w, PgQuery__Node *const *list, size_t count);

/* All children but `skip`, relations with `verb`. */
void walk_children(struct walk *w, const ProtobufCMessage *m, enum verb verb, const void *skip);

/* A statement that changes rows is met. */
void walk_changes(struct walk *w, const ProtobufCMessage *m);

/* A whole statement at the top of a text or of an inner text. */
void walk_statement(struct walk *w, const ProtobufCMessage *m);

/* A function or operator as named. */
void walk_function(struct walk *w, PgQuery__Node *const *names, size_t count);
void walk_operator(struct walk *w, PgQuery__Node *const *names, size_t count);

/* walk_ddl.c, walk_utility.c, copy.c: NULL when it is not theirs. */
typedef void walk_handler(struct walk *w, const ProtobufCMessage *m);
walk_handler *walk_ddl_handler(const ProtobufCMessage *m);
walk_handler *walk_utility_handler(const ProtobufCMessage *m);
void walk_copy(struct walk *w, const ProtobufCMessage *m);

/* do_block.c: the body of DO, and code given as text. */
void walk_do(struct walk *w, const ProtobufCMessage *m);
void walk_dynamic(struct walk *w);

/* classify.c: parses `text` (NUL-terminated, in the arena) and walks its statements with the same facts. `condition`: what
 * they give decides what runs. False when it does not parse. */
bool walk_text(struct walk *w, const char *text, bool condition);

/* An object named in a node: name, list of names, type, function with arguments, role or relation. */
void walk_named(struct walk *w, enum verb verb, enum object_kind kind, const ProtobufCMessage *m);

#endif
