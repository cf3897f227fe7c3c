/* evidence.c: the verbs that hand a journal's content out: session replay and export bundle. */
#include "control/cli/read.h"
#include "control/export/export.h"
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

/* A transcript is safe for a terminal as it comes (replay.h). */
int cli_session_replay(struct cli *c)
{
	char id[33];
	int status;

	if (!read_session_id(c, id, &status))
		return status;
	return read_from_control(c, json_pack("{s:s, s:s, s:b}", "what", "replay", "session", id, "asciicast", cli_option(c, "asciicast") != NULL));
}

int cli_export_bundle(struct cli *c)
{
	struct export_request request = { .out = cli_option(c, "out") };
	struct export_result result;
	struct checkpoint_keys keys;
	char dir[320], detail[480], err[EXPORT_ERROR_BYTES], manifest[65];
	struct archive *a;
	uint64_t limit;
	bool own;
	int status;

	if (!request.out)
		return cli_fail(c, FRAME_USAGE, "export bundle: no directory: give --out");
	if (!read_filter(c, &request.filter, &limit))
		return FRAME_USAGE;
	if (!(a = read_open(c, "export", read_filter_text(c, detail, sizeof(detail)), dir, &status)))
		return status;
	if (!read_keys(c, dir, &keys, &own)) {
		archive_close(a);
		return cli_fail(c, FRAME_REFUSED, "%s/vkey: cannot be read: wait for the first checkpoint", dir);
	}
	request.keys = &keys;
	if (cli_option(c, "with-keys") && !(request.disclose = keys_open(c))) {
		archive_close(a);
		return cli_fail(c, FRAME_REFUSED, "export: the payload keys cannot be read: run it on the node, as root");
	}
	if (!export_bundle(a, &request, &result, err)) {
		payload_keys_close(request.disclose);
		archive_close(a);
		return cli_fail(c, FRAME_REFUSED, "export: %s: run sluice journal verify", err);
	}
	payload_keys_close(request.disclose);
	archive_close(a);
	for (unsigned i = 0; i < 32; i++)
		snprintf(manifest + 2 * i, 3, "%02x", result.manifest_sha256[i]);
	if (c->json)
		print_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "out", request.out, "records", (json_int_t)result.records, "chunks",
				     (json_int_t)result.chunks, "keys", (json_int_t)result.keys, "first", (json_int_t)result.first, "last", (json_int_t)result.last, "checkpoint_size",
				     (json_int_t)result.checkpoint_size, "manifest_sha256", manifest));
	else
		printf("%llu records, %llu chunks in %s; MANIFEST.sha256 is %s; to check it: see VERIFY.md in it\n", (unsigned long long)result.records,
		       (unsigned long long)result.chunks, request.out, manifest);
	return FRAME_DONE;
}
