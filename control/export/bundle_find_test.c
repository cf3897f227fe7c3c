/* What is found is the record as it lies in the journal, also while others are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "control/export/bundle_find.h"
#include "control/journal/jcs_read.h"
#include "control/journal/journal_fixture.h"

#define RECORDS 600u

static char dir[128];
static struct fixture_signer signer;

static int setup(void **state)
{
	fixture_dir(dir);
	fixture_signer_init(&signer);
	return fixture_published(dir, &signer, RECORDS, 20) ? 0 : -1;
}

static int teardown(void **state)
{
	fixture_remove(dir);
	fixture_signer_free(&signer);
	return 0;
}

struct seen {
	unsigned count, stop_at;
	uint64_t last;
};

/* Reads others, near and far, and looks then at what it was given. */
static const char *see(void *ctx, struct archive *a, uint64_t index, struct bytes record)
{
	struct seen *s = ctx;
	struct bytes other;
	int64_t ref, n;

	assert_true(s->count == 0 || index > s->last);
	assert_true(jcs_read_int(jcs_get(jcs_value_of(record), "n"), &n));
	for (uint64_t at = index % 7; at < RECORDS; at += 97) {
		assert_null(archive_read(a, at, &other));
		assert_true(at == index || !bytes_equal(other, record));
	}
	assert_null(jcs_check(record, NULL));
	assert_true(jcs_read_int(jcs_get(jcs_value_of(record), "n"), &ref) && ref == n);
	assert_null(archive_read(a, index, &other));
	assert_true(bytes_equal(other, record));
	s->last = index;
	return ++s->count == s->stop_at ? "that will do" : NULL;
}

static void each_match_is_given_as_it_lies_there(void **state)
{
	struct seen s = { 0 };
	const struct archive_filter filter = { .to = UINT64_MAX, .type = "resp" };

	assert_null(bundle_find(dir, &filter, see, &s));
	assert_int_equal(s.count, (RECORDS + 20) / 2);
}

static void text_ends_it(void **state)
{
	struct seen s = { .stop_at = 3 };
	const struct archive_filter filter = { .to = UINT64_MAX, .type = "resp" };

	assert_string_equal(bundle_find(dir, &filter, see, &s), "that will do");
	assert_int_equal(s.count, 3);
	assert_non_null(bundle_find("/nowhere", &filter, see, &s));
	assert_int_equal(s.count, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_match_is_given_as_it_lies_there), cmocka_unit_test(text_ends_it) };

	return cmocka_run_group_tests_name("bundle find", tests, setup, teardown);
}
