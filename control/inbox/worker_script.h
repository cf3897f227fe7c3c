/* worker_script.h: a data plane worker for tests: writes legal events to a real ring, reads its orders, and remembers what it said.
 *
 * A flow's number is its client address, so that its records can be told in the journal. Deterministic from its seed.
 */
#ifndef CONTROL_INBOX_WORKER_SCRIPT_H
#define CONTROL_INBOX_WORKER_SCRIPT_H

#include "platform/base/random.h"
#include "platform/contract/message.h"
#include "platform/contract/ring.h"

#define SCRIPT_FLOWS 64
#define SCRIPT_SAID_MAX 200000

/* An event that has to become a record. */
struct script_said {
	uint64_t end;   /* the ring's position after it */
	uint32_t flow, n;
	char kind;      /* 'o' open, 'l' login, 'c' command, 'r' response, 'x' close */
};

struct script_flow {
	uint32_t number, n; /* 0: free */
	uint32_t command;   /* not answered yet; 0: none */
	bool asked, logged_in, refused;
};

struct worker_script {
	struct ring_producer up;
	struct ring_consumer down;
	struct rng rng;
	unsigned worker;
	uint8_t boot[16];
	uint32_t flows;               /* numbers given out */
	struct script_flow flow[SCRIPT_FLOWS];
	struct script_said *said;
	unsigned said_count;
	uint64_t durable, position, orders, kills, refused, generation;
	uint8_t room[LIMIT_MESSAGE_BYTES], order[LIMIT_MESSAGE_BYTES];
};

/* On the rings' memory. */
bool worker_script_init(struct worker_script *s, void *up, void *down, uint64_t seed);
void worker_script_free(struct worker_script *s);

/* One legal event of a random flow; false when the ring has no room or nothing can be said now. */
bool worker_script_step(struct worker_script *s);
/* Closes what is open; false while there is no room. */
bool worker_script_close_all(struct worker_script *s);
/* Takes what control ordered. */
void worker_script_orders(struct worker_script *s);

/* Any bytes as event `type`, for what is not legal. */
bool worker_script_write(struct worker_script *s, uint16_t type, struct bytes payload);
/* Legal building blocks for tests that want a given order. */
bool worker_script_hello(struct worker_script *s);
bool worker_script_open_flow(struct worker_script *s, struct script_flow *f, uint32_t number);
bool worker_script_login(struct worker_script *s, struct script_flow *f, struct bytes token);
bool worker_script_command(struct worker_script *s, struct script_flow *f, struct bytes text, enum command_action action);
bool worker_script_respond(struct worker_script *s, struct script_flow *f);
bool worker_script_payload(struct worker_script *s, struct script_flow *f, struct bytes data);
bool worker_script_part(struct worker_script *s, struct script_flow *f);
bool worker_script_close(struct worker_script *s, struct script_flow *f, enum close_cause cause);

#endif
