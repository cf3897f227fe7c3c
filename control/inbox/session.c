#include "control/inbox/session.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/inbox/who.h"
#include "platform/base/hash.h"
#include "platform/base/random.h"
#include "platform/base/secret.h"
#include "platform/os/shm.h"

#define BUCKETS 16384u
#define COPY_BYTES 6144u
#define NOT_A_VERSION 0 /* versions begin with 1 */
#define CHUNKS_JUMP 4096u /* more than one batch holds */
#define FORM 0x10u      /* of an encoded session, beside its phase; 0: without `own` */

/* One state of a session in the file. `version` is written last, and cleared first. */
struct copy {
	_Atomic uint64_t version;
	uint32_t len;
	uint8_t encoded[COPY_BYTES - 12];
};

struct slot {
	struct copy copy[2];
};

_Static_assert(sizeof(struct copy) == COPY_BYTES, "no hole in a copy");

struct sessions {
	char run_dir[200];
	unsigned files, count;
	struct slot *file[SESSIONS_FILES_MAX];
	struct session *bucket[BUCKETS], *dirty;
	struct hash_key key;
	uint8_t *current;      /* which copy of a slot counts */
	bool *used;
	unsigned free_hint;
	unsigned *releasing;   /* slots whose removal is being committed */
	unsigned releasing_count;
};

static struct session **bucket_of(struct sessions *ss, unsigned worker, uint64_t flow)
{
	return &ss->bucket[hash_mix(flow ^ (uint64_t)worker << 56 ^ ss->key.k0) % BUCKETS];
}

static struct slot *slot_at(struct sessions *ss, unsigned slot)
{
	return &ss->file[slot / SESSIONS_PER_FILE][slot % SESSIONS_PER_FILE];
}

/* --- one session as bytes ------------------------------------------------------------------------------------------------ */

static void session_encode(const struct session *s, struct writer *w)
{
	writer_u8(w, (uint8_t)(s->removed ? SESSION_NONE : s->phase) | FORM);
	writer_be16(w, (uint16_t)s->worker);
	writer_be64(w, s->flow);
	writer_bytes(w, s->id, 16);
	writer_bytes(w, s->boot, 16);
	writer_bytes(w, s->client, 16);
	writer_bytes(w, s->target, 16);
	writer_bytes(w, s->client_mac, 6);
	writer_u8(w, s->address_len);
	writer_be16(w, s->client_port);
	writer_be16(w, s->target_port);
	writer_be16(w, s->vlan);
	writer_cstr(w, s->service);
	writer_cstr(w, s->user);
	writer_cstr(w, s->database);
	writer_cstr(w, s->application);
	writer_cstr(w, s->login);
	writer_be32(w, s->n);
	writer_be32(w, s->login_n);
	writer_be32(w, s->chunks);
	writer_be32(w, s->own);
	writer_u8(w, s->sealed);
	writer_be64(w, s->opened_us);
	writer_be64(w, s->generation);
	writer_be64(w, s->commands);
	writer_be64(w, s->blocked);
	writer_be64(w, s->held);
	writer_be64(w, s->rows);
	writer_u8(w, s->asked_approval);
	writer_u8(w, s->ending);
	writer_u8(w, s->principal != NULL);
	if (s->principal)
		who_encode(s->principal, w);
}

static void fixed_get(struct reader *r, uint8_t *out, size_t len)
{
	struct bytes b = reader_bytes(r, len);

	if (b.len)
		memcpy(out, b.base, len);
}

static void text_get(struct reader *r, char *out, size_t size)
{
	struct bytes b = reader_cstr(r);

	r->ok = r->ok && b.len < size;
	if (r->ok)
		memcpy(out, b.base, b.len + 1);
}

static bool session_decode(struct bytes from, struct session *s)
{
	struct reader r = reader_of_bytes(from);

	uint8_t head = reader_u8(&r);

	s->phase = head & 0x0f;
	s->worker = reader_be16(&r);
	s->flow = reader_be64(&r);
	fixed_get(&r, s->id, 16);
	fixed_get(&r, s->boot, 16);
	fixed_get(&r, s->client, 16);
	fixed_get(&r, s->target, 16);
	fixed_get(&r, s->client_mac, 6);
	s->address_len = reader_u8(&r);
	s->client_port = reader_be16(&r);
	s->target_port = reader_be16(&r);
	s->vlan = reader_be16(&r);
	text_get(&r, s->service, sizeof(s->service));
	text_get(&r, s->user, sizeof(s->user));
	text_get(&r, s->database, sizeof(s->database));
	text_get(&r, s->application, sizeof(s->application));
	text_get(&r, s->login, sizeof(s->login));
	s->n = reader_be32(&r);
	s->login_n = reader_be32(&r);
	s->chunks = reader_be32(&r);
	s->own = head & FORM ? reader_be32(&r) : 0;
	s->sealed = head & FORM ? reader_u8(&r) == 1 : false;
	s->opened_us = reader_be64(&r);
	s->generation = reader_be64(&r);
	s->commands = reader_be64(&r);
	s->blocked = reader_be64(&r);
	s->held = reader_be64(&r);
	s->rows = reader_be64(&r);
	s->asked_approval = reader_u8(&r);
	s->ending = reader_u8(&r);
	if (reader_u8(&r) && r.ok) {
		struct principal *p = who_decode(reader_rest(&r));

		r.ok = p != NULL;
		s->principal = p;
	}
	return r.ok && r.left == 0 && (head & 0xf0) <= FORM && s->worker < LIMIT_WORKERS && s->phase <= SESSION_BROKEN;
}

