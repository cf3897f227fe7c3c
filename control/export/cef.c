/* Severity is CEF's 0 to 10 and syslog's 0 to 7, from one small table by what was decided. */
#include "control/export/cef.h"

#include <stdio.h>
#include <string.h>

#define ENTERPRISE "32473"
#define FACILITY_AUDIT 13 /* "log audit", RFC 5424 6.2.1 */

static const struct weight {
	const char *type, *verdict;
	int cef, syslog;
} weights[] = {
	{ "cmd", "blocked", 6, 4 }, { "auth.fail", "", 6, 4 }, { "hold", "", 5, 5 },	      { "kill", "", 8, 3 },
	{ "journal.stop", "", 9, 1 }, { "journal.alarm", "", 8, 2 }, { "approval.refused", "", 5, 4 }, { "key.destroy", "", 7, 4 },
};

static struct weight weight_of(const struct event *e)
{
	for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
		if (strcmp(weights[i].type, e->type) == 0 && (!*weights[i].verdict || strcmp(weights[i].verdict, e->verdict) == 0))
			return weights[i];
	return (struct weight){ "", "", 3, 6 };
}

/* Escapes what `special` names with a backslash; line breaks and other control characters as \n or a space. */
static void put_escaped(struct writer *w, const char *text, const char *special)
{
	size_t len = 0;

	for (const char *c = text; *c; c++, len++) {
		if (len >= CEF_TEXT_BYTES && ((unsigned char)*c & 0xc0) != 0x80) {
			writer_str(w, "...");
			return;
		}
		if (*c == '\n' || *c == '\r') {
			writer_str(w, "\\n");
		} else if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			writer_u8(w, ' ');
		} else {
			if (strchr(special, *c))
				writer_u8(w, '\\');
			writer_u8(w, (uint8_t)*c);
		}
	}
}

static void put_text(struct writer *w, const char *key, const char *text)
{
	if (!*text)
		return;
	writer_u8(w, ' ');
	writer_str(w, key);
	writer_u8(w, '=');
	put_escaped(w, text, "\\=");
}

static void put_number(struct writer *w, const char *key, int64_t value)
{
	char text[32];

	if (!value)
		return;
	snprintf(text, sizeof text, "%lld", (long long)value);
	put_text(w, key, text);
}

static void put_custom(struct writer *w, int number, const char *label, const char *text)
{
	char key[16];

	if (!*text)
		return;
	snprintf(key, sizeof key, "cs%d", number);
	put_text(w, key, text);
	snprintf(key, sizeof key, "cs%dLabel", number);
	put_text(w, key, label);
}

static const char *first(const json_t *texts)
{
	const char *text = json_string_value(json_array_get(texts, 0));

	return text ? text : "";
}

bool cef_write(const char *origin, const struct event *e, struct writer *out)
{
	char text[64];

	writer_str(out, "CEF:0|Sluice|Sluice|" SLUICE_VERSION "|");
	put_escaped(out, e->type, "\\|");
	writer_u8(out, '|');
	put_escaped(out, *e->verb ? e->verb : e->type, "\\|");
	snprintf(text, sizeof text, "|%d|", weight_of(e).cef);
	writer_str(out, text);
	snprintf(text, sizeof text, "rt=%lld", (long long)e->time_ms);
	writer_str(out, text);
	snprintf(text, sizeof text, "%.40s#%llu", origin, (unsigned long long)e->index);
	put_text(out, "externalId", text);
	put_text(out, "dvchost", e->node);
	put_text(out, "src", e->source.address);
	put_number(out, "spt", e->source.port);
	put_text(out, "dst", e->target.address);
	put_number(out, "dpt", e->target.port);
	put_text(out, "suid", e->person);
	put_text(out, "suser", e->subject);
	put_text(out, "duser", e->upstream_user);
	put_text(out, "app", e->service);
	put_text(out, "act", e->verdict);
	put_text(out, "outcome", e->code);
	put_text(out, "reason", strcmp(e->reason, "none") == 0 ? "" : e->reason);
	put_custom(out, 1, "agent", e->agent);
	put_custom(out, 2, "run", e->run);
	put_custom(out, 3, "session", e->session);
	put_custom(out, 4, "rule", first(e->rules));
	put_custom(out, 5, "approval", e->approval);
	put_custom(out, 6, "policy", e->policy);
	put_number(out, "cn1", e->rows);
	put_text(out, "cn1Label", e->rows ? "rows" : "");
	put_number(out, "cn2", e->masked_cells);
	put_text(out, "cn2Label", e->masked_cells ? "maskedCells" : "");
	put_text(out, "msg", e->text);
	return out->ok;
}

/* RFC 5424 6.3.3: '"', '\' and ']' are escaped in a parameter's value. */
static void put_parameter(struct writer *w, const char *key, const char *value)
{
	writer_u8(w, ' ');
	writer_str(w, key);
	writer_str(w, "=\"");
	put_escaped(w, value, "\"\\]");
	writer_u8(w, '"');
}

/* A header field: printable ASCII without spaces, "-" when empty (RFC 5424 6.2). */
static void put_field(struct writer *w, const char *text, size_t max)
{
	writer_u8(w, ' ');
	if (!*text)
		writer_u8(w, '-');
	for (size_t i = 0; text[i] && i < max; i++)
		writer_u8(w, text[i] > ' ' && text[i] < 0x7f ? (uint8_t)text[i] : '_');
}

bool syslog_write(const char *origin, const struct event *e, struct bytes message, struct writer *out)
{
	char text[64];

	snprintf(text, sizeof text, "<%d>1", FACILITY_AUDIT * 8 + weight_of(e).syslog);
	writer_str(out, text);
	put_field(out, e->time, 64);
	put_field(out, e->node, 255);
	put_field(out, "sluice", 48);
	put_field(out, "", 128);
	put_field(out, e->type, 32);
	writer_str(out, " [sluice@" ENTERPRISE);
	snprintf(text, sizeof text, "%llu", (unsigned long long)e->index);
	put_parameter(out, "idx", text);
	put_parameter(out, "origin", origin);
	put_parameter(out, "type", e->type);
	put_parameter(out, "sess", e->session);
	put_parameter(out, "verdict", e->verdict);
	writer_str(out, "] ");
	if (message.len <= SYSLOG_MESSAGE_BYTES) {
		writer_put(out, message);
		return out->ok;
	}
	snprintf(text, sizeof text, "record %llu is too long for a message; ", (unsigned long long)e->index);
	writer_str(out, text);
	put_escaped(out, e->type, "");
	writer_u8(out, ' ');
	put_escaped(out, e->verdict, "");
	return out->ok;
}
