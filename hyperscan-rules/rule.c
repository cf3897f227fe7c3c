/* The reader of class files. */
#include "hyperscan-rules/rule.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "hyperscan-rules/validate/packed.h"
#include "platform/base/limits.h"

struct parse {
	struct rule *rule;
	unsigned line;
	char *err;
	size_t err_len;
};

static bool fail(struct parse *p, const char *format, ...)
{
	va_list args;
	int head = snprintf(p->err, p->err_len, "%s:%u: ", p->rule->file, p->line);

	va_start(args, format);
	if (head > 0 && (size_t)head < p->err_len)
		vsnprintf(p->err + head, p->err_len - (size_t)head, format, args);
	va_end(args);
	return false;
}

static bool copy_text(struct parse *p, char *out, size_t size, const char *value)
{
	if (strlen(value) >= size)
		return fail(p, "longer than %zu bytes", size - 1);
	memcpy(out, value, strlen(value) + 1);
	return true;
}

static bool pick(struct parse *p, const char *const *words, unsigned count, const char *value, uint8_t *out)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(words[i], value) == 0) {
			*out = (uint8_t)i;
			return true;
		}
	return fail(p, "'%s' is none of the words allowed here", value);
}

static const char *const SHAPES[] = { "name", "packed", "run" };
static const char *const ALPHABETS[] = { "digits", "alnum", "phone", "hex", "hetu", "word", "jwt", "email", "ipv4", "ipv6", "url", "print", "pem" };
static const char *const ALONES[] = { "no", "separated", "yes" };
static const char *const FORMS[] = { "token", "secret", "digits", "card", "email", "phone", "iban", "ipv4", "ipv6", "mac", "date" };
/* The order of enum mask_kind in dataplane/match/mask.h; a test there compares. */
static const char *const MASKS[] = { "full", "last4", "null", "hash", "token", "email-domain", "zero", "year" };

_Static_assert(sizeof ALPHABETS / sizeof *ALPHABETS == ALPHABET_COUNT, "one word for each alphabet");
_Static_assert(sizeof FORMS / sizeof *FORMS == FORM_COUNT, "one word for each form");

static bool put_slot(struct parse *p, char slots[][CLASS_NAME_BYTES], const char *value)
{
	for (size_t i = 0; i < CLASS_ALIASES; i++)
		if (slots[i][0] == 0)
			return copy_text(p, slots[i], CLASS_NAME_BYTES, value);
	return fail(p, "more than %d", CLASS_ALIASES);
}

static bool put_pattern(struct parse *p, struct rule_pattern *list, unsigned *count, const char *value, bool caseless)
{
	if (*count == RULE_PATTERNS)
		return fail(p, "more than %d patterns", RULE_PATTERNS);
	list[*count].caseless = caseless;
	list[*count].line = p->line;
	return copy_text(p, list[(*count)++].text, RULE_PATTERN_BYTES, value);
}

/* "3-2-4", or "4*" for groups of four with a shorter last one. */
static bool put_grouping(struct parse *p, const char *value)
{
	uint8_t (*slots)[CLASS_GROUPS] = p->rule->class.groupings;
	size_t slot = 0, at = 0;

	while (slot < CLASS_GROUPINGS && slots[slot][0])
		slot++;
	if (slot == CLASS_GROUPINGS)
		return fail(p, "more than %d groupings", CLASS_GROUPINGS);
	while (*value) {
		char *end;
		long n = strtol(value, &end, 10);

		if (end == value || n < 1 || n > 40 || at + 2 >= CLASS_GROUPS)
			return fail(p, "bad grouping");
		slots[slot][at++] = (uint8_t)n;
		if (*end == '*')
			slots[slot][at++] = 255, end++;
		if (*end && *end != '-')
			return fail(p, "bad grouping");
		value = *end ? end + 1 : end;
	}
	return at > 0 || fail(p, "empty grouping");
}