static bool who_refresh(struct session *s)
{
	uint8_t room[SESSION_WHO_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct bytes who = who_write(s->principal, &w);
	uint8_t *copy = who.len ? malloc(who.len) : NULL;

	if (!copy)
		return false;
	memcpy(copy, who.base, who.len);
	free(s->who);
	s->who = copy;
	s->who_len = who.len;
	return true;
}

static void session_free(struct session *s)
{
	principal_put(s->principal);
	secret_wipe(&s->seal, sizeof s->seal);
	free(s->who);
	free(s);
}

/* --- the table ----------------------------------------------------------------------------------------------------------- */

static void insert(struct sessions *ss, struct session *s)
{
	struct session **bucket = bucket_of(ss, s->worker, s->flow);

	s->next = *bucket;
	*bucket = s;
	ss->count++;
}

/* Takes back what a slot says at `version`. */
static void slot_load(struct sessions *ss, unsigned slot, uint64_t version)
{
	struct slot *at = slot_at(ss, slot);
	uint64_t best = NOT_A_VERSION;
	struct session *s;
	int which = -1;

	for (int i = 0; i < 2; i++) {
		uint64_t v = atomic_load(&at->copy[i].version);

		/* Written for a commit that never was. Left alone it would count once the journal reaches that number. */
		if (v > version) {
			atomic_store(&at->copy[i].version, NOT_A_VERSION);
			continue;
		}
		if (v != NOT_A_VERSION && v > best && at->copy[i].len <= sizeof(at->copy[i].encoded)) {
			best = v;
			which = i;
		}
	}
	s = which >= 0 ? calloc(1, sizeof(*s)) : NULL;
	if (!s)
		return;
	if (!session_decode(bytes_of(at->copy[which].encoded, at->copy[which].len), s) || s->phase == SESSION_NONE || !who_refresh(s) ||
	    session_find(ss, s->worker, s->flow)) {
		session_free(s);
		return;
	}
	/* Numbers of a batch that never was committed may be in the file's unused pages. */
	s->chunks += CHUNKS_JUMP;
	s->slot = slot;
	ss->current[slot] = (uint8_t)which;
	ss->used[slot] = true;
	insert(ss, s);
}

static bool file_add(struct sessions *ss, char err[OS_ERROR_BYTES])
{
	char name[32];

	if (ss->files == SESSIONS_FILES_MAX)
		return false;
	snprintf(name, sizeof(name), "sessions-%u", ss->files);
	ss->file[ss->files] = shm_open_or_make(ss->run_dir, name, SESSIONS_PER_FILE * sizeof(struct slot), 0600, err);
	if (!ss->file[ss->files])
		return false;
	ss->files++;
	return true;
}

static bool file_exists(const struct sessions *ss, unsigned k)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/sessions-%u", ss->run_dir, k);
	f = fopen(path, "re");
	if (f)
		fclose(f);
	return f != NULL;
}

struct sessions *sessions_open(const char *run_dir, uint64_t version, char err[OS_ERROR_BYTES])
{
	const unsigned slots = SESSIONS_PER_FILE * SESSIONS_FILES_MAX;
	struct sessions *ss = calloc(1, sizeof(*ss));

	if (!ss)
		return NULL;
	snprintf(ss->run_dir, sizeof(ss->run_dir), "%s", run_dir);
	random_secret(&ss->key, sizeof(ss->key));
	ss->current = calloc(slots, 1);
	ss->used = calloc(slots, sizeof(bool));
	ss->releasing = calloc(slots, sizeof(unsigned));
	snprintf(err, OS_ERROR_BYTES, "session table: out of memory: free some");
	if (!ss->current || !ss->used || !ss->releasing || !file_add(ss, err)) {
		sessions_close(ss);
		return NULL;
	}
	while (ss->files < SESSIONS_FILES_MAX && file_exists(ss, ss->files)) {
		if (!file_add(ss, err)) {
			sessions_close(ss);
			return NULL;
		}
	}
	for (unsigned slot = 0; slot < ss->files * SESSIONS_PER_FILE; slot++)
		slot_load(ss, slot, version);
	return ss;
}

