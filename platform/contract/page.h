/* page.h: what a worker shows of itself, in two memory files of the run directory that control reads and nobody but the data
 * plane writes: `worker-<n>` (counters, ports, heartbeat) and `flight-<n>` (flows and their flight recorders).
 *
 * The reader stops nobody and trusts nothing: it checks `magic` and `bytes`, takes numbers as they are, and names and indices
 * only within their arrays. Numbers of struct page_worker are each whole, but of slightly different moments. A struct page_flow
 * is whole when its `version` was even and the same before and after (page_flow_copy).
 * No payload, no name of a person and no secret is ever in them. They outlive the process: what a dead worker last showed can
 * still be read, and its flows' recorders are kept as abnormal ones by the next.
 * Microseconds are of the worker's clock unless the name says `mono` (CLOCK_MONOTONIC) or `wall`.
 */
#ifndef PLATFORM_CONTRACT_PAGE_H
#define PLATFORM_CONTRACT_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/errors.h"

#define PAGE_MAGIC 0x534c5047u /* "SLPG" */
#define PAGE_PORTS 2
#define PAGE_RECORDS 32    /* newest entries of a flow */
#define PAGE_ABNORMAL 128  /* newest flows that ended abnormally */

struct page_counters {
	uint64_t frames, bridged, spliced, taken, flows_opened, commands, blocked, held, released, masked_cells, durable;
	uint64_t taken_back; /* flows that were spliced and are not any more */
	uint64_t handed_on, handed_over; /* frames: read here and given to the worker whose they are; got from others */
	uint64_t drop[ERROR_count];
};

/* What a device does for us, as bits of a byte, in the order of page_offload_name. */
enum page_offload {
	PAGE_OFFLOAD_RSS,         /* puts each flow's frames into its worker's queue */
	PAGE_OFFLOAD_RX_CHECKSUM, /* looks at the checksums of TCP */
	PAGE_OFFLOAD_TX_CHECKSUM, /* fills them in */
	PAGE_OFFLOAD_TSO,         /* cuts large segments */
	PAGE_OFFLOAD_LRO,         /* puts segments together */
	PAGE_OFFLOAD_count
};

struct page_port {
	char device[96], driver[32];
	uint64_t received, sent, dropped_full, dropped_split;     /* by the worker */
	uint64_t device_missed, device_errors_in, device_errors_out, device_no_buffer; /* by the driver, once a second */
	uint64_t link_mbps;
	uint8_t mac[6], link_up;
	uint8_t offloads;              /* 1 << enum page_offload */
	uint32_t queues, zero;         /* pairs that are in use */
};

struct page_worker {
	uint32_t magic, bytes;         /* bytes: of this struct; another version's page is not read */
	uint32_t worker;
	int32_t pid;                   /* 0: ended in order */
	uint64_t started_wall_us;
	uint64_t alive_mono_us;        /* main thread: when the worker was last seen to turn */
	uint64_t turns, now_us;        /* worker's heartbeat */
	uint64_t naps;
	uint64_t policy_generation;    /* in force; 0: none */
	char policy_file[64];          /* its image in the run directory */
	uint64_t flows_open, flows_opening, flows_max;
	uint64_t active_free, active_max; /* records of flows that have something in flight */
	uint64_t probe_longest;        /* slots that the worst look-up of the flow table had to look at so far */
	uint64_t sessions_free, sessions_max, chunks_free, chunks_max, buffers_free[3], buffers_max[3];
	uint64_t pieces_free[2], pieces_max[2]; /* that sessions borrow: small, large */
	struct page_counters counters;
	struct page_port port[PAGE_PORTS];
};

/* `standby`: how the data plane and the standby forwarder hand the wire to one another. The data plane claims it before it reads
 * its first frame; the standby yields, and takes over again when the
 * claimant has died. */
enum page_standby_state { PAGE_STANDBY_ABSENT, PAGE_STANDBY_WATCHING, PAGE_STANDBY_BRIDGING };

struct page_standby {
	_Atomic uint32_t magic;
	uint32_t bytes;
	_Alignas(64) uint8_t life[64]; /* data plane: a robust mutex (dataplane/standby/life.h) that its worker holds while it lives */
	_Atomic uint32_t claims;       /* data plane: how often it claimed the wire */
	_Atomic int32_t claimant;      /* data plane: the process that claimed last, for people; 0: none yet */
	_Atomic uint32_t yielded;      /* standby: the newest claim that it knows; it does not bridge under that one's life */
	_Atomic uint32_t state;        /* standby: enum page_standby_state */
	_Atomic int32_t pid;           /* standby */
	uint32_t takeovers;
	uint64_t bridged, dropped, unsent; /* frames, of all takeovers */
	uint64_t down_mono_us, up_mono_us; /* of the newest takeover: death seen, bridging */
};

