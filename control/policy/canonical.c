/* RFC 8785 by jansson: names are ASCII, so its byte order of keys is the order of UTF-16 code units (3.2.3); strings hold no
 * control characters, so only `"` and `\` are escaped (3.2.2.2); numbers are integers below 2^53 (3.2.2.3). The order of lists is
 * the file's: two files that differ in it only judge alike, and have two hashes. */
#include "control/policy/canonical.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "control/policy/policy.h"

static json_t *text(const char *s)
{
	return json_string(s ? s : "");
}

static json_t *strings(struct policy_strings list)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < list.count; i++)
		json_array_append_new(out, json_string(list.at[i]));
	return out;
}

static json_t *names(const char *const *at, unsigned max)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < max && at[i]; i++)
		json_array_append_new(out, json_string(at[i]));
	return out;
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *approval_name(const struct policy_tree *t, unsigned i)
{
	return text(i == POLICY_NONE ? "" : t->approvals[i].name);
}

static json_t *issuer(const struct policy_tree_issuer *n)
{
	const struct identity_issuer *as = &n->as;

	return json_pack("{so so so so so so so so so si si si si sb sb s{so so so so so}}", "name", text(as->name), "kind",
			 text(n->spiffe ? "spiffe" : "oidc"), "issuer", text(as->issuer), "audience", text(as->audience), "bundle", text(n->bundle),
			 "trust_domain", text(as->trust_domain), "algs", names(as->algs, 4), "typ", names(as->typ, 4), "clients", names(as->clients, 16),
			 "skew", (int)as->skew_s, "max_life", (int)as->life_s_max, "max_stale", (int)as->stale_s_max, "max_news_age", (int)as->news_s_max, "bound", as->bound, "single_use",
			 as->single_use, "map", "person", text(as->map.person), "agent", text(as->map.agent), "run", text(as->map.run), "groups",
			 text(as->map.groups), "purpose", text(as->map.purpose));
}

static json_t *issuers(const struct policy_tree *t)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < t->issuers_count; i++) {
		json_t *one = issuer(&t->issuers[i]);

		json_object_set_new(one, "jwks_uri", text(t->issuers[i].as.jwks_uri));
		json_object_set_new(one, "ca", text(t->issuers[i].as.ca));
		json_array_append_new(out, one);
	}
	return out;
}

static json_t *groups(const struct policy_tree *t)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < t->groups_count; i++) {
		const struct policy_tree_group *g = &t->groups[i];

		json_array_append_new(out, json_pack("{so so so so so}", "name", text(g->name), "issuer", text(g->issuer), "group", strings(g->group),
						     "agent", strings(g->agent), "person", strings(g->person)));
	}
	return out;
}

static json_t *services(const struct policy_tree *t)
{
	static const char *const tls[] = { "required", "optional", "off" }, *const fails[] = { "closed", "open" };
	static const char *const records[] = { "full", "digest", "meta" };
	static const char *const fulls[] = { "block", "digest" }, *const stales[] = { "block", "allow" }, *const clocks[] = { "allow", "refuse" };
	json_t *out = json_array();

	for (unsigned i = 0; i < t->services_count; i++) {
		const struct policy_tree_service *s = &t->services[i];

		json_array_append_new(out, json_pack("{so so so si so so so so so so so so so so so so so so}", "name", text(s->as.name), "protocol",
						     text(s->as.protocol_word), "listen", strings(s->listen), "vlan", (int)s->vlan, "tls", text(tls[s->as.tls]),
						     "upstream_name", text(s->as.upstream_name), "login", text(s->as.login), "fail", text(fails[s->as.fail]),
						     "audit", text(policy_audit_words[s->as.audit]), "record", text(records[s->as.record]),
						     "splice", text(s->as.splice == POLICY_SPLICE_ON ? "on" : "off"), "payload_limit", number(s->as.payload_bytes_max),
						     "search_path", text(s->as.search_path), "reason", text(s->as.reason), "run_id",
						     text(s->as.run_id_required ? "required" : "optional"), "on_journal_full",
						     text(fulls[s->as.on_journal_full]), "on_stale_revocation", text(stales[s->as.on_stale_revocation]),
						     "on_clock_free", text(clocks[s->as.on_clock_free])));
	}
	return out;
}

static json_t *classes(const struct policy_tree *t)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < t->classes_count; i++) {
		const struct policy_tree_class *c = &t->classes[i];

		json_array_append_new(out, json_pack("{so so so so}", "name", text(c->name), "columns", strings(c->columns), "detector", text(c->detector),
						     "mask", text(c->mask)));
	}
	return out;
}

static json_t *budgets(const struct policy_tree *t)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < t->budgets_count; i++) {
		const struct policy_tree_budget *b = &t->budgets[i];
		json_t *class = json_array();

		for (unsigned k = 0; k < b->classes.count; k++)
			json_array_append_new(class, text(t->classes[b->classes.at[k]].name));
		json_array_append_new(out, json_pack("{so so so so so so so so so so so so}", "name", text(b->name), "per", text(b->per), "on_exceed",
						     text(b->on_exceed), "window_ms", number(b->window_ms), "statements", number(b->statements), "rows",
						     number(b->rows), "bytes", number(b->bytes), "cells", number(b->cells), "identical",
						     number(b->identical), "deny", number(b->deny), "class", class, "approval",
						     approval_name(t, b->approval)));
	}
	return out;
}

