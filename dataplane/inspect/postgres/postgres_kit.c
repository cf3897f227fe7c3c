#include "dataplane/inspect/postgres/postgres_kit.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/inspect/postgres/catalogue.h"
#include "dataplane/inspect/postgres/frame.h"
#include "platform/contract/policy_write.h"

static struct match_set *set;
static struct match_scratch *scratch;
static struct inspect_snapshot snapshot;
static const struct policy_image *images[2]; /* the second tags another column */
static struct inspect_class classes[2];
/* One session at a time. */
#define KIT_PIECES 8
#define KIT_PIECE_BYTES (128u << 10)
static _Alignas(64) uint8_t piece_memory[KIT_PIECES][KIT_PIECE_BYTES];
static bool piece_used[KIT_PIECES];
static _Alignas(64) uint8_t session_memory[1u << 20], shared_memory[4u << 20], out_memory[2][KIT_OUT_BYTES];

/* Unread bytes of each side, kept between calls. */
struct feeding {
	uint8_t *base;
	size_t len, have;
};

static struct feeding pending[2];

static void fail(const char *what)
{
	fprintf(stderr, "postgres_kit: %s\n", what);
	abort();
}

static void load(void)
{
	static uint8_t blob[16 << 20];
	static _Alignas(8) uint8_t image[2][1 << 16];
	static const char *const email_columns[] = { "shop.public.customers.email" }, *const name_columns[] = { "shop.public.customers.name" };
	static const char *const other_columns[] = { "shop.public.customers.nick" };
	static const char *const groups[] = { "g" };
	struct spec_listener listener = { .family = 4, .address = { 192, 0, 2, 1 }, .port = 5432, .any_vlan = true };
	struct spec_service service = { .name = "db", .protocol_word = "postgres", .upstream_name = "db", .login = "app",
					.protocol = POLICY_PROTOCOL_POSTGRES, .tls = POLICY_TLS_OFF, .listeners = &listener, .listeners_count = 1 };
	struct spec_class spec_classes[2] = { { .name = "email", .columns = { email_columns, 1 } }, { .name = "name", .columns = { name_columns, 1 } } };
	struct policy_spec spec = { .name = "kit", .generation = 1, .services = &service, .services_count = 1, .groups = groups, .groups_count = 1,
				    .classes = spec_classes, .classes_count = 2,
				    .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE } };
	const char *path = getenv("SLUICE_CLASSES") ? getenv("SLUICE_CLASSES") : CLASSES_PATH;
	FILE *file = fopen(path, "rb");
	struct bytes written;
	char err[200];

	if (!file)
		fail(path);
	set = match_set_load(blob, fread(blob, 1, sizeof(blob), file), err, sizeof(err));
	fclose(file);
	if (!set)
		fail(err);
	scratch = match_scratch_create(set);
	class_bits_add(&spec_classes[0].detectors, (unsigned)match_class_find(set, "email"));
	for (int i = 0; i < 2; i++) {
		written = policy_image_write(&spec, image[i], sizeof(image[i]));
		images[i] = policy_image_open(written.base, written.len, err, sizeof(err));
		if (!images[i])
			fail(err);
		spec_classes[1].columns = (struct spec_names){ other_columns, 1 };
	}
	snapshot.image = images[0];
	snapshot.match = set;
	snapshot.generation = 1;
	snapshot.classes = classes;
	snapshot.classes_count = 2;
	classes[0] = (struct inspect_class){ .detectors = spec_classes[0].detectors, .mask = { .kind = MASK_FULL, .key = snapshot.mask_key } };
	classes[1].mask = (struct mask){ .kind = MASK_FULL, .key = snapshot.mask_key };
	inspect_snapshot_settle(&snapshot);
}

static bool has(struct bytes text, const char *word)
{
	return text.len && memmem(text.base, text.len, word, strlen(word)) != NULL;
}

static uint64_t text_hash(struct bytes text)
{
	return hash64((struct hash_key){ 3, 4 }, text.len ? text.base : (const uint8_t *)"", text.len);
}

