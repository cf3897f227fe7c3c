/* play.h: a script that is being played: what the two readers of script languages (run.c, packetdrill.c) share. */
#ifndef TESTS_SCRIPTS_PLAY_H
#define TESTS_SCRIPTS_PLAY_H

#include <stdio.h>

#include "tests/harness/stage.h"
#include "tests/scripts/script.h"

#define PLAY_TOLERANCE_US 1500

struct play {
	struct stage *stage;
	uint64_t shift_us;         /* of time stamps: when the SYN came */
	uint32_t ts_base[2];       /* first TSval of each end */
	uint32_t ts_seen[2];       /* last TSval that we sent towards each end */
	struct tcp_chunk *hoard;   /* chunks that a script took away */
	char error[LINE_TEXT_MAX];
	bool lenient;              /* what was sent may wait to be expected */
};

/* One line of our own language. False with a reason in p->error. */
bool play_line(struct play *p, const char *text);

/* What `from` sends is numbered from its ISN. */
uint32_t play_base(const struct play *p, unsigned from);

/* A segment to the peer of `side`, for people. */
const char *play_text(const struct play *p, unsigned side, const struct tcp_segment *s, char out[256]);

/* packetdrill.c: whether the file is in packetdrill's language, and a play of it. When the script needs what a middlebox does
 * not have, `reason` says so and the result means nothing. */
bool packetdrill_is(FILE *file);
bool packetdrill_play(struct play *p, FILE *file, unsigned *line_number, char reason[LINE_TEXT_MAX]);

#endif
