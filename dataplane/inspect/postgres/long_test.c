/* Rows that are longer than is read whole. A value is a head, a unit again and again, and a tail; what is to come out is the same of what they
 * are when masked. Units have odd lengths, so that windows end anywhere in them. Every script at a segmentation of one byte, seven and whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "dataplane/inspect/postgres/postgres_kit.h"

#define LONG ((1u << 20) + 200000u)
#define MAIL "ada@example.com"
#define STARS "***************" /* as long */
#define LONG_MAIL "ada.countess.of.lovelace@example.com"
#define LONG_MASK "******************" "***@masked.invalid"

static const size_t segments[] = { 1, 7, 0 };
static struct kit k;
static uint8_t sent[6u << 20], expected[6u << 20];

#define FOR_EACH_SEGMENT for (size_t sg_ = 0; sg_ < 3; sg_++) for (size_t segment = segments[sg_], once_ = 1; once_; once_ = 0)

struct part {
	const char *in, *out; /* out NULL: as it is */
	size_t len;           /* 0: of the text */
};

/* The column that a value comes in, and the value. */
struct value {
	const char *name, *query;
	uint32_t relation;
	unsigned attnum;
	uint32_t type;
	bool binary;
	struct part head, unit, tail;
	size_t len; /* 0: LONG */
};

#define OTHER "select x from other", 0, 0
#define NAME "select x from customers", 1000, 2 /* class "name", which is masked as a whole */

static void put(struct writer *in, struct writer *out, const struct part *p)
{
	size_t len = p->len ? p->len : p->in ? strlen(p->in) : 0;

	assert_true(p->len || !p->out || strlen(p->out) == len);
	writer_bytes(in, p->in ? p->in : "", len);
	writer_bytes(out, p->out ? p->out : p->in ? p->in : "", len);
}

static void put_value(struct writer *in, struct writer *out, const struct value *v)
{
	size_t from = in->len;

	put(in, out, &v->head);
	while (in->len - from < (v->len ? v->len : LONG))
		put(in, out, &v->unit);
	put(in, out, &v->tail);
}

static void start(const char *query)
{
	struct writer w = writer_of(sent, sizeof(sent));

	kit_begin(&k);
	kit_login(&k, 0);
	kit_query(&w, query);
	kit_feed(&k, SIDE_CLIENT, writer_done(&w), 0);
	kit_clear(&k);
}

/* In pieces up to behind the first window, and at the end. */
static void feed(struct bytes in, size_t segment)
{
	size_t first = in.len < 66000 ? in.len : 66000, last = in.len - first < 2000 ? in.len - first : 2000;

	kit_feed(&k, SIDE_SERVER, bytes_of(in.base, first), segment);
	kit_feed(&k, SIDE_SERVER, bytes_of(in.base + first, in.len - first - last), 0);
	kit_feed(&k, SIDE_SERVER, bytes_of(in.base + in.len - last, last), segment);
}

/* The answer's end; then all that was to come is there, byte by byte. */
static void finish(const char *name, struct writer *in, struct writer *out, const char *tag, size_t segment)
{
	for (int i = 0; i < 2; i++) {
		kit_complete(i ? in : out, tag);
		kit_ready(i ? in : out, 'I');
	}
	assert_true(in->ok && out->ok);
	feed(writer_done(in), segment);
	if (k.closed || k.out_len[SIDE_CLIENT] != out->len || memcmp(k.out[SIDE_CLIENT], out->base, out->len) != 0) {
		size_t at = 0;

		while (at < out->len && at < k.out_len[SIDE_CLIENT] && k.out[SIDE_CLIENT][at] == out->base[at])
			at++;
		fail_msg("%s, pieces of %zu: %zu bytes for %zu, unlike from %zu on: \"%.60s\" for \"%.60s\"", name, segment, k.out_len[SIDE_CLIENT],
			 out->len, at, k.out[SIDE_CLIENT] + at, out->base + at);
	}
	assert_int_equal(k.last.outcome, RESPONSE_OK);
	kit_end(&k);
}