/* "copy name into" customers, other: into the column note; with "untold", into any. */
static struct bytes classify_copy(struct kit *k, struct bytes text)
{
	struct classification_writer w = classification_writer_of(k->classification, sizeof(k->classification), false);
	struct access to = { .verb = VERB_update, .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str(has(text, "other") ? "other" : "customers") } };
	struct access from = { .verb = VERB_select, .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str("customers") } };
	struct bytes name = bytes_str("name");

	classification_begin_statement(&w, 0);
	classification_add_access(&w, &from);
	classification_add_access(&w, &to);
	classification_begin_targets(&w);
	if (!has(text, "untold")) {
		classification_begin_writes(&w);
		classification_add_write(&w, 1, 0, bytes_str("note"), TAINT_NAMES, &name, 1);
	}
	classification_end_statement(&w, NULL);
	return classification_finish(&w, bytes_str("canonical"), bytes_str("normal"));
}

static struct bytes classify(struct kit *k, struct bytes text)
{
	struct classification_writer w = classification_writer_of(k->classification, sizeof(k->classification), false);
	static const char *const relations[] = { "customers", "other", "kids" };
	struct access a = { .verb = VERB_select, .kind = OBJECT_NONE };
	struct bytes name = bytes_str(has(text, "flow note") ? "note" : has(text, "flow name") ? "name" : "id");

	if (has(text, "copy name into"))
		return classify_copy(k, text);
	for (unsigned i = 0; i < 3; i++)
		if (has(text, relations[i]))
			a = (struct access){ .verb = VERB_select, .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str(relations[i]) } };
	if (has(text, "stdin"))
		a.verb = VERB_copy_in;
	classification_begin_statement(&w, 0);
	classification_add_access(&w, &a);
	classification_begin_targets(&w);
	classification_add_target(&w, has(text, "flow") ? TAINT_NAMES : TAINT_ALL, &name, has(text, "flow"));
	if (has(text, "stdout")) {
		struct copy_shape copy = { .format = has(text, "csv") ? COPY_CSV : has(text, "binary") ? COPY_BINARY : COPY_TEXT, .delimiter = has(text, "csv") ? ',' : '\t', .quote = '"',
					   .escape = '"', .null_text = bytes_str(has(text, "csv") ? "" : "\\N") };

		classification_end_statement(&w, &copy);
	} else {
		classification_end_statement(&w, NULL);
	}
	return classification_finish(&w, bytes_str("canonical"), bytes_str("normal"));
}

static enum judged judge(void *host, const struct statement *s, struct judgement *out)
{
	struct kit *k = host;
	bool block = has(s->raw, "DENY") || (s->reason != REASON_NONE && s->reason != REASON_UNKNOWN);

	if (k->waiting)
		fail("judged while a judgement is awaited");
	if (k->n == KIT_COMMANDS)
		k->n = 0, memset(k->answered, 0, sizeof(k->answered));
	k->exact = s->exact;
	k->generic = s->generic;
	k->types_len = s->types.len < sizeof(k->types) ? s->types.len : sizeof(k->types);
	memcpy(k->types, s->types.base ? s->types.base : k->types, k->types_len);
	snprintf(k->schema, sizeof(k->schema), "%.*s", (int)s->search_path.len, (const char *)s->search_path.base);
	*out = (struct judgement){ .n = k->n, .say = bytes_str("kit says no"), .rule = bytes_str("kit-rule") };
	for (unsigned i = 0; i < 2 && !has(s->raw, "NOMASK"); i++)
		class_bits_add(&out->mask, i);
	out->rows_max = has(s->raw, "ROWS") ? KIT_ROWS_MAX : 0;
	out->bytes_max = has(s->raw, "BYTES") ? KIT_BYTES_MAX : 0;
	out->rows_rule = out->bytes_rule = POLICY_NONE;
	if (!has(s->raw, "UNKNOWN") && s->reason == REASON_NONE)
		out->classification = classify(k, s->raw);
	if (s->kind == COMMAND_SIMPLE || s->kind == COMMAND_PREPARE)
		k->allowed[k->allowed_count++ % 64] = block ? 0 : text_hash(s->raw);
	k->answered[k->n++] = 1;
	if (has(s->raw, "HOLD")) {
		k->held = *out;
		k->waiting = true;
		return JUDGED_WAIT;
	}
	return block ? JUDGED_BLOCK : JUDGED_ALLOW;
}

static void responded(void *host, const struct inspect_response *r)
{
	struct kit *k = host;

	if (r->ref >= KIT_COMMANDS || k->answered[r->ref] != 1)
		fail("a command was answered twice, or never judged");
	k->answered[r->ref] = 2;
	k->last = *r;
	for (unsigned i = 0; i < 2; i++)
		k->masked[i] += r->masked && i < r->masked_count ? r->masked[i] : 0;
	snprintf(k->last_status, sizeof(k->last_status), "%.*s", (int)r->status.len, (const char *)r->status.base);
}

