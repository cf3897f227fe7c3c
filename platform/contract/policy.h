/* policy.h: the policy as the data plane knows it: one read-only, position-independent image.
 *
 * Control compiles the checked configuration (control/policy) into the image and puts it into a memory file; a worker maps it
 * and calls policy_image_open, which checks every offset, count, number and string of it once. After that no accessor can
 * fail or leave the image. So the mapping must not change while it is open: control seals the file, the worker maps it
 * read-only. The image holds offsets, never pointers; the layout is platform/contract/policy_image.h.
 *
 * Names: a service, rule, class, group or approval is a number below its count. Rules stand sorted by id, classes by name and
 * approvals by strictness (the strictest first), so numbers do not depend on the order in the file. POLICY_NONE: no number.
 * Strings are views into the image, each followed by a NUL and without one inside: `base` is a C string too.
 * Ownership: everything returned lives as long as the mapping. Pure functions, any thread, no allocation.
 * Source: policy.md 1 to 4; DESIGN, "Policy snapshot".
 */
#ifndef PLATFORM_CONTRACT_POLICY_H
#define PLATFORM_CONTRACT_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/bytes.h"
#include "platform/base/class_bits.h"
#include "platform/base/limits.h"

#define POLICY_NONE 0xffffu
#define POLICY_HASH_BYTES 32
#define POLICY_PAYLOAD_BYTES (256u << 10) /* payload_limit of a service that says none */

struct policy_image;

/* The groups of one principal: bit i is group i of the image. As bytes (order identity): bit i is bit i % 8 of byte i / 8. */
struct group_bits {
	uint64_t w[LIMIT_GROUPS / 64];
};

enum policy_protocol {
	POLICY_PROTOCOL_PASS,     /* named, not inspected: bridged, whatever is in it */
	POLICY_PROTOCOL_POSTGRES,
	POLICY_PROTOCOL_OPAQUE,   /* terminated and recorded (when, who, how much), not read: TCP only, with a written reason */
	POLICY_PROTOCOL_OTHER,    /* no inspector in this build; never in an image that passed the check */
	POLICY_PROTOCOL_count
};

enum policy_tls {
	POLICY_TLS_REQUIRED, /* towards both sides */
	POLICY_TLS_OPTIONAL, /* used when both sides want it */
	POLICY_TLS_OFF,
	POLICY_TLS_count
};

enum policy_fail { POLICY_FAIL_CLOSED, POLICY_FAIL_OPEN, POLICY_FAIL_count };
/* What leaves before its record is durable: nothing of a command (strict), a command whose record is in the ring (prompt), nothing of a
 * command and nothing of an answer (answers). */
enum policy_audit { POLICY_AUDIT_STRICT, POLICY_AUDIT_PROMPT, POLICY_AUDIT_ANSWERS, POLICY_AUDIT_count };
extern const char *const policy_audit_words[POLICY_AUDIT_count + 1]; /* NULL-terminated */
enum policy_record { POLICY_RECORD_FULL, POLICY_RECORD_DIGEST, POLICY_RECORD_META, POLICY_RECORD_count };
enum policy_action { POLICY_ALLOW, POLICY_HOLD, POLICY_BLOCK, POLICY_ACTION_count }; /* in rising strictness */
enum policy_splice { POLICY_SPLICE_ON, POLICY_SPLICE_OFF, POLICY_SPLICE_count }; /* whether its flows may go over to forwarding; of protocol opaque */
enum policy_control_lost { POLICY_LOST_BLOCK, POLICY_LOST_WAIT, POLICY_LOST_count };
enum policy_journal_full { POLICY_FULL_BLOCK, POLICY_FULL_DIGEST, POLICY_FULL_count };
enum policy_stale { POLICY_STALE_BLOCK, POLICY_STALE_ALLOW, POLICY_STALE_count };
enum policy_clock { POLICY_CLOCK_ALLOW, POLICY_CLOCK_REFUSE, POLICY_CLOCK_count };
enum policy_transport { POLICY_TCP, POLICY_UDP, POLICY_TRANSPORT_count };

struct policy_defaults {
	enum policy_action unmatched, unknown; /* POLICY_HOLD or POLICY_BLOCK, never allow */
	unsigned approval;                     /* what a default hold needs; POLICY_NONE when neither holds */
	enum policy_control_lost on_control_lost;
	enum policy_journal_full on_journal_full;
	enum policy_stale on_stale_revocation;
	enum policy_clock on_clock_free;
	enum policy_record record;
	enum policy_audit audit;
	bool run_id_required;
};

struct policy_service {
	struct bytes name, upstream_name, login, search_path; /* search_path: the schema of names without one */
	struct bytes protocol_word;
	struct bytes reason;                                  /* why it is passed or fails open; for people */
	enum policy_protocol protocol;
	enum policy_tls tls;
	enum policy_fail fail;
	enum policy_audit audit;
	enum policy_record record;
	enum policy_journal_full on_journal_full;
	enum policy_stale on_stale_revocation;
	enum policy_splice splice;
	enum policy_clock on_clock_free; /* new logins while the node's clock runs freely */
	uint64_t payload_bytes_max;                           /* of one answer, and of one command's bulk data (COPY FROM STDIN), kept as payload; what is beyond is said to be cut */
	bool run_id_required;
	unsigned listeners;
};

/* One address a service listens at. `family` is 4 or 6; IPv4 stands in the first four bytes, the rest is zero. */
struct policy_listener {
	uint8_t family;
	enum policy_transport transport;
	uint8_t address[16];
	uint16_t port;
	bool any_vlan; /* the service names no VLAN: it is meant on every one, and untagged */
	uint16_t vlan;
};

