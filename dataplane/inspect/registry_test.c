/* The registry holds what the build lists, and every row is complete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/inspect/inspector.h"

static void finds_each_by_its_word(void **state)
{
	size_t count = 0;

	for (size_t i = 0; inspectors[i]; i++, count++)
		assert_ptr_equal(inspector_find(inspectors[i]->name), inspectors[i]);
	assert_true(count >= 2);
	assert_non_null(inspector_find("postgres"));
	assert_non_null(inspector_find("opaque"));
	assert_null(inspector_find("postgre"));
	assert_null(inspector_find(""));
}

static void every_row_is_complete(void **state)
{
	for (size_t i = 0; inspectors[i]; i++) {
		const struct inspector *p = inspectors[i];

		assert_true(p->session_bytes > 0);
		assert_true(p->guess && p->open && p->feed && p->answer && p->ended && p->close);
	}
}

static void opaque_asks_for_nothing(void **state)
{
	const struct inspector *p = inspector_find("opaque");
	const struct inspect_env env = { 0 };
	struct writer none = { 0 };
	struct inspect_io io = { { &none, &none } };
	uint64_t session[8] = { 0 };
	struct inspect_result r;

	assert_true(p->session_bytes <= sizeof(session));
	p->open(session, &env, NULL, NULL);
	r = p->feed(session, SIDE_CLIENT, bytes_str("anything"), &io);
	assert_int_equal(r.status, INSPECT_OPAQUE);
	assert_int_equal(r.consumed, 0);
	p->close(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_each_by_its_word),
		cmocka_unit_test(every_row_is_complete),
		cmocka_unit_test(opaque_asks_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
