/* Sections services, classes, budgets and approvals. */
#include <stdio.h>
#include <string.h>

#include "control/policy/parse.h"
#include "dataplane/match/mask.h"

/* Protocols that Sluice knows; the ones below `inspected` have an inspector in this build. */
static const char *const protocols[] = { "pass", "postgres", "opaque", "kubernetes", "http", "mcp", "mongodb", "mysql", "mariadb", "redis", "ssh", "tds", NULL };

static void parse_listeners(struct policy_parse *p, const struct config_item *g, struct policy_tree_service *n)
{
	struct spec_listener *to;

	n->listen = policy_parse_strings(p, g, "listen", CONFIG_REQUIRED);
	n->vlan = config_int(p->c, g, "vlan", CONFIG_OPTIONAL, 1, 4094, -1);
	to = policy_alloc(p->tree, n->listen.count, sizeof *to);
	for (unsigned i = 0; i < n->listen.count; i++) {
		const char *why = policy_parse_listen(n->listen.at[i], &to[i]);

		if (why)
			config_item_error(p->c, g, "bad-address", "listen \"%.80s\" %s: correct it", n->listen.at[i], why);
		else if (to[i].transport == POLICY_UDP && n->as.protocol != POLICY_PROTOCOL_PASS)
			config_item_error(p->c, g, "udp-inspected", "listen \"%.80s\": UDP is not inspected: use protocol \"pass\" or remove it", n->listen.at[i]);
		to[i].any_vlan = n->vlan < 0;
		to[i].vlan = n->vlan < 0 ? 0 : (uint16_t)n->vlan;
	}
	n->as.listeners = to;
	n->as.listeners_count = n->listen.count;
}

static void parse_service(struct policy_parse *p, const struct config_item *g, struct policy_tree_service *n)
{
	static const char *const tls[] = { "required", "optional", "off", NULL }, *const fails[] = { "closed", "open", NULL };
	static const char *const records[] = { "full", "digest", "meta", NULL };
	static const char *const runs[] = { "optional", "required", NULL }, *const fulls[] = { "block", "digest", NULL };
	static const char *const stales[] = { "block", "allow", NULL }, *const clocks[] = { "allow", "refuse", NULL };
	static const char *const splices[] = { "on", "off", NULL };
	const struct policy_defaults *d = &p->tree->defaults;
	unsigned protocol = config_word(p->c, g, "protocol", CONFIG_REQUIRED, protocols, 0);
	bool pass = protocol == 0, unread = protocol == 0 || protocol == 2;

	n->line = config_line(g);
	n->as.name = policy_parse_name(p, g, "name");
	n->as.protocol_word = protocols[protocol];
	n->as.protocol = protocol == 0 ? POLICY_PROTOCOL_PASS : protocol == 1 ? POLICY_PROTOCOL_POSTGRES :
			 protocol == 2 ? POLICY_PROTOCOL_OPAQUE : POLICY_PROTOCOL_OTHER;
	if (n->as.protocol == POLICY_PROTOCOL_OTHER)
		config_item_error(p->c, g, "no-inspector", "protocol \"%s\" has no inspector in this build: remove the service", protocols[protocol]);
	parse_listeners(p, g, n);
	n->as.tls = config_word(p->c, g, "tls", CONFIG_OPTIONAL, tls, unread ? POLICY_TLS_OFF : POLICY_TLS_REQUIRED);
	n->as.upstream_name = config_string(p->c, g, "upstream_name", pass || n->as.tls == POLICY_TLS_OFF ? CONFIG_OPTIONAL : CONFIG_REQUIRED, "");
	n->as.login = config_string(p->c, g, "login", unread ? CONFIG_OPTIONAL : CONFIG_REQUIRED, "");
	n->as.fail = config_word(p->c, g, "fail", CONFIG_OPTIONAL, fails, POLICY_FAIL_CLOSED);
	n->as.audit = config_word(p->c, g, "audit", CONFIG_OPTIONAL, policy_audit_words, d->audit);
	n->as.record = config_word(p->c, g, "record", CONFIG_OPTIONAL, records, d->record);
	n->as.splice = config_word(p->c, g, "splice", CONFIG_OPTIONAL, splices, POLICY_SPLICE_ON);
	n->as.on_journal_full = config_word(p->c, g, "on_journal_full", CONFIG_OPTIONAL, fulls, d->on_journal_full);
	n->as.on_stale_revocation = config_word(p->c, g, "on_stale_revocation", CONFIG_OPTIONAL, stales, d->on_stale_revocation);
	n->as.on_clock_free = config_word(p->c, g, "on_clock_free", CONFIG_OPTIONAL, clocks, d->on_clock_free);
	n->as.payload_bytes_max = config_bytes(p->c, g, "payload_limit", CONFIG_OPTIONAL, 1, 1ULL << 40, POLICY_PAYLOAD_BYTES);
	n->as.search_path = config_string(p->c, g, "search_path", CONFIG_OPTIONAL, "public");
	n->as.reason = config_string(p->c, g, "reason", unread ? CONFIG_REQUIRED : CONFIG_OPTIONAL, "");
	n->as.run_id_required = config_word(p->c, g, "run_id", CONFIG_OPTIONAL, runs, d->run_id_required) == 1;
	if (n->as.fail == POLICY_FAIL_OPEN && !pass)
		config_item_error(p->c, g, "fail-open-inspected", "fails open and is inspected: only protocol \"pass\" may fail open; write fail = \"closed\"");
	if (protocol == 2 && n->as.tls != POLICY_TLS_OFF)
		config_item_error(p->c, g, "opaque-tls", "protocol \"opaque\" is not read: what it carries is between its ends: write tls = \"off\"");
	if (protocol != 2 && n->as.splice == POLICY_SPLICE_OFF)
		config_item_error(p->c, g, "splice-not-opaque", "splice is about protocol \"opaque\" only: what is read is never spliced, what passes always: remove it");
	if (!unread && n->as.tls != POLICY_TLS_REQUIRED)
		config_warning(p->report, n->line, "tls-not-required", "service \"%s\": tls is not required: tokens and data may pass in clear", n->as.name);
}

