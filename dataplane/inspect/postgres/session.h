/* session.h: the state of one PostgreSQL session, and what its parts offer one another. Private to this folder.
 *
 * How bytes go through: postgres.c takes one message of one side and hands it to the handler of the phase: startup.c (untagged
 * requests, parameters), auth.c (token in, SCRAM upstream), client.c and bind.c (judging), server.c (replies). A handler writes
 * whole messages, and only after it knows that there is room; so a message is dealt with once, completely, or not at all.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_SESSION_H
#define DATAPLANE_INSPECT_POSTGRES_SESSION_H

#include "dataplane/inspect/inspector.h"
#include "dataplane/inspect/postgres/catalogue.h"
#include "dataplane/inspect/postgres/commands.h"
#include "dataplane/inspect/postgres/depth.h"
#include "dataplane/inspect/postgres/effects.h"
#include "dataplane/inspect/postgres/frame.h"
#include "dataplane/inspect/postgres/lex.h"
#include "dataplane/inspect/postgres/like.h"
#include "dataplane/inspect/postgres/names.h"
#include "dataplane/inspect/postgres/recall.h"
#include "dataplane/inspect/postgres/replies.h"
#include "dataplane/inspect/postgres/types.h"

#define PG_ROOM 4096           /* what a handler may write besides the message itself */
#define PG_REFUSALS 4
#define PG_COLUMNS_OWN 64 /* of a result; wider ones take a piece */
#define PG_PARAMETERS_BYTES 2048
#define PG_CONTEXTS 16
#define PG_MINOR 2             /* the newest minor version of protocol 3: cancel keys of up to 256 bytes. There is no 1 */
#define PG_KEY_BYTES_MIN 4
#define PG_GUARD_BYTES 256     /* of COPY data kept, so that a mask split over messages is seen */

enum pg_phase {
	PHASE_FIRST,      /* client: an untagged request */
	PHASE_PASSWORD,   /* client: its token */
	PHASE_IDENTITY,   /* host: who it is */
	PHASE_TLS_ANSWER, /* server: S or N */
	PHASE_LOGIN,      /* server: authentication */
	PHASE_PROOF,      /* host: SCRAM proof */
	PHASE_SETTLE,     /* server: parameters until the first ReadyForQuery */
	PHASE_READY,
	PHASE_DONE,       /* nothing more is read */
};

enum pg_sasl { SASL_NONE, SASL_FIRST_SENT, SASL_PROOF_SENT, SASL_VERIFIED };

/* COPY FROM STDIN, as far as the client's messages are concerned. */
enum pg_copy_in {
	COPY_IN_NONE,
	COPY_IN_POSSIBLE, /* a command that may start one is not answered: nothing more is read from the client */
	COPY_IN_RUNNING,
};

/* An error that takes the place of one of the server's. */
struct pg_refusal {
	bool used;
	char code[6];
	uint16_t message_len, hint_len;
	char message[LIMIT_SAY_BYTES + 128];
	char hint[128];
};

/* What a plan was made of: the same again, as with every run of a statement, gives the same plan. */
struct pg_plan_source {
	uint16_t len; /* of the description; 0: none is kept */
	bool blind;
	uint32_t catalogue_build;
	uint64_t policy_generation;
	struct class_bits mask, any, washed;
	uint8_t description[1024];
};

struct pg_plan {
	bool valid, active; /* active: something may have to be masked */
	bool whole;         /* some column is masked as a whole */
	bool slow;          /* some column's values do not show in the message's bytes */
	uint16_t columns, contexts;
	struct match_want want;  /* of the match set: what is looked for, in the widest context */
	uint32_t n;         /* of the command that it was built for */
	struct class_bits context[PG_CONTEXTS];
	struct pg_column *column; /* `columns` of them: `own`, or in session.wide */
	struct pg_column own[PG_COLUMNS_OWN];
	struct pg_plan_source source;
};

/* A COPY TO that runs. */
struct pg_copy_out {
	bool running;       /* CopyOutResponse came */
	bool active, first; /* active: it is masked; first: the header is still to come */
	bool ended;         /* binary: the trailer came */
	uint32_t carry_len; /* of a row that is not complete: in session.wide */
};

