/* table.h: keys to flow numbers, in memory that is sized at start.
 *
 * Open addressing with linear probing; removal shifts back, so there are no tombstones and no rehash. The hash is
 * keyed, so that no peer can choose its bucket. At most half of the slots are used: the table refuses more.
 * Slots have 8 bytes and no key: keys stay with whoever has the flows, by number.
 * One worker only. No allocation after flow_table_create.
 */
#ifndef DATAPLANE_FLOW_TABLE_H
#define DATAPLANE_FLOW_TABLE_H

#include "dataplane/flow/key.h"
#include "platform/base/hash.h"

#define FLOW_NONE UINT32_MAX

struct flow_table;

/* Room for `flows_max` flows. The key of flow n is `stride` * n bytes behind `keys`: borrowed, and not to be changed while the flow is in
 * the table. NULL when memory is short. */
struct flow_table *flow_table_create(uint32_t flows_max, struct hash_key key, const struct flow_key *keys, size_t stride);
void flow_table_destroy(struct flow_table *t);

/* The number stored under `key`, or FLOW_NONE. */
uint32_t flow_table_find(const struct flow_table *t, const struct flow_key *key);

/* Has the slots fetched that flow_table_find will look at for `key`. Returns what flow_table_guess wants to know of it. */
uint32_t flow_table_expect(const struct flow_table *t, const struct flow_key *key);

/* What flow_table_find most likely will say, without a look at any key; for having that flow's memory fetched. */
uint32_t flow_table_guess(const struct flow_table *t, uint32_t expected);

/* Under the key that flow `number` has now. False when the table is full, the key is there already, or the number is `flows_max` or more. */
[[gnu::warn_unused_result]] bool flow_table_add(struct flow_table *t, uint32_t number);

/* Does nothing when that flow is not there. */
void flow_table_remove(struct flow_table *t, uint32_t number);

uint32_t flow_table_count(const struct flow_table *t);

/* The most slots that any add had to look at since the table was made: no look-up, of a present key or of an absent one, was worse
 * at that moment. */
uint32_t flow_table_worst_probe(const struct flow_table *t);

/* The most slots that one lookup of a present key has to look at now; walks the whole table: for diagnosis. */
uint32_t flow_table_longest_probe(const struct flow_table *t);

#endif
