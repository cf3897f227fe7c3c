/* effects.h: what a text does to its session, as its tokens tell, before anything runs (state.c). */
#ifndef DATAPLANE_INSPECT_POSTGRES_EFFECTS_H
#define DATAPLANE_INSPECT_POSTGRES_EFFECTS_H

#include "dataplane/inspect/postgres/names.h"
#include "platform/base/bytes.h"

struct pg_effects {
	bool pins;     /* changes a setting that Sluice relies on */
	bool denied;   /* prepares a name that refusals rely on */
	bool settings; /* may change any setting */
	bool routine;  /* runs code that may commit by itself: DO, CALL */
	bool path;     /* … search_path */
	bool local;    /* … until the transaction's end */
	bool drops[2]; /* drops, or may replace, prepared statements or cursors, by enum pg_name_space */
	bool makes[2]; /* is one PREPARE or DECLARE, of `one`, and nothing else */
	uint8_t one_len; /* … only this one, when not 0 */
	char one[PG_NAME_BYTES];
	struct bytes inner; /* what that prepares or declares; a view into the text */
	struct bytes path_value; /* as written, when the text is one SET search_path; a view into it */
};

struct pg_effects pg_effects(struct bytes text);

#endif
