/* The closed side: what is not known (a source, a database) never makes an allow rule match and never keeps a block or hold
 * rule from matching. */
#include "dataplane/verdict/rule.h"

#include "platform/contract/policy_image.h"

#define WEEK_MINUTES (7 * 24 * 60)

static bool has_ddl(const struct classified_statement *s)
{
	struct reader at = s->access_bytes;
	struct access a;

	while (access_next(&at, &a))
		if (a.verb == VERB_ddl)
			return true;
	return false;
}

uint32_t rule_flags(const struct verdict_request *request, const struct classified_statement *s, const struct class_bits *predicates)
{
	const struct classification *c = request->classification;
	bool many = c && c->statements > 1;
	uint32_t flags = s->flags | request->flags;

	if (many)
		flags |= FLAG_multi_statement;
	if (class_bits_any(predicates))
		flags |= FLAG_tainted_predicate;
	/* Several statements in one message are one transaction of their own. */
	if ((many || request->in_transaction) && !(flags & FLAG_ddl_in_transaction) && has_ddl(s))
		flags |= FLAG_ddl_in_transaction;
	return flags;
}

static struct bytes schema_of(const struct policy_image *image, const struct verdict_request *request, struct bytes name)
{
	if (request->schema_unknown)
		return (struct bytes){ 0 };
	if (name.len >= 3 && memcmp(name.base, "pg_", 3) == 0)
		return bytes_str("pg_catalog");
	return request->default_schema.len ? request->default_schema : image_bytes(image, image_services(image)[request->service].search_path);
}

struct rule_access rule_access_of(const struct policy_image *image, const struct verdict_request *request, const struct access *a, uint32_t flags)
{
	struct rule_access out = { .verb = a->verb, .flags = flags };
	bool below_schema = a->kind == OBJECT_RELATION || a->kind == OBJECT_FUNCTION;

	if (a->kind == OBJECT_NONE && a->levels == 0)
		return out;
	if (below_schema && a->levels <= 2)
		out.name[out.names++] = request->database;
	if (below_schema && a->levels == 1)
		out.name[out.names++] = schema_of(image, request, a->level[0]);
	for (unsigned i = 0; i < a->levels && out.names < RULE_NAMES_MAX; i++) {
		if (a->level[i].len == 0)
			out.verb = VERB_unknown;
		out.name[out.names++] = a->level[i];
	}
	if (a->levels == 0) {
		out.names = 0;
		out.verb = VERB_unknown;
	}
	return out;
}

struct rule_access rule_access_unknown(const struct verdict_request *request)
{
	return (struct rule_access){ .verb = VERB_unknown, .flags = request->flags };
}

static bool in_prefix(const struct image_source *s, const uint8_t *address)
{
	unsigned whole = s->bits / 8, rest = s->bits % 8;

	if (memcmp(s->address, address, whole) != 0)
		return false;
	return rest == 0 || ((s->address[whole] ^ address[whole]) & (0xff00u >> rest & 0xffu)) == 0;
}

static bool match_source(const struct policy_image *image, const struct image_rule *r, const struct verdict_request *request)
{
	if (r->sources.count == 0)
		return true;
	if (request->family != 4 && request->family != 6)
		return r->action != POLICY_ALLOW;
	for (uint32_t i = 0; i < r->sources.count; i++) {
		const struct image_source *s = image_sources(image) + r->sources.first + i;

		if (s->family == request->family && in_prefix(s, request->source))
			return true;
	}
	return false;
}

static bool match_time(const struct policy_image *image, const struct image_rule *r, uint64_t now_s)
{
	/* 1970-01-01 was a Thursday: three days into a week that begins on Monday. */
	uint32_t minute = (uint32_t)((now_s / 60 + 3 * 24 * 60) % WEEK_MINUTES);

	if (r->windows.count && now_s == 0)
		return r->action != POLICY_ALLOW;
	for (uint32_t i = 0; i < r->windows.count; i++) {
		const struct image_window *w = image_windows(image) + r->windows.first + i;

		if (minute >= w->start && minute < w->end)
			return true;
	}
	return r->windows.count == 0;
}

static bool match_objects(const struct policy_image *image, struct image_range patterns, const struct rule_access *a, bool open)
{
	for (uint32_t i = 0; i < patterns.count; i++)
		if (image_pattern_match(image, patterns.first + i, a->name, a->names, open))
			return true;
	return false;
}

static bool pattern_hit(const struct verdict_request *request, uint16_t pattern)
{
	return pattern < LIMIT_PATTERNS && (request->patterns.w[pattern / 64] >> (pattern % 64) & 1);
}

/*
 * An access that names no object either touches none, and is then inside every list for allow and outside for block and hold; or it
 * may touch any, and is then outside every list for allow, inside for block and hold, and excepted from no block.
 */
enum rule_miss rule_match(const struct policy_image *image, unsigned rule, const struct verdict_request *request, const struct rule_access *a)
{
	const struct image_rule *r = image_rules(image) + rule;
	bool allow = r->action == POLICY_ALLOW;

	if (request->service >= LIMIT_SERVICES || !(r->services[request->service / 64] >> (request->service % 64) & 1))
		return MISS_SERVICE;
	if (!(r->verbs >> a->verb & 1))
		return MISS_VERB;
	if (!r->who_any && !group_bits_meet(&r->who, &request->groups))
		return MISS_WHO;
	if (group_bits_meet(&r->except_who, &request->groups))
		return MISS_EXCEPT_WHO;
	if (!r->purpose_any && !group_bits_meet(&r->purpose, &request->groups))
		return MISS_PURPOSE;
	if (!match_source(image, r, request))
		return MISS_SOURCE;
	if (!match_time(image, r, request->now_s))
		return MISS_TIME;
	if ((r->flags & a->flags) != r->flags)
		return MISS_FLAGS;
	if (r->pattern != POLICY_NONE && !pattern_hit(request, r->pattern))
		return MISS_PATTERN;
	if (r->objects.count && (a->names ? !match_objects(image, r->objects, a, !allow) : verb_touches_only_named(a->verb) != allow))
		return MISS_OBJECTS;
	if (a->names ? match_objects(image, r->except_objects, a, allow) : r->except_objects.count && allow && !verb_touches_only_named(a->verb))
		return MISS_EXCEPT_OBJECTS;
	return MISS_NONE;
}

const char *rule_miss_word(enum rule_miss miss)
{
	static const char *const words[MISS_count] = { "", "service", "verbs", "who", "except_who", "purpose", "source", "time", "flags",
						       "pattern", "objects", "except_objects" };

	return (unsigned)miss < MISS_count ? words[miss] : "";
}
