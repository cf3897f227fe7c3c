/* relay.h: the conductor. It alone knows all stages: packet, flow, tcp, tls, inspector, verdict, report.
 *
 * A worker gives it every frame and calls relay_turn once per loop; it answers what to do with the frame and sends its own
 * frames through struct relay_wire. For each guarded flow it does, in each direction: tcp in, tls in, inspector, verdict,
 * tls out, tcp out. Frames of nothing that a service names are bridged: the worker sends the same buffer out of the
 * other port.
 *
 * Memory is taken by relay_create; afterwards nothing allocates, locks, waits or calls the system. One worker. Work per
 * flow and turn is bounded. Times are microseconds of one monotonic clock, never 0.
 */
#ifndef DATAPLANE_RELAY_RELAY_H
#define DATAPLANE_RELAY_RELAY_H

#include "dataplane/inspect/inspector.h"
#include "dataplane/match/pattern.h"
#include "dataplane/packet/packet.h"
#include "dataplane/tls/engine.h"
#include "dataplane/verdict/cache.h"
#include "platform/contract/page.h"

struct relay;

/* What a port does with TCP segments: makes the checksum; cuts frames of up to `frame_bytes_max` into segments (0: it does not). */
struct relay_help {
	bool checksum;
	uint32_t frame_bytes_max;
};

/* The frames that the relay sends itself. */
struct relay_wire {
	void *context;
	/* Memory for one frame towards `port`, at least `*cap` bytes as set; NULL: the port has no room now. */
	uint8_t *(*room)(void *context, unsigned port, size_t *cap);
	/* Sends what was built in the last room; `bytes` 0 gives the room back. */
	void (*send)(void *context, unsigned port, size_t bytes);
	/* NULL: no port helps. */
	struct relay_help (*help)(void *context, unsigned port);
	/* As room, for one frame that the port is to cut. */
	uint8_t *(*room_large)(void *context, unsigned port, size_t *cap);
	/* Sends what was built with PACKET_BUILD_PSEUDO, in the last room; `cut_bytes` > 0: in the last large one, its payload to be cut into
	 * pieces of so many bytes. */
	void (*send_helped)(void *context, unsigned port, const struct packet_built *built, uint16_t cut_bytes);
	/* To another worker, where there are several: a copy of a frame that came from `port`, for its relay_frame_handed, and a message
	 * for its relay_told. In order. False: no room now. An empty message asks whether RELAY_TELL_ROOM more would find room. */
	bool (*hand)(void *context, unsigned worker, unsigned port, struct bytes frame);
	bool (*tell)(void *context, unsigned worker, struct bytes message);
};

#define RELAY_TELL_ROOM 64
#define RELAY_MESSAGE_BYTES 384 /* the longest */

enum relay_unnamed { RELAY_UNNAMED_DROP, RELAY_UNNAMED_PASS };
enum relay_midstream { RELAY_MIDSTREAM_RESET, RELAY_MIDSTREAM_DROP };

/* IP in IP and GRE. Nothing is passed that leads to a guarded target, or comes from one, whatever this says. */
enum relay_tunnels { RELAY_TUNNELS_PASS, RELAY_TUNNELS_DROP };
/* QinQ towards or from a guarded target: read by its inner tag, or dropped. */
enum relay_double_tags { RELAY_DOUBLE_TAGS_INSPECT, RELAY_DOUBLE_TAGS_DROP };

/* Whether opaque flows go over to forwarding once their begin is on record. */
enum relay_splice { RELAY_SPLICE_ON, RELAY_SPLICE_OFF };

struct relay_config {
	unsigned worker, workers;      /* this one's number; how many there are (0: this one) */
	uint32_t flows_max, sessions_max;
	uint32_t pieces[2];            /* enum inspect_piece: so many of each that sessions may borrow; both 0: by `sessions_max` */
	uint32_t active_max;           /* flows that have something in flight at one time; 0: by the chunk memory (active.c) */
	size_t chunk_memory_bytes;
	uint32_t buffers[3];           /* enum buffer_size: so many of each */
	size_t shared_bytes;           /* for what a protocol keeps per service: its catalogue */
	size_t mtu_bytes;
	uint32_t window_bytes;         /* receive and send limit of a half */
	enum relay_unnamed unnamed;    /* a guarded target, a port that no service names */
	enum relay_midstream midstream;
	enum relay_tunnels tunnels;
	enum relay_double_tags double_tags;
	enum relay_splice splice;
	uint8_t boot[16];
	struct hash_key hash_key;      /* secret, random */
	uint64_t wall_offset_us;       /* wall clock minus `now_us`, for rules with times */
	struct page_flights *flights;  /* flight recorders for `flight_flows` flows; NULL: none. Outlives the relay */
	uint32_t flight_flows;
	uint64_t lost_after_us;        /* the longest that a command waits for control before it is refused: 30 s */
	uint64_t stalled_after_us;     /* a heartbeat that stands still for this long means that control is lost: 2 s */
};

