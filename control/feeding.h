/* feeding.h: feeds the live streams of events (settings.h, `streams`): a thread for each reads the journal, forms RFC 5424 messages
 * (control/export/stream.h) and gives them to that stream's sluice-export (control/ship), as fast as it takes them.
 *
 * A thread reads committed records through archive.h and nothing of the core's state (Landlock: the journal's directory, for reading). A
 * receiver that is slow or away keeps its own thread waiting, nobody else. The helper says where to begin, so nothing is queued that
 * could be lost: what the helper did not confirm is read again.
 * A record that cannot be read is a message that says so. Threading: the core's thread calls; the state may be a moment old.
 */
#ifndef CONTROL_FEEDING_H
#define CONTROL_FEEDING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "platform/os/error.h"

struct settings;
struct settings_stream;
struct feeding;

/* Before the process confines itself. NULL with a text in `err`. */
struct feeding *feeding_create(const char *journal_dir, const struct settings *settings, char err[OS_ERROR_BYTES]);
void feeding_destroy(struct feeding *f);

/* The socket of a stream's helper, which is taken over; an earlier one of it ends. What is given out begins only when the journal holds
 * more than `size` records, so that a record of it is durable first. False when there is no such stream. */
bool feeding_take(struct feeding *f, unsigned stream, int fd, uint64_t size);

/* The index from which on no record may be pruned, because a stream that pruning waits for has not confirmed it; UINT64_MAX: none. `size`
 * is the journal's; a stream whose helper has not spoken yet, or says more than there is, has confirmed nothing. `*by` (may be NULL): the
 * stream that is furthest behind. */
uint64_t feeding_limit(const struct feeding *f, uint64_t size, const struct settings_stream **by);
/* For how long a stream has confirmed nothing more. */
uint64_t feeding_still_us(const struct feeding *f, unsigned stream, uint64_t now_us);
/* All records before it a stream has confirmed; judged likewise. */
uint64_t feeding_confirmed(const struct feeding *f, unsigned stream, uint64_t size);

/* [{"stream", "helper" (bool), "confirmed" (all records before it), "lag" (records not confirmed), "waits_s" (how long nothing more was
 * confirmed while there was a lag)}]. `size` is the journal's. */
json_t *feeding_state(const struct feeding *f, uint64_t size, uint64_t now_us);

#endif
