/* policy_write.h: the writer of policy images: a checked policy in, one image out. Used by control/policy and by tests.
 *
 * Everything in a spec is borrowed and must already be right: rules sorted by id, classes by name, approvals by strictness, all
 * numbers below their counts; the writer only lays out, and leaves it to policy_image_open to find what is wrong. It
 * allocates nothing: the caller gives the room. Pure, any thread.
 */
#ifndef PLATFORM_CONTRACT_POLICY_WRITE_H
#define PLATFORM_CONTRACT_POLICY_WRITE_H

#include "platform/contract/policy.h"

enum name_level_kind { NAME_LEVEL_NAME, NAME_LEVEL_ONE, NAME_LEVEL_ANY };

struct name_level {
	enum name_level_kind kind;
	struct bytes text; /* without quotes, a view into `room` or the pattern */
};

/* Splits an object pattern: levels between '.', or between '/' when it has one; `*` stands for one level, `**` for any number of
 * them, also none. "…" quotes a level that holds a separator or a star; a quote inside is doubled. A star inside a longer level is
 * refused. Returns the levels (1 to LIMIT_LEVELS), or 0 with `*why` (static text). `room` takes unquoted text, LIMIT_NAME_BYTES. */
unsigned policy_name_split(const char *pattern, struct name_level out[LIMIT_LEVELS], char room[LIMIT_NAME_BYTES], const char **why);

struct spec_names {
	const char *const *name;
	unsigned count;
};

struct spec_listener {
	uint8_t family, address[16];
	enum policy_transport transport;
	uint16_t port, vlan;
	bool any_vlan;
};

struct spec_service {
	const char *name, *protocol_word, *upstream_name, *login, *search_path, *reason; /* NULL: empty */
	enum policy_protocol protocol;
	enum policy_tls tls;
	enum policy_fail fail;
	enum policy_audit audit;
	enum policy_record record;
	enum policy_splice splice;
	enum policy_journal_full on_journal_full;
	enum policy_stale on_stale_revocation;
	enum policy_clock on_clock_free;
	uint64_t payload_bytes_max; /* 0: POLICY_PAYLOAD_BYTES */
	bool run_id_required;
	const struct spec_listener *listeners;
	unsigned listeners_count;
};

struct spec_class {
	const char *name;
	unsigned mask_kind;
	struct class_bits detectors;
	struct spec_names columns; /* patterns of four levels */
};

struct spec_approval {
	const char *name;
	const struct policy_need *needs;
	unsigned needs_count, deny_quorum;
	uint32_t expires_s, use_by_s;
	bool params_free;
};

struct spec_source {
	uint8_t family, bits, address[16];
};

/* Minutes of the week from Monday 00:00 UTC; start < end <= 10,080. */
struct spec_window {
	uint16_t start, end;
};

struct spec_rule {
	const char *id, *say;
	enum policy_action action;
	bool observe, oracle_allowed, who_any, purpose_any;
	struct group_bits who, except_who, purpose;
	uint64_t services[LIMIT_SERVICES / 64];
	uint32_t verbs, flags; /* bit i: enum verb; enum flag */
	struct spec_names objects, except_objects;
	const struct spec_source *sources;
	unsigned sources_count;
	const struct spec_window *windows;
	unsigned windows_count;
	unsigned approval, pattern; /* POLICY_NONE: none */
	struct class_bits mask;
	uint64_t rows_max, bytes_max;
	uint32_t line;
};

struct policy_spec {
	const char *name;
	uint8_t hash[POLICY_HASH_BYTES];
	uint64_t generation;
	struct policy_defaults defaults;
	const struct spec_service *services;
	unsigned services_count;
	const char *const *groups;
	unsigned groups_count;
	const struct spec_class *classes;
	unsigned classes_count;
	const struct spec_approval *approvals;
	unsigned approvals_count;
	const struct spec_rule *rules;
	unsigned rules_count;
	struct bytes class_database, pattern_database;
	unsigned patterns_count;
};

/* Writes the image. With `into` NULL nothing is written and only the length is right: ask first, then write. `into` is
 * aligned to 8. Empty when `cap` is too small or a name pattern is malformed. */
struct bytes policy_image_write(const struct policy_spec *spec, void *into, size_t cap);

#endif
