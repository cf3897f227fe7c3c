#include "control/journal/segment_list.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

/* Twenty digits that are a number below 2^63. */
static bool name_read(const char *name, uint64_t *first)
{
	*first = 0;
	if (strlen(name) != 20 || strspn(name, "0123456789") != 20 || strcmp(name, "09223372036854775807") > 0)
		return false;
	*first = strtoull(name, NULL, 10);
	return true;
}

bool segment_list_read(struct segment_list *list, const char *dir)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *segments;

	*list = (struct segment_list){ 0 };
	if ((size_t)snprintf(path, sizeof path, "%s/seg", dir) >= sizeof path || (segments = opendir(path)) == NULL)
		return false;
	while ((entry = readdir(segments)) != NULL) {
		uint64_t first, *grown;

		if (!name_read(entry->d_name, &first))
			continue;
		grown = realloc(list->first, (list->count + 1) * sizeof *grown);
		if (!grown) {
			closedir(segments);
			segment_list_free(list);
			return false;
		}
		list->first = grown;
		list->first[list->count++] = first;
	}
	closedir(segments);
	if (list->count)
		qsort(list->first, list->count, sizeof *list->first, ascending);
	return true;
}

void segment_list_free(struct segment_list *list)
{
	free(list->first);
	*list = (struct segment_list){ 0 };
}
