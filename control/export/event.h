/* event.h: a record as the plain facts that formats for other systems are made of.
 *
 * What a session's first records say (addresses, database) holds for all of its records, so a struct sessions remembers it, and
 * looks a session up in the journal when a filter or a range left those records out.
 * Ownership: an event's texts live until event_close; strings are never NULL, "" stands for what the record does not say.
 * Threading: one thread, that of the archive. Source: journal.md 3, export.md 3.
 */
#ifndef CONTROL_EXPORT_EVENT_H
#define CONTROL_EXPORT_EVENT_H

#include <jansson.h>

#include "control/journal/archive.h"

struct event_end {
	const char *address, *mac;
	int64_t port, vlan; /* 0: not said */
};

struct event {
	uint64_t index;
	json_t *record;         /* owned */
	int64_t time_ms;        /* since 1970, UTC */
	const char *type, *time, *node, *service, *session, *policy;
	const char *issuer, *subject, *person, *agent, *run, *how; /* "" also where the record says "unknown" */
	struct event_end source, target;
	const char *database, *upstream_user;
	const char *verdict, *reason, *code, *tag, *verb, *text;  /* text: normalised statement, literals replaced */
	const char *approval, *statement_hash, *cause;
	int64_t rows, octets, masked_cells, duration_us;
	const json_t *rules, *reads, *writes, *masked;            /* arrays of texts; object class → cells; NULL: none */
};

struct sessions;

/* `archive` (may be NULL: nothing is looked up) must outlive it. NULL when memory is short. */
struct sessions *sessions_create(struct archive *archive);
void sessions_destroy(struct sessions *s);

/* Reads one canonical record. False when it is no record. */
[[nodiscard]] bool event_open(struct sessions *s, uint64_t index, struct bytes record, struct event *out);
void event_close(struct event *e);

/* RFC 3339 in UTC with up to microseconds, to microseconds since 1970; 0 for anything else. */
int64_t event_time_us(const char *text);

#endif
