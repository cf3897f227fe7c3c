/* tree.h: the policy as its author wrote it: parsed, references resolved to numbers, defaults filled in.
 *
 * Made by policy_parse (policy.h), immutable afterwards, freed by policy_close. Lists keep the order of the file; a number is an
 * index into the tree's list of that kind (the image's numbers differ: it sorts). POLICY_NONE: no number. Strings belong to the
 * tree. `line` is where the entry begins.
 */
#ifndef CONTROL_POLICY_TREE_H
#define CONTROL_POLICY_TREE_H

#include "control/identity/identity.h"
#include "platform/contract/policy_write.h"

struct policy_strings {
	const char **at;
	unsigned count;
};

struct policy_numbers {
	unsigned *at;
	unsigned count;
};

struct policy_tree_issuer {
	struct identity_issuer as; /* what identity_create wants */
	bool spiffe;               /* kind = "spiffe" */
	const char *bundle;        /* as.jwks_uri of such a one */
	unsigned line;
};

/* Every condition that is named has to hold; of a list, one. */
struct policy_tree_group {
	const char *name, *issuer;
	struct policy_strings group, agent, person;
	unsigned line;
};

struct policy_tree_service {
	struct spec_service as; /* listeners in one piece */
	struct policy_strings listen;
	long vlan; /* -1: none named */
	unsigned line;
};

struct policy_tree_class {
	const char *name, *detector, *mask;
	struct policy_strings columns;
	unsigned mask_kind;
	struct class_bits detectors;
	unsigned line;
};

struct policy_tree_budget {
	const char *name, *per, *on_exceed;
	uint64_t window_ms, statements, rows, bytes, cells, identical, deny; /* 0: not counted */
	struct policy_numbers classes;
	unsigned approval, line;
};

struct policy_tree_approval {
	const char *name;
	struct policy_strings need; /* as written: "dba:1" */
	struct policy_need *needs;  /* `group`: number in the tree, and in the image */
	unsigned needs_count, persons, deny_quorum;
	uint32_t expires_s, use_by_s;
	bool params_free, free_clock_ok; /* free_clock_ok: released also while nobody sets the node's clock */
	unsigned line;
};

struct policy_tree_rule {
	struct spec_rule as; /* numbers of groups as in the image; of services, classes and approvals as in the tree */
	struct policy_strings who, except_who, service, verbs, flags, objects, except_objects, source, time, purpose, mask, budget;
	const char *pattern;
	unsigned line;
};

struct policy_tree_admin {
	bool present;
	unsigned commit_approval;
	unsigned destroy_approval; /* of erasing payload, and of pruning by hand; POLICY_NONE: nobody can have it done */
	unsigned disclose_approval; /* of the keys of payload; POLICY_NONE: nobody gets them but root */
	uint64_t confirm_within_s;
	struct group_bits administrator, auditor, investigator, operator;
	struct policy_strings administrators, auditors, investigators, operators;
	unsigned line;
};

struct policy_tree_journal {
	uint64_t retention_records_s, retention_payload_s, checkpoint_ms, timestamp_ms;
	unsigned witnesses;
	bool prune_approved; /* segments are pruned only when that was approved */
};

struct policy_tree {
	struct config *file;
	struct policy_block *blocks; /* memory of this tree */
	const char *name, *comment;
	unsigned version;
	struct policy_defaults defaults;
	struct policy_tree_issuer *issuers;
	struct policy_tree_group *groups;
	struct policy_tree_service *services;
	struct policy_tree_class *classes;
	struct policy_tree_budget *budgets;
	struct policy_tree_approval *approvals;
	struct policy_tree_rule *rules;
	unsigned issuers_count, groups_count, services_count, classes_count, budgets_count, approvals_count, rules_count;
	struct policy_strings purposes; /* named by rules; purpose i is group groups_count + i of the image */
	struct policy_strings patterns; /* of rules, without repetition: pattern i of the image */
	struct policy_tree_admin admin;
	struct policy_tree_journal journal;
	uint8_t hash[POLICY_HASH_BYTES]; /* SHA-256 of policy_canonical */
};

#endif