static json_t *approvals(const struct policy_tree *t)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < t->approvals_count; i++) {
		const struct policy_tree_approval *a = &t->approvals[i];

		json_array_append_new(out, json_pack("{so so si si si so so so}", "name", text(a->name), "need", strings(a->need), "expires_s",
						     (int)a->expires_s, "use_by_s", (int)a->use_by_s, "deny_quorum", (int)a->deny_quorum, "params",
						     text(a->params_free ? "free" : "fixed"), "mode", text("hold"), "on_clock_free",
						     text(a->free_clock_ok ? "release" : "suspend")));
	}
	return out;
}

static json_t *rule(const struct policy_tree *t, const struct policy_tree_rule *r)
{
	static const char *const actions[] = { "allow", "hold", "block" };
	json_t *out = json_pack("{so so so so so so so so so so so}", "id", text(r->as.id), "action", text(actions[r->as.action]), "who", strings(r->who),
				"except_who", strings(r->except_who), "service", strings(r->service), "verbs", strings(r->verbs), "flags",
				strings(r->flags), "objects", strings(r->objects), "except_objects", strings(r->except_objects), "source",
				strings(r->source), "time", strings(r->time));
	json_t *more = json_pack("{so so so so so so so so so so}", "purpose", strings(r->purpose), "pattern", text(r->pattern), "mask", strings(r->mask),
				 "budget", strings(r->budget), "max_rows", number(r->as.rows_max), "max_bytes", number(r->as.bytes_max), "approval",
				 approval_name(t, r->as.approval), "say", text(r->as.say), "mode", text(r->as.observe ? "observe" : "enforce"),
				 "oracle", text(r->as.oracle_allowed ? "allow" : "block"));

	json_object_update(out, more);
	json_decref(more);
	return out;
}

static json_t *rules(const struct policy_tree *t)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < t->rules_count; i++)
		json_array_append_new(out, rule(t, &t->rules[i]));
	return out;
}

static json_t *defaults(const struct policy_tree *t)
{
	static const char *const actions[] = { "allow", "hold", "block" };
	static const char *const records[] = { "full", "digest", "meta" };
	const struct policy_defaults *d = &t->defaults;

	return json_pack("{so so so so so so so so so so}", "unmatched", text(actions[d->unmatched]), "unknown", text(actions[d->unknown]), "approval",
			 approval_name(t, d->approval), "on_control_lost", text(d->on_control_lost == POLICY_LOST_WAIT ? "wait" : "block"),
			 "on_journal_full", text(d->on_journal_full == POLICY_FULL_DIGEST ? "digest" : "block"), "on_stale_revocation",
			 text(d->on_stale_revocation == POLICY_STALE_ALLOW ? "allow" : "block"), "on_clock_free",
			 text(d->on_clock_free == POLICY_CLOCK_REFUSE ? "refuse" : "allow"), "record", text(records[d->record]), "audit",
			 text(policy_audit_words[d->audit]), "run_id", text(d->run_id_required ? "required" : "optional"));
}

static json_t *admin(const struct policy_tree *t)
{
	const struct policy_tree_admin *a = &t->admin;

	json_t *out = json_pack("{so so s{so so so}}", "commit_approval", approval_name(t, a->commit_approval), "confirm_within_s", number(a->confirm_within_s),
			 "roles", "administrator", strings(a->administrators), "auditor", strings(a->auditors), "operator", strings(a->operators));

	/* Left out where it says nothing: the hash of a policy from before stays. */
	if (a->destroy_approval != POLICY_NONE)
		(void)json_object_set_new(out, "destroy_approval", approval_name(t, a->destroy_approval));
	if (a->disclose_approval != POLICY_NONE)
		(void)json_object_set_new(out, "disclose_approval", approval_name(t, a->disclose_approval));
	if (a->investigators.count)
		(void)json_object_set_new(json_object_get(out, "roles"), "investigator", strings(a->investigators));
	return out;
}

static json_t *journal(const struct policy_tree *t)
{
	const struct policy_tree_journal *j = &t->journal;

	json_t *out = json_pack("{so so so so si}", "retention_records_s", number(j->retention_records_s), "retention_payload_s",
			 number(j->retention_payload_s), "checkpoint_ms", number(j->checkpoint_ms), "timestamp_ms", number(j->timestamp_ms), "witnesses",
			 (int)j->witnesses);

	if (j->prune_approved)
		(void)json_object_set_new(out, "prune", text("approved"));
	return out;
}

char *policy_canonical(const struct policy_tree *t)
{
	json_t *root = json_pack("{s{si so si so} so so so so so so so so so so}", "policy", "format", 1, "name", text(t->name), "version",
				 (int)t->version, "comment", text(t->comment), "defaults", defaults(t), "issuers", issuers(t), "groups", groups(t),
				 "services", services(t), "classes", classes(t), "budgets", budgets(t), "approvals", approvals(t), "rules", rules(t),
				 "admin", admin(t), "journal", journal(t));
	char *out = root ? json_dumps(root, JSON_SORT_KEYS | JSON_COMPACT) : NULL;

	json_decref(root);
	return out;
}

bool policy_hash_tree(struct policy_tree *t)
{
	char *canonical = policy_canonical(t);
	bool good = canonical && EVP_Digest(canonical, strlen(canonical), t->hash, NULL, EVP_sha256(), NULL) == 1;

	free(canonical);
	return good;
}
