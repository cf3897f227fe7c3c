/* A setting that a getter read carries a mark in its libconfig hook; config_finish reports what has none. A setting of the
 * wrong type is marked with all below it, so that it is reported once. */
#include "platform/os/config.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/limits.h"
#include "platform/os/config_scan.h"

#define STRINGS_MAX 4096 /* of one array: each is compared with all others */

struct config {
	config_t lib;
	struct config_report *report;
};

static char mark;

static const config_setting_t *setting_of(const struct config_item *item) { return (const config_setting_t *)item; }
static const struct config_item *item_of(const config_setting_t *s) { return (const struct config_item *)s; }
static void set_mark(const config_setting_t *s) { config_setting_set_hook((config_setting_t *)(uintptr_t)s, &mark); }

static unsigned length_of(const config_setting_t *s)
{
	return config_setting_is_aggregate(s) ? (unsigned)config_setting_length(s) : 0;
}

static void mark_all(const config_setting_t *s)
{
	set_mark(s);
	for (unsigned i = 0; i < length_of(s); i++)
		mark_all(config_setting_get_elem(s, i));
}

struct config *config_parse(const char *text, size_t len, struct config_report *report)
{
	struct config *c;
	char *copy;
	int good;

	if (!config_scan(bytes_of(text, len), report))
		return NULL;
	c = calloc(1, sizeof *c);
	copy = malloc(len + 1);
	if (!c || !copy) {
		free(c);
		free(copy);
		config_error(report, 0, "memory", "the file: no memory to read it: try again");
		return NULL;
	}
	memcpy(copy, text, len);
	copy[len] = 0;
	c->report = report;
	config_init(&c->lib);
	good = config_read_string(&c->lib, copy);
	free(copy);
	if (good)
		return c;
	config_error(report, (unsigned)config_error_line(&c->lib), "syntax", "the text: %s: correct it before this place",
		     config_error_text(&c->lib) ? config_error_text(&c->lib) : "cannot be parsed");
	config_close(c);
	return NULL;
}

/* The whole of a regular file, at most one byte over the limit so that the scan can refuse it. */
static char *read_file(int fd, size_t *len)
{
	size_t cap = LIMIT_POLICY_FILE_BYTES + 1;
	char *text = malloc(cap);
	ssize_t got = 1;

	for (*len = 0; text && got > 0 && *len < cap; *len += got > 0 ? (size_t)got : 0)
		do
			got = read(fd, text + *len, cap - *len);
		while (got < 0 && errno == EINTR);
	if (got >= 0)
		return text;
	free(text);
	return NULL;
}

struct config *config_open(const char *path, struct config_report *report)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct config *c = NULL;
	char *text = NULL;
	struct stat st;
	size_t len = 0;

	if (fd < 0) {
		config_error(report, 0, "open", "the file: cannot be opened: %s", strerror(errno));
		return NULL;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		text = read_file(fd, &len);
	if (text)
		c = config_parse(text, len, report);
	else
		config_error(report, 0, "read", "the file: cannot be read, or is no regular file: name one that is");
	free(text);
	close(fd);
	return c;
}

void config_close(struct config *c)
{
	if (!c)
		return;
	config_destroy(&c->lib);
	free(c);
}

const struct config_item *config_root(struct config *c)
{
	set_mark(config_root_setting(&c->lib));
	return item_of(config_root_setting(&c->lib));
}

unsigned config_line(const struct config_item *item)
{
	return item ? setting_of(item)->line : 0;
}

static void path_of(const config_setting_t *s, char *into, size_t cap)
{
	const config_setting_t *parent = s->parent;
	size_t len;

	if (!parent) {
		into[0] = 0;
		return;
	}
	path_of(parent, into, cap);
	len = strlen(into);
	if (s->name)
		snprintf(into + len, cap - len, "%s%s", len ? "." : "", s->name);
	else
		snprintf(into + len, cap - len, "[%d]", config_setting_index(s));
}

const char *config_path(const struct config_item *item, char *into, size_t cap)
{
	if (cap == 0)
		return "";
	into[0] = 0;
	if (item)
		path_of(setting_of(item), into, cap);
	return into;
}

void config_item_error(struct config *c, const struct config_item *item, const char *id, const char *format, ...)
{
	char path[160], what[400];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	config_path(item, path, sizeof path);
	config_error(c->report, config_line(item), id, "%s: %s", path[0] ? path : "the file", what);
}

static void finish(struct config *c, const config_setting_t *s)
{
	if (s->hook != &mark) {
		config_item_error(c, item_of(s), "unknown-name", "is not known here: correct its spelling or remove it");
		return;
	}
	for (unsigned i = 0; i < length_of(s); i++)
		finish(c, config_setting_get_elem(s, i));
}

