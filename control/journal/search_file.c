#include "control/journal/search_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "platform/base/hash.h"

#define MARK "sluice index 1\n"
#define GROUP_AT 16u
#define ROOT_AT 32u
#define SUMS_AT 4096u
#define TIMES_AT 8192u
#define GROUP_HEIGHT 16u /* of the subtree */

_Static_assert(SEARCH_GROUP == 1u << GROUP_HEIGHT, "a group is one subtree");
_Static_assert(SUMS_AT + SEARCH_PAGES * 8 <= TIMES_AT, "the sums fit");
_Static_assert(TIMES_AT + SEARCH_BLOCKS * 64 + 8 <= SEARCH_HEADER_BYTES, "the times fit");
_Static_assert(sizeof MARK == GROUP_AT, "the mark fits");

static uint64_t sum_of(const void *data, size_t len, uint64_t number)
{
	return hash64((struct hash_key){ number, 0x736c756963650002 }, data, len);
}

void search_file_path(const char *dir, uint64_t group, char *out, size_t cap)
{
	snprintf(out, cap, "%s/%012llu", dir, (unsigned long long)group);
}

bool search_group_root(struct archive *a, uint64_t group, struct merkle_hash *out)
{
	struct merkle_source source = archive_source(a);

	return (group + 1) * SEARCH_GROUP <= archive_size(a) && source.get(source.ctx, GROUP_HEIGHT, group, out);
}

/* --- times ------------------------------------------------------------------------------------------------------------ */

static int text_order(struct bytes have, struct bytes limit)
{
	size_t shorter = have.len < limit.len ? have.len : limit.len;
	int order = shorter ? memcmp(have.base, limit.base, shorter) : 0;

	return order ? order : have.len < limit.len ? -1 : have.len > limit.len;
}

static struct bytes time_text(const struct search_time *t)
{
	return bytes_of(t->text, t->len < SEARCH_TIME_BYTES ? t->len : SEARCH_TIME_BYTES);
}

static void time_set(struct search_time *t, struct bytes text)
{
	memset(t, 0, sizeof *t);
	t->len = (uint8_t)text.len;
	if (text.len)
		memcpy(t->text, text.base, text.len);
}

void search_times_take(struct search_times *t, struct bytes ts)
{
	t->open |= ts.len > SEARCH_TIME_BYTES;
	if (t->open)
		return;
	if (!t->any || text_order(ts, time_text(&t->least)) < 0)
		time_set(&t->least, ts);
	if (!t->any || text_order(ts, time_text(&t->most)) > 0)
		time_set(&t->most, ts);
	t->any = true;
}

bool search_times_before(const struct search_times *t, const char *since)
{
	return !t->open && text_order(time_text(&t->most), bytes_str(since)) < 0;
}

bool search_times_after(const struct search_times *t, const char *until)
{
	return !t->open && text_order(time_text(&t->least), bytes_str(until)) >= 0;
}

/* --- the header ------------------------------------------------------------------------------------------------------- */

static void header_write(struct search_file *f)
{
	struct writer w = writer_of(f->header, sizeof f->header);

	memset(f->header, 0, sizeof f->header);
	writer_bytes(&w, MARK, sizeof MARK);
	writer_be64(&w, f->group);
	memcpy(f->header + ROOT_AT, f->root.b, sizeof f->root.b);
	w = writer_of(f->header + SUMS_AT, SEARCH_PAGES * 8);
	for (unsigned p = 0; p < SEARCH_PAGES; p++)
		writer_be64(&w, f->sum[p]);
	w = writer_of(f->header + TIMES_AT, SEARCH_BLOCKS * 64);
	for (unsigned b = 0; b < SEARCH_BLOCKS; b++) {
		/* A length that no text has says that the block's times are not known. */
		if (f->times[b].open)
			f->times[b].least.len = f->times[b].most.len = UINT8_MAX;
		writer_bytes(&w, &f->times[b].least, sizeof f->times[b].least);
		writer_bytes(&w, &f->times[b].most, sizeof f->times[b].most);
	}
	w = writer_of(f->header + SEARCH_HEADER_BYTES - 8, 8);
	writer_be64(&w, sum_of(f->header, SEARCH_HEADER_BYTES - 8, UINT64_MAX));
}

