/* Hostile and damaged images: whatever policy_image_open lets through, everything that reads it stays inside (run with the
 * address sanitizer). Each byte of an image is changed in turn, with the checksum put right again. And: what was written is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/verdict/random_policy.h"
#include "platform/contract/policy_image.h"

static struct random_policy policy;
static struct random_request request;

static const struct spec_listener listeners[] = {
	{ 4, { 192, 0, 2, 10 }, POLICY_TCP, 5432, 210, false },
	{ 4, { 192, 0, 2, 10 }, POLICY_TCP, 5432, 0, true },
	{ 6, { 0x20, 1, 0xd, 0xb8, [15] = 1 }, POLICY_TCP, 5432, 0, true },
	{ 4, { 192, 0, 2, 1 }, POLICY_UDP, 123, 0, true },
};
static const char *const columns[] = { "db.public.customer.email", "*.*.*.pan", "db.public.secret.*", "**.iban" };

/* A policy that fills every table. */
static void full_policy(unsigned rules)
{
	struct rng r = rng_seeded(7);

	random_policy(&policy, &r, rules);
	for (unsigned i = 0; i < 3; i++)
		policy.services[i].listeners = &listeners[i];
	policy.services[2].listeners_count = 2;
	policy.services[1].login = "reader";
	policy.services[2].upstream_name = "db.example";
	for (unsigned i = 0; i < 4; i++) {
		policy.classes[i].columns = (struct spec_names){ &columns[i], 1 };
		policy.classes[i].mask_kind = 3 - i;
		class_bits_add(&policy.classes[i].detectors, i);
		class_bits_add(&policy.classes[i].detectors, 200);
	}
	policy.spec.class_database = bytes_str("classes");
	policy.spec.pattern_database = bytes_str("patterns");
}

/* Calls everything there is. The sum keeps the compiler from dropping it. */
static uint64_t use(const struct policy_image *p)
{
	struct policy_counts n = policy_counts(p);
	struct class_bits all = { { ~0ULL, ~0ULL, ~0ULL, ~0ULL } };
	uint64_t sum = policy_generation(p) + policy_hash(p)[31] + strlen((const char *)policy_name(p).base) + policy_defaults(p).approval;
	struct rng r = rng_seeded(3);
	struct verdict v;

	for (unsigned i = 0; i <= n.services; i++) {
		sum += policy_service(p, i).name.len + policy_service(p, i).login.len + policy_service(p, i).upstream_name.len;
		for (unsigned k = 0; k <= policy_service(p, i).listeners && k < 9; k++)
			sum += policy_service_listener(p, i, k).port;
	}
	for (unsigned i = 0; i <= n.classes; i++)
		sum += policy_class(p, i).name.len;
	for (unsigned i = 0; i <= n.groups; i++)
		sum += policy_group_name(p, i).len;
	for (unsigned i = 0; i <= n.rules; i++)
		sum += policy_rule(p, i).line + policy_rule_id(p, i).len + policy_rule(p, i).say.len;
	for (unsigned i = 0; i <= n.approvals; i++)
		for (unsigned k = 0; k <= policy_approval(p, i).needs && k < 9; k++)
			sum += policy_approval_need(p, i, k).group;
	for (size_t i = 0; i < sizeof listeners / sizeof *listeners; i++)
		sum += (uint64_t)policy_service_find(p, listeners[i].family, listeners[i].address, listeners[i].port, listeners[i].transport, 210) +
		       policy_target_guarded(p, listeners[i].family, listeners[i].address);
	sum += policy_column_classes(p, bytes_str("db"), bytes_str("public"), bytes_str("customer"), bytes_str("email")).w[0];
	sum += policy_column_classes(p, bytes_str("db"), bytes_str(""), bytes_str(""), bytes_str("")).w[0];
	sum += policy_detectors(p, &all).w[0] + (uint64_t)policy_class_of_detector(p, &all, 200);
	sum += policy_class_database(p).len + policy_pattern_database(p).len;
	for (unsigned i = 0; i < 4; i++) {
		random_request(&request, &r);
		verdict_evaluate(p, &request.request, &v);
		sum += v.rules_count + v.say.len;
	}
	return sum;
}