void sessions_close(struct sessions *ss)
{
	if (!ss)
		return;
	/* What was removed is in no bucket any more. */
	while (ss->dirty) {
		struct session *s = ss->dirty;

		ss->dirty = s->next_dirty;
		if (s->removed)
			session_free(s);
	}
	for (unsigned i = 0; i < BUCKETS; i++) {
		while (ss->bucket[i]) {
			struct session *s = ss->bucket[i];

			ss->bucket[i] = s->next;
			session_free(s);
		}
	}
	for (unsigned i = 0; i < ss->files; i++)
		shm_unmap(ss->file[i], SESSIONS_PER_FILE * sizeof(struct slot));
	free(ss->current);
	free(ss->used);
	free(ss->releasing);
	free(ss);
}

struct session *session_find(struct sessions *ss, unsigned worker, uint64_t flow)
{
	for (struct session *s = *bucket_of(ss, worker, flow); s; s = s->next) {
		if (s->worker == worker && s->flow == flow)
			return s;
	}
	return NULL;
}

struct session *session_next(struct sessions *ss, struct session *after)
{
	unsigned i = 0;

	if (after) {
		if (after->next)
			return after->next;
		i = (unsigned)(bucket_of(ss, after->worker, after->flow) - ss->bucket) + 1;
	}
	for (; i < BUCKETS; i++) {
		if (ss->bucket[i])
			return ss->bucket[i];
	}
	return NULL;
}

struct session *session_by_id(struct sessions *ss, const char *id)
{
	struct session *found = NULL, *s;
	size_t len = strlen(id);

	for (s = len >= 4 && len <= 32 ? session_next(ss, NULL) : NULL; s; s = session_next(ss, s)) {
		char text[33];

		for (unsigned i = 0; i < 16; i++)
			snprintf(text + 2 * i, 3, "%02x", s->id[i]);
		if (strncasecmp(text, id, len))
			continue;
		if (found)
			return NULL;
		found = s;
	}
	return found;
}

unsigned sessions_count(const struct sessions *ss)
{
	return ss->count;
}

static bool slot_take(struct sessions *ss, unsigned *slot)
{
	char err[OS_ERROR_BYTES];
	unsigned slots = ss->files * SESSIONS_PER_FILE;

	for (unsigned i = 0; i < slots; i++) {
		unsigned at = (ss->free_hint + i) % slots;

		if (!ss->used[at]) {
			ss->free_hint = at + 1;
			ss->used[at] = true;
			*slot = at;
			return true;
		}
	}
	if (!file_add(ss, err))
		return false;
	ss->used[slots] = true;
	ss->free_hint = slots + 1;
	*slot = slots;
	return true;
}

struct session *session_add(struct sessions *ss, unsigned worker, uint64_t flow)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s || !slot_take(ss, &s->slot)) {
		free(s);
		return NULL;
	}
	s->worker = worker;
	s->flow = flow;
	s->phase = SESSION_OPEN;
	random_secret(s->id, sizeof(s->id));
	if (!who_refresh(s)) {
		ss->used[s->slot] = false;
		session_free(s);
		return NULL;
	}
	insert(ss, s);
	session_touch(ss, s);
	return s;
}

void session_touch(struct sessions *ss, struct session *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	s->next_dirty = ss->dirty;
	ss->dirty = s;
}

void session_remove(struct sessions *ss, struct session *s)
{
	struct session **at = bucket_of(ss, s->worker, s->flow);

	while (*at && *at != s)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = s->next;
	ss->count--;
	s->removed = true;
	session_touch(ss, s);
}

bool session_identify(struct sessions *ss, struct session *s, struct principal *p)
{
	uint8_t room[COPY_BYTES];
	struct writer w = writer_of(room, sizeof(((struct copy *)0)->encoded));
	struct principal *before = s->principal;

	s->principal = p;
	session_encode(s, &w);
	if (!w.ok || !who_refresh(s)) {
		s->principal = before;
		return false;
	}
	principal_put(before);
	session_touch(ss, s);
	return true;
}

void sessions_save(struct sessions *ss, uint64_t version)
{
	for (struct session *s = ss->dirty; s; s = s->next_dirty) {
		struct copy *to = &slot_at(ss, s->slot)->copy[!ss->current[s->slot]];
		struct writer w = writer_of(to->encoded, sizeof(to->encoded));

		atomic_store(&to->version, NOT_A_VERSION);
		session_encode(s, &w);
		to->len = (uint32_t)w.len;
		atomic_store(&to->version, version);
	}
}

void sessions_saved(struct sessions *ss, uint64_t version)
{
	while (ss->dirty) {
		struct session *s = ss->dirty;

		ss->dirty = s->next_dirty;
		ss->current[s->slot] ^= 1;
		s->dirty = false;
		if (s->removed) {
			ss->used[s->slot] = false;
			session_free(s);
		}
	}
	(void)version;
}
