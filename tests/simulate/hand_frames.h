/* hand_frames.h: many flows through the conductor, frame by frame, without ends that answer. A flow is a number below 32,768: the client's port.
 * Assertions are cmocka's; `stage` is conductor_stage.h's.
 */
#ifndef TESTS_SIMULATE_HAND_FRAMES_H
#define TESTS_SIMULATE_HAND_FRAMES_H

#include "tests/simulate/conductor_stage.h"

#define CLIENT 1001u /* what both ends send next, once their SYNs are acknowledged */
#define SERVER 9001u

/* A segment of the end at port `from`; `text` NULL: without payload. */
enum relay_route give_only(unsigned number, unsigned from, uint8_t flags, uint32_t seq, uint32_t ack, const char *text);
void turn(void);
/* Forgets what was said, gives the segment, and lets the relay turn once. */
enum relay_route give(unsigned number, unsigned from, uint8_t flags, uint32_t seq, uint32_t ack, const char *text);
/* What the relay said last to the end at `at` since the last frame was given; flags 0: nothing. */
struct tcp_segment said(unsigned at);
void open_one(unsigned number);

#endif
