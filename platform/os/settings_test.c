/* settings_test.c: sluice.conf is read whole or refused with the line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/os/settings.h"

static char why[2048];

static struct settings *read_text(const char *text)
{
	char path[] = "/tmp/sluice-settings.XXXXXX";
	struct settings *s;
	int fd = mkstemp(path);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	s = settings_open(path, why, sizeof(why));
	unlink(path);
	return s;
}

static void what_is_left_out_has_a_default(void **state)
{
	struct settings *s = read_text("policy = \"/etc/sluice/policy.cfg\";\n");

	assert_non_null(s);
	assert_string_equal(s->run_dir, "/run/sluice");
	assert_string_equal(s->origin, "sluice.local/journal/a");
	assert_int_equal(s->quorum_alarm_s, 900);
	assert_int_equal(s->workers, 1);
	assert_null(s->users.control);
	assert_null(s->dataplane.port[0]);
	settings_close(s);
}

static void everything_is_read(void **state)
{
	struct settings *s = read_text("node = \"edge-7\"; origin = \"x.example/j\"; run_dir = \"/tmp/r\"; state_dir = \"/tmp/s\";\n"
				       "policy = \"/p\"; credentials = \"/c\"; egress_ca = \"/e\"; libexec = \"/l\"; workers = 4;\n"
				       "users : { group = \"g\"; control = \"a\"; dataplane = \"b\"; signer = \"c\"; egress = \"d\"; sqlparse = \"e\"; };\n"
				       "upstream = ( { service = \"db\"; roots = \"/ca.pem\"; } );\n"
				       "streams = ( { name = \"siem\"; host = \"h\"; form = \"cef\"; ca = \"/a\"; certificate = \"/b\"; key = \"/k\"; } );\n"
				       "dataplane : { ports = [ \"net_null0\", \"net_null1\" ]; eal = [ \"--no-huge\", \"-m\", \"64\" ]; idle = \"poll\";\n"
				       "  lcores = \"1\"; flows = \"64k\"; memory = \"1Gi\"; unnamed_port = \"pass\"; tunnels = \"drop\";\n"
				       "  double_tags = \"drop\"; splice = \"off\"; };\n"
				       "timestamp : { url = \"http://tsa.example/\"; roots = \"/tsa.pem\"; };\n"
				       "witness = ( { url = \"https://w.example/\"; key = \"w+0+0\"; ca = \"w.pem\"; } ); quorum_alarm = \"2m\";\n");

	assert_non_null(s);
	assert_string_equal(s->node, "edge-7");
	assert_int_equal(s->workers, 4);
	assert_string_equal(s->users.sqlparse, "e");
	assert_int_equal(s->upstream_count, 1);
	assert_string_equal(s->upstream[0].roots, "/ca.pem");
	assert_int_equal(s->stream_count, 1);
	assert_string_equal(s->stream[0].name, "siem");
	assert_int_equal(s->stream[0].port, 6514);
	assert_int_equal(s->stream[0].form, SETTINGS_STREAM_CEF);
	assert_string_equal(s->stream[0].schema, "1.8.0");
	assert_true(s->stream[0].prune_waits);
	assert_string_equal(s->dataplane.port[1], "net_null1");
	assert_int_equal(s->dataplane.eal_count, 3);
	assert_int_equal(s->dataplane.idle, SETTINGS_IDLE_POLL);
	assert_int_equal(s->dataplane.flows, 64000);
	assert_int_equal(s->dataplane.memory_bytes, 1u << 30);
	assert_int_equal(s->dataplane.tunnels, SETTINGS_TUNNELS_DROP);
	assert_int_equal(s->dataplane.double_tags, SETTINGS_DOUBLE_TAGS_DROP);
	assert_false(s->dataplane.splice);
	assert_true(s->dataplane.standby);
	assert_string_equal(s->timestamp.url, "http://tsa.example/");
	assert_string_equal(s->timestamp.roots, "/tsa.pem");
	assert_string_equal(s->timestamp.ca, "");
	assert_int_equal(s->witnesses, 1);
	assert_string_equal(s->witness[0].key, "w+0+0");
	assert_int_equal(s->quorum_alarm_s, 120);
	settings_close(s);
}

static void the_example_is_right(void **state)
{
	struct settings *s = settings_open(SETTINGS_EXAMPLE, why, sizeof(why));

	if (!s)
		fail_msg("%s", why);
	assert_true(s->users.group && s->users.control && s->users.dataplane && s->users.signer && s->users.egress && s->users.sqlparse && s->users.export);
	assert_non_null(s->dataplane.port[1]);
	settings_close(s);
}

static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";

static bool names(const char *manual, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = manual; (at = strstr(at, word)) != NULL; at += len)
		if (at > manual && !strchr(letters, at[-1]) && !strchr(letters, at[len]))
			return true;
	return false;
}

static size_t file_read(const char *path, char *into, size_t cap)
{
	FILE *f = fopen(path, "re");
	size_t len = f ? fread(into, 1, cap - 1, f) : 0;

	if (f)
		fclose(f);
	return len;
}

/* Each word that the reader asks the file for, or takes for a value, stands in sluice.conf(5). */
static void the_manual_names_every_setting(void **state)
{
	static char source[65536], manual[65536];
	unsigned words = 0;

	assert_true(file_read(SETTINGS_SOURCE, source, sizeof(source)) > 0 && file_read(SETTINGS_MANUAL, manual, sizeof(manual)) > 0);
	for (const char *at = source; (at = strstr(at, ", \"")) != NULL; at += 3) {
		size_t len = strspn(at + 3, letters);
		char word[64];

		if (len == 0 || len >= sizeof(word) || strncmp(at + 3 + len, "\", ", 3) != 0)
			continue;
		snprintf(word, sizeof(word), "%.*s", (int)len, at + 3);
		words++;
		if (!names(manual, word))
			fail_msg("sluice.conf(5) does not name %s", word);
	}
	assert_true(words > 40);
}

