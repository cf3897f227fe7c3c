#include "control/journal/disk_names.h"

#include <assert.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DIRS_MAX 512u
#define GONE (1ull << 62) /* numbers from here on are of what has no inode any more */

struct name {
	uint64_t number;
	bool directory;
	char text[64];
};

struct listing {
	struct name *name; /* sorted by text */
	unsigned names;
};

/* `listing[0]` is surely on disk. */
struct directory {
	uint64_t number;
	struct listing *listing;
	unsigned listings;
};

static struct {
	char root[PATH_MAX];
	uint64_t gone;
	struct directory directory[DIRS_MAX];
	unsigned directories;
} names;

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static struct listing listing_read(const char *path)
{
	struct listing l = { 0 };
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		assert(strlen(e->d_name) < sizeof l.name->text);
		l.name = realloc(l.name, (l.names + 1) * sizeof *l.name);
		assert(l.name);
		l.name[l.names] = (struct name){ .number = e->d_ino, .directory = e->d_type == DT_DIR };
		memcpy(l.name[l.names++].text, e->d_name, strlen(e->d_name) + 1);
	}
	if (d)
		closedir(d);
	if (l.names)
		qsort(l.name, l.names, sizeof *l.name, by_text);
	return l;
}

static bool same(const struct listing *a, const struct listing *b)
{
	bool equal = a->names == b->names;

	for (unsigned i = 0; equal && i < a->names; i++)
		equal = a->name[i].number == b->name[i].number && strcmp(a->name[i].text, b->name[i].text) == 0;
	return equal;
}

static struct directory *find(uint64_t number)
{
	for (unsigned i = 0; i < names.directories; i++)
		if (names.directory[i].number == number)
			return &names.directory[i];
	return NULL;
}

/* A directory that is new begins empty. */
static struct directory *find_or_make(uint64_t number)
{
	struct directory *d = find(number);

	if (d)
		return d;
	assert(names.directories < DIRS_MAX);
	d = &names.directory[names.directories++];
	*d = (struct directory){ .number = number, .listing = calloc(1, sizeof *d->listing), .listings = 1 };
	assert(d->listing);
	return d;
}

/* All but the newest. */
static void settle(struct directory *d)
{
	for (unsigned i = 0; i + 1 < d->listings; i++)
		free(d->listing[i].name);
	d->listing[0] = d->listing[d->listings - 1];
	d->listings = 1;
}

static bool inside(const char *path)
{
	size_t len = strlen(names.root);

	return len && strncmp(path, names.root, len) == 0 && (path[len] == '/' || path[len] == 0);
}

void disk_names_watch(const char *root)
{
	for (unsigned i = 0; i < names.directories; i++) {
		for (unsigned k = 0; k < names.directory[i].listings; k++)
			free(names.directory[i].listing[k].name);
		free(names.directory[i].listing);
	}
	names.directories = 0;
	snprintf(names.root, sizeof names.root, "%s", root ? root : "");
}

void disk_names_changed(const char *path)
{
	char copy[PATH_MAX], parent[PATH_MAX], *slash;
	struct directory *d;
	struct listing l;
	struct stat st;

	snprintf(copy, sizeof copy, "%s", path);
	slash = strrchr(copy, '/');
	if (!names.root[0] || !slash)
		return;
	*slash = 0;
	if (!realpath(copy, parent) || !inside(parent) || stat(parent, &st) != 0)
		return;
	d = find_or_make(st.st_ino);
	l = listing_read(parent);
	if (same(&l, &d->listing[d->listings - 1])) {
		free(l.name);
		return;
	}
	d->listing = realloc(d->listing, (d->listings + 1) * sizeof *d->listing);
	assert(d->listing);
	d->listing[d->listings++] = l;
	/* A directory is on disk with its first listing, that of nothing. */
	for (unsigned i = 0; i < l.names; i++)
		if (l.name[i].directory)
			find_or_make(l.name[i].number);
}

uint64_t disk_names_last(const char *path)
{
	char whole[PATH_MAX];
	struct stat st;

	if (!names.root[0] || lstat(path, &st) != 0 || !realpath(path, whole) || !inside(whole))
		return 0;
	return S_ISDIR(st.st_mode) || st.st_nlink == 1 ? st.st_ino : 0;
}

uint64_t disk_names_gone(uint64_t inode)
{
	uint64_t number = GONE + ++names.gone;

	for (unsigned i = 0; i < names.directories; i++) {
		struct directory *d = &names.directory[i];

		if (d->number == inode)
			d->number = number;
		for (unsigned k = 0; k < d->listings; k++)
			for (unsigned n = 0; n < d->listing[k].names; n++)
				if (d->listing[k].name[n].number == inode)
					d->listing[k].name[n].number = number;
	}
	return number;
}

void disk_names_synced(uint64_t inode)
{
	for (unsigned i = 0; i < names.directories; i++)
		if (!inode || names.directory[i].number == inode)
			settle(&names.directory[i]);
}

bool disk_names_known(uint64_t number)
{
	for (unsigned i = 0; i < names.directories; i++)
		for (unsigned k = 0; k < names.directory[i].listings; k++)
			for (unsigned n = 0; n < names.directory[i].listing[k].names; n++)
				if (names.directory[i].listing[k].name[n].number == number)
					return true;
	return false;
}

struct imaging {
	struct rng *rng;
	unsigned keep;
	void (*file)(void *ctx, const char *path, uint64_t number);
	void *ctx;
};

static void image(const struct imaging *how, const struct directory *d, const char *to)
{
	unsigned which = how->keep == 0 ? 0 : how->keep >= 100 ? d->listings - 1 : (unsigned)rng_below(how->rng, d->listings);
	const struct listing *l = &d->listing[which];
	int made = mkdir(to, 0700);

	assert(made == 0);
	for (unsigned i = 0; i < l->names; i++) {
		const struct directory *sub = l->name[i].directory ? find(l->name[i].number) : NULL;
		char path[PATH_MAX];

		snprintf(path, sizeof path, "%s/%s", to, l->name[i].text);
		if (sub)
			image(how, sub, path);
		else
			how->file(how->ctx, path, l->name[i].number);
	}
}

void disk_names_image(const char *to, struct rng *rng, unsigned keep, void (*file)(void *ctx, const char *path, uint64_t number), void *ctx)
{
	const struct imaging how = { rng, keep, file, ctx };
	struct stat st;
	int found = stat(names.root, &st);

	assert(found == 0);
	image(&how, find_or_make(st.st_ino), to);
}