static void row(const struct value *v, size_t segment)
{
	struct writer in = writer_of(sent, sizeof(sent)), out = writer_of(expected, sizeof(expected));
	size_t frame, cell;

	start(v->query);
	in = writer_of(sent, sizeof(sent));
	kit_column(&in, "x", v->relation, v->attnum, v->type, v->binary);
	kit_column(&out, "x", v->relation, v->attnum, v->type, v->binary);
	frame = in.len;
	writer_bytes(&in, "D\0\0\0\0\0\1\0\0\0\0", 11);
	writer_bytes(&out, "D\0\0\0\0\0\1\0\0\0\0", 11);
	cell = in.len;
	put_value(&in, &out, v);
	writer_patch(&in, frame + 1, 4, in.len - frame - 1);
	writer_patch(&out, frame + 1, 4, in.len - frame - 1);
	writer_patch(&in, cell - 4, 4, in.len - cell);
	writer_patch(&out, cell - 4, 4, in.len - cell);
	finish(v->name, &in, &out, "SELECT 1", segment);
}

static void rows(const struct value *v, size_t count)
{
	for (size_t i = 0; i < count; i++)
		FOR_EACH_SEGMENT
			row(&v[i], segment);
}

#define ROWS(values) rows(values, sizeof(values) / sizeof((values)[0]))

static void json(void **state)
{
	static const struct value values[] = {
		{ "leaves", OTHER, 114, false, { "[" },
		  { "{\"a\": \"x " MAIL " y\", \"b\":[-12.5e3,true,null,\"\"]},", "{\"a\": \"x " STARS " y\", \"b\":[-12.5e3,true,null,\"\"]}," }, { "7]" } },
		{ "a mask that fits", OTHER, 3802, false, { "[" }, { "\"" LONG_MAIL "\", ", "\"" LONG_MASK "\", " }, { "null]" } },
		{ "jsonb in binary", OTHER, 3802, true, { "\1[" }, { "[\"" MAIL "\"], ", "[\"" STARS "\"], " }, { "{}]" } },
		{ "keys are values too", OTHER, 3802, false, { "{" }, { "\"" MAIL "\" : 17, ", "\"" STARS "\" : 17, " }, { "\"\": \"\"}" } },
		{ "escapes", OTHER, 114, false, { "[" }, { "\"\\u0061da@example.com \\\"\\\\\", \"\\n\\\"\",", "\"******************** \\\"\\\\\", \"\\n\\\"\"," },
		  { "\"\\\\\"]" } },
		{ "a key that masks", OTHER, 114, false, { "[" },
		  { "{\"email\":\"Ada\",\"b\":\"Ada\"},{\"email\":[471,\"Bo\\\"\"],\"c\":1},", "{\"email\":\"***\",\"b\":\"Ada\"},{\"email\":[0  ,\"****\"],\"c\":1}," },
		  { "1]" } },
		{ "a tagged column", NAME, 3802, false, { "{" }, { "\"k\": [\"Ada\", 12, -0.5, true, null], ", "\"k\": [\"***\", 0 , 0   , true, null], " },
		  { "\"l\": 7}", "\"l\": 0}" } },
		{ "one long string", OTHER, 114, false, { "[\"\\\"" }, { "x " MAIL " \\\\\\n\\\" ", "x " STARS " \\\\\\n\\\" " },
		  { "\",\"" MAIL "\"]", "\",\"" STARS "\"]" } },
		{ "one long string of escapes", OTHER, 114, false, { "\"" }, { "\\u0061\\u0064a\\u0040example.com \\u00e9 ", "****************************** \\u00e9 " },
		  { "\"" } },
		{ "one long key", OTHER, 114, false, { "{\"" }, { "x " MAIL " ", "x " STARS " " }, { "\" : \"" MAIL "\"}", "\" : \"" STARS "\"}" } },
		{ "one long string under a key that masks", OTHER, 114, false, { "{\"email\":\"" }, { "abcdefghi", "*********" }, { "\",\"a\":\"Ada\"}" } },
		{ "one long number", OTHER, 114, false, { "[1", "[0" }, { "0123456789", "          " }, { ",17]" } },
		{ "a long string that is tagged", NAME, 3802, true, { "\1[\"" }, { "Ada\\\"", "*****" }, { "\", 4711]", "\", 0   ]" } },
		{ "much space", OTHER, 114, false, { "{\"email\"" }, { "  \n" }, { ":\"Ada\"}", ":\"***\"}" } },
	};

	ROWS(values);
}

