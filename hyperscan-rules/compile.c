/* The databases: tier one is all triggers with SINGLEMATCH, the exact ones are one per group, equal patterns shared. */
#include "hyperscan-rules/compile.h"

#include <hs.h>
#include <stdio.h>
#include <stdlib.h>

#include "hyperscan-rules/validate/candidate.h"
#include "hyperscan-rules/validate/packed.h"

static unsigned flags_of(const struct rule_pattern *pattern, bool trigger)
{
	return HS_FLAG_DOTALL | (pattern->caseless ? HS_FLAG_CASELESS : 0) | (trigger ? HS_FLAG_SINGLEMATCH : 0);
}

static bool refuse(const struct rule *rule, unsigned line, const char *why, const char *detail, char *err, size_t err_len)
{
	snprintf(err, err_len, "%.200s:%u: %s%s%.200s", rule->file, line, why, detail ? ": " : "", detail ? detail : "");
	return false;
}

/* Where failures of a check go. */
struct checker {
	const struct rule *rule;
	compile_report *report;
	void *ctx;
};

static bool complain(const struct checker *to, unsigned line, const char *why, const char *detail)
{
	char text[512];

	refuse(to->rule, line, why, detail, text, sizeof text);
	to->report(to->ctx, text);
	return false;
}

/* One pattern alone, in block and in stream mode. */
static bool pattern_compiles(const struct checker *to, const struct rule_pattern *pattern, bool trigger)
{
	static const unsigned MODES[] = { HS_MODE_STREAM, HS_MODE_BLOCK };

	for (size_t i = 0; i < sizeof MODES / sizeof *MODES; i++) {
		hs_compile_error_t *error = NULL;
		hs_database_t *database = NULL;
		size_t size = 0;

		if (hs_compile(pattern->text, flags_of(pattern, trigger), MODES[i], NULL, &database, &error) != HS_SUCCESS) {
			complain(to, pattern->line, "Hyperscan refuses the pattern", error ? error->message : "no reason given");
			hs_free_compile_error(error);
			return false;
		}
		hs_database_size(database, &size);
		hs_free_database(database);
		if (size > COMPILE_PATTERN_BYTES_MAX)
			return complain(to, pattern->line, "the pattern's database is too large", pattern->text);
	}
	return true;
}

struct proof {
	const struct rule *rule;
	const struct sample *sample;
	struct candidate best;
	bool found, alone;
};

static bool on_end(void *ctx, unsigned class, size_t end)
{
	struct proof *p = ctx;
	struct candidate c;
	uint64_t work = 0;

	if (!candidate_find(&p->rule->class, p->sample->text, end, &c, &work))
		return true;
	if (!p->found || c.end - c.start > p->best.end - p->best.start)
		p->best = c;
	p->found = true;
	p->alone = p->alone || p->rule->class.alone == ALONE_YES || (p->rule->class.alone == ALONE_SEPARATED && c.separated);
	return true;
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
	(void)on_end(ctx, 0, (size_t)to);
	return 0;
}

static int on_trigger(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
	*(bool *)ctx = true;
	return 1;
}

static hs_database_t *compile_list(const struct rule_pattern *list, unsigned count, bool trigger)
{
	const char *texts[RULE_PATTERNS];
	unsigned flags[RULE_PATTERNS], ids[RULE_PATTERNS];
	hs_compile_error_t *error = NULL;
	hs_database_t *database = NULL;

	for (unsigned i = 0; i < count; i++) {
		texts[i] = list[i].text;
		flags[i] = flags_of(&list[i], trigger);
		ids[i] = i;
	}
	if (hs_compile_multi(texts, flags, ids, count, HS_MODE_BLOCK, NULL, &database, &error) != HS_SUCCESS)
		hs_free_compile_error(error);
	return database;
}

static bool judge(const struct checker *to, const struct proof *p, bool triggered)
{
	const struct sample *s = p->sample;
	char shown[160];
	bool exact = p->found && p->best.start == s->start && p->best.end == s->end;

	snprintf(shown, sizeof shown, "%.*s", (int)(s->text.len < 150 ? s->text.len : 150), (const char *)s->text.base);
	if (s->kind == SAMPLE_NO)
		return !p->found || complain(to, s->line, "a negative sample is matched", shown);
	if (!triggered)
		return complain(to, s->line, "no trigger wakes for this sample", shown);
	if (!p->found)
		return complain(to, s->line, "a positive sample is not matched", shown);
	if (!exact)
		return complain(to, s->line, "the match is not the marked part of the sample", shown);
	if (s->kind == SAMPLE_QUIET && p->alone)
		return complain(to, s->line, "a sample that wants context is matched without", shown);
	if (s->kind == SAMPLE_YES && !p->alone)
		return complain(to, s->line, "a sample that needs no context is matched only with it", shown);
	return true;
}

