/* orders.h: what control says to its workers: at once, or after the commit of what it rests on.
 *
 * An order waits in memory while its ring is full; memory is wiped when it was written, because orders carry keys. The order
 * `durable` is only a number: the last one counts, so it never queues. orders_full tells when a worker takes nothing: its events
 * are then not read either, and it stops reading its flows. Threading: one thread.
 */
#ifndef CONTROL_INBOX_ORDERS_H
#define CONTROL_INBOX_ORDERS_H

#include "platform/contract/message.h"
#include "platform/contract/ring.h"

#define ORDERS_QUEUE_BYTES (16u << 20) /* of one worker; holds the certificates of 1,000 services */

enum orders_when { ORDERS_NOW, ORDERS_COMMITTED };

struct orders;

/* `memory[w]` is worker w's ring-down. NULL without memory or when one of them holds no ring. */
struct orders *orders_create(void *const *memory, unsigned workers);
void orders_destroy(struct orders *os);

/* `encoded` as order_x_encode gave it; empty bytes (they did not fit) are refused. */
bool orders_put(struct orders *os, unsigned worker, unsigned number, struct bytes encoded, enum orders_when when);

/* Everything up to `position` of the worker's events is on disk. */
void orders_durable(struct orders *os, unsigned worker, uint64_t position);

/* The commit was made: what waited for it may go. */
void orders_committed(struct orders *os);

/* Writes what fits. True when something was written. */
bool orders_flush(struct orders *os);

bool orders_full(const struct orders *os, unsigned worker);

#endif
