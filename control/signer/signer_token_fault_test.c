/* The same with a module that misbehaves: what a token can do to us, and that what it cannot do any more is never passed over in silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/signer/signer_token_test_kit.h"

/* --- a module that misbehaves ----------------------------------------------------------------------------------------- */

static void faults_at_the_start_are_said(void **state)
{
	static const struct {
		const char *does, *why;
		size_t logins;
	} rows[] = {
		{ "garbage", "does not verify", 1 }, { "zeros", "does not verify", 1 }, { "truncated", "63 bytes", 1 }, { "long", "200 bytes", 1 },
		{ "off-curve", "none on P-256", 1 }, { "short-point", "no public key", 1 }, { "long-value", "another kind", 1 }, { "many-slots", "more slots", 0 },
		{ "always-pin", "for each signature", 1 }, { "no-object", "no private key", 1 }, { "gone", "does not sign", 1 }, { "login-fails", "login", 1 },
		{ "final-try", "one try of its PIN left", 0 }, { "locked", "is locked", 0 }, { "pin-pad", "a pad of its own", 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		kit_put("logins", 0600, "");
		kit_put("keys/p256.uri", 0400, kit_fake_does(rows[i].does));
		kit_fails_with(true, rows[i].why);
		if (kit_logins() != rows[i].logins)
			fail_msg("%s: %zu logins", rows[i].does, kit_logins());
		assert_false(kit_is_there("keys/state.p256-pin"));
	}
}

/* The counter is the token's: a wrong PIN goes to it once, however often control starts us. */
static void wrong_pin_is_tried_once(void **state)
{
	kit_put("keys/p256.uri", 0400, kit_fake_does("wrong-pin"));
	kit_fails_with(true, "login");
	assert_int_equal(kit_logins(), 1);
	for (unsigned i = 0; i < 5; i++)
		kit_fails_with(true, "not tried again");
	assert_int_equal(kit_logins(), 1);
	usleep(20000);
	kit_put("pin", 0400, "another");
	kit_fails_with(true, "login");
	kit_fails_with(true, "not tried again");
	assert_int_equal(kit_logins(), 2);
	kit_shell("rm %s/state.p256-pin", kit.keys);
	kit_fails_with(true, "login");
	assert_int_equal(kit_logins(), 3);
	/* A file that says nothing clear is no permission. */
	kit_put("keys/state.p256-pin", 0600, "garbage");
	kit_fails_with(true, "not tried again");
	assert_int_equal(kit_logins(), 3);
}

/* kill -9 in a try: nobody knows how it ended. */
static void tries_without_an_end_are_two(void **state)
{
	kit_put("keys/p256.uri", 0400, kit_fake_does("hang-login"));
	for (size_t i = 1; i <= 2; i++) {
		kit_start(true);
		for (unsigned k = 0; k < 1500 && kit_logins() < i; k++)
			usleep(10000);
		assert_int_equal(kit_logins(), i);
		kill(kit.child, SIGKILL);
		kit_stop();
	}
	kit_fails_with(true, "without a known end");
	assert_int_equal(kit_logins(), 2);
	/* And one, when the token says that it counted. */
	kit_put("logins", 0600, "");
	kit_put("keys/p256.uri", 0400, kit_fake_does("hang-login,count-low"));
	kit_start(true);
	for (unsigned k = 0; k < 1500 && kit_logins() < 1; k++)
		usleep(10000);
	kill(kit.child, SIGKILL);
	kit_stop();
	kit_fails_with(true, "without a known end");
	assert_int_equal(kit_logins(), 1);
	/* What it counted before is no reason not to try a PIN that is new. */
	kit_put("keys/p256.uri", 0400, kit_fake_does("count-low"));
	kit_works(true);
	assert_false(kit_is_there("keys/state.p256-pin"));
}

static void token_that_fails_later_ends_the_signer(void **state)
{
	static const struct {
		const char *does, *why;
	} rows[] = { { "gone", "does not sign" }, { "garbage", "does not verify" }, { "truncated", "63 bytes" }, { "hang-sign", "does not answer in time" } };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct timespec from, to;
		pid_t helper;
		NOTE(note);

		kit_shell("rm -f %s/when", kit.dir);
		kit_put("keys/p256.uri", 0400, kit_fake_later(rows[i].does));
		kit_works(i == 0);
		kit_signs(&kit.client.keys, 2);
		kit_put("when", 0600, "");
		helper = kit_helper();
		clock_gettime(CLOCK_MONOTONIC, &from);
		assert_int_equal(kit_ask(0, kit.client.size + 1, &note), JOURNAL_SIGNER_GONE);
		clock_gettime(CLOCK_MONOTONIC, &to);
		if (!strstr(kit.client.why, rows[i].why))
			fail_msg("%s: %s", rows[i].does, kit.client.why);
		assert_true(to.tv_sec - from.tv_sec <= 12);
		assert_int_equal(kit_lines_of(writer_done(&note)), 0);
		kit_ends_with(1);
		/* One that hangs sees no end of a socket. */
		for (unsigned k = 0; k < 500 && kill(helper, 0) == 0; k++)
			usleep(10000);
		assert_int_not_equal(kill(helper, 0), 0);
	}
}

static void token_that_never_answers_fails_in_time(void **state)
{
	struct timespec from, to;

	kit_put("keys/p256.uri", 0400, kit_fake_does("hang-open"));
	clock_gettime(CLOCK_MONOTONIC, &from);
	kit_fails_with(true, "does not answer in time");
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(to.tv_sec - from.tv_sec <= 15);
}

/* The other key, programs, other processes: not for a module. And its opposite: what it needs it has. */
static void module_is_confined(void **state)
{
	kit_put("keys/p256.uri", 0400, kit_fake_does("peek"));
	kit_works(true);
	kit_signs(&kit.client.keys, 2);
	kit_ends_with(0);
	kit_put("keys/p256.uri", 0400, kit_fake_does("bare-point"));
	kit_works(false);
	kit_signs(&kit.client.keys, 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(faults_at_the_start_are_said, kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(wrong_pin_is_tried_once, kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(tries_without_an_end_are_two, kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(token_that_fails_later_ends_the_signer, kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(token_that_never_answers_fails_in_time, kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(module_is_confined, kit_setup, kit_teardown),
	};

	if (!kit_arguments(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("signer_token_fault", tests, NULL, NULL);
}