void policy_parse_services(struct policy_parse *p, const struct config_item *root)
{
	unsigned count, listeners = 0;
	const struct config_item *list = policy_parse_list(p, root, "services", LIMIT_SERVICES, "split the policy", &count);
	struct policy_tree *t = p->tree;

	t->services = policy_alloc(t, count, sizeof *t->services);
	for (unsigned i = 0; i < count; i++) {
		const struct config_item *g = config_element(p->c, list, i);
		struct policy_tree_service *n = &t->services[t->services_count];

		if (!g)
			continue;
		parse_service(p, g, n);
		listeners += n->as.listeners_count;
		for (unsigned k = 0; k < t->services_count; k++)
			policy_refuse_duplicate(p, g, n->as.name, t->services[k].as.name, t->services[k].line);
		t->services_count++;
	}
	if (listeners > LIMIT_LISTENERS)
		config_item_error(p->c, list, "too-many", "has more than %d addresses in all: split the policy", LIMIT_LISTENERS);
}

static void parse_class(struct policy_parse *p, const struct config_item *g, struct policy_tree_class *n)
{
	struct name_level level[LIMIT_LEVELS];
	char room[LIMIT_NAME_BYTES];
	enum mask_kind kind = MASK_FULL;

	n->line = config_line(g);
	n->name = policy_parse_name(p, g, "name");
	n->columns = policy_parse_strings(p, g, "columns", CONFIG_OPTIONAL);
	n->detector = config_string(p->c, g, "detector", CONFIG_OPTIONAL, NULL);
	n->mask = config_string(p->c, g, "mask", CONFIG_OPTIONAL, "full");
	if (!mask_kind_find(n->mask, &kind))
		config_item_error(p->c, g, "unknown-mask", "mask \"%.40s\" is not there: see mask.h for the words", n->mask);
	n->mask_kind = kind;
	if (!n->detector && n->columns.count == 0)
		config_item_error(p->c, g, "empty-class", "has neither columns nor a detector: name one");
	if (n->detector && !p->detectors->find)
		config_warning(p->report, n->line, "detector-unchecked", "class \"%s\": the detector \"%.60s\" was not looked up: no class database is at hand",
			       n->name, n->detector);
	else if (n->detector && !p->detectors->find(p->detectors->context, n->detector, &n->detectors))
		config_item_error(p->c, g, "unknown-detector", "detector \"%.60s\" is not in the class database: correct it", n->detector);
	for (unsigned i = 0; i < n->columns.count; i++) {
		const char *why = NULL;
		unsigned levels = policy_name_split(n->columns.at[i], level, room, &why);

		for (unsigned k = 0; k < levels; k++)
			if (level[k].kind == NAME_LEVEL_ANY)
				levels = 4;
		if (why || levels != 4)
			config_item_error(p->c, g, "bad-column", "column \"%.80s\" %s: write database.schema.table.column", n->columns.at[i],
					  why ? why : "has not four levels");
	}
}

