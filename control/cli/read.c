/* read.c: the verbs that read a journal.
 *
 * They open the directory themselves, with the reader that also serves auditors; sluice-control, when it runs, is told first and
 * records it. A journal named by --dir is somebody's copy, and nobody is told. */
#include <stdlib.h>
#include <string.h>

#include "control/cli/read.h"
#include "control/journal/archive.h"
#include "control/journal/proof.h"
#include "control/journal/verify.h"
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
		json_t *told = cli_ask(c, "journal read", json_pack("{s:s, s:s}", "what", what, "detail", detail), status);

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

static void records_heading(void)
{
	printf("%8s %-27s %-16s %4s %-10s %-16s %s\n", "index", "time", "type", "n", "verdict", "person", "what");
}

static bool number_read(const char *text, uint64_t *out)
{
	char *end;

	*out = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end;
}

/* Prints or collects what the filter finds. `limit` 0: all. */
static int search(struct cli *c, struct archive *a, const struct archive_filter *filter, uint64_t limit, json_t *collected)
{
	uint64_t index = filter->from, found = 0;
	struct bytes record;
	const char *why = "";
	enum archive_next next;

	while ((!limit || found < limit) && (next = archive_search(a, filter, &index, 65536, &record, &why)) != ARCHIVE_END) {
		json_t *r;

		if (next == ARCHIVE_MORE)
			continue;
		if (next == ARCHIVE_BROKEN)
			return cli_fail(c, FRAME_REFUSED, "record %llu: %s: run sluice journal verify", (unsigned long long)index, why);
		r = json_loadb((const char *)record.base, record.len, 0, NULL);
		found++;
		if (collected) {
			json_object_set_new(r, "idx", json_integer((json_int_t)index));
			json_array_append(collected, r);
		} else {
			record_line(index, r);
		}
		json_decref(r);
		index++;
	}
	return FRAME_DONE;
}

static int search_and_print(struct cli *c, struct archive *a, const struct archive_filter *filter, uint64_t limit, const char *session)
{
	json_t *collected = c->json ? json_array() : NULL;
	int status;

	if (!collected)
		records_heading();
	status = search(c, a, filter, limit, collected);
	if (collected && session)
		print_json(json_pack("{s:s, s:o}", "session", session, "records", collected));
	else if (collected)
		print_json(json_pack("{s:o}", "records", collected));
	return status;
}

/* --- session ------------------------------------------------------------------------------------------------------------- */

bool read_session_id(struct cli *c, char out[33], int *status)
{
	const char *given = c->positional[0];
	json_t *list, *s;
	size_t i;
	unsigned found = 0;

	*status = FRAME_USAGE;
	if (strspn(given, "0123456789abcdef") != strlen(given) || strlen(given) > 32 || strlen(given) < 4) {
		cli_fail(c, FRAME_USAGE, "%s: not a session: give its id, or at least 4 digits of it", given);
		return false;
	}
	snprintf(out, 33, "%s", given);
	if (strlen(given) == 32)
		return true;
	list = cli_ask(c, "session list", NULL, status);
	if (!list)
		return false;
	json_array_foreach(json_object_get(list, "sessions"), i, s) {
		if (!strncmp(text_of(s, "id"), given, strlen(given))) {
			found++;
			snprintf(out, 33, "%s", text_of(s, "id"));
		}
	}
	json_decref(list);
	if (found != 1)
		*status = cli_fail(c, FRAME_REFUSED, "session %s: %s: give more digits, or all 32", given, found ? "more than one begins so" : "not known");
	return found == 1;
}

int cli_session_show(struct cli *c)
{
	struct archive_filter filter = { 0 };
	char id[33], dir[320];
	struct archive *a;
	int status;

	if (!read_session_id(c, id, &status) || !(a = read_open(c, "session", id, dir, &status)))
		return status;
	filter.session = id;
	status = search_and_print(c, a, &filter, 0, id);
	archive_close(a);
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
	const char *given = cli_option(c, "key"), *why;
	char path[400];

	*own = !given;
	snprintf(path, sizeof(path), "%s/vkey", dir);
	if (keys_read_file(given ? given : path, keys, &why))
		return true;
	if (given)
		cli_fail(c, FRAME_USAGE, "%s: %s: give the log's vkey or PEM", given, why);
	return false;
}

struct findings {
	json_t *list;
	bool json;
};

static void on_finding(void *ctx, const struct verify_finding *f)
{
	struct findings *to = ctx;

	if (to->json) {
		json_array_append_new(to->list, json_pack("{s:s, s:I, s:I}", "what", f->what, "index", f->index == VERIFY_NOWHERE ? (json_int_t)-1 : (json_int_t)f->index,
							  "last", f->last == VERIFY_NOWHERE ? (json_int_t)-1 : (json_int_t)f->last));
		return;
	}
	printf("wrong: %s", f->what);
	if (f->segment != VERIFY_NOWHERE)
		printf(" (segment %llu", (unsigned long long)f->segment);
	if (f->segment != VERIFY_NOWHERE && f->byte != VERIFY_NOWHERE)
		printf(", byte %llu of data.mdb", (unsigned long long)f->byte);
	puts(f->segment != VERIFY_NOWHERE ? ")" : "");
}

