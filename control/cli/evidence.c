/* evidence.c: the verbs that hand a journal's content out: session replay and export bundle. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/pdf.h"
#include "control/cli/progress.h"
#include "control/cli/read.h"
#include "control/cli/sealed.h"
#include "control/export/bundle_seal.h"
#include "control/journal/base64.h"
#include "control/keys/export_key.h"
#include "control/journal/tiles.h"
#include "platform/base/secret.h"
#include "platform/os/settings.h"

/* The payload keys of this node; NULL for a copy, or where they may not be read. */
static struct payload_keys *keys_open(struct cli *c)
{
	char path[320], err[PAYLOAD_KEYS_ERROR_BYTES];

	if (cli_option(c, "dir") || !cli_settings(c))
		return NULL;
	snprintf(path, sizeof(path), "%s/payload-keys", c->settings->state_dir);
	return payload_keys_open(path, false, err);
}

/* The key that signs this node's bundles; NULL for a copy of its journal, which is nobody's word. `err`: "" for a copy. */
static struct export_key *export_key_of(struct cli *c, char err[OS_ERROR_BYTES])
{
	char path[320];

	err[0] = 0;
	if (cli_option(c, "dir") || !cli_settings(c))
		return NULL;
	snprintf(path, sizeof(path), "%s/keys", c->settings->state_dir);
	return export_key_open(path, false, err);
}

/* A bundle that sluice-control makes: its files come in pieces. */
struct arriving {
	const char *out;
	struct bundle_seal_file *sealed; /* NULL: a directory */
	json_t *bundle;
	struct progress *progress;
	bool bad;
};

/* A name that stays inside the directory. */
static bool name_ok(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < 128 && name[0] != '/' && !strstr(name, "..") &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") == len;
}

static bool piece_write(const struct arriving *a, const char *name, struct bytes data)
{
	char path[4096];
	FILE *f;
	bool good;

	if (a->sealed)
		return bundle_seal_file_put_named(a->sealed, name, data);
	if (snprintf(path, sizeof(path), "%s/%s", a->out, name) >= (int)sizeof(path))
		return false;
	if (access(path, F_OK) != 0)
		return tiles_write_file(a->out, name, data) == 0;
	f = fopen(path, "ae");
	good = f && fwrite(data.base, 1, data.len, f) == data.len;
	return f && fclose(f) == 0 && good;
}

static bool arrives(void *ctx, json_t *frame)
{
	struct arriving *a = ctx;
	const char *name = json_string_value(json_object_get(frame, "f"));
	json_t *piece = json_object_get(frame, "b"), *bundle = json_object_get(frame, "bundle");
	size_t len = json_string_length(piece);
	uint8_t *room = name ? malloc(len + 1) : NULL;
	struct writer w = writer_of(room, room ? len + 1 : 0);

	if (name)
		a->bad |= !name_ok(name) || !base64_read(bytes_of(json_string_value(piece), len), &w) || !piece_write(a, name, writer_done(&w));
	if (room)
		secret_wipe(room, w.len); /* it may be a key */
	if (bundle)
		a->bundle = json_incref(bundle);
	free(room);
	return progress_frame(a->progress, frame) && !a->bad;
}

/* Of the report that arrived: the node has signed the bundle, so it lies beside it. */
static bool pdf_beside(struct cli *c, const char *out)
{
	char path[4096], *page = NULL, *pdf = NULL;
	size_t page_len = 0, len = 0;
	FILE *page_file = NULL, *copy = open_memstream(&page, &page_len), *f = NULL;
	bool good;

	if (snprintf(path, sizeof(path), "%s/report.html", out) < (int)sizeof(path))
		page_file = fopen(path, "re");
	good = copy && page_file;
	for (size_t got = 1; good && got > 0; good = !ferror(page_file) && !ferror(copy)) {
		char room[65536];

		got = fread(room, 1, sizeof(room), page_file);
		fwrite(room, 1, got, copy);
	}
	if (page_file)
		fclose(page_file);
	if (copy)
		good = fclose(copy) == 0 && good;
	if (!good)
		cli_fail(c, FRAME_REFUSED, "%s: cannot be read: see the bundle", path);
	else if ((good = pdf_make(c, bytes_of(page, page_len), &pdf, &len))) {
		snprintf(path, sizeof(path), "%.4000s.pdf", out);
		f = fopen(path, "wxe");
		good = f && fwrite(pdf, 1, len, f) == len;
		if ((f && fclose(f) != 0) || !good)
			good = cli_fail(c, FRAME_REFUSED, "%s: %s: remove it, or see the disk's space", path, strerror(errno)) == FRAME_DONE;
	}
	free(page);
	free(pdf);
	return good;
}

