#include "control/export/frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

struct frames {
	struct frames_to to;
	ZSTD_CCtx *zstd;
	uint8_t *text, *packed;
	size_t len, room;
	unsigned lines;
	uint64_t first, last;
};

struct frames *frames_create(const struct frames_to *to)
{
	struct frames *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	f->to = *to;
	f->room = ZSTD_compressBound(FRAME_BYTES);
	f->zstd = ZSTD_createCCtx();
	f->text = malloc(FRAME_BYTES);
	f->packed = malloc(f->room);
	if (f->zstd && f->text && f->packed && !ZSTD_isError(ZSTD_CCtx_setParameter(f->zstd, ZSTD_c_checksumFlag, 1)))
		return f;
	frames_destroy(f);
	return NULL;
}

void frames_destroy(struct frames *f)
{
	if (!f)
		return;
	ZSTD_freeCCtx(f->zstd);
	free(f->text);
	free(f->packed);
	free(f);
}

bool frames_finish(struct frames *f)
{
	char name[FRAME_NAME_BYTES];
	size_t packed;

	if (f->lines == 0)
		return true;
	packed = ZSTD_compress2(f->zstd, f->packed, f->room, f->text, f->len);
	if (ZSTD_isError(packed) || (size_t)snprintf(name, sizeof name, "%s%020llu-%020llu%s", f->to.prefix, (unsigned long long)f->first,
						     (unsigned long long)f->last, f->to.suffix) >= sizeof name)
		return false;
	f->len = f->lines = 0;
	return f->to.put(f->to.ctx, name, bytes_of(f->packed, packed));
}

bool frames_line(struct frames *f, uint64_t index, struct bytes line)
{
	if (line.len >= FRAME_BYTES)
		return false;
	if ((f->lines == FRAME_LINES || FRAME_BYTES - f->len <= line.len) && !frames_finish(f))
		return false;
	if (f->lines++ == 0)
		f->first = index;
	f->last = index;
	memcpy(f->text + f->len, line.base, line.len);
	f->text[f->len + line.len] = '\n';
	f->len += line.len + 1;
	return true;
}
