/* The invariant: at every moment each day's directory is whole under one of its names, and which one counts follows from which exist:
 *	DAY               normal; DAY.new beside it is an unfinished rewrap and is dropped
 *	DAY.old, DAY.new  the exchange was under way: DAY.new becomes DAY, DAY.old is destroyed
 *	DAY, DAY.old      exchanged: DAY.old is destroyed
 *	DAY.gone          the whole day is being destroyed
 */
#include "control/journal/payload_keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/journal/base64.h"
#include "control/journal/disk_flush.h"
#include "platform/base/random.h"
#include "platform/base/secret.h"
#include "platform/os/durable.h"

#define ENTRY_BYTES (SEAL_SESSION_BYTES + SEAL_NONCE_BYTES + SEAL_KEY_BYTES + SEAL_TAG_BYTES)

static const char wrapped_magic[] = "sluice-wrapped-1", day_magic[] = "sluice-day-key-1";

enum { HEAD_BYTES = sizeof wrapped_magic - 1, DAY_FILE_BYTES = sizeof day_magic - 1 + SEAL_KEY_BYTES };

_Static_assert(sizeof wrapped_magic == sizeof day_magic, "one head length");

struct entry {
	uint8_t b[ENTRY_BYTES];
};

struct day {
	char name[PAYLOAD_KEYS_DAY_BYTES];
	uint8_t key[SEAL_KEY_BYTES];
	struct entry *entry;
	size_t entries, room;
	bool sorted;
};

struct payload_keys {
	char dir[PATH_MAX - 128];
	bool write, failed, dirty;
	int lock, append; /* `append`: the wrapped file of `today` */
	struct day today; /* what is being written */
	struct day loaded; /* what was looked into last */
};

/* --- files --------------------------------------------------------------------------------------------------------------- */

static void path_of(const struct payload_keys *k, char out[PATH_MAX], const char *name, const char *suffix, const char *file)
{
	snprintf(out, PATH_MAX, "%s/%s%s%s%s", k->dir, name, suffix, file[0] ? "/" : "", file);
}

static bool exists(const struct payload_keys *k, const char *name, const char *suffix)
{
	char path[PATH_MAX];
	struct stat st;

	path_of(k, path, name, suffix, "");
	return stat(path, &st) == 0;
}

static bool write_whole(const char *path, struct bytes data)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool good = fd >= 0;

	for (size_t at = 0; good && at < data.len;) {
		ssize_t got = write(fd, data.base + at, data.len - at);

		good = got > 0 || (got < 0 && errno == EINTR);
		at += got > 0 ? (size_t)got : 0;
	}
	good = good && fsync(fd) == 0 && disk_flush_check(fd) == 0;
	if (fd >= 0)
		close(fd);
	return good;
}

/* Overwritten with noise, synced, then unlinked. */
static bool shred(const char *path)
{
	uint8_t noise[4096];
	struct stat st;
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	bool good = fd >= 0 && fstat(fd, &st) == 0;

	if (fd < 0)
		return errno == ENOENT;
	for (off_t at = 0; good && at < st.st_size; at += (off_t)sizeof noise) {
		size_t len = st.st_size - at < (off_t)sizeof noise ? (size_t)(st.st_size - at) : sizeof noise;

		random_secret(noise, sizeof noise);
		good = pwrite(fd, noise, len, at) == (ssize_t)len;
	}
	good = good && fsync(fd) == 0;
	close(fd);
	return good && unlink(path) == 0;
}

static bool shred_day(const struct payload_keys *k, const char *name, const char *suffix)
{
	static const char *const files[] = { "key", "wrapped" };
	char path[PATH_MAX];

	for (unsigned i = 0; i < 2; i++) {
		path_of(k, path, name, suffix, files[i]);
		if (!shred(path))
			return false;
	}
	path_of(k, path, name, suffix, "");
	return rmdir(path) == 0 && durable_sync_dir(k->dir) == 0;
}

static bool rename_day(const struct payload_keys *k, const char *name, const char *from, const char *to)
{
	char a[PATH_MAX], b[PATH_MAX];

	path_of(k, a, name, from, "");
	path_of(k, b, name, to, "");
	return rename(a, b) == 0 && durable_sync_dir(k->dir) == 0;
}

/* --- a day --------------------------------------------------------------------------------------------------------------- */