static void deep_json(void **state)
{
	/* Depth is no state: as many brackets as fit. */
	static const struct value values[] = {
		{ "brackets", OTHER, 114, false, { "" }, { "[{\"a\":" }, { "\"" MAIL "\"", "\"" STARS "\"" } },
		{ "brackets that end", OTHER, 114, false, { "[[[" }, { "]},{\"b\":[" }, { "\"" MAIL "\"]", "\"" STARS "\"]" } },
	};

	ROWS(values);
}

static void arrays_and_rows(void **state)
{
	static const struct value values[] = {
		{ "text[]", OTHER, 1009, false, { "{" }, { "\"x " MAIL "\",NULL,\"a\\\"b\\\\\",plain," MAIL ",\"\",", "\"x " STARS "\",NULL,\"a\\\"b\\\\\",plain," STARS ",\"\"," },
		  { "z}" } },
		{ "bounds and dimensions", OTHER, 1009, false, { "[0:9][1:2]={" }, { "{a," MAIL "},", "{a," STARS "}," }, { "{\"" MAIL "\",b}}", "{\"" STARS "\",b}}" } },
		{ "with escapes", OTHER, 1009, false, { "{" }, { "\"ada\\@example.com \\\\\",", "\"**************** \\\\\"," }, { "z}" } },
		{ "one long item", OTHER, 1009, false, { "{\"" }, { "x " MAIL " \\\"\\\\", "x " STARS " \\\"\\\\" }, { "\"," MAIL "}", "\"," STARS "}" } },
		{ "one long item without quotes", OTHER, 1009, false, { "{" }, { "x" }, { "," MAIL "}", "," STARS "}" } },
		{ "json[]", OTHER, 199, false, { "{" }, { "\"{\\\"a\\\": \\\"" MAIL "\\\", \\\"email\\\": 17}\",", "\"{\\\"a\\\": \\\"" STARS "\\\", \\\"email\\\": 0 }\"," },
		  { "5}" } },
		{ "json[] of one long string", OTHER, 199, false, { "{\"\\\"" }, { "x " MAIL " \\\\\\\\ ", "x " STARS " \\\\\\\\ " },
		  { "\\\"\",\"\\\"" MAIL "\\\"\"}", "\\\"\",\"\\\"" STARS "\\\"\"}" } },
		{ "int4[] that is tagged", NAME, 1007, false, { "{" }, { "4711,-3,NULL,", "0000,00,NULL," }, { "7}", "0}" } },
		{ "text[] that is tagged", NAME, 1009, false, { "{" }, { "Ada,\"B \\\"B\\\"\",NULL,", "***,\"*******\",NULL," }, { "C}", "*}" } },
		{ "a row", OTHER, 2249, false, { "(" }, { "\"x \"\"" MAIL "\"\" \\\\\",,3," MAIL ",", "\"x \"\"" STARS "\"\" \\\\\",,3," STARS "," }, { "z)" } },
		{ "a row that is tagged", NAME, 2249, false, { "(" }, { "Ada,\"B \"\"B\"\"\",,", "***,\"*******\",," }, { "C)", "*)" } },
		{ "a table's row that is tagged", NAME, 99999, false, { "(" }, { "Ada,\"B \"\"B\"\"\",,", "***,\"*******\",," }, { "C)", "*)" } },
		{ "an own array that is tagged", NAME, 99999, false, { "{" }, { "Ada,\"B \\\"\",", "***,\"****\"," }, { "C}", "*}" } },
	};

	ROWS(values);
}