static json_int_t number_of(const struct arriving *a, const char *name)
{
	return json_integer_value(json_object_get(a->bundle, name));
}

/* What the records say of themselves (completeness.h): the bundle is made all the same, since it is the evidence of that too. */
static void missing_told(uint64_t findings)
{
	if (findings)
		printf("RECORDS ARE MISSING: %llu findings, in completeness.json under \"missing\"\n", (unsigned long long)findings);
}

static void told(const struct arriving *a, bool keys)
{
	printf("%lld records, %lld chunks", (long long)number_of(a, "records"), (long long)number_of(a, "chunks"));
	if (keys)
		printf(", %lld keys (%lld more were erased)", (long long)number_of(a, "keys"), (long long)number_of(a, "erased"));
	printf(" in %s; to check it: see VERIFY.md in it\n", a->out);
	missing_told((uint64_t)number_of(a, "missing"));
}

/* Whom a bundle is sealed to. */
struct sealing {
	char *pem;
	struct recipients to;
};

static bool out_create(struct arriving *a, struct bundle_seal_file *file, bool secret)
{
	if (!a->sealed)
		return mkdir(a->out, secret ? 0700 : 0755) == 0;
	return bundle_seal_file_create(file, a->out);
}

static bool out_close(struct arriving *a, bool keep)
{
	if (a->sealed)
		return bundle_seal_file_close(a->sealed, keep);
	if (!keep)
		bundle_remove(a->out);
	return true;
}

/* Of how many parts; NULL: of none. */
static json_t *with_parts(json_t *told, const struct bundle_seal_file *sealed)
{
	if (sealed)
		json_object_set_new(told, "parts", json_integer(sealed->part));
	return told;
}

/* `sealing`: NULL, or to whom. */
static int bundle_by_control(struct cli *c, const struct export_request *request, uint64_t limit, const struct sealing *sealing)
{
	struct bundle_seal_file file;
	struct arriving a = { .out = cli_option(c, "out"), .sealed = sealing ? &file : NULL, .progress = request->progress_ctx };
	const char *keys = cli_option(c, "keys");
	json_t *args;
	int status = FRAME_USAGE;

	if (cli_option(c, "with-keys"))
		return cli_fail(c, FRAME_NOT_PERMITTED, "export bundle: --with-keys: not with a token: ask with sluice journal disclose, and give --keys");
	if (!out_create(&a, &file, keys != NULL))
		return cli_fail(c, FRAME_REFUSED, "%s: %s: give another --out", a.out, strerror(errno));
	args = read_arguments("bundle", &request->filter, limit);
	if (keys)
		json_object_set_new(args, "keys", json_string(keys));
	if (request->since.len)
		json_object_set_new(args, "since_checkpoint", json_stringn((const char *)request->since.base, request->since.len));
	if (sealing)
		json_object_set_new(args, "recipients", json_string(sealing->pem));
	if (request->proofs)
		json_object_set_new(args, "proofs", json_array());
	for (unsigned i = 0; i < request->proofs; i++)
		json_array_append_new(json_object_get(args, "proofs"), json_integer((json_int_t)request->proof[i]));
	if (cli_token(c, args))
		status = cli_stream(c, json_incref(args), arrives, &a);
	json_decref(args);
	progress_end(a.progress);
	if (status == FRAME_DONE && progress_interrupted())
		status = cli_fail(c, FRAME_REFUSED, "export: interrupted: nothing of it is left; ask again");
	if (status == FRAME_DONE && (!a.bundle || a.bad))
		status = cli_fail(c, FRAME_REFUSED, "%s: cannot be written, or ended early: see the disk's space", a.out);
	if (!out_close(&a, status == FRAME_DONE) && status == FRAME_DONE)
		status = cli_fail(c, FRAME_REFUSED, "%s: cannot be written: see the disk's space", a.out);
	if (status == FRAME_DONE && cli_option(c, "pdf") && !pdf_beside(c, a.out))
		status = FRAME_REFUSED; /* the bundle is good, and stays */
	else if (status != FRAME_DONE)
		;
	else if (c->json)
		print_json(with_parts(json_incref(a.bundle), a.sealed));
	else
		told(&a, keys != NULL);
	if (status == FRAME_DONE && sealing && !c->json)
		sealed_told(&sealing->to, &file);
	json_decref(a.bundle);
	return status;
}

