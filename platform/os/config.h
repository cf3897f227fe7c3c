/* config.h: strict reading of a configuration file (libconfig 1.5), for policy.cfg and sluice.conf.
 *
 * How: the text is scanned before libconfig sees it (config_scan.c: size, depth, UTF-8, @include, escapes, numbers, all that
 * libconfig accepts silently and we do not), then parsed, then read with the getters below. Each getter checks type and range
 * and marks what it read; config_finish reports every setting that no getter asked for. So a caller names what it knows and gets
 * all else refused: unknown names, wrong types, extra elements. Every problem goes to a report, with its line; reading goes on, so
 * one run shows all of them. Nothing was right unless config_report_errors is 0 at the end.
 *
 * Lines: a report's text is "file:line: what: why: do".
 * Ownership: strings and items live as long as the struct config. One thread. Not for the poll loop (allocates).
 * Source: policy.md 2. This is the only user of libconfig.
 */
#ifndef PLATFORM_OS_CONFIG_H
#define PLATFORM_OS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- What was found --- */

struct config_problem {
	unsigned line;    /* 0: the file as a whole */
	bool warning;     /* has to be acknowledged by id; an error refuses the file */
	char id[40];      /* stable word of the kind of problem, as "unknown-name" */
	char text[400];   /* "what: why: do" */
};

#define CONFIG_PROBLEMS_MAX 200 /* after that only the counts grow */

struct config_report {
	char file[256];
	unsigned errors, warnings, count;
	struct config_problem *problem; /* sorted by config_report_sort, otherwise as found */
};

/* Makes an empty report; false without memory. Free with config_report_free. */
bool config_report_init(struct config_report *r, const char *file);
void config_report_free(struct config_report *r);
void config_report_sort(struct config_report *r);

/* Adds a problem. `format` gives "what: why: do". */
[[gnu::format(printf, 4, 5)]] void config_error(struct config_report *r, unsigned line, const char *id, const char *format, ...);
[[gnu::format(printf, 4, 5)]] void config_warning(struct config_report *r, unsigned line, const char *id, const char *format, ...);

/* "file:line: what: why: do", or "file:line: warning [id]: …", cut to `cap`. Control characters become '?'. */
void config_problem_text(const struct config_report *r, const struct config_problem *p, char *into, size_t cap);

/* --- The file --- */

struct config;
struct config_item; /* one setting: a group, a list, an array or a scalar */

/* Reads and parses. NULL when it cannot be parsed; the reasons are in the report. */
struct config *config_open(const char *path, struct config_report *report);
struct config *config_parse(const char *text, size_t len, struct config_report *report);
void config_close(struct config *c);

/* Reports every setting that was never asked for. Once, after everything was read. */
void config_finish(struct config *c);

const struct config_item *config_root(struct config *c);
unsigned config_line(const struct config_item *item);

/* "rules[3].who", for messages. Returns `into`. */
const char *config_path(const struct config_item *item, char *into, size_t cap);

/* --- Getters: by name in a group. A missing required setting, a wrong type and a value out of range are reported. --- */

enum config_presence { CONFIG_OPTIONAL, CONFIG_REQUIRED };

bool config_has(const struct config_item *group, const char *name); /* does not mark */

/* NULL when absent or wrong. */
const struct config_item *config_group(struct config *c, const struct config_item *group, const char *name, enum config_presence p);

/* A list "( {…}, {…} )" of groups. */
const struct config_item *config_list(struct config *c, const struct config_item *group, const char *name, enum config_presence p);

/* An array "[ … ]" or list "( … )" of strings, without duplicates. */
const struct config_item *config_strings(struct config *c, const struct config_item *group, const char *name, enum config_presence p);

/* Elements of the two above, `i` below the length. 0 for NULL. */
unsigned config_length(const struct config_item *list);
const struct config_item *config_element(struct config *c, const struct config_item *list, unsigned i);
const char *config_string_at(struct config *c, const struct config_item *strings, unsigned i); /* "" when it is no string */

/* `otherwise` when absent or wrong. A string is never empty: an empty one is reported. */
const char *config_string(struct config *c, const struct config_item *group, const char *name, enum config_presence p, const char *otherwise);
long config_int(struct config *c, const struct config_item *group, const char *name, enum config_presence p, long min, long max, long otherwise);
bool config_bool(struct config *c, const struct config_item *group, const char *name, enum config_presence p, bool otherwise);

/* One of `words` (NULL-terminated); its index. */
unsigned config_word(struct config *c, const struct config_item *group, const char *name, enum config_presence p,
		     const char *const *words, unsigned otherwise);

/* Amounts and times are strings with units (policy.md 2). Counts: k, M, G (powers of 1,000). Bytes: also Ki, Mi, Gi, Ti (1,024).
 * Durations: ms, s, m, h, d; the result is in milliseconds. Between min and max, inclusive. */
uint64_t config_count(struct config *c, const struct config_item *group, const char *name, enum config_presence p,
		      uint64_t min, uint64_t max, uint64_t otherwise);
uint64_t config_bytes(struct config *c, const struct config_item *group, const char *name, enum config_presence p,
		      uint64_t min, uint64_t max, uint64_t otherwise);
uint64_t config_duration_ms(struct config *c, const struct config_item *group, const char *name, enum config_presence p,
			    uint64_t min_ms, uint64_t max_ms, uint64_t otherwise_ms);

/* The parsers behind them. False when the text is not such an amount. */
bool config_parse_count(const char *text, uint64_t *out);
bool config_parse_bytes(const char *text, uint64_t *out);
bool config_parse_duration_ms(const char *text, uint64_t *out);

/* Another problem at an item, found by the caller. */
[[gnu::format(printf, 4, 5)]] void config_item_error(struct config *c, const struct config_item *item, const char *id, const char *format, ...);

/* Names of the settings of a group, for groups with free names (admin.roles). NULL past the end; does not mark. */
const char *config_name_at(const struct config_item *group, unsigned i);

#endif
