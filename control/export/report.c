/* The page: a head, charts (bars as SVG), lists, and the table of controls. Everything that comes from a record passes put(). */
#include "control/export/report.h"

#include <stdlib.h>
#include <string.h>

#define BARS_MAX 24u
#define BAR_WIDTH 420

static const char style[] =
	"body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#1b1f24}h1{margin-bottom:0}"
	"h2{margin-top:2em;border-bottom:1px solid #d0d7de}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3em .6em;"
	"border-bottom:1px solid #e6e9ec;vertical-align:top}th{background:#f3f5f7}code{font:12px ui-monospace,monospace;overflow-wrap:anywhere}"
	".n{text-align:right;white-space:nowrap}.ok{color:#1a7f37}.no{color:#b42318;font-weight:600}.quiet{color:#59636e}"
	".charts{display:flex;flex-wrap:wrap;gap:2em}figure{margin:0}figcaption{font-weight:600}svg text{font:11px system-ui,sans-serif}"
	".label{display:none}@page{size:A4;margin:16mm}"
	"@media print{body{margin:0;max-width:none;font-size:10px}code{font-size:9px}h2{break-after:avoid}tr,figure{break-inside:avoid}thead{display:table-header-group}}";

const char report_paper_css[] =
	"@page{margin:42pt 40pt}body{margin:0;font-family:sans-serif;font-size:9pt;line-height:1.4;color:#1b1f24}"
	"h1{display:block;margin:0 0 6pt;font-size:19pt;font-weight:bold}h2{display:block;margin:18pt 0 6pt;font-size:12.5pt;font-weight:bold;border-bottom:1px solid "
	"#d0d7de;page-break-after:avoid}p{display:block;margin:6pt 0}table,tbody{display:block}thead,title,style{display:none}tr{display:block;margin:0 0 7pt;page-break-inside:avoid}"
	"td{display:inline}b{font-weight:bold}code{font-family:monospace;font-size:8.5pt}a{color:#3b6ea5}figure{display:block;margin:0 0 10pt;page-break-inside:avoid}"
	"figcaption{display:block;font-weight:bold;margin:0 0 3pt}svg{display:block}.quiet,.label{color:#59636e}.no{color:#b42318}.ok{color:#1a7f37}";

