/* A small lexer that follows libconfig's own closely enough to know comment, string, number and name, and refuses all
 * that libconfig 1.5 takes silently and means otherwise (policy.md 2): integers that wrap, includes, hexadecimal escapes, adjacent
 * strings that are joined (a forgotten comma), depth. Trap: it must never be in another state than libconfig's lexer, so
 * everything about which the two could disagree is refused. */
#include "platform/os/config_scan.h"

#include <limits.h>

#include "platform/base/limits.h"

struct scan {
	const uint8_t *at, *end;
	unsigned line, depth;
	unsigned names[LIMIT_CONFIG_DEPTH + 1];
	bool after_string; /* nothing but white space and comments since the last string */
	bool names_told;
	struct config_report *report;
};

/* The code point at `*at` and its length, or 0 for malformed, overlong, surrogate and out of range (RFC 3629 4). */
static unsigned utf8(const uint8_t *at, size_t left, uint32_t *point)
{
	unsigned len = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3 : at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : 0;

	if (len == 0 || len > left)
		return 0;
	*point = len == 1 ? at[0] : at[0] & (0xffu >> (len + 1));
	for (unsigned i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (at[i] & 0x3f);
	}
	if ((len == 3 && (*point < 0x800 || (*point >= 0xd800 && *point < 0xe000))) || (len == 4 && (*point < 0x10000 || *point > 0x10ffff)))
		return 0;
	return len;
}

static bool printable_point(uint32_t p)
{
	if (p < 0x20 || (p >= 0x7f && p < 0xa0) || p == 0xad)
		return false;
	if ((p >= 0x200b && p <= 0x200f) || (p >= 0x2028 && p <= 0x202e) || (p >= 0x2060 && p <= 0x206f) || p == 0x061c || p == 0xfeff)
		return false;
	return (p & 0xfffe) != 0xfffe && !(p >= 0xfdd0 && p <= 0xfdef) && !(p >= 0xe0000 && p <= 0xe0fff);
}

bool config_printable(struct bytes text, bool layout, size_t *at)
{
	uint32_t point = 0;

	for (size_t i = 0; i < text.len;) {
		unsigned len = utf8(text.base + i, text.len - i, &point);
		bool fine = len > 0 && (printable_point(point) || (layout && (point == '\t' || point == '\n' || point == '\r')));

		if (!fine) {
			*at = i;
			return false;
		}
		i += len;
	}
	return true;
}

static unsigned line_of(struct bytes text, size_t at)
{
	unsigned line = 1;

	for (size_t i = 0; i < at; i++)
		line += text.base[i] == '\n';
	return line;
}

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static bool is_letter(uint8_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_name(uint8_t c) { return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '*'; }

/* Lines that begin with @include, in any state, so that no trick of quoting or commenting matters. */
static void find_includes(struct bytes text, struct config_report *report)
{
	bool line_start = true;
	unsigned line = 1;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.base[i];

		if (line_start && c == '@' && text.len - i >= 8 && memcmp(text.base + i, "@include", 8) == 0)
			config_error(report, line, "include", "@include: would read any file: write everything into one file");
		line_start = c == '\n' || (line_start && (c == ' ' || c == '\t' || c == '\r'));
		line += c == '\n';
	}
}

static bool skip_comment(struct scan *s)
{
	bool two = s->end - s->at >= 2;

	if (*s->at == '#' || (two && s->at[0] == '/' && s->at[1] == '/')) {
		while (s->at < s->end && *s->at != '\n')
			s->at++;
		return true;
	}
	if (!two || s->at[0] != '/' || s->at[1] != '*')
		return false;
	for (s->at += 2; s->at < s->end; s->at++) {
		if (*s->at == '\n')
			s->line++;
		if (s->end - s->at >= 2 && s->at[0] == '*' && s->at[1] == '/') {
			s->at += 2;
			return true;
		}
	}
	config_error(s->report, s->line, "comment-open", "a comment: is never closed: write its */");
	return true;
}

/* A string; `at` stands on its opening quote. */
static void scan_string(struct scan *s)
{
	if (s->after_string)
		config_error(s->report, s->line, "strings-adjacent",
			     "two strings side by side: the parser would join them to one: write a comma between them");
	for (s->at++; s->at < s->end && *s->at != '"'; s->at++) {
		if (*s->at == '\\' && s->end - s->at >= 2) {
			if (s->at[1] == 'x' || s->at[1] == 'X')
				config_error(s->report, s->line, "escape-hex",
					     "a string: \\x becomes the character itself, in a pattern a wildcard: write the character, or \\\\.");
			if (s->at[1] != '\n')
				s->at++;
		}
		if (*s->at == '\n') {
			config_error(s->report, s->line, "string-line-break", "a string: has a line break in it: close it on its line");
			s->line++;
		}
	}
	if (s->at == s->end)
		config_error(s->report, s->line, "string-open", "a string: is never closed: write its quote");
	else
		s->at++;
	s->after_string = true;
}