static bool samples_hold(const struct checker *to, hs_database_t *exact, hs_database_t *trigger)
{
	hs_scratch_t *scratch = NULL;
	bool ok = true;

	if (hs_alloc_scratch(exact, &scratch) != HS_SUCCESS || hs_alloc_scratch(trigger, &scratch) != HS_SUCCESS) {
		hs_free_scratch(scratch);
		return complain(to, 0, "no memory for scratch", NULL);
	}
	for (unsigned i = 0; i < to->rule->samples_count; i++) {
		struct proof proof = { .rule = to->rule, .sample = &to->rule->samples[i] };
		const char *text = (const char *)proof.sample->text.base;
		unsigned len = (unsigned)proof.sample->text.len;
		bool triggered = false;

		hs_scan(trigger, text, len, 0, scratch, on_trigger, &triggered);
		hs_scan(exact, text, len, 0, scratch, on_match, &proof);
		ok = judge(to, &proof, triggered) && ok;
	}
	hs_free_scratch(scratch);
	return ok;
}

/* The same for classes that the scanner for numbers finds. */
static bool packed_samples_hold(const struct checker *to)
{
	static const uint64_t FIRST[LIMIT_CLASSES / 64] = { 1 };
	static struct packed_index index;
	bool ok = true;

	memset(&index, 0, sizeof index);
	packed_index_add(&index, 0, &to->rule->class);
	for (unsigned i = 0; i < to->rule->samples_count; i++) {
		struct proof proof = { .rule = to->rule, .sample = &to->rule->samples[i] };
		bool possible = packed_possible(proof.sample->text);

		packed_scan(&index, FIRST, proof.sample->text, on_end, &proof);
		ok = judge(to, &proof, possible) && ok;
	}
	return ok;
}

/* A class of names: `yes` is a column's name with strong evidence, `no` one without. */
static bool names_hold(const struct checker *to)
{
	const struct class *class = &to->rule->class;
	bool ok = true;

	for (unsigned i = 0; i < to->rule->samples_count; i++) {
		const struct sample *s = &to->rule->samples[i];
		char folded[256], word[CLASS_NAME_BYTES + 3];
		size_t len = class_fold_name(s->text, folded, sizeof folded);
		bool strong = false, negative = false;

		folded[len] = 0;

		for (unsigned w = 0; w < class->words_count; w++) {
			int word_len = snprintf(word, sizeof word, "_%s_", class->words[w].text);
			bool found = memmem(folded, len, word, (size_t)word_len) != NULL;

			strong = strong || (found && class->words[w].strength == WORD_STRONG);
			negative = negative || (found && class->words[w].strength == WORD_NEGATIVE);
		}
		strong = strong && !negative;
		if (strong != (s->kind != SAMPLE_NO))
			ok = complain(to, s->line, strong ? "a negative name is taken" : "a positive name is not taken", folded);
	}
	return ok;
}

static bool check_rule(const struct checker *to)
{
	const struct rule *rule = to->rule;
	hs_database_t *exact, *trigger;
	bool ok = true;

	if (rule->class.shape == SHAPE_NAME)
		return names_hold(to);
	if (packed_is(&rule->class))
		return packed_samples_hold(to);
	for (unsigned i = 0; i < rule->patterns_count; i++)
		ok = pattern_compiles(to, &rule->patterns[i], false) && ok;
	for (unsigned i = 0; i < rule->triggers_count; i++)
		ok = pattern_compiles(to, &rule->triggers[i], true) && ok;
	if (!ok)
		return false;
	exact = compile_list(rule->patterns, rule->patterns_count, false);
	trigger = compile_list(rule->triggers, rule->triggers_count, true);
	if (!exact || !trigger)
		ok = complain(to, 0, "the patterns together are too large", NULL);
	else
		ok = samples_hold(to, exact, trigger);
	hs_free_database(exact);
	hs_free_database(trigger);
	return ok;
}

bool compile_check(const struct rule *rules, unsigned count, compile_report *report, void *ctx)
{
	bool ok = true;

	for (unsigned i = 0; i < count; i++)
		ok = check_rule(&(struct checker){ .rule = &rules[i], .report = report, .ctx = ctx }) && ok;
	return ok;
}

/* Equal patterns of several classes are one expression. */
struct table {
	struct {
		const char *text;
		unsigned flags;
	} entry[BLOB_EXPRESSIONS];
	unsigned count;
};

static bool table_add(struct table *t, struct blob_expression *list, const struct rule_pattern *pattern, bool trigger, unsigned group, unsigned class)
{
	unsigned flags = flags_of(pattern, trigger), i = 0;

	while (i < t->count && !(list[i].group == group && t->entry[i].flags == flags && strcmp(t->entry[i].text, pattern->text) == 0))
		i++;
	if (i == BLOB_EXPRESSIONS)
		return false;
	if (i == t->count) {
		t->entry[t->count].text = pattern->text;
		t->entry[t->count++].flags = flags;
		list[i].group = (uint8_t)group;
	}
	list[i].classes[class / 64] |= 1ULL << (class % 64);
	return true;
}

