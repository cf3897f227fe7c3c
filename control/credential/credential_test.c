/* credential_test.c: which files are taken, and what is in memory afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/credential/credential.h"
#include "control/credential/vault.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define LOCKED "" /* the sanitizer turns mlock off */
#else
#define LOCKED " lo"
#endif
#define GOOD "user app\npassword s3cret with spaces \n"

static char dir[64], path[128], why[256];

static void put(const char *content, size_t len, mode_t mode)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0 && write(fd, content, len) == (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static struct credential *load(void)
{
	return credential_load(path, why, sizeof(why));
}

static bool taken(void)
{
	struct credential *c = load();

	credential_drop(c);
	assert_true(c || why[0]);
	assert_null(strstr(why, "s3cret"));
	return c != NULL;
}

static void modes(void **state)
{
	static const struct {
		mode_t mode;
		bool taken;
	} rows[] = {
		{ 0400, true }, { 0600, true }, { 0700, true }, { 0440, true }, /* root:root, as systemd's access list shows */
		{ 0460, false }, { 0420, false }, { 0450, false }, { 0404, false }, { 0402, false }, { 0401, false }, { 0444, false }, { 0644, false }, { 0666, false },
	};
	bool root = geteuid() == 0 && getegid() == 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put(GOOD, strlen(GOOD), rows[i].mode);
		if (taken() != (rows[i].taken && (root || rows[i].mode != 0440)))
			fail_msg("mode %o", rows[i].mode);
	}
	if (!root)
		return;
	put(GOOD, strlen(GOOD), 0440);
	assert_int_equal(chown(path, 0, 12345), 0);
	assert_int_equal(chmod(path, 0440), 0);
	assert_false(taken()); /* a real group */
	assert_int_equal(chmod(path, 0400), 0);
	assert_true(taken());
	assert_int_equal(chown(path, 12345, 0), 0);
	assert_false(taken());
}

static void kinds(void **state)
{
	static char large[CREDENTIAL_FILE_BYTES + 1];
	char other[140];

	put("", 0, 0400);
	assert_false(taken());
	put(large, sizeof(large) - 1, 0400);
	assert_true(taken());
	put(large, sizeof(large), 0400);
	assert_false(taken());
	unlink(path);
	assert_false(taken());
	snprintf(other, sizeof(other), "%s/other", dir);
	put(GOOD, strlen(GOOD), 0400);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_false(taken());
	assert_non_null(strstr(why, "symbolic link"));
	unlink(path);
	unlink(other);
	assert_int_equal(mkfifo(path, 0400), 0);
	assert_false(taken()); /* and does not wait for a writer */
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_false(taken());
	rmdir(path);
}

static void names(void **state)
{
	static const char *const bad[] = { "", ".", "..", ".hidden", "../login", "a/b", "/login" };
	struct credential *c;

	put(GOOD, strlen(GOOD), 0400);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(credential_load_from(dir, bad[i], why, sizeof(why)));
	c = credential_load_from(dir, "login", why, sizeof(why));
	assert_non_null(c);
	credential_drop(c);
	assert_null(credential_load_from("/nonexistent", "login", why, sizeof(why)));
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_null(credential_load("login", why, sizeof(why)));
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	c = credential_load("login", why, sizeof(why));
	assert_non_null(c);
	credential_drop(c);
	assert_null(credential_load("../login", why, sizeof(why)));
	setenv("CREDENTIALS_DIRECTORY", "relative", 1);
	assert_null(credential_load("login", why, sizeof(why)));
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void login_files(void **state)
{
	static const struct {
		const char *text, *user, *password; /* NULL: refused */
	} rows[] = {
		{ GOOD, "app", "s3cret with spaces " },
		{ "password p\nuser u", "u", "p" },
		{ "# comment\n\nuser u\n\npassword p\n", "u", "p" },
		{ "user u\npassword  p\n", "u", " p" },
		{ "user u\npassword p#q\n", "u", "p#q" },
		{ "user u\npassword p\r\n", "u", "p\r" },
		{ "user u\n", NULL, NULL },
		{ "password p\n", NULL, NULL },
		{ "user \npassword p\n", NULL, NULL },
		{ "user u\npassword \n", NULL, NULL },
		{ "user u\nuser v\npassword p\n", NULL, NULL },
		{ "user u\npassword p\npassword q\n", NULL, NULL },
		{ "user u\npassword p\nhost h\n", NULL, NULL },
		{ "User u\npassword p\n", NULL, NULL },
		{ "user=u\npassword=p\n", NULL, NULL },
		{ "secret\n", NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct credential_login login;
		struct credential *c;
		bool good;

		put(rows[i].text, strlen(rows[i].text), 0400);
		c = load();
		assert_non_null(c);
		good = credential_login_of(c, &login, why, sizeof(why));
		if (good != (rows[i].user != NULL))
			fail_msg("row %zu: %s", i, why);
		if (good)
			assert_true(bytes_equal(login.user, bytes_str(rows[i].user)) && bytes_equal(login.password, bytes_str(rows[i].password)));
		else
			assert_true(why[0] && !login.user.base && !login.password.base);
		credential_drop(c);
	}
	struct credential_login login;
	struct credential *c;

	put("user u\0v\npassword p\n", 20, 0400);
	c = load();
	assert_false(credential_login_of(c, &login, why, sizeof(why)));
	credential_drop(c);
}

/* The flags of a mapping, from /proc/self/smaps: "lo" locked, "dd" not dumped, "wf" wiped on fork. */
static bool has_flags(const void *at)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool here = false, good = false;

	while (f && fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (unsigned long)at >= from && (unsigned long)at < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			good = strstr(line, " dd") && strstr(line, " wf") && strstr(line, LOCKED);
	}
	if (f)
		fclose(f);
	return good;
}

static void memory(void **state)
{
	struct credential *c;

	put(GOOD, strlen(GOOD), 0400);
	c = load();
	assert_true(bytes_equal(credential_bytes(c), bytes_str(GOOD)));
	assert_true(has_flags(credential_bytes(c).base));
	credential_drop(c);
	credential_drop(NULL);
}

static int open_all(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/sluice-credential-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/login", dir);
	return 0;
}

static int close_all(void **state)
{
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes), cmocka_unit_test(kinds), cmocka_unit_test(names), cmocka_unit_test(login_files), cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests_name("credential", tests, open_all, close_all);
}
