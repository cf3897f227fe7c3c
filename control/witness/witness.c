#include "control/witness/witness.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/base64.h"
#include "control/journal/note_text.h"
#include "control/signer/signer_state.h"
#include "platform/os/durable.h"

#define PATH_BYTES 700

const char *witness_open(struct witness *w, const char *dir, const char *name)
{
	const char *wrong;

	*w = (struct witness){ 0 };
	if ((size_t)snprintf(w->dir, sizeof w->dir, "%s", dir) >= sizeof w->dir)
		return "a path too long";
	wrong = signer_keys_load(&w->keys, &(struct signer_place){ .dir = dir, .origin = name }, "", false, NULL);
	if (wrong)
		return wrong;
	snprintf(w->public.name, sizeof w->public.name, "%s", name);
	memcpy(w->public.key, w->keys.public.ed25519, sizeof w->public.key);
	witness_key_id(&w->public);
	return NULL;
}

void witness_close(struct witness *w)
{
	signer_keys_free(&w->keys);
}

/* A file of a log; `name` empty is its directory. */
static void path_of(const struct witness *w, const char *origin, const char *name, char out[PATH_BYTES])
{
	struct merkle_hash hash = merkle_sha256(bytes_str(origin));
	char hex[65];
	struct writer hex_w = writer_of(hex, sizeof hex - 1);

	hex_write(&hex_w, bytes_of(hash.b, sizeof hash.b));
	hex[64] = 0;
	snprintf(out, PATH_BYTES, "%s/logs/%s%s%s", w->dir, hex, name[0] ? "/" : "", name);
}

/* --- the keys of a log ------------------------------------------------------------------------------------------------ */

struct log_keys {
	unsigned count; /* 0: the log is unknown, or its file is damaged */
	struct checkpoint_keys key[WITNESS_LOG_KEYS];
};

static void keys_read(const struct witness *w, const char *origin, struct log_keys *out)
{
	char path[PATH_BYTES], text[WITNESS_LOG_KEYS * CHECKPOINT_KEY_TEXT_BYTES];
	struct reader r;
	size_t len;
	FILE *f;

	*out = (struct log_keys){ 0 };
	path_of(w, origin, "vkey", path);
	f = fopen(path, "re");
	if (!f)
		return;
	len = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	/* Files of one key may have no newline. */
	if (len && text[len - 1] != '\n')
		text[len++] = '\n';
	for (r = reader_of(text, len); r.left; out->count++)
		if (out->count == WITNESS_LOG_KEYS || checkpoint_vkey_read(note_line(&r), &out->key[out->count]) != NULL || !r.ok ||
		    strcmp(out->key[out->count].name, origin) != 0) {
			*out = (struct log_keys){ 0 };
			return;
		}
}

/* Whole or not at all: a request may read it meanwhile. */
static const char *keys_write(const struct witness *w, const struct log_keys *keys)
{
	char path[PATH_BYTES], text[WITNESS_LOG_KEYS * CHECKPOINT_KEY_TEXT_BYTES];
	struct writer out = writer_of(text, sizeof text);

	path_of(w, keys->key[0].name, "vkey", path);
	for (unsigned i = 0; i < keys->count; i++) {
		(void)checkpoint_vkey_write(&keys->key[i], &out);
		writer_u8(&out, '\n');
	}
	return out.ok && durable_replace(path, writer_done(&out), 0600) ? NULL : "the log's keys cannot be written";
}

static unsigned key_find(const struct log_keys *keys, const struct checkpoint_keys *key)
{
	unsigned at = 0;

	while (at < keys->count && memcmp(keys->key[at].ed25519, key->ed25519, sizeof key->ed25519) != 0)
		at++;
	return at;
}

static const char *log_make(const struct witness *w, const char *origin)
{
	struct signer_state state;
	char path[PATH_BYTES];
	const char *wrong;

	snprintf(path, sizeof path, "%s/logs", w->dir);
	(void)mkdir(path, 0700);
	path_of(w, origin, "", path);
	if (mkdir(path, 0700) != 0)
		return "the log's directory is damaged, or cannot be made";
	path_of(w, origin, "state", path);
	wrong = signer_state_open(&state, path, true);
	if (!wrong)
		signer_state_close(&state);
	return wrong;
}

