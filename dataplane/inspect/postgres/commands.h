/* commands.h: judged commands of a session, from the verdict until host->responded was called.
 *
 * A judgement's classification is valid during one call only, but rows and errors come later: what they need is kept
 * here. A command is held by the reply that is awaited and by its portal (pg_command_get, pg_command_put); the last put frees it,
 * and tells the host if nobody has: exactly once for each. A few of the session's own, more by depths (depth.h); none ever moves.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_COMMANDS_H
#define DATAPLANE_INSPECT_POSTGRES_COMMANDS_H

#include "dataplane/inspect/inspector.h"
#include "dataplane/inspect/postgres/effects.h"

#define PG_DEPTHS 4 /* at most */
#define PG_COMMANDS_OWN 8
#define PG_COMMANDS_MORE 30 /* by a depth */
#define PG_DIGESTS_OWN 6    /* at each depth more than portals: those that wait for a reply have theirs too */
#define PG_DIGESTS_MORE 19
#define PG_WRITES 8   /* columns that one command copies tagged values into; more of one relation are the relation */
#define PG_MASKED 16  /* classes counted for one command */

/* What flows into an output column that has no table of its own: a policy class + 1, or one of these. */
#define PG_FLOW_NONE 0u
#define PG_FLOW_STATEMENT 0xffffu /* the next statement's columns follow */
#define PG_FLOW_STAR 0xfffeu      /* any number of columns */
#define PG_FLOW_ALL 0xfffdu       /* any tagged column of the statement */

/* The output columns of a command's statements, and its COPY TO. Only for commands that touch tagged relations or copy out. */
struct pg_digest {
	bool used;
	bool flows_cut;        /* more columns than there is room for: the rest is PG_FLOW_ALL */
	uint16_t flows;
	uint16_t flow[LIMIT_TARGETS + 64];
	unsigned copies;       /* COPY TO statements among them; `copy` is the first one's */
	unsigned copy_statement;
	enum copy_format copy_format;
	uint8_t copy_delimiter, copy_quote, copy_escape, copy_null_len;
	bool copy_header;
	uint8_t copy_null[32];
	int32_t relation;      /* the catalogue's relation when exactly one is read; -1 */
};

/* What a rule limits (policy.md 1). 0: no limit. The rules are numbers in the session's image; POLICY_NONE: of an image before that. */
struct pg_limits {
	uint64_t rows, bytes;
	uint16_t rows_rule, bytes_rule;
};

/* What a classification says of a command as a whole. */
struct pg_traits {
	bool may_copy_in; /* a COPY FROM STDIN, or it cannot be told */
	bool counts;      /* it may give rows or change some: its limits matter */
	bool by_name;     /* about a cursor or a statement made by SQL */
	bool alters;      /* changes the catalogue when it succeeds */
	bool calls;       /* functions that may do anything */
	bool carries;     /* takes tagged values where no answer shows them: refused */
	bool drops_names; /* may change what names stand for, by SQL */
};

struct pg_command {
	bool used, responded, refused, cancelled;
	bool unknown;     /* no classification */
	struct pg_traits traits;
	enum response_limit over; /* the limit that was reached, of which the client was told */
	bool sent;        /* its effects on the session are accounted for */
	bool cut;         /* not all of its copy is kept as payload */
	uint8_t refs;
	uint32_t n;
	struct class_bits mask;  /* policy classes to mask */
	struct class_bits scope; /* of them: those with a tagged column among the relations touched */
	struct class_bits washed; /* of them: those that were copied into a relation touched */
	uint8_t writes;   /* columns that tagged values are copied into, of these classes */
	struct class_bits written;
	struct class_bits hidden; /* of them: those that cursors and statements made by SQL may hide, for columns without a number */
	bool blind;       /* no catalogue to tell by: every column is taken for tagged */
	bool outdated;    /* its classes have other numbers under the policy now in force */
	int16_t digest;          /* -1: none */
	int16_t text_slot;       /* of a portal: its statement in names, when `text_serial` is still there; -1 */
	uint32_t text_serial;
	struct pg_effects effects; /* of a portal's text; path_value is not kept */
	uint16_t statement;      /* index of the statement that answers now */
	uint64_t rows, octets;
	struct pg_limits limits;
	uint64_t counted, delivered; /* rows, and bytes of messages with rows, that went to the client under limits */
	unsigned masked_count;
	char status[6];          /* SQLSTATE of the error that ended it; empty: none */
	uint8_t tag_len;
	/* From here on: as far as lengths and counts above say. */
	char tag[64];
	struct { uint64_t schema, name, column; bool made; } write[PG_WRITES]; /* column 0: any of the relation; made: by this command */
	struct { uint16_t class; uint32_t cells; } masked[PG_MASKED];
};

/* Who lends pieces. */
struct pg_lender {
	const struct inspect_host *host;
	void *context;
	unsigned held; /* pieces */
};

struct pg_depths {
	struct pg_lender *lender;
	struct pg_depth *of[PG_DEPTHS];
	uint8_t count;
};

struct pg_commands {
	struct pg_depths *depths; /* also of the names */
	struct pg_command command[PG_COMMANDS_OWN];
	struct pg_digest digest[PG_DIGESTS_OWN];
};

/* By number; there is one. */
struct pg_command *pg_command_deep(const struct pg_commands *c, int command);
struct pg_digest *pg_digest_deep(const struct pg_commands *c, int digest);

static inline struct pg_command *pg_command_at(const struct pg_commands *c, int command)
{
	return command < PG_COMMANDS_OWN ? (struct pg_command *)&c->command[command] : pg_command_deep(c, command);
}

static inline struct pg_digest *pg_digest_at(const struct pg_commands *c, int digest)
{
	return digest < PG_DIGESTS_OWN ? (struct pg_digest *)&c->digest[digest] : pg_digest_deep(c, digest);
}

/* Numbers are below these. */
static inline int pg_commands_count(const struct pg_commands *c) { return PG_COMMANDS_OWN + PG_COMMANDS_MORE * c->depths->count; }
static inline int pg_digests_count(const struct pg_commands *c) { return PG_DIGESTS_OWN + PG_DIGESTS_MORE * c->depths->count; }

/* Every class that may flow into the answer. */
static inline struct class_bits pg_command_any(const struct pg_command *c)
{
	return class_bits_or(class_bits_or(c->scope, c->washed), c->hidden);
}

/* A zeroed command with one reference; -1 when there is none. pg_commands_room makes room if it can. */
int pg_command_new(struct pg_commands *c);
int pg_digest_new(struct pg_commands *c);
bool pg_commands_room(struct pg_commands *c);

void pg_command_get(struct pg_commands *c, int command);

/* `lost`: the session ends without an answer. */
void pg_command_put(struct pg_commands *c, int command, const struct inspect_host *host, void *host_context, bool lost);

/* Says that the command is answered, if nobody said so yet. */
void pg_command_respond(struct pg_commands *c, int command, const struct inspect_host *host, void *host_context, bool lost);

/* One more masked cell of `class`. */
void pg_command_masked(struct pg_command *command, unsigned class);

/* What flows into column `column` of `columns` of the statement that answers now. */
unsigned pg_digest_flow(const struct pg_digest *d, unsigned statement, unsigned column, unsigned columns);

#endif
