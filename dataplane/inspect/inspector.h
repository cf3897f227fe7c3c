/* inspector.h: the contract between the conductor (dataplane/relay) and a protocol.
 *
 * An inspector is a sans-IO session between an agent and a target: plain bytes of either side come in through
 * `feed`, bytes for either side go out through two writers, and everything that needs somebody else (a verdict, a
 * person, a credential, TLS) is asked of the host and comes back through `answer`. It never sees packets, time
 * other than `env->now_us`, sockets or locks, and it allocates nothing: its state is `session_bytes` of zeroed memory, and what it borrows of
 * the host while it needs more than nearly all sessions do.
 *
 * Rules that every inspector keeps (protocols/common.md):
 * - No byte of a command is written to the server before host->judge said ALLOW for it. The conductor itself holds what
 *   was written back until the command's record is durable, so an inspector never waits for the journal.
 * - A message that is not understood is refused, never passed. Framing that is lost ends the session.
 * - The same result for any segmentation of the input.
 * - Replies keep their order: a local reply stands behind the replies outstanding upstream.
 *
 * Calls for one session come from one worker, one at a time. A statement, and every struct bytes in it, is borrowed
 * for the call only.
 */
#ifndef DATAPLANE_INSPECT_INSPECTOR_H
#define DATAPLANE_INSPECT_INSPECTOR_H

#include "dataplane/match/mask.h"
#include "dataplane/match/match.h"
#include "platform/base/bytes.h"
#include "platform/base/hash.h"
#include "platform/contract/classification.h"
#include "platform/contract/message.h"
#include "platform/contract/policy.h"

enum side { SIDE_CLIENT, SIDE_SERVER };

/* One data class of the policy, as the snapshot resolved it. */
struct inspect_class {
	struct class_bits detectors; /* classes of the match set that find it by value */
	struct mask mask;
};

/* The policy in force. Immutable; replaced as a whole between two calls. */
struct inspect_snapshot {
	const struct policy_image *image;
	const struct match_set *match;
	const struct inspect_class *classes; /* by policy class number */
	unsigned classes_count;
	struct class_bits every, every_detectors; /* all policy classes, and what finds them by value: inspect_snapshot_settle */
	uint64_t generation;
	uint8_t mask_key[MASK_KEY_BYTES];
};

/* Fills what follows from `image` and `classes_count`. Once, before a session sees the snapshot. */
static inline void inspect_snapshot_settle(struct inspect_snapshot *s)
{
	s->every = (struct class_bits){ 0 };
	for (unsigned i = 0; i < s->classes_count && i < LIMIT_CLASSES; i++)
		class_bits_add(&s->every, i);
	s->every_detectors = policy_detectors(s->image, &s->every);
}

/* What a session may look at. The pointer given to `open` stays valid for the session; its content may change between calls. */
struct inspect_env {
	const struct inspect_snapshot *snapshot;
	struct match_scratch *scratch;
	struct hash_key hash_key; /* of this worker: for statement keys */
	unsigned service;         /* number in the snapshot's image */
	void *shared;             /* `shared_bytes` zeroed at start, one per worker and service: a catalogue */
	uint64_t now_us;
};

/* What an agent asks its target to do: the unit of decision. */
struct statement {
	enum command_kind kind;
	enum command_reason reason; /* not REASON_NONE: cannot be understood or is never passed; `key` is then ignored */
	struct bytes raw;           /* the command's text as sent, after protocol framing */
	struct bytes params;        /* bound values as sent, with their formats; empty when there are none */
	struct bytes types;         /* of the bound values, as the client declared them: u32 type oids; 0, or none: left to the server */
	struct bytes state;         /* session state that changes meaning, as canonical text */
	struct bytes database;
	struct bytes search_path;   /* where names without a schema are looked up, as the client last set it; empty: never set */
	struct hash128 exact;       /* of the text and the state that changes its classification */
	struct hash128 generic;     /* the same with plain literals replaced; equal to `exact` when that is not possible */
	bool in_transaction;
	bool binary_result;
};

enum judged {
	JUDGED_ALLOW,
	JUDGED_BLOCK,
	JUDGED_WAIT, /* the same statement's judgement comes through `answer`; leave the message unconsumed */
};

