#include "platform/contract/policy.h"

#include "platform/base/hash.h"
#include "platform/contract/policy_image.h"

uint64_t image_checksum(const struct policy_image *p)
{
	size_t from = offsetof(struct policy_image, generation);

	return hash64((struct hash_key){ POLICY_MAGIC, POLICY_VERSION }, (const uint8_t *)p + from, p->size - from);
}

struct policy_counts policy_counts(const struct policy_image *p)
{
	return (struct policy_counts){ .services = p->services.count, .groups = p->groups.count, .classes = p->classes.count,
				       .approvals = p->approvals.count, .rules = p->rules.count, .patterns = p->pattern_count };
}

const uint8_t *policy_hash(const struct policy_image *p) { return p->hash; }
uint64_t policy_generation(const struct policy_image *p) { return p->generation; }
struct bytes policy_name(const struct policy_image *p) { return image_bytes(p, p->name); }
struct bytes policy_class_database(const struct policy_image *p) { return image_bytes(p, p->class_database); }
struct bytes policy_pattern_database(const struct policy_image *p) { return image_bytes(p, p->pattern_database); }

struct policy_defaults policy_defaults(const struct policy_image *p)
{
	return (struct policy_defaults){
		.unmatched = p->unmatched, .unknown = p->unknown, .approval = p->approval, .on_control_lost = p->on_control_lost,
		.on_journal_full = p->on_journal_full, .on_stale_revocation = p->on_stale_revocation, .record = p->record,
		.on_clock_free = p->on_clock_free, .audit = p->audit, .run_id_required = p->run_id_required,
	};
}

uint32_t image_slot(unsigned family, const uint8_t *address, uint16_t port, unsigned transport, uint32_t mask)
{
	uint64_t hi = 0, lo = 0;

	memcpy(&lo, address, family == 4 ? 4 : 8);
	if (family == 6)
		memcpy(&hi, address + 8, 8);
	return (uint32_t)hash_mix(lo ^ hash_mix(hi ^ (uint64_t)port << 16 ^ (uint64_t)transport << 8 ^ family)) & mask;
}

static bool same_address(const struct image_listener *l, unsigned family, const uint8_t *address)
{
	if (l->family != family)
		return false;
	return family == 4 ? memcmp(l->address, address, 4) == 0 : memcmp(l->address, address, 16) == 0; /* constants: no call */
}

int policy_service_find(const struct policy_image *p, unsigned family, const uint8_t *address, uint16_t port,
			enum policy_transport transport, uint16_t vlan)
{
	uint32_t count = p->listener_slots.count, at;
	int any = -1;

	if (count == 0 || (family != 4 && family != 6))
		return -1;
	at = image_slot(family, address, port, transport, count - 1);
	for (uint32_t i = 0; i < count; i++, at = (at + 1) & (count - 1)) {
		uint32_t slot = image_listener_slots(p)[at];
		const struct image_listener *l;

		if (slot == 0)
			break;
		l = image_listeners(p) + slot - 1;
		if (l->port != port || l->transport != transport || !same_address(l, family, address))
			continue;
		if (!l->any_vlan && l->vlan == vlan)
			return l->service;
		if (l->any_vlan)
			any = l->service;
	}
	return any;
}

bool policy_target_guarded(const struct policy_image *p, unsigned family, const uint8_t *address)
{
	uint32_t count = p->target_slots.count, at;

	if (count == 0 || (family != 4 && family != 6))
		return false;
	at = image_slot(family, address, 0, POLICY_TCP, count - 1);
	for (uint32_t i = 0; i < count; i++, at = (at + 1) & (count - 1)) {
		uint32_t slot = image_target_slots(p)[at];

		if (slot == 0)
			return false;
		if (same_address(image_listeners(p) + slot - 1, family, address))
			return true;
	}
	return false;
}

struct policy_service policy_service(const struct policy_image *p, unsigned i)
{
	const struct image_service *s = image_services(p) + i;