static bool build_tables(const struct rule *rules, unsigned count, struct blob *blob, struct table *triggers, struct table *exact, char *err, size_t err_len)
{
	const char *groups[BLOB_GROUPS];

	for (unsigned c = 0; c < count; c++) {
		unsigned group = 0;
		bool ok = true;

		blob->classes[blob->classes_count++] = rules[c].class;
		if (rules[c].class.shape == SHAPE_NAME || packed_is(&rules[c].class))
			continue;
		while (group < blob->groups_count && strcmp(groups[group], rules[c].group) != 0)
			group++;
		if (group == BLOB_GROUPS)
			return refuse(&rules[c], 0, "more groups than a blob can hold", rules[c].group, err, err_len);
		if (group == blob->groups_count)
			groups[blob->groups_count++] = rules[c].group;
		for (unsigned i = 0; ok && i < rules[c].triggers_count; i++)
			ok = table_add(triggers, blob->triggers, &rules[c].triggers[i], true, 0, c);
		for (unsigned i = 0; ok && i < rules[c].patterns_count; i++)
			ok = table_add(exact, blob->expressions, &rules[c].patterns[i], false, group, c);
		if (!ok)
			return refuse(&rules[c], 0, "more expressions than a blob can hold", NULL, err, err_len);
	}
	blob->triggers_count = triggers->count;
	blob->expressions_count = exact->count;
	return true;
}

/* Compiles the entries of `group` (all when negative) and serializes the database; malloc'd. */
static bool build_database(const struct table *t, const struct blob_expression *list, int group, const hs_platform_info_t *platform,
			   struct bytes *out, char *err, size_t err_len)
{
	const char *texts[BLOB_EXPRESSIONS];
	unsigned flags[BLOB_EXPRESSIONS], ids[BLOB_EXPRESSIONS], count = 0;
	hs_compile_error_t *error = NULL;
	hs_database_t *database = NULL;
	char *bytes = NULL;
	size_t len = 0;
	bool ok;

	for (unsigned i = 0; i < t->count; i++)
		if (group < 0 || list[i].group == group) {
			texts[count] = t->entry[i].text;
			flags[count] = t->entry[i].flags;
			ids[count++] = i;
		}
	if (hs_compile_multi(texts, flags, ids, count, HS_MODE_BLOCK, platform, &database, &error) != HS_SUCCESS) {
		snprintf(err, err_len, "Hyperscan refuses the patterns together: %s", error ? error->message : "no reason given");
		hs_free_compile_error(error);
		return false;
	}
	ok = hs_serialize_database(database, &bytes, &len) == HS_SUCCESS;
	hs_free_database(database);
	*out = bytes_of(bytes, len);
	if (!ok)
		snprintf(err, err_len, "the database cannot be serialized");
	return ok;
}

static uint8_t *encode(const struct blob *blob, size_t *len)
{
	size_t cap = 4096 + blob->tier_one.len + blob->classes_count * (sizeof(struct class) + 64) +
		     (blob->triggers_count + blob->expressions_count) * (BLOB_SET_BYTES + 1);
	struct writer out;

	for (unsigned i = 0; i < blob->groups_count; i++)
		cap += blob->groups[i].len + 4;
	out = writer_of(malloc(cap), cap);
	if (!out.base)
		return NULL;
	blob_encode(blob, &out);
	*len = out.len;
	if (out.ok)
		return out.base;
	free(out.base);
	return NULL;
}

uint8_t *compile_blob(const struct rule *rules, unsigned count, enum compile_target target, size_t *len, char *err, size_t err_len)
{
	hs_platform_info_t generic = { 0 };
	const hs_platform_info_t *platform = target == COMPILE_GENERIC ? &generic : NULL;
	struct blob *blob = calloc(1, sizeof *blob);
	struct table *triggers = calloc(1, sizeof *triggers), *exact = calloc(1, sizeof *exact);
	uint8_t *out = NULL;
	bool ok = blob && triggers && exact && build_tables(rules, count, blob, triggers, exact, err, err_len);

	ok = ok && build_database(triggers, blob->triggers, -1, platform, &blob->tier_one, err, err_len);
	for (unsigned i = 0; ok && i < blob->groups_count; i++)
		ok = build_database(exact, blob->expressions, (int)i, platform, &blob->groups[i], err, err_len);
	if (ok)
		out = encode(blob, len);
	if (ok && !out)
		snprintf(err, err_len, "the blob cannot be encoded");
	if (blob) {
		free((void *)blob->tier_one.base);
		for (unsigned i = 0; i < BLOB_GROUPS; i++)
			free((void *)blob->groups[i].base);
	}
	free(blob);
	free(triggers);
	free(exact);
	return out;
}
