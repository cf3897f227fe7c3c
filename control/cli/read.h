/* read.h: opening a journal for a verb that reads it. */
#ifndef CONTROL_CLI_READ_H
#define CONTROL_CLI_READ_H

#include "control/cli/cli.h"
#include "control/journal/archive.h"
#include "control/journal/checkpoint.h"

/* Announces the reading to sluice-control (unless --dir names a copy) and opens. NULL after an error line, with the status. */
struct archive *read_open(struct cli *c, const char *what, const char *detail, char dir[320], int *status);

/* The full id of a session: as given, or the one that sluice-control knows by this beginning. */
bool read_session_id(struct cli *c, char out[33], int *status);

/* The log's public keys: those of --key, or what lies beside the journal; `*own` tells which. */
bool read_keys(struct cli *c, const char *dir, struct checkpoint_keys *keys, bool *own);

/* The filter of the options; false after an error line. `detail` says what is searched for, for the record of the reading. */
bool read_filter(struct cli *c, struct archive_filter *f, uint64_t *limit);
const char *read_filter_text(const struct cli *c, char *out, size_t size);

#endif
