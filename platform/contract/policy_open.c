/* The check of an image: one function per kind of element; whatever an accessor or dataplane/verdict later uses as an offset,
 * a count, an index or an enum is looked at here. `bad` names the first fault. */
#include "platform/contract/policy.h"

#include <stdio.h>

#include "platform/contract/policy_image.h"

struct check {
	const struct policy_image *p;
	size_t len;
	const char *bad;
};

static bool fail(struct check *c, const char *what)
{
	if (!c->bad)
		c->bad = what;
	return false;
}

static bool table_fits(const struct check *c, struct image_table t, size_t element)
{
	return t.off % 8 == 0 && t.off >= sizeof *c->p && t.off <= c->len && t.count <= (c->len - t.off) / element;
}

static bool blob_fits(const struct check *c, struct image_string s)
{
	return s.off <= c->len && s.len <= c->len - s.off;
}

/* Followed by a NUL, and none inside. */
static bool string_fits(struct check *c, struct image_string s)
{
	const uint8_t *base = (const uint8_t *)c->p + s.off;

	if (!blob_fits(c, s) || s.len == c->len - s.off || base[s.len] != 0 || memchr(base, 0, s.len))
		return fail(c, "a string");
	return true;
}

static bool range_fits(struct image_range r, struct image_table t)
{
	return r.first <= t.count && r.count <= t.count - r.first;
}

static bool power_of_two(uint32_t n)
{
	return n > 0 && (n & (n - 1)) == 0;
}

static void check_services(struct check *c)
{
	for (uint32_t i = 0; i < c->p->services.count; i++) {
		const struct image_service *s = image_services(c->p) + i;

		(void)(string_fits(c, s->name) && string_fits(c, s->protocol_word) && string_fits(c, s->upstream_name) &&
		       string_fits(c, s->login) && string_fits(c, s->search_path) && string_fits(c, s->reason));
		if (!range_fits(s->listeners, c->p->listeners) || s->protocol >= POLICY_PROTOCOL_count || s->tls >= POLICY_TLS_count ||
		    s->fail >= POLICY_FAIL_count || s->audit >= POLICY_AUDIT_count || s->record >= POLICY_RECORD_count ||
		    s->on_journal_full >= POLICY_FULL_count || s->on_stale_revocation >= POLICY_STALE_count || s->on_clock_free >= POLICY_CLOCK_count ||
		    s->splice >= POLICY_SPLICE_count)
			fail(c, "a service");
		if (s->fail == POLICY_FAIL_OPEN && s->protocol != POLICY_PROTOCOL_PASS)
			fail(c, "an inspected service that fails open");
	}
}

static void check_slots(struct check *c, struct image_table t, const uint32_t *slot)
{
	if (t.count && !power_of_two(t.count))
		fail(c, "a table of slots");
	for (uint32_t i = 0; i < t.count; i++)
		if (slot[i] > c->p->listeners.count)
			fail(c, "a slot");
}

static void check_listeners(struct check *c)
{
	for (uint32_t i = 0; i < c->p->listeners.count; i++) {
		const struct image_listener *l = image_listeners(c->p) + i;

		if ((l->family != 4 && l->family != 6) || l->transport >= POLICY_TRANSPORT_count || l->any_vlan > 1 || l->vlan > 4094 ||
		    l->service >= c->p->services.count)
			fail(c, "a listener");
	}
	check_slots(c, c->p->listener_slots, image_listener_slots(c->p));
	check_slots(c, c->p->target_slots, image_target_slots(c->p));
}

static void check_names(struct check *c)
{
	const struct policy_image *p = c->p;

	for (uint32_t i = 0; i < p->groups.count; i++)
		string_fits(c, image_groups(p)[i].name);
	for (uint32_t i = 0; i < p->classes.count; i++)
		string_fits(c, image_classes(p)[i].name);
	for (uint32_t i = 0; i < p->levels.count; i++)
		if (!string_fits(c, image_levels(p)[i].text) || image_levels(p)[i].kind >= LEVEL_kinds)
			fail(c, "a level of a name");
	for (uint32_t i = 0; i < p->patterns.count; i++) {
		struct image_range r = image_patterns(p)[i].levels;

		if (!range_fits(r, p->levels) || r.count == 0 || r.count > LIMIT_LEVELS)
			fail(c, "a name pattern");
	}
	for (uint32_t i = 0; i < p->columns.count; i++)
		if (image_columns(p)[i].pattern >= p->patterns.count || image_columns(p)[i].class >= p->classes.count)
			fail(c, "a column");
}

