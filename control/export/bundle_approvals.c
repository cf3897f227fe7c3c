#include "control/export/bundle_approvals.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "control/export/bundle_find.h"
#include "control/export/export_disclosure.h"
#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"
#include "control/journal/proof.h"
#include "platform/base/secret.h"

#define ID_DIGITS 26u
#define CHUNK_SUFFIX ".chunk"

static const char no_room[] = "an approval cannot be written: see the disk's space";

struct bundle_approvals {
	void *ids; /* tree of texts */
	unsigned count;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

struct bundle_approvals *bundle_approvals_create(void)
{
	return calloc(1, sizeof(struct bundle_approvals));
}

void bundle_approvals_destroy(struct bundle_approvals *p)
{
	if (p)
		tdestroy(p->ids, free);
	free(p);
}

/* The approval that a record names. It becomes a file's name, so it is what approvals are called and nothing else. */
static bool id_of(struct bytes record, char id[ID_DIGITS + 1])
{
	struct bytes text = jcs_read_plain(jcs_get(jcs_get(jcs_value_of(record), "appr"), "id"));

	if (text.len != ID_DIGITS)
		return false;
	memcpy(id, text.base, ID_DIGITS);
	id[ID_DIGITS] = 0;
	return strspn(id, "0123456789abcdefghjkmnpqrstvwxyz") == ID_DIGITS;
}

bool bundle_approvals_record(struct bundle_approvals *p, struct bytes record)
{
	char id[ID_DIGITS + 1], *copy;

	if (!id_of(record, id) || p->count == BUNDLE_APPROVALS_MAX || tfind(id, &p->ids, by_text))
		return true;
	copy = strdup(id);
	if (copy && tsearch(copy, &p->ids, by_text)) {
		p->count++;
		return true;
	}
	free(copy);
	return false;
}

/* --- files --------------------------------------------------------------------------------------------------------------- */

static bool put_named(struct bundle *b, const char *id, const char *file, struct bytes data)
{
	char name[160];

	snprintf(name, sizeof name, "approvals/%.40s/%s", id, file);
	return bundle_file(b, name, data);
}

static bool put(struct bundle *b, const char *id, uint64_t index, const char *suffix, struct bytes data)
{
	char file[40];

	snprintf(file, sizeof file, "%llu%s", (unsigned long long)index, suffix);
	return put_named(b, id, file, data);
}

/* What of a record is a file of its own. */
static bool put_parts(struct bundle *b, const char *id, uint64_t index, struct bytes record)
{
	struct jcs_value top = jcs_value_of(record), data = jcs_get(top, "data");
	struct bytes type = jcs_read_plain(jcs_get(top, "t")), vote = jcs_get(jcs_get(data, "extra"), "doc").raw, statement = jcs_get(data, "statement").raw;

	if (bytes_equal(type, bytes_str("approval.request")))
		return !statement.len || put_named(b, id, "statement.jcs", statement);
	return !bytes_equal(type, bytes_str("approval.vote")) || !vote.len || put(b, id, index, ".vote.jcs", vote);
}

static const char *put_copy(struct bundle *b, struct archive *a, const char *id, uint64_t index, struct bytes record, struct bytes note)
{
	static _Thread_local uint8_t room[PROOF_BYTES_MAX];
	struct writer proof = writer_of(room, sizeof room);
	const char *wrong = archive_proof(a, index, note, &proof);

	if (wrong)
		return wrong;
	if (!put(b, id, index, ".json", record) || !put(b, id, index, ".tlog-proof", writer_done(&proof)) || !put_parts(b, id, index, record))
		return no_room;
	return NULL;
}

const char *bundle_approvals_put(struct bundle *b, struct archive *a, const char *id, uint64_t index, struct bytes note)
{
	static _Thread_local uint8_t room[RECORD_BYTES_MAX];
	struct writer w = writer_of(room, sizeof room);
	struct bytes record;
	const char *wrong = archive_read(a, index, &record);

	if (wrong)
		return wrong;
	writer_put(&w, record);
	return put_copy(b, a, id, index, writer_done(&w), note);
}

/* --- a statement that is payload ----------------------------------------------------------------------------------------- */

/* The key of the request's session, when it may be given out. */
static bool key_of(const struct export_request *request, struct jcs_value record, struct seal *key)
{
	struct bytes session = jcs_read_plain(jcs_get(record, "sess"));
	uint8_t id[SEAL_SESSION_BYTES];
	struct writer w = writer_of(id, sizeof id);

	return export_disclosure_allows(request, session) && hex_read(session, &w) && w.len == sizeof id && payload_keys_find(request->disclose, id, key);
}

static const char *put_chunk(struct bundle *b, struct archive *a, const char *id, const struct record_chunk *chunk)
{
	char hex[2 * sizeof chunk->hash + 1] = "", file[sizeof hex + sizeof CHUNK_SUFFIX], in_chunks[16 + sizeof hex];
	struct writer w = writer_of(hex, sizeof hex - 1);
	struct bytes stored;
	const char *wrong;

	hex_write(&w, bytes_of(chunk->hash, sizeof chunk->hash));
	snprintf(in_chunks, sizeof in_chunks, "chunks/%.2s/%s", hex, hex);
	if (bundle_has(b, in_chunks))
		return NULL;
	snprintf(file, sizeof file, "%s" CHUNK_SUFFIX, hex);
	wrong = archive_chunk_stored(a, chunk->key, chunk->hash, &stored);
	return wrong ? wrong : put_named(b, id, file, stored) ? NULL : no_room;
}

/* Its chunks, and in clear what `key` opens, or what is not sealed, into `out`, which is NULL as soon as one cannot be read. */
static const char *put_chunks(struct bundle *b, struct archive *a, const char *id, struct jcs_value record, const struct seal *key, FILE **out)
{
	struct jcs_value list = jcs_get(record, "pl"), element;
	struct record_chunk chunk;
	struct record_seal seal = { .seal = key };
	struct bytes payload;
	const char *wrong;
	size_t at = 0;

	while (jcs_next(list, &at, NULL, &element)) {
		if (!record_chunk_read(&element, &chunk, &seal.dir, &seal.number))
			return "an approval's statement is named in another form";
		wrong = put_chunk(b, a, id, &chunk);
		if (!wrong && *out && chunk.sealed && !key) {
			fclose(*out);
			*out = NULL;
		}
		if (!wrong && *out)
			wrong = archive_payload(a, &chunk, chunk.sealed ? &seal : NULL, &payload);
		if (wrong)
			return wrong;
		if (*out && fwrite(payload.base, 1, payload.len, *out) != payload.len)
			return "out of memory";
	}
	return NULL;
}

static const char *put_statement(const struct export_request *request, struct bundle *b, struct archive *a, const char *id, struct bytes record)
{
	struct jcs_value top = jcs_value_of(record);
	struct seal key = { 0 };
	bool has_key = key_of(request, top, &key);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	const char *wrong = out ? put_chunks(b, a, id, top, has_key ? &key : NULL, &out) : "out of memory";
	bool whole = out != NULL;

	secret_wipe(&key, sizeof key);
	if (out && fclose(out) != 0)
		wrong = "out of memory";
	if (!wrong && whole && len && !put_named(b, id, "statement.jcs", bytes_of(text, len)))
		wrong = no_room;
	if (text)
		secret_wipe(text, len);
	free(text);
	return wrong;
}

/* --- all of them --------------------------------------------------------------------------------------------------------- */

struct writing {
	struct bundle_approvals *approvals;
	const struct export_request *request;
	struct bundle *bundle;
	struct bytes note;
};

static const char *put_one(void *ctx, struct archive *a, uint64_t index, struct bytes record)
{
	const struct writing *w = ctx;
	const char *written = w->request->disclosure ? w->request->disclosure->approval : ""; /* by export_disclosure.h */
	char id[ID_DIGITS + 1];
	const char *wrong;

	if (!id_of(record, id) || !tfind(id, &w->approvals->ids, by_text) || strcmp(id, written) == 0)
		return NULL;
	wrong = put_copy(w->bundle, a, id, index, record, w->note);
	if (!wrong && bytes_equal(jcs_read_plain(jcs_get(jcs_value_of(record), "t")), bytes_str("approval.request")) && jcs_get(jcs_value_of(record), "pl").kind == JCS_ARRAY)
		wrong = put_statement(w->request, w->bundle, a, id, record);
	return wrong;
}

const char *bundle_approvals_write(struct bundle_approvals *p, const struct export_request *request, struct bundle *b, const char *dir, uint64_t end, struct bytes note)
{
	const struct archive_filter theirs = { .type = "approval.", .to = end };
	struct writing w = { .approvals = p, .request = request, .bundle = b, .note = note };

	return p->count ? bundle_find(dir, &theirs, put_one, &w) : NULL;
}
