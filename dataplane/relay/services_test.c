#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "dataplane/relay/services.h"

static struct relay_services services;
static const struct hash_key key = { 1, 2 };

static const char *name_of(unsigned n)
{
	static char name[64];

	snprintf(name, sizeof name, "service-%u", n);
	return name;
}

/* As many as two policies can name are each found again, at the same place; one more is refused, and the others stay. */
static void each_is_found_by_its_name(void **state)
{
	static struct relay_service *made[RELAY_SERVICES_MAX];

	for (unsigned i = 0; i < RELAY_SERVICES_MAX; i++) {
		assert_null(relay_services_find(&services, key, name_of(i), false));
		made[i] = relay_services_find(&services, key, name_of(i), true);
		assert_non_null(made[i]);
	}
	assert_null(relay_services_find(&services, key, "one-more", true));
	for (unsigned i = 0; i < RELAY_SERVICES_MAX; i++) {
		assert_ptr_equal(relay_services_find(&services, key, name_of(i), true), made[i]);
		assert_string_equal(made[i]->name, name_of(i));
	}
	assert_int_equal(services.count, RELAY_SERVICES_MAX);
}

static void a_name_of_any_length_is_safe(void **state)
{
	static struct relay_services empty;
	char name[66];

	memset(name, 'n', sizeof name);
	name[65] = 0;
	assert_null(relay_services_find(&empty, key, name, true));
	name[64] = 0;
	assert_null(relay_services_find(&empty, key, name, true));
	name[63] = 0;
	assert_non_null(relay_services_find(&empty, key, name, true));
	assert_int_equal(empty.count, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_found_by_its_name),
		cmocka_unit_test(a_name_of_any_length_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