static void test_every_byte_changed(void **state)
{
	struct rng r = rng_seeded(99);
	struct policy_image *image;
	size_t size;
	unsigned opened = 0;
	uint64_t sum = 0;

	full_policy(9);
	image = random_policy_image(&policy);
	size = image->size;
	for (size_t at = 0; at < size; at++) {
		for (unsigned round = 0; round < 2; round++) {
			uint8_t *byte = (uint8_t *)image + at, kept = *byte;
			uint64_t checksum = image->checksum;

			*byte = round ? (uint8_t)(kept ^ 1u << rng_below(&r, 8)) : (uint8_t)(kept ? 0 : 0xff);
			assert_true(at < offsetof(struct policy_image, generation) || !policy_image_open(image, size, NULL, 0));
			if (image->size == size && (at < 16 || at > 23))
				image->checksum = image_checksum(image);
			if (policy_image_open(image, size, NULL, 0)) {
				sum += use(image);
				opened++;
			}
			*byte = kept;
			image->checksum = checksum;
		}
	}
	assert_non_null(policy_image_open(image, size, NULL, 0));
	assert_true(opened > 1000 && sum != 0);
	free(image);
}

static void test_every_length(void **state)
{
	struct policy_image *image;

	full_policy(3);
	image = random_policy_image(&policy);
	for (size_t len = 0; len < image->size; len += len < sizeof *image ? 1 : 61) {
		uint32_t size = image->size;
		struct policy_image *cut = malloc(len ? len : 1);

		memcpy(cut, image, len);
		assert_null(policy_image_open(cut, len, NULL, 0));
		if (len >= sizeof *image) {
			cut->size = (uint32_t)len;
			cut->checksum = image_checksum(cut);
			if (policy_image_open(cut, len, NULL, 0))
				(void)use(cut);
		}
		free(cut);
		image->size = size;
	}
	assert_null(policy_image_open((uint8_t *)image + 4, image->size - 4, NULL, 0));
	free(image);
}

static void test_services_are_found(void **state)
{
	static const uint8_t v6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 }, v4[4] = { 192, 0, 2, 10 }, ntp[4] = { 192, 0, 2, 1 }, other[4] = { 192, 0, 2, 9 };
	struct policy_image *p;

	full_policy(3);
	policy.services[2] = (struct spec_service){ .name = "pass", .protocol = POLICY_PROTOCOL_PASS, .listeners = &listeners[2], .listeners_count = 2 };
	p = random_policy_image(&policy);
	assert_int_equal(policy_service_find(p, 4, v4, 5432, POLICY_TCP, 210), 0); /* the one that names the VLAN */
	assert_int_equal(policy_service_find(p, 4, v4, 5432, POLICY_TCP, 0), 1);
	assert_int_equal(policy_service_find(p, 4, v4, 5432, POLICY_TCP, 211), 1);
	assert_int_equal(policy_service_find(p, 4, v4, 5433, POLICY_TCP, 210), -1);
	assert_int_equal(policy_service_find(p, 4, v4, 5432, POLICY_UDP, 210), -1);
	assert_int_equal(policy_service_find(p, 6, v6, 5432, POLICY_TCP, 0), 2);
	assert_int_equal(policy_service_find(p, 4, ntp, 123, POLICY_UDP, 0), 2);
	assert_int_equal(policy_service_find(p, 4, ntp, 123, POLICY_TCP, 0), -1);
	assert_int_equal(policy_service_find(p, 5, ntp, 123, POLICY_UDP, 0), -1);
	assert_true(policy_target_guarded(p, 4, v4));
	assert_false(policy_target_guarded(p, 4, other));
	assert_false(policy_target_guarded(p, 4, ntp)); /* only passed */
	assert_int_equal(policy_service_listener(p, 0, 0).vlan, 210);
	assert_int_equal(policy_service_listener(p, 0, 1).family, 0);
	free(p);
	/* … in whatever order they stand. */
	policy.services[0].listeners = &listeners[1];
	policy.services[1].listeners = &listeners[0];
	p = random_policy_image(&policy);
	assert_int_equal(policy_service_find(p, 4, v4, 5432, POLICY_TCP, 210), 1);
	assert_int_equal(policy_service_find(p, 4, v4, 5432, POLICY_TCP, 0), 0);
	free(p);
}

/* Rows of rules live on a worker's stack, sized by LIMIT_RULES. */
static void test_too_many_rules(void **state)
{
	static struct spec_rule rules[LIMIT_RULES + 1];
	struct policy_spec spec;
	char err[100];

	full_policy(1);
	for (unsigned i = 0; i <= LIMIT_RULES; i++)
		rules[i] = policy.rules[0];
	spec = policy.spec;
	spec.rules = rules;
	for (unsigned over = 0; over <= 1; over++) {
		spec.rules_count = LIMIT_RULES + over;
		size_t len = policy_image_write(&spec, NULL, 0).len;
		void *memory = malloc(len);

		assert_int_equal(policy_image_write(&spec, memory, len).len, len);
		assert_int_equal(policy_image_open(memory, len, err, sizeof err) != NULL, !over);
		if (!over)
			(void)use(memory);
		free(memory);
	}
	assert_string_equal(err, "more of something than the limits allow");
}

