/* read.c: the verbs that read a journal.
 *
 * sluice-control reads for them, when the policy lets who asks, and records it first. A journal named by --dir is somebody's copy: it
 * is opened here, with the reader that also serves auditors, and nobody is told. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/read.h"
#include "control/journal/archive.h"
#include "control/journal/proof.h"
#include "platform/os/settings.h"

#define KEY_FILE_BYTES 4096
#define LIMIT_DEFAULT 100

struct archive *read_open(struct cli *c, const char *what, const char *detail, char dir[320], int *status)
{
	char err[ARCHIVE_ERROR_BYTES];
	struct archive *a;

	*status = FRAME_USAGE;
	if (!cli_journal_dir(c, dir))
		return NULL;
	if (!cli_option(c, "dir")) {
		json_t *told = cli_ask(c, "journal read", json_pack("{s:s, s:s, s:b, s:s}", "what", what, "detail", detail, "keys", cli_option(c, "with-keys") != NULL, "recipients",
								   c->recipients ? c->recipients : ""), status);

		if (!told)
			return NULL;
		json_decref(told);
	}
	a = archive_open(dir, err);
	*status = a ? FRAME_DONE : cli_fail(c, FRAME_REFUSED, "%s: %s: name a journal's directory, readable by you", dir, err);
	return a;
}

/* --- one record ---------------------------------------------------------------------------------------------------------- */

