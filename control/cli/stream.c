/* stream.c: the verb that hands records out in the form of other systems: export events. */
#include "control/cli/read.h"
#include "control/export/stream.h"

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
		return cli_fail(c, FRAME_USAGE, "export events: --format %s: no such format: jsonl, ocsf, cef or syslog", format);
	if (!read_filter(c, &request.filter, &limit))
		return FRAME_USAGE;
	if (!(a = read_open(c, "export", read_filter_text(c, detail, sizeof(detail)), dir, &status)))
		return status;
	request.origin = read_keys(c, dir, &keys, &own) ? keys.name : "";
	if (!stream_write(a, &request, write_out, NULL, err))
		status = cli_fail(c, FRAME_REFUSED, "export: %s: run sluice journal verify", err);
	archive_close(a);
	return status;
}
