#include "platform/os/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool config_report_init(struct config_report *r, const char *file)
{
	memset(r, 0, sizeof *r);
	snprintf(r->file, sizeof r->file, "%s", file);
	r->problem = calloc(CONFIG_PROBLEMS_MAX, sizeof *r->problem);
	return r->problem != NULL;
}

void config_report_free(struct config_report *r)
{
	free(r->problem);
	memset(r, 0, sizeof *r);
}

static int by_line(const void *a, const void *b)
{
	const struct config_problem *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return strcmp(x->text, y->text);
}

void config_report_sort(struct config_report *r)
{
	qsort(r->problem, r->count, sizeof *r->problem, by_line);
}

/* Names and strings of the file stand in messages; a terminal must not obey them. UTF-8 stays as it is. */
static void make_harmless(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

[[gnu::format(printf, 5, 0)]]
static void add(struct config_report *r, unsigned line, bool warning, const char *id, const char *format, va_list args)
{
	struct config_problem *p;

	if (warning)
		r->warnings++;
	else
		r->errors++;
	if (r->count == CONFIG_PROBLEMS_MAX)
		return;
	p = &r->problem[r->count++];
	p->line = line;
	p->warning = warning;
	snprintf(p->id, sizeof p->id, "%s", id);
	vsnprintf(p->text, sizeof p->text, format, args);
	make_harmless(p->text);
}

void config_error(struct config_report *r, unsigned line, const char *id, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(r, line, false, id, format, args);
	va_end(args);
}

void config_warning(struct config_report *r, unsigned line, const char *id, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(r, line, true, id, format, args);
	va_end(args);
}

void config_problem_text(const struct config_report *r, const struct config_problem *p, char *into, size_t cap)
{
	char kind[sizeof p->id + 16] = "";

	if (p->warning)
		snprintf(kind, sizeof kind, "warning [%s]: ", p->id);
	snprintf(into, cap, "%s:%u: %s%s", r->file, p->line, kind, p->text);
	if (cap)
		make_harmless(into);
}
