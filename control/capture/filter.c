#include "control/capture/filter.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define WORD_BYTES 64u

struct parse {
	const char *text, *at;
	char word[WORD_BYTES];
	size_t place;    /* of the word, from 1 */
	unsigned said;   /* a bit for each field */
	struct capture_request *r;
	char *err;
};

struct field {
	const char *word;
	bool (*read)(struct parse *p, const struct field *f);
	size_t at;       /* within the request */
	uint8_t protocol;
	unsigned bit;    /* the same for fields that exclude one another */
};

static bool fail(struct parse *p, const char *why)
{
	snprintf(p->err, CAPTURE_FILTER_ERROR_BYTES, "position %zu: %s", p->place, why);
	return false;
}

/* The next word; false at the end, and for one that is too long to be any (`word` is then not empty). */
static bool next(struct parse *p)
{
	size_t len;

	p->at += strspn(p->at, " ");
	len = strcspn(p->at, " ");
	p->place = (size_t)(p->at - p->text) + 1;
	snprintf(p->word, sizeof p->word, "%.*s", (int)(len < WORD_BYTES ? len : WORD_BYTES - 1), p->at);
	p->at += len;
	return len > 0 && len < WORD_BYTES;
}

static bool number(const char *text, unsigned max, unsigned *out)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 5 || text[digits])
		return false;
	*out = 0;
	for (; *text; text++)
		*out = *out * 10 + (unsigned)(*text - '0');
	return *out <= max;
}

static bool read_port(struct parse *p, const struct field *f)
{
	uint16_t *port = (uint16_t *)(void *)((uint8_t *)p->r + f->at);
	unsigned n;

	if (!next(p) || !number(p->word, 65535, &n) || n == 0)
		return fail(p, "not a port: 1 to 65535");
	*port = (uint16_t)n;
	return true;
}

static bool read_vlan(struct parse *p, const struct field *f)
{
	unsigned n;

	if (!next(p) || !number(p->word, 4095, &n))
		return fail(p, "not a VLAN: 0 to 4095");
	p->r->vlan = (uint16_t)n;
	return true;
}

static bool read_protocol(struct parse *p, const struct field *f)
{
	p->r->protocol = f->protocol;
	return true;
}

static bool bits_beyond(const struct capture_place *w)
{
	unsigned bits = w->family == 4 ? 32 : 128;

	for (unsigned i = w->prefix; i < bits; i++)
		if (w->address[i / 8] & (0x80 >> i % 8))
			return true;
	return false;
}

static bool read_address(struct parse *p, const struct field *f)
{
	struct capture_place *w = (struct capture_place *)(void *)((uint8_t *)p->r + f->at);
	char *slash;
	unsigned bits;

	if (!next(p))
		return fail(p, "an address is missing");
	slash = strchr(p->word, '/');
	if (slash)
		*slash++ = 0;
	if (inet_pton(AF_INET, p->word, w->address) == 1)
		w->family = 4;
	else if (inet_pton(AF_INET6, p->word, w->address) == 1)
		w->family = 6;
	else
		return fail(p, "not an address");
	bits = w->family == 4 ? 32 : 128;
	if (slash && !number(slash, bits, &bits))
		return fail(p, "not a prefix length");
	w->prefix = (uint8_t)bits;
	return !bits_beyond(w) || fail(p, "the address has bits beyond its prefix");
}

static const struct field fields[] = {
	{ "client", read_address, offsetof(struct capture_request, client), 0, 1 },
	{ "target", read_address, offsetof(struct capture_request, target), 0, 2 },
	{ "host", read_address, offsetof(struct capture_request, host), 0, 4 },
	{ "client-port", read_port, offsetof(struct capture_request, client.port), 0, 8 },
	{ "target-port", read_port, offsetof(struct capture_request, target.port), 0, 16 },
	{ "port", read_port, offsetof(struct capture_request, port), 0, 32 },
	{ "vlan", read_vlan, 0, 0, 64 },
	{ "icmp", read_protocol, 0, 1, 128 },
	{ "tcp", read_protocol, 0, 6, 128 },
	{ "udp", read_protocol, 0, 17, 128 },
};

static bool read_field(struct parse *p)
{
	for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++) {
		const struct field *f = &fields[i];

		if (strcmp(f->word, p->word) != 0)
			continue;
		if (p->said & f->bit)
			return fail(p, f->read == read_protocol ? "the protocol is said twice" : "said twice");
		p->said |= f->bit;
		return f->read(p, f);
	}
	return fail(p, "not a field: client, target, host, client-port, target-port, port, vlan, tcp, udp, icmp");
}

struct capture_request capture_filter_none(void)
{
	return (struct capture_request){ .vlan = CAPTURE_ANY_VLAN, .client.vlan = CAPTURE_ANY_VLAN, .target.vlan = CAPTURE_ANY_VLAN, .host.vlan = CAPTURE_ANY_VLAN };
}

bool capture_filter_parse(const char *text, struct capture_request *r, char err[CAPTURE_FILTER_ERROR_BYTES])
{
	struct parse p = { .text = text, .at = text, .r = r, .err = err };
	bool more;

	if (strlen(text) > CAPTURE_FILTER_BYTES_MAX)
		return fail(&p, "the filter is too long");
	for (more = next(&p); more; more = next(&p)) {
		if (p.said && strcmp(p.word, "and") == 0 && !next(&p))
			return fail(&p, "a field is missing behind `and`");
		if (!read_field(&p))
			return false;
	}
	return !p.word[0] || fail(&p, "not a field: too long");
}