static void login(void *host, const struct inspect_login *l)
{
	((struct kit *)host)->logging_in = true;
}

static void prove(void *host, struct bytes client_first_bare, struct bytes server_first)
{
	((struct kit *)host)->proving = true;
}

static void start_tls(void *host, enum side side, bool named)
{
	((struct kit *)host)->tls_starts++;
}

/* The issued key is 43 in four bytes, and again and again. */
static uint32_t cancel_issue(void *host, uint32_t process, struct bytes key, uint8_t *issued, size_t issued_len)
{
	struct kit *k = host;

	k->upstream_key_len = key.len;
	memcpy(k->upstream_key, key.base, key.len);
	for (size_t i = 0; i < issued_len; i++)
		issued[i] = i % 4 == 3 ? 43 : 0;
	return 42;
}

static struct inspect_cancel cancel(void *host, uint32_t process, struct bytes issued)
{
	struct kit *k = host;
	bool good = process == 42;

	for (size_t i = 0; i < issued.len; i++)
		good &= issued.base[i] == (i % 4 == 3 ? 43 : 0);
	return (struct inspect_cancel){ .process = 7, .key = k->upstream_key_len ? bytes_of(k->upstream_key, k->upstream_key_len) : bytes_of("\0\0\0\x08", 4),
					.forward = good };
}

static bool share(void *host, struct bytes what)
{
	struct kit *k = host;

	k->shares++;
	if (k->other_worker)
		inspector_postgres.heard(k->other_worker, 1, what);
	return true;
}

static bool share_room(void *host)
{
	return !((struct kit *)host)->no_share_room;
}

static void *borrow(void *host, enum inspect_piece size)
{
	struct kit *k = host;
	unsigned i = 0;

	if (k->borrowed >= k->pieces_max) {
		k->refused++;
		return NULL;
	}
	while (i < KIT_PIECES && piece_used[i])
		i++;
	if (i == KIT_PIECES)
		fail("a session has more pieces than it can need");
	piece_used[i] = true;
	k->borrowed++;
	k->borrowed_most = k->borrowed > k->borrowed_most ? k->borrowed : k->borrowed_most;
	return memset(piece_memory[i], 0, inspector_postgres.piece_bytes[size]);
}

static void give_back(void *host, enum inspect_piece size, void *memory)
{
	size_t i = (size_t)((uint8_t (*)[KIT_PIECE_BYTES])memory - piece_memory);

	if (i >= KIT_PIECES || memory != piece_memory[i] || !piece_used[i])
		fail("what is given back was not borrowed");
	memset(memory, 0xdd, KIT_PIECE_BYTES); /* to be seen where it is still looked at */
	piece_used[i] = false;
	((struct kit *)host)->borrowed--;
}

static bool keep_sent(void *host, uint32_t ref, struct bytes data)
{
	struct kit *k = host;
	size_t room = k->kept_max - k->kept_len, len = data.len < room ? data.len : room;

	if (ref >= KIT_COMMANDS || k->answered[ref] != 1)
		fail("bulk data of a command that does not run");
	memcpy(k->kept + k->kept_len, data.base, len);
	k->kept_len += len;
	return len == data.len;
}

static const struct inspect_host host_calls = { judge, responded, login, prove, start_tls, cancel_issue, cancel, share, share_room, borrow, give_back, keep_sent };

void kit_begin(struct kit *k)
{
	const struct inspector *p = &inspector_postgres;

	if (!set)
		load();
	memset(piece_used, 0, sizeof(piece_used));
	*k = (struct kit){ .pieces_max = UINT32_MAX, .kept_max = sizeof(k->kept) };
	pending[0].len = pending[0].have = pending[1].len = pending[1].have = 0;
	if (p->session_bytes > sizeof(session_memory) || p->shared_bytes > sizeof(shared_memory))
		fail("the session has outgrown the kit");
	k->session = memset(session_memory, 0, p->session_bytes);
	k->shared = memset(shared_memory, 0, p->shared_bytes);
	k->out[0] = out_memory[0];
	k->out[1] = out_memory[1];
	k->env = (struct inspect_env){ .snapshot = &snapshot, .scratch = scratch, .hash_key = { 1, 2 }, .shared = k->shared, .now_us = 1000000 };
	k->snapshot = snapshot;
	k->env.snapshot = &k->snapshot;
	p->open(k->session, &k->env, &host_calls, k);
}