	if (i >= p->services.count)
		return (struct policy_service){ 0 };
	return (struct policy_service){
		.name = image_bytes(p, s->name), .upstream_name = image_bytes(p, s->upstream_name), .login = image_bytes(p, s->login),
		.search_path = image_bytes(p, s->search_path), .protocol_word = image_bytes(p, s->protocol_word),
		.reason = image_bytes(p, s->reason), .protocol = s->protocol, .tls = s->tls, .fail = s->fail, .audit = s->audit,
		.record = s->record, .splice = s->splice, .on_journal_full = s->on_journal_full, .on_stale_revocation = s->on_stale_revocation,
		.on_clock_free = s->on_clock_free, .payload_bytes_max = s->payload_bytes_max, .run_id_required = s->run_id_required != 0,
		.listeners = s->listeners.count,
	};
}

struct policy_listener policy_service_listener(const struct policy_image *p, unsigned i, unsigned listener)
{
	struct policy_listener out = { 0 };
	const struct image_listener *l;

	if (i >= p->services.count || listener >= image_services(p)[i].listeners.count)
		return out;
	l = image_listeners(p) + image_services(p)[i].listeners.first + listener;
	out = (struct policy_listener){ .family = l->family, .transport = l->transport, .port = l->port, .any_vlan = l->any_vlan, .vlan = l->vlan };
	memcpy(out.address, l->address, sizeof out.address);
	return out;
}

struct policy_class policy_class(const struct policy_image *p, unsigned i)
{
	const struct image_class *c = image_classes(p) + i;

	if (i >= p->classes.count)
		return (struct policy_class){ 0 };
	return (struct policy_class){ .name = image_bytes(p, c->name), .mask_kind = c->mask_kind, .detectors = c->detectors };
}

struct policy_approval policy_approval(const struct policy_image *p, unsigned i)
{
	const struct image_approval *a = image_approvals(p) + i;

	if (i >= p->approvals.count)
		return (struct policy_approval){ 0 };
	return (struct policy_approval){ .name = image_bytes(p, a->name), .needs = a->needs.count, .deny_quorum = a->deny_quorum,
					 .expires_s = a->expires_s, .use_by_s = a->use_by_s, .params_free = a->params_free };
}

struct policy_need policy_approval_need(const struct policy_image *p, unsigned i, unsigned need)
{
	const struct image_need *n;

	if (i >= p->approvals.count || need >= image_approvals(p)[i].needs.count)
		return (struct policy_need){ 0 };
	n = image_needs(p) + image_approvals(p)[i].needs.first + need;
	return (struct policy_need){ .group = n->group, .count = n->count };
}

struct policy_rule policy_rule(const struct policy_image *p, unsigned i)
{
	const struct image_rule *r = image_rules(p) + i;

	if (i >= p->rules.count)
		return (struct policy_rule){ 0 };
	return (struct policy_rule){
		.id = image_bytes(p, r->id), .say = image_bytes(p, r->say), .action = r->action, .observe = r->observe,
		.oracle_allowed = r->oracle_allowed, .approval = r->approval, .mask = r->mask, .rows_max = r->rows_max,
		.bytes_max = r->bytes_max, .line = r->line,
	};
}

struct bytes policy_rule_id(const struct policy_image *p, unsigned i)
{
	return i < p->rules.count ? image_bytes(p, image_rules(p)[i].id) : (struct bytes){ 0 };
}

struct bytes policy_group_name(const struct policy_image *p, unsigned i)
{
	return i < p->groups.count ? image_bytes(p, image_groups(p)[i].name) : (struct bytes){ 0 };
}

int policy_service_by_name(const struct policy_image *p, struct bytes name)
{
	for (uint32_t i = 0; i < p->services.count; i++)
		if (bytes_equal(image_bytes(p, image_services(p)[i].name), name))
			return (int)i;
	return -1;
}

int policy_group_by_name(const struct policy_image *p, struct bytes name)
{
	for (uint32_t i = 0; i < p->groups.count; i++)
		if (bytes_equal(image_bytes(p, image_groups(p)[i].name), name))
			return (int)i;
	return -1;
}

