/* stream.c: the verbs that hand records out in the form of other systems, and as a report: export events, export report. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/cli/pdf.h"
#include "control/cli/read.h"
#include "control/export/report.h"
#include "control/export/stream.h"
#include "control/journal/base64.h"

static bool write_out(void *ctx, struct bytes text)
{
	return fwrite(text.base, 1, text.len, stdout) == text.len;
}

int cli_export_events(struct cli *c)
{
	struct stream_request request = { .schema = cli_option(c, "schema") };
	const char *format = cli_option(c, "format");
	struct checkpoint_keys keys;
	char dir[320], detail[480], err[EXPORT_ERROR_BYTES];
	struct archive *a;
	uint64_t limit;
	bool own;
	int status;

	if (!stream_form_of(format ? format : "jsonl", &request.form))
		return cli_fail(c, FRAME_USAGE, "export events: --format %s: no such format: jsonl, ocsf, cef, syslog or syslog-cef", format);
	if (!read_filter(c, &request.filter, &limit))
		return FRAME_USAGE;
	if (cli_option(c, "token-file") && !cli_option(c, "dir")) {
		json_t *args = read_arguments("events", &request.filter, limit);

		json_object_set_new(args, "format", json_string(format ? format : "jsonl"));
		if (request.schema)
			json_object_set_new(args, "schema", json_string(request.schema));
		return read_from_control(c, args);
	}
	if (!(a = read_open(c, "export", read_filter_text(c, detail, sizeof(detail)), dir, &status)))
		return status;
	request.origin = read_keys(c, dir, &keys, &own) ? keys.name : "";
	if (!stream_write(a, &request, write_out, NULL, err))
		status = cli_fail(c, FRAME_REFUSED, "export: %s: run sluice journal verify", err);
	archive_close(a);
	return status;
}

/* Writes beside the target and renames, so that a report is whole or not there. What is no file (a pipe, /dev/null) is written to, and stays. */
static int write_report(struct cli *c, struct bytes report, const char *path)
{
	char beside[4096];
	struct stat st;
	FILE *out;
	bool ok;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		out = fopen(path, "we");
		ok = out && fwrite(report.base, 1, report.len, out) == report.len;
		ok = (!out || fclose(out) == 0) && ok;
		return ok ? FRAME_DONE : cli_fail(c, FRAME_REFUSED, "%s: %s: give a file", path, strerror(errno));
	}
	if (snprintf(beside, sizeof(beside), "%s.part", path) >= (int)sizeof(beside))
		return cli_fail(c, FRAME_USAGE, "%s: the name is too long: give a shorter one", path);
	out = fopen(beside, "wxe");
	if (!out)
		return cli_fail(c, FRAME_REFUSED, "%s: %s: remove it or give another --out", beside, strerror(errno));
	ok = fwrite(report.base, 1, report.len, out) == report.len;
	ok = fclose(out) == 0 && ok;
	if (ok && rename(beside, path) == 0)
		return FRAME_DONE;
	(void)unlink(beside);
	return cli_fail(c, FRAME_REFUSED, "%s: cannot be written: see the disk's space", path);
}

/* A report that was made, on its way to a file. */
struct arriving {
	FILE *out;
	bool bad;
};

static bool arrives(void *ctx, json_t *frame)
{
	struct arriving *a = ctx;
	json_t *piece = json_object_get(frame, "b");
	size_t len = json_string_length(piece);
	uint8_t *room = len ? malloc(len) : NULL;
	struct writer w = writer_of(room, room ? len : 0);

	if (len && (!base64_read(bytes_of(json_string_value(piece), len), &w) || fwrite(room, 1, w.len, a->out) != w.len))
		a->bad = true;
	free(room);
	return !a->bad;
}

/* By sluice-control, which asks who wants it. */
static int report_by_control(struct cli *c, const struct archive_filter *filter, const char *form, char **text, size_t *len)
{
	struct arriving a = { .out = open_memstream(text, len) };
	json_t *args = read_arguments("report", filter, 0);
	int status = FRAME_USAGE;

	json_object_set_new(args, "format", json_string(form));
	a.bad = !a.out;
	if (!a.bad && cli_token(c, args))
		status = cli_stream(c, json_incref(args), arrives, &a);
	json_decref(args);
	a.bad |= a.out && fclose(a.out) != 0;
	if (status == FRAME_DONE && (a.bad || *len == 0))
		status = cli_fail(c, FRAME_REFUSED, "export report: ended early: see the log of sluice-control");
	return status;
}

/* Of the directory, by root or of a copy. */
static int report_of_directory(struct cli *c, const struct archive_filter *filter, enum report_form form, char **text, size_t *len)
{
	char dir[320], detail[480], err[EXPORT_ERROR_BYTES];
	struct checkpoint_keys keys;
	struct assess assess;
	struct archive *a;
	bool own;
	int status;

	if (!(a = read_open(c, "export", read_filter_text(c, detail, sizeof(detail)), dir, &status)))
		return status;
	if (!assess_create(&assess)) {
		archive_close(a);
		return cli_fail(c, FRAME_REFUSED, "export report: out of memory: take a smaller range");
	}
	if (!stream_assess(a, filter, &assess, err))
		status = cli_fail(c, FRAME_REFUSED, "export: %s: run sluice journal verify", err);
	else if (assess.records == 0)
		status = cli_fail(c, FRAME_REFUSED, "export report: no record matches: widen the filter");
	else if (!report_text(&assess, form, read_keys(c, dir, &keys, &own) ? keys.name : "", time(NULL), text, len))
		status = cli_fail(c, FRAME_REFUSED, "export report: nothing in this selection to ask about: widen the filter");
	assess_destroy(&assess);
	archive_close(a);
	return status;
}

static int as_pdf(struct cli *c, char **text, size_t *len)
{
	char *page = *text;
	bool good = pdf_make(c, bytes_of(page, *len), text, len);

	free(page);
	return good ? FRAME_DONE : FRAME_REFUSED;
}

int cli_export_report(struct cli *c)
{
	const char *format = cli_option(c, "pdf") ? "pdf" : cli_option(c, "format") ? cli_option(c, "format") : "html";
	const char *path = cli_option(c, "pdf") ? cli_option(c, "pdf") : cli_option(c, "out");
	bool pdf = strcmp(format, "pdf") == 0;
	struct archive_filter filter = { 0 };
	enum report_form form;
	uint64_t limit;
	char *text = NULL;
	size_t len = 0;
	int status;

	if (!report_form_of(pdf ? "html" : format, &form))
		return cli_fail(c, FRAME_USAGE, "export report: --format %s: no such format: html, pdf or oscal", format);
	if (!path)
		return cli_fail(c, FRAME_USAGE, "export report: no file: give --out");
	if (!read_filter(c, &filter, &limit))
		return FRAME_USAGE;
	if (pdf && !pdf_possible(c))
		return FRAME_REFUSED;
	if (cli_option(c, "token-file") && !cli_option(c, "dir"))
		status = report_by_control(c, &filter, pdf ? "html" : format, &text, &len);
	else
		status = report_of_directory(c, &filter, form, &text, &len);
	if (status == FRAME_DONE && pdf)
		status = as_pdf(c, &text, &len);
	if (status == FRAME_DONE)
		status = write_report(c, bytes_of(text, len), path);
	free(text);
	return status;
}