/* A relation that this session's transaction may have copied tagged values into. */
struct pg_held_taint {
	uint32_t n;     /* of the command */
	uint32_t group; /* in which it was sent */
	uint8_t taint;  /* of the catalogue */
	bool sent;
	struct class_bits classes;
};

/* What is kept of a value between its windows (veil.h). */
struct pg_veiled {
	enum { PG_JSON_BETWEEN, PG_JSON_STRING, PG_JSON_BARE } json; /* the token under way */
	enum { PG_ITEM_NONE, PG_ITEM_BARE, PG_ITEM_QUOTED } item;
	bool item_begun, brace; /* some of the item was seen; the first brace was */
	bool hex;               /* a bytea's digits */
	uint8_t open;           /* of a type that is not known: the bracket that it begins with */
	int16_t key_class;      /* what the last key says of its value: a policy class, or -1 */
	struct class_bits key_context;
};

/* An array or row in binary that is under way, or the message's own row. */
struct pg_long_level {
	uint32_t left, items, element; /* bytes and items to come; the items' type */
	bool row;                      /* each item says its type */
	int16_t class;
	uint8_t context;
};

#define PG_LONG_DEPTH 16 /* of arrays and rows in binary; what is nested deeper is one text */

/* A row that is masked while it goes by (long_row.c, long_copy.c). */
struct pg_long_row {
	bool active;
	bool head;       /* the message's head comes first */
	bool begun;      /* some of the cell went by */
	uint8_t depth;
	uint16_t column;
	enum { PG_LONG_HEAD, PG_LONG_FILE, PG_LONG_TUPLE, PG_LONG_LENGTH, PG_LONG_ARRAY, PG_LONG_ROW, PG_LONG_CELL, PG_LONG_TEXT, PG_LONG_OVER } at;
	enum { PG_CELL_BEFORE, PG_CELL_BARE, PG_CELL_QUOTED, PG_CELL_BEHIND, PG_CELL_BEHIND_QUOTED } cell; /* of text */
	uint32_t left;   /* of the cell, from the first byte not consumed */
	uint32_t done;   /* of these: went by already */
	struct pg_column item;
	struct pg_long_level level[PG_LONG_DEPTH];
	struct pg_veiled value;
};

#define PG_HELD_TAINTS 32
#define PG_READINGS 8

/* What the lexer says of a prepared statement, so that a text that is bound again and again is read once. */
struct pg_reading {
	int slot;
	uint32_t serial; /* of the name in it; 0: empty, as after every Parse that takes such a slot */
	bool good;
	struct pg_lex_summary lex;
	struct pg_effects effects; /* without path_value, a view that does not last */
};

struct pg_session {
	const struct inspect_env *env;
	const struct inspect_host *host;
	void *host_context;
	struct pg_lender lender;
	struct pg_depths depths;
	struct pg_wide *wide;   /* NULL: not borrowed */
	struct pg_catalogue *catalogue; /* NULL: no column of this database is tagged */
	enum pg_phase phase;
	enum pg_sasl sasl;
	bool tls[2];
	bool asked_gss, asked_tls;
	uint8_t key[INSPECT_KEY_BYTES]; /* the server's cancel key */
	uint8_t minor, server_minor; /* of the protocol, towards the client and towards the server: 0 or PG_MINOR */
	bool settled;           /* the client has had its first ReadyForQuery */
	bool tagged_transaction; /* a command of it touched tagged columns, or cannot be told */
	uint8_t status;         /* of the last ReadyForQuery: I, T, E */
	uint8_t catalogue_tries;
	uint32_t catalogue_build;
	uint64_t catalogue_policy;  /* pg_catalogue_policy when that was begun */
	uint64_t policy_generation; /* of the classes' numbers in commands and plan */
	uint64_t policy_classes;    /* hash of what these classes are */

	/* Startup and login. */
	uint16_t parameters_len, bare_len, signature_len;
	uint8_t user_len, database_len, application_len, upstream_len;
	char user[LIMIT_NAME_BYTES], database[LIMIT_NAME_BYTES], application[LIMIT_NAME_BYTES], upstream[LIMIT_NAME_BYTES];
	char parameters[PG_PARAMETERS_BYTES]; /* name NUL value NUL …, allowed ones */
	char bare[64];                        /* SCRAM client-first-message-bare */
	char signature[64];