struct policy_class {
	struct bytes name;
	unsigned mask_kind;          /* enum mask_kind of dataplane/match/mask.h */
	struct class_bits detectors; /* classes of the match set in policy_class_database */
};

struct policy_need {
	unsigned group, count;
};

struct policy_approval {
	struct bytes name;
	unsigned needs; /* policy_approval_need(image, i, 0 .. needs - 1) */
	unsigned deny_quorum;
	uint32_t expires_s, use_by_s;
	bool params_free; /* the approval covers the command with any bound values */
};

struct policy_rule {
	struct bytes id, say;
	enum policy_action action;
	bool observe;          /* reports only; never decides */
	bool oracle_allowed;   /* masked classes may stand in predicates */
	unsigned approval;     /* POLICY_NONE unless action is hold */
	struct class_bits mask; /* policy classes */
	uint64_t rows_max, bytes_max; /* per command; 0: no limit */
	uint32_t line;         /* in the source file, for people */
};

struct policy_counts {
	unsigned services, groups, classes, approvals, rules, patterns;
};

/* Checks all of [base, base + len) and returns it as an image, or NULL with a text in `err` (may be NULL). `base` is aligned to 8. */
[[gnu::warn_unused_result]] const struct policy_image *policy_image_open(const void *base, size_t len, char *err, size_t err_len);

struct policy_counts policy_counts(const struct policy_image *image);
const uint8_t *policy_hash(const struct policy_image *image); /* POLICY_HASH_BYTES */
uint64_t policy_generation(const struct policy_image *image);
struct bytes policy_name(const struct policy_image *image);
struct policy_defaults policy_defaults(const struct policy_image *image);

/* The service that listens exactly there, or -1. `vlan` is the tag's VLAN id, 0 for untagged (and for priority tags). A
 * service that names this VLAN is preferred to one that names none. `address` is 4 or 16 bytes. */
int policy_service_find(const struct policy_image *image, unsigned family, const uint8_t *address, uint16_t port,
			enum policy_transport transport, uint16_t vlan);

/* Whether any inspected service, on any port, transport and VLAN, has this address: nothing may pass to it unread. */
bool policy_target_guarded(const struct policy_image *image, unsigned family, const uint8_t *address);

/* For these, `i` below the count; otherwise the result is zeroed. */
struct policy_service policy_service(const struct policy_image *image, unsigned i);
struct policy_listener policy_service_listener(const struct policy_image *image, unsigned i, unsigned listener);
struct policy_class policy_class(const struct policy_image *image, unsigned i);
struct policy_approval policy_approval(const struct policy_image *image, unsigned i);
struct policy_need policy_approval_need(const struct policy_image *image, unsigned i, unsigned need);
struct policy_rule policy_rule(const struct policy_image *image, unsigned i);
struct bytes policy_rule_id(const struct policy_image *image, unsigned i);
struct bytes policy_group_name(const struct policy_image *image, unsigned i); /* "purpose:x": members are those who state purpose x */

/* The number behind a name, or -1. Linear; not for the poll loop. */
int policy_service_by_name(const struct policy_image *image, struct bytes name);
int policy_group_by_name(const struct policy_image *image, struct bytes name);

/* The policy classes of a column, by lineage. A level that is not known is given empty and then matches every pattern: so
 * an empty `column` gives the classes of all columns of the table, and empty schema and table those of any column of this name. */
struct class_bits policy_column_classes(const struct policy_image *image, struct bytes database, struct bytes schema,
					struct bytes table, struct bytes column);

/* Equal for two policies whose columns have the same classes under the same numbers. Linear in classes and columns. */
uint64_t policy_columns_hash(const struct policy_image *image);

/* The classes of the match set that find any of these policy classes by value. */
struct class_bits policy_detectors(const struct policy_image *image, const struct class_bits *classes);

/* Which of the policy classes `classes` a hit of match class `detector` belongs to: of several, one that is masked in full,
 * else the first. -1: none. */
int policy_class_of_detector(const struct policy_image *image, const struct class_bits *classes, unsigned detector);

/* The blob for match_set_load, and the one for match_patterns_load (rules' text patterns, empty when there are none). */
struct bytes policy_class_database(const struct policy_image *image);
struct bytes policy_pattern_database(const struct policy_image *image);

static inline void group_bits_add(struct group_bits *g, unsigned group)
{
	g->w[group / 64 % (LIMIT_GROUPS / 64)] |= 1ULL << (group % 64);
}

static inline bool group_bits_has(const struct group_bits *g, unsigned group)
{
	return group < LIMIT_GROUPS && (g->w[group / 64] >> (group % 64) & 1);
}

static inline bool group_bits_meet(const struct group_bits *a, const struct group_bits *b)
{
	uint64_t both = 0;

	for (unsigned i = 0; i < LIMIT_GROUPS / 64; i++)
		both |= a->w[i] & b->w[i];
	return both != 0;
}

/* To and from the 32 bytes of order identity. Missing bytes are zero. */
static inline struct group_bits group_bits_read(struct bytes from)
{
	struct group_bits out = { 0 };

	for (size_t i = 0; i < from.len && i < LIMIT_GROUPS / 8; i++)
		out.w[i / 8] |= (uint64_t)from.base[i] << (i % 8 * 8);
	return out;
}

static inline void group_bits_write(const struct group_bits *g, uint8_t out[LIMIT_GROUPS / 8])
{
	for (unsigned i = 0; i < LIMIT_GROUPS / 8; i++)
		out[i] = (uint8_t)(g->w[i / 8] >> (i % 8 * 8));
}

#endif