void policy_parse_classes(struct policy_parse *p, const struct config_item *root)
{
	unsigned count;
	const struct config_item *list = policy_parse_list(p, root, "classes", LIMIT_CLASSES, "join some", &count);
	struct policy_tree *t = p->tree;

	t->classes = policy_alloc(t, count, sizeof *t->classes);
	for (unsigned i = 0; i < count; i++) {
		const struct config_item *g = config_element(p->c, list, i);
		struct policy_tree_class *n = &t->classes[t->classes_count];

		if (!g)
			continue;
		parse_class(p, g, n);
		for (unsigned k = 0; k < t->classes_count; k++)
			policy_refuse_duplicate(p, g, n->name, t->classes[k].name, t->classes[k].line);
		t->classes_count++;
	}
}

static void parse_budget(struct policy_parse *p, const struct config_item *g, struct policy_tree_budget *n)
{
	static const char *const pers[] = { "run", "agent", "person", "service", NULL }, *const exceeds[] = { "block", "hold", "alarm", NULL };
	const uint64_t most = 1ULL << 52;
	const char *approval;

	n->line = config_line(g);
	n->name = policy_parse_name(p, g, "name");
	n->per = pers[config_word(p->c, g, "per", CONFIG_REQUIRED, pers, 0)];
	n->window_ms = config_duration_ms(p->c, g, "window", CONFIG_REQUIRED, 60000, 31 * 86400000ULL, 3600000);
	n->statements = config_count(p->c, g, "statements", CONFIG_OPTIONAL, 1, most, 0);
	n->rows = config_count(p->c, g, "rows", CONFIG_OPTIONAL, 1, most, 0);
	n->bytes = config_bytes(p->c, g, "bytes", CONFIG_OPTIONAL, 1, most, 0);
	n->cells = config_count(p->c, g, "cells", CONFIG_OPTIONAL, 1, most, 0);
	n->identical = config_count(p->c, g, "identical", CONFIG_OPTIONAL, 1, most, 0);
	n->deny = config_count(p->c, g, "deny", CONFIG_OPTIONAL, 1, most, 0);
	n->classes = policy_find_classes(p, g, policy_parse_strings(p, g, "class", CONFIG_OPTIONAL));
	n->on_exceed = exceeds[config_word(p->c, g, "on_exceed", CONFIG_REQUIRED, exceeds, 0)];
	approval = config_string(p->c, g, "approval", CONFIG_OPTIONAL, NULL);
	n->approval = approval ? policy_find_approval(p, g, approval) : POLICY_NONE;
	if (!n->statements && !n->rows && !n->bytes && !n->cells && !n->identical && !n->deny)
		config_item_error(p->c, g, "empty-budget", "counts nothing: name statements, rows, bytes, cells, identical or deny");
	if ((n->cells != 0) != (n->classes.count != 0))
		config_item_error(p->c, g, "budget-class", "needs both cells and class, or neither: complete it");
	if ((strcmp(n->on_exceed, "hold") == 0) != (approval != NULL))
		config_item_error(p->c, g, approval ? "approval-without-hold" : "hold-without-approval",
				  "needs on_exceed = \"hold\" and an approval together: complete it");
	config_warning(p->report, n->line, "budget-not-enforced", "budget \"%s\": budgets are read and not counted by this build: nothing stops at it", n->name);
}

