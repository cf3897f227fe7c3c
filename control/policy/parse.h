/* parse.h: shared by the parsers of the sections; nobody else's. Each parser reads one section and reports what is wrong. */
#ifndef CONTROL_POLICY_PARSE_H
#define CONTROL_POLICY_PARSE_H

#include "control/policy/policy.h"

struct policy_parse {
	struct config *c;
	struct config_report *report;
	struct policy_tree *tree;
	const struct policy_detectors *detectors;
};

/* Zeroed memory that lives as long as the tree. Aborts the process when there is none: a half-read policy must not go on. */
void *policy_alloc(struct policy_tree *tree, size_t count, size_t size);

/* A list of strings; empty when absent. */
struct policy_strings policy_parse_strings(struct policy_parse *p, const struct config_item *group, const char *name, enum config_presence presence);

/* The list of a section, NULL when absent. `*count`: how many of its entries are to be read, `max` at the most; more are reported, with what
 * to do about it. */
const struct config_item *policy_parse_list(struct policy_parse *p, const struct config_item *root, const char *section, unsigned max, const char *remedy,
					    unsigned *count);

/* The required name of an entry: letters, digits and . _ -, at most 64; "" when wrong. */
const char *policy_parse_name(struct policy_parse *p, const struct config_item *entry, const char *setting);

/* Numbers of names; POLICY_NONE and a report ("unknown-…") when there is none. */
unsigned policy_find_group(struct policy_parse *p, const struct config_item *at, const char *name);
unsigned policy_find_class(struct policy_parse *p, const struct config_item *at, const char *name);
unsigned policy_find_approval(struct policy_parse *p, const struct config_item *at, const char *name);
struct policy_numbers policy_find_classes(struct policy_parse *p, const struct config_item *at, struct policy_strings names);

/* Reports a name that an earlier entry of the list has. `name_of(i)` for i < count. */
void policy_refuse_duplicate(struct policy_parse *p, const struct config_item *at, const char *name, const char *earlier, unsigned earlier_line);

void policy_parse_issuers(struct policy_parse *p, const struct config_item *root);
void policy_parse_groups(struct policy_parse *p, const struct config_item *root);
void policy_parse_services(struct policy_parse *p, const struct config_item *root);
void policy_parse_classes(struct policy_parse *p, const struct config_item *root);
void policy_parse_budgets(struct policy_parse *p, const struct config_item *root);
void policy_parse_approvals(struct policy_parse *p, const struct config_item *root);
void policy_parse_rules(struct policy_parse *p, const struct config_item *root);
void policy_parse_admin(struct policy_parse *p, const struct config_item *root);

/* "192.0.2.10:5432", "[2001:db8::1]:5432", with "/udp" or "/tcp" behind. NULL, or why not. */
const char *policy_parse_listen(const char *text, struct spec_listener *out);

/* "192.0.2.0/24" or one address. NULL, or why not. */
const char *policy_parse_source(const char *text, struct spec_source *out);

/* "Mon-Fri 08:00-18:00", "Sat 10:00-24:00": up to seven windows. Their number, or 0 with `*why`. */
unsigned policy_parse_time(const char *text, struct spec_window out[7], const char **why);

/* "dba:1". NULL, or why not. `group` gets the part before the colon. */
const char *policy_parse_need(const char *text, char group[LIMIT_NAME_BYTES], unsigned *count);

/* What concerns more than one entry; after everything was read. */
void policy_check(struct policy_parse *p);
void policy_check_rules(struct policy_parse *p);

#endif