/* Text into HTML; control characters show as their code. */
static void put(FILE *out, const char *text)
{
	for (const char *c = text; *c; c++) {
		switch (*c) {
		case '&': fputs("&amp;", out); break;
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		case '"': fputs("&quot;", out); break;
		default:
			if ((unsigned char)*c < 0x20 || *c == 0x7f)
				fprintf(out, "\\x%02x", (unsigned char)*c);
			else
				fputc(*c, out);
		}
	}
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void put_record(FILE *out, uint64_t index)
{
	fprintf(out, "<a href=\"proofs/entry-%llu.json\">%llu</a>", (unsigned long long)index, (unsigned long long)index);
}

struct bar {
	const char *word;
	int64_t count;
};

static int by_count(const void *a, const void *b)
{
	const struct bar *x = a, *y = b;

	return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : strcmp(x->word, y->word);
}

static int by_word(const void *a, const void *b)
{
	return strcmp(((const struct bar *)a)->word, ((const struct bar *)b)->word);
}

/* One figure: a bar a word, the longest first, or in the words' order; none without words. */
static void put_chart(FILE *out, const char *caption, const json_t *counts, bool in_order)
{
	size_t n = json_object_size(counts), shown, i = 0;
	struct bar *bars = calloc(n ? n : 1, sizeof *bars);
	int64_t most = 1;
	const char *word;
	json_t *value;

	if (!bars)
		return;
	json_object_foreach((json_t *)(uintptr_t)counts, word, value)
		bars[i++] = (struct bar){ word, json_integer_value(value) };
	if (n == 0) {
		free(bars);
		return;
	}
	qsort(bars, n, sizeof *bars, in_order ? by_word : by_count);
	shown = n < BARS_MAX ? n : BARS_MAX;
	for (i = 0; i < shown; i++)
		most = bars[i].count > most ? bars[i].count : most;
	fputs("<figure><figcaption>", out);
	put(out, caption);
	fprintf(out, "</figcaption><svg role=\"img\" font-family=\"sans-serif\" font-size=\"11\" width=\"%d\" height=\"%zu\">", BAR_WIDTH, shown * 20 + 4);
	for (i = 0; i < shown; i++) {
		int width = (int)(bars[i].count * 200 / most);

		fprintf(out, "<text x=\"145\" y=\"%zu\" text-anchor=\"end\">", i * 20 + 15);
		put(out, bars[i].word);
		fprintf(out, "</text><rect x=\"150\" y=\"%zu\" width=\"%d\" height=\"14\" fill=\"#3b6ea5\"/><text x=\"%d\" y=\"%zu\">%lld</text>", i * 20 + 4,
			width > 1 ? width : 1, 156 + width, i * 20 + 15, (long long)bars[i].count);
	}
	fputs("</svg>", out);
	if (shown < n)
		fprintf(out, "<p class=\"quiet\">and %zu more</p>", n - shown);
	fputs("</figure>", out);
	free(bars);
}

/* The label is for paper, where no heading stands above the value. */
static void put_labelled(FILE *out, const char *label, const char *text)
{
	fprintf(out, "<td><span class=\"label\">&#183; %s </span>", label);
	put(out, text);
	fputs("</td> ", out);
}

/* The same, and the session in which it was; "": in none. */
static void put_in_session(FILE *out, const char *label, const char *text, const char *session)
{
	fprintf(out, "<td><span class=\"label\">&#183; %s </span>", label);
	put(out, text);
	if (*session) {
		fputs("<br><span class=\"quiet\"> session <code>", out);
		put(out, session);
		fputs("</code></span>", out);
	}
	fputs("</td> ", out);
}

static void put_head_row(FILE *out, const char *cells)
{
	fprintf(out, "<table><thead><tr>%s</tr></thead><tbody>", cells);
}

static void put_head(const struct assess *a, const char *origin, FILE *out)
{
	fputs("<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sluice: what agents did</title><style>", out);
	fputs(style, out);
	fputs("</style><h1>What agents did, and who allowed it</h1><p class=\"quiet\">Journal <code>", out);
	put(out, origin);
	fprintf(out, "</code>, records %llu to %llu, ", (unsigned long long)a->first, (unsigned long long)a->last);
	put(out, a->since);
	fputs(" to ", out);
	put(out, a->until);
	fprintf(out, " (UTC): %llu records of this selection. This page is a copy for reading; evidence are the records and their proofs.</p>",
		(unsigned long long)a->records);
}

static void put_charts(const struct assess *a, FILE *out)
{
	fputs("<h2>Overview</h2><div class=\"charts\">", out);
	put_chart(out, "Commands by verdict", a->verdicts, false);
	put_chart(out, "Commands by hour", a->hours, true);
	put_chart(out, "Commands by person", a->persons, false);
	put_chart(out, "Commands by agent", a->agents, false);
	put_chart(out, "Sessions by service", a->services, false);
	put_chart(out, "Masked values by class", a->masked, false);
	put_chart(out, "Rules that decided", a->rules, false);
	put_chart(out, "Refused logins by reason", a->refusals, false);
	fputs("</div>", out);
}

static void put_blocked(const struct assess *a, FILE *out)
{
	const json_t *row;
	size_t i;

	fputs("<h2>Refused commands</h2>", out);
	put_head_row(out, "<th>Record<th>Time<th>Person<th>Agent<th>Service<th>Command<th>Rule");
	json_array_foreach(a->blocked, i, row) {
		fputs("<tr><td class=\"n\">", out);
		put_record(out, (uint64_t)json_integer_value(json_object_get(row, "index")));
		fputs("</td> ", out);
		put_labelled(out, "at", text_of(row, "time"));
		put_labelled(out, "by", text_of(row, "person"));
		put_labelled(out, "through", text_of(row, "agent"));
		put_in_session(out, "on", text_of(row, "service"), text_of(row, "session"));
		fputs("<td><code>", out);
		put(out, *text_of(row, "text") ? text_of(row, "text") : text_of(row, "verb"));
		fputs("</code></td> ", out);
		put_labelled(out, "rule", text_of(row, "rule"));
		fputs("</tr>", out);
	}
	fputs("</tbody></table>", out);
	if (json_array_size(a->blocked) == 0)
		fputs("<p>None.</p>", out);
	else if (json_array_size(a->blocked) == ASSESS_NOTABLE)
		fprintf(out, "<p class=\"quiet\">The first %u; the records have all of them.</p>", ASSESS_NOTABLE);
}

static void put_votes(const json_t *approval, FILE *out)
{
	const json_t *vote;
	size_t i;

	json_array_foreach(json_object_get(approval, "votes"), i, vote) {
		fputs(i ? "<br>" : "", out);
		put(out, text_of(vote, "voter"));
		fputs(": ", out);
		put(out, text_of(vote, "vote"));
		fputs(" <span class=\"quiet\">", out);
		put(out, text_of(vote, "reason"));
		fputs("</span>", out);
	}
}

static void put_approvals(const struct assess *a, FILE *out)
{
	const char *id;
	json_t *approval;
	size_t rows = 0;

	fputs("<h2>Held commands and who decided</h2>", out);
	put_head_row(out, "<th>Record<th>Time<th>Asked by<th>Command<th>Outcome<th>Votes");
	json_object_foreach(a->approvals, id, approval) {
		if (++rows > ASSESS_NOTABLE)
			break;
		fputs("<tr><td class=\"n\">", out);
		put_record(out, (uint64_t)json_integer_value(json_object_get(approval, "index")));
		fputs("</td> ", out);
		put_labelled(out, "at", text_of(approval, "time"));
		put_in_session(out, "asked by", text_of(approval, "person"), text_of(approval, "session"));
		fputs("<td><code>", out);
		put(out, text_of(approval, "text"));
		fputs("</code></td> ", out);
		put_labelled(out, "outcome", text_of(approval, "state"));
		fputs("<td>", out);
		put_votes(approval, out);
		fputs("</td></tr>", out);
	}
	fputs("</tbody></table>", out);
	if (rows == 0)
		fputs("<p>None.</p>", out);
	else if (rows > ASSESS_NOTABLE)
		fprintf(out, "<p class=\"quiet\">The first %u; the records have all of them.</p>", ASSESS_NOTABLE);
}

static void put_controls(const struct assess *a, FILE *out)
{
	static const char intro[] = "<h2>NIST SP 800-53 r5</h2><p class=\"quiet\">Sluice supports an organisation's controls; it makes nobody compliant. Each question was asked of "
	      "every record of this selection that it concerns.</p>";

	fputs(intro, out);
	put_head_row(out, "<th>Control<th>Question<th>Asked<th>No<th>Records");
	for (unsigned i = 0; i < a->controls; i++) {
		const struct assess_control *c = &a->control[i];
		const uint64_t *list = c->broken ? c->fault : c->sample;
		uint64_t shown = c->broken ? c->broken : c->examined;

		fputs("<tr><td><b>", out);
		put(out, c->id);
		fputs("</b><br>", out);
		put(out, c->title);
		fputs("</td> ", out);
		put_labelled(out, "", c->question);
		fprintf(out, "<td class=\"n\"><span class=\"label\">&#183; asked </span>%llu</td> <td class=\"n %s\"><span class=\"label\">&#183; no </span>%llu</td> <td>", (unsigned long long)c->examined, c->broken ? "no" : "ok",
			(unsigned long long)c->broken);
		for (uint64_t k = 0; k < shown && k < ASSESS_SAMPLES; k++) {
			fputs(k ? ", " : c->broken ? "no: " : "such as ", out);
			put_record(out, list[k]);
		}
		fputs(c->examined ? "</td></tr>" : "nothing to ask of</td></tr>", out);
	}
	fputs("</tbody></table></html>\n", out);
}

bool report_html(const struct assess *a, const char *origin, FILE *out)
{
	put_head(a, origin, out);
	put_charts(a, out);
	put_blocked(a, out);
	put_approvals(a, out);
	put_controls(a, out);
	return !ferror(out);
}

bool report_form_of(const char *word, enum report_form *out)
{
	*out = strcmp(word, "oscal") == 0 ? REPORT_OSCAL : REPORT_HTML;
	return *out == REPORT_OSCAL || strcmp(word, "html") == 0;
}

static bool write_oscal(const struct assess *a, const char *origin, time_t now, FILE *out)
{
	char text[32];
	struct tm tm;
	json_t *document;
	bool ok;

	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	document = report_oscal(a, origin, text);
	ok = document && json_dumpf(document, out, JSON_INDENT(1) | JSON_PRESERVE_ORDER) == 0;
	json_decref(document);
	return ok;
}

bool report_text(const struct assess *a, enum report_form form, const char *origin, time_t now, char **text, size_t *len)
{
	FILE *out = open_memstream(text, len);
	bool ok = out && (form == REPORT_OSCAL ? write_oscal(a, origin, now, out) : report_html(a, origin, out));

	ok = out && fclose(out) == 0 && ok;
	if (out && !ok) {
		free(*text);
		*text = NULL;
	}
	return ok;
}