#define TEXTS(len, text) "\0\0\0" len text "\xff\xff\xff\xff"

static void arrays_and_rows_in_binary(void **state)
{
	/* 50,000 times a text and NULL; a row of a long text and a bigint. */
	static const char head[] = "\0\0\0\1\0\0\0\1\0\0\0\x19\0\1\x86\xa0\0\0\0\1";
	static const char numbers[] = "\0\0\0\2\0\0\0\0\0\0\0\x14\0\0\xc3\x50\0\0\0\2\0\0\0\2\0\0\0\1";
	static const char eight[] = "\0\0\0\x08\0\0\0\0\0\0\x12\x67", zero[] = "\0\0\0\x08\0\0\0\0\0\0\0\0";
	static const char jsons[] = "\0\0\0\1\0\0\0\1\0\0\x0e\xda\0\0\xc3\x50\0\0\0\1";
	const struct value values[] = {
		{ "text[]", OTHER, 1009, true, { head, NULL, 20 }, { TEXTS("\x12", "x " MAIL "."), TEXTS("\x12", "x " STARS "."), 26 }, { 0 }, 50000 * 26 },
		{ "text[] that is tagged", NAME, 1009, true, { head, NULL, 20 }, { TEXTS("\x12", "x " MAIL "."), TEXTS("\x12", "******************"), 26 }, { 0 },
		  50000 * 26 },
		{ "int8[][] that is tagged", NAME, 1016, true, { numbers, NULL, 28 }, { eight, zero, 12 }, { 0 }, 100000 * 12 },
		{ "jsonb[]", OTHER, 3807, true, { jsons, NULL, 20 }, { "\0\0\0\x17\1[\"" MAIL "\", 1]", "\0\0\0\x17\1[\"" STARS "\", 1]", 27 }, { 0 }, 50000 * 27 },
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct value v = values[i];

		v.len += v.head.len - 1; /* exactly so many */
		FOR_EACH_SEGMENT
			row(&v, segment);
	}
}

/* A row of a text, an array that holds rows, and nothing; each length fits. */
static void rows_within_rows_in_binary(void **state)
{
	for (unsigned depth = 1; depth < 24; depth += 5) {
		FOR_EACH_SEGMENT {
			struct writer in = writer_of(sent, sizeof(sent)), out = writer_of(expected, sizeof(expected));

			start("select x from other");
			in = writer_of(sent, sizeof(sent));
			for (int i = 0; i < 2; i++) {
				struct writer *w = i ? &in : &out;
				size_t frame, mark[25];

				kit_column(w, "x", 0, 0, 2249, 1);
				frame = w->len;
				writer_bytes(w, "D\0\0\0\0\0\1\0\0\0\0", 11);
				mark[0] = w->len;
				for (unsigned d = 1; d <= depth; d++) {
					writer_bytes(w, "\0\0\0\2\0\0\0\x19\0\0\0\x0f", 12);
					writer_str(w, i ? MAIL : STARS);
					writer_be32(w, d == depth ? 25 : 2249);
					writer_be32(w, 0);
					mark[d] = w->len;
				}
				for (unsigned n = 0; n < LONG / 16; n++)
					writer_str(w, i ? MAIL " " : STARS " ");
				for (unsigned d = 0; d <= depth; d++)
					writer_patch(w, mark[d] - 4, 4, w->len - mark[d]);
				writer_patch(w, frame + 1, 4, w->len - frame - 1);
			}
			finish("rows within rows", &in, &out, "SELECT 1", segment);
		}
	}
}