const char *witness_trust(struct witness *w, struct bytes vkey)
{
	struct checkpoint_keys key = { 0 };
	const char *wrong = checkpoint_vkey_read(vkey, &key);
	struct log_keys keys;

	if (wrong)
		return wrong;
	keys_read(w, key.name, &keys);
	if (keys.count && key_find(&keys, &key) < keys.count)
		return "the log is trusted already, by this key";
	if (keys.count == WITNESS_LOG_KEYS)
		return "the log has four keys already: take back those that are over";
	if (keys.count == 0 && (wrong = log_make(w, key.name)) != NULL)
		return wrong;
	keys.key[keys.count++] = key;
	return keys_write(w, &keys);
}

const char *witness_distrust(struct witness *w, struct bytes vkey)
{
	struct checkpoint_keys key = { 0 };
	const char *wrong = checkpoint_vkey_read(vkey, &key);
	struct log_keys keys;
	unsigned at;

	if (wrong)
		return wrong;
	keys_read(w, key.name, &keys);
	at = key_find(&keys, &key);
	if (at == keys.count)
		return "no log is trusted by this key";
	if (keys.count == 1)
		return "it is the log's only key: trust its new one first";
	keys.count--;
	memmove(&keys.key[at], &keys.key[at + 1], (keys.count - at) * sizeof keys.key[0]);
	return keys_write(w, &keys);
}

static bool is_signed(const struct log_keys *keys, struct bytes note, struct checkpoint *c)
{
	bool good = false;

	for (unsigned i = 0; i < keys->count && !good; i++)
		good = checkpoint_verify(note, &keys->key[i], c) == NULL;
	return good;
}

/* --- requests --------------------------------------------------------------------------------------------------------- */

static void say(struct witness_answer *a, unsigned status, const char *text)
{
	a->status = status;
	a->len = (size_t)snprintf(a->text, sizeof a->text, "%s\n", text);
}

static void conflict(struct witness_answer *a, uint64_t size)
{
	char text[24];

	snprintf(text, sizeof text, "%llu", (unsigned long long)size);
	say(a, 409, text);
	a->size = true;
}

/* What is signed and does not extend the tree is kept: two notes of one log that cannot both be true. */
static void keep_refused(const struct witness *w, const char *origin, struct bytes note)
{
	char path[PATH_BYTES];

	path_of(w, origin, "refused", path);
	(void)durable_create(path, note, 0600);
}

static void cosign(struct witness *w, const struct checkpoint *c, struct signer_state *state, struct bytes body, uint64_t now_s, struct witness_answer *a)
{
	struct writer out = writer_of(a->text, sizeof a->text);

	if (c->size > state->size && !signer_state_save(state, c->size, &c->root)) {
		say(a, 500, "the state cannot be saved");
	} else if (!cosignature_sign(w->keys.ed25519, &w->public, body, now_s, &out)) {
		say(a, 500, "the key does not sign");
	} else {
		a->status = 200;
		a->len = out.len;
	}
}

/* tlog-witness, add-checkpoint, in its order. */
static void judge(struct witness *w, const struct cosignature_request *q, const struct checkpoint *c, struct signer_state *state, struct bytes body,
		  uint64_t now_s, struct witness_answer *a)
{
	if (q->old_size > c->size) {
		say(a, 400, "an old size above the checkpoint's");
	} else if (q->old_size != state->size) {
		conflict(a, state->size);
	} else if (c->size == state->size && !merkle_equal(&c->root, &state->root)) {
		keep_refused(w, c->origin, q->note);
		conflict(a, state->size);
	} else if (!merkle_check_consistency(state->size, &state->root, c->size, &c->root, &q->proof)) {
		keep_refused(w, c->origin, q->note);
		say(a, 422, "not an extension of the tree that was cosigned last");
	} else {
		cosign(w, c, state, body, now_s, a);
	}
}

void witness_handle(struct witness *w, struct bytes request, uint64_t now_s, struct witness_answer *a)
{
	struct cosignature_request q;
	struct log_keys keys = { 0 };
	struct signer_state state;
	char path[PATH_BYTES];
	struct checkpoint c;
	struct bytes body;

	*a = (struct witness_answer){ 0 };
	if (request.len > WITNESS_REQUEST_BYTES || !cosignature_request_read(request, &q) || checkpoint_parse(q.note, true, &c, &body) != NULL) {
		say(a, 400, "malformed");
	} else if (keys_read(w, c.origin, &keys), keys.count == 0) {
		say(a, 404, "an unknown log");
	} else if (!is_signed(&keys, q.note, &c)) {
		say(a, 403, "not signed by the log's key");
	} else {
		path_of(w, c.origin, "state", path);
		if (signer_state_open(&state, path, false) != NULL) {
			say(a, 503, "the log's state is in use, or damaged");
			return;
		}
		judge(w, &q, &c, &state, body, now_s, a);
		signer_state_close(&state);
	}
}
