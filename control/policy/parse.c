/* The file as a whole: sections are read in the order of their references, whatever their order in the file. */
#include "control/policy/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/policy/canonical.h"

struct policy_block {
	struct policy_block *next;
	_Alignas(16) uint8_t memory[];
};

void *policy_alloc(struct policy_tree *tree, size_t count, size_t size)
{
	struct policy_block *b = count <= (LIMIT_POLICY_IMAGE_BYTES / size) ? calloc(1, sizeof *b + count * size) : NULL;

	if (!b)
		abort();
	b->next = tree->blocks;
	tree->blocks = b;
	return b->memory;
}

void policy_close(struct policy_tree *tree)
{
	if (!tree)
		return;
	for (struct policy_block *b = tree->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	config_close(tree->file);
	free(tree);
}

struct policy_strings policy_parse_strings(struct policy_parse *p, const struct config_item *group, const char *name, enum config_presence presence)
{
	const struct config_item *list = config_strings(p->c, group, name, presence);
	struct policy_strings out = { .count = config_length(list) };

	out.at = policy_alloc(p->tree, out.count, sizeof *out.at);
	for (unsigned i = 0; i < out.count; i++)
		out.at[i] = config_string_at(p->c, list, i);
	return out;
}

const struct config_item *policy_parse_list(struct policy_parse *p, const struct config_item *root, const char *section, unsigned max, const char *remedy,
					    unsigned *count)
{
	const struct config_item *list = config_list(p->c, root, section, CONFIG_OPTIONAL);

	*count = config_length(list);
	if (*count > max) {
		config_item_error(p->c, list, "too-many", "has more than %u %s: %s", max, section, remedy);
		*count = max;
	}
	return list;
}

const char *policy_parse_name(struct policy_parse *p, const struct config_item *entry, const char *setting)
{
	const char *name = config_string(p->c, entry, setting, CONFIG_REQUIRED, "");
	size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	if (name[good] == 0 && good <= 64)
		return name;
	config_item_error(p->c, entry, "bad-name", "%s \"%.80s\" is not made of letters, digits and . _ -, at most 64: rename it", setting, name);
	return "";
}

void policy_refuse_duplicate(struct policy_parse *p, const struct config_item *at, const char *name, const char *earlier, unsigned earlier_line)
{
	if (*name && strcmp(name, earlier) == 0)
		config_item_error(p->c, at, "duplicate-name", "\"%s\" is the name of the entry in line %u too: rename one", name, earlier_line);
}

unsigned policy_find_group(struct policy_parse *p, const struct config_item *at, const char *name)
{
	for (unsigned i = 0; i < p->tree->groups_count; i++)
		if (strcmp(p->tree->groups[i].name, name) == 0)
			return i;
	config_item_error(p->c, at, "unknown-group", "names the group \"%.80s\", which is not there: correct it or add the group", name);
	return POLICY_NONE;
}

unsigned policy_find_class(struct policy_parse *p, const struct config_item *at, const char *name)
{
	for (unsigned i = 0; i < p->tree->classes_count; i++)
		if (strcmp(p->tree->classes[i].name, name) == 0)
			return i;
	config_item_error(p->c, at, "unknown-class", "names the class \"%.80s\", which is not there: correct it or add the class", name);
	return POLICY_NONE;
}

unsigned policy_find_approval(struct policy_parse *p, const struct config_item *at, const char *name)
{
	for (unsigned i = 0; i < p->tree->approvals_count; i++)
		if (strcmp(p->tree->approvals[i].name, name) == 0)
			return i;
	config_item_error(p->c, at, "unknown-approval", "names the approval \"%.80s\", which is not there: correct it or add the approval", name);
	return POLICY_NONE;
}

struct policy_numbers policy_find_classes(struct policy_parse *p, const struct config_item *at, struct policy_strings names)
{
	struct policy_numbers out = { .at = policy_alloc(p->tree, names.count, sizeof *out.at) };

	for (unsigned i = 0; i < names.count; i++) {
		unsigned number = policy_find_class(p, at, names.at[i]);

		if (number != POLICY_NONE)
			out.at[out.count++] = number;
	}
	return out;
}

static void parse_head(struct policy_parse *p, const struct config_item *root)
{
	const struct config_item *g = config_group(p->c, root, "policy", CONFIG_REQUIRED);

	p->tree->name = "";
	p->tree->comment = "";
	if (!g)
		return;
	(void)config_int(p->c, g, "format", CONFIG_REQUIRED, 1, 1, 1);
	p->tree->name = policy_parse_name(p, g, "name");
	p->tree->version = (unsigned)config_int(p->c, g, "version", CONFIG_REQUIRED, 0, 2147483647, 0);
	p->tree->comment = config_string(p->c, g, "comment", CONFIG_OPTIONAL, "");
}

static const char *const prune_words[] = { "automatic", "approved", NULL };
static const char *const hold_words[] = { "hold", "block", NULL };
static const char *const lost_words[] = { "block", "wait", NULL };
static const char *const full_words[] = { "block", "digest", NULL };
static const char *const stale_words[] = { "block", "allow", NULL };
static const char *const clock_words[] = { "allow", "refuse", NULL };
static const char *const record_words[] = { "full", "digest", "meta", NULL };
static const char *const run_words[] = { "optional", "required", NULL };

/* Before the approvals are known; check_default_hold looks at `approval` afterwards. */
static void parse_defaults(struct policy_parse *p, const struct config_item *root)
{
	const struct config_item *g = config_group(p->c, root, "defaults", CONFIG_OPTIONAL);
	struct policy_defaults *d = &p->tree->defaults;

	*d = (struct policy_defaults){ .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE, .run_id_required = true };
	if (!g)
		return;
	d->unmatched = POLICY_HOLD + config_word(p->c, g, "unmatched", CONFIG_OPTIONAL, hold_words, 1);
	d->unknown = POLICY_HOLD + config_word(p->c, g, "unknown", CONFIG_OPTIONAL, hold_words, 1);
	d->on_control_lost = config_word(p->c, g, "on_control_lost", CONFIG_OPTIONAL, lost_words, 0);
	d->on_journal_full = config_word(p->c, g, "on_journal_full", CONFIG_OPTIONAL, full_words, 0);
	d->on_stale_revocation = config_word(p->c, g, "on_stale_revocation", CONFIG_OPTIONAL, stale_words, 0);
	d->on_clock_free = config_word(p->c, g, "on_clock_free", CONFIG_OPTIONAL, clock_words, 0);
	d->record = config_word(p->c, g, "record", CONFIG_OPTIONAL, record_words, 0);
	d->audit = config_word(p->c, g, "audit", CONFIG_OPTIONAL, policy_audit_words, 0);
	d->run_id_required = config_word(p->c, g, "run_id", CONFIG_OPTIONAL, run_words, 1) == 1;
}

static void parse_default_approval(struct policy_parse *p, const struct config_item *root)
{
	const struct config_item *g = config_group(p->c, root, "defaults", CONFIG_OPTIONAL);
	struct policy_defaults *d = &p->tree->defaults;
	const char *name = config_string(p->c, g, "approval", CONFIG_OPTIONAL, NULL);
	bool holds = d->unmatched == POLICY_HOLD || d->unknown == POLICY_HOLD;

	if (name)
		d->approval = policy_find_approval(p, g, name);
	if (name && !holds)
		config_item_error(p->c, g, "approval-without-hold", "names an approval and holds nothing: remove it or set unknown = \"hold\"");
	if (!name && holds)
		config_item_error(p->c, g, "hold-without-approval", "holds and names no approval: add approval = \"…\"");
}

static uint64_t seconds(struct policy_parse *p, const struct config_item *g, const char *name, uint64_t min_s, uint64_t max_s, uint64_t otherwise_s)
{
	return config_duration_ms(p->c, g, name, CONFIG_OPTIONAL, min_s * 1000, max_s * 1000, otherwise_s * 1000) / 1000;
}

static void parse_journal(struct policy_parse *p, const struct config_item *root)
{
	const struct config_item *g = config_group(p->c, root, "journal", CONFIG_OPTIONAL);
	struct policy_tree_journal *j = &p->tree->journal;
	const uint64_t day = 86400;

	j->retention_records_s = seconds(p, g, "retention_records", day, 36500 * day, 400 * day);
	j->retention_payload_s = seconds(p, g, "retention_payload", day, 36500 * day, 90 * day);
	j->checkpoint_ms = config_duration_ms(p->c, g, "checkpoint", CONFIG_OPTIONAL, 100, 60000, 1000);
	j->timestamp_ms = config_duration_ms(p->c, g, "timestamp", CONFIG_OPTIONAL, 1000, 86400000, 600000);
	j->prune_approved = config_word(p->c, g, "prune", CONFIG_OPTIONAL, prune_words, 0) == 1;
	j->witnesses = (unsigned)config_int(p->c, g, "witnesses", CONFIG_OPTIONAL, 0, 16, 0);
	if (j->retention_payload_s > j->retention_records_s)
		config_item_error(p->c, g, "out-of-range", "keeps payloads longer than their records: shorten retention_payload");
}

static struct policy_tree *read_all(struct policy_parse *p)
{
	const struct config_item *root = config_root(p->c);

	parse_head(p, root);
	parse_defaults(p, root);
	policy_parse_issuers(p, root);
	policy_parse_groups(p, root);
	policy_parse_approvals(p, root);
	parse_default_approval(p, root);
	policy_parse_services(p, root);
	policy_parse_classes(p, root);
	policy_parse_budgets(p, root);
	policy_parse_rules(p, root);
	policy_parse_admin(p, root);
	parse_journal(p, root);
	config_finish(p->c);
	if (p->report->errors == 0)
		policy_check(p);
	config_report_sort(p->report);
	if (p->report->errors || !policy_hash_tree(p->tree)) {
		policy_close(p->tree);
		return NULL;
	}
	return p->tree;
}

static struct policy_tree *read_config(struct config *c, const struct policy_detectors *detectors, struct config_report *report)
{
	struct policy_parse p = { .c = c, .report = report, .detectors = detectors };

	if (!c)
		return NULL;
	p.tree = calloc(1, sizeof *p.tree);
	if (!p.tree) {
		config_close(c);
		config_error(report, 0, "memory", "the file: no memory to read it: try again");
		return NULL;
	}
	p.tree->file = c;
	return read_all(&p);
}

struct policy_tree *policy_open(const char *path, const struct policy_detectors *detectors, struct config_report *report)
{
	return read_config(config_open(path, report), detectors, report);
}

struct policy_tree *policy_parse(const char *text, size_t len, const struct policy_detectors *detectors, struct config_report *report)
{
	return read_config(config_parse(text, len, report), detectors, report);
}
