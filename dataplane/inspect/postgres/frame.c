#include "dataplane/inspect/postgres/frame.h"

enum parse_status pg_frame_read(struct bytes in, struct pg_frame *frame)
{
	struct reader r = reader_of_bytes(in);
	uint32_t length;

	*frame = (struct pg_frame){ .total = PG_FRAME_HEAD };
	frame->type = reader_u8(&r);
	length = reader_be32(&r);
	if (!r.ok)
		return PARSE_MORE;
	if (length < 4 || length > PG_FRAME_MAX)
		return PARSE_BAD;
	frame->head = true;
	frame->total = (size_t)length + 1;
	if (in.len < frame->total) {
		frame->body = reader_rest(&r);
		return PARSE_MORE;
	}
	frame->body = reader_bytes(&r, length - 4);
	frame->whole = bytes_of(in.base, frame->total);
	return PARSE_OK;
}

size_t pg_frame_begin(struct writer *w, char type)
{
	writer_u8(w, (uint8_t)type);
	return writer_mark(w, 4);
}

void pg_frame_end(struct writer *w, size_t mark)
{
	writer_patch(w, mark, 4, w->len - mark);
}

void pg_frame_put(struct writer *w, char type, struct bytes body)
{
	size_t mark = pg_frame_begin(w, type);

	writer_put(w, body);
	pg_frame_end(w, mark);
}
