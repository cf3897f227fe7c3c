/* inner.c: the reader is bounded by the outer packet; what is quoted may be cut anywhere. */
#include "dataplane/packet/inner.h"

#include <endian.h>
#include <string.h>

enum {
	PROTOCOL_IP4 = 4,
	PROTOCOL_IP6 = 41,
	PROTOCOL_GRE = 47,
	GRE_CHECKSUM = 0x8000,
	GRE_KEY = 0x2000,
	GRE_SEQUENCE = 0x1000,
	GRE_UNREADABLE = 0x4007, /* routing (RFC 1701), any version but 0 */
	GRE_ETHERNET = 0x6558,
	ETHER_IP4 = 0x0800,
	ETHER_IP6 = 0x86dd,
	UNREACHABLE = 3,
	FRAGMENTATION_NEEDED = 4,
	TOO_BIG6 = 2,
};

#define MTU4_MIN 552   /* below it a forged error would cost more than it could ever help (RFC 879's size and a little) */
#define MTU6_MIN 1280  /* RFC 8200 5 */

static struct reader payload_of(const struct packet *p)
{
	size_t at = p->l4_offset < p->frame.len ? p->l4_offset : p->frame.len;

	return reader_of(p->frame.base + at, p->frame.len - at);
}

static enum packet_inner parsed(enum error e, const struct packet *out)
{
	if (e != ERROR_none)
		return PACKET_INNER_UNKNOWN;
	return out->ip_version ? PACKET_INNER_IP : PACKET_INNER_OTHER;
}

static enum packet_inner inside_gre(struct reader r, struct packet *out)
{
	uint16_t flags = reader_be16(&r), type = reader_be16(&r);

	if (!r.ok || flags & GRE_UNREADABLE)
		return PACKET_INNER_UNKNOWN;
	reader_skip(&r, (flags & GRE_CHECKSUM ? 4u : 0u) + (flags & GRE_KEY ? 4u : 0u) + (flags & GRE_SEQUENCE ? 4u : 0u));
	if (!r.ok)
		return PACKET_INNER_UNKNOWN;
	if (type == GRE_ETHERNET)
		return parsed(packet_parse(reader_rest(&r), out), out);
	if (type == ETHER_IP4 || type == ETHER_IP6)
		return parsed(packet_parse_ip(reader_rest(&r), out), out);
	return PACKET_INNER_OTHER;
}

enum packet_inner packet_inner_of(const struct packet *p, struct packet *out)
{
	struct reader r = payload_of(p);

	if (p->protocol != PROTOCOL_IP4 && p->protocol != PROTOCOL_IP6 && p->protocol != PROTOCOL_GRE)
		return PACKET_INNER_NONE;
	if (p->fragment && !p->fragment_first)
		return PACKET_INNER_UNKNOWN;
	if (p->protocol == PROTOCOL_GRE)
		return inside_gre(r, out);
	return parsed(packet_parse_ip(reader_rest(&r), out), out);
}

static bool checksum_good(const struct packet *p)
{
	size_t len = p->frame.len - p->l4_offset;
	uint64_t sum = 0;

	if (p->ip_version == 6) {
		sum = packet_sum(sum, p->source.byte, sizeof(p->source.byte));
		sum = packet_sum(sum, p->destination.byte, sizeof(p->destination.byte));
		sum += (uint64_t)htobe16((uint16_t)len) + htobe16(PACKET_ICMP6);
	}
	return packet_sum_fold(packet_sum(sum, p->frame.base + p->l4_offset, len)) == 0xffff;
}

/* The quoted packet is cut: only what is read here is there. */
static bool quote(struct reader *r, uint8_t ip_version, struct packet_too_big *out, uint32_t *length)
{
	struct packet *q = &out->quoted;
	size_t address_bytes = ip_version == 6 ? 16 : 4, header = 40;
	uint8_t first = reader_u8(r);
	struct bytes address;

	q->ip_version = ip_version;
	if (ip_version == 4) {
		header = (first & 0x0f) * 4u;
		reader_skip(r, 1);
		*length = reader_be16(r);
		reader_skip(r, 5);
		q->protocol = reader_u8(r);
		reader_skip(r, 2);
	} else {
		reader_skip(r, 3);
		*length = reader_be16(r) + 40u;
		q->protocol = reader_u8(r);
		reader_skip(r, 1);
	}
	address = reader_bytes(r, address_bytes);
	memcpy(q->source.byte, address.len ? address.base : q->source.byte, address.len);
	address = reader_bytes(r, address_bytes);
	memcpy(q->destination.byte, address.len ? address.base : q->destination.byte, address.len);
	reader_skip(r, ip_version == 4 && header > 20 ? header - 20 : 0);
	address = reader_bytes(r, 4);
	if (address.len) {
		memcpy(&q->source_port, address.base, 2);
		memcpy(&q->destination_port, address.base + 2, 2);
	}
	out->seq = reader_be32(r);
	return r->ok && first >> 4 == ip_version && header >= 20 && q->protocol == PACKET_TCP;
}

/* RFC 1191 5 and 7: a router that does not say how much is answered with the next smaller usual size. */
static uint32_t plateau_below(uint32_t length)
{
	static const uint16_t plateaus[] = { 32000, 17914, 8166, 4352, 2002, 1492, 1006 };

	for (unsigned i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++)
		if (plateaus[i] < length)
			return plateaus[i];
	return MTU4_MIN;
}

bool packet_too_big(const struct packet *p, struct packet_too_big *out)
{
	bool six = p->ip_version == 6;
	struct reader r = payload_of(p);
	uint32_t length = 0, least = six ? MTU6_MIN : MTU4_MIN;
	uint8_t type = reader_u8(&r), code = reader_u8(&r);

	*out = (struct packet_too_big){ 0 };
	if (p->fragment || p->protocol != (six ? PACKET_ICMP6 : PACKET_ICMP) || type != (six ? TOO_BIG6 : UNREACHABLE) ||
	    (!six && code != FRAGMENTATION_NEEDED))
		return false;
	reader_skip(&r, six ? 2 : 4);
	out->mtu_bytes = six ? reader_be32(&r) : reader_be16(&r);
	if (!quote(&r, p->ip_version, out, &length) || !checksum_good(p))
		return false;
	if (out->mtu_bytes == 0 && !six)
		out->mtu_bytes = plateau_below(length);
	out->mtu_bytes = out->mtu_bytes < least ? least : out->mtu_bytes;
	out->quoted.vlan_count = p->vlan_count;
	memcpy(out->quoted.vlan_tci, p->vlan_tci, sizeof(p->vlan_tci));
	return true;
}
