/* proof.c: journal proof: of one record, or that one tree of the log is the beginning of a later one. */
#include <stdlib.h>
#include <string.h>

#include "control/anchor/cosignature.h"
#include "control/cli/read.h"
#include "control/export/consistency.h"
#include "control/journal/base64.h"

struct proof {
	char text[CONSISTENCY_BYTES];
	size_t len;
};

static bool take_text(void *ctx, json_t *frame)
{
	struct proof *p = ctx;
	json_t *text = json_object_get(frame, "t");
	size_t len = json_string_length(text);

	if (!text)
		return true;
	if (len > sizeof(p->text) - p->len)
		return false;
	memcpy(p->text + p->len, json_string_value(text), len);
	p->len += len;
	return true;
}

static int of_copy(struct cli *c, uint64_t from, uint64_t to, struct proof *p)
{
	char err[ARCHIVE_ERROR_BYTES], wrong[CONSISTENCY_ERROR_BYTES];
	struct archive *a = archive_open(cli_option(c, "dir"), err);
	struct writer w = writer_of(p->text, sizeof(p->text));
	bool good;

	if (!a)
		return cli_fail(c, FRAME_REFUSED, "%s: %s: name a journal's directory, readable by you", cli_option(c, "dir"), err);
	good = consistency_write(a, from, to, &w, wrong);
	p->len = w.len;
	archive_close(a);
	return good ? FRAME_DONE : cli_fail(c, FRAME_REFUSED, "journal proof: %s: give sizes of checkpoints, the smaller one first", wrong);
}

static int proof_json(const struct proof *p)
{
	struct cosignature_request said;
	json_t *hashes = json_array();
	struct checkpoint newer;

	if (!cosignature_request_read(bytes_of(p->text, p->len), &said) || checkpoint_parse(said.note, true, &newer, NULL) != NULL) {
		json_decref(hashes);
		return FRAME_REFUSED;
	}
	for (size_t i = 0; i < said.proof.count; i++) {
		char hex[2 * MERKLE_HASH_BYTES];
		struct writer w = writer_of(hex, sizeof(hex));

		hex_write(&w, bytes_of(said.proof.hash[i].b, MERKLE_HASH_BYTES));
		json_array_append_new(hashes, json_stringn(hex, w.len));
	}
	print_json(json_pack("{s:I, s:I, s:o, s:s%}", "from", (json_int_t)said.old_size, "to", (json_int_t)newer.size, "hashes", hashes, "checkpoint", said.note.base, said.note.len));
	return FRAME_DONE;
}

static int consistency(struct cli *c)
{
	struct proof *p = calloc(1, sizeof(*p));
	char *end = "";
	uint64_t from = 0, to = c->positionals ? strtoull(c->positional[0], &end, 10) : 0;
	json_t *args = NULL;
	int status = FRAME_USAGE;

	if (!p || *end || !read_number_option(c, "consistency", &from)) {
		if (*end)
			cli_fail(c, FRAME_USAGE, "%s: not a number: give the size of the later checkpoint, or leave it out", c->positional[0]);
	} else if (cli_option(c, "dir")) {
		status = of_copy(c, from, to, p);
	} else if (cli_token(c, args = json_pack("{s:s, s:I, s:I}", "what", "proof", "consistency", (json_int_t)from, "to", (json_int_t)to))) {
		status = cli_stream(c, json_incref(args), take_text, p);
	}
	json_decref(args);
	if (status == FRAME_DONE && c->json)
		status = proof_json(p);
	else if (status == FRAME_DONE)
		fwrite(p->text, 1, p->len, stdout);
	free(p);
	return status;
}

int cli_journal_proof(struct cli *c)
{
	if (cli_option(c, "consistency"))
		return consistency(c);
	if (!c->positionals)
		return cli_fail(c, FRAME_USAGE, "journal proof: N is missing: give a record's index, or --consistency");
	return read_one(c, "proof");
}
