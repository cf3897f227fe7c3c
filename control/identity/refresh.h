/* refresh.h: when the key set of one issuer is fetched (identity.md 5). A pure state machine: time is an argument.
 *
 *   idle --due or wanted, 30 s after the last--> discovering --answer--> keys due --at once--> loading --answer--> idle
 *
 * A SPIFFE bundle may ask for another pace (refresh_pace): never slower than REFRESH_EVERY_S, because a key that was taken out has to
 * be noticed, and never faster than REFRESH_APART_S.
 * Discovery is skipped when the key set's URL is known: configured, or found less than one hour ago and good at the
 * last load; a refresh that an unknown kid asks for never repeats it. So a flood of unknown kids costs one request in 30 s.
 * A fetch that is never answered (egress died with it) ends by itself after 15 s.
 * Negative cache: kids that a fresh set did not hold are refused for 30 s without asking again.
 * Time: a monotonic clock in seconds, never 0.
 */
#ifndef CONTROL_IDENTITY_REFRESH_H
#define CONTROL_IDENTITY_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"
#include "platform/base/hash.h"

#define REFRESH_EVERY_S 600
#define REFRESH_APART_S 30
#define REFRESH_DISCOVERY_S 3600
#define REFRESH_LOST_S 15
#define REFRESH_ALARM_S 3600
#define REFRESH_NEGATIVE_S 30
#define REFRESH_NEGATIVE_ENTRIES 4096

enum refresh_state {
	REFRESH_IDLE,
	REFRESH_DISCOVERING,
	REFRESH_KEYS_DUE,
	REFRESH_LOADING,
};

enum refresh_step {
	REFRESH_NOTHING,
	REFRESH_DISCOVER,
	REFRESH_LOAD,
};

struct refresh_negative {
	uint64_t kid_hash;
	int64_t until_s;
};

struct refresh {
	enum refresh_state state;
	bool discovers;       /* the URL of the key set comes from discovery */
	bool wanted;          /* somebody needs a key that is not here */
	bool load_failed;     /* the last load: its URL may have moved */
	int64_t every_s;      /* from one good load to the next */
	int64_t started_s;    /* last refresh began; 0: never */
	int64_t sent_s;       /* the request under way was sent */
	int64_t loaded_s;     /* last good set; 0: never */
	int64_t discovered_s; /* last good discovery; 0: never */
	struct hash_key hash;
	struct refresh_negative negative[REFRESH_NEGATIVE_ENTRIES];
};

void refresh_init(struct refresh *r, bool discovers, struct hash_key hash);

/* `hint_s` <= 0: no wish. */
void refresh_pace(struct refresh *r, int64_t hint_s);

/* What to send now; the state says it is under way. */
enum refresh_step refresh_next(struct refresh *r, int64_t now_s);

/* The answer to the last step. After a good discovery the next step is REFRESH_LOAD, at once. */
void refresh_answered(struct refresh *r, bool good, int64_t now_s);

/* A token needs a key that the set does not hold, or there is no set. True: wait for a refresh, which is under way or
 * may start now. False: no refresh may start, refuse. An empty kid stands for "any". */
bool refresh_want(struct refresh *r, struct bytes kid, int64_t now_s);

/* A refresh has just ended and this kid was still not there. */
void refresh_kid_missing(struct refresh *r, struct bytes kid, int64_t now_s);

/* Seconds since the last good set; -1: never. */
int64_t refresh_age_s(const struct refresh *r, int64_t now_s);
bool refresh_alarm(const struct refresh *r, int64_t now_s);

#endif