/* What a session that is read takes of memory beside its flow: `sessions_max` times. */
size_t relay_session_bytes(void);

/* How many sessions, with the pieces that go with so many, fit into `bytes`. */
uint32_t relay_sessions_in(uint64_t bytes);

/* NULL with a text in `err` when memory is short. `up` and `down` are the worker's rings, as shm_ring_open gave them. */
struct relay *relay_create(const struct relay_config *config, const struct relay_wire *wire, void *up, void *down, char *err,
			   size_t err_len);
void relay_destroy(struct relay *relay);

enum relay_route {
	RELAY_BRIDGE,
	RELAY_TAKEN,
	RELAY_DROPPED,
	RELAY_ELSEWHERE,
	RELAY_SPLICED, /* within the relay: RELAY_BRIDGE, but of a guarded flow */
};

/* Says which frames, at most RELAY_EXPECT_MAX, relay_frame or relay_frame_handed will be given next, so that what their flows keep in
 * memory is on its way: with many flows each frame would wait for it several times. Only reads. */
#define RELAY_EXPECT_MAX 64
void relay_expect(const struct relay *relay, const struct bytes *frame, unsigned count);

/* One frame from `port` (0 or 1), in memory that may be written to. RELAY_BRIDGE: send it out of the other port, as it is there now; what
 * its sender left to do (PACKET_CHECKSUM_PARTIAL) is still to be done.
 * RELAY_ELSEWHERE: it is for relay_frame_handed of worker relay_elsewhere (dataplane/flow/steer.h); nothing was done with it. */
enum relay_route relay_frame(struct relay *relay, unsigned port, struct bytes frame, enum packet_checksum checksum, uint64_t now_us);

unsigned relay_elsewhere(const struct relay *relay);

/* A frame that another worker read, and that is this one's. Never RELAY_ELSEWHERE. */
enum relay_route relay_frame_handed(struct relay *relay, unsigned port, struct bytes frame, enum packet_checksum checksum, uint64_t now_us);

/* What another worker's relay told this one. May hold secrets: the caller wipes it. Before the frames of the same turn, so that what a
 * message says of bytes that went to a target is known before its answer is read. */
void relay_told(struct relay *relay, struct bytes message, uint64_t now_us);

/* Orders, timers, and the flows that have something to do. Returns whether anything was done. */
bool relay_turn(struct relay *relay, uint64_t now_us);

/* A policy image that another thread prepared, with everything that goes with it. */
struct relay_snapshot {
	struct inspect_snapshot inspect;
	struct match_scratch *scratch;  /* of the worker */
	struct match_patterns *patterns; /* NULL: the policy has none */
};

/* Puts `next` into force, at once for all that passes. Between two turns. False, and nothing is changed, while flows may still refer
 * to an earlier one or that one was not taken back: again in the next turn. */
[[gnu::warn_unused_result]] bool relay_swap_snapshot(struct relay *relay, const struct relay_snapshot *next);

/* The snapshot that was replaced, once nothing refers to it any more; NULL otherwise. Said once. */
const struct relay_snapshot *relay_retired_snapshot(struct relay *relay);

/* The policy image that control asked for and that is not loaded yet; false when there is none. `file` gets the name. */
bool relay_wants_snapshot(struct relay *relay, uint64_t *generation, char *file, size_t cap);

const struct page_counters *relay_counters(const struct relay *relay);

/* What is to be shown of this worker: the relay's part of `page`, and the next flows of the flight file. Bounded. */
void relay_publish(struct relay *relay, struct page_worker *page, uint64_t now_us);

/* The number of the flow that a packet of either direction belongs to; 0: of none. */
uint64_t relay_flow_id(const struct relay *relay, const struct packet *p);

uint32_t relay_flows_open(const struct relay *relay);

#endif
