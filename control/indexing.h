/* indexing.h: a thread of its own keeps the index for searches (control/journal/search_index.h) up with the journal: once a second it
 * makes what is missing and looks at one of the files there.
 *
 * It reads the journal as any reader does and takes nothing from the writer; it runs when no one else of this process wants the core, may
 * read the journal's directory and write its index/ only (Landlock), and its failing is a line in the log and slower searches.
 */
#ifndef CONTROL_INDEXING_H
#define CONTROL_INDEXING_H

#include "platform/os/error.h"

struct indexing;

/* Before the process confines itself. The directory need not hold a journal yet. NULL with a text in `err`. */
struct indexing *indexing_create(const char *journal_dir, char err[OS_ERROR_BYTES]);
/* Ends what is under way. */
void indexing_destroy(struct indexing *ix);

#endif
