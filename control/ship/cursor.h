/* cursor.h: where a stream goes on: the index of the first record that the receiver has not confirmed, in a file of its own.
 *
 * The file is replaced whole, and synced, so that after a power cut it says an old index or the new one. One thread.
 */
#ifndef CONTROL_SHIP_CURSOR_H
#define CONTROL_SHIP_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

/* `dir` is an open directory, `name` the stream's. No file: 0. False when there is one that cannot be read or says no number. */
bool cursor_load(int dir, const char *name, uint64_t *next);
bool cursor_store(int dir, const char *name, uint64_t next);

#endif
