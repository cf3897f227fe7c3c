/* conductor.h: what the files of this folder share: the worker's state, and the steps of the conductor. Private.
 *
 * flight.c  flight recorders
 * relay.c   set-up, frames to flows, the turn
 * pump.c    one flow: bytes through its stages
 * special.c ICMP errors, tunnels, fragments
 * host.c    what an inspector asks: judge, login, TLS, cancel
 * barrier.c what may leave, and when: commands, and answers
 * orders.c  what control answers
 * session.c begin and end of a flow's session
 * room.c    whose place a new flow takes
 * active.c  flows at rest, and what the others have of a pool
 * news.c    what every flow has to hear of
 * splice.c  flows that need no more reading
 * peers.c   what workers tell one another
 */
#ifndef DATAPLANE_RELAY_CONDUCTOR_H
#define DATAPLANE_RELAY_CONDUCTOR_H

#include "dataplane/packet/fragment.h"
#include "dataplane/relay/flight.h"
#include "dataplane/relay/flow.h"
#include "dataplane/relay/guard.h"
#include "dataplane/relay/passing.h"
#include "dataplane/relay/piece.h"
#include "dataplane/relay/presence.h"
#include "dataplane/relay/relay.h"
#include "dataplane/report/report.h"
#include "platform/contract/ring.h"

#define RELAY_ORDERS_PER_TURN 64
#define RELAY_TIMERS_PER_TURN 512
#define RELAY_FLOWS_PER_TURN 256
#define RELAY_VISITS_PER_TURN 256    /* flows that are looked at because of news */
#define RELAY_WAKES_PER_TURN 64      /* of them, those that then have something to do: fewer than RELAY_FLOWS_PER_TURN, so that the
				      * others never stand behind all of them */
#define RELAY_RECORDS_PER_TURN 1024  /* records that became durable: their flows are woken */
#define RELAY_ANSWERS_PER_TURN 64    /* flows that wait for one and the same classification */
#define RELAY_SEGMENTS_PER_TURN 64   /* per flow and side */
#define RELAY_CALLS_PER_TURN 32      /* into the inspector per flow and side, each for several messages */
#define RELAY_IN_BYTES (64u << 10)   /* taken from TCP per flow, side and turn */
#define RELAY_OUT_BYTES (256u << 10) /* unsent towards a side above which its other side is not read */
#define RELAY_WINDOW_BYTES (64u << 10) /* of an answer, described by one event: journal.md 2, point 4 */
#define RELAY_SWEEP_FLOWS 512       /* summaries for people, per publication */
#define RELAY_SYNS_PER_TURN 16      /* while more flows than the mark are half open */
#define RELAY_RECORDS_BYTES 256     /* of the begin and the end of a flow in the ring */
#define RELAY_BEHIND_MANY 1024      /* so many flows wait for their records, */
#define RELAY_BEHIND_SOON_US 250000u /* and one of them for so long: control does not keep up, and who comes now would wait longer; */
#define RELAY_BEHIND_FEW 64         /* or so many, */
#define RELAY_BEHIND_LATE_US 1000000u /* for so long: by then a client has sent its SYN again */
#define RELAY_OPENING_SHARE 8       /* the mark: this part of all flows */
#define RELAY_LINGER_US 10000000u    /* a session that is ending may take this long to be rid of its bytes */
#define RELAY_DURABLE_QUEUE (1u << 16)
#define RELAY_CLASSIFY_BUCKETS 4096u
#define RELAY_SAY_BYTES 240         /* what a session is told at its end, with its zero */
#define HOST_PROCESS_WORKER 24      /* a client's process number: the worker above this bit, its flow's number + 1 below */
#define RELAY_PIECES_SMALL 4        /* a piece for so many sessions; a few at least */
#define RELAY_PIECES_LARGE 32
#define RELAY_PIECES_LEAST 16
#define RELAY_SAYS_SHARE 16         /* this part of all flows can be told something of their own at one time */

_Static_assert(RELAY_WAKES_PER_TURN < RELAY_FLOWS_PER_TURN, "news does not fill the ready list faster than it is emptied");