static bool render(void *ctx, struct bytes page, char **pdf, size_t *len)
{
	return pdf_make(ctx, page, pdf, len);
}

static int bundle_told(struct cli *c, const struct export_request *request, const struct export_result *result, const struct bundle_seal_file *sealed)
{
	char manifest[65];

	for (unsigned i = 0; i < 32; i++)
		snprintf(manifest + 2 * i, 3, "%02x", result->manifest_sha256[i]);
	if (c->json)
		print_json(with_parts(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b}", "out", request->out, "records", (json_int_t)result->records, "chunks",
				     (json_int_t)result->chunks, "keys", (json_int_t)result->keys, "erased", (json_int_t)result->erased, "missing", (json_int_t)result->missing, "first", (json_int_t)result->first, "last", (json_int_t)result->last,
				     "checkpoint_size", (json_int_t)result->checkpoint_size, "manifest_sha256", manifest, "signed", request->key != NULL), sealed));
	else
		printf("%llu records, %llu chunks in %s; MANIFEST.sha256 is %s%s; to check it: see VERIFY.md in it\n", (unsigned long long)result->records,
		       (unsigned long long)result->chunks, request->out, manifest, request->key ? ", signed" : ", of a copy: not signed");
	if (!c->json)
		missing_told(result->missing);
	return FRAME_DONE;
}

/* Here, into a directory or a sealed file. */
static bool export_here(struct archive *a, struct export_request *request, const struct sealing *sealing, struct bundle_seal_file *file, struct export_result *result,
			char err[EXPORT_ERROR_BYTES])
{
	bool good;

	if (!sealing)
		return export_bundle(a, request, result, err);
	if (!bundle_seal_file_create(file, request->out)) {
		snprintf(err, EXPORT_ERROR_BYTES, "%.150s cannot be made: %s", request->out, strerror(errno));
		return false;
	}
	good = bundle_seal_export(a, request, &sealing->to, bundle_seal_file_put, file, result, err);
	if (!bundle_seal_file_close(file, good) && good) {
		snprintf(err, EXPORT_ERROR_BYTES, "%.150s cannot be written", request->out);
		good = false;
	}
	return good;
}

/* What to do about it: where the journal is not at fault the text says it, or the disk does. */
static int export_failed(struct cli *c, struct progress *p, const char *err)
{
	static const char *const says[] = { "journal verify", "leave out its --proof", "wait a second", "take a smaller range", "see the disk's space" };

	progress_end(p);
	if (progress_interrupted())
		return cli_fail(c, FRAME_REFUSED, "export: interrupted: nothing of it is left; ask again");
	if (strncmp(err, "the bundle/", strlen("the bundle/")) == 0)
		return cli_fail(c, FRAME_REFUSED, "export: %s: nothing of it is left; see the disk's space", err);
	for (unsigned i = 0; i < sizeof(says) / sizeof(says[0]); i++)
		if (strstr(err, says[i]))
			return cli_fail(c, FRAME_REFUSED, "export: %s", err);
	return cli_fail(c, FRAME_REFUSED, "export: %s: run sluice journal verify", err);
}

/* Of the directory, by root or of a copy. Takes `a`. */
static int bundle_of_directory(struct cli *c, struct archive *a, const char *dir, struct export_request *request, const struct sealing *sealing)
{
	char err[EXPORT_ERROR_BYTES] = "", no_key[OS_ERROR_BYTES];
	struct export_key *key = export_key_of(c, no_key);
	struct export_result result;
	struct bundle_seal_file file;
	struct checkpoint_keys keys;
	bool own;
	int status;

	request->keys = &keys;
	request->key = key;
	request->render = cli_option(c, "pdf") ? render : NULL;
	request->render_ctx = c;
	if (!read_keys(c, dir, &keys, &own))
		status = cli_fail(c, FRAME_REFUSED, "%s/vkey: cannot be read: wait for the first checkpoint", dir);
	else if (!key && no_key[0])
		status = cli_fail(c, FRAME_REFUSED, "export: %s", no_key);
	else if (cli_option(c, "with-keys") && !(request->disclose = keys_open(c)))
		status = cli_fail(c, FRAME_REFUSED, "export: the payload keys cannot be read: run it on the node, as root");
	else if (!export_here(a, request, sealing, &file, &result, err))
		status = export_failed(c, request->progress_ctx, err);
	else {
		progress_end(request->progress_ctx);
		status = bundle_told(c, request, &result, sealing ? &file : NULL);
	}
	if (status == FRAME_DONE && sealing && !c->json)
		sealed_told(&sealing->to, &file);
	payload_keys_close(request->disclose);
	export_key_close(key);
	archive_close(a);
	return status;
}

