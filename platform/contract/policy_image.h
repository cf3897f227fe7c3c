/* policy_image.h: the layout of a policy image. For its writer (control/policy), its checker, and dataplane/verdict; all others
 * use policy.h.
 *
 * A header, then tables of fixed-size elements and bytes, all at offsets from the start, in the machine's own byte order. Tables
 * are aligned to 8. Numbers inside are checked once, by policy_image_open; code that runs afterwards relies on that and on
 * nothing else: a wrong bit in a table of bits can make a verdict wrong, never an access out of bounds.
 *
 * Finding rules: for each verb, service, group and bucket of an object's last name there is one row of bits over all rules. The
 * rules that can match are the AND of four rows (and the OR of the principal's groups), so that 10,000 rules cost 157
 * words of each, and only what is left is compared. Rows only narrow: rule.c compares everything again.
 */
#ifndef PLATFORM_CONTRACT_POLICY_IMAGE_H
#define PLATFORM_CONTRACT_POLICY_IMAGE_H

#include "platform/contract/classification.h"
#include "platform/contract/policy.h"

#define POLICY_MAGIC 0x474d494c4f505753ULL
#define POLICY_VERSION 2
#define POLICY_BUCKETS 256

struct image_string {
	uint32_t off, len;
};

struct image_table {
	uint32_t off, count;
};

struct image_range {
	uint32_t first, count;
};

enum image_level_kind { LEVEL_NAME, LEVEL_ONE, LEVEL_ANY, LEVEL_kinds }; /* a name, `*`, `**` */

struct image_level {
	struct image_string text;
	uint32_t hash; /* of the text */
	uint32_t kind;
};

struct image_pattern {
	struct image_range levels; /* 1 to LIMIT_LEVELS */
};

struct image_listener {
	uint8_t family, transport, any_vlan, inspected;
	uint16_t port, vlan;
	uint16_t service, zero;
	uint8_t address[16];
};

struct image_service {
	struct image_string name, protocol_word, upstream_name, login, search_path, reason;
	struct image_range listeners;
	uint8_t protocol, tls, fail, audit, record, run_id_required, on_journal_full, on_stale_revocation, on_clock_free, splice, zero[6];
	uint64_t payload_bytes_max;
};

struct image_group {
	struct image_string name;
};

struct image_class {
	struct image_string name;
	struct class_bits detectors;
	uint32_t mask_kind, zero;
};

struct image_column {
	uint32_t pattern, class, hash, zero; /* hash of the pattern's last level, 0 when that is no name; sorted by it */
};

struct image_approval {
	struct image_string name;
	struct image_range needs;
	uint32_t expires_s, use_by_s, deny_quorum, params_free;
};

struct image_need {
	uint32_t group, count;
};

struct image_source {
	uint8_t address[16];
	uint8_t family, bits, zero[6];
};

/* Minutes of the week, Monday 00:00 UTC is 0; `end` is not in it. */
struct image_window {
	uint32_t start, end;
};

struct image_rule {
	struct group_bits who, except_who, purpose;
	struct class_bits mask;
	uint64_t services[LIMIT_SERVICES / 64];
	uint64_t rows_max, bytes_max;
	struct image_string id, say;
	struct image_range objects, except_objects; /* of patterns; an empty `objects` is no condition */
	struct image_range sources, windows;        /* likewise */
	uint32_t verbs, flags;
	uint32_t line;
	uint16_t approval, pattern;
	uint8_t action, observe, oracle_allowed, who_any, purpose_any, zero[7];
};

/* Every table: T(name, element type). */
#define POLICY_TABLES(T) \
	T(services, struct image_service) T(listeners, struct image_listener) T(listener_slots, uint32_t) T(target_slots, uint32_t) \
	T(groups, struct image_group) T(classes, struct image_class) T(columns, struct image_column) \
	T(approvals, struct image_approval) T(needs, struct image_need) T(levels, struct image_level) T(patterns, struct image_pattern) \
	T(sources, struct image_source) T(windows, struct image_window) T(rules, struct image_rule) \
	T(verb_rows, uint64_t) T(service_rows, uint64_t) T(group_rows, uint64_t) T(bucket_rows, uint64_t)

struct policy_image {
	uint64_t magic;
	uint32_t version, size;
	uint64_t checksum; /* SipHash of everything behind it: against accidents, not against enemies */
	uint64_t generation;
	uint8_t hash[POLICY_HASH_BYTES];
	struct image_string name;
	uint32_t verbs, flags; /* VERB_count and FLAG_count of the writer */
	uint8_t unmatched, unknown, on_control_lost, on_journal_full, on_stale_revocation, record, audit, run_id_required;
	uint16_t approval;
	uint8_t on_clock_free, zero[5];
	uint32_t pattern_count;  /* rules' text patterns in pattern_database */
	uint32_t depends;        /* enum image_depends */
	struct image_string class_database, pattern_database;
#define TABLE(name, type) struct image_table name;
	POLICY_TABLES(TABLE)
#undef TABLE
};

/* What beyond statement and principal some verdict of this image depends on. */
enum image_depends { IMAGE_DEPENDS_TIME = 1, IMAGE_DEPENDS_SOURCE = 2 };

/* group_rows has one row per group and, last, one for rules whose `who` is "*". */
static inline uint32_t image_words(const struct policy_image *p)
{
	return (p->rules.count + 63) / 64;
}

#define TABLE(name, type) \
	static inline const type *image_##name(const struct policy_image *p) { return (const type *)((const uint8_t *)p + p->name.off); }
POLICY_TABLES(TABLE)
#undef TABLE

static inline struct bytes image_bytes(const struct policy_image *p, struct image_string s)
{
	return bytes_of((const uint8_t *)p + s.off, s.len);
}

/* FNV-1a, never 0; for buckets and quick inequality, not against an enemy (a name decides after its hash). */
static inline uint32_t image_hash(struct bytes name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ name.base[i]) * 16777619u;
	return h ? h : 1;
}

uint64_t image_checksum(const struct policy_image *p);

/* The slot where the search for this listener or target starts; `mask` is slots - 1. Port 0 and TCP for a target. */
uint32_t image_slot(unsigned family, const uint8_t *address, uint16_t port, unsigned transport, uint32_t mask);

/* Whether names match a pattern. An empty name with `open` set matches any level. Bounded: LIMIT_LEVELS² steps. */
bool image_pattern_match(const struct policy_image *p, uint32_t pattern, const struct bytes *name, unsigned names, bool open);

#endif
