/* Two passes over the same code: the first with no memory counts, the second writes. `struct room` hands out aligned pieces
 * of the image and remembers, in the image itself, what the next table is. Strings and levels go to their own areas, whose sizes
 * are known from counting. */
#include "platform/contract/policy_write.h"

#include "platform/contract/policy_image.h"

struct room {
	uint8_t *base; /* NULL: counting */
	size_t cap, len;
	bool ok;
};

struct build {
	const struct policy_spec *spec;
	struct room room;
	struct policy_image *image;
	struct policy_image counting; /* the header while there is no memory */
	uint32_t levels, patterns, columns, listeners, needs, sources, windows; /* handed out so far */
	size_t text;                                                            /* next byte of the strings' area */
	size_t text_end;
};

/* A table of `count` elements at the end of the image. */
static struct image_table take(struct build *b, size_t count, size_t element)
{
	struct image_table t = { 0 };
	struct room *r = &b->room;
	size_t bytes = (count * element + 7) & ~(size_t)7;

	if (count > UINT32_MAX / element || r->len + bytes > LIMIT_POLICY_IMAGE_BYTES || (r->base && r->len + bytes > r->cap))
		r->ok = false;
	if (!r->ok)
		return t;
	t = (struct image_table){ .off = (uint32_t)r->len, .count = (uint32_t)count };
	if (r->base)
		memset(r->base + r->len, 0, bytes);
	r->len += bytes;
	return t;
}

static struct image_string put_bytes(struct build *b, struct bytes text)
{
	struct image_string s = { .off = (uint32_t)b->text, .len = (uint32_t)text.len };

	if (b->room.base && b->room.ok) {
		if (text.len >= b->text_end - b->text) {
			b->room.ok = false;
			return (struct image_string){ 0 };
		}
		if (text.len)
			memcpy(b->room.base + b->text, text.base, text.len);
	}
	b->text += text.len + 1;
	return s;
}

static struct image_string put(struct build *b, const char *text)
{
	return put_bytes(b, bytes_str(text ? text : ""));
}

#define EDIT(b, table, type, i) ((b)->room.base && (b)->room.ok ? (type *)((b)->room.base + (b)->image->table.off) + (i) : NULL)

static uint32_t put_pattern(struct build *b, const char *pattern)
{
	struct name_level level[LIMIT_LEVELS];
	char text[LIMIT_NAME_BYTES];
	const char *why;
	unsigned count = policy_name_split(pattern, level, text, &why);
	struct image_pattern *p = EDIT(b, patterns, struct image_pattern, b->patterns);

	if (count == 0)
		b->room.ok = false;
	if (p)
		p->levels = (struct image_range){ .first = b->levels, .count = count };
	for (unsigned i = 0; i < count; i++) {
		struct image_level *l = EDIT(b, levels, struct image_level, b->levels);
		struct bytes name = level[i].kind == NAME_LEVEL_NAME ? level[i].text : (struct bytes){ 0 };
		struct image_string s = put_bytes(b, name);

		if (l)
			*l = (struct image_level){ .text = s, .hash = image_hash(name), .kind = level[i].kind };
		b->levels++;
	}
	return b->patterns++;
}

static struct image_range put_patterns(struct build *b, struct spec_names names)
{
	struct image_range r = { .first = b->patterns, .count = names.count };

	for (unsigned i = 0; i < names.count; i++)
		put_pattern(b, names.name[i]);
	return r;
}

/* A slot for listener `number` (from 1), the first free one after its hash. */
static void put_slot(uint32_t *slots, uint32_t count, uint32_t at, uint32_t number)
{
	while (slots[at])
		at = (at + 1) & (count - 1);
	slots[at] = number;
}

static void index_listener(struct build *b, uint32_t number)
{
	struct image_listener *l = EDIT(b, listeners, struct image_listener, number);
	uint32_t *slots = EDIT(b, listener_slots, uint32_t, 0), *targets = EDIT(b, target_slots, uint32_t, 0);
	uint32_t count = b->image->listener_slots.count;

	if (!l)
		return;
	put_slot(slots, count, image_slot(l->family, l->address, l->port, l->transport, count - 1), number + 1);
	if (l->inspected && !policy_target_guarded(b->image, l->family, l->address))
		put_slot(targets, count, image_slot(l->family, l->address, 0, POLICY_TCP, count - 1), number + 1);
}

