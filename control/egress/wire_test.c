/* wire_test.c: frames and URLs, at their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/egress/url.h"
#include "control/egress/wire.h"

static uint8_t frame[EGRESS_FRAME_DONE_BYTES + 64];

static void urls(void **state)
{
	static const struct {
		const char *text, *host; /* NULL: refused */
		uint16_t port;
		const char *path;
	} rows[] = {
		{ "https://a", "a", 443, "" },
		{ "https://a/", "a", 443, "/" },
		{ "https://a.example:8443/x/y?z=1&w=%20", "a.example", 8443, "/x/y?z=1&w=%20" },
		{ "https://a?x", "a", 443, "?x" },
		{ "https://192.0.2.1/", "192.0.2.1", 443, "/" },
		{ "https://[2001:db8::1]:1/", "2001:db8::1", 1, "/" },
		{ "https://a:65535", "a", 65535, "" },
		{ "http://a/", NULL, 0, NULL },
		{ "HTTPS://a/", NULL, 0, NULL },
		{ "ftp://a/", NULL, 0, NULL },
		{ "//a/", NULL, 0, NULL },
		{ "https:/a/", NULL, 0, NULL },
		{ "https://", NULL, 0, NULL },
		{ "https:///x", NULL, 0, NULL },
		{ "https://u@a/", NULL, 0, NULL },
		{ "https://u:p@a/", NULL, 0, NULL },
		{ "https://a:0/", NULL, 0, NULL },
		{ "https://a:65536/", NULL, 0, NULL },
		{ "https://a:99999999999/", NULL, 0, NULL },
		{ "https://a:/", NULL, 0, NULL },
		{ "https://a:+1/", NULL, 0, NULL },
		{ "https://a:1a/", NULL, 0, NULL },
		{ "https://a/#f", NULL, 0, NULL },
		{ "https://a#f", NULL, 0, NULL },
		{ "https://a\\b/", NULL, 0, NULL },
		{ "https://a/\\b", NULL, 0, NULL },
		{ "https://a b/", NULL, 0, NULL },
		{ "https://a/ b", NULL, 0, NULL },
		{ "https://a/\tb", NULL, 0, NULL },
		{ "https://a/\r\nHost: b", NULL, 0, NULL },
		{ "https://a/\x7f", NULL, 0, NULL },
		{ "https://a/\xc3\xa9", NULL, 0, NULL },
		{ "https://\xc3\xa9.example/", NULL, 0, NULL },
		{ "https://a..b/", NULL, 0, NULL },
		{ "https://.a/", NULL, 0, NULL },
		{ "https://a./", NULL, 0, NULL },
		{ "https://a_b/", NULL, 0, NULL },
		{ "https://a%2eb/", NULL, 0, NULL },
		{ "https://[::1/", NULL, 0, NULL },
		{ "https://[]/", NULL, 0, NULL },
		{ "https://[::1%25eth0]/", NULL, 0, NULL },
		{ "https://[::1]x/", NULL, 0, NULL },
		{ "https://a/{b}", NULL, 0, NULL },
		{ " https://a/", NULL, 0, NULL },
		{ "", NULL, 0, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct egress_url url;
		bool good = egress_url_parse(bytes_str(rows[i].text), &url);

		if (good != (rows[i].host != NULL))
			fail_msg("%s: %d", rows[i].text, good);
		if (good)
			assert_true(bytes_equal(url.host, bytes_str(rows[i].host)) && url.port == rows[i].port && bytes_equal(url.path, bytes_str(rows[i].path)));
		else
			assert_true(url.host.base == NULL && url.port == 0);
	}
	struct egress_url url;

	assert_false(egress_url_parse(bytes_of("https://a\0b/", 12), &url));
}

static void origins(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ "https://a.example/x", "https://A.EXAMPLE:443/y", true }, { "https://a.example/", "https://a.example:8443/", false },
		{ "https://a.example/", "https://b.a.example/", false },    { "https://a.example/", "https://a.example.evil/", false },
		{ "https://[::1]/", "https://[::1]/", true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct egress_url a, b;

		assert_true(egress_url_parse(bytes_str(rows[i].a), &a) && egress_url_parse(bytes_str(rows[i].b), &b));
		assert_int_equal(egress_url_same_origin(&a, &b), rows[i].same);
	}
}

static struct egress_request good_get(void)
{
	return (struct egress_request){ .type = EGRESS_GET, .id = 7, .timeout_ms = 5000, .bytes_max = LIMIT_FETCH_BYTES, .url = bytes_str("https://a/"), .ca = bytes_str("a.pem") };
}

static enum parse_status parse_get(const struct egress_request *get)
{
	struct writer w = writer_of(frame, sizeof(frame));
	struct egress_request out;
	size_t len;
	enum parse_status status;

	egress_put_request(&w, get);
	status = egress_parse_request(writer_done(&w), &out, &len);
	if (status == PARSE_OK)
		assert_true(len == w.len && out.id == get->id && out.timeout_ms == get->timeout_ms && bytes_equal(out.url, get->url) && bytes_equal(out.ca, get->ca));
	return status;
}

