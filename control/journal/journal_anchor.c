/* journal_anchor.c: what others vouch for checkpoints with: kept in the spine, cosignatures also behind the newest note as published. */
#include <stdio.h>

#include "control/journal/journal_impl.h"
#include "control/journal/tiles.h"

#define COSIGNATURES_MAX (CHECKPOINT_SIGNATURES_MAX - 4) /* behind one note; the log's own lines need room */

static bool note_append(struct publish *p, struct bytes line)
{
	if (line.len > sizeof p->note - p->note_len || p->cosignatures == COSIGNATURES_MAX)
		return false;
	p->cosignatures++;
	memcpy(p->note + p->note_len, line.base, line.len);
	p->note_len += line.len;
	return true;
}

void anchor_note_open(struct journal *j)
{
	struct bytes line;

	for (unsigned i = 0; archive_anchor(j->archive, ARCHIVE_COSIGNATURE, j->publish.note_size, i, &line); i++)
		if (!note_append(&j->publish, line))
			return;
}

struct bytes journal_checkpoint_stored(const struct journal *j)
{
	return bytes_of(j->publish.note, j->publish.stored_len);
}

bool journal_consistency(struct journal *j, uint64_t old_size, uint64_t new_size, struct merkle_proof *out)
{
	struct merkle_source source = journal_source(j);

	*out = (struct merkle_proof){ 0 };
	return !j->is_stopped && new_size <= j->range.size && journal_archive(j) && merkle_prove_consistency(&source, old_size, new_size, out);
}

bool journal_anchor(struct journal *j, enum archive_anchor kind, uint64_t size, struct bytes value)
{
	struct publish *p = &j->publish;
	int code;

	if (j->is_stopped || size == 0 || size > p->note_size || value.len == 0)
		return false;
	code = spine_anchor_put(&j->spine, (enum spine_anchor)kind, size, value);
	if (code == MDB_KEYEXIST)
		return false;
	if (code) {
		journal_stop(j, "the spine cannot be written: %s", segment_error(code));
		return false;
	}
	/* The file is for whoever looks; what counts is in the spine. */
	if (kind == ARCHIVE_COSIGNATURE && size == p->note_size && note_append(p, value))
		(void)tiles_write_file(j->dir, "checkpoint", bytes_of(p->note, p->note_len));
	return true;
}
