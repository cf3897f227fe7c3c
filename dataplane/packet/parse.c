/* parse.c: frame to headers to segment.
 *
 * Each layer gets a reader bounded to what the layer above said its length is. What is behind the IP packet in the frame
 * is padding and is cut off; an IP length that is larger than the frame is an error, never a read.
 */
#include <endian.h>
#include <string.h>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet.h"

enum {
	ETHER_VLAN = 0x8100,
	ETHER_QINQ = 0x88a8,
	ETHER_IP4 = 0x0800,
	ETHER_IP6 = 0x86dd,
};

/* Next-header numbers that are extension headers (RFC 8200 4.1, RFC 4302, RFC 6275). */
enum {
	NEXT_HOP_BY_HOP = 0,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AUTHENTICATION = 51,
	NEXT_DESTINATION = 60,
	NEXT_MOBILITY = 135,
};

enum {
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_LOOSE_ROUTE = 131,
	OPTION_STRICT_ROUTE = 137,
};

static uint16_t offset_of(const struct packet *p, const struct reader *r)
{
	return (uint16_t)(r->at - p->frame.base);
}

/* Stored in the two halves in which it is compared and hashed soon: a load that spans two stores waits for both. */
static void address_ip4(struct reader *r, struct packet_address *out)
{
	struct bytes b = reader_bytes(r, 4);
	uint64_t half[2] = { 0, 0 };
	uint32_t address = 0;

	if (b.len)
		memcpy(&address, b.base, sizeof(address));
	half[0] = htole64(le32toh(address));
	memcpy(out->byte, &half[0], 8);
	memcpy(out->byte + 8, &half[1], 8);
}

static void address_ip6(struct reader *r, struct packet_address *out)
{
	struct bytes b = reader_bytes(r, sizeof(out->byte));

	if (b.len) {
		memcpy(out->byte, b.base, 8);
		memcpy(out->byte + 8, b.base + 8, 8);
	}
}

static void parse_ports(struct reader *r, struct packet *p)
{
	struct bytes ports;

	if (p->protocol != PACKET_TCP && p->protocol != PACKET_UDP)
		return;
	if ((p->fragment && !p->fragment_first) || r->left < 4)
		return;
	ports = reader_bytes(r, 4);
	memcpy(&p->source_port, ports.base, 2);
	memcpy(&p->destination_port, ports.base + 2, 2);
}

/* One list of whole addresses is looked at; a second one, or one that cannot be read, might lead anywhere. */
static void set_route(struct packet *p, const uint8_t *at, size_t len, size_t address_bytes)
{
	p->routed = true;
	if (p->route_bytes != 0 || len == 0 || len % address_bytes != 0 || len > UINT16_MAX) {
		p->route_unclear = true;
		return;
	}
	p->route_offset = (uint16_t)(at - p->frame.base);
	p->route_bytes = (uint16_t)len;
}

/* RFC 791 3.1: a source route names the last destination among its own addresses. */
static void parse_options_ip4(struct packet *p, const uint8_t *at, size_t len)
{
	struct reader r = reader_of(at, len);

	while (r.ok && r.left > 0) {
		uint8_t kind = reader_u8(&r), size;

		if (kind == OPTION_END)
			return;
		if (kind == OPTION_NOP)
			continue;
		size = reader_u8(&r);
		if (kind == OPTION_LOOSE_ROUTE || kind == OPTION_STRICT_ROUTE)
			set_route(p, r.at + 1, size >= 3 && size - 3u < r.left ? size - 3u : 0, 4);
		reader_skip(&r, size < 2 ? SIZE_MAX : size - 2u);
	}
	p->routed |= !r.ok;
}

static enum error parse_ip4(struct reader *r, struct packet *p)
{
	const uint8_t *start = r->at;
	size_t left = r->left;
	uint8_t version_words = reader_u8(r);
	size_t header = (version_words & 0x0f) * 4u;
	uint16_t total, fragment;