static void put_services(struct build *b)
{
	for (unsigned i = 0; i < b->spec->services_count; i++) {
		const struct spec_service *s = &b->spec->services[i];
		struct image_service *to = EDIT(b, services, struct image_service, i);
		struct image_service made = {
			.name = put(b, s->name), .protocol_word = put(b, s->protocol_word), .upstream_name = put(b, s->upstream_name),
			.login = put(b, s->login), .search_path = put(b, s->search_path), .reason = put(b, s->reason),
			.listeners = { .first = b->listeners, .count = s->listeners_count }, .protocol = s->protocol, .tls = s->tls,
			.fail = s->fail, .audit = s->audit, .record = s->record, .splice = s->splice,
			.run_id_required = s->run_id_required, .on_journal_full = s->on_journal_full,
			.on_stale_revocation = s->on_stale_revocation, .on_clock_free = s->on_clock_free,
			.payload_bytes_max = s->payload_bytes_max ? s->payload_bytes_max : POLICY_PAYLOAD_BYTES,
		};

		if (to)
			*to = made;
		for (unsigned k = 0; k < s->listeners_count; k++, b->listeners++) {
			struct image_listener *l = EDIT(b, listeners, struct image_listener, b->listeners);

			if (!l)
				continue;
			*l = (struct image_listener){
				.family = s->listeners[k].family, .transport = s->listeners[k].transport, .any_vlan = s->listeners[k].any_vlan,
				.inspected = s->protocol != POLICY_PROTOCOL_PASS, .port = s->listeners[k].port, .vlan = s->listeners[k].vlan,
				.service = (uint16_t)i,
			};
			memcpy(l->address, s->listeners[k].address, l->family == 4 ? 4 : 16);
			index_listener(b, b->listeners);
		}
	}
}

/* Columns are found by the hash of their last level: insertion keeps them sorted. */
static void put_column(struct build *b, const char *pattern, unsigned class)
{
	uint32_t number = put_pattern(b, pattern);
	struct image_column *all = EDIT(b, columns, struct image_column, 0);
	const struct image_level *last = b->levels ? EDIT(b, levels, struct image_level, b->levels - 1) : NULL;
	uint32_t at = b->columns++;

	if (!all || !last)
		return;
	struct image_column made = { .pattern = number, .class = class, .hash = last->kind == LEVEL_NAME ? last->hash : 0 };

	for (; at > 0 && all[at - 1].hash > made.hash; at--)
		all[at] = all[at - 1];
	all[at] = made;
}

static void put_classes(struct build *b)
{
	for (unsigned i = 0; i < b->spec->classes_count; i++) {
		const struct spec_class *c = &b->spec->classes[i];
		struct image_class *to = EDIT(b, classes, struct image_class, i);
		struct image_string name = put(b, c->name);

		if (to)
			*to = (struct image_class){ .name = name, .detectors = c->detectors, .mask_kind = c->mask_kind };
		for (unsigned k = 0; k < c->columns.count; k++)
			put_column(b, c->columns.name[k], i);
	}
}

static void put_approvals(struct build *b)
{
	for (unsigned i = 0; i < b->spec->groups_count; i++) {
		struct image_group *to = EDIT(b, groups, struct image_group, i);
		struct image_string name = put(b, b->spec->groups[i]);

		if (to)
			to->name = name;
	}
	for (unsigned i = 0; i < b->spec->approvals_count; i++) {
		const struct spec_approval *a = &b->spec->approvals[i];
		struct image_approval *to = EDIT(b, approvals, struct image_approval, i);
		struct image_string name = put(b, a->name);

		if (to)
			*to = (struct image_approval){ .name = name, .needs = { .first = b->needs, .count = a->needs_count }, .expires_s = a->expires_s,
						       .use_by_s = a->use_by_s, .deny_quorum = a->deny_quorum, .params_free = a->params_free };
		for (unsigned k = 0; k < a->needs_count; k++, b->needs++) {
			struct image_need *need = EDIT(b, needs, struct image_need, b->needs);

			if (need)
				*need = (struct image_need){ .group = a->needs[k].group, .count = a->needs[k].count };
		}
	}
}