	/* Messages under way. */
	size_t skip[2];         /* bytes of a message that are dropped */
	size_t pass[2];         /* bytes of a message that are relayed unread */
	uint32_t group;
	bool group_open;        /* extended messages since the last Sync */
	bool flushed;           /* Flush was injected since the group last grew */
	bool skipping;          /* the group failed: the client's messages are dropped up to Sync */
	bool mute;              /* an answer was ended: nothing goes to the client up to ReadyForQuery */
	bool mute_aborts;       /* … and then the transaction is to be aborted */
	bool limited;           /* a command with limits runs: nothing more is read from the client */
	bool wrapped;           /* … which came as a simple query: the Sync is ours */
	enum pg_copy_in copy_in;
	int16_t described;      /* portal slot that the last T is about; -1 */
	uint32_t described_serial;
	uint16_t guard_len;
	uint8_t guard[PG_GUARD_BYTES];

	/* The verdict that was waited for. */
	bool waiting, verdict_ready, verdict_allowed;
	int16_t verdict_command, verdict_refusal;
	uint16_t notice_len;
	char notice[LIMIT_SAY_BYTES];

	/* Settings that change meaning (state.c). */
	uint32_t epoch;         /* counts what may have changed any */
	bool path_dirty, path_local, path_unsure, failed; /* not committed; until the transaction's end; cannot be told; an error came */
	bool rolled_back;       /* a ROLLBACK came since the last ReadyForQuery */
	char schema[64];        /* of unqualified names, for the statement at hand */
	uint16_t path_len, path_saved_len;
	char path[256], path_saved[256]; /* search_path as last set; empty: the default */
	uint16_t state_len;     /* 0: to be written anew, as when one of the next two is not what it was */
	uint8_t state_status;
	uint32_t state_epoch;
	char state[1024];

	bool dates_iso;         /* DateStyle, as reported */
	struct class_bits hidden; /* what cursors and statements made by SQL may yield */
	struct pg_limits named; /* the smallest of cursors, portals with a name, and statements made by SQL */
	uint16_t run_skip;      /* rows that were found to need a look each */
	struct pg_copy_out copy_out;
	struct pg_long_row long_row;
	struct pg_replies replies;
	struct pg_commands commands;
	struct pg_names names;
	struct pg_reading reading[PG_READINGS];
	struct pg_like like;
	struct pg_recall recall;
	uint8_t held_taints;
	struct pg_held_taint held_taint[PG_HELD_TAINTS];
	struct pg_refusal refusal[PG_REFUSALS];
	struct pg_plan plan;
};

/* How a handler ends. `used`: the message is consumed. */
enum pg_step {
	STEP_DONE,
	STEP_WAIT,  /* for an answer of the host */
	STEP_STALL, /* for a reply of the server */
	STEP_FULL,  /* for more room; everything was undone */
	STEP_CLOSE,
};

struct pg_io {
	struct inspect_io *io;
	enum close_cause cause; /* with STEP_CLOSE */
	bool last;              /* more room will not come: no STEP_FULL */
};

static inline struct writer *to_client(struct pg_io *io) { return io->io->out[SIDE_CLIENT]; }
static inline struct writer *to_server(struct pg_io *io) { return io->io->out[SIDE_SERVER]; }

static inline struct pg_shared *pg_shared(const struct pg_session *s) { return s->env->shared; }
static inline struct bytes pg_database(const struct pg_session *s) { return bytes_of(s->database, s->database_len); }

/* Whether a text would write one of our masks back; a policy that masks nothing has none. */
static inline bool pg_mask_present(const struct pg_session *s, struct bytes text)
{
	return s->env->snapshot->classes_count && mask_present(s->env->snapshot->mask_key, text);
}

/* startup.c */
enum pg_step pg_startup(struct pg_session *s, struct bytes request, struct pg_io *io);

