/* pair_stage.h: one pair on its own, segment by segment; what it sends is kept. ISNs: client 1000, server 9000. Assertions are cmocka's. */
#ifndef TESTS_SIMULATE_PAIR_STAGE_H
#define TESTS_SIMULATE_PAIR_STAGE_H

#include "dataplane/tcp/splice.h"

#define PAIR_STAGE_SENT 64

struct pair_stage {
	struct tcp_config config;
	struct tcp_pool pool;
	struct tcp_pair pair;
	struct tcp_splice splice;
	struct tcp_segment sent[2][PAIR_STAGE_SENT]; /* to each side, since the test set `count` to 0 */
	unsigned count[2];
	uint64_t now_us;
	void *memory;
};

extern struct pair_stage stage;

/* A segment with `len` zeros and a window of 30,000 bytes, its time stamp and the one that it echoes. */
struct tcp_segment stamped(uint8_t flags, uint32_t seq, uint32_t ack, size_t len, uint32_t ts, uint32_t echo);
/* The same as one that opens: a SYN, or the answer to it, with MSS and SACK. */
struct tcp_segment opening(struct tcp_segment s);

/* A pair that has had the client's SYN. */
void open_stage(struct tcp_segment syn);
/* As the teardown of a test: nothing may be left in the pool. */
int close_stage(void **state);

/* Has both halves send what they have. */
void output(void);

#endif
