/* Two workers serve one database: what one session's statement copies out of a tagged column is masked for the other's as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "dataplane/inspect/postgres/catalogue.h"
#include "dataplane/inspect/postgres/postgres_kit.h"

static struct kit k;
static uint8_t buffer[1u << 20];

static struct writer fresh(void)
{
	return writer_of(buffer, sizeof(buffer));
}

static void start(void)
{
	kit_begin(&k);
	kit_login(&k, 0);
	k.other_worker = calloc(1, sizeof(struct pg_shared));
	assert_non_null(k.other_worker);
}

static void finish(void)
{
	free(k.other_worker);
	k.other_worker = NULL;
	kit_end(&k);
}

static void ask(const char *text)
{
	struct writer w = fresh();

	kit_query(&w, text);
	kit_feed(&k, SIDE_CLIENT, writer_done(&w), 0);
}

static void done(const char *error)
{
	struct writer w = fresh();

	if (error)
		kit_error(&w, error, "no");
	else
		kit_complete(&w, "UPDATE 1");
	kit_ready(&w, 'I');
	kit_feed(&k, SIDE_SERVER, writer_done(&w), 0);
}

/* Whether the other worker takes this column for one that holds tagged values. */
static bool tainted(const char *relation, const char *column)
{
	struct class_bits classes = pg_catalogue_taints(pg_catalogue_of(k.other_worker, bytes_str("shop")), 0, pg_name_hash(bytes_str(relation)),
							column ? pg_name_hash(bytes_str(column)) : 0);

	return class_bits_any(&classes);
}

static void the_other_worker_knows_before_the_target_answers(void **state)
{
	start();
	assert_false(tainted("customers", "note"));
	ask("copy name into customers");
	assert_true(kit_wrote(&k, SIDE_SERVER, "copy name into customers"));
	assert_true(tainted("customers", "note"));
	assert_false(tainted("customers", "id"));
	assert_false(tainted("other", NULL));
	done(NULL);
	assert_true(tainted("customers", "note")); /* for good */
	finish();
}

static void a_copy_that_failed_taints_nothing_there(void **state)
{
	start();
	ask("copy name into customers");
	assert_true(tainted("customers", "note"));
	done("23505");
	assert_false(tainted("customers", "note"));
	finish();
}

/* Numbers of taints differ between workers: the other one has some of its own. */
static void numbers_are_each_worker_s_own(void **state)
{
	struct class_bits some = { .w = { 2 } };
	struct pg_catalogue *c;

	start();
	c = pg_catalogue_of(k.other_worker, bytes_str("shop"));
	for (unsigned i = 0; i < 3; i++)
		(void)pg_catalogue_taint_hold(c, 1, 100 + 2 * i + 1, 0, false, &some);
	ask("copy name into customers");
	done("23505");
	assert_false(tainted("customers", "note"));
	for (unsigned i = 0; i < 3; i++) {
		struct class_bits still = pg_catalogue_taints(c, 1, 100 + 2 * i + 1, 0);

		assert_true(class_bits_any(&still));
	}
	finish();
}

/* Nobody could tell the others: so it does not happen. */
static void without_room_to_tell_it_is_refused(void **state)
{
	start();
	k.no_share_room = true;
	ask("copy name into customers");
	assert_false(kit_wrote(&k, SIDE_SERVER, "copy name into customers"));
	assert_false(tainted("customers", "note"));
	ask("select x from customers");
	assert_true(kit_wrote(&k, SIDE_SERVER, "select x from customers"));
	finish();
}

/* A worker that hears of the end only, because the beginning was another number's, masks rather than forgets. */
static void kept_without_a_beginning_is_kept(void **state)
{
	void *late;

	start();
	late = k.other_worker;
	k.other_worker = NULL;
	ask("copy name into customers");
	k.other_worker = late;
	done(NULL);
	assert_true(tainted("customers", "note"));
	finish();
}

static void what_is_no_step_is_ignored(void **state)
{
	start();
	inspector_postgres.heard(k.other_worker, 1, bytes_str("?"));
	inspector_postgres.heard(k.other_worker, LIMIT_WORKERS, bytes_of(buffer, 136));
	assert_false(tainted("customers", NULL));
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_other_worker_knows_before_the_target_answers),
		cmocka_unit_test(a_copy_that_failed_taints_nothing_there),
		cmocka_unit_test(numbers_are_each_worker_s_own),
		cmocka_unit_test(without_room_to_tell_it_is_refused),
		cmocka_unit_test(kept_without_a_beginning_is_kept),
		cmocka_unit_test(what_is_no_step_is_ignored),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("postgres_peers", tests, NULL, NULL);
}