/* auth.c */
enum pg_step pg_password(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);
enum pg_step pg_tls_answer(struct pg_session *s, uint8_t answer, struct pg_io *io);
enum pg_step pg_login_message(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);
enum pg_step pg_identity(struct pg_session *s, const struct inspect_answer *a, struct pg_io *io);
enum pg_step pg_proof(struct pg_session *s, const struct inspect_answer *a, struct pg_io *io);
enum pg_step pg_settle_message(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);

/* room.c: what is borrowed (depth.h). pg_open: of zeroed memory, `lender` is set. */
void pg_room_open(struct pg_session *s);
/* What stays in use stays. When an answer is complete; when all is over, everything goes. */
void pg_room_settle(struct pg_session *s);
void pg_room_close(struct pg_session *s);
/* NULL: there is none. */
struct pg_wide *pg_room_wide(struct pg_session *s);
/* Whether one more client message finds room for its replies. May move them. */
bool pg_room_more_replies(struct pg_session *s);
static inline bool pg_room_replies(struct pg_session *s) { return pg_replies_room(&s->replies) || pg_room_more_replies(s); }

/* adopt.c: before anything else is done with a message. */
enum pg_step pg_adopt_new(struct pg_session *s, struct pg_io *io);

static inline enum pg_step pg_adopt(struct pg_session *s, struct pg_io *io)
{
	return s->policy_generation == s->env->snapshot->generation && s->policy_classes ? STEP_DONE : pg_adopt_new(s, io);
}

/* client.c, bind.c: messages in PHASE_READY. */
enum pg_step pg_client_message(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);
enum pg_step pg_client_long(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);
enum pg_step pg_parse(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);
enum pg_step pg_bind(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);
enum pg_step pg_execute(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);
enum pg_step pg_describe(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);
enum pg_step pg_close_name(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);

/* judge.c: the verdict on a statement. STEP_DONE: `*command` holds a reference; `*refusal` is -1 when it may pass. */
/* `never`: refused whatever the verdict is. */
enum pg_step pg_judge(struct pg_session *s, const struct statement *st, bool never, int *command, int *refusal);
void pg_verdict(struct pg_session *s, bool allowed, const struct judgement *j, int *command, int *refusal);
void pg_verdict_drop(struct pg_session *s);
struct statement pg_statement(struct pg_session *s, enum command_kind kind, struct bytes raw);
/* … and what the text does to the session. */
struct statement pg_statement_effects(struct pg_session *s, enum command_kind kind, struct bytes raw, struct pg_effects *effects);
/* The same of the prepared statement in `slot`, and what it does to the session. Read once, as long as it stays in use. */
struct statement pg_statement_prepared(struct pg_session *s, int slot);
const struct pg_effects *pg_effects_prepared(struct pg_session *s, int slot);

/* What an allowed command does to the session when it is sent: once. */
void pg_sent(struct pg_session *s, struct pg_command *c, const struct pg_effects *e);

/* The name that a PREPARE or DECLARE makes when `reply` comes, for protocol messages that use it. */
void pg_makes_name(struct pg_session *s, const struct pg_effects *e, struct pg_expect *reply);

/* taint.c: relations that tagged values are copied into, until the transaction's end. */
void pg_taint_hold(struct pg_session *s, struct pg_command *c);
void pg_taint_sent(struct pg_session *s, const struct pg_command *c, bool at_once);
void pg_taint_committed(struct pg_session *s, uint32_t group);
void pg_taint_ended(struct pg_session *s, uint32_t group, bool committed);
void pg_taint_lost(struct pg_session *s);
/* What a session on worker `from` told: inspector.heard. */
void pg_taint_heard(void *shared, unsigned from, struct bytes what);

/* digest.c: keeps of a judgement's classification what replies will need. */
void pg_digest(struct pg_session *s, struct pg_command *command, const struct judgement *j);

/* limit.c: a rule's max_rows and max_bytes. While a limited command runs, nothing more is read from the client. */
static inline bool pg_limited(const struct pg_command *c) { return c->limits.rows || c->limits.bytes; }
static inline bool pg_limit_waits(const struct pg_session *s) { return s->limited && s->copy_in != COPY_IN_RUNNING; }