static bool header_read(struct search_file *f, uint64_t group)
{
	struct reader r = reader_of(f->header + SEARCH_HEADER_BYTES - 8, 8);

	if (memcmp(f->header, MARK, sizeof MARK) != 0 || reader_be64(&r) != sum_of(f->header, SEARCH_HEADER_BYTES - 8, UINT64_MAX))
		return false;
	r = reader_of(f->header + GROUP_AT, 8);
	f->group = reader_be64(&r);
	memcpy(f->root.b, f->header + ROOT_AT, sizeof f->root.b);
	r = reader_of(f->header + SUMS_AT, SEARCH_PAGES * 8);
	for (unsigned p = 0; p < SEARCH_PAGES; p++)
		f->sum[p] = reader_be64(&r);
	for (unsigned b = 0; b < SEARCH_BLOCKS; b++) {
		memcpy(&f->times[b].least, f->header + TIMES_AT + b * 64, sizeof f->times[b].least);
		memcpy(&f->times[b].most, f->header + TIMES_AT + b * 64 + 32, sizeof f->times[b].most);
		f->times[b].open = f->times[b].least.len > SEARCH_TIME_BYTES || f->times[b].most.len > SEARCH_TIME_BYTES;
	}
	return f->group == group;
}

int search_file_open(struct search_file *f, const char *dir, uint64_t group, struct archive *a)
{
	struct merkle_hash root;
	char path[PATH_MAX + 32];
	int fd;

	search_file_path(dir, group, path, sizeof path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	if (pread(fd, f->header, sizeof f->header, 0) == (ssize_t)sizeof f->header && header_read(f, group) && search_group_root(a, group, &root) &&
	    merkle_equal(&root, &f->root))
		return fd;
	close(fd);
	return -1;
}

bool search_file_page(const struct search_file *f, int fd, unsigned page, uint8_t out[SEARCH_PAGE_BYTES])
{
	return pread(fd, out, SEARCH_PAGE_BYTES, (off_t)SEARCH_HEADER_BYTES + (off_t)page * SEARCH_PAGE_BYTES) == (ssize_t)SEARCH_PAGE_BYTES &&
	       sum_of(out, SEARCH_PAGE_BYTES, page) == f->sum[page];
}

static int write_all(int fd, const uint8_t *at, size_t len)
{
	while (len) {
		ssize_t done = write(fd, at, len);

		if (done <= 0)
			return done < 0 ? errno : EIO;
		at += done;
		len -= (size_t)done;
	}
	return 0;
}

int search_file_write(struct search_file *f, const char *dir, const uint8_t *rows)
{
	char path[PATH_MAX + 32], part[PATH_MAX + 40];
	int fd, wrong;

	for (unsigned p = 0; p < SEARCH_PAGES; p++)
		f->sum[p] = sum_of(rows + (size_t)p * SEARCH_PAGE_BYTES, SEARCH_PAGE_BYTES, p);
	header_write(f);
	search_file_path(dir, f->group, path, sizeof path);
	snprintf(part, sizeof part, "%s.part", path);
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0400);
	if (fd < 0)
		return errno;
	wrong = write_all(fd, f->header, sizeof f->header);
	wrong = wrong ? wrong : write_all(fd, rows, (size_t)TERMS_ROWS * SEARCH_ROW_BYTES);
	if (close(fd) != 0 && !wrong)
		wrong = errno;
	if (!wrong && rename(part, path) != 0)
		wrong = errno;
	if (wrong)
		(void)unlink(part);
	return wrong;
}