static const char *text_of(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void join(json_t *list, char *out, size_t size)
{
	json_t *element;
	size_t i, at = 0;

	out[0] = 0;
	json_array_foreach(list, i, element) {
		if (at + 2 < size && json_is_string(element))
			at += (size_t)snprintf(out + at, size - at, "%s%s", i ? "," : "", json_string_value(element));
	}
}

/* index, time, type, verdict, who, what. */
static void record_line(uint64_t index, json_t *r)
{
	json_t *op = json_object_get(r, "op"), *out = json_object_get(r, "out"), *data = json_object_get(r, "data"), *who = json_object_get(r, "who");
	char rules[256], line[2048];
	const char *norm = text_of(op, "norm"), *person = text_of(who, "person"), *sub = text_of(who, "sub");
	json_t *n = json_object_get(r, "n");
	int len;

	join(json_object_get(r, "rules"), rules, sizeof(rules));
	len = snprintf(line, sizeof(line), "%8llu %s %-16s %4lld %-10s %-16s %s%s%s%s%s%s%s", (unsigned long long)index, text_of(r, "ts"), text_of(r, "t"),
		       n ? (long long)json_integer_value(n) : -1LL, text_of(out, "verdict"), strcmp(person, "unknown") ? person : sub,
		       text_of(op, "verb"), rules[0] ? " [" : "", rules, rules[0] ? "] " : norm[0] ? " " : "", norm, text_of(out, "tag"),
		       text_of(data, "cause"));
	print_text(stdout, line, len < (int)sizeof(line) ? (size_t)len : sizeof(line) - 1, 400);
	putchar('\n');
}

static bool number_read(const char *text, uint64_t *out)
{
	char *end;

	*out = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end;
}

/* --- where records come from ---------------------------------------------------------------------------------------------- */

/* What is done with them: printed as lines, or collected for one document. */
struct taking {
	struct cli *c;
	json_t *collected;
	bool whole;      /* one record, all of it */
	bool headed;
	bool sessions;   /* lines begin with the session's */
	uint64_t next;   /* the next page; 0: none */
};

static void heading_once(struct taking *t)
{
	if (!t->headed && !t->collected && !t->whole)
		printf("%s%8s %-27s %-16s %4s %-10s %-16s %s\n", t->sessions ? "session  " : "", "index", "time", "type", "n", "verdict", "person", "what");
	t->headed = true;
}

static void take_record(struct taking *t, uint64_t index, const char *text, size_t len)
{
	json_t *r = json_loadb(text, len, 0, NULL);

	heading_once(t);
	if (t->whole && t->c->json) {
		fwrite(text, 1, len, stdout);
		putchar('\n');
	} else if (t->whole) {
		print_members(r, 0);
	} else if (t->collected) {
		json_object_set_new(r, "idx", json_integer((json_int_t)index));
		json_array_append(t->collected, r);
	} else {
		if (t->sessions)
			printf("%-8.8s ", text_of(r, "sess"));
		record_line(index, r);
	}
	json_decref(r);
}

void read_page(json_t *frame, uint64_t *next)
{
	json_t *at = json_object_get(frame, "next");

	*next = at ? (uint64_t)json_integer_value(at) : 0;
}

void read_more(const struct cli *c, json_t *document, uint64_t next)
{
	if (next && document)
		json_object_set_new(document, "next", json_integer((json_int_t)next));
	else if (next && !c->json)
		printf("more: --from %llu\n", (unsigned long long)next);
}

static bool take_frame(void *ctx, json_t *frame)
{
	json_t *record = json_object_get(frame, "r"), *text = json_object_get(frame, "t");

	if (record)
		take_record(ctx, (uint64_t)json_integer_value(json_object_get(frame, "i")), json_string_value(record), json_string_length(record));
	if (text)
		fwrite(json_string_value(text), 1, json_string_length(text), stdout);
	read_page(frame, &((struct taking *)ctx)->next);
	return !ferror(stdout);
}

struct archive *read_copy(struct cli *c, const char *dir)
{
	char err[ARCHIVE_ERROR_BYTES];
	struct archive *a = archive_open(dir, err);

	if (!a)
		cli_fail(c, FRAME_REFUSED, "%s: %s: name a journal's directory, readable by you", dir, err);
	else if (cli_option(c, "index"))
		(void)archive_use_index(a);
	return a;
}

/* A journal of --dir. */
static int take_copy(struct taking *t, const char *dir, const struct archive_filter *filter, uint64_t limit)
{
	struct archive *a = read_copy(t->c, dir);
	uint64_t index = filter->from, found = 0;
	struct bytes record;
	const char *why = "";
	enum archive_next next;

	if (!a)
		return FRAME_REFUSED;
	while ((!limit || found < limit) && (next = archive_search(a, filter, &index, 65536, &record, &why)) != ARCHIVE_END) {
		if (next == ARCHIVE_MORE)
			continue;
		if (next == ARCHIVE_BROKEN) {
			archive_close(a);
			return cli_fail(t->c, FRAME_REFUSED, "record %llu: %s: run sluice journal verify", (unsigned long long)index, why);
		}
		take_record(t, index++, (const char *)record.base, record.len);
		found++;
	}
	t->next = limit && found == limit ? index : 0;
	archive_close(a);
	return FRAME_DONE;
}

static void put_text(json_t *args, const char *name, const char *text)
{
	if (text)
		json_object_set_new(args, name, json_string(text));
}

/* The arguments of a reading by sluice-control. */
json_t *read_arguments(const char *what, const struct archive_filter *f, uint64_t limit)
{
	json_t *args = json_pack("{s:s, s:I, s:I, s:I}", "what", what, "from", (json_int_t)f->from, "to", (json_int_t)f->to, "limit", (json_int_t)limit);

	put_text(args, "session", f->session);
	put_text(args, "type", f->type);
	put_text(args, "person", f->person);
	put_text(args, "agent", f->agent);
	put_text(args, "run", f->run);
	put_text(args, "target", f->target);
	put_text(args, "service", f->service);
	put_text(args, "verdict", f->verdict);
	put_text(args, "since", f->since);
	put_text(args, "until", f->until);
	put_text(args, "text", f->text);
	return args;
}

int read_from_control(struct cli *c, json_t *args)
{
	struct taking t = { .c = c, .whole = true };

	if (cli_token(c, args))
		return cli_stream(c, args, take_frame, &t);
	json_decref(args);
	return FRAME_USAGE;
}

int read_records(struct cli *c, const char *what, const struct archive_filter *filter, uint64_t limit, const char *session)
{
	struct taking t = { .c = c, .sessions = filter->in_session, .collected = c->json ? json_array() : NULL };
	json_t *args = NULL, *document;
	int status = FRAME_USAGE;

	if (cli_option(c, "dir"))
		status = take_copy(&t, cli_option(c, "dir"), filter, limit);
	else if (cli_token(c, args = read_arguments(what, filter, limit)))
		status = cli_stream(c, json_incref(args), take_frame, &t);
	json_decref(args);
	if (status != FRAME_DONE) {
		json_decref(t.collected);
		return status;
	}
	heading_once(&t);
	document = t.collected ? json_pack("{s:o}", "records", t.collected) : NULL;
	if (document && session)
		json_object_set_new(document, "session", json_string(session));
	read_more(c, document, t.next);
	if (document)
		print_json(document);
	return status;
}

/* --- journal ------------------------------------------------------------------------------------------------------------- */

static bool keys_read_file(const char *path, struct checkpoint_keys *keys, const char **why)
{
	char text[KEY_FILE_BYTES];
	FILE *f = fopen(path, "re");
	size_t len = f ? fread(text, 1, sizeof(text), f) : 0;
	struct bytes content = bytes_of(text, len);

	if (f)
		fclose(f);
	*keys = (struct checkpoint_keys){ 0 };
	*why = len ? checkpoint_vkey_read(content, keys) : "cannot be read";
	if (*why && len && !strncmp(text, "-----BEGIN", 10))
		*why = checkpoint_pem_read(content, keys);
	return !*why;
}

bool read_keys(struct cli *c, const char *dir, struct checkpoint_keys *keys, bool *own)
{
	const char *given = cli_option(c, "key"), *why = "";

	*own = !given;
	if (!(given ? !keys_read_file(given, keys, &why) : (why = checkpoint_keys_beside(dir, keys)) != NULL))
		return true;
	if (given)
		cli_fail(c, FRAME_USAGE, "%s: %s: give the log's vkey or PEM", given, why);
	return false;
}

bool read_checkpoint_file(struct cli *c, const char *path, uint8_t room[CHECKPOINT_BYTES_MAX], struct bytes *note)
{
	FILE *f = fopen(path, "re");
	size_t len = f ? fread(room, 1, CHECKPOINT_BYTES_MAX, f) : 0;
	const char *wrong = len && !ferror(f) ? NULL : f ? "nothing can be read of it" : strerror(errno);
	struct checkpoint parsed;

	if (f)
		fclose(f);
	*note = bytes_of(room, len);
	if (!wrong)
		wrong = checkpoint_parse(*note, true, &parsed, NULL);
	if (wrong)
		cli_fail(c, FRAME_USAGE, "%s: %s: give a checkpoint of the log as it was published", path, wrong);
	return !wrong;
}

/* One record of a copy, or its proof. */
static int copy_one(struct cli *c, uint64_t index, bool proof)
{
	static uint8_t room[PROOF_BYTES_MAX];
	struct writer w = writer_of(room, sizeof(room));
	struct taking t = { .c = c, .whole = true };
	char err[ARCHIVE_ERROR_BYTES];
	struct archive *a = archive_open(cli_option(c, "dir"), err);
	struct bytes record, note;
	uint64_t size;
	const char *why;

	if (!a)
		return cli_fail(c, FRAME_REFUSED, "%s: %s: name a journal's directory, readable by you", cli_option(c, "dir"), err);
	if (proof)
		why = archive_checkpoint_after(a, index, &size, &note) ? archive_proof(a, index, note, &w) : "no checkpoint covers it yet";
	else
		why = index < archive_size(a) ? archive_read(a, index, &record) : "there is no such record";
	if (why)
		cli_fail(c, FRAME_REFUSED, "record %llu: %s: the journal holds %llu to %llu", (unsigned long long)index, why,
			 (unsigned long long)archive_first(a), (unsigned long long)archive_size(a));
	else if (proof)
		fwrite(room, 1, w.len, stdout);
	else
		take_record(&t, index, (const char *)record.base, record.len);
	archive_close(a);
	return why ? FRAME_REFUSED : FRAME_DONE;
}

int read_one(struct cli *c, const char *what)
{
	uint64_t index;

	if (!number_read(c->positional[0], &index))
		return cli_fail(c, FRAME_USAGE, "%s: not a number: give a record's index", c->positional[0]);
	if (cli_option(c, "dir"))
		return copy_one(c, index, !strcmp(what, "proof"));
	return read_from_control(c, json_pack("{s:s, s:I}", "what", what, "index", (json_int_t)index));
}

int cli_journal_show(struct cli *c)
{
	return read_one(c, "record");
}

bool read_number_option(struct cli *c, const char *name, uint64_t *out)
{
	const char *text = cli_option(c, name);

	*out = 0;
	if (!text || number_read(text, out))
		return true;
	cli_fail(c, FRAME_USAGE, "%s %s: --%s: not a number: give one", c->verb->object, c->verb->name, name);
	return false;
}

bool read_filter(struct cli *c, struct archive_filter *f, uint64_t *limit)
{
	f->session = cli_option(c, "session");
	f->type = cli_option(c, "type");
	f->person = cli_option(c, "person");
	f->agent = cli_option(c, "agent");
	f->run = cli_option(c, "run");
	f->target = cli_option(c, "target");
	f->service = cli_option(c, "service");
	f->verdict = cli_option(c, "verdict");
	f->since = cli_option(c, "since");
	f->until = cli_option(c, "until");
	f->text = cli_option(c, "text");
	return read_number_option(c, "from", &f->from) && read_number_option(c, "to", &f->to) && read_number_option(c, "limit", limit);
}

const char *read_filter_text(const struct cli *c, char *out, size_t size)
{
	size_t at = 0;

	out[0] = 0;
	for (unsigned i = 0; i < c->options && at + 2 < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%.40s=%.60s", i ? " " : "", c->option[i].name, c->option[i].value);
	return out;
}

int cli_journal_search(struct cli *c)
{
	struct archive_filter filter = { 0 };
	uint64_t limit;

	return read_filter(c, &filter, &limit) ? read_records(c, "search", &filter, limit, NULL) : FRAME_USAGE;
}

/* Where the newest `limit` records of a copy begin. */
static bool tail_of_copy(struct cli *c, uint64_t limit, uint64_t *from)
{
	char err[ARCHIVE_ERROR_BYTES];
	struct archive *a = archive_open(cli_option(c, "dir"), err);

	if (!a) {
		cli_fail(c, FRAME_REFUSED, "%s: %s: name a journal's directory, readable by you", cli_option(c, "dir"), err);
		return false;
	}
	*from = archive_size(a) > archive_first(a) + limit ? archive_size(a) - limit : archive_first(a);
	archive_close(a);
	return true;
}

int cli_journal_tail(struct cli *c)
{
	struct archive_filter filter = { 0 };
	uint64_t limit;

	if (!read_filter(c, &filter, &limit))
		return FRAME_USAGE;
	limit = limit ? limit : LIMIT_DEFAULT;
	if (cli_option(c, "dir") && !tail_of_copy(c, limit, &filter.from))
		return FRAME_REFUSED;
	return read_records(c, "tail", &filter, limit, NULL);
}
