/* snapshot.h: a policy image from the run directory, with everything the workers need beside it. Main thread only (it
 * allocates and opens files). A snapshot that was swapped out is freed once the worker has passed a turn without it. */
#ifndef DATAPLANE_SNAPSHOT_H
#define DATAPLANE_SNAPSHOT_H

#include "dataplane/relay/relay.h"
#include "platform/os/error.h"

/* NULL with a text in `err` when the file is missing, damaged or made for another machine. */
struct relay_snapshot *snapshot_load(const char *run_dir, const char *file, const uint8_t mask_key[MASK_KEY_BYTES], char err[OS_ERROR_BYTES]);
void snapshot_free(const struct relay_snapshot *s);

#endif