static void get_limits(void **state)
{
	static char url[EGRESS_URL_BYTES + 2], ca[EGRESS_CA_BYTES + 2];
	struct egress_request g = good_get();

	memset(url, 'u', sizeof(url));
	memset(ca, 'c', sizeof(ca));
	assert_int_equal(parse_get(&g), PARSE_OK);
	g.url = bytes_of(url, EGRESS_URL_BYTES);
	g.ca = bytes_of(ca, EGRESS_CA_BYTES);
	assert_int_equal(parse_get(&g), PARSE_OK); /* the longest frame */
	g.url = bytes_of(url, EGRESS_URL_BYTES + 1);
	assert_int_equal(parse_get(&g), PARSE_BAD);
	g = good_get();
	g.ca = bytes_of(ca, EGRESS_CA_BYTES + 1);
	assert_int_equal(parse_get(&g), PARSE_BAD);
	g.ca = bytes_str("../a");
	assert_int_equal(parse_get(&g), PARSE_BAD);
	g = good_get();
	g.url = bytes_of("a\0b", 3);
	assert_int_equal(parse_get(&g), PARSE_BAD);
	g.url = (struct bytes){ 0 };
	assert_int_equal(parse_get(&g), PARSE_BAD);
	g = good_get();
	g.timeout_ms = 5001;
	assert_int_equal(parse_get(&g), PARSE_BAD);
	g.timeout_ms = 0;
	assert_int_equal(parse_get(&g), PARSE_BAD);
	g = good_get();
	g.bytes_max = LIMIT_FETCH_BYTES + 1;
	assert_int_equal(parse_get(&g), PARSE_BAD);
	g.bytes_max = 0;
	assert_int_equal(parse_get(&g), PARSE_BAD);
}

static void post_limits(void **state)
{
	static uint8_t data[EGRESS_DATA_BYTES + 1];
	static const enum egress_type types[] = { EGRESS_TIMESTAMP, EGRESS_WITNESS };
	struct egress_request g = good_get(), out;
	struct writer w = writer_of(frame, sizeof(frame));
	size_t len;

	for (size_t i = 0; i < 2; i++) {
		g.type = types[i];
		g.data = bytes_of(data, EGRESS_DATA_BYTES);
		assert_int_equal(parse_get(&g), PARSE_OK);
		g.data.len = 1;
		assert_int_equal(parse_get(&g), PARSE_OK);
		g.data.len = 0;
		assert_int_equal(parse_get(&g), PARSE_BAD);
		g.data.len = EGRESS_DATA_BYTES + 1;
		assert_int_equal(parse_get(&g), PARSE_BAD);
	}
	/* A GET carries nothing, and an answer is no request. */
	g.data.len = 3;
	egress_put_request(&w, &g);
	frame[4] = EGRESS_GET;
	assert_int_equal(egress_parse_request(writer_done(&w), &out, &len), PARSE_BAD);
	frame[4] = EGRESS_DONE;
	assert_int_equal(egress_parse_request(writer_done(&w), &out, &len), PARSE_BAD);
	frame[4] = 0xff;
	assert_int_equal(egress_parse_request(writer_done(&w), &out, &len), PARSE_BAD);
	frame[4] = EGRESS_WITNESS;
	assert_int_equal(egress_parse_request(writer_done(&w), &out, &len), PARSE_OK);
	assert_true(out.type == EGRESS_WITNESS && out.data.len == 3);
	assert_true(egress_url_ok(EGRESS_TIMESTAMP, bytes_str("http://a/")) && egress_url_ok(EGRESS_TIMESTAMP, bytes_str("https://a/")));
	assert_false(egress_url_ok(EGRESS_GET, bytes_str("http://a/")) || egress_url_ok(EGRESS_WITNESS, bytes_str("http://a/")));
	assert_false(egress_url_ok(EGRESS_TIMESTAMP, bytes_str("http://u@a/")) || egress_url_ok(EGRESS_TIMESTAMP, bytes_str("ftp://a/")));
}

/* Every prefix of a frame wants more; every length but its own is refused. */
static void framing(void **state)
{
	struct writer w = writer_of(frame, sizeof(frame));
	struct egress_request get = good_get(), out;
	size_t len;

	egress_put_request(&w, &get);
	for (size_t n = 0; n < w.len; n++)
		assert_int_equal(egress_parse_request(bytes_of(frame, n), &out, &len), PARSE_MORE);
	for (size_t length = 0; length < 64; length++) {
		if (length == w.len - 4)
			continue;
		frame[3] = (uint8_t)length;
		assert_int_equal(egress_parse_request(bytes_of(frame, 4 + 64), &out, &len), PARSE_BAD);
	}
}

static void done_limits(void **state)
{
	static uint8_t body[LIMIT_FETCH_BYTES + 1];
	struct egress_done d = { .id = 1, .result = EGRESS_ok, .http_status = 200, .content_type = bytes_str("x"), .body = bytes_of(body, LIMIT_FETCH_BYTES) }, out;
	struct writer w = writer_of(frame, sizeof(frame));
	size_t len;

	egress_put_done(&w, &d);
	assert_int_equal(egress_parse_done(writer_done(&w), &out, &len), PARSE_OK);
	assert_int_equal(out.body.len, LIMIT_FETCH_BYTES);
	d.body.len++;
	w = writer_of(frame, sizeof(frame));
	egress_put_done(&w, &d);
	assert_int_equal(egress_parse_done(writer_done(&w), &out, &len), PARSE_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls), cmocka_unit_test(origins), cmocka_unit_test(get_limits), cmocka_unit_test(post_limits), cmocka_unit_test(framing), cmocka_unit_test(done_limits),
	};

	return cmocka_run_group_tests_name("egress_wire", tests, NULL, NULL);
}