/* After the verdict: limits of what gives no rows go, and those of what SQL gave a name come. pg_limit_name: `c` has a name. */
void pg_limit_keep(struct pg_session *s, struct pg_command *c);
void pg_limit_name(struct pg_session *s, const struct pg_command *c);

/* A simple query in the extended protocol, so that it is counted before it is committed. Returns what stands for its rows. */
struct pg_expect *pg_limit_wrap(struct pg_session *s, int command, struct bytes text, struct pg_io *io);

/* How many rows to ask for when the client wants `rows` (0: all). */
uint32_t pg_limit_portion(const struct pg_command *c, uint32_t rows);

/* One more row is about to go; what was written to the client since `at` goes; both, for `len` bytes that are passed on in pieces. False: it
 * is over the limit. Then the client was told, what was written was taken back, and the answer is muted. */
bool pg_limit_row(struct pg_session *s, struct pg_command *c, struct pg_io *io);
bool pg_limit_bytes(struct pg_session *s, struct pg_command *c, size_t at, struct pg_io *io);
bool pg_limit_long(struct pg_session *s, struct pg_command *c, size_t len, struct pg_io *io);

/* `len` bytes of the client's copy, for which `e` waits. False: too many, and the copy is ended. */
bool pg_limit_copy_in(struct pg_session *s, struct pg_expect *e, size_t len, struct pg_io *io);

/* The completion's text; then Execute is answered (`completed`: by that); an error came; ReadyForQuery is next. */
void pg_limit_completed(struct pg_session *s, struct pg_command *c, struct bytes tag, struct pg_io *io);
void pg_limit_done(struct pg_session *s, int command, bool completed, struct pg_io *io);
void pg_limit_failed(struct pg_session *s, struct pg_io *io);
void pg_limit_commit(struct pg_session *s, const struct pg_expect *e, struct pg_io *io);

/* oracle.c: the inspector's `tagged` and `tagged_version`. */
struct class_bits pg_tagged(void *session, const struct access *relation, struct bytes column);
uint64_t pg_tagged_version(void *session);

/* refuse.c */
int pg_refusal_new(struct pg_session *s, const char *code);
void pg_refusal_say(struct pg_session *s, int refusal, const char *prefix, struct bytes text, struct bytes rule);
void pg_refuse_extended(struct pg_session *s, int command, int refusal, struct pg_io *io);
void pg_refuse_query(struct pg_session *s, int command, int refusal, struct pg_io *io);
void pg_refusal_write(struct pg_session *s, int refusal, struct writer *w);
void pg_error_write(struct writer *w, const char *severity, const char *code, struct bytes message);
void pg_notice_write(struct writer *w, struct bytes text);

/* server.c */
enum pg_step pg_server_message(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);
enum pg_step pg_server_long(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);
void pg_lost(struct pg_session *s);
void pg_catalogue_send(struct pg_session *s, struct pg_io *io);
void pg_end_answer(struct pg_session *s, struct pg_command *c, const char *text, struct pg_io *io);
void pg_drop_name(void *session, int slot);

/* copy_in.c: the client's messages while a COPY FROM STDIN runs. */
enum pg_step pg_copy_in_message(struct pg_session *s, const struct pg_frame *f, struct pg_io *io);

/* state.c */
void pg_state_build(struct pg_session *s);
struct bytes pg_state_now(void *session, bool *in_transaction);

void pg_state_sets(struct pg_session *s, const struct pg_effects *e);
void pg_state_failed(struct pg_session *s);
void pg_state_completed(struct pg_session *s, bool rollback);
void pg_state_ready(struct pg_session *s, uint8_t status);
struct bytes pg_search_path(const struct pg_session *s, char into[64]);
bool pg_parameter_allowed(struct bytes name, struct bytes value);

/* plan.c: how the columns of a result are masked. pg_plan_copy is false when they cannot be told. */
void pg_plan_none(struct pg_session *s);
void pg_plan_rows(struct pg_session *s, const struct pg_command *command, struct bytes description);
bool pg_plan_copy(struct pg_session *s, const struct pg_command *command);
int pg_class_of(const struct pg_session *s, const struct class_bits *classes, const struct class_bits *mask);

