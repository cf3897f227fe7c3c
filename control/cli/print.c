#include <string.h>

#include "control/cli/cli.h"

/* One character of UTF-8; 0 length at the end, U+FFFD for what is none. */
static unsigned character(const unsigned char *at, size_t left, uint32_t *code)
{
	unsigned len = at[0] < 0x80 ? 1 : at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc2 ? 2 : 0;

	*code = 0xfffd;
	if (len == 0 || len > left)
		return 1;
	*code = len == 1 ? at[0] : at[0] & (0xffu >> (len + 1));
	for (unsigned i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80) {
			*code = 0xfffd;
			return 1;
		}
		*code = *code << 6 | (at[i] & 0x3f);
	}
	return len;
}

/* Moves the cursor, hides, turns around, or looks like a plain space. */
static bool invisible(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xa0 || c == 0xad || c == 0x61c || c == 0x180e || (c >= 0x2000 && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202f) || (c >= 0x205f && c <= 0x206f) || c == 0x3000 || c == 0xfeff || c == 0xfffd || (c >= 0xfff9 && c <= 0xfffb) ||
	       (c >= 0xe0000 && c <= 0xe0fff) || (c >= 0xd800 && c <= 0xdfff) || (c >= 0xfe00 && c <= 0xfe0f) || c > 0x10ffff;
}

void print_text(FILE *out, const char *text, size_t len, unsigned width)
{
	const unsigned char *at = (const unsigned char *)text;
	unsigned shown = 0;

	while (len) {
		uint32_t code;
		unsigned bytes = character(at, len, &code);

		if (width && shown + 1 > width) {
			fputs("…", out);
			return;
		}
		if (code == '\n' && !width)
			fputc('\n', out);
		else if (invisible(code))
			shown += (unsigned)fprintf(out, code < 0x100 ? "\\x%02x" : "\\u{%x}", code) - 1;
		else
			fwrite(at, 1, bytes, out);
		shown++;
		at += bytes;
		len -= bytes;
	}
}

/* Letters and digits of other scripts and styles that are read as Latin ones (Unicode TR 39, by block): IPA and modifiers, combining
 * marks, Greek, Cyrillic, Armenian, Cherokee, phonetic extensions, letter-like and numbers, Coptic, Lisu, ligatures, full width,
 * Deseret to mathematical alphabets. German, French, Polish and their like stay readable; dotless i, long s and the like do not. */
static bool lookalike(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} blocks[] = {
		{ 0xaa, 0xba }, { 0x131, 0x131 }, { 0x138, 0x138 }, { 0x17f, 0x180 }, { 0x184, 0x185 }, { 0x192, 0x192 }, { 0x196, 0x19b }, { 0x1a6, 0x1a7 },
		{ 0x1bc, 0x1c3 }, { 0x21c, 0x21d }, { 0x237, 0x237 }, { 0x250, 0x373 }, { 0x375, 0x58f }, { 0x5c0, 0x5c0 }, { 0x5d5, 0x5df },
		{ 0x660, 0x669 }, { 0x6f0, 0x6f9 }, { 0x7c0, 0x7ca }, { 0x13a0, 0x13ff }, { 0x1400, 0x167f }, { 0x1c80, 0x1dff }, { 0x1f00, 0x1fff },
		{ 0x2070, 0x209f }, { 0x2100, 0x218f }, { 0x2190, 0x2190 }, { 0x2212, 0x2223 }, { 0x2236, 0x2236 }, { 0x2460, 0x24ff }, { 0x2c60, 0x2cff },
		{ 0x2d30, 0x2d7f }, { 0xa4d0, 0xa4ff }, { 0xa640, 0xa69f }, { 0xa720, 0xa7ff }, { 0xab30, 0xabbf }, { 0xfb00, 0xfb17 }, { 0xff00, 0xffef },
		{ 0x10280, 0x1049f }, { 0x10cfa, 0x10cff }, { 0x118a0, 0x118ff }, { 0x16f00, 0x16f9f }, { 0x1ccd6, 0x1ccf9 }, { 0x1d000, 0x1d7ff }, { 0x1e000, 0x1efff },
		{ 0x1f100, 0x1f1ff }, { 0x1fbf0, 0x1fbf9 },
	};

	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++)
		if (c >= blocks[i].from && c <= blocks[i].to)
			return true;
	return false;
}