void kit_reload(struct kit *k, bool other_columns)
{
	k->snapshot.generation++;
	k->snapshot.image = images[other_columns];
}

void kit_end(struct kit *k)
{
	inspector_postgres.close(k->session);
	if (k->borrowed)
		fail("a piece was not given back");
	for (uint32_t i = 0; i < k->n; i++)
		if (k->answered[i] == 1 && !(k->waiting && i == k->held.n))
			fail("a command was never answered");
}

/* No text of a Query or Parse is on the server's side that was not allowed. */
static void check_server_side(struct kit *k)
{
	struct pg_frame f;

	if (!k->checked)
		return; /* login */
	while (pg_frame_read(bytes_of(k->out[SIDE_SERVER] + k->checked, k->out_len[SIDE_SERVER] - k->checked), &f) == PARSE_OK) {
		struct reader r = reader_of_bytes(f.body);
		bool good = f.type != 'Q' && f.type != 'P';
		struct bytes text;

		if (f.type == 'P')
			(void)reader_cstr(&r);
		text = reader_cstr(&r);
		for (unsigned i = 0; i < 64 && !good; i++)
			good = k->allowed[i] && k->allowed[i] == text_hash(text);
		if (!good && !bytes_equal(text, bytes_str(pg_catalogue_query)))
			fail("a text reached the server that was not allowed");
		if (f.type == 'F')
			fail("a function call reached the server");
		k->checked += f.total;
	}
}

static void take(struct kit *k, const struct inspect_io *io, const struct inspect_result *r)
{
	for (int i = 0; i < 2; i++) {
		if (!io->out[i]->ok)
			fail("a writer is left that is not ok");
		k->out_len[i] += io->out[i]->len;
	}
	if (r->status == INSPECT_CLOSE) {
		k->closed = true;
		k->cause = r->cause;
	}
	check_server_side(k);
}

static void answer(struct kit *k, struct inspect_answer *a)
{
	struct writer w[2] = { writer_of(k->out[0] + k->out_len[0], KIT_OUT_BYTES - k->out_len[0]),
			       writer_of(k->out[1] + k->out_len[1], KIT_OUT_BYTES - k->out_len[1]) };
	struct inspect_io io = { { &w[0], &w[1] } };
	struct inspect_result r = inspector_postgres.answer(k->session, a, &io);

	take(k, &io, &r);
}

static void answer_login(struct kit *k)
{
	struct inspect_answer identity = { .kind = ANSWER_IDENTITY, .allowed = true, .text = bytes_str("app") };
	struct inspect_answer proof = { .kind = ANSWER_PROOF, .allowed = true, .text = bytes_str("c=biws,r=x,p=y"), .more = bytes_str("c2ln") };

	if (k->logging_in) {
		k->logging_in = false;
		answer(k, &identity);
	}
	if (k->proving) {
		k->proving = false;
		answer(k, &proof);
	}
}

static bool turn(struct kit *k, enum side from)
{
	static const size_t rooms[] = { 0, 8192, 65536, 3u << 20 };
	size_t room[2] = { 8192, 8192 };
	struct inspect_result r = { 0 };

	if (k->closed || !pending[from].have || (k->waiting && from == SIDE_CLIENT))
		return false;
	if (k->out_len[0] > KIT_OUT_BYTES / 2 || k->out_len[1] > KIT_OUT_BYTES / 2)
		kit_clear(k);
	for (unsigned attempt = 0; attempt < sizeof(rooms) / sizeof(rooms[0]); attempt++) {
		struct writer w[2];
		struct inspect_io io = { { &w[0], &w[1] } };
		size_t before = k->out_len[0] + k->out_len[1];

		for (int i = 0; i < 2; i++)
			w[i] = writer_of(k->out[i] + k->out_len[i], room[i]);
		r = inspector_postgres.feed(k->session, from, bytes_of(pending[from].base, pending[from].have), &io);
		take(k, &io, &r);
		if (r.consumed > pending[from].have)
			fail("more was consumed than there was");
		if (r.consumed)
			memmove(pending[from].base, pending[from].base + r.consumed, pending[from].len - r.consumed);
		pending[from].len -= r.consumed;
		pending[from].have -= r.consumed;
		if (r.status != INSPECT_FULL || r.consumed)
			return r.consumed || k->out_len[0] + k->out_len[1] > before;
		room[r.full] = r.needed;
	}
	fail("room was given and given again");
	return false;
}

