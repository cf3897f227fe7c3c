/* session.h: the sessions that are open on this node, and how they survive a restart of control.
 *
 * A session is a guarded flow from its flow_open to its flow_close: a random 128-bit id, who it is, and the counter `n`.
 * It is found by (worker, flow).
 *
 * Persistence: memory files `sessions-<k>` in the run directory, 1,024 slots each, made as needed. Each slot holds two copies
 * with the version at which each is true. Versions are numbers that the journal commits together with the records (a
 * cursor of it), so after a crash the copy with the highest version that the journal knows is exactly the state after the last
 * record that is in it: neither a record too few nor one too many. Copies of a version that was never committed are wiped
 * when the table is opened, before that number is given out again. sessions_save writes the other copy before the commit;
 * sessions_saved, after it, makes that the current one.
 *
 * Ownership: sessions belong to the table. A pointer is valid until session_remove. Threading: one thread.
 */
#ifndef CONTROL_INBOX_SESSION_H
#define CONTROL_INBOX_SESSION_H

#include "control/identity/principal.h"
#include "control/journal/seal.h"
#include "platform/base/bytes.h"
#include "platform/os/error.h"

#define SESSIONS_PER_FILE 1024u
#define SESSIONS_FILES_MAX 64u
#define SESSION_WHO_BYTES (LIMIT_PRINCIPAL_BYTES + 2048) /* with 8 actors of the longest names it does not fit, and is refused */

enum session_phase {
	SESSION_NONE,
	SESSION_OPEN,
	SESSION_LOGIN,     /* a login is being checked; its counter is `login_n` */
	SESSION_LOGGED_IN,
	SESSION_BROKEN,    /* its worker broke the protocol: killed, only its close is still read */
};

#define SESSION_SECRETS 16

struct session {
	/* Where. */
	unsigned worker;
	uint64_t flow;
	enum session_phase phase;
	uint8_t id[16];
	uint8_t boot[16];      /* of the worker */
	uint8_t client[16], target[16], client_mac[6];
	uint8_t address_len;   /* 4 or 16 */
	uint16_t client_port, target_port, vlan;
	char service[LIMIT_NAME_BYTES];
	/* Who. */
	struct principal *principal; /* NULL before the login */
	char user[LIMIT_NAME_BYTES], database[LIMIT_NAME_BYTES], application[LIMIT_NAME_BYTES];
	char login[LIMIT_NAME_BYTES]; /* the user that it is upstream */
	uint8_t *who;                /* canonical `who` of its records */
	size_t who_len;
	/* Counters. */
	uint32_t n;                  /* the next record's */
	uint32_t own;                /* records of the session that control wrote of its own: the next one's `nc` */
	uint32_t login_n;
	uint32_t chunks;             /* the next payload chunk's number; jumps at a restart, so that none comes twice */
	bool sealed;                 /* `seal` is its key; false in sessions from before there were keys */
	struct seal seal;            /* secret; not kept in the file: inbox_create finds it again */
	uint64_t opened_us;          /* wall clock */
	uint64_t generation;         /* of the last command's policy; 0: no command yet */
	uint64_t commands, blocked, held, rows;
	uint32_t secret_ref[SESSION_SECRETS]; /* the last commands with secrets in them; not kept over a restart */
	unsigned secrets;            /* such commands so far */
	uint32_t left_out_ref;       /* the last command of which payload was left out for the journal's level; 0: none; not kept over a restart */
	unsigned audit;              /* enum policy_audit of the last command's policy; not kept over a restart */
	uint64_t waits_for;          /* number of the last commit that the session's client waited for */
	bool asked_approval;         /* has objects in control/approval */
	bool ending;                 /* an order kill is under way */
	bool suspended;              /* the worker judges no command of it; not kept over a restart, which says it again */
	/* Kept by the table. */
	unsigned slot;
	bool dirty, removed;
	struct session *next, *next_dirty;
};

struct sessions;

/* Finds what was open at `version`. NULL with a text in `err`. */
struct sessions *sessions_open(const char *run_dir, uint64_t version, char err[OS_ERROR_BYTES]);
void sessions_close(struct sessions *ss);

struct session *session_find(struct sessions *ss, unsigned worker, uint64_t flow);
/* By its id in hexadecimal: a unique beginning of at least 4 digits. */
struct session *session_by_id(struct sessions *ss, const char *id);
/* Walks all: start with NULL. */
struct session *session_next(struct sessions *ss, struct session *after);
unsigned sessions_count(const struct sessions *ss);

/* A new one, zeroed but for worker, flow and a random id, and marked dirty. NULL: no room. */
struct session *session_add(struct sessions *ss, unsigned worker, uint64_t flow);
/* Gone from memory at once, from the file with the next save. */
void session_remove(struct sessions *ss, struct session *s);
/* Something that is kept changed. */
void session_touch(struct sessions *ss, struct session *s);

/* Takes the principal (its reference) and writes `who`. False when it is too large to be kept. */
bool session_identify(struct sessions *ss, struct session *s, struct principal *p);

void sessions_save(struct sessions *ss, uint64_t version);
void sessions_saved(struct sessions *ss, uint64_t version);

#endif
