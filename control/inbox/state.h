/* state.h: what the files of this folder share. */
#ifndef CONTROL_INBOX_STATE_H
#define CONTROL_INBOX_STATE_H

#include "control/inbox/inbox.h"

#define INBOX_PENDING_MAX 128u /* sessions of one batch whose chunks no record names yet */

struct lane {
	struct ring_consumer ring;
	uint64_t position, acknowledged; /* read up to; told to the worker */
	uint64_t alarm_us, alarms_left_out;
	bool secret;                     /* what was read carries a token, or may carry a password: wipe it */
	struct inbox_worker state;
};

/* Chunks of a session that its next record will name. */
struct pending {
	struct session *session;
	unsigned count;
	struct entry_chunk chunk[ENTRY_CHUNKS_MAX];
};

struct inbox {
	struct inbox_host host;
	struct entry_node node;
	struct journal *journal;
	struct sessions *sessions;
	struct orders *orders;
	unsigned workers;
	struct lane lane[LIMIT_WORKERS];
	struct inbox_counters counters;
	uint64_t version;
	unsigned appended; /* records of this batch */
	unsigned pendings;
	struct pending *pending;
	struct payload_keys *payload_keys;
	uint8_t commitment_key[32];
	uint8_t message[LIMIT_MESSAGE_BYTES], encoded[LIMIT_MESSAGE_BYTES];
	uint8_t record[RECORD_BYTES_MAX + 1024];
	bool stopped;
	bool again; /* the event could not be finished in this batch: read it again */
	bool withheld;   /* the event that is being read holds secrets that its record does not */
	bool patient;    /* nobody waits for the record of the event that is being read */
	bool urgent;     /* somebody waits for this batch */
	uint64_t due_us; /* when the batch is committed at the latest; 0: it is empty */
	uint64_t began_us; /* the turn that opened the batch */
	uint64_t empty_us; /* the last turn that read all that was in the rings; 0: none yet */
	unsigned waiters, waiters_before; /* commands, and sessions with answers, that wait for this batch, and did for the last one that had any */
	uint64_t committed_us; /* when that was */
	bool paused, thrifty;
};

/* One event: decode, check, record. events.c. */
void inbox_event(struct inbox *in, unsigned worker, uint16_t type, struct bytes payload);

/* A hash of `text` under a key of the session, so that a guess of the text cannot be confirmed without it (journal.md 4). */
void inbox_commitment(const struct inbox *in, const struct session *s, struct bytes text, uint8_t out[32]);

/* An alarm record, at most ten a second for each worker; the rest is counted into the next. */
void inbox_alarm(struct inbox *in, unsigned worker, const char *what, const char *detail, struct session *s);

/* Names what is pending of `s` (NULL: of all sessions) in a `payload` record. */
void inbox_payload_flush(struct inbox *in, struct session *s);

/* Gives the pending chunks of `s` to the caller's list, and forgets them. */
void inbox_payload_take(struct inbox *in, struct session *s, struct entry_chunk *list, unsigned *count);
void inbox_payload_add(struct inbox *in, struct session *s, const char *dir, struct bytes payload);

#endif