void kit_feed(struct kit *k, enum side from, struct bytes bytes, size_t segment)
{
	static uint8_t unread[2][8u << 20];
	struct feeding *p = &pending[from];

	for (int i = 0; i < 2; i++)
		pending[i].base = unread[i];
	if (p->len + bytes.len > sizeof(unread[0]))
		return;
	if (bytes.len)
		memcpy(p->base + p->len, bytes.base, bytes.len);
	p->len += bytes.len;
	do {
		size_t step = segment && segment < p->len - p->have ? segment : p->len - p->have;

		p->have += step;
		for (bool more = true; more;) {
			answer_login(k);
			more = turn(k, SIDE_CLIENT);
			more |= turn(k, SIDE_SERVER);
		}
	} while (p->have < p->len && !k->closed);
}

void kit_release(struct kit *k, bool allow, bool cancelled)
{
	struct inspect_answer a = { .kind = ANSWER_JUDGED, .allowed = allow, .judgement = k->held };

	if (!k->waiting || k->closed)
		return;
	k->waiting = false;
	a.judgement.cancelled = cancelled;
	answer(k, &a);
	kit_feed(k, SIDE_CLIENT, (struct bytes){ 0 }, 0);
}

void kit_end_session(struct kit *k, const char *text)
{
	struct inspect_answer a = { .kind = ANSWER_END, .text = bytes_str(text) };

	if (!k->closed)
		answer(k, &a);
}

void kit_clear(struct kit *k)
{
	bool ready = k->checked > 0;

	k->out_len[0] = k->out_len[1] = 0;
	k->checked = 0;
	if (ready) {
		/* One harmless message stands for all that was checked. */
		memcpy(k->out[SIDE_SERVER], "H\0\0\0\4", 5);
		k->out_len[SIDE_SERVER] = k->checked = 5;
	}
}

bool kit_wrote(const struct kit *k, enum side to, const char *text)
{
	return has(bytes_of(k->out[to], k->out_len[to]), text);
}

void kit_message(struct writer *w, char type, const void *body, size_t len)
{
	pg_frame_put(w, type, bytes_of(body, len));
}

void kit_query(struct writer *w, const char *text)
{
	kit_message(w, 'Q', text, strlen(text) + 1);
}

void kit_parse_types(struct writer *w, const char *name, const char *text, const uint32_t *types, unsigned count)
{
	size_t mark = pg_frame_begin(w, 'P');

	writer_cstr(w, name);
	writer_cstr(w, text);
	writer_be16(w, (uint16_t)count);
	for (unsigned i = 0; i < count; i++)
		writer_be32(w, types[i]);
	pg_frame_end(w, mark);
}

void kit_parse(struct writer *w, const char *name, const char *text)
{
	kit_parse_types(w, name, text, NULL, 0);
}

void kit_bind(struct writer *w, const char *portal, const char *name)
{
	size_t mark = pg_frame_begin(w, 'B');

	writer_cstr(w, portal);
	writer_cstr(w, name);
	writer_be16(w, 0);
	writer_be32(w, 0);
	pg_frame_end(w, mark);
}

void kit_execute(struct writer *w, const char *portal, unsigned rows)
{
	size_t mark = pg_frame_begin(w, 'E');

	writer_cstr(w, portal);
	writer_be32(w, rows);
	pg_frame_end(w, mark);
}

void kit_column(struct writer *w, const char *name, uint32_t relation, unsigned attnum, uint32_t type, unsigned format)
{
	size_t mark = pg_frame_begin(w, 'T');

	writer_be16(w, 1);
	writer_cstr(w, name);
	writer_be32(w, relation);
	writer_be16(w, (uint16_t)attnum);
	writer_be32(w, type);
	writer_be16(w, 0xffff);
	writer_be32(w, UINT32_MAX);
	writer_be16(w, (uint16_t)format);
	pg_frame_end(w, mark);
}

void kit_row(struct writer *w, const char *cell)
{
	size_t mark = pg_frame_begin(w, 'D');

	writer_be16(w, 1);
	writer_be32(w, (uint32_t)strlen(cell));
	writer_str(w, cell);
	pg_frame_end(w, mark);
}

void kit_complete(struct writer *w, const char *tag)
{
	kit_message(w, 'C', tag, strlen(tag) + 1);
}

void kit_error(struct writer *w, const char *code, const char *text)
{
	size_t mark = pg_frame_begin(w, 'E');

	writer_cstr(w, "SERROR");
	writer_u8(w, 'C');
	writer_cstr(w, code);
	writer_u8(w, 'M');
	writer_cstr(w, text);
	writer_u8(w, 'D');
	writer_cstr(w, text);
	writer_u8(w, 0);
	pg_frame_end(w, mark);
}