/* Root's keys, and copies, are read here. */
static bool read_here(const struct cli *c)
{
	return cli_option(c, "dir") || (!cli_option(c, "token-file") && (!cli_option(c, "recipient") || cli_option(c, "with-keys")));
}

static int bundle_to(struct cli *c, struct export_request *request, uint64_t limit, const struct sealing *sealing)
{
	char dir[320], detail[480];
	struct archive *a;
	int status;

	if (!read_here(c))
		return bundle_by_control(c, request, limit, sealing);
	a = read_open(c, "export", read_filter_text(c, detail, sizeof(detail)), dir, &status);
	return a ? bundle_of_directory(c, a, dir, request, sealing) : status;
}

/* --proof, as often as wanted up to EXPORT_PICKS times. */
static bool picks_read(struct cli *c, struct export_request *request, uint64_t pick[EXPORT_PICKS])
{
	request->proof = pick;
	for (unsigned i = 0; i < c->options; i++) {
		const char *text = c->option[i].value;
		char *end = NULL;

		if (strcmp(c->option[i].name, "proof") != 0)
			continue;
		if (request->proofs == EXPORT_PICKS)
			return cli_fail(c, FRAME_USAGE, "export bundle: --proof: more than %u: give --from and --to, each of up to %u records has its proof", EXPORT_PICKS, EXPORT_PROOFS) == FRAME_DONE;
		errno = 0;
		pick[request->proofs++] = strtoull(text, &end, 10);
		if (text[0] < '0' || text[0] > '9' || *end || errno || pick[request->proofs - 1] > INT64_MAX)
			return cli_fail(c, FRAME_USAGE, "export bundle: --proof %s: no number: give a record's", text) == FRAME_DONE;
	}
	return true;
}

int cli_export_bundle(struct cli *c)
{
	static uint8_t since[CHECKPOINT_BYTES_MAX];
	uint64_t pick[EXPORT_PICKS];
	struct progress progress;
	struct export_request request = { .out = cli_option(c, "out"), .progress = progress_told, .progress_ctx = &progress };
	char fingerprints[SEALED_FINGERPRINTS_BYTES];
	struct sealing sealing;
	uint64_t limit;
	int status;

	if (!request.out)
		return cli_fail(c, FRAME_USAGE, "export bundle: no directory: give --out");
	if (!read_filter(c, &request.filter, &limit) || (cli_option(c, "since-checkpoint") && !read_checkpoint_file(c, cli_option(c, "since-checkpoint"), since, &request.since)))
		return FRAME_USAGE;
	if (!picks_read(c, &request, pick))
		return FRAME_USAGE;
	progress_begin(&progress, cli_option(c, "progress") != NULL);
	if (cli_option(c, "keys") && (cli_option(c, "dir") || !cli_option(c, "token-file")))
		return cli_fail(c, FRAME_USAGE, "export bundle: --keys: is for who asked, and for this node's journal: give --token-file, and no --dir");
	if (cli_option(c, "pdf") && cli_option(c, "recipient"))
		return cli_fail(c, FRAME_USAGE, "export bundle: --pdf: not of a sealed bundle: make it of report.html when the bundle is open");
	if (cli_option(c, "pdf") && !pdf_possible(c))
		return FRAME_REFUSED;
	if (!cli_option(c, "recipient"))
		return bundle_to(c, &request, limit, NULL);
	sealing.pem = sealed_recipients(c, &sealing.to);
	if (!sealing.pem)
		return FRAME_USAGE;
	c->recipients = sealed_fingerprints(&sealing.to, fingerprints, sizeof(fingerprints));
	status = bundle_to(c, &request, limit, &sealing);
	recipients_free(&sealing.to);
	free(sealing.pem);
	return status;
}
