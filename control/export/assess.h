/* assess.h: questions of SP 800-53 asked of each record (controls.def), and what an examiner wants to see counted.
 *
 * One pass: assess_event for each record in order, then read. Memory grows with persons, classes, rules and approvals, not with
 * records. One thread. The texts live as long as the struct.
 */
#ifndef CONTROL_EXPORT_ASSESS_H
#define CONTROL_EXPORT_ASSESS_H

#include "control/export/event.h"

#define ASSESS_SAMPLES 8u     /* records that are named for a control */
#define ASSESS_NOTABLE 500u   /* rows of a list */

struct assess_control {
	const char *id, *objective, *title, *question;
	uint64_t examined, broken;
	uint64_t sample[ASSESS_SAMPLES], fault[ASSESS_SAMPLES]; /* indexes of the first that were examined, of the first that broke it */
};

struct assess {
	struct assess_control *control;
	unsigned controls;
	uint64_t records, first, last;
	char since[40], until[40];   /* `ts` of the first and the last record */
	/* Objects: word → count. */
	json_t *types, *verdicts, *persons, *agents, *services, *rules, *masked, *hours, *refusals;
	json_t *blocked;             /* array of {index, time, person, agent, service, session, verb, text, rule}, at most ASSESS_NOTABLE */
	json_t *approvals;           /* id → {index, time, person, session, text, state, votes: [{voter, vote, reason}]} */
	json_t *held;                /* "session/n" → id of its approval, or true while it has none */
};

[[nodiscard]] bool assess_create(struct assess *a);
void assess_destroy(struct assess *a);
void assess_event(struct assess *a, const struct event *e);

#endif