static void bytes_and_texts(void **state)
{
	static const struct value values[] = {
		{ "text", OTHER, 25, false, { "x" }, { " " MAIL " " LONG_MAIL ".", " " STARS " " LONG_MASK "." }, { " y" } },
		{ "text without a gap", OTHER, 25, false, { "x" }, { "abcdefghij0123456789" }, { " " MAIL, " " STARS } },
		{ "bytea", OTHER, 17, true, { "x" }, { " " MAIL " \xff ", " " STARS " \xff " }, { "y" } },
		{ "bytea as text", OTHER, 17, false, { "\\x" },
		  { "20616461406578616d706c652e636f6d20ff", "202a2a2a2a2a2a2a2a2a2a2a2a2a2a2a20ff" }, { "20" } },
		{ "bytea that is tagged", NAME, 17, false, { "\\x" }, { "4c6f", "0000" }, { "20", "00" } },
		{ "a numeric that is tagged", NAME, 1700, false, { "-1", "00" }, { "0123456789", "0000000000" }, { ".5", "00" } },
		{ "a type that nobody knows", OTHER, 3904, false, { "[" }, { MAIL ",", STARS "," }, { ")" } },
	};

	ROWS(values);
}

/* Short cells beside a long one, each of a type, in a column that is masked as a whole. */
static void short_cells_of_a_long_row(void **state)
{
	static const struct { uint32_t type; bool binary; struct part cell; } cells[] = {
		{ 23, false, { "-4711", "00000" } },
		{ 23, true, { "\1\2\3\4", "\0\0\0\0", 4 } },
		{ 701, true, { "\1\2\3\4\1\2\3\4", "\0\0\0\0\0\0\0\0", 8 } },
		{ 790, false, { "$4,711.00", "$0,000.00" } },
		{ 16, false, { "t", "f" } },
		{ 1082, false, { "1815-12-10", "1970-01-01" } },
		{ 1082, false, { "0044-03-15 BC", "1970-01-01   " } },
		{ 1082, false, { "infinity", "19700101" } },
		{ 1082, true, { "\xff\xff\x11\x11", "\xff\xff\xd5\x33", 4 } },
		{ 1114, false, { "1815-12-10 12:34:56.789", "1970-01-01 00:00:00.000" } },
		{ 1184, false, { "1815-12-10 12:34:56+01:30", "1970-01-01 00:00:00+00:00" } },
		{ 2950, false, { "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000" } },
		{ 869, false, { "192.168.1.27", "128.128.0.64" } },
		{ 650, false, { "172.16.0.0/12", "128.64.0.0/12" } },
		{ 869, false, { "2001:db8::1", "0000:000::0" } },
		{ 869, false, { "::ffff:10.1.2.3", "::0000:64.0.0.0" } },
		{ 869, true, { "\2\x18\0\4\xc0\xa8\1\2", "\2\x20\0\4\0\0\0\0", 8 } },
		{ 1700, true, { "\0\2\0\1\x40\0\0\2\x12\x34\x12\x34", "\0\2\0\0\0\0\0\0\0\0\0\0", 12 } },
		{ 3802, true, { "\1{\"a\": 12}", "\1{\"a\": 0 }" } },
		{ 1009, false, { "{Ada,NULL}", "{***,NULL}" } },
		{ 25, false, { "Ada", "***" } },
		{ 25, false, { "", "" } },
	};

	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		for (size_t sg = 0; sg < 3; sg++) {
			struct writer in = writer_of(sent, sizeof(sent)), out = writer_of(expected, sizeof(expected));
			size_t len = cells[i].cell.len ? cells[i].cell.len : strlen(cells[i].cell.in);

			start("select x from customers");
			in = writer_of(sent, sizeof(sent));
			for (int n = 0; n < 2; n++) {
				struct writer *w = n ? &in : &out;
				size_t frame = w->len;

				writer_bytes(w, "T\0\0\0\0\0\2x", 8);
				writer_bytes(w, "\0\0\0\x03\xe8\0\2", 7);
				writer_be32(w, cells[i].type);
				writer_bytes(w, "\xff\xff\xff\xff\xff\xff\0", 7);
				writer_u8(w, cells[i].binary);
				writer_bytes(w, "y\0\0\0\x03\xe8\0\1\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0", 20);
				writer_patch(w, frame + 1, 4, w->len - frame - 1);
				frame = w->len;
				writer_bytes(w, "D\0\0\0\0\0\2", 7);
				writer_be32(w, (uint32_t)len);
				writer_bytes(w, n ? cells[i].cell.in : cells[i].cell.out, len);
				writer_be32(w, LONG);
				memset(writer_room(w, LONG), 'y', LONG);
				writer_patch(w, frame + 1, 4, w->len - frame - 1);
			}
			finish(cells[i].cell.in, &in, &out, "SELECT 1", segments[sg]);
		}
	}
}