/* values.c, items.c, json.c: one value, masked as its type wants it. */
enum pg_masked { MASKED_VALUE, MASKED_NULL };

struct pg_masker {
	struct pg_session *s;
	struct pg_command *command;
	struct match_want want;
	struct mask kept; /* what the last choice returned */
};

struct pg_masker pg_masker_of(struct pg_session *s, struct pg_command *command, unsigned context);
enum pg_masked pg_value(struct pg_masker *m, const struct pg_column *column, struct bytes value, struct writer *w);
enum pg_masked pg_whole(struct pg_masker *m, const struct pg_column *column, struct bytes value, struct writer *w);
enum pg_masked pg_detect(struct pg_masker *m, const struct pg_column *column, struct bytes value, struct writer *w);
bool pg_found(struct pg_masker *m, struct bytes text);
bool pg_text(struct pg_masker *m, struct bytes text, struct writer *w); /* false: nothing found, nothing written */
void pg_class_text(struct pg_masker *m, int class, size_t len_max, bool full, struct bytes value, struct writer *w);
void pg_hit_text(struct pg_masker *m, unsigned detector, size_t len_max, struct bytes value, struct writer *w);
void pg_json(struct pg_masker *m, int class, struct bytes value, struct writer *w);
/* What a key says of its value: names that speak for a class, besides the masker's; the policy class that masks it unseen, or -1. */
void pg_json_key(const struct pg_masker *m, struct bytes key, struct class_bits *context, int *class);
enum pg_masked pg_items_text(struct pg_masker *m, const struct pg_type *type, int class, struct bytes value, struct writer *w);
enum pg_masked pg_array_binary(struct pg_masker *m, int class, struct bytes value, struct writer *w, unsigned depth);
enum pg_masked pg_record_binary(struct pg_masker *m, int class, struct bytes value, struct writer *w, unsigned depth);
enum pg_masked pg_value_at(struct pg_masker *m, const struct pg_column *column, struct bytes value, struct writer *w, unsigned depth);

/* rows.c: the run of whole DataRow or CopyData messages at the start of `in` that may go as it is; 0: none, or not known. */
size_t pg_rows_run(struct pg_session *s, const struct pg_command *command, struct bytes in, size_t max);

/* The run of whole DataRow or CopyData messages at the start of `in`, for commands without masks. */
size_t pg_rows_relayed(struct bytes in, size_t max);

/* long_row.c, long_copy.c: whether a row that is too long to be read whole can be masked while it goes by; and then its next bytes, at most
 * s->pass[SIDE_SERVER] of them. */
struct pg_long_step {
	size_t consumed, needed, room; /* what is dealt with; what is wanted first, bytes of input or room */
	bool bad; /* it is no row of its description, or cannot go on: the session ends */
};

bool pg_long_begin(struct pg_session *s, const struct pg_command *command);
bool pg_long_copy_begin(struct pg_session *s, const struct pg_command *command);
struct pg_long_step pg_long_row(struct pg_session *s, struct bytes in, struct writer *w);

/* One DataRow. `w` is not ok when there was no room. False: the row cannot be masked. */
bool pg_row(struct pg_session *s, struct pg_command *command, struct bytes body, struct writer *w);

/* copy_out.c: whether values may stand in a COPY's stream in pieces, because of the marks that the client chose. */
bool pg_copy_odd(const struct pg_digest *d);

/* Whether a cell without quotes is NULL. */
bool pg_copy_null(const struct pg_digest *d, const struct pg_column *column, struct bytes cell);

/* The data of a COPY TO STDOUT, re-framed by rows. False: cannot be masked. */
bool pg_copy_rows(struct pg_session *s, struct pg_command *command, struct bytes body, struct writer *w);
bool pg_copy_done(struct pg_session *s, struct pg_command *command, struct writer *w);

/* errors.c: E, N, A and S as the client may see them. */
void pg_fields_write(struct pg_session *s, const struct pg_command *command, char type, bool parsing, struct bytes body, struct writer *w,
		     char code[6]);
void pg_notification_write(struct pg_session *s, struct bytes body, struct writer *w);
bool pg_parameter_status_write(struct pg_session *s, struct bytes body, struct writer *w);

#endif
