/* exchange.h: what workers give one another: frames, by reference, and short messages, by copy. Private to this folder.
 *
 * A ring for each ordered pair of workers, one producer and one consumer, so that nobody ever waits for another who was stopped in the
 * middle of a step. When a ring is full the giver is told. Memory is taken at start.
 */
#ifndef DATAPLANE_PORT_EXCHANGE_H
#define DATAPLANE_PORT_EXCHANGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"

#define EXCHANGE_FRAMES 1024      /* of one pair */
#define EXCHANGE_MESSAGES 512
#define EXCHANGE_MESSAGE_BYTES 384

struct exchange;

/* For `workers` workers; `messages`: it carries those too. NULL: no memory. */
struct exchange *exchange_create(unsigned workers, bool messages);
void exchange_destroy(struct exchange *x);

/* By worker `from`. False: `to` takes no more now. */
bool exchange_give(struct exchange *x, unsigned from, unsigned to, void *frame);

/* By worker `to`: at most `max` of what `from` gave, in its order. */
unsigned exchange_take(struct exchange *x, unsigned from, unsigned to, void **frames, unsigned max);

/* The same with a message of at most EXCHANGE_MESSAGE_BYTES; `len` 0: whether `room` more would find room. */
bool exchange_tell(struct exchange *x, unsigned from, unsigned to, struct bytes message, unsigned room);

/* The oldest message that `from` told, copied to `out`, and wiped where it was. False: there is none. */
bool exchange_told(struct exchange *x, unsigned from, unsigned to, uint8_t out[EXCHANGE_MESSAGE_BYTES], size_t *len);

#endif