/* Why nothing new is released at the moment. */
enum refusing {
	REFUSING_NOTHING,
	REFUSING_LOST,    /* control is gone, and the policy does not wait (any longer) */
	REFUSING_JOURNAL, /* control said that the journal cannot be written */
};

/* A text kept for one flow. */
union relay_say {
	union relay_say *next;
	char text[RELAY_SAY_BYTES];
};

/* Who waits for which position of the event ring, in the order of positions. */
struct durable_wait {
	uint64_t position, since_us;
	uint32_t number;
};

struct flow_list {
	struct flow *first, *last; /* oldest first */
	uint32_t count;
};

struct relay {
	struct relay_config config;
	struct relay_wire wire;
	struct page_counters counters;
	struct flight flight;
	uint16_t order_type; /* of the order that is being taken */
	/* What the client sends in bulk within one call (barrier_sent): RELAY_WINDOW_BYTES, and where it will stand in out[SIDE_SERVER]. */
	uint8_t *sent;
	size_t sent_bytes;
	uint64_t sent_from;
	struct bytes order_rest; /* the order that was not finished in the last turn, in order_bytes; empty: none */
	struct report report;
	struct ring_consumer orders;
	uint8_t *order_bytes;
	struct tcp_config tcp[2]; /* for IPv4 and for IPv6, whose header is longer */
	struct tcp_pool pool;
	struct packet_fragments *fragments;
	void *chunk_memory, *cache_memory, *session_memory, *piece_memory, *shared_memory;
	struct buffer_pool buffers;
	struct wheel wheel;
	struct flow_table *table;
	struct flow *flows;
	struct flow_active *actives, *active_free;
	uint32_t active_count, active_left, active_mark, active_reserve, active_next; /* all; free; see active.c; to be looked at next */
	struct flow *recent; /* the flow of the last segment, or NULL: frames of a flow come in a row */
	uint32_t *free_flows, free_count;
	union relay_say *says, *free_say;
	uint32_t says_max;
	struct flow_session **free_sessions;
	uint32_t sessions_free;
	size_t session_bytes;
	struct piece_pool pieces;
	size_t pieces_bytes; /* of all of them */
	size_t shared_used, shared_max;
	struct cache *cache;
	struct tls_library *tls;
	struct relay_services services;
	const struct relay_snapshot *snapshot, *leaving, *retired; /* in force; replaced; replaced, and of no flow any more */
	struct guard guard; /* of the snapshot, of the one that leaves, and of flows that outlived theirs */
	struct guard guard_next; /* of the snapshot, and of the flows visited since it came */
	uint64_t news, kill_news, reborn_news; /* the newest; the newest of these kinds */
	char kill_say[RELAY_SAY_BYTES];
	uint32_t visit_next, visits_left, leaving_left; /* left until each flow heard the news; until each heard of the snapshot */
	uint64_t wanted_generation;
	char wanted_file[128];
	uint8_t wanted_hash[POLICY_HASH_BYTES];
	struct flow *ready_first, *ready_last;
	struct flow_list list[LISTED_COUNT]; /* by enum flow_listed */
	uint32_t opening_max; /* more half-open flows than that there are not */
	uint32_t opening_mark; /* with more half-open flows than that, and only then, new SYNs are rationed */
	unsigned syns_this_turn;
	struct flow *classify_bucket[RELAY_CLASSIFY_BUCKETS]; /* flows that wait for a classification, by its key */
	struct flow *classify_answering; /* those that the order at hand may answer */
	struct durable_wait *durable;
	uint64_t durable_head, durable_tail; /* positions in the queue, never wrap in practice */
	uint64_t durable_position;
	uint64_t durable_unlisted, durable_unlisted_last; /* the first and last positions for which the queue had no room; 0: none */
	uint64_t flow_serial, now_us, tick_at_us;
	bool together; /* the packet at hand was put together of fragments: no frame that could be sent on */
	unsigned elsewhere; /* the worker whose the last frame was */
	const struct peer_message *cancel_at_hand; /* an answer that is being taken; NULL: none */
	struct presence presence;
	enum refusing refusing;
	enum journal_room room;
	uint8_t control_boot[16];
	bool control_known, journal_writes;
};

