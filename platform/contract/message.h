/* message.h: the words of event.def (worker to control) and order.def (control to worker) as structs.
 *
 * For each message there is `struct event_x`, `event_x_encode`, `event_x_decode`, and the number EVENT_x; the same
 * with `order_`. Encoding: integers big endian, byte strings with a u32 length. BYTES fields are views: into the
 * caller's memory when encoding, into the decoded buffer after decoding.
 * Decoding checks every length against its limit and that nothing is left over; on failure the struct is zeroed.
 * The reader of a ring must decode from its own copy (ring_read makes one). Pure functions, any thread.
 */
#ifndef PLATFORM_CONTRACT_MESSAGE_H
#define PLATFORM_CONTRACT_MESSAGE_H

#include "platform/base/bytes.h"
#include "platform/base/limits.h"

/* The state of a flow in which a message about it is accepted. */
enum message_when {
	WHEN_WORKER,    /* about no flow */
	WHEN_NEW,       /* the flow must not be known */
	WHEN_OPEN,      /* the flow is known */
	WHEN_LOGGED_IN, /* … and its principal too */
};

/* What a worker's verdict did with a command. */
enum command_action { COMMAND_ALLOW, COMMAND_BLOCK, COMMAND_HOLD, COMMAND_actions };

enum command_kind {
	COMMAND_SIMPLE,  /* a text, with all its values */
	COMMAND_PREPARE, /* a text, values to come */
	COMMAND_EXECUTE, /* a prepared text, with values */
	COMMAND_COPY,    /* data of a running bulk load */
	COMMAND_OTHER,   /* anything else of the protocol: function call, replication, … */
	COMMAND_kinds
};

/* Why a verdict was what it was, beyond the rules. */
enum command_reason {
	REASON_NONE,
	REASON_UNMATCHED,       /* no rule matched */
	REASON_UNKNOWN,         /* not understood */
	REASON_TOO_LONG,        /* over LIMIT_STATEMENT_BYTES or another limit */
	REASON_PROTOCOL,        /* a message that is never passed */
	REASON_MASK_TOKEN,      /* a mask would be written back */
	REASON_PINNED_SETTING,  /* a setting that Sluice relies on */
	REASON_APPROVAL,        /* denied, expired, superseded */
	REASON_CONTROL_LOST,    /* control or journal not available */
	REASON_PATTERN,         /* a pattern raised the verdict */
	REASON_ORACLE,          /* a masked class stands in a predicate, and no rule allows that */
	REASON_STALE,           /* the news of who was revoked is too old for this service */
	REASON_LIMIT,           /* a rule limits rows or bytes, and these could not be counted in time */
	REASON_count
};

enum response_outcome { RESPONSE_OK, RESPONSE_ERROR, RESPONSE_REFUSED, RESPONSE_CANCELLED, RESPONSE_LOST, RESPONSE_outcomes };

/* Which limit of a rule ended the answer, or undid the change. */
/* Why payload of a command or of its answer is not kept: beyond payload_limit; the ring was full; the journal's volume is (control's own word). */
enum response_cut { RESPONSE_CUT_LIMIT = 1, RESPONSE_CUT_RING = 2, RESPONSE_CUT_JOURNAL = 4, RESPONSE_CUT_BY_WORKER = RESPONSE_CUT_LIMIT | RESPONSE_CUT_RING };
enum response_limit { RESPONSE_LIMIT_NONE, RESPONSE_LIMIT_ROWS, RESPONSE_LIMIT_BYTES, RESPONSE_limits };

enum withdraw_cause { WITHDRAW_CANCELLED, WITHDRAW_CLIENT_GONE, WITHDRAW_SERVER_GONE, WITHDRAW_causes };

enum close_cause {
	CLOSE_CLIENT, CLOSE_SERVER, CLOSE_RESET, CLOSE_TIMEOUT, CLOSE_REFUSED_LOGIN, CLOSE_PROTOCOL, CLOSE_KILLED,
	CLOSE_TLS, CLOSE_EXPIRED, CLOSE_RESTART, CLOSE_causes
};

/* APPROVAL_WAITING tells the number; APPROVAL_RECHECK wants event rechecked; the others end the wait. Only APPROVAL_RELEASE lets the
 * command go. */
enum approval_answer { APPROVAL_WAITING, APPROVAL_RELEASE, APPROVAL_REFUSE, APPROVAL_RECHECK, APPROVAL_answers };

/* How much room the journal's volume has (journal.md 10): what workers do differently for it. */
enum journal_room {
	JOURNAL_ROOM_ENOUGH,
	JOURNAL_ROOM_DIGEST,      /* services that chose so are recorded without payload */
	JOURNAL_ROOM_NO_SESSIONS, /* and nobody new may log in */
	JOURNAL_ROOM_count
};

enum event_number {
#define MESSAGE(name, number, when) EVENT_##name = number,
#define U8(f)
#define U16(f)
#define U32(f)
#define U64(f)
#define BYTES(f, max)
#define END(name)
#include "platform/contract/event.def"
#undef MESSAGE
	EVENT_end
};

enum order_number {
#define MESSAGE(name, number, when) ORDER_##name = number,
#include "platform/contract/order.def"
#undef MESSAGE
	ORDER_end
};
#undef U8
#undef U16
#undef U32
#undef U64
#undef BYTES
#undef END

#define U8(f) uint8_t f;
#define U16(f) uint16_t f;
#define U32(f) uint32_t f;
#define U64(f) uint64_t f;
#define BYTES(f, max) struct bytes f;
#define END(name) };
#define MESSAGE(name, number, when) struct event_##name {
#include "platform/contract/event.def"
#undef MESSAGE
#define MESSAGE(name, number, when) struct order_##name {
#include "platform/contract/order.def"
#undef MESSAGE
#undef U8
#undef U16
#undef U32
#undef U64
#undef BYTES
#undef END

/* x_encode returns the encoded message in `into`, empty when it does not fit or a field is over its limit. */
#define U8(f)
#define U16(f)
#define U32(f)
#define U64(f)
#define BYTES(f, max)
#define END(name)
#define MESSAGE(name, number, when) \
	struct bytes event_##name##_encode(const struct event_##name *m, void *into, size_t cap); \
	[[gnu::warn_unused_result]] bool event_##name##_decode(struct bytes from, struct event_##name *m);
#include "platform/contract/event.def"
#undef MESSAGE
#define MESSAGE(name, number, when) \
	struct bytes order_##name##_encode(const struct order_##name *m, void *into, size_t cap); \
	[[gnu::warn_unused_result]] bool order_##name##_decode(struct bytes from, struct order_##name *m);
#include "platform/contract/order.def"
#undef MESSAGE
#undef U8
#undef U16
#undef U32
#undef U64
#undef BYTES
#undef END

/* Name of a message for logs ("flow_open"), NULL when the number is not in the list; its `when` through the pointer. */
const char *event_name(unsigned number, enum message_when *when);
const char *order_name(unsigned number, enum message_when *when);

#endif
