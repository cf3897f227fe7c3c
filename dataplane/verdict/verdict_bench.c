/* How long one verdict takes with 1, 100 and 10,000 rules (policy.md 8: at most 2 microseconds), as lines of JSON. Not a test. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/verdict/cache.h"
#include "platform/contract/policy_write.h"

#define RULES_MAX LIMIT_RULES
#define SERVICES 20
#define ROUNDS 200000

static struct spec_rule rules[RULES_MAX];
static char ids[RULES_MAX][16], tables[RULES_MAX][40];
static const char *names[RULES_MAX];
static struct spec_service services[SERVICES];
static struct spec_listener listeners[SERVICES];
static char group_names[200][8];
static const char *groups[200];

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* `services_used` 1 and `groups_used` 1: every rule is about the same service, verb and group, each with its own table. */
static struct policy_image *build(unsigned rules_used, unsigned services_used, unsigned groups_used, size_t *len)
{
	struct policy_spec spec = { .name = "bench", .services = services, .services_count = SERVICES, .groups = groups, .groups_count = 200,
				    .rules = rules, .rules_count = rules_used,
				    .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE } };

	for (unsigned i = 0; i < 200; i++) {
		snprintf(group_names[i], sizeof group_names[i], "g%u", i);
		groups[i] = group_names[i];
	}
	for (unsigned i = 0; i < SERVICES; i++) {
		listeners[i] = (struct spec_listener){ .family = 4, .address = { 10, 0, 0, (uint8_t)i }, .port = 5432, .any_vlan = true };
		services[i] = (struct spec_service){ .name = "s", .protocol_word = "postgres", .protocol = POLICY_PROTOCOL_POSTGRES,
						     .search_path = "public", .listeners = &listeners[i], .listeners_count = 1 };
	}
	for (unsigned i = 0; i < rules_used; i++) {
		snprintf(ids[i], sizeof ids[i], "r%05u", i);
		snprintf(tables[i], sizeof tables[i], "db.public.table%u", i);
		names[i] = tables[i];
		rules[i] = (struct spec_rule){ .id = ids[i], .action = POLICY_ALLOW, .purpose_any = true, .verbs = 1u << VERB_select | 1u << VERB_insert,
					       .objects = { &names[i], 1 }, .approval = POLICY_NONE, .pattern = POLICY_NONE };
		rules[i].services[0] = 1ULL << (i % services_used);
		group_bits_add(&rules[i].who, i % groups_used);
	}
	*len = policy_image_write(&spec, NULL, 0).len;
	void *memory = malloc(*len);

	if (!memory || policy_image_write(&spec, memory, *len).len != *len || !policy_image_open(memory, *len, NULL, 0))
		abort();
	return memory;
}

static struct bytes classify(uint8_t *room, size_t cap, const char *table)
{
	struct classification_writer w = classification_writer_of(room, cap, true);

	classification_begin_statement(&w, 0);
	classification_add_access(&w, &(struct access){ .verb = VERB_select, .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str(table) } });
	classification_begin_targets(&w);
	classification_end_statement(&w, NULL);
	return classification_finish(&w, bytes_str("select 1 from t"), bytes_str("select $1 from t"));
}

int main(void)
{
	static const unsigned shape[][3] = { { 1, 1, 1 }, { 100, 20, 50 }, { 100, 1, 1 }, { RULES_MAX, 20, 50 }, { RULES_MAX, 1, 1 } };
	void *memory = aligned_alloc(64, (cache_bytes(CACHE_SLOTS) + 63) & ~(size_t)63);
	struct cache *cache = memory ? cache_init(memory, CACHE_SLOTS, (struct hash_key){ 1, 2 }) : NULL;

	if (!cache)
		return 1;
	for (unsigned s = 0; s < sizeof shape / sizeof shape[0]; s++) {
		size_t len;
		double start = now_ns(), built;
		struct policy_image *image = build(shape[s][0], shape[s][1], shape[s][2], &len);
		struct verdict_request q = { .database = bytes_str("db") };
		struct hash128 key = { 1, s };
		struct classification c;
		struct bytes encoded;
		uint8_t room[512];
		struct verdict v;
		double plain, cached;

		built = now_ns() - start;
		for (unsigned g = 0; g < 5; g++)
			group_bits_add(&q.groups, g);
		if (!cache_put(cache, key, classify(room, sizeof room, "table0")) || !cache_find(cache, key, false, &c, &encoded))
			return 1;
		q.classification = &c;
		start = now_ns();
		for (unsigned i = 0; i < ROUNDS; i++)
			verdict_evaluate(image, &q, &v);
		plain = (now_ns() - start) / ROUNDS;
		start = now_ns();
		for (unsigned i = 0; i < ROUNDS; i++)
			cache_verdict(cache, key, image, &q, &v);
		cached = (now_ns() - start) / ROUNDS;
		printf("{\"rules\":%u,\"services\":%u,\"groups\":%u,\"image_bytes\":%zu,\"build_ms\":%.1f,\"verdict_ns\":%.0f,\"cached_ns\":%.0f,\"allowed\":%s}\n",
		       shape[s][0], shape[s][1], shape[s][2], len, built / 1e6, plain, cached, v.action == COMMAND_ALLOW ? "true" : "false");
		free(image);
	}
	free(memory);
	return 0;
}