	reader_skip(r, 1);
	total = reader_be16(r);
	reader_skip(r, 2);
	fragment = reader_be16(r);
	p->ttl = reader_u8(r);
	p->protocol = reader_u8(r);
	reader_skip(r, 2);
	address_ip4(r, &p->source);
	address_ip4(r, &p->destination);
	if (!r->ok)
		return ERROR_short_frame;
	if (version_words >> 4 != 4 || header < 20 || total < header)
		return ERROR_bad_ip_header;
	if (total > left)
		return ERROR_short_frame;
	*r = reader_of(start + header, total - header);
	p->frame.len = (size_t)(start - p->frame.base) + total;
	p->ip_version = 4;
	p->extensions = header > 20;
	if (header > 20)
		parse_options_ip4(p, start + 20, header - 20);
	p->fragment = (fragment & 0x3fff) != 0; /* more fragments, or an offset */
	p->fragment_offset = (uint16_t)((fragment & 0x1fff) * 8u);
	p->fragment_first = p->fragment && p->fragment_offset == 0;
	return ERROR_none;
}

static bool is_extension(uint8_t next)
{
	return next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_FRAGMENT ||
	       next == NEXT_AUTHENTICATION || next == NEXT_DESTINATION || next == NEXT_MOBILITY;
}

/* RFC 8200 4.4: with segments left it goes on to one of the addresses behind the first eight bytes. Types 0, 2 and 4 (RFC 5095, 6275, 8754)
 * have whole addresses there; of others (type 3 leaves out what addresses have in common, RFC 6554) nobody knows. */
static void note_route(const struct reader *r, struct packet *p, size_t units)
{
	if (r->left < 2 || r->at[1] == 0)
		return;
	set_route(p, r->at + 6, r->left >= units * 8 + 6 ? units * 8 : 0, 8);
	p->route_unclear |= r->at[0] != 0 && r->at[0] != 2 && r->at[0] != 4;
}

static enum error parse_extensions(struct reader *r, struct packet *p)
{
	for (unsigned i = 0; is_extension(p->protocol); i++) {
		uint8_t kind = p->protocol;
		size_t units;

		if (i == PACKET_EXTENSIONS_MAX)
			return ERROR_bad_ip_header;
		p->extensions = true;
		p->protocol = reader_u8(r);
		units = reader_u8(r);
		if (kind == NEXT_FRAGMENT) {
			uint16_t fragment = reader_be16(r);

			reader_skip(r, 4);
			p->fragment = true; /* an atomic fragment (RFC 6946) too: it is not worth a special path */
			p->fragment_offset = fragment & 0xfff8;
			p->fragment_first = p->fragment_offset == 0;
		} else if (kind == NEXT_AUTHENTICATION) {
			p->routed = true;
			reader_skip(r, units * 4 + 6);
		} else if (kind == NEXT_ROUTING) {
			note_route(r, p, units);
			reader_skip(r, units * 8 + 6);
		} else {
			p->routed |= kind == NEXT_MOBILITY;
			reader_skip(r, units * 8 + 6);
		}
		if (!r->ok)
			return ERROR_bad_ip_header;
		if (p->fragment && !p->fragment_first)
			break; /* what follows is the middle of something */
	}
	return ERROR_none;
}

static enum error parse_ip6(struct reader *r, struct packet *p)
{
	const uint8_t *start = r->at;
	uint32_t version_class_flow = reader_be32(r);
	uint16_t payload = reader_be16(r);

	p->protocol = reader_u8(r);
	p->ttl = reader_u8(r);
	address_ip6(r, &p->source);
	address_ip6(r, &p->destination);
	if (!r->ok)
		return ERROR_short_frame;
	if (version_class_flow >> 28 != 6)
		return ERROR_bad_ip_header;
	if (payload > r->left)
		return ERROR_short_frame;
	*r = reader_of(r->at, payload);
	p->frame.len = (size_t)(start - p->frame.base) + 40 + payload;
	p->ip_version = 6;
	return parse_extensions(r, p);
}

static enum error parse_ip(struct reader *r, struct packet *out)
{
	enum error e = out->ether_type == ETHER_IP4 ? parse_ip4(r, out) : parse_ip6(r, out);

	if (e != ERROR_none) {
		out->ip_version = 0;
		return e;
	}
	out->l4_offset = offset_of(out, r);
	parse_ports(r, out);
	return ERROR_none;
}