struct judgement {
	uint32_t n;                  /* the command's record number, for host->responded */
	struct class_bits mask;      /* policy classes to mask in the answer */
	struct bytes rule;           /* id of the deciding rule; empty when none matched */
	struct bytes say;            /* what the client is told when blocked: rule's text, and what to do next */
	struct bytes classification; /* encoded; empty when unknown. Valid during the call only */
	uint64_t rows_max, bytes_max;   /* of rows answered or changed, and of the bytes of rows and bulk data (policy.md 1); 0: no limit */
	unsigned rows_rule, bytes_rule; /* whose limits these are: numbers in the snapshot's image; POLICY_NONE */
	bool cancelled;              /* blocked because the client cancelled it while it was held */
};

/* What became of a command. */
struct inspect_response {
	uint32_t ref; /* judgement.n */
	enum response_outcome outcome;
	struct bytes status, tag; /* "00000", "SELECT 5" */
	uint64_t rows, octets;
	const uint32_t *masked;   /* cells masked, by policy class number; NULL: none */
	unsigned masked_count;
	enum response_limit limit; /* the rule's limit that ended it */
	bool sent_cut;             /* not all that host->sent was told of is kept */
};

/* An agent's presentation of itself. `token` is wiped by the host. */
struct inspect_login {
	struct bytes token, user, database, application;
};

#define INSPECT_KEY_BYTES 256  /* of the longest cancel key that a server may issue */
#define INSPECT_SHARE_BYTES 256

/* Memory that a session may borrow: `piece_bytes` of its inspector each. */
enum inspect_piece { INSPECT_PIECE_SMALL, INSPECT_PIECE_LARGE, INSPECT_PIECES };

#define INSPECT_ISSUED_BYTES 32 /* of the longest that a client is given */

struct inspect_cancel {
	uint32_t process;      /* what the real server issued */
	struct bytes key;      /* … valid during the call only */
	bool forward;          /* true: pass the request on; false: it was answered here, or nobody is meant */
	bool later;            /* not known yet: leave the message unconsumed, say INSPECT_WAIT, and ask again when fed again */
};

/* What the conductor does for a session. All return at once. */
struct inspect_host {
	/* Judges, records, and starts whatever wait is needed. `out` is filled unless JUDGED_WAIT. */
	enum judged (*judge)(void *host, const struct statement *s, struct judgement *out);

	/* Says that the answer to a judged command is complete. Exactly once for each JUDGED_ALLOW and JUDGED_BLOCK. */
	void (*responded)(void *host, const struct inspect_response *r);

	/* Asks who this is; ANSWER_IDENTITY follows. */
	void (*login)(void *host, const struct inspect_login *l);

	/* Asks for the client's SCRAM proof; ANSWER_PROOF follows. */
	void (*scram)(void *host, struct bytes client_first_bare, struct bytes server_first);

	/* From the first unconsumed byte on, and for everything written after this call, the side's stream is TLS; Sluice is the
	 * server on SIDE_CLIENT and the client on SIDE_SERVER. A failed handshake ends the session, and so does one in which a client
	 * that has to (`named`) does not say by ALPN which protocol it means. */
	void (*start_tls)(void *host, enum side side, bool named);

	/* Registers the server's cancel key, of at most INSPECT_KEY_BYTES, which stays where it is until `close`, and issues the pair that the client gets: returns the process, and
	 * writes a key of `issued_len` bytes, at most INSPECT_ISSUED_BYTES. */
	uint32_t (*cancel_issue)(void *host, uint32_t process, struct bytes key, uint8_t *issued, size_t issued_len);

	/* A cancel request with an issued pair, on a connection of its own. */
	struct inspect_cancel (*cancel)(void *host, uint32_t issued_process, struct bytes issued);

	/* Tells the same service on every other worker, through `heard`, what it has to know before it reads what the target answers to
	 * anything that is written after this call. At most INSPECT_SHARE_BYTES; no secrets. False: somebody could not be told, and the
	 * session ends. share_room: a command's worth of it would find room now. Both NULL: there are no others. */
	bool (*share)(void *host, struct bytes what);
	bool (*share_room)(void *host);

	/* A piece of zeroed memory, for this session until it is given back, at the latest in `close`. Of a pool of the worker's; NULL when too
	 * little is left: the session does with what it has, and never waits for a piece. What is given back is wiped. */
	void *(*borrow)(void *host, enum inspect_piece size);
	void (*give_back)(void *host, enum inspect_piece size, void *memory);

	/* Bulk data of the judged command `ref` as the client sent it, before it is written to the server: kept as payload where that is recorded, and on record
	 * before the server gets it. False: beyond the service's limit, and not all of it is kept (inspect_response.sent_cut). NULL: nothing is kept. */
	bool (*sent)(void *host, uint32_t ref, struct bytes data);
};