void config_finish(struct config *c)
{
	finish(c, config_root_setting(&c->lib));
}

static const char *type_word(const config_setting_t *s)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64: return "a number";
	case CONFIG_TYPE_FLOAT: return "a number with a fraction";
	case CONFIG_TYPE_STRING: return "a string";
	case CONFIG_TYPE_BOOL: return "true or false";
	case CONFIG_TYPE_ARRAY: return "an array";
	case CONFIG_TYPE_LIST: return "a list";
	case CONFIG_TYPE_GROUP: return "a group";
	default: return "nothing";
	}
}

static void wrong_type(struct config *c, const config_setting_t *s, const char *wanted)
{
	mark_all(s);
	config_item_error(c, item_of(s), "wrong-type", "is %s: write %s", type_word(s), wanted);
}

/* The setting `name`, marked; NULL when absent, which is reported when it is required. */
static const config_setting_t *member(struct config *c, const struct config_item *group, const char *name, enum config_presence p)
{
	const config_setting_t *s = group ? config_setting_get_member(setting_of(group), name) : NULL;

	if (s)
		set_mark(s);
	else if (group && p == CONFIG_REQUIRED)
		config_item_error(c, group, "missing", "has no %s, which is required: write it", name);
	return s;
}

bool config_has(const struct config_item *group, const char *name)
{
	return group && config_setting_get_member(setting_of(group), name) != NULL;
}

const struct config_item *config_group(struct config *c, const struct config_item *group, const char *name, enum config_presence p)
{
	const config_setting_t *s = member(c, group, name, p);

	if (s && !config_setting_is_group(s)) {
		wrong_type(c, s, "a group { … }");
		return NULL;
	}
	return item_of(s);
}

const struct config_item *config_list(struct config *c, const struct config_item *group, const char *name, enum config_presence p)
{
	const config_setting_t *s = member(c, group, name, p);

	if (!s)
		return NULL;
	if (!config_setting_is_list(s)) {
		wrong_type(c, s, "a list ( { … }, { … } )");
		return NULL;
	}
	for (unsigned i = 0; i < length_of(s); i++)
		if (!config_setting_is_group(config_setting_get_elem(s, i)))
			wrong_type(c, config_setting_get_elem(s, i), "a group { … }");
	return item_of(s);
}

/* Whether a string may stand as a value; reported when not. */
static bool good_string(struct config *c, const config_setting_t *s)
{
	const char *text = config_setting_get_string(s);
	size_t at = 0;

	if (!text || !*text)
		config_item_error(c, item_of(s), "empty", "is an empty string: write something or leave the setting out");
	else if (!config_printable(bytes_str(text), false, &at))
		config_item_error(c, item_of(s), "not-printable", "has a character that is not printable: remove it");
	else
		return true;
	return false;
}

const struct config_item *config_strings(struct config *c, const struct config_item *group, const char *name, enum config_presence p)
{
	const config_setting_t *s = member(c, group, name, p);

	if (!s)
		return NULL;
	if (!config_setting_is_list(s) && !config_setting_is_array(s)) {
		wrong_type(c, s, "an array of strings [ \"…\" ]");
		return NULL;
	}
	if (length_of(s) == 0)
		config_item_error(c, item_of(s), "empty", "is empty: name something or leave the setting out");
	if (length_of(s) > STRINGS_MAX) {
		mark_all(s);
		config_item_error(c, item_of(s), "too-many", "has more than %d strings: use wildcards", STRINGS_MAX);
		return NULL;
	}
	for (unsigned i = 0; i < length_of(s); i++) {
		const config_setting_t *e = config_setting_get_elem(s, i);

		set_mark(e);
		if (config_setting_type(e) != CONFIG_TYPE_STRING) {
			wrong_type(c, e, "a string");
			continue;
		}
		(void)good_string(c, e);
		for (unsigned j = 0; j < i; j++)
			if (strcmp(config_string_at(c, item_of(s), j), config_setting_get_string(e)) == 0) {
				config_item_error(c, item_of(e), "duplicate", "is there twice: remove one");
				break;
			}
	}
	return item_of(s);
}

unsigned config_length(const struct config_item *list)
{
	return list ? length_of(setting_of(list)) : 0;
}

const struct config_item *config_element(struct config *c, const struct config_item *list, unsigned i)
{
	const config_setting_t *s = list ? config_setting_get_elem(setting_of(list), i) : NULL;

	(void)c;
	if (!s || !config_setting_is_group(s))
		return NULL;
	set_mark(s);
	return item_of(s);
}