static struct class_bits classes_of(const struct policy_image *p, const char *d, const char *s, const char *t, const char *c)
{
	return policy_column_classes(p, bytes_str(d), bytes_str(s), bytes_str(t), bytes_str(c));
}

static void test_columns(void **state)
{
	struct class_bits both = { { 6 } };
	struct policy_image *p;

	full_policy(3);
	p = random_policy_image(&policy);
	assert_int_equal(classes_of(p, "db", "public", "customer", "email").w[0], 1);
	assert_int_equal(classes_of(p, "db", "public", "orders", "email").w[0], 0);
	assert_int_equal(classes_of(p, "db", "x", "y", "pan").w[0], 2);
	assert_int_equal(classes_of(p, "db", "public", "secret", "iban").w[0], 4 + 8);
	assert_int_equal(classes_of(p, "db", "public", "secret", "z").w[0], 4);
	assert_int_equal(classes_of(p, "db", "public", "customer", "").w[0], 1 + 2 + 8); /* any column of the table */
	assert_int_equal(classes_of(p, "db", "", "", "email").w[0], 1 + 4);              /* a column of this name anywhere */
	assert_int_equal(classes_of(p, "", "", "", "").w[0], 15);
	assert_int_equal(policy_class(p, 3).detectors.w[0], 8);
	assert_int_equal(policy_class(p, 3).detectors.w[200 / 64], 1ULL << (200 % 64));
	assert_int_equal(policy_detectors(p, &both).w[0], 6);
	assert_int_equal(policy_class_of_detector(p, &both, 200), 1);
	both.w[0] = 15;
	assert_int_equal(policy_class_of_detector(p, &both, 200), 3); /* masked in full */
	assert_int_equal(policy_class_of_detector(p, &both, 77), -1);
	free(p);
}

static void test_names(void **state)
{
	static const char *const good[] = { "a", "a.b", "*", "**", "a.*.c", "\"a.b\".c", "\"a\"\"b\"", "ns/x.y/*", "a.b.c.d.e.f.g.h", "\"*\"" };
	static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "a*", "*a.b", "\"a", "\"a\"b", "a\"b\"", "\"\"", "a.b.c.d.e.f.g.h.i", "***" };
	struct name_level level[LIMIT_LEVELS];
	char room[LIMIT_NAME_BYTES], longest[LIMIT_NAME_BYTES + 1];
	const char *why;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!policy_name_split(good[i], level, room, &why))
			fail_msg("%s: %s", good[i], why);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (policy_name_split(bad[i], level, room, &why) || !why)
			fail_msg("%s", bad[i]);
	assert_int_equal(policy_name_split("ns/x.y/*", level, room, &why), 3);
	assert_true(bytes_equal(level[1].text, bytes_str("x.y")));
	assert_int_equal(policy_name_split("\"a\"\"b\"", level, room, &why), 1);
	assert_true(bytes_equal(level[0].text, bytes_str("a\"b")));
	memset(longest, 'a', LIMIT_NAME_BYTES);
	longest[LIMIT_NAME_BYTES] = 0;
	assert_int_equal(policy_name_split(longest, level, room, &why), 0);
	assert_int_equal(policy_name_split(longest + 1, level, room, &why), 1);
}

static void test_groups_as_bytes(void **state)
{
	struct group_bits g = { 0 }, back;
	uint8_t bytes[LIMIT_GROUPS / 8];

	group_bits_add(&g, 0);
	group_bits_add(&g, 77);
	group_bits_add(&g, 255);
	group_bits_write(&g, bytes);
	assert_int_equal(bytes[9], 1 << 5);
	back = group_bits_read(bytes_of(bytes, sizeof bytes));
	assert_memory_equal(&g, &back, sizeof g);
	assert_false(group_bits_has(&g, 256));
	back = group_bits_read(bytes_of(bytes, 1));
	assert_true(group_bits_has(&back, 0) && !group_bits_has(&back, 77));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services_are_found), cmocka_unit_test(test_too_many_rules), cmocka_unit_test(test_columns), cmocka_unit_test(test_names),
		cmocka_unit_test(test_groups_as_bytes), cmocka_unit_test(test_every_length), cmocka_unit_test(test_every_byte_changed),
	};

	return cmocka_run_group_tests_name("policy image", tests, NULL, NULL);
}