static void scan_number(struct scan *s)
{
	const uint8_t *start = s->at;
	uint64_t value = 0;
	bool plain = true;

	if (*s->at == '-' || *s->at == '+')
		s->at++;
	plain = s->at < s->end && is_digit(*s->at);
	for (; s->at < s->end && (is_name(*s->at) || *s->at == '.' || *s->at == '+'); s->at++) {
		if (!is_digit(*s->at))
			plain = false;
		else if (value <= INT_MAX)
			value = value * 10 + (*s->at - '0');
	}
	if (s->at == start)
		s->at++;
	if (!plain)
		config_error(s->report, s->line, "number-form", "a number: is not plain decimal: write digits only, amounts as strings with a unit");
	else if (value > INT_MAX)
		config_error(s->report, s->line, "number-range",
			     "a number: is over 2147483647 and would wrap silently: write amounts as strings with a unit");
}

static void scan_name(struct scan *s)
{
	while (s->at < s->end && is_name(*s->at))
		s->at++;
}

/* An opening or closing bracket, or the sign that makes a setting. */
static bool scan_mark(struct scan *s, uint8_t c)
{
	if (c == '{' || c == '(' || c == '[') {
		if (s->depth == LIMIT_CONFIG_DEPTH) {
			config_error(s->report, s->line, "too-deep", "a bracket: is nested deeper than %d: make it flatter", LIMIT_CONFIG_DEPTH);
			return false;
		}
		s->names[++s->depth] = 0;
	} else if (c == '}' || c == ')' || c == ']') {
		if (s->depth == 0) {
			config_error(s->report, s->line, "bracket", "a bracket: closes nothing: remove it");
			return false;
		}
		s->depth--;
	} else if ((c == '=' || c == ':') && ++s->names[s->depth] > CONFIG_GROUP_NAMES_MAX && !s->names_told) {
		s->names_told = true;
		config_error(s->report, s->line, "too-many-names", "a group: has more than %d settings: use a list", CONFIG_GROUP_NAMES_MAX);
	}
	return true;
}

static void scan_text(struct scan *s)
{
	while (s->at < s->end) {
		uint8_t c = *s->at;

		if (c == '\n') {
			s->line++;
			s->at++;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			s->at++;
		} else if (skip_comment(s)) {
			continue;
		} else if (c == '"') {
			scan_string(s);
		} else {
			s->after_string = false;
			if (is_digit(c) || c == '-' || c == '+')
				scan_number(s);
			else if (is_name(c))
				scan_name(s);
			else if (strchr("{}()[]=:;,", c) && scan_mark(s, c))
				s->at++;
			else
				break;
		}
	}
}

bool config_scan(struct bytes text, struct config_report *report)
{
	struct scan s = { .at = text.base, .end = text.base + text.len, .line = 1, .report = report };
	unsigned before = report->errors;
	size_t fault = 0;

	if (text.len > LIMIT_POLICY_FILE_BYTES) {
		config_error(report, 0, "too-large", "the file: is larger than %u bytes: split nothing, shorten it", LIMIT_POLICY_FILE_BYTES);
		return false;
	}
	if (text.len >= 3 && memcmp(text.base, "\xef\xbb\xbf", 3) == 0) {
		config_error(report, 1, "byte-order-mark", "the file: begins with a byte-order mark: save it as UTF-8 without one");
		return false;
	}
	if (!config_printable(text, true, &fault)) {
		config_error(report, line_of(text, fault), "not-printable",
			     "the text: is not printable UTF-8 (byte 0x%02x): remove control characters and invisible marks", text.base[fault]);
		return false;
	}
	find_includes(text, report);
	scan_text(&s);
	if (s.at < s.end && report->errors == before)
		config_error(report, s.line, "character", "'%c': is not expected here: remove it or put it into quotes", *s.at);
	else if (s.depth > 0 && report->errors == before)
		config_error(report, s.line, "bracket", "a bracket: is never closed: write its counterpart");
	return report->errors == before;
}