static void put_conditions(struct build *b, const struct spec_rule *r)
{
	for (unsigned k = 0; k < r->sources_count; k++, b->sources++) {
		struct image_source *s = EDIT(b, sources, struct image_source, b->sources);

		if (!s)
			continue;
		s->family = r->sources[k].family;
		s->bits = r->sources[k].bits;
		memcpy(s->address, r->sources[k].address, sizeof s->address);
	}
	for (unsigned k = 0; k < r->windows_count; k++, b->windows++) {
		struct image_window *w = EDIT(b, windows, struct image_window, b->windows);

		if (w)
			*w = (struct image_window){ .start = r->windows[k].start, .end = r->windows[k].end };
	}
	b->image->depends |= (r->sources_count ? IMAGE_DEPENDS_SOURCE : 0) | (r->windows_count ? IMAGE_DEPENDS_TIME : 0);
}

static void set_bit(uint64_t *rows, uint32_t words, size_t row, unsigned rule)
{
	rows[row * words + rule / 64] |= 1ULL << (rule % 64);
}

static void index_buckets(struct build *b, unsigned rule, const struct image_rule *r, uint64_t *rows)
{
	uint32_t words = image_words(b->image);
	bool every = r->objects.count == 0;

	for (uint32_t i = 0; i < r->objects.count; i++) {
		struct image_range levels = image_patterns(b->image)[r->objects.first + i].levels;
		const struct image_level *last = image_levels(b->image) + levels.first + levels.count - 1;

		if (last->kind == LEVEL_NAME)
			set_bit(rows, words, last->hash % POLICY_BUCKETS, rule);
		else
			every = true;
	}
	for (unsigned bucket = 0; every && bucket < POLICY_BUCKETS; bucket++)
		set_bit(rows, words, bucket, rule);
}

static void index_rule(struct build *b, unsigned rule, const struct image_rule *r)
{
	uint64_t *verbs = EDIT(b, verb_rows, uint64_t, 0), *services = EDIT(b, service_rows, uint64_t, 0);
	uint64_t *groups = EDIT(b, group_rows, uint64_t, 0), *buckets = EDIT(b, bucket_rows, uint64_t, 0);
	uint32_t words = image_words(b->image);

	if (r->observe)
		return;
	for (unsigned v = 0; v < VERB_count; v++)
		if (r->verbs >> v & 1)
			set_bit(verbs, words, v, rule);
	for (unsigned s = 0; s < b->spec->services_count; s++)
		if (r->services[s / 64] >> (s % 64) & 1)
			set_bit(services, words, s, rule);
	for (unsigned g = 0; g < b->spec->groups_count; g++)
		if (group_bits_has(&r->who, g))
			set_bit(groups, words, g, rule);
	if (r->who_any)
		set_bit(groups, words, b->spec->groups_count, rule);
	index_buckets(b, rule, r, buckets);
}

static void put_rules(struct build *b)
{
	for (unsigned i = 0; i < b->spec->rules_count; i++) {
		const struct spec_rule *r = &b->spec->rules[i];
		struct image_rule *to = EDIT(b, rules, struct image_rule, i);
		struct image_rule made = {
			.who = r->who, .except_who = r->except_who, .purpose = r->purpose, .mask = r->mask, .rows_max = r->rows_max,
			.bytes_max = r->bytes_max, .id = put(b, r->id), .say = put(b, r->say), .verbs = r->verbs, .flags = r->flags,
			.objects = put_patterns(b, r->objects), .except_objects = put_patterns(b, r->except_objects),
			.sources = { .first = b->sources, .count = r->sources_count },
			.windows = { .first = b->windows, .count = r->windows_count }, .line = r->line, .approval = (uint16_t)r->approval,
			.pattern = (uint16_t)r->pattern, .action = r->action, .observe = r->observe, .oracle_allowed = r->oracle_allowed,
			.who_any = r->who_any, .purpose_any = r->purpose_any,
		};

		memcpy(made.services, r->services, sizeof made.services);
		put_conditions(b, r);
		if (!to)
			continue;
		*to = made;
		index_rule(b, i, to);
	}
}

