/* flow.h: all there is of one guarded flow on a worker: both TCP halves, both TLS legs, the protocol's session, the bytes
 * between the stages, and what the flow waits for. Lives in a table sized at start; never moves. Private to this folder.
 *
 * While nothing is in flight, TCP's part is struct flow_rest; else it is in a record of a pool (active.c).
 * A flow whose inspector is wordless is never read: its bytes go from one half to the other, and it has no struct flow_session.
 */
#ifndef DATAPLANE_RELAY_FLOW_H
#define DATAPLANE_RELAY_FLOW_H

#include "dataplane/flow/table.h"
#include "dataplane/inspect/inspector.h"
#include "dataplane/relay/buffer.h"
#include "dataplane/relay/services.h"
#include "dataplane/relay/wheel.h"
#include "dataplane/tcp/rest.h"
#include "dataplane/tcp/splice.h"
#include "dataplane/tls/engine.h"

#define FLOW_BARRIERS 4 /* of a side; more commands or windows than that under way share the last one, and wait for its record */

/* What the session waits for; DURABLE is not among them, because it holds bytes, not the session (struct barrier). */
enum flow_wait {
	WAIT_NONE,
	WAIT_IDENTITY, /* event login is out */
	WAIT_PROOF,    /* event scram is out */
	WAIT_CLASSIFY, /* event classify is out, or has to be sent again */
	WAIT_GRANTS,   /* the policy changed: control will say which groups of the new one these are */
	WAIT_RING,     /* the event ring is full */
	WAIT_APPROVAL, /* a person decides */
	WAIT_CANCEL,   /* another worker was asked whom a cancel request means */
};

/* Bytes of a side's out[] from `from` on may leave when the event ring's `position` is durable (barrier.c). */
struct barrier {
	uint64_t from : 63;
	uint64_t whole : 1; /* what stands before it ends with a whole message of the protocol */
	uint64_t position;
};

/* A statement that waits for its judgement: its bytes are copied into `pending`. */
struct flow_pending {
	struct stream bytes; /* raw, params, types, state, database, search_path, one after the other */
	uint32_t raw_bytes, params_bytes, types_bytes, state_bytes, database_bytes, path_bytes;
	enum command_kind kind;
	struct hash128 exact, generic;
	enum command_reason reason;
	bool in_transaction, binary_result, asked, kept;
	bool approved;       /* a person said yes; judged again when the grants under the new policy are known */
	uint32_t ref; /* record number, once held */
	uint64_t expires_us; /* once held: when the approval runs out, whoever is there to say so */
};

enum flow_phase {
	FLOW_FREE,
	FLOW_OPENING,   /* handshakes */
	FLOW_RUNNING,
	FLOW_ENDING,    /* the session said its last; what was written goes out, then FINs */
	FLOW_CLOSED,    /* reported and released; TCP finishes by itself */
};

/* Flows that may have to give their place to new ones, oldest first (room.c). */
enum flow_listed {
	LISTED_NOT,
	LISTED_OPENING, /* FLOW_OPENING: half open */
	LISTED_WAITING, /* FLOW_CLOSED, and TCP only waits for the end of TIME-WAIT */
	LISTED_COUNT
};

/* What a flow has while it is read. Comes from a pool with the session and goes back with it; `memory` is the inspector's. */
struct flow_session {
	const struct inspector *inspector;
	struct inspect_env env;
	struct inspect_io *io;   /* during a call into the inspector */
	struct tls_engine tls[2];
	struct stream in[2], out[2];
	uint64_t plain_until[2]; /* out[].written up to which bytes go out before TLS began on that side */
	bool tls_wanted[2];
	uint8_t barriers[2];
	size_t needed[2];        /* of in[], as the inspector said */
	struct barrier barrier[2][FLOW_BARRIERS]; /* by the side that the bytes go to */
	bool described_whole;    /* of `described`: as in struct barrier */
	bool concluded;          /* in this call the end of an answer was reported */
	bool noticed;            /* in this call the client is told what its command waits for */
	bool own_words;          /* what is written to the client says that nothing can be recorded, so it waits for no record */
	bool recorded;           /* record "full", of the service in force */
	bool logged_in;
	bool suspended;          /* control lets no command be judged at present: suspended_say */
	bool cancel_asked;
	bool tls_named;          /* the client has to name its protocol by ALPN */
	uint8_t captured_cut;    /* enum response_cut, of the answer under way */
	uint8_t pieces;          /* that the inspector has borrowed */
	uint8_t issued_len;      /* of the cancel key that the client has; 0: none yet */
	uint16_t upstream_key_len;
	uint32_t under_way;      /* commands judged and not answered */
	uint32_t bare;           /* bytes behind `described` of which neither payload nor the end of an answer says anything */
	uint64_t described;      /* out[SIDE_CLIENT].written up to which events describe it: with audit "answers" nothing beyond leaves */
	uint64_t answer_octets;  /* written to the client since the last answer ended */
	uint64_t payload_bytes_max; /* of one answer that are kept, of the service in force */
	struct group_bits groups;
	uint64_t groups_generation;
	struct flow_pending pending;
	const char *suspended_say; /* NULL: not said (session_say) */
	const uint8_t *upstream_key; /* in the session */
	uint32_t upstream_process;
	uint32_t current_ref;    /* the command judged last */
	uint32_t sent_ref;       /* the command whose bulk data was sent last */
	uint64_t sent_total;     /* … how much of it is kept */
	size_t captured;         /* of the writer towards the client, already reported as payload */
	size_t captured_total;   /* of the answer under way */
	uint64_t command_at_us, commands, rows;
	struct flow *next_classify, **classify_link; /* list of those that may wait for a classification; NULL: in none */
	_Alignas(64) uint8_t memory[];
};