/* Why a session is ended from outside. */
enum inspect_end {
	END_KILLED,        /* by the operator, or by what its identity or policy has become */
	END_UNAVAILABLE,   /* Sluice cannot serve it now; later it may */
	END_UPSTREAM,      /* no connection to the target that may be used */
	END_UPSTREAM_LOST, /* the target is gone. An inspector whose protocol would then just see a closed connection says nothing */
};

enum inspect_answer_kind {
	ANSWER_JUDGED,   /* `allowed`, `judgement` */
	ANSWER_NOTICE,   /* `text`: a waiting command's news, for the client, where the protocol can say so */
	ANSWER_IDENTITY, /* `allowed`, `text` (upstream user, or the refusal), */
	ANSWER_PROOF,    /* `allowed`, `text` (client-final message, or the refusal), `more` (server signature) */
	ANSWER_END,      /* the session must end now, for `end`: `text` in the protocol's own words, then close */
};

struct inspect_answer {
	enum inspect_answer_kind kind;
	bool allowed;
	enum inspect_end end;
	struct judgement judgement;
	struct bytes text, more;
};

enum inspect_status {
	INSPECT_OK,     /* everything up to `consumed` is dealt with */
	INSPECT_MORE,   /* … and the next unit needs `needed` bytes in all (0: some) */
	INSPECT_WAIT,   /* … and an answer is awaited before this side is fed again */
	INSPECT_FULL,   /* … and `needed` bytes of room in writer `full` are wanted first */
	INSPECT_OPAQUE, /* … and everything after it, both ways, is to be relayed unread */
	INSPECT_CLOSE,  /* … and the session ends once what was written has gone out; `cause` says why */
};

struct inspect_result {
	enum inspect_status status;
	size_t consumed, needed;
	enum side full;
	enum close_cause cause;
};

/* The two directions' output; out[SIDE_CLIENT] goes to the agent. */
struct inspect_io {
	struct writer *out[2];
};

/* How far the answer has come that is being delivered. */
struct inspect_progress {
	uint64_t rows;
	uint32_t ref;  /* of the command that is answered, where `answers`; else the one judged last is taken to be */
	bool answers;
	bool within; /* what was written to the client so far ends inside a message */
};

struct inspector {
	const char *name; /* the policy's word for the protocol */
	size_t session_bytes, shared_bytes;
	size_t piece_bytes[INSPECT_PIECES]; /* 0: it borrows none of this size */
	bool tls_capable;
	bool wordless; /* it reads nothing and has no words of its own: the conductor opens no session, and who cannot be let in is reset */

	/* How likely it is that these first bytes of a client are this protocol, 0 to 100. For diagnosis, never for policy. */
	unsigned (*guess)(struct bytes first);

	void (*open)(void *session, const struct inspect_env *env, const struct inspect_host *host, void *host_context);

	/* Reads what `from` sent: all bytes not consumed so far. Called again while it says INSPECT_OK and bytes are left. */
	struct inspect_result (*feed)(void *session, enum side from, struct bytes in, struct inspect_io *io);

	/* The session's state as in struct statement, as it is now. NULL: a session whose state is what it was. Valid until the next call. */
	struct bytes (*state)(void *session, bool *in_transaction);

	/* Between two calls. NULL: rows are not counted, and each call ends with a whole message. */
	struct inspect_progress (*progress)(void *session);

	/* News from the host. The conductor feeds both sides again afterwards. INSPECT_FULL: it is given again after room was made. */
	struct inspect_result (*answer)(void *session, const struct inspect_answer *a, struct inspect_io *io);

	/* A side has ended its stream after everything it sent was fed. Status OK: end the other side's stream too. */
	struct inspect_result (*ended)(void *session, enum side from, struct inspect_io *io);

	/* The session is over; wipes what must not stay in memory. */
	void (*close)(void *session);

	/* What a session of this service on worker `from` shared: `shared` is inspect_env.shared. NULL: nothing is ever shared. */
	void (*heard)(void *shared, unsigned from, struct bytes what);

	/* The policy classes of a column of a relation (empty: of any of its columns) beyond what their names say; for verdicts. The
	 * same as long as `tagged_version` is. Both NULL: nothing is known of relations. */
	struct class_bits (*tagged)(void *session, const struct access *relation, struct bytes column);
	uint64_t (*tagged_version)(void *session);
};

/* The inspectors of this build, by policy word; NULL when there is none (registry.c, generated from meson.build's list). */
const struct inspector *inspector_find(const char *name);

/* All of them, NULL-terminated. */
extern const struct inspector *const inspectors[];

#endif
