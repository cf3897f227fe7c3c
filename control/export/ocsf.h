/* ocsf.h: records as OCSF events, one JSON object a line (export.md 3).
 *
 * A copy for machines, not evidence: `unmapped.sluice` names index and leaf hash, by which the record is found and proven.
 * metadata.uid is "<origin>#<index>"; a finding that a record gives rise to stands behind it, as "<origin>#<index>/finding".
 * Schema versions "1.8.0" and "1.9.0-dev"; in 1.8.0, which has no ai_agent, the agent stands in unmapped.ai_agent.
 */
#ifndef CONTROL_EXPORT_OCSF_H
#define CONTROL_EXPORT_OCSF_H

#include "control/export/event.h"

#define OCSF_EVENTS_MAX 3 /* of one record */

struct ocsf {
	const char *origin; /* of the journal */
	bool agents;        /* 1.9.0-dev: profile ai_operation */
};

/* "1.8.0" or "1.9.0-dev"; false for any other. */
bool ocsf_schema(struct ocsf *o, const char *version);

/* The events of a record, the caller's to json_decref; how many. Every record gives one at least; 0: memory is short. `record`
 * are its canonical bytes. */
unsigned ocsf_events(const struct ocsf *o, const struct event *e, struct bytes record, json_t *out[OCSF_EVENTS_MAX]);

#endif