void policy_parse_budgets(struct policy_parse *p, const struct config_item *root)
{
	unsigned count;
	const struct config_item *list = policy_parse_list(p, root, "budgets", LIMIT_CLASSES, "join some", &count);
	struct policy_tree *t = p->tree;

	t->budgets = policy_alloc(t, count, sizeof *t->budgets);
	for (unsigned i = 0; i < count; i++) {
		const struct config_item *g = config_element(p->c, list, i);
		struct policy_tree_budget *n = &t->budgets[t->budgets_count];

		if (!g)
			continue;
		parse_budget(p, g, n);
		for (unsigned k = 0; k < t->budgets_count; k++)
			policy_refuse_duplicate(p, g, n->name, t->budgets[k].name, t->budgets[k].line);
		t->budgets_count++;
	}
}

/* `need` to numbers. Whether so many people can exist is policy_check's question. */
static void parse_needs(struct policy_parse *p, const struct config_item *g, struct policy_tree_approval *n)
{
	char group[LIMIT_NAME_BYTES];

	n->need = policy_parse_strings(p, g, "need", CONFIG_REQUIRED);
	n->needs = policy_alloc(p->tree, n->need.count, sizeof *n->needs);
	for (unsigned i = 0; i < n->need.count; i++) {
		struct policy_need *need = &n->needs[n->needs_count];
		const char *why = policy_parse_need(n->need.at[i], group, &need->count);

		if (why) {
			config_item_error(p->c, g, "bad-need", "need \"%.80s\" %s", n->need.at[i], why);
			continue;
		}
		need->group = policy_find_group(p, g, group);
		for (unsigned k = 0; k < n->needs_count; k++)
			if (n->needs[k].group == need->group)
				config_item_error(p->c, g, "duplicate", "need names the group \"%.80s\" twice: join the numbers", group);
		n->persons += need->count;
		if (need->group != POLICY_NONE)
			n->needs_count++;
	}
}

static void parse_approval(struct policy_parse *p, const struct config_item *g, struct policy_tree_approval *n)
{
	static const char *const modes[] = { "hold", "retry", NULL }, *const params[] = { "fixed", "free", NULL }, *const clocks[] = { "suspend", "release", NULL };

	n->line = config_line(g);
	n->name = policy_parse_name(p, g, "name");
	parse_needs(p, g, n);
	n->expires_s = (uint32_t)(config_duration_ms(p->c, g, "expires", CONFIG_REQUIRED, 1000, 7 * 86400000ULL, 1000) / 1000);
	n->use_by_s = (uint32_t)(config_duration_ms(p->c, g, "use_by", CONFIG_REQUIRED, 1000, 86400000, 1000) / 1000);
	n->deny_quorum = (unsigned)config_int(p->c, g, "deny_quorum", CONFIG_OPTIONAL, 1, 16, 1);
	n->params_free = config_word(p->c, g, "params", CONFIG_OPTIONAL, params, 0) == 1;
	n->free_clock_ok = config_word(p->c, g, "on_clock_free", CONFIG_OPTIONAL, clocks, 0) == 1;
	if (config_word(p->c, g, "mode", CONFIG_OPTIONAL, modes, 0) == 1)
		config_item_error(p->c, g, "no-retry", "mode \"retry\" is not in this build: write mode = \"hold\"");
	if (n->params_free)
		config_warning(p->report, n->line, "params-free", "approval \"%s\": an approved statement may run with any values", n->name);
}

void policy_parse_approvals(struct policy_parse *p, const struct config_item *root)
{
	unsigned count;
	const struct config_item *list = policy_parse_list(p, root, "approvals", LIMIT_APPROVALS, "join some", &count);
	struct policy_tree *t = p->tree;

	t->approvals = policy_alloc(t, count, sizeof *t->approvals);
	for (unsigned i = 0; i < count; i++) {
		const struct config_item *g = config_element(p->c, list, i);
		struct policy_tree_approval *n = &t->approvals[t->approvals_count];

		if (!g)
			continue;
		parse_approval(p, g, n);
		for (unsigned k = 0; k < t->approvals_count; k++)
			policy_refuse_duplicate(p, g, n->name, t->approvals[k].name, t->approvals[k].line);
		t->approvals_count++;
	}
}