static void a_wrong_file_is_refused_with_its_line(void **state)
{
	assert_null(read_text("policy = \"/p\";\nworker = 3;\n"));
	assert_non_null(strstr(why, ":2:"));
	assert_null(read_text("policy = \"/p\"; streams = ( { name = \"../x\"; host = \"h\"; ca = \"/a\"; certificate = \"/b\"; key = \"/k\"; } );\n"));
	assert_non_null(strstr(why, "small letters"));
	assert_null(read_text("policy = \"/p\"; streams = ( { name = \"x\"; host = \"h\"; ca = \"/a\"; certificate = \"/b\"; key = \"k\"; } );\n"));
	assert_non_null(strstr(why, "key: not an absolute"));
	assert_null(read_text("policy = \"relative\";\n"));
	assert_non_null(strstr(why, "absolute"));
	assert_null(read_text("policy = \"/p\"; workers = 17;\n"));
	assert_null(read_text("policy = \"/p\"; node = \"a b\";\n"));
	assert_null(read_text("policy = \"/p\"; dataplane : { ports = [ \"one\" ]; };\n"));
	assert_null(read_text("policy = \"/p\"; timestamp : { url = \"ftp://a/\"; roots = \"/r\"; };\n"));
	assert_null(read_text("policy = \"/p\"; timestamp : { url = \"https://a/\"; };\n"));
	assert_null(read_text("policy = \"/p\"; witness = ( { url = \"http://a/\"; key = \"k\"; } );\n"));
	assert_null(read_text("run_dir = \"/r\";\n"));
	assert_null(settings_open("/nonexistent/sluice.conf", why, sizeof(why)));
	assert_true(why[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_out_has_a_default),
		cmocka_unit_test(everything_is_read),
		cmocka_unit_test(the_example_is_right),
		cmocka_unit_test(the_manual_names_every_setting),
		cmocka_unit_test(a_wrong_file_is_refused_with_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
