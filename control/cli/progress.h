/* progress.h: how far a long export is, as a line on standard error; and its end by ^C, which leaves nothing behind.
 *
 * On a terminal one line that is written over, twice a second; with --progress elsewhere a line every ten seconds. One thread.
 */
#ifndef CONTROL_CLI_PROGRESS_H
#define CONTROL_CLI_PROGRESS_H

#include <jansson.h>

#include "control/export/export.h"

struct progress {
	bool terminal, lines;
	bool shown;                  /* a line stands there */
	int64_t began_ms, told_ms;
	uint64_t begun, last;        /* `done` when counting began, and as it was told last */
};

/* `asked`: also where standard error is no terminal. From here on SIGINT, SIGTERM and SIGHUP only make progress_told say false; the second one ends
 * this process as usual. */
void progress_begin(struct progress *p, bool asked);
/* For struct export_request: `ctx` is the struct. False when it is to end. */
bool progress_told(void *ctx, const struct export_progress *at);
/* The same by a frame of sluice-control's, if it is one. */
bool progress_frame(struct progress *p, json_t *frame);
bool progress_interrupted(void);
/* Takes the line away. May be called again. */
void progress_end(struct progress *p);

#endif