static void summary_print(const struct verify_summary *s, bool own, bool good)
{
	if (own && s->signatures_checked)
		puts("note: checked under the vkey beside the journal; give --key with one that you got elsewhere");
	if (!s->signatures_checked)
		puts("note: no key, so signatures were not checked; give --key");
	printf("records %llu to %llu, segments %llu, checkpoints %llu, chunks %llu, sessions %llu; %llu records are newer than the last checkpoint\n",
	       (unsigned long long)s->first, (unsigned long long)s->size, (unsigned long long)s->segments, (unsigned long long)s->checkpoints,
	       (unsigned long long)s->chunks, (unsigned long long)s->sessions, (unsigned long long)(s->size > s->covered ? s->size - s->covered : 0));
	if (good)
		printf("good: %llu records, every one as it was written\n", (unsigned long long)(s->size - s->first));
	else
		printf("not good: %llu findings\n", (unsigned long long)s->findings);
}

int cli_journal_verify(struct cli *c)
{
	struct findings findings = { .json = c->json, .list = json_array() };
	struct verify_options options = { .ctx = &findings, .found = on_finding };
	struct verify_summary s = { 0 };
	struct checkpoint_keys keys;
	char own_dir[320];
	bool own, good, has_keys;

	options.dir = c->positionals ? c->positional[0] : cli_journal_dir(c, own_dir);
	if (!options.dir)
		return FRAME_USAGE;
	has_keys = read_keys(c, options.dir, &keys, &own);
	if (!has_keys && !own)
		return FRAME_USAGE;
	options.keys = has_keys ? &keys : NULL;
	good = verify_journal(&options, &s);
	if (c->json)
		print_json(json_pack("{s:b, s:I, s:I, s:I, s:b, s:o}", "good", good, "first", (json_int_t)s.first, "size", (json_int_t)s.size, "covered",
				     (json_int_t)s.covered, "signatures_checked", s.signatures_checked, "findings", findings.list));
	else
		summary_print(&s, own, good);
	if (!c->json)
		json_decref(findings.list);
	return good ? FRAME_DONE : FRAME_REFUSED;
}

int cli_journal_proof(struct cli *c)
{
	static uint8_t room[PROOF_BYTES_MAX];
	struct writer w = writer_of(room, sizeof(room));
	char dir[320];
	struct archive *a;
	struct bytes note;
	uint64_t index, size;
	const char *why = "no checkpoint covers it yet";
	int status;

	if (!number_read(c->positional[0], &index))
		return cli_fail(c, FRAME_USAGE, "%s: not a number: give a record's index", c->positional[0]);
	if (!(a = read_open(c, "proof", c->positional[0], dir, &status)))
		return status;
	if (archive_checkpoint_after(a, index, &size, &note))
		why = archive_proof(a, index, note, &w);
	if (why)
		status = cli_fail(c, FRAME_REFUSED, "record %llu: %s: wait a second and ask again", (unsigned long long)index, why);
	else
		fwrite(room, 1, w.len, stdout);
	archive_close(a);
	return status;
}

int cli_journal_show(struct cli *c)
{
	char dir[320];
	struct archive *a;
	struct bytes record;
	uint64_t index;
	const char *why;
	int status;

	if (!number_read(c->positional[0], &index))
		return cli_fail(c, FRAME_USAGE, "%s: not a number: give a record's index", c->positional[0]);
	if (!(a = read_open(c, "record", c->positional[0], dir, &status)))
		return status;
	why = index < archive_size(a) ? archive_read(a, index, &record) : "there is no such record";
	if (why)
		status = cli_fail(c, FRAME_REFUSED, "record %llu: %s: the journal holds %llu to %llu", (unsigned long long)index, why,
				  (unsigned long long)archive_first(a), (unsigned long long)archive_size(a));
	else if (c->json) {
		fwrite(record.base, 1, record.len, stdout);
		putchar('\n');
	} else {
		json_t *r = json_loadb((const char *)record.base, record.len, 0, NULL);

		print_members(r, 0);
		json_decref(r);
	}
	archive_close(a);
	return status;
}

bool read_filter(struct cli *c, struct archive_filter *f, uint64_t *limit)
{
	const char *from = cli_option(c, "from"), *to = cli_option(c, "to"), *most = cli_option(c, "limit");

	f->session = cli_option(c, "session");
	f->type = cli_option(c, "type");
	f->person = cli_option(c, "person");
	f->agent = cli_option(c, "agent");
	f->service = cli_option(c, "service");
	f->verdict = cli_option(c, "verdict");
	f->since = cli_option(c, "since");
	f->until = cli_option(c, "until");
	f->text = cli_option(c, "text");
	*limit = 0;
	if ((from && !number_read(from, &f->from)) || (to && !number_read(to, &f->to)) || (most && !number_read(most, limit))) {
		cli_fail(c, FRAME_USAGE, "%s %s: not a number: --from, --to and --limit take one", c->verb->object, c->verb->name);
		return false;
	}
	return true;
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
	char dir[320], detail[480];
	struct archive *a;
	uint64_t limit;
	int status;

	if (!read_filter(c, &filter, &limit))
		return FRAME_USAGE;
	if (!(a = read_open(c, "search", read_filter_text(c, detail, sizeof(detail)), dir, &status)))
		return status;
	status = search_and_print(c, a, &filter, limit, NULL);
	archive_close(a);
	return status;
}

int cli_journal_tail(struct cli *c)
{
	struct archive_filter filter = { 0 };
	char dir[320];
	struct archive *a;
	uint64_t limit;
	int status;

	if (!read_filter(c, &filter, &limit))
		return FRAME_USAGE;
	limit = limit ? limit : LIMIT_DEFAULT;
	if (!(a = read_open(c, "tail", "", dir, &status)))
		return status;
	filter.from = archive_size(a) > archive_first(a) + limit ? archive_size(a) - limit : archive_first(a);
	status = search_and_print(c, a, &filter, limit, NULL);
	archive_close(a);
	return status;
}
