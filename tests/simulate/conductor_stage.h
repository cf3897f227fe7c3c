/* conductor_stage.h: the real conductor between two plain TCP ends, with control played by the test.
 *
 * The ends talk the line protocol (line_inspector.c) over a wire without loss; what control would do is done by
 * stage_settle as the answer_ flags say, or by the test with STAGE_ORDER. Time passes only in stage_settle and stage_pass.
 * Every counter of the session's records is checked for gaps. Assertions are cmocka's.
 */
#ifndef TESTS_SIMULATE_CONDUCTOR_STAGE_H
#define TESTS_SIMULATE_CONDUCTOR_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/relay/relay.h"
#include "platform/contract/message.h"
#include "platform/contract/ring.h"

struct end {
	struct packet_template template;
	uint32_t next, ack, reset_seq, reset_ack;
	uint16_t port, window;
	bool open, reset, finished;
	uint8_t got[1u << 20];
	size_t got_bytes;
};

#define STAGE_FRAMES 256

struct stage {
	struct relay *relay;
	struct relay *entry; /* that of another worker, who reads the ends' frames; NULL: this one does */
	uint8_t client_port[2];
	struct page_flights *flights;
	void *up, *down;
	struct ring_consumer events;
	struct ring_producer orders;
	struct relay_snapshot snapshot, spare[2]; /* spare: stage_reload's */
	uint8_t *image, *leaving_image;
	unsigned reloads;
	struct end end[2]; /* 0: the client at port 0; 1: the server at port 1 */
	uint8_t frame[2048], queue[STAGE_FRAMES][2048];
	size_t queue_bytes[STAGE_FRAMES];
	unsigned queue_port[STAGE_FRAMES], head, tail;
	uint64_t now_us;
	unsigned bridged, dropped;
	/* What control saw, and does. */
	uint64_t last_position, durable_sent, command_position, flow, key_hi, key_lo;
	uint32_t next_n;
	unsigned commands, logins, responses, opens, closes, withdrawals, classifies, hellos;
	uint64_t octets_up, octets_down; /* of the last close */
	unsigned last_action, last_reason, close_cause, last_outcome;
	unsigned last_truncated;
	uint32_t last_ref; /* of the answer that ended last */
	uint32_t held_ref;
	unsigned rechecks;       /* answers to APPROVAL_RECHECK, and the last one */
	struct event_rechecked recheck;
	char recheck_state[64], recheck_raw[256];
	char last_raw[256], payload[1u << 20];
	size_t payload_bytes;
	bool answer_login, answer_classify, answer_durable, beats;
	bool wait_for_control, hold_unknown; /* of the policy that stage_write_image writes */
	enum policy_audit audit;             /* likewise, of its service */
	enum policy_record record;
	bool unspliced;
	uint64_t payload_bytes_max;          /* 0: the default */
	unsigned parts;                      /* records resp.part, and the last one */
	struct event_part part;
	uint64_t part_octets;                /* of all their windows */
	uint64_t response_position;
	bool fuzzed;             /* what a hostile peer may make untrue is not asserted */
	uint64_t durable_given;  /* orders `durable` that a fuzz input wrote itself */
};

extern struct stage *stage;
extern uint8_t stage_order_bytes[LIMIT_MESSAGE_BYTES];
extern bool stage_opaque; /* the service is opaque; before stage_open */
extern bool stage_terminated; /* and is never spliced */
/* Several workers: number and count of those that stage_open makes, how they reach one another, and what becomes of a frame that one
 * has read and that is another's. Of one worker, as it is from the start: not set. */
struct stage_peers {
	unsigned worker, workers;
	bool (*hand)(void *context, unsigned worker, unsigned port, struct bytes frame);
	bool (*tell)(void *context, unsigned worker, struct bytes message);
	enum relay_route (*elsewhere)(struct relay *from, unsigned port, struct bytes frame, uint64_t now_us);
};
extern struct stage_peers stage_peers;

extern uint64_t stage_ring_used; /* bytes of the ring of events that are full from the start: nobody may read it then (stage_settle); before stage_open */
extern uint32_t stage_flows_max; /* room for flows, before stage_open: 64; for sessions a quarter of it */
extern uint32_t stage_active_max; /* flows that have something in flight at one time, before stage_open: all */
extern uint32_t stage_memory_bytes; /* for chunks, and half as much for what is shared, before stage_open: 8 MiB */
extern uint8_t stage_frame_head[54]; /* a SYN from the client to the service, checksum left out */

/* cmocka's set-up and tear-down. */
int stage_open(void **state);
int stage_close(void **state);

/* One segment from an end: 0 the client, 1 the server. */
void stage_transmit(struct stage *s, unsigned from, uint8_t flags, const char *text);

/* The same for any segment; what the relay did with its frame. */
enum relay_route stage_give(struct stage *s, unsigned from, const struct tcp_segment *segment);

/* Lets everything happen that can; stage_pass lets that much time go by as well. */
void stage_settle(struct stage *s);
void stage_pass(struct stage *s, uint64_t us);

/* Whether an end has received this text. */
bool stage_got(struct stage *s, unsigned at, const char *text);

void stage_identify(struct stage *s, bool accepted);
void stage_durable(struct stage *s);
/* Answers the last classification that was asked for. */
void stage_classify(struct stage *s, const char *text, bool known);
void stage_connect(struct stage *s);
void stage_client_says(struct stage *s, const char *text);
void stage_log_in(struct stage *s);

/* Writes the policy into s->image, one generation on, and opens it in s->snapshot. */
void stage_write_image(struct stage *s);

/* Writes another one, as the fields of `s` say by now, and puts it into force. False: not yet, flows may still refer to an earlier one. */
bool stage_reload(struct stage *s);

#define STAGE_ORDER(s, name, ...) do { \
	struct order_##name m_ = { __VA_ARGS__ }; \
	assert_true(ring_write(&(s)->orders, ORDER_##name, order_##name##_encode(&m_, stage_order_bytes, sizeof stage_order_bytes), NULL)); \
} while (0)

#endif