static bool put_words(struct parse *p, const char *value, enum class_strength strength)
{
	struct class *class = &p->rule->class;

	while (*value) {
		size_t len = strcspn(value, " ");
		char folded[CLASS_NAME_BYTES + 2];
		size_t folded_len = class_fold_name(bytes_of(value, len), folded, sizeof folded);

		if (len == 0) {
			value++;
			continue;
		}
		if (folded_len < 3 || folded_len - 2 >= CLASS_NAME_BYTES)
			return fail(p, "word '%.*s' is empty or too long", (int)len, value);
		if (class->words_count == CLASS_WORDS)
			return fail(p, "more than %d words", CLASS_WORDS);
		memcpy(class->words[class->words_count].text, folded + 1, folded_len - 2);
		class->words[class->words_count++].strength = (uint8_t)strength;
		value += len;
	}
	return true;
}

static bool put_length(struct parse *p, const char *value)
{
	unsigned low, high, span;
	int fields = sscanf(value, "%u %u %u", &low, &high, &span);

	if (fields < 2)
		return fail(p, "wants the least and the greatest length");
	if (fields < 3)
		span = high;
	if (low < 1 || low > high || span < high || span > CLASS_SPAN_MAX)
		return fail(p, "lengths out of order, or a span over %d", CLASS_SPAN_MAX);
	p->rule->class.length_min = (uint16_t)low;
	p->rule->class.length_max = (uint16_t)high;
	p->rule->class.span_max = (uint16_t)span;
	return true;
}

/* \n \t \r \\ \xHH; [[ and ]] mark the part that is the value. */
static bool put_sample(struct parse *p, const char *value, enum sample_kind kind)
{
	struct rule *rule = p->rule;
	struct sample *grown = realloc(rule->samples, (rule->samples_count + 1) * sizeof *grown);
	uint8_t *text = malloc(strlen(value) + 1);
	size_t len = 0, start = SIZE_MAX, end = SIZE_MAX;

	if (grown)
		rule->samples = grown;
	if (!grown || !text) {
		free(text);
		return fail(p, "out of memory");
	}
	for (; *value; value++) {
		unsigned code;

		if (strncmp(value, "[[", 2) == 0 && start == SIZE_MAX) {
			start = len;
			value++;
		} else if (strncmp(value, "]]", 2) == 0 && start != SIZE_MAX && end == SIZE_MAX) {
			end = len;
			value++;
		} else if (value[0] == '\\' && value[1] == 'x' && sscanf(value + 2, "%2x", &code) == 1) {
			text[len++] = (uint8_t)code;
			value += 3;
		} else if (value[0] == '\\' && value[1] && strchr("ntr\\", value[1])) {
			text[len++] = (uint8_t)(value[1] == 'n' ? '\n' : value[1] == 't' ? '\t' : value[1] == 'r' ? '\r' : '\\');
			value++;
		} else {
			text[len++] = (uint8_t)*value;
		}
	}
	rule->samples[rule->samples_count++] = (struct sample){
		.kind = kind, .line = p->line, .text = bytes_of(text, len),
		.start = start == SIZE_MAX ? 0 : start, .end = start == SIZE_MAX ? len : end };
	return start == SIZE_MAX || end != SIZE_MAX || fail(p, "[[ without ]]");
}

static bool put_number(struct parse *p, const char *value, unsigned max, uint8_t *out)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (end == value || *end || n > max)
		return fail(p, "wants a number up to %u", max);
	*out = (uint8_t)n;
	return true;
}

static bool put_lead(struct parse *p, const char *value)
{
	for (size_t i = 0; i < CLASS_LEADS; i++)
		if (p->rule->class.leads[i][0] == 0)
			return copy_text(p, p->rule->class.leads[i], CLASS_LEAD_BYTES, value);
	return fail(p, "more than %d leads", CLASS_LEADS);
}

static bool put_separators(struct parse *p, const char *value)
{
	size_t len = strlen(value);

	if (len < 3 || value[0] != '"' || value[len - 1] != '"' || len - 2 >= CLASS_SEPARATORS)
		return fail(p, "separators are 1 to %d characters in double quotes", CLASS_SEPARATORS - 1);
	memcpy(p->rule->class.separators, value + 1, len - 2);
	return true;
}