/* While something is in flight, or may soon be. */
struct flow_active {
	struct tcp_pair pair;
	struct packet_template wire[2]; /* frames towards that side */
	struct flow *flow;              /* NULL: in the pool */
	struct flow_active *next;       /* there */
};

/* What of it outlives a time without. */
struct flow_rest {
	struct tcp_rest tcp;
	struct packet_template_kept wire[2];
};

struct flow {
	_Alignas(64) struct relay *relay;
	uint32_t number;
	uint8_t phase, wait;
	uint8_t client_port;        /* the wire port on which the client is */
	uint8_t cause;              /* enum close_cause */
	uint64_t id;                /* unique over the worker's life: what the rings call it */
	struct flow_key key;
	struct tcp_splice splice;   /* with the line above all that a frame of a spliced flow touches */
	uint64_t news;              /* the last that it heard (news.c) */
	struct flow_active *active; /* NULL: at rest */
	bool kill_asked;
	bool client_is_low;         /* of `key` */
	bool begun;                 /* its begin is on record: its end will be too */
	bool opaque;                /* relayed unread, from now on or from the start */
	bool unspliced;             /* the policy wants it terminated */
	bool held_both_ways;        /* of `held_until` */
	bool read_ended[2], ended_told[2], write_ended[2];
	bool ready;
	bool abort_asked;           /* both peers are to be reset (session_reset) */
	uint8_t audit;              /* enum policy_audit, of the service in force */
	uint8_t kill_end;           /* enum inspect_end */
	uint8_t family, client_mac[6];
	uint8_t listed;             /* enum flow_listed */
	uint16_t vlan;
	uint32_t n;                 /* next record number */
	uint32_t flight_state;      /* as last noted by the flight recorder */
	unsigned service_number;    /* in the snapshot's image */
	struct flow_session *session; /* NULL: it has none (yet, or any more) */
	const struct inspect_snapshot *snapshot;
	uint64_t facts_generation;  /* of the policy that `audit` and its like were read from */
	struct relay_service *service; /* by its name, which outlives snapshots */
	uint64_t splice_since_us, splice_hold_until_us; /* waits for a quiet moment; 0: not */
	uint64_t wait_since_us, barrier_since_us;
	uint64_t held_until;        /* without a session: nothing leaves for the server before that position is durable; 0: it may */
	const char *kill_say;       /* NULL: not said (session_say) */
	uint64_t octets[2];         /* while it was not spliced, and then before: flow_octets */
	struct flow *next_ready;    /* ready list */
	struct flow *listed_before, *listed_after; /* in the list that `listed` says */
	struct wheel_entry timer;
	struct flow_rest rest;      /* without `active` */
};

_Static_assert(sizeof(struct flow) <= 704, "a million of them, and what they need beside, in 768 MB");

/* Its peers: addresses, and ports in network order. */
static inline const struct packet_address *flow_address(const struct flow *f, enum side side)
{
	return (side == SIDE_CLIENT) == f->client_is_low ? &f->key.low : &f->key.high;
}

static inline uint16_t flow_port(const struct flow *f, enum side side)
{
	return (side == SIDE_CLIENT) == f->client_is_low ? f->key.low_port : f->key.high_port;
}

/* Octets that left towards `to`. */
static inline uint64_t flow_octets(const struct flow *f, enum side to)
{
	return f->octets[to] + f->splice.side[to == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT].octets;
}

#endif