enum page_flight {
#define FLIGHT(name, a, b) PAGE_FLIGHT_##name,
#include "platform/contract/flight.def"
#undef FLIGHT
	PAGE_FLIGHT_count
};

/* How a flow is, as bits of a word; two or three of them are small numbers. */
#define PAGE_STATE_PHASE 0          /* 3 bits: 0 free, 1 opening, 2 running, 3 ending, 4 closed */
#define PAGE_STATE_WAIT 3           /* 3 bits: 0 nothing, 1 identity, 2 proof, 3 classify, 4 grants, 5 ring, 6 approval, 7 cancel */
#define PAGE_STATE_TLS_CLIENT 6     /* 2 bits: 0 off, 1 handshake, 2 established, 3 failed */
#define PAGE_STATE_TLS_SERVER 8
#define PAGE_STATE_FLAGS 10         /* bits, in the order of page_state_flags */
#define PAGE_STATE_OPAQUE 0
#define PAGE_STATE_LOGGED_IN 1
#define PAGE_STATE_CLIENT_ENDED 2   /* its FIN was read */
#define PAGE_STATE_SERVER_ENDED 3
#define PAGE_STATE_CLIENT_RESET 4
#define PAGE_STATE_SERVER_RESET 5
#define PAGE_STATE_CLIENT_DEAD 6    /* it stopped answering */
#define PAGE_STATE_SERVER_DEAD 7
#define PAGE_STATE_KILLED 8
#define PAGE_STATE_SPLICED 9        /* its frames pass, with at most their numbers moved */
#define PAGE_STATE_FLAG_COUNT 10

struct page_record {
	uint32_t at_ms;                /* since the flow was opened */
	uint16_t at_us;                /* within that millisecond */
	uint8_t what, side;            /* enum page_flight; 0 client, 1 server */
	uint32_t a, b;
};

_Static_assert(sizeof(struct page_record) == 16, "four to a cache line");

/* One TCP end. */
struct page_half {
	uint8_t state, timestamps, sack, window_scale;
	uint32_t mss, srtt_us, congestion_bytes, window_bytes, in_flight_bytes, queued_bytes, unread_bytes, held_bytes;
};

struct page_flow {
	_Atomic uint32_t version;      /* odd while it is written */
	uint32_t state;                /* PAGE_STATE_* */
	uint64_t id;                   /* 0: not in use */
	uint64_t opened_us, seen_us;   /* seen: when the summary was made */
	uint8_t client[16], target[16];
	uint16_t client_port, target_port, vlan; /* host order */
	uint8_t family, cause;         /* 4 or 6; enum close_cause, once ended */
	uint64_t octets_up, octets_down, commands, rows;
	uint32_t barriers, windows;    /* writes that wait for the journal: commands, towards the server; answers, towards the client */
	char service[64];
	struct page_half half[2];
	uint64_t records;              /* ever noted; the newest PAGE_RECORDS are kept */
	struct page_record record[PAGE_RECORDS];
};

struct page_flights {
	uint32_t magic, bytes;         /* bytes: of one struct page_flow */
	uint32_t flows;                /* recorders; flows beyond have none */
	uint32_t zero;
	uint64_t abnormals;            /* ever; the newest PAGE_ABNORMAL are kept */
	struct page_flow abnormal[PAGE_ABNORMAL];
	struct page_flow flow[];
};

static inline size_t page_flights_bytes(uint32_t flows)
{
	return sizeof(struct page_flights) + (size_t)flows * sizeof(struct page_flow);
}

/* The flows of a mapped file of `len` bytes, checked; NULL when it is none of this version. */
const struct page_flights *page_flights_open(const void *base, size_t len);
const struct page_standby *page_standby_open(const void *base, size_t len);
const struct page_worker *page_worker_open(const void *base, size_t len);

/* A whole copy of an entry that is in use; false when it is free, or being written all the time. */
bool page_flow_copy(const struct page_flow *from, struct page_flow *to);

#define PAGE_TEXT_BYTES 256

/* Words for people: "running, waits for approval, client tls established, …". */
void page_state_text(uint32_t state, char out[PAGE_TEXT_BYTES]);
/* "segment_in client SYN 0 bytes, seq 17" without its time. */
void page_record_text(const struct page_record *r, char out[PAGE_TEXT_BYTES]);
const char *page_phase_name(uint32_t state);
const char *page_wait_name(uint32_t state); /* "" when it waits for nothing */
const char *page_tcp_name(uint8_t state);   /* RFC 9293's, in lower case */

const char *page_cause_name(uint32_t cause); /* of enum close_cause */
const char *page_offload_name(unsigned offload); /* "rss" */
/* "rss tso"; "none". */
void page_offloads_text(uint8_t offloads, char out[PAGE_TEXT_BYTES]);

/* Those causes of an end that nobody asked for: their flows' recorders are kept. */
bool page_cause_abnormal(uint8_t cause);

#endif