static uint32_t slots_for(uint32_t listeners)
{
	uint32_t slots = 4;

	while (slots < 4 * listeners)
		slots *= 2;
	return slots;
}

static struct image_string take_blob(struct build *b, struct bytes blob)
{
	struct image_table t = take(b, blob.len, 1);

	if (b->room.base && b->room.ok && blob.len)
		memcpy(b->room.base + t.off, blob.base, blob.len);
	return (struct image_string){ .off = t.off, .len = t.count };
}

/* Lays out every table by the counts of a counting pass (`from`), then fills them. */
static void lay_out(struct build *b, const struct build *from)
{
	const struct policy_spec *s = b->spec;
	struct policy_image *p = b->image;
	size_t words = (s->rules_count + 63) / 64;

	take(b, 1, sizeof *p);
	p->services = take(b, s->services_count, sizeof(struct image_service));
	p->listeners = take(b, from->listeners, sizeof(struct image_listener));
	p->listener_slots = take(b, slots_for(from->listeners), 4);
	p->target_slots = take(b, slots_for(from->listeners), 4);
	p->groups = take(b, s->groups_count, sizeof(struct image_group));
	p->classes = take(b, s->classes_count, sizeof(struct image_class));
	p->columns = take(b, from->columns, sizeof(struct image_column));
	p->approvals = take(b, s->approvals_count, sizeof(struct image_approval));
	p->needs = take(b, from->needs, sizeof(struct image_need));
	p->levels = take(b, from->levels, sizeof(struct image_level));
	p->patterns = take(b, from->patterns, sizeof(struct image_pattern));
	p->sources = take(b, from->sources, sizeof(struct image_source));
	p->windows = take(b, from->windows, sizeof(struct image_window));
	p->rules = take(b, s->rules_count, sizeof(struct image_rule));
	p->verb_rows = take(b, VERB_count * words, 8);
	p->service_rows = take(b, s->services_count * words, 8);
	p->group_rows = take(b, (s->groups_count + 1) * words, 8);
	p->bucket_rows = take(b, POLICY_BUCKETS * words, 8);
	p->class_database = take_blob(b, s->class_database);
	p->pattern_database = take_blob(b, s->pattern_database);
	b->text = b->room.len;
	take(b, from->text, 1);
	b->text_end = b->room.len;
}

static void fill(struct build *b)
{
	const struct policy_spec *s = b->spec;
	struct policy_image *p = b->image;
	const struct policy_defaults *d = &s->defaults;

	p->magic = POLICY_MAGIC;
	p->version = POLICY_VERSION;
	p->generation = s->generation;
	memcpy(p->hash, s->hash, sizeof p->hash);
	p->verbs = VERB_count;
	p->flags = FLAG_count;
	p->unmatched = d->unmatched;
	p->unknown = d->unknown;
	p->on_control_lost = d->on_control_lost;
	p->on_journal_full = d->on_journal_full;
	p->on_stale_revocation = d->on_stale_revocation;
	p->on_clock_free = d->on_clock_free;
	p->record = d->record;
	p->audit = d->audit;
	p->run_id_required = d->run_id_required;
	p->approval = (uint16_t)d->approval;
	p->pattern_count = s->patterns_count;
	p->name = put(b, s->name);
	put_services(b);
	put_classes(b);
	put_approvals(b);
	put_rules(b);
}

struct bytes policy_image_write(const struct policy_spec *spec, void *into, size_t cap)
{
	struct build count = { .spec = spec, .room = { .ok = true } }, b = { .spec = spec, .room = { .base = into, .cap = cap, .ok = true } };

	count.image = &count.counting;
	fill(&count);
	if (!count.room.ok || (into && cap < sizeof *b.image))
		return (struct bytes){ 0 };
	b.image = into ? into : &b.counting;
	if (into)
		memset(into, 0, sizeof *b.image);
	lay_out(&b, &count);
	if (into && b.room.ok)
		fill(&b);
	if (!b.room.ok)
		return (struct bytes){ 0 };
	b.image->size = (uint32_t)b.room.len;
	if (into)
		b.image->checksum = image_checksum(b.image);
	return bytes_of(into, b.room.len);
}