static bool level_match(const struct policy_image *p, const struct image_level *l, struct bytes name, bool open)
{
	return l->kind != LEVEL_NAME || (open && name.len == 0) || bytes_equal(image_bytes(p, l->text), name);
}

/* reach bit k: the levels so far can have eaten exactly k names. */
bool image_pattern_match(const struct policy_image *p, uint32_t pattern, const struct bytes *name, unsigned names, bool open)
{
	struct image_range range = image_patterns(p)[pattern].levels;
	const struct image_level *level = image_levels(p) + range.first;
	uint32_t reach = 1;

	for (uint32_t i = 0; i < range.count; i++) {
		uint32_t next = 0;

		for (unsigned k = 0; k <= names; k++) {
			if (!(reach >> k & 1))
				continue;
			if (level[i].kind == LEVEL_ANY)
				next |= ~0u << k;
			else if (k < names && level_match(p, &level[i], name[k], open))
				next |= 2u << k;
		}
		reach = next;
	}
	return reach >> names & 1;
}

static void add_columns(const struct policy_image *p, uint32_t hash, const struct bytes name[4], struct class_bits *out)
{
	const struct image_column *column = image_columns(p);
	uint32_t low = 0, high = p->columns.count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (column[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < p->columns.count && column[low].hash == hash; low++)
		if (!class_bits_has(out, column[low].class) && image_pattern_match(p, column[low].pattern, name, 4, true))
			class_bits_add(out, column[low].class);
}

struct class_bits policy_column_classes(const struct policy_image *p, struct bytes database, struct bytes schema,
					struct bytes table, struct bytes column)
{
	const struct bytes name[4] = { database, schema, table, column };
	struct class_bits out = { 0 };

	if (column.len) {
		add_columns(p, 0, name, &out);
		add_columns(p, image_hash(column), name, &out);
		return out;
	}
	for (uint32_t i = 0; i < p->columns.count; i++)
		if (image_pattern_match(p, image_columns(p)[i].pattern, name, 4, true))
			class_bits_add(&out, image_columns(p)[i].class);
	return out;
}

uint64_t policy_columns_hash(const struct policy_image *p)
{
	const struct hash_key key = { 0x636f6c75, 0x6d6e73 };
	struct { uint64_t before, kind, text; } row = { 0 };

	for (uint32_t i = 0; i < p->classes.count; i++) {
		struct bytes name = image_bytes(p, image_classes(p)[i].name);

		row.text = hash64(key, name.base, name.len);
		row.before = hash64(key, &row, sizeof(row));
	}
	for (uint32_t i = 0; i < p->columns.count; i++) {
		struct image_range range = image_patterns(p)[image_columns(p)[i].pattern].levels;

		row.kind = image_columns(p)[i].class + (uint64_t)LEVEL_kinds;
		row.before = hash64(key, &row, sizeof(row));
		for (uint32_t k = 0; k < range.count; k++) {
			const struct image_level *level = image_levels(p) + range.first + k;
			struct bytes text = image_bytes(p, level->text);

			row.kind = level->kind;
			row.text = hash64(key, text.base, text.len);
			row.before = hash64(key, &row, sizeof(row));
		}
	}
	return row.before;
}

struct class_bits policy_detectors(const struct policy_image *p, const struct class_bits *classes)
{
	struct class_bits out = { 0 };

	for (uint32_t i = 0; i < p->classes.count; i++)
		if (class_bits_has(classes, i))
			out = class_bits_or(out, image_classes(p)[i].detectors);
	return out;
}

int policy_class_of_detector(const struct policy_image *p, const struct class_bits *classes, unsigned detector)
{
	int found = -1;

	for (uint32_t i = 0; i < p->classes.count; i++) {
		const struct image_class *c = image_classes(p) + i;

		if (!class_bits_has(classes, i) || !class_bits_has(&c->detectors, detector))
			continue;
		if (c->mask_kind == 0)
			return (int)i;
		if (found < 0)
			found = (int)i;
	}
	return found;
}