/* One CopyData of `before`, a value and `after`; `format` as CopyOutResponse says it. */
static void copied(const struct value *v, const struct part *before, const struct part *after, unsigned columns, size_t segment)
{
	struct writer in = writer_of(sent, sizeof(sent)), out = writer_of(expected, sizeof(expected));

	start(v->query);
	in = writer_of(sent, sizeof(sent));
	for (int i = 0; i < 2; i++) {
		struct writer *w = i ? &in : &out;
		uint8_t head[32] = { v->binary, 0, (uint8_t)columns };

		kit_message(w, 'H', head, 3 + 2 * columns);
	}
	for (int i = 0; i < 2; i++) {
		size_t frame = in.len, len;

		writer_bytes(&in, "d\0\0\0\0", 5);
		writer_bytes(&out, "d\0\0\0\0", 5);
		put(&in, &out, before);
		len = in.len;
		put_value(&in, &out, v);
		if (v->binary) {
			writer_patch(&in, len - 4, 4, in.len - len);
			writer_patch(&out, len - 4, 4, in.len - len);
		}
		put(&in, &out, after);
		writer_patch(&in, frame + 1, 4, in.len - frame - 1);
		writer_patch(&out, frame + 1, 4, in.len - frame - 1);
		if (v->binary)
			break; /* the file's header comes once */
	}
	if (v->binary) {
		kit_message(&in, 'd', "\xff\xff", 2);
		kit_message(&out, 'd', "\xff\xff", 2);
	}
	kit_message(&in, 'c', NULL, 0);
	kit_message(&out, 'c', NULL, 0);
	finish(v->name, &in, &out, "COPY 2", segment);
}