static bool put_validator(struct parse *p, const char *value)
{
	enum validator which = validator_find(value);

	p->rule->class.validator = (uint8_t)which;
	return which != VALIDATOR_count || fail(p, "no validator '%s'", value);
}

static bool put_shape(struct parse *p, const char *value)
{
	char shape[16] = "", alphabet[16] = "";
	int fields = sscanf(value, "%15s %15s", shape, alphabet);
	struct class *c = &p->rule->class;

	if (fields < 1 || !pick(p, SHAPES, SHAPE_COUNT, shape, &c->shape))
		return fail(p, "wants name, packed or run, and an alphabet");
	return c->shape == SHAPE_NAME || pick(p, ALPHABETS, ALPHABET_COUNT, alphabet, &c->alphabet);
}

static bool put(struct parse *p, const char *key, const char *value)
{
	struct rule *r = p->rule;
	struct class *c = &r->class;

	if (strcmp(key, "class") == 0)
		return copy_text(p, c->name, sizeof c->name, value);
	if (strcmp(key, "title") == 0)
		return copy_text(p, r->title, sizeof r->title, value);
	if (strcmp(key, "alias") == 0)
		return put_slot(p, c->alias, value);
	if (strcmp(key, "union") == 0)
		return put_slot(p, c->unions, value);
	if (strcmp(key, "group") == 0)
		return copy_text(p, r->group, sizeof r->group, value);
	if (strcmp(key, "pattern") == 0 || strcmp(key, "pattern-i") == 0)
		return put_pattern(p, r->patterns, &r->patterns_count, value, key[7] != 0);
	if (strcmp(key, "trigger") == 0 || strcmp(key, "trigger-i") == 0)
		return put_pattern(p, r->triggers, &r->triggers_count, value, key[7] != 0);
	if (strcmp(key, "shape") == 0)
		return put_shape(p, value);
	if (strcmp(key, "case") == 0)
		return strcmp(value, "fold") == 0 ? (c->case_fold = 1, true) : fail(p, "wants 'fold'");
	if (strcmp(key, "separators") == 0)
		return put_separators(p, value);
	if (strcmp(key, "grouping") == 0)
		return put_grouping(p, value);
	if (strcmp(key, "length") == 0)
		return put_length(p, value);
	if (strcmp(key, "lead") == 0)
		return put_lead(p, value);
	if (strcmp(key, "validator") == 0)
		return put_validator(p, value);
	if (strcmp(key, "alone") == 0)
		return pick(p, ALONES, ALONE_COUNT, value, &c->alone);
	if (strcmp(key, "form") == 0)
		return pick(p, FORMS, FORM_COUNT, value, &c->form);
	if (strcmp(key, "mask") == 0)
		return pick(p, MASKS, sizeof MASKS / sizeof *MASKS, value, &c->mask_kind);
	if (strcmp(key, "priority") == 0)
		return put_number(p, value, 255, &c->priority);
	if (strcmp(key, "digits") == 0)
		return put_number(p, value, CLASS_PACKED_MAX, &c->digits_min);
	if (strcmp(key, "strong") == 0)
		return put_words(p, value, WORD_STRONG);
	if (strcmp(key, "weak") == 0)
		return put_words(p, value, WORD_WEAK);
	if (strcmp(key, "negative") == 0)
		return put_words(p, value, WORD_NEGATIVE);
	if (strcmp(key, "yes") == 0)
		return put_sample(p, value, SAMPLE_YES);
	if (strcmp(key, "no") == 0)
		return put_sample(p, value, SAMPLE_NO);
	if (strcmp(key, "quiet") == 0)
		return put_sample(p, value, SAMPLE_QUIET);
	return fail(p, "unknown keyword '%s'", key);
}