void payload_keys_day(uint64_t now_us, char out[PAYLOAD_KEYS_DAY_BYTES])
{
	time_t seconds = (time_t)(now_us / 1000000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	if (!strftime(out, PAYLOAD_KEYS_DAY_BYTES, "%Y-%m-%d", &tm))
		out[0] = 0;
}

static bool is_day(const char *name)
{
	static const char shape[] = "dddd-dd-dd";

	for (unsigned i = 0; i < sizeof shape; i++)
		if (shape[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != shape[i])
			return false;
	return true;
}

static void day_free(struct day *d)
{
	secret_wipe(d->key, sizeof d->key);
	free(d->entry);
	*d = (struct day){ 0 };
}

static bool day_add(struct day *d, const struct entry *e)
{
	if (d->entries == d->room) {
		size_t room = d->room ? d->room * 2 : 64;
		struct entry *grown = realloc(d->entry, room * sizeof *grown);

		if (!grown)
			return false;
		d->entry = grown;
		d->room = room;
	}
	d->entry[d->entries++] = *e;
	d->sorted = false;
	return true;
}

/* What of a torn write is not a whole entry was never acknowledged. */
static bool day_read(const struct payload_keys *k, const char *name, struct day *d)
{
	uint8_t head[DAY_FILE_BYTES + 1] = { 0 };
	char path[PATH_MAX];
	struct entry e;
	FILE *f;
	bool good;

	day_free(d);
	path_of(k, path, name, "", "key");
	f = fopen(path, "re");
	good = f && fread(head, 1, sizeof head, f) == DAY_FILE_BYTES && memcmp(head, day_magic, HEAD_BYTES) == 0;
	if (f)
		fclose(f);
	memcpy(d->key, head + HEAD_BYTES, SEAL_KEY_BYTES);
	secret_wipe(head, sizeof head);
	snprintf(d->name, sizeof d->name, "%s", name);
	path_of(k, path, name, "", "wrapped");
	f = good ? fopen(path, "re") : NULL;
	good = f && fread(head, 1, HEAD_BYTES, f) == HEAD_BYTES && memcmp(head, wrapped_magic, HEAD_BYTES) == 0;
	while (good && fread(&e, sizeof e, 1, f) == 1)
		good = day_add(d, &e);
	if (f)
		fclose(f);
	if (!good)
		day_free(d);
	return good;
}

static bool day_write(const struct payload_keys *k, const struct day *d, const char *suffix)
{
	size_t len = HEAD_BYTES + d->entries * sizeof *d->entry;
	uint8_t key[DAY_FILE_BYTES], *all = malloc(len);
	char path[PATH_MAX];
	bool good = all != NULL;

	path_of(k, path, d->name, suffix, "");
	good = good && (mkdir(path, 0700) == 0 || errno == EEXIST);
	memcpy(key, day_magic, HEAD_BYTES);
	memcpy(key + HEAD_BYTES, d->key, SEAL_KEY_BYTES);
	path_of(k, path, d->name, suffix, "key");
	good = good && write_whole(path, bytes_of(key, sizeof key));
	secret_wipe(key, sizeof key);
	path_of(k, path, d->name, suffix, "wrapped");
	if (good) {
		memcpy(all, wrapped_magic, HEAD_BYTES);
		if (d->entries)
			memcpy(all + HEAD_BYTES, d->entry, d->entries * sizeof *d->entry);
		good = write_whole(path, bytes_of(all, len));
	}
	free(all);
	path_of(k, path, d->name, suffix, "");
	return good && durable_sync_dir(path) == 0 && durable_sync_dir(k->dir) == 0;
}

static bool wrap(const struct day *d, const struct seal *s, struct entry *out)
{
	struct writer w = writer_of(out->b, sizeof out->b);
	struct seal_cipher c = { .key = d->key, .nonce = out->b + SEAL_SESSION_BYTES, .aad = bytes_of(s->session, sizeof s->session) };
	uint8_t nonce[SEAL_NONCE_BYTES];

	random_secret(nonce, sizeof nonce);
	writer_bytes(&w, s->session, sizeof s->session);
	writer_bytes(&w, nonce, sizeof nonce);
	return seal_encrypt(&c, bytes_of(s->key, sizeof s->key), &w) && w.len == sizeof out->b;
}

static bool unwrap(const struct day *d, const struct entry *e, struct seal *out)
{
	struct writer w = writer_of(out->key, sizeof out->key);
	const struct seal_cipher c = { .key = d->key, .nonce = e->b + SEAL_SESSION_BYTES, .aad = bytes_of(e->b, SEAL_SESSION_BYTES) };
	size_t head = SEAL_SESSION_BYTES + SEAL_NONCE_BYTES;

	memcpy(out->session, e->b, SEAL_SESSION_BYTES);
	return seal_decrypt(&c, bytes_of(e->b + head, sizeof e->b - head), &w);
}

static int by_session(const void *a, const void *b)
{
	return memcmp(a, b, SEAL_SESSION_BYTES);
}

static bool day_find(struct day *d, const uint8_t session[SEAL_SESSION_BYTES], struct seal *out)
{
	struct entry want = { 0 }, *found;

	if (!d->entries)
		return false;
	if (!d->sorted)
		qsort(d->entry, d->entries, sizeof *d->entry, by_session);
	d->sorted = true;
	memcpy(want.b, session, SEAL_SESSION_BYTES);
	found = bsearch(&want, d->entry, d->entries, sizeof *d->entry, by_session);
	return found && unwrap(d, found, out);
}

/* --- opening ------------------------------------------------------------------------------------------------------------- */

/* The newest day that is older than `before` ("": any), or the oldest one. */
static bool next_day(const struct payload_keys *k, const char *limit, bool oldest, char out[PAYLOAD_KEYS_DAY_BYTES])
{
	DIR *dir = opendir(k->dir);
	char before[PAYLOAD_KEYS_DAY_BYTES];
	struct dirent *e;

	/* `out` may be `limit`. */
	snprintf(before, sizeof before, "%s", limit);
	out[0] = 0;
	while (dir && (e = readdir(dir)) != NULL) {
		if (!is_day(e->d_name) || (before[0] && strcmp(e->d_name, before) >= 0))
			continue;
		if (!out[0] || (strcmp(e->d_name, out) > 0) != oldest)
			memcpy(out, e->d_name, PAYLOAD_KEYS_DAY_BYTES);
	}
	if (dir)
		closedir(dir);
	return out[0] != 0;
}

/* One left-over name and what it asks for. */
static bool settle(const struct payload_keys *k, const char *name)
{
	char day[PAYLOAD_KEYS_DAY_BYTES];
	const char *suffix = name + sizeof day - 1;

	snprintf(day, sizeof day, "%.10s", name);
	/* One name may have settled another. */
	if (!is_day(day) || !exists(k, day, suffix))
		return true;
	if (strcmp(suffix, ".gone") == 0)
		return shred_day(k, day, ".gone");
	if (strcmp(suffix, ".new") == 0 && !exists(k, day, ".old"))
		return shred_day(k, day, ".new");
	if (strcmp(suffix, ".old") == 0)
		return (exists(k, day, "") || rename_day(k, day, ".new", "")) && shred_day(k, day, ".old");
	return true;
}

static bool settle_all(const struct payload_keys *k)
{
	DIR *dir = opendir(k->dir);
	struct dirent *e;
	bool good = dir != NULL;

	while (good && (e = readdir(dir)) != NULL)
		if (strlen(e->d_name) > PAYLOAD_KEYS_DAY_BYTES)
			good = settle(k, e->d_name);
	if (dir)
		closedir(dir);
	return good;
}

static bool open_writing(struct payload_keys *k, char err[PAYLOAD_KEYS_ERROR_BYTES])
{
	char path[PATH_MAX];

	if (mkdir(k->dir, 0700) != 0 && errno != EEXIST) {
		snprintf(err, PAYLOAD_KEYS_ERROR_BYTES, "%.150s: %s: make its parent", k->dir, strerror(errno));
		return false;
	}
	path_of(k, path, "erase", "", "");
	k->lock = open(k->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if ((mkdir(path, 0700) != 0 && errno != EEXIST) || k->lock < 0 || flock(k->lock, LOCK_EX | LOCK_NB) != 0) {
		snprintf(err, PAYLOAD_KEYS_ERROR_BYTES, "%.150s: %s: another process has it open, or it cannot be written", k->dir, strerror(errno));
		return false;
	}
	if (!settle_all(k)) {
		snprintf(err, PAYLOAD_KEYS_ERROR_BYTES, "%.150s: an interrupted erasure cannot be completed: check the disk", k->dir);
		return false;
	}
	return true;
}

struct payload_keys *payload_keys_open(const char *dir, bool write, char err[PAYLOAD_KEYS_ERROR_BYTES])
{
	struct payload_keys *k = calloc(1, sizeof *k);

	snprintf(err, PAYLOAD_KEYS_ERROR_BYTES, "payload keys: out of memory, or a path too long");
	if (!k)
		return NULL;
	k->lock = k->append = -1;
	k->write = write;
	if ((size_t)snprintf(k->dir, sizeof k->dir, "%s", dir) < sizeof k->dir && (write ? open_writing(k, err) : access(dir, R_OK | X_OK) == 0))
		return k;
	if (!write)
		snprintf(err, PAYLOAD_KEYS_ERROR_BYTES, "%.150s: %s", dir, strerror(errno));
	payload_keys_close(k);
	return NULL;
}

void payload_keys_close(struct payload_keys *k)
{
	if (!k)
		return;
	day_free(&k->today);
	day_free(&k->loaded);
	if (k->append >= 0)
		close(k->append);
	if (k->lock >= 0)
		close(k->lock);
	free(k);
}

/* --- making and finding -------------------------------------------------------------------------------------------------- */

/* Makes `name` the day that is written, reading what it holds. */
static bool day_begin(struct payload_keys *k, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	if (!payload_keys_sync(k))
		return false;
	if (k->append >= 0)
		close(k->append);
	k->append = -1;
	if (exists(k, name, "")) {
		if (!day_read(k, name, &k->today))
			return false;
	} else {
		day_free(&k->today);
		snprintf(k->today.name, sizeof k->today.name, "%s", name);
		random_secret(k->today.key, sizeof k->today.key);
		/* Whole before it has its name. */
		if (!day_write(k, &k->today, ".new") || !rename_day(k, name, ".new", ""))
			return false;
	}
	path_of(k, path, name, "", "wrapped");
	k->append = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	/* Behind the last whole entry. */
	return k->append >= 0 && fstat(k->append, &st) == 0 &&
	       lseek(k->append, (off_t)(HEAD_BYTES + k->today.entries * ENTRY_BYTES), SEEK_SET) >= 0;
}

bool payload_keys_make(struct payload_keys *k, const uint8_t session[SEAL_SESSION_BYTES], uint64_t now_us, struct seal *out)
{
	char name[PAYLOAD_KEYS_DAY_BYTES];
	struct entry e;

	*out = (struct seal){ 0 };
	payload_keys_day(now_us, name);
	if (!k->write || k->failed || (strcmp(name, k->today.name) != 0 && !day_begin(k, name))) {
		k->failed = true;
		return false;
	}
	memcpy(out->session, session, SEAL_SESSION_BYTES);
	random_secret(out->key, sizeof out->key);
	if (wrap(&k->today, out, &e) && day_add(&k->today, &e) && write(k->append, &e, sizeof e) == (ssize_t)sizeof e) {
		k->dirty = true;
		return true;
	}
	secret_wipe(out, sizeof *out);
	k->failed = true;
	return false;
}

bool payload_keys_sync(struct payload_keys *k)
{
	if (k->failed)
		return false;
	if (k->dirty && fdatasync(k->append) != 0)
		k->failed = true;
	k->dirty = false;
	return !k->failed;
}

bool payload_keys_find(struct payload_keys *k, const uint8_t session[SEAL_SESSION_BYTES], struct seal *out)
{
	char name[PAYLOAD_KEYS_DAY_BYTES] = "";

	*out = (struct seal){ 0 };
	if (day_find(&k->today, session, out) || day_find(&k->loaded, session, out))
		return true;
	while (next_day(k, name, false, name))
		if (strcmp(name, k->today.name) != 0 && strcmp(name, k->loaded.name) != 0 && day_read(k, name, &k->loaded) &&
		    day_find(&k->loaded, session, out))
			return true;
	*out = (struct seal){ 0 };
	return false;
}

/* --- destroying ---------------------------------------------------------------------------------------------------------- */

static void intent_path(const struct payload_keys *k, const uint8_t session[SEAL_SESSION_BYTES], char out[PATH_MAX])
{
	char hex[2 * SEAL_SESSION_BYTES + 1];

	for (unsigned i = 0; i < SEAL_SESSION_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", session[i]);
	path_of(k, out, "erase", "", hex);
}

bool payload_keys_intend(struct payload_keys *k, const uint8_t session[SEAL_SESSION_BYTES])
{
	char path[PATH_MAX], dir[PATH_MAX];

	intent_path(k, session, path);
	path_of(k, dir, "erase", "", "");
	return k->write && write_whole(path, (struct bytes){ 0 }) && durable_sync_dir(dir) == 0;
}

bool payload_keys_intent(struct payload_keys *k, uint8_t session[SEAL_SESSION_BYTES])
{
	char path[PATH_MAX];
	DIR *dir;
	struct dirent *e;
	bool found = false;

	path_of(k, path, "erase", "", "");
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir)) != NULL) {
		struct writer w = writer_of(session, SEAL_SESSION_BYTES);

		found = hex_read(bytes_str(e->d_name), &w) && w.len == SEAL_SESSION_BYTES;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The day without one session, under a new key, in the place of the old one. */
static bool rewrap(struct payload_keys *k, struct day *d, const uint8_t session[SEAL_SESSION_BYTES])
{
	struct day fresh = { 0 };
	struct seal s = { 0 };
	bool good = true;

	memcpy(fresh.name, d->name, sizeof fresh.name);
	random_secret(fresh.key, sizeof fresh.key);
	for (size_t i = 0; good && i < d->entries; i++) {
		struct entry e;

		if (memcmp(d->entry[i].b, session, SEAL_SESSION_BYTES) == 0)
			continue;
		good = unwrap(d, &d->entry[i], &s) && wrap(&fresh, &s, &e) && day_add(&fresh, &e);
	}
	secret_wipe(&s, sizeof s);
	good = good && day_write(k, &fresh, ".new") && rename_day(k, fresh.name, "", ".old") && rename_day(k, fresh.name, ".new", "") &&
	       shred_day(k, fresh.name, ".old");
	day_free(d);
	*d = fresh;
	return good;
}

bool payload_keys_destroy(struct payload_keys *k, const uint8_t session[SEAL_SESSION_BYTES])
{
	char path[PATH_MAX], today[PAYLOAD_KEYS_DAY_BYTES];
	struct seal s;
	bool good = k->write && payload_keys_sync(k), any;

	/* Two copies of one day: only the one that is written may go on. */
	if (strcmp(k->loaded.name, k->today.name) == 0)
		day_free(&k->loaded);
	memcpy(today, k->today.name, sizeof today);
	any = good && payload_keys_find(k, session, &s);
	secret_wipe(&s, sizeof s);
	if (any && day_find(&k->today, session, &s))
		good = rewrap(k, &k->today, session) && day_begin(k, today);
	else if (any)
		good = rewrap(k, &k->loaded, session);
	secret_wipe(&s, sizeof s);
	intent_path(k, session, path);
	if (good && unlink(path) != 0 && errno != ENOENT)
		good = false;
	if (!good)
		k->failed = true;
	return good;
}

/* A day that cannot be read may be of somebody who is held: it stays. */
static bool day_held(struct payload_keys *k, const char *day, const struct payload_keys_held *held)
{
	if (!day_read(k, day, &k->loaded))
		return true;
	for (size_t i = 0; i < k->loaded.entries; i++)
		if (held->held(held->ctx, k->loaded.entry[i].b))
			return true;
	return false;
}

bool payload_keys_oldest(struct payload_keys *k, const char *day, const struct payload_keys_held *held, char out[PAYLOAD_KEYS_DAY_BYTES],
			 unsigned *sessions)
{
	char at[PAYLOAD_KEYS_DAY_BYTES];
	bool found = false;

	*sessions = 0;
	out[0] = 0;
	if (!held)
		found = next_day(k, day, true, out);
	snprintf(at, sizeof at, "%s", day);
	while (held && next_day(k, at, false, at)) {
		if (day_held(k, at, held))
			continue;
		memcpy(out, at, sizeof at);
		found = true;
	}
	if (found && day_read(k, out, &k->loaded))
		*sessions = (unsigned)k->loaded.entries;
	return found;
}

bool payload_keys_expire(struct payload_keys *k, const char *day)
{
	if (!k->write || strcmp(day, k->today.name) == 0 || !exists(k, day, ""))
		return false;
	day_free(&k->loaded);
	return rename_day(k, day, "", ".gone") && shred_day(k, day, ".gone");
}
