/* postgres_kit.h: a session of the inspector with a host and a policy made for tests, and messages by hand. Tests and fuzzing only.
 *
 * The policy: one service without TLS; class 0 "email" (columns shop.public.customers.email, detector email, full) and class 1 "name"
 * (column name, no detector). The host allows everything but texts with DENY (blocked), HOLD (waits for kit_release) and
 * UNKNOWN (allowed without a classification), masks both classes but for texts with NOMASK, and limits texts with ROWS and BYTES; a text that names
 * customers, other or kids reads that relation, with one TAINT_ALL, or with "flow note", "flow name" or "flow id" that column; "copy name into" customers or
 * other sets its column note, and with "untold" nobody knows which.
 * Outputs are gathered in `out`; every rule of inspector.h that can be checked from outside is asserted at each call.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_POSTGRES_KIT_H
#define DATAPLANE_INSPECT_POSTGRES_POSTGRES_KIT_H

#include "dataplane/inspect/inspector.h"

extern const struct inspector inspector_postgres;

#define KIT_OUT_BYTES (8u << 20)
#define KIT_COMMANDS 8192
#define KIT_ROWS_MAX 3
#define KIT_BYTES_MAX 60

struct kit {
	void *session, *shared;
	struct inspect_env env;
	uint8_t *out[2];
	size_t out_len[2], checked;
	bool closed, waiting, logging_in, proving;
	enum close_cause cause;
	uint32_t n;
	uint8_t answered[KIT_COMMANDS]; /* by n: 1 judged, 2 answered */
	struct inspect_response last;
	char last_status[8];
	struct hash128 exact, generic; /* of the last statement */
	uint8_t types[16]; /* of the last statement's values, as declared */
	size_t types_len;
	char schema[64]; /* of the last statement: where its bare names are */
	unsigned masked[2]; /* cells, by class, of all responses */
	struct judgement held;
	uint8_t classification[1024];
	uint64_t allowed[64]; /* hashes of texts that may be on the server's side */
	unsigned allowed_count;
	unsigned tls_starts;
	uint8_t upstream_key[INSPECT_KEY_BYTES]; /* the server's cancel key */
	size_t upstream_key_len;
	struct inspect_snapshot snapshot; /* what env.snapshot points to */
	unsigned shares; /* what the session told other workers */
	void *other_worker; /* the struct pg_shared that hears it; NULL: none does */
	bool no_share_room;
	uint32_t pieces_max; /* that the session may have borrowed at one time; kit_begin: any number */
	uint32_t borrowed, borrowed_most, refused; /* pieces, and that were not given */
	uint8_t kept[256]; /* of what was said to be sent in bulk; kit_begin: all of it */
	size_t kept_len, kept_max;
	unsigned reloads; /* set before kit_login: the policy changes its columns this often while the catalogue is read */
};

void kit_begin(struct kit *k);
void kit_end(struct kit *k);

/* Feeds `bytes` in pieces of at most `segment` bytes (0: all at once), and answers what is asked at login. */
void kit_feed(struct kit *k, enum side from, struct bytes bytes, size_t segment);
void kit_release(struct kit *k, bool allow, bool cancelled);
/* A new policy: the same, or one that tags the column nick instead of name. */
void kit_reload(struct kit *k, bool other_columns);
void kit_end_session(struct kit *k, const char *text);

/* From the first byte to the first ReadyForQuery, with the catalogue's rows: customers is relation 1000 (id, name, email, note), kids 1001
 * (note) inherits from other 1002 (note, x). */
void kit_login(struct kit *k, size_t segment);
/* Those rows again, as the answer to its query. */
void kit_catalogue(struct kit *k, size_t segment);

/* Forgets what was written so far. */
void kit_clear(struct kit *k);
bool kit_wrote(const struct kit *k, enum side to, const char *text);

/* Messages: appended to `w`. */
void kit_message(struct writer *w, char type, const void *body, size_t len);
void kit_query(struct writer *w, const char *text);
void kit_parse(struct writer *w, const char *name, const char *text);
/* The same with declared types, at most 4. */
void kit_parse_types(struct writer *w, const char *name, const char *text, const uint32_t *types, unsigned count);
void kit_bind(struct writer *w, const char *portal, const char *name);
void kit_execute(struct writer *w, const char *portal, unsigned rows);
void kit_column(struct writer *w, const char *name, uint32_t relation, unsigned attnum, uint32_t type, unsigned format);
void kit_row(struct writer *w, const char *cell);
void kit_complete(struct writer *w, const char *tag);
void kit_error(struct writer *w, const char *code, const char *text);
void kit_ready(struct writer *w, char status);

#endif