const char *config_string_at(struct config *c, const struct config_item *strings, unsigned i)
{
	const config_setting_t *s = strings ? config_setting_get_elem(setting_of(strings), i) : NULL;

	(void)c;
	return s && config_setting_type(s) == CONFIG_TYPE_STRING ? config_setting_get_string(s) : "";
}

const char *config_string(struct config *c, const struct config_item *group, const char *name, enum config_presence p, const char *otherwise)
{
	const config_setting_t *s = member(c, group, name, p);

	if (!s)
		return otherwise;
	if (config_setting_type(s) != CONFIG_TYPE_STRING) {
		wrong_type(c, s, "a string");
		return otherwise;
	}
	return good_string(c, s) ? config_setting_get_string(s) : otherwise;
}

long config_int(struct config *c, const struct config_item *group, const char *name, enum config_presence p, long min, long max, long otherwise)
{
	const config_setting_t *s = member(c, group, name, p);
	long value;

	if (!s)
		return otherwise;
	if (config_setting_type(s) != CONFIG_TYPE_INT) {
		wrong_type(c, s, "a plain number");
		return otherwise;
	}
	value = config_setting_get_int(s);
	if (value >= min && value <= max)
		return value;
	config_item_error(c, item_of(s), "out-of-range", "is %ld: write a number from %ld to %ld", value, min, max);
	return otherwise;
}

bool config_bool(struct config *c, const struct config_item *group, const char *name, enum config_presence p, bool otherwise)
{
	const config_setting_t *s = member(c, group, name, p);

	if (!s)
		return otherwise;
	if (config_setting_type(s) != CONFIG_TYPE_BOOL) {
		wrong_type(c, s, "true or false");
		return otherwise;
	}
	return config_setting_get_bool(s) != 0;
}

unsigned config_word(struct config *c, const struct config_item *group, const char *name, enum config_presence p,
		     const char *const *words, unsigned otherwise)
{
	const char *text = config_string(c, group, name, p, NULL);
	char list[200] = "";
	size_t len = 0;

	if (!text)
		return otherwise;
	for (unsigned i = 0; words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	for (unsigned i = 0; words[i] && len < sizeof list; i++)
		len += (size_t)snprintf(list + len, sizeof list - len, "%s\"%s\"", i ? ", " : "", words[i]);
	config_item_error(c, item_of(config_setting_get_member(setting_of(group), name)), "unknown-word", "is \"%.80s\": write one of %s", text, list);
	return otherwise;
}

static uint64_t amount(struct config *c, const struct config_item *group, const char *name, enum config_presence p, const char *example,
		       bool (*parse)(const char *, uint64_t *), uint64_t min, uint64_t max, uint64_t otherwise)
{
	const char *text = config_string(c, group, name, p, NULL);
	const struct config_item *item;
	uint64_t value = 0;

	if (!text)
		return otherwise;
	item = item_of(config_setting_get_member(setting_of(group), name));
	if (!parse(text, &value))
		config_item_error(c, item, "bad-amount", "is \"%.80s\", no amount with a unit: write it as %s", text, example);
	else if (value < min || value > max)
		config_item_error(c, item, "out-of-range", "is \"%.80s\" (%llu): write %llu to %llu, in its base unit", text,
				  (unsigned long long)value, (unsigned long long)min, (unsigned long long)max);
	else
		return value;
	return otherwise;
}

uint64_t config_count(struct config *c, const struct config_item *group, const char *name, enum config_presence p, uint64_t min, uint64_t max, uint64_t otherwise)
{
	return amount(c, group, name, p, "\"100\" or \"5k\"", config_parse_count, min, max, otherwise);
}

uint64_t config_bytes(struct config *c, const struct config_item *group, const char *name, enum config_presence p, uint64_t min, uint64_t max, uint64_t otherwise)
{
	return amount(c, group, name, p, "\"512Mi\"", config_parse_bytes, min, max, otherwise);
}

uint64_t config_duration_ms(struct config *c, const struct config_item *group, const char *name, enum config_presence p, uint64_t min_ms, uint64_t max_ms, uint64_t otherwise_ms)
{
	return amount(c, group, name, p, "\"15m\" (ms, s, m, h, d)", config_parse_duration_ms, min_ms, max_ms, otherwise_ms);
}

const char *config_name_at(const struct config_item *group, unsigned i)
{
	const config_setting_t *s = group ? config_setting_get_elem(setting_of(group), i) : NULL;

	return s ? s->name : NULL;
}