void kit_ready(struct writer *w, char status)
{
	kit_message(w, 'Z', &status, 1);
}

static void catalogue_row(struct writer *w, const char *const cell[11])
{
	size_t mark = pg_frame_begin(w, 'D');

	writer_be16(w, 11);
	for (unsigned i = 0; i < 11; i++) {
		writer_be32(w, (uint32_t)strlen(cell[i]));
		writer_str(w, cell[i]);
	}
	pg_frame_end(w, mark);
}

void kit_catalogue(struct kit *k, size_t segment)
{
	static const char *const rows[][11] = {
		{ "c", "1000", "public", "customers", "1", "id", "23", "1", "4", "public", "customers" },
		{ "c", "1000", "public", "customers", "2", "name", "25", "2", "4", "public", "customers" },
		{ "c", "1000", "public", "customers", "3", "email", "25", "3", "4", "public", "customers" },
		{ "c", "1000", "public", "customers", "4", "note", "25", "4", "4", "public", "customers" },
		{ "c", "1001", "public", "kids", "1", "note", "25", "1", "1", "public", "kids" },
		{ "c", "1001", "public", "kids", "1", "note", "25", "1", "1", "public", "other" },
		{ "c", "1002", "public", "other", "1", "note", "25", "1", "2", "public", "other" },
		{ "c", "1002", "public", "other", "2", "x", "25", "2", "2", "public", "other" },
		{ "m", "5000", "", "", "0", "", "0", "0", "0", "", "" },
	};
	static uint8_t buffer[8192];
	struct writer w = writer_of(buffer, sizeof(buffer));

	kit_column(&w, "x", 0, 0, 25, 0);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		catalogue_row(&w, rows[i]);
	kit_complete(&w, "SELECT 9");
	kit_ready(&w, 'I');
	kit_feed(k, SIDE_SERVER, writer_done(&w), segment);
}

void kit_login(struct kit *k, size_t segment)
{
	static uint8_t buffer[8192];
	struct writer w = writer_of(buffer, sizeof(buffer));
	uint8_t first[64];
	struct writer f = writer_of(first, sizeof(first));

	writer_be32(&f, 4 + 4 + 5 + 6 + 9 + 5 + 1);
	writer_be32(&f, 3u << 16);
	writer_cstr(&f, "user");
	writer_cstr(&f, "agent");
	writer_cstr(&f, "database");
	writer_cstr(&f, "shop");
	writer_u8(&f, 0);
	kit_feed(k, SIDE_CLIENT, writer_done(&f), segment);
	kit_message(&w, 'p', "token", 6);
	kit_feed(k, SIDE_CLIENT, writer_done(&w), segment);
	w = writer_of(buffer, sizeof(buffer));
	kit_message(&w, 'R', "\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0", 4 + 19 + 14 + 1);
	kit_feed(k, SIDE_SERVER, writer_done(&w), segment);
	w = writer_of(buffer, sizeof(buffer));
	kit_message(&w, 'R', "\0\0\0\x0br=a,s=b,i=4096", 4 + 14);
	kit_feed(k, SIDE_SERVER, writer_done(&w), segment);
	w = writer_of(buffer, sizeof(buffer));
	kit_message(&w, 'R', "\0\0\0\x0cv=c2ln", 10);
	kit_message(&w, 'R', "\0\0\0\0", 4);
	kit_message(&w, 'S', "client_encoding\0UTF8", 21);
	kit_message(&w, 'K', "\0\0\0\1\0\0\0\2", 8);
	kit_ready(&w, 'I');
	k->checked = 0;
	kit_feed(k, SIDE_SERVER, writer_done(&w), segment);
	k->checked = k->out_len[SIDE_SERVER];
	for (unsigned i = 0; i <= k->reloads; i++) {
		if (i < k->reloads)
			kit_reload(k, i % 2 == 0);
		kit_catalogue(k, segment);
	}
	if (k->closed || k->out_len[SIDE_CLIENT] < 6 || memcmp(k->out[SIDE_CLIENT] + k->out_len[SIDE_CLIENT] - 6, "Z\0\0\0\5I", 6)) {
		fwrite(k->out[SIDE_CLIENT], 1, k->out_len[SIDE_CLIENT], stderr);
		fail("the session was not ready after login");
	}
	kit_clear(k);
}