/* Only space up to the line's end, or the text's. */
static bool trailing(const unsigned char *at, size_t left)
{
	while (left && (*at == ' ' || *at == '\t' || *at == '\r')) {
		at++;
		left--;
	}
	return !left || *at == '\n';
}

void print_exact(FILE *out, const char *text, size_t len)
{
	const unsigned char *at = (const unsigned char *)text;

	fputs("  | ", out);
	while (len) {
		uint32_t code;
		unsigned bytes = character(at, len, &code);

		if (code == '\n')
			fputs("\n  | ", out);
		else if (invisible(code) || lookalike(code) || (code == ' ' && trailing(at, len)))
			fprintf(out, code < 0x100 ? "\\x%02x" : "\\u{%x}", code);
		else
			fwrite(at, 1, bytes, out);
		at += bytes;
		len -= bytes;
	}
	fputc('\n', out);
}

void print_json(json_t *document)
{
	json_dumpf(document, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
	putchar('\n');
	json_decref(document);
}

/* How a value looks in text. */
static size_t value_text(json_t *value, char *out, size_t size)
{
	size_t at = 0;
	json_t *element;
	size_t i;

	if (json_is_string(value))
		return (size_t)snprintf(out, size, "%s", json_string_value(value));
	if (json_is_integer(value))
		return (size_t)snprintf(out, size, "%lld", (long long)json_integer_value(value));
	if (json_is_boolean(value))
		return (size_t)snprintf(out, size, "%s", json_is_true(value) ? "yes" : "no");
	out[0] = 0;
	json_array_foreach(value, i, element) {
		if (at + 2 < size)
			at += (size_t)snprintf(out + at, size - at, "%s%s", i ? ", " : "", json_is_string(element) ? json_string_value(element) : "");
	}
	return at < size ? at : size - 1;
}

void print_table(json_t *rows, const struct print_column *columns, unsigned count)
{
	json_t *row;
	size_t index;

	for (unsigned i = 0; i < count; i++)
		printf(i + 1 < count ? "%-*s " : "%.*s%s", i + 1 < count ? (int)columns[i].width : 0, i + 1 < count ? columns[i].heading : "", columns[i].heading);
	putchar('\n');
	json_array_foreach(rows, index, row) {
		for (unsigned i = 0; i < count; i++) {
			char text[4096];
			size_t len = value_text(json_object_get(row, columns[i].member), text, sizeof(text));

			len = len < sizeof(text) ? len : sizeof(text) - 1;
			print_text(stdout, text, len, columns[i].width);
			for (size_t pad = len; i + 1 < count && pad < columns[i].width; pad++)
				putchar(' ');
			putchar(i + 1 < count ? ' ' : '\n');
		}
	}
}

void print_members(json_t *object, unsigned indent)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value) {
		char text[8192];
		size_t len;

		printf("%*s%-18s ", (int)indent, "", key);
		if (json_is_object(value) || (json_is_array(value) && json_is_object(json_array_get(value, 0)))) {
			putchar('\n');
			if (json_is_object(value)) {
				print_members(value, indent + 2);
			} else {
				json_t *element;
				size_t i;

				json_array_foreach(value, i, element)
					print_members(element, indent + 2);
			}
			continue;
		}
		len = value_text(value, text, sizeof(text));
		print_text(stdout, text, len < sizeof(text) ? len : sizeof(text) - 1, 0);
		putchar('\n');
	}
}
