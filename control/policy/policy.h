/* policy.h: from policy.cfg to the image that the data plane knows, and what control itself needs of it (policy.md).
 *
 * policy_open reads (platform/os/config.h), resolves and checks; every fault goes to the report with its line; NULL when there is an
 * error. Warnings do not stop it. policy_compile then cannot fail but for size and memory. A tree is immutable: a reload makes a
 * new one beside it. One thread; not for a poll loop.
 *
 * Beyond policy.md's text: `defaults.approval` names the approval of a default hold; `search_path` and `run_id` of a service;
 * `clients`, `bound`, `single_use`, `max_stale`, `jwks_uri`, `ca` of an issuer; `deny_quorum` and `on_clock_free` (suspend,
 * release) of an approval. `time` is
 * "Mon-Fri 08:00-18:00". All conditions that a group names have to hold. Patterns are compiled without regard to case.
 */
#ifndef CONTROL_POLICY_POLICY_H
#define CONTROL_POLICY_POLICY_H

#include "control/policy/tree.h"
#include "dataplane/verdict/verdict.h"
#include "platform/os/config.h"

/* How detector names become classes of the match set. `find` NULL: names are taken unseen, with a warning, and policy_compile
 * refuses to leave a class without its detectors. */
struct policy_detectors {
	bool (*find)(const void *context, const char *name, struct class_bits *out);
	const void *context;
};

/* The usual one: match_class_bits over a loaded set. */
struct match_set;
struct policy_detectors policy_detectors_of_set(const struct match_set *set);

/* `sluice policy check` is policy_open, the report printed, exit status 0 or 2. */
struct policy_tree *policy_open(const char *path, const struct policy_detectors *detectors, struct config_report *report);
struct policy_tree *policy_parse(const char *text, size_t len, const struct policy_detectors *detectors, struct config_report *report);
void policy_close(struct policy_tree *tree);

/* The canonical JSON (RFC 8785) of the tree with defaults filled in; free() it. Its SHA-256 is tree->hash. NULL without memory. */
char *policy_canonical(const struct policy_tree *tree);

/* The image, from malloc. False with a text in `err`. `class_database` is the blob that the detectors come from; it is copied. */
bool policy_compile(const struct policy_tree *tree, struct bytes class_database, uint64_t generation, uint8_t **image, size_t *len,
		    char *err, size_t err_len);

/* The groups of a principal, purposes included, as the image numbers them. */
struct group_bits policy_groups_of(const struct policy_tree *tree, const struct principal *p);

/* Whether `principal` stands in any group of this role (admin.roles). That nobody is administrator and auditor, or administrator and
 * investigator, at once is the caller's to look at: it depends on the token. */
enum policy_role { POLICY_ROLE_ADMINISTRATOR, POLICY_ROLE_AUDITOR, POLICY_ROLE_INVESTIGATOR, POLICY_ROLE_OPERATOR };
bool policy_has_role(const struct policy_tree *tree, const struct principal *p, enum policy_role role);

/* The issuers to verify tokens of, for identity_create. Returns their number, at most LIMIT_ISSUERS. */
unsigned policy_issuers(const struct policy_tree *tree, struct identity_issuer out[LIMIT_ISSUERS]);

/* An approval of the image in the tree (by name), or NULL. */
const struct policy_tree_approval *policy_approval_by_name(const struct policy_tree *tree, struct bytes name);

/* Adds the image's text patterns that hit in `text` to `hits`; for explain, a worker keeps its own loaded set. Every pattern when
 * they cannot be loaded: patterns only tighten. */
void policy_scan(const struct policy_image *image, struct bytes text, struct pattern_bits *hits);

/* Which numbers of the image the verdict of a request rests on, as JSON text; free() it. Every rule with "matched" or the
 * first condition that failed, then action, reason, approval, masks, limits, policy hash. Calls verdict_evaluate. NULL without memory. */
char *policy_explain(const struct policy_image *image, const struct verdict_request *request);

#endif
