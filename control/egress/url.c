/* url.c: see url.h. One pass with a reader; the host is judged by an alphabet, so no two parsers can differ on it. */
#include "control/egress/url.h"

#include <strings.h>

static bool is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 3986 3.3, 3.4: pchar, '/', '?', with every byte of it visible ASCII and none that parsers disagree about. */
static bool path_ok(struct bytes path)
{
	for (size_t i = 0; i < path.len; i++) {
		uint8_t c = path.base[i];

		if (c <= 0x20 || c >= 0x7f || c == '\\' || c == '#' || c == '"' || c == '<' || c == '>' || c == '^' || c == '`' || c == '{' || c == '|' || c == '}')
			return false;
	}
	return true;
}

static bool host_ok(struct bytes host)
{
	bool dot_before = true;

	if (host.len == 0 || host.len > 253)
		return false;
	for (size_t i = 0; i < host.len; i++) {
		uint8_t c = host.base[i];

		if (!is_alnum(c) && c != '-' && c != '.')
			return false;
		if (c == '.' && dot_before)
			return false;
		dot_before = c == '.';
	}
	return !dot_before;
}

static bool literal_ok(struct bytes inside)
{
	if (inside.len < 2 || inside.len > 45)
		return false;
	for (size_t i = 0; i < inside.len; i++) {
		uint8_t c = inside.base[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F') && c != ':' && c != '.')
			return false;
	}
	return true;
}

/* The bytes up to the first of `stops`, which stays. */
static struct bytes until(struct reader *r, const char *stops)
{
	size_t n = 0;

	while (n < r->left && !strchr(stops, r->at[n] ? r->at[n] : 1))
		n++;
	return reader_bytes(r, n);
}

static bool read_port(struct reader *r, uint16_t *port)
{
	struct bytes digits = until(r, "/?");
	uint32_t value = 0;

	if (digits.len == 0 || digits.len > 5)
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.base[i] < '0' || digits.base[i] > '9')
			return false;
		value = value * 10 + (digits.base[i] - '0');
	}
	*port = (uint16_t)value;
	return value > 0 && value <= 65535;
}

static bool parse(struct bytes text, const char *scheme, uint16_t port, struct egress_url *out)
{
	struct reader r = reader_of_bytes(text);

	out->port = port;
	if (!bytes_equal(reader_bytes(&r, strlen(scheme)), bytes_str(scheme)))
		return false;
	if (r.left && r.at[0] == '[') {
		reader_skip(&r, 1);
		out->host = until(&r, "]/?");
		if (reader_u8(&r) != ']' || !literal_ok(out->host))
			return false;
	} else {
		out->host = until(&r, ":/?");
		if (!host_ok(out->host))
			return false;
	}
	if (r.left && r.at[0] == ':') {
		reader_skip(&r, 1);
		if (!read_port(&r, &out->port))
			return false;
	}
	if (r.left && r.at[0] != '/' && r.at[0] != '?')
		return false;
	out->path = reader_rest(&r);
	return r.ok && path_ok(out->path);
}

bool egress_url_parse(struct bytes text, struct egress_url *out)
{
	*out = (struct egress_url){ 0 };
	if (text.len && parse(text, "https://", 443, out))
		return true;
	*out = (struct egress_url){ 0 };
	return false;
}

bool egress_url_parse_plain(struct bytes text, struct egress_url *out)
{
	*out = (struct egress_url){ 0 };
	if (text.len && parse(text, "http://", 80, out))
		return true;
	*out = (struct egress_url){ 0 };
	return false;
}

bool egress_url_same_origin(const struct egress_url *a, const struct egress_url *b)
{
	return a->port == b->port && a->host.len == b->host.len && a->host.len > 0 &&
	       strncasecmp((const char *)a->host.base, (const char *)b->host.base, a->host.len) == 0;
}
