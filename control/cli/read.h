/* read.h: verbs that read a journal: through sluice-control, or from a directory. */
#ifndef CONTROL_CLI_READ_H
#define CONTROL_CLI_READ_H

#include "control/cli/cli.h"
#include "control/journal/archive.h"
#include "control/journal/checkpoint.h"

/* For administrators of the machine: announces an export to sluice-control (unless --dir names a copy) and opens the directory. NULL
 * after an error line, with the status. */
struct archive *read_open(struct cli *c, const char *what, const char *detail, char dir[320], int *status);

/* The arguments of a reading by sluice-control. */
json_t *read_arguments(const char *what, const struct archive_filter *f, uint64_t limit);
/* One reading by sluice-control, with the token of --token-file: prints what comes. Takes `args`. The exit status. */
int read_from_control(struct cli *c, json_t *args);

/* play.c: a replay with --speed or --step. Takes `args`. The exit status. */
int read_play(struct cli *c, json_t *args);
/* A replay as {"session", "events": [{"at", "dir": mark | in | out, "text"}]}. Takes `args`. The exit status. */
int read_replay_json(struct cli *c, json_t *args, const char *session);

/* Prints the records of a reading of this kind, by sluice-control or from the copy of --dir; for people as lines. `session` (may be NULL) is
 * named in the JSON document. The exit status. */
int read_records(struct cli *c, const char *what, const struct archive_filter *filter, uint64_t limit, const char *session);
/* The copy of --dir, with its index when --index says so. NULL after an error line. */
struct archive *read_copy(struct cli *c, const char *dir);
/* Where the frame that ends a reading says that the next page begins; and saying so: in the document, or as a line. */
void read_page(json_t *frame, uint64_t *next);
void read_more(const struct cli *c, json_t *document, uint64_t next);

/* The full id of a session: as given, or the one that sluice-control knows by this beginning. */
bool read_session_id(struct cli *c, char out[33], int *status);

/* The log's public keys: those of --key, or what lies beside the journal; `*own` tells which. */
bool read_keys(struct cli *c, const char *dir, struct checkpoint_keys *keys, bool *own);

/* A checkpoint that somebody kept, as a file: a whole note. False after an error line. */
bool read_checkpoint_file(struct cli *c, const char *path, uint8_t room[CHECKPOINT_BYTES_MAX], struct bytes *note);
/* read.c: a record, or its proof, by its number. The exit status. */
int read_one(struct cli *c, const char *what);

/* The number of an option, 0 when it was not given; false after an error line. */
bool read_number_option(struct cli *c, const char *name, uint64_t *out);

/* The filter of the options; false after an error line. `detail` says what is searched for, for the record of the reading. */
bool read_filter(struct cli *c, struct archive_filter *f, uint64_t *limit);
const char *read_filter_text(const struct cli *c, char *out, size_t size);

#endif