/* relay.c */
void relay_ready(struct relay *r, struct flow *f);
void relay_flow_free(struct relay *r, struct flow *f);
struct passing_rules relay_passing(const struct relay *r);

/* Sets `elsewhere`. False for what is this worker's, or nobody's. */
bool relay_is_elsewhere(struct relay *r, const struct packet *p);

enum relay_route relay_drop(struct relay *r, enum error why);
enum relay_route relay_classify(struct relay *r, unsigned port, const struct packet *p, enum packet_checksum checksum);

/* peers.c */
struct inspect_cancel peers_cancel(struct flow *asking, uint32_t process, struct bytes issued);
bool peers_share(struct flow *f, struct bytes what);
bool peers_share_room(const struct relay *r);

/* special.c: packets with more to them than a TCP or UDP header. */
enum relay_special {
	RELAY_SPECIAL_NOT, /* as every other packet */
	RELAY_SPECIAL_PASS,
	RELAY_SPECIAL_DROP,
	RELAY_SPECIAL_FRAGMENT, /* to be put together: special_fragment */
};
enum relay_special special_look(struct relay *r, unsigned port, const struct packet *p, enum error *why);
enum relay_route special_fragment(struct relay *r, unsigned port, const struct packet *p);

/* session.c */
struct flow *session_create(struct relay *r, unsigned port, const struct packet *p, const struct tcp_segment *syn, unsigned service);
void session_begin(struct relay *r, struct flow *f);
void session_end(struct relay *r, struct flow *f, enum close_cause cause);
void session_refresh_snapshot(struct relay *r, struct flow *f);
void session_abort(struct relay *r, struct flow *f, enum close_cause cause);
/* Carries out `abort_asked`; the flow has its record. */
void session_reset(struct relay *r, struct flow *f);
/* Keeps a text for a flow in `slot`, which is NULL or has one already. When so many flows were told something, the others are told
 * something general. session_hush gives it back. */
void session_say(struct relay *r, const char **slot, struct bytes say);
void session_hush(struct relay *r, const char **slot);

/* Asks for the end of a session in the protocol's own words; the first one that asks is heard. */
void session_demand_end(struct relay *r, struct flow *f, enum inspect_end end, struct bytes say);

/* room.c */
/* Puts the flow, which is in no list, behind the others of one; takes it out of the one that it is in, if any. */
void room_enter(struct relay *r, struct flow *f, enum flow_listed list);
void room_leave(struct relay *r, struct flow *f);
/* Whether one more flow has a place, if need be that of an old one, which is then free. Constant work. */
[[gnu::warn_unused_result]] bool room_make(struct relay *r);

/* Whether what one more flow will have to record finds its place, and soon. Constant work. */
bool room_for_records(struct relay *r);

/* active.c */
/* How many records there are; and what relay_create does with their memory. */
uint32_t active_count(const struct relay_config *c);
void active_init(struct relay *r);
/* For a new flow. False: the last ones are for those that are open. */
[[gnu::warn_unused_result]] bool active_begin(struct relay *r, struct flow *f);
/* Before anything is done with TCP's part or a frame is built: `active` is there. False: nothing is free; later. */
bool active_find(struct relay *r, struct flow *f); /* active_wake for one at rest */
[[gnu::warn_unused_result]] static inline bool active_wake(struct relay *r, struct flow *f)
{
	return f->active || active_find(r, f);
}

/* Gives the record back if the flow is at rest, and nothing is about to be done with it. */
void active_lie_down(struct relay *r, struct flow *f);

/* When the flow was looked at: it may give its record back. */
static inline void active_settle(struct relay *r, struct flow *f)
{
	if (r->active_left < r->active_mark || (r->active_mark > 0 && (f->listed == LISTED_WAITING || f->splice.on)))
		active_lie_down(r, f);
}

/* The flow ends; its pair holds nothing. */
void active_drop(struct relay *r, struct flow *f);
void active_sweep(struct relay *r);

/* pump.c */
void pump(struct relay *r, struct flow *f);
void pump_transmit(struct relay *r, struct flow *f);
void pump_answer(struct relay *r, struct flow *f, const struct inspect_answer *a);