static void check_approvals(struct check *c)
{
	const struct policy_image *p = c->p;

	for (uint32_t i = 0; i < p->approvals.count; i++)
		if (!string_fits(c, image_approvals(p)[i].name) || !range_fits(image_approvals(p)[i].needs, p->needs))
			fail(c, "an approval");
	for (uint32_t i = 0; i < p->needs.count; i++)
		if (image_needs(p)[i].group >= p->groups.count)
			fail(c, "what an approval needs");
	for (uint32_t i = 0; i < p->sources.count; i++) {
		const struct image_source *s = image_sources(p) + i;

		if ((s->family != 4 && s->family != 6) || s->bits > (s->family == 4 ? 32 : 128))
			fail(c, "a source");
	}
}

static void check_rules(struct check *c)
{
	const struct policy_image *p = c->p;

	for (uint32_t i = 0; i < p->rules.count; i++) {
		const struct image_rule *r = image_rules(p) + i;

		(void)(string_fits(c, r->id) && string_fits(c, r->say));
		if (r->say.len > LIMIT_SAY_BYTES || r->action >= POLICY_ACTION_count || !range_fits(r->objects, p->patterns) ||
		    !range_fits(r->except_objects, p->patterns) || !range_fits(r->sources, p->sources) || !range_fits(r->windows, p->windows))
			fail(c, "a rule");
		if (r->pattern != POLICY_NONE && (r->pattern >= p->pattern_count || r->action == POLICY_ALLOW))
			fail(c, "a rule's pattern");
		if ((r->action == POLICY_HOLD) != (r->approval != POLICY_NONE) || (r->approval != POLICY_NONE && r->approval >= p->approvals.count))
			fail(c, "a rule's approval");
		if (r->action == POLICY_ALLOW && (r->verbs >> VERB_unknown & 1))
			fail(c, "a rule that allows what is unknown");
	}
}

static bool check_header(struct check *c)
{
	const struct policy_image *p = c->p;
	bool holds = p->unmatched == POLICY_HOLD || p->unknown == POLICY_HOLD;

	if (p->magic != POLICY_MAGIC || p->version != POLICY_VERSION || p->size != c->len)
		return fail(c, "no image of this version");
	if (p->verbs != VERB_count || p->flags != FLAG_count)
		return fail(c, "an image for another list of verbs or flags");
	if (p->checksum != image_checksum(p))
		return fail(c, "damaged: the checksum is wrong");
#define TABLE(name, type) \
	if (!table_fits(c, p->name, sizeof(type))) \
		return fail(c, "the table of " #name);
	POLICY_TABLES(TABLE)
#undef TABLE
	if (p->services.count > LIMIT_SERVICES || p->groups.count > LIMIT_GROUPS || p->classes.count > LIMIT_CLASSES ||
	    p->approvals.count > LIMIT_APPROVALS || p->rules.count > LIMIT_RULES || p->pattern_count > LIMIT_PATTERNS ||
	    p->listeners.count > LIMIT_LISTENERS)
		return fail(c, "more of something than the limits allow");
	if (p->verb_rows.count != VERB_count * image_words(p) || p->service_rows.count != p->services.count * image_words(p) ||
	    p->group_rows.count != (p->groups.count + 1) * image_words(p) || p->bucket_rows.count != POLICY_BUCKETS * image_words(p))
		return fail(c, "rows");
	if ((p->unmatched != POLICY_HOLD && p->unmatched != POLICY_BLOCK) || (p->unknown != POLICY_HOLD && p->unknown != POLICY_BLOCK) ||
	    (p->approval != POLICY_NONE && p->approval >= p->approvals.count) || (holds && p->approval == POLICY_NONE) ||
	    p->on_control_lost >= POLICY_LOST_count || p->on_journal_full >= POLICY_FULL_count || p->on_stale_revocation >= POLICY_STALE_count ||
	    p->on_clock_free >= POLICY_CLOCK_count ||
	    p->record >= POLICY_RECORD_count || p->audit >= POLICY_AUDIT_count || p->run_id_required > 1)
		return fail(c, "defaults");
	if (!blob_fits(c, p->class_database) || !blob_fits(c, p->pattern_database))
		return fail(c, "a database");
	return string_fits(c, p->name);
}

const struct policy_image *policy_image_open(const void *base, size_t len, char *err, size_t err_len)
{
	struct check c = { .p = base, .len = len };

	if (len < sizeof *c.p || len > LIMIT_POLICY_IMAGE_BYTES || (uintptr_t)base % 8) {
		c.bad = "too short, too long or not aligned";
	} else if (check_header(&c)) {
		check_services(&c);
		check_listeners(&c);
		check_names(&c);
		check_approvals(&c);
		check_rules(&c);
	}
	if (err && err_len)
		snprintf(err, err_len, "%s", c.bad ? c.bad : "");
	return c.bad ? NULL : c.p;
}
