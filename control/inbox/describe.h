/* describe.h: the `op`, `out` and `data` of the records that events become. Each function writes between jcs_open and jcs_close.
 * Pure functions, any thread. */
#ifndef CONTROL_INBOX_DESCRIBE_H
#define CONTROL_INBOX_DESCRIBE_H

#include "control/journal/jcs.h"
#include "platform/contract/classification.h"
#include "platform/contract/message.h"
#include "platform/contract/policy.h"

#define DESCRIBE_NORM_BYTES 8192 /* a longer normalised text becomes a chunk */

struct describe_command {
	const struct event_command *event;
	struct classification classified;
	bool known;           /* `classified` is set */
	uint8_t hash[32];     /* op.h */
	bool norm_is_chunk;
	const char *proto;
};

void describe_op(struct jcs *j, const void *describe_command);
void describe_command_out(struct jcs *j, const void *event_command);

struct describe_response {
	const struct event_response *event;
	const struct policy_image *image; /* names of classes; may be NULL */
};

void describe_response_out(struct jcs *j, const void *describe_response);

void describe_part_out(struct jcs *j, const void *event_part);

/* `own`: how many records of its own control added to the session (their `nc` ran from 0). */
struct describe_close {
	const struct event_flow_close *event;
	uint32_t own;
};
void describe_flow_close(struct jcs *j, const void *describe_close);

/* `recorded`: commands of this worker's boot that are records, to stand beside the number that the worker says (`commands`). */
struct describe_tick {
	const struct event_tick *event;
	uint64_t recorded;
};
void describe_tick(struct jcs *j, const void *describe_tick);

/* {"cause": text}, for records that say no more. */
void describe_cause(struct jcs *j, const void *text);

const char *describe_reason(unsigned command_reason);
const char *describe_close_cause(unsigned close_cause);
const char *describe_withdraw(unsigned withdraw_cause);

#endif
