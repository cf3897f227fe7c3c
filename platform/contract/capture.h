/* capture.h: how control has frames copied on demand: one memory file per worker, `capture-<n>` in the run directory.
 *
 * Control writes a request, the worker a ring of records, one frame each. Both sides treat what the other wrote as hostile: the worker
 * copies a request and checks it completely before it follows it; control copies a record and checks it before it uses it.
 * The request is a sequence lock: `wanted` is odd while it is written. The worker looks at `wanted` once a turn, and says in
 * `answered` what it follows; from then on nothing of an earlier request is written any more.
 * The ring is single producer, single consumer. When it is full a frame is counted in `overruns` and not copied: nobody waits.
 * Control zeroes each slot that it has read, and all of them at the end. `head`, `overruns` and `matched` only grow, over restarts
 * of either process. Times are microseconds. Not more of a frame is copied than its headers, unless the request is for whole frames (CAPTURE_FRAMES): then
 * a frame goes on in as many records as it needs, all of which become readable at once.
 * Source: operations.md 5.
 */
#ifndef PLATFORM_CONTRACT_CAPTURE_H
#define PLATFORM_CONTRACT_CAPTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAPTURE_MAGIC 0x31504353u /* "SCP1" */
#define CAPTURE_SLOTS 16384u      /* 4 MiB; at 500,000 records a second control may stay away for 30 ms */
#define CAPTURE_TARGETS 64u       /* listeners of one service */
#define CAPTURE_PORTS 2u
#define CAPTURE_SNAP_BYTES 224u   /* of a frame; longer headers are cut */
#define CAPTURE_ANY_VLAN 0xffffu
#define CAPTURE_FRAME_BYTES_MAX 65535u

enum capture_snap { CAPTURE_OFF, CAPTURE_HEADERS, CAPTURE_FRAMES };
enum capture_direction { CAPTURE_IN, CAPTURE_OUT }; /* of the port */
#define CAPTURE_MORE 0x80u        /* beside the direction: the frame goes on in the next record */

/* An end of a packet. */
struct capture_place {
	uint8_t address[16];       /* network order; IPv4 in the first four, the rest zero */
	uint8_t family, prefix;    /* 0: any address; 4 or 6, and bits of the address that count */
	uint16_t port;             /* host order; 0: any */
	uint16_t vlan;             /* CAPTURE_ANY_VLAN, or one that the frame has */
	uint16_t zero;
};

/* Everything that is said must hold. */
struct capture_request {
	uint32_t snap;             /* enum capture_snap */
	uint32_t targets;          /* of `target_of`: the target's end is one of these; 0: no service is named */
	uint64_t until_wall_us;    /* the worker ends it by itself, whatever becomes of control */
	uint64_t bytes_max;        /* copied by one worker, likewise */
	struct capture_place client, target; /* the two ends; without a service either may be the one that sends */
	struct capture_place host; /* either end */
	uint16_t port;             /* of either end; 0: any */
	uint16_t vlan;             /* CAPTURE_ANY_VLAN: any, or none */
	uint8_t protocol;          /* 0 any, 1 ICMP (of both families), 6 TCP, 17 UDP */
	uint8_t zero[3];
	struct capture_place target_of[CAPTURE_TARGETS];
};

struct capture_record {
	uint64_t wall_us, mono_us; /* mono: of the worker's clock */
	uint64_t flow;             /* as in page.h; 0: of none */
	uint32_t original;         /* bytes of the frame */
	uint16_t captured;         /* of them in `bytes` */
	uint8_t port, direction;   /* direction: CAPTURE_MORE too */
	uint8_t bytes[CAPTURE_SNAP_BYTES];
};

_Static_assert(sizeof(struct capture_record) == 256, "four cache lines");
_Static_assert((CAPTURE_SLOTS & (CAPTURE_SLOTS - 1)) == 0, "slots are found by masking");

struct capture_file {
	_Atomic uint32_t magic;
	uint32_t zero;
	_Alignas(64) _Atomic uint64_t wanted; /* control */
	_Atomic uint64_t tail;                /* control */
	struct capture_request request;       /* control */
	_Alignas(64) _Atomic uint64_t answered; /* worker: the last `wanted` that it follows, or refuses */
	_Atomic uint64_t refused;             /* worker: the last one that makes no sense */
	_Atomic uint64_t head;                /* worker */
	_Atomic uint64_t matched[CAPTURE_PORTS], overruns[CAPTURE_PORTS]; /* worker: frames, by port */
	_Alignas(64) struct capture_record slot[CAPTURE_SLOTS];
};

/* The file of a mapping of `len` bytes, made ready when it is all zero; NULL when it is another version's. */
struct capture_file *capture_open(void *memory, size_t len);

/* Whether every field is one that this version knows. */
bool capture_request_ok(const struct capture_request *r);

/* --- control ------------------------------------------------------------------------------------------------------------- */

/* Writes a request that is ok; the number that `answered` will have. One thread. */
uint64_t capture_ask(struct capture_file *f, const struct capture_request *r);

struct capture_reader {
	struct capture_file *file;
	uint64_t tail;
};

enum capture_got { CAPTURE_NONE, CAPTURE_GOT, CAPTURE_BROKEN };

/* Skips what is there. */
struct capture_reader capture_reader_of(struct capture_file *f);
/* The next record, copied and checked, its slot zeroed. BROKEN: the worker's numbers make no sense; do not read on. */
enum capture_got capture_read(struct capture_reader *r, struct capture_record *out);
/* Zeroes all slots. Only while the worker writes none. */
void capture_wipe(struct capture_reader *r);

/* --- worker -------------------------------------------------------------------------------------------------------------- */

struct capture_writer {
	struct capture_file *file;
	uint64_t head, tail; /* tail: as last seen */
	uint64_t taken;      /* the request that is followed */
};

struct capture_writer capture_writer_of(struct capture_file *f);

/* Whether there is a request that was not taken yet. */
static inline bool capture_is_asked(const struct capture_writer *w)
{
	return atomic_load_explicit(&w->file->wanted, memory_order_relaxed) != w->taken;
}

/* Copies it; `out` is zeroed (CAPTURE_OFF) when it makes no sense. False: it is being written, look again in the next turn. */
bool capture_take(struct capture_writer *w, struct capture_request *out);
/* The slot of the next record, NULL when the ring is full; capture_done makes it readable. */
struct capture_record *capture_slot(struct capture_writer *w);
void capture_done(struct capture_writer *w);
/* The same for `count` records: whether there is room for all of them; the number `i` of them; all of them. */
bool capture_room(struct capture_writer *w, unsigned count);
static inline struct capture_record *capture_slot_of(const struct capture_writer *w, unsigned i)
{
	return &w->file->slot[(w->head + i) & (CAPTURE_SLOTS - 1)];
}
void capture_done_all(struct capture_writer *w, unsigned count);

#endif