static void copies(void **state)
{
	static const struct { struct value value; struct part before, after; unsigned columns; } cases[] = {
		{ { "text", "copy other to stdout", 0, 0, 0, false, { "x" }, { " " MAIL "\\\\ \\t", " " STARS "\\\\ \\t" }, { "" } },
		  { "1\t\\N\t" MAIL "\t", "1\t\\N\t" STARS "\t" }, { "\t\n" }, 5 },
		{ { "text, escapes", "copy other to stdout", 0, 0, 0, false, { "" }, { "ada\\@example.com\\n", "****************\\n" }, { "" } }, { "" }, { "\n" }, 1 },
		{ { "csv", "copy other to stdout csv", 0, 0, 0, false, { "\"" }, { "x " MAIL " \"\" , \n", "x " STARS " \"\" , \n" }, { "\"" } },
		  { "1,," MAIL ",", "1,," STARS "," }, { ",\"\"\n" }, 5 },
		{ { "csv without quotes", "copy other to stdout csv", 0, 0, 0, false, { "" }, { "x " MAIL " ", "x " STARS " " }, { "" } },
		  { "\"" MAIL "\",", "\"" STARS "\"," }, { ",z\n" }, 3 },
		{ { "many cells", "copy other to stdout", 0, 0, 0, false, { "" }, { "x" }, { "" }, 1 }, { "" }, { "\n" }, 1 },
		{ { "text that is tagged", "copy (select flow name from customers) to stdout", 0, 0, 0, false, { "" }, { "Ada \\\\", "******" }, { "" } }, { "" }, { "\n" }, 1 },
		{ { "csv that is tagged", "copy (select flow name from customers) to stdout csv", 0, 0, 0, false, { "\"" }, { "Ada \"\"", "******" }, { "\"" } }, { "" },
		  { "\n" }, 1 },
		{ { "binary", "copy other to stdout binary", 0, 0, 0, true, { "x" }, { " " MAIL "\n", " " STARS "\n" }, { "" } },
		  { "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\3\xff\xff\xff\xff\0\0\0\x0f" MAIL "\0\0\0\0",
		    "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\3\xff\xff\xff\xff\0\0\0\x0f" STARS "\0\0\0\0", 21 + 4 + 4 + 15 + 4 }, { "" }, 3 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		FOR_EACH_SEGMENT
			copied(&cases[i].value, &cases[i].before, &cases[i].after, cases[i].columns, segment);
}

/* What does not fit its description, or cannot be masked in place. */
static void what_is_not_begun_or_not_finished(void **state)
{
	static const struct { struct value value; bool closes; } cases[] = {
		{ { "an interval", NAME, 1186, false, { "" }, { "1 day " }, { "" } }, false },
		{ { "a row in binary whose type nobody knows", NAME, 99999, true, { "" }, { "Ada" }, { "" } }, false },
		{ { "more behind the array", OTHER, 1009, true, { "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\1a", NULL, 25 }, { MAIL }, { "" } }, true },
		{ { "an item longer than its array", OTHER, 1009, true, { "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\x7f\0\0\0a", NULL, 25 }, { MAIL }, { "" } }, true },
		{ { "seven dimensions", OTHER, 1009, true, { "\0\0\0\7\0\0\0\0\0\0\0\x19", NULL, 12 }, { MAIL }, { "" } }, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		FOR_EACH_SEGMENT {
			const struct value *v = &cases[i].value;
			struct writer in = writer_of(sent, sizeof(sent)), out = writer_of(expected, sizeof(expected));
			size_t frame;

			start(v->query);
			in = writer_of(sent, sizeof(sent));
			kit_column(&in, "x", v->relation, v->attnum, v->type, v->binary);
			frame = in.len;
			writer_bytes(&in, "D\0\0\0\0\0\1\0\0\0\0", 11);
			put_value(&in, &out, v);
			writer_patch(&in, frame + 1, 4, in.len - frame - 1);
			writer_patch(&in, frame + 7, 4, in.len - frame - 11);
			kit_complete(&in, "SELECT 1");
			kit_ready(&in, 'I');
			feed(writer_done(&in), segment);
			assert_int_equal(k.closed, cases[i].closes);
			assert_int_equal(kit_wrote(&k, SIDE_CLIENT, "54000"), !cases[i].closes);
			assert_false(kit_wrote(&k, SIDE_CLIENT, MAIL));
			assert_false(kit_wrote(&k, SIDE_CLIENT, "1 day"));
			assert_false(kit_wrote(&k, SIDE_CLIENT, "Ada"));
			kit_end(&k);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_and_texts),
		cmocka_unit_test(json),
		cmocka_unit_test(deep_json),
		cmocka_unit_test(arrays_and_rows),
		cmocka_unit_test(arrays_and_rows_in_binary),
		cmocka_unit_test(rows_within_rows_in_binary),
		cmocka_unit_test(short_cells_of_a_long_row),
		cmocka_unit_test(copies),
		cmocka_unit_test(what_is_not_begun_or_not_finished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