/* splice.c */
/* Hands the flow over to forwarding if it may be and can be; else it may wait until splice_hold_until_us. */
void splice_try(struct relay *r, struct flow *f);
/* A spliced flow becomes one with two ends of ours again. */
void splice_take_back(struct relay *r, struct flow *f);
/* A segment of a spliced flow. */
enum relay_route splice_segment(struct relay *r, enum side side, const struct packet *p, enum packet_checksum checksum, struct flow *f,
				struct tcp_segment *s);
/* What pump does for a spliced flow, before the halves send. */
void splice_turn(struct relay *r, struct flow *f);

/* host.c */
extern const struct inspect_host host_calls;
void host_judge_pending(struct relay *r, struct flow *f, struct bytes classification, bool known);
void host_recheck(struct relay *r, struct flow *f);
void host_release_approved(struct relay *r, struct flow *f);
void host_refuse_pending(struct relay *r, struct flow *f, struct bytes say, bool cancelled);
void host_retry(struct relay *r, struct flow *f);
const char *host_refusal(const struct relay *r);
struct inspect_cancel host_cancel(struct relay *r, const struct relay_service *service, uint32_t process, struct bytes issued);
void *host_shared(struct relay *r, struct relay_service *service, const struct inspector *inspector);
void host_withdraw(struct relay *r, struct flow *f, enum withdraw_cause cause);

/* barrier.c. Promise 1 of control/journal.md: no byte of a command reaches the server, and with audit "answers" no byte of an answer the
 * client, before the record that describes it is durable. Towards the client this is so from the first command of a session on; what the
 * client is told before follows `auth.ok`, for which control waits. */

/* Towards the server: what is written from now on waits for `position`. Towards the client: all that no event described yet. */
void barrier_put(struct relay *r, struct flow *f, enum side side, uint64_t position);

/* Whether bytes of the flow wait for records. */
static inline bool barrier_any(const struct flow *f)
{
	return f->session ? f->session->barriers[SIDE_CLIENT] > 0 || f->session->barriers[SIDE_SERVER] > 0 : f->held_until > 0;
}

/* For a flow that is not read: nothing leaves for the server, or with `both_ways` for anybody, before `position`. It stays in TCP. */
void barrier_hold(struct relay *r, struct flow *f, uint64_t position, bool both_ways);
bool barrier_holds(const struct relay *r, struct flow *f, enum side to);

/* How many bytes of out[side] may leave now. */
size_t barrier_released(struct relay *r, struct flow *f, enum side side);

/* Within a call into the inspector: what the client sends in bulk, as payload of command `ref`, before it is written to the server. False: beyond the
 * service's limit. barrier_sent_report puts what was gathered into the ring: before any other event of the flow, and at the end of the call. */
bool barrier_sent(struct relay *r, struct flow *f, uint32_t ref, struct bytes data);
void barrier_sent_report(struct relay *r, struct flow *f);

/* Within a call into the inspector: reports what it wrote to the client since the last time, as payload of the current command. */
void barrier_capture(struct relay *r, struct flow *f);

/* An answer ended, and `position` says so. */
void barrier_conclude(struct relay *r, struct flow *f, uint64_t position);

/* After a call into the inspector: what it wrote to the client is a window, or part of one. */
void barrier_window(struct relay *r, struct flow *f);

/* Never recorded, so never sent: what waits goes nowhere, and the session ends. What may leave leaves still. */
void barrier_drop(struct relay *r, struct flow *f);

/* orders.c */
bool orders_take(struct relay *r);
void orders_await_classified(struct relay *r, struct flow *f);
void orders_forget_classified(struct flow *f); /* it waits for none any more */
void orders_await_durable(struct relay *r, const struct flow *f, uint64_t position);
void orders_look_for_control(struct relay *r);

/* news.c */
void news_tell(struct relay *r);
void news_kill_all(struct relay *r, struct bytes say);
void news_control_reborn(struct relay *r);
/* Before anything is done with a flow that rests on the policy or on control. */
void news_hear(struct relay *r, struct flow *f);
/* The next flows that have not moved since. Returns whether there was any to visit. */
bool news_visit(struct relay *r);

#endif