static bool is_complete(struct parse *p)
{
	const struct rule *r = p->rule;
	const struct class *c = &r->class;
	unsigned yes = 0, no = 0;

	for (unsigned i = 0; i < r->samples_count; i++) {
		yes += r->samples[i].kind != SAMPLE_NO;
		no += r->samples[i].kind == SAMPLE_NO;
	}
	if (c->name[0] == 0 || r->title[0] == 0)
		return fail(p, "class and title are missing");
	if (yes < RULE_SAMPLES_MIN || no < RULE_SAMPLES_MIN)
		return fail(p, "%u positive and %u negative samples, %d of each are wanted", yes, no, RULE_SAMPLES_MIN);
	if (c->words_count == 0 && c->alone != ALONE_YES)
		return fail(p, "a class that needs context names no word");
	if (c->shape == SHAPE_NAME)
		return r->patterns_count == 0 || fail(p, "a class of names has no pattern");
	if (c->length_max == 0)
		return fail(p, "length is wanted");
	if (c->shape == SHAPE_PACKED && c->length_max > CLASS_PACKED_MAX)
		return fail(p, "a packed class is at most %d characters", CLASS_PACKED_MAX);
	if (packed_is(c) && c->digits_min == 0)
		return fail(p, "a packed class says how many digits it has at least");
	if (packed_is(c))
		return r->patterns_count + r->triggers_count == 0 || fail(p, "a packed class is found by its length, it has no pattern");
	if (r->patterns_count == 0 || r->triggers_count == 0 || r->group[0] == 0)
		return fail(p, "pattern, trigger and group are wanted");
	return true;
}

static bool read_line(struct parse *p, char *line)
{
	size_t len = strlen(line);
	char *value;

	if (len > 0 && line[len - 1] == '\n')
		line[--len] = 0;
	if (len == 0 || line[0] == '#')
		return true;
	value = strchr(line, ' ');
	if (!value || value[1] == 0)
		return fail(p, "a keyword and its value are wanted");
	*value = 0;
	return put(p, line, value + 1);
}

bool rule_read(const char *path, struct rule *rule, char *err, size_t err_len)
{
	struct parse p = { .rule = rule, .err = err, .err_len = err_len };
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	bool ok = true;

	memset(rule, 0, sizeof *rule);
	snprintf(rule->file, sizeof rule->file, "%s", path);
	if (!file)
		return fail(&p, "cannot be opened");
	while (ok && getline(&line, &cap, file) >= 0) {
		p.line++;
		ok = read_line(&p, line);
	}
	free(line);
	fclose(file);
	return ok && is_complete(&p);
}

void rule_free(struct rule *rule)
{
	for (unsigned i = 0; i < rule->samples_count; i++)
		free((void *)rule->samples[i].text.base);
	free(rule->samples);
	memset(rule, 0, sizeof *rule);
}

static int is_class_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 4 && strcmp(entry->d_name + len - 4, ".cfg") == 0;
}

void rules_free(struct rule *rules, unsigned count)
{
	for (unsigned i = 0; rules && i < count; i++)
		rule_free(&rules[i]);
	free(rules);
}

static bool names_are_unique(const struct rule *rules, unsigned count, char *err, size_t err_len)
{
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < i; j++)
			if (strcmp(rules[i].class.name, rules[j].class.name) == 0) {
				snprintf(err, err_len, "%s: class '%s' is defined twice", rules[i].file, rules[i].class.name);
				return false;
			}
	return true;
}

struct rule *rules_read(const char *dir, unsigned *count, char *err, size_t err_len)
{
	struct dirent **entries = NULL;
	int found = scandir(dir, &entries, is_class_file, alphasort);
	struct rule *rules = NULL;
	bool ok = found > 0 && found <= LIMIT_CLASSES;

	*count = 0;
	if (!ok)
		snprintf(err, err_len, "%s: %s", dir, found > 0 ? "more classes than LIMIT_CLASSES" : "no class files");
	else
		rules = calloc((size_t)found, sizeof *rules);
	for (int i = 0; i < found; i++) {
		char path[512];

		snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
		if (ok && rules)
			ok = rule_read(path, &rules[(*count)++], err, err_len);
		free(entries[i]);
	}
	free(entries);
	if (ok && rules && names_are_unique(rules, *count, err, err_len))
		return rules;
	rules_free(rules, *count);
	return NULL;
}