/* A host takes priority tags (VLAN 0) off in any number (IEEE 802.1Q 6.7.1), so no depth may hide an IP header. */
static enum error parse_tags(struct reader *r, struct packet *p)
{
	for (unsigned depth = 0; p->ether_type == ETHER_VLAN || p->ether_type == ETHER_QINQ; depth++) {
		uint16_t tci = reader_be16(r);

		if (depth == PACKET_TAGS_MAX)
			return ERROR_vlan_deep;
		if (p->vlan_count < PACKET_VLAN_MAX)
			p->vlan_tci[p->vlan_count++] = tci;
		else
			p->vlan_deep = true;
		p->ether_type = reader_be16(r);
	}
	return r->ok ? ERROR_none : ERROR_short_frame;
}

enum error packet_parse(struct bytes frame, struct packet *out)
{
	struct reader r = reader_of_bytes(frame);
	enum error e = ERROR_none;

	*out = (struct packet){ .frame = frame };
	reader_skip(&r, 12);
	out->ether_type = reader_be16(&r);
	e = parse_tags(&r, out);
	if (e != ERROR_none)
		return e;
	out->l3_offset = offset_of(out, &r);
	if (out->ether_type != ETHER_IP4 && out->ether_type != ETHER_IP6)
		return ERROR_none;
	return parse_ip(&r, out);
}

enum error packet_parse_ip(struct bytes ip, struct packet *out)
{
	struct reader r = reader_of_bytes(ip);

	*out = (struct packet){ .frame = ip };
	if (ip.len == 0)
		return ERROR_short_frame;
	out->ether_type = ip.base[0] >> 4 == 6 ? ETHER_IP6 : ETHER_IP4;
	return parse_ip(&r, out);
}

#define HEADERS_BYTES_MAX 256 /* of all tunnels and what they carry that is looked at */

bool packet_fragment_is_far(const struct packet *p)
{
	return p->fragment && p->fragment_offset >= HEADERS_BYTES_MAX;
}

static bool ip_checksum_good(const struct packet *p)
{
	const uint8_t *header = p->frame.base + p->l3_offset;

	return p->ip_version == 6 || packet_sum_fold(packet_sum_words(0, header, header[0] & 0x0f)) == 0xffff;
}

static bool tcp_checksum_good(const struct packet *p)
{
	size_t len = p->frame.len - p->l4_offset;
	unsigned address_words = p->ip_version == 6 ? 4 : 1;
	uint64_t sum = (uint64_t)htobe16((uint16_t)(len >> 16)) + htobe16((uint16_t)len) + htobe16(PACKET_TCP);

	sum = packet_sum_words(sum, p->source.byte, address_words);
	sum = packet_sum_words(sum, p->destination.byte, address_words);
	return packet_sum_fold(packet_sum(sum, p->frame.base + p->l4_offset, len)) == 0xffff;
}

enum error packet_segment(const struct packet *p, enum packet_checksum checksum, struct tcp_segment *out)
{
	struct reader r = reader_of(p->frame.base + p->l4_offset, p->frame.len - p->l4_offset);
	struct bytes options, payload;
	size_t header;

	if (p->vlan_deep) /* no template holds its tags */
		return ERROR_vlan_deep;
	if (p->ip_version == 0 || p->protocol != PACKET_TCP || p->fragment || p->l4_offset > p->frame.len)
		return ERROR_bad_tcp_header;
	reader_skip(&r, 4);
	out->seq = reader_be32(&r);
	out->ack = reader_be32(&r);
	header = (reader_u8(&r) >> 4) * 4u;
	out->flags = reader_u8(&r);
	out->window = reader_be16(&r);
	reader_skip(&r, 4);
	if (!r.ok || header < 20)
		return ERROR_bad_tcp_header;
	options = reader_bytes(&r, header - 20);
	payload = reader_rest(&r);
	if (!r.ok || !tcp_options_parse(options, &out->options))
		return ERROR_bad_tcp_header;
	out->payload_bytes = (uint32_t)payload.len;
	out->span_count = payload.len > 0;
	out->cut_bytes = 0;
	out->many = NULL;
	out->spans[0] = payload;
	if (checksum == PACKET_CHECKSUM_BAD)
		return ERROR_bad_tcp_checksum;
	if (!ip_checksum_good(p))
		return ERROR_bad_ip_checksum;
	if (checksum == PACKET_CHECKSUM_UNKNOWN && !tcp_checksum_good(p))
		return ERROR_bad_tcp_checksum;
	return ERROR_none;
}
