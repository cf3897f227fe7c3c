/* Explain asks the data plane's own functions: rule_match for each rule and access, verdict_evaluate for the whole. */
#include <jansson.h>
#include <stdlib.h>

#include "control/policy/policy.h"
#include "dataplane/verdict/rule.h"

struct accesses {
	struct rule_access at[LIMIT_ACCESSES + 1];
	unsigned count;
};

static json_t *text(struct bytes b)
{
	json_t *s = json_stringn((const char *)b.base, b.len);

	return s ? s : json_string("?"); /* not UTF-8: names of a hostile statement */
}

static json_t *name_of(const struct rule_access *a)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < a->names; i++)
		json_array_append_new(out, text(a->name[i]));
	return out;
}

/* As verdict.c walks them: what is not understood is one access of verb unknown. */
static void collect(const struct policy_image *image, const struct verdict_request *request, struct accesses *out)
{
	struct class_bits predicate[LIMIT_OBJECTS];
	struct classified_statement s;
	struct reader at, accesses;
	struct access a;

	out->count = 0;
	if (!request->classification) {
		out->at[out->count++] = rule_access_unknown(request);
		return;
	}
	at = request->classification->statement_bytes;
	while (classification_next(&at, &s) && out->count < LIMIT_ACCESSES) {
		struct class_bits all = rule_predicates(image, request, &s, predicate);
		uint32_t flags = rule_flags(request, &s, &all);

		accesses = s.access_bytes;
		if (s.accesses == 0)
			out->at[out->count++] = rule_access_unknown(request);
		for (unsigned i = 0; out->count < LIMIT_ACCESSES && access_next(&accesses, &a); i++) {
			out->at[out->count] = rule_access_of(image, request, &a, flags);
			out->at[out->count++].predicate = predicate[i % LIMIT_OBJECTS];
		}
	}
}

static json_t *flag_words(uint32_t flags)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < FLAG_count; i++)
		if (flags >> i & 1)
			json_array_append_new(out, json_string(flag_word(i)));
	return out;
}

static json_t *class_names(const struct policy_image *image, const struct class_bits *classes)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < policy_counts(image).classes; i++)
		if (class_bits_has(classes, i))
			json_array_append_new(out, text(policy_class(image, i).name));
	return out;
}

static json_t *access_list(const struct policy_image *image, const struct accesses *list)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < list->count; i++)
		json_array_append_new(out, json_pack("{ss so so so}", "verb", verb_word(list->at[i].verb), "object", name_of(&list->at[i]), "flags",
						     flag_words(list->at[i].flags), "decides", class_names(image, &list->at[i].predicate)));
	return out;
}

static bool access_at(const struct classified_statement *s, unsigned number, struct access *a)
{
	struct reader at = s->access_bytes;

	for (unsigned i = 0; access_next(&at, a); i++)
		if (i == number)
			return true;
	return false;
}

/* The columns that decide something, as written: [relation, column]; * any column, ? any relation of the statement. */
static json_t *predicate_list(const struct classification *c)
{
	json_t *out = json_array();
	struct classified_statement s;
	struct predicate p;
	struct access a;

	for (struct reader at = c->statement_bytes; classification_next(&at, &s);) {
		while (predicate_next(&s.predicate_bytes, &p)) {
			json_t *name = json_array();

			if (!access_at(&s, p.access, &a))
				json_array_append_new(name, json_string("?"));
			for (unsigned i = 0; i < a.levels; i++)
				json_array_append_new(name, text(a.level[i]));
			json_array_append_new(name, p.column.len ? text(p.column) : json_string("*"));
			json_array_append_new(out, name);
		}
	}
	return out;
}

static const char *const actions[] = { "allow", "hold", "block" };

/* Matched by any access; else the condition at which the access that came furthest failed. */
static json_t *explain_rule(const struct policy_image *image, unsigned number, const struct verdict_request *request, const struct accesses *list)
{
	struct policy_rule rule = policy_rule(image, number);
	enum rule_miss furthest = MISS_SERVICE;
	bool matched = false, decides = false;

	for (unsigned i = 0; i < list->count; i++) {
		enum rule_miss miss = rule_match(image, number, request, &list->at[i]);
		struct class_bits hidden = class_bits_and(rule.mask, list->at[i].predicate);

		matched |= miss == MISS_NONE;
		decides |= miss == MISS_NONE && class_bits_any(&hidden);
		furthest = miss > furthest ? miss : furthest;
	}
	return json_pack("{so si ss sb ss sb ss}", "rule", text(rule.id), "line", (int)rule.line, "action", actions[rule.action], "matched", matched, "oracle",
			 !decides || rule.action == POLICY_BLOCK ? "" : rule.oracle_allowed ? "allowed" : "blocked", "observe", rule.observe, "failed", matched ? "" : rule_miss_word(furthest));
}

static const char *reason_word(enum command_reason reason)
{
	switch (reason) {
	case REASON_UNMATCHED: return "unmatched";
	case REASON_UNKNOWN: return "unknown";
	case REASON_TOO_LONG: return "too-long";
	case REASON_PATTERN: return "pattern";
	case REASON_ORACLE: return "oracle";
	default: return "";
	}
}

static void add_verdict(json_t *out, const struct policy_image *image, const struct verdict *v)
{
	static const char *const words[COMMAND_actions] = { [COMMAND_ALLOW] = "allow", [COMMAND_BLOCK] = "block", [COMMAND_HOLD] = "hold" };
	json_t *more = json_pack("{ss ss so so so sI sI}", "action", words[v->action], "reason", reason_word(v->reason), "approval",
				 text(v->action == COMMAND_HOLD ? policy_approval(image, v->approval).name : (struct bytes){ 0 }), "say", text(v->say), "mask",
				 class_names(image, &v->mask), "max_rows", (json_int_t)v->rows_max, "max_bytes", (json_int_t)v->bytes_max);

	json_object_set_new(more, "decided_by", text(v->by_rule ? policy_rule_id(image, v->rules[0]) : bytes_str("")));
	json_object_update(out, more);
	json_decref(more);
}

static void add_hash(json_t *out, const struct policy_image *image)
{
	char hex[2 * POLICY_HASH_BYTES + 1];

	for (unsigned i = 0; i < POLICY_HASH_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", policy_hash(image)[i]);
	json_object_set_new(out, "policy", json_string(hex));
}

char *policy_explain(const struct policy_image *image, const struct verdict_request *request)
{
	struct accesses *list = malloc(sizeof *list);
	json_t *out = json_object(), *rules = json_array();
	struct verdict v;
	char *json = NULL;

	if (list && out && rules && request->service < policy_counts(image).services) {
		collect(image, request, list);
		verdict_evaluate(image, request, &v);
		for (unsigned i = 0; i < policy_counts(image).rules; i++)
			json_array_append_new(rules, explain_rule(image, i, request, list));
		json_object_set_new(out, "service", text(policy_service(image, request->service).name));
		json_object_set_new(out, "audit", json_string(policy_audit_words[policy_service(image, request->service).audit]));
		if (request->classification) {
			json_object_set_new(out, "canonical", text(request->classification->canonical));
			json_object_set_new(out, "predicates", predicate_list(request->classification));
		}
		json_object_set_new(out, "accesses", access_list(image, list));
		json_object_set(out, "rules", rules);
		add_verdict(out, image, &v);
		add_hash(out, image);
		json = json_dumps(out, JSON_SORT_KEYS | JSON_INDENT(2));
	}
	json_decref(rules);
	json_decref(out);
	free(list);
	return json;
}
