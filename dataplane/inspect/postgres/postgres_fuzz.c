/* Both directions' bytes and the host's answers, driven by the input: after a good login, or from the first byte.
 *
 * Input: u8 start (logged in, in small pieces, how much it may borrow), then steps: u8 kind, u8 type, u8 length, bytes. Never crashes; no text reaches the server that was not allowed; no command is
 * answered twice; no canary in a row reaches the client (postgres_kit.c asserts all but the last).
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/inspect/postgres/frame.h"
#include "dataplane/inspect/postgres/postgres_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CANARY "canary.person@example.com"

static const uint32_t types[] = { 25, 1043, 1042, 19, 705, 114, 3802, 1009, 1015, 2249, 142, 17, 600, 99999, 3904, 1009 };
static const char *const texts[] = { "select 1", "select * from customers", "DENY", "HOLD", "UNKNOWN", "copy customers to stdout", "copy customers to stdout csv",
				     "copy t from stdin", "set search_path = x", "deallocate all", "rollback" };

/* A result with a canary in its cell, of some type and format. */
static void canary_rows(struct kit *k, uint8_t how, size_t segment)
{
	uint8_t buffer[1024], value[128];
	struct writer w = writer_of(buffer, sizeof(buffer)), v = writer_of(value, sizeof(value));
	uint32_t type = types[how % 16];
	bool binary = how & 16;
	size_t mark;

	if (type == 3802 && binary)
		writer_u8(&v, 1);
	writer_str(&v, type == 114 || type == 3802 ? "{\"a\": [\"x " CANARY "\"]}" : type == 1009 || type == 1015 ? "{a,\"b " CANARY "\"}" :
		       type == 2249 ? "(1,\"" CANARY "\")" : "some " CANARY " text");
	if (binary && (type == 1009 || type == 1015 || type == 2249 || type == 17))
		binary = type == 17;
	kit_column(&w, how & 32 ? "email" : "x", how & 64 ? 1000 : 0, 1 + (how & 3), type, binary);
	mark = pg_frame_begin(&w, 'D');
	writer_be16(&w, 1);
	writer_be32(&w, (uint32_t)v.len);
	writer_put(&w, writer_done(&v));
	pg_frame_end(&w, mark);
	kit_feed(k, SIDE_SERVER, writer_done(&w), segment);
}

/* The same in a row that is longer than is read whole: `fill` around the canary, which stands about 64 KiB x `where` / 16 inside. */
static void long_canary_row(struct kit *k, uint8_t how, uint8_t where, uint8_t fill)
{
	static uint8_t buffer[(1u << 20) + (1u << 17)];
	struct writer w = writer_of(buffer, sizeof(buffer)), length;
	uint32_t type = types[how % 16];
	bool list = type == 1009 || type == 1015, json = type == 114 || type == 3802, record = type == 2249;
	bool binary = (how & 16) && !list && !record;
	size_t frame, cell;

	kit_column(&w, how & 32 ? "email" : "x", how & 64 ? 1000 : 0, 1 + (how & 3), type, binary);
	frame = pg_frame_begin(&w, 'D');
	writer_be16(&w, 1);
	cell = w.len;
	writer_be32(&w, 0);
	if (binary && type == 3802)
		writer_u8(&w, 1);
	writer_str(&w, json ? "{\"a\": [\"x" : list ? "{a,\"b" : record ? "(1,\"" : "some");
	for (size_t i = 0; i < 4096u * where; i++)
		writer_u8(&w, fill);
	writer_str(&w, " " CANARY " ");
	while (w.len < (1u << 20) + (1u << 16))
		writer_u8(&w, fill);
	writer_str(&w, json ? "\"]}" : list ? "\"}" : record ? "\")" : "");
	length = writer_of(buffer + cell, 4);
	writer_be32(&length, (uint32_t)(w.len - cell - 4));
	pg_frame_end(&w, frame);
	kit_feed(k, SIDE_SERVER, writer_done(&w), 0);
}

static void step(struct kit *k, struct reader *r, size_t segment)
{
	uint8_t kind = reader_u8(r), type = reader_u8(r), len = reader_u8(r), buffer[512];
	struct bytes body = reader_bytes(r, len <= r->left ? len : r->left);
	struct writer w = writer_of(buffer, sizeof(buffer));
	struct reader of_body = reader_of(body.base, body.len);

	switch (kind % 12) {
	case 0:
	case 1:
		pg_frame_put(&w, (char)type, body);
		kit_feed(k, kind % 12 ? SIDE_SERVER : SIDE_CLIENT, writer_done(&w), segment);
		break;
	case 2:
		kit_feed(k, SIDE_CLIENT, body, segment);
		break;
	case 3:
		kit_feed(k, SIDE_SERVER, body, segment);
		break;
	case 4:
		kit_release(k, type & 1, type & 2);
		break;
	case 5:
		kit_query(&w, texts[type % 11]);
		kit_feed(k, SIDE_CLIENT, writer_done(&w), segment);
		break;
	case 6:
		kit_parse(&w, len & 1 ? "s" : "", texts[type % 11]);
		kit_bind(&w, len & 2 ? "p" : "", len & 4 ? "s" : "");
		kit_execute(&w, len & 2 ? "p" : "", len & 8);
		if (len & 16)
			kit_message(&w, 'S', NULL, 0);
		kit_feed(k, SIDE_CLIENT, writer_done(&w), segment);
		break;
	case 7:
		if (len == 255)
			long_canary_row(k, type, reader_u8(&of_body), reader_u8(&of_body) & 0x7f);
		else
			canary_rows(k, type, segment);
		break;
	case 8:
		kit_message(&w, "123nZCEsIcGH"[type % 12], "I\0", type % 12 == 4 ? 1 : type % 12 < 4 ? 0 : 2);
		kit_feed(k, SIDE_SERVER, writer_done(&w), segment);
		break;
	case 9:
		kit_ready(&w, "ITE"[type % 3]);
		kit_feed(k, SIDE_SERVER, writer_done(&w), segment);
		break;
	case 10:
		kit_error(&w, "22P02", "invalid: \"" CANARY "\"");
		kit_feed(k, SIDE_SERVER, writer_done(&w), segment);
		break;
	default:
		kit_message(&w, type & 1 ? 'd' : 'H', type & 1 ? "a\t" CANARY "\n" : "\0\0\3\0\0\0\0\0", type & 1 ? strlen(CANARY) + 3 : 9);
		kit_feed(k, SIDE_SERVER, writer_done(&w), segment);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kit k;
	struct reader r = reader_of(data, size);
	uint8_t start = reader_u8(&r);
	size_t segment = start & 2 ? 1 + (start >> 4) : 0;

	kit_begin(&k);
	if (start & 12)
		k.pieces_max = (start >> 2 & 3) - 1u;
	if (start & 1)
		kit_login(&k, 0);
	while (r.left && !k.closed)
		step(&k, &r, segment);
	/* A canary that the fuzzer learned to write itself may stand where nothing is masked: a label, a tag, broken UTF-8. */
	if ((start & 1) && !memmem(data, size, "canary", 6) && kit_wrote(&k, SIDE_CLIENT, CANARY)) {
		fprintf(stderr, "a canary reached the client\n");
		abort();
	}
	kit_end(&k);
	return 0;
}
