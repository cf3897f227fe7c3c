/* segment_list.h: which segments a journal directory holds, by the names of their directories, in ascending order. */
#ifndef CONTROL_JOURNAL_SEGMENT_LIST_H
#define CONTROL_JOURNAL_SEGMENT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segment_list {
	uint64_t *first;
	size_t count;
};

/* `dir` is the journal's directory. False when seg/ cannot be read. */
bool segment_list_read(struct segment_list *list, const char *dir);
void segment_list_free(struct segment_list *list);

#endif
