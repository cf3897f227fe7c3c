/* build.c: segment to frame.
 *
 * Everything that is the same for a whole flow is in the template, its share of the TCP checksum included. So a frame
 * costs one copy of the headers, one copy of the payload and one sum over what was just written, still in cache.
 */
#include <string.h>

#include "dataplane/packet/packet.h"

#define TCP_HEADER_BYTES 20
#define IP4_BYTES 20
#define IP6_BYTES 40
#define IP4_DONT_FRAGMENT 0x40
#define ECN_MASK 0x03

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, (uint16_t)(v >> 16));
	put16(at + 2, (uint16_t)v);
}

static void store_sum(uint8_t *at, uint16_t folded)
{
	memcpy(at, &folded, 2);
}

static void template_ip4(struct packet_template *t, const struct packet *p)
{
	const uint8_t *from = p->frame.base + p->l3_offset;
	uint8_t *ip = t->header + t->l3_offset;

	memset(ip, 0, IP4_BYTES);
	ip[0] = 0x45;
	ip[1] = (uint8_t)(from[1] & ~ECN_MASK);
	ip[6] = from[6] & IP4_DONT_FRAGMENT;
	ip[8] = p->ttl;
	ip[9] = PACKET_TCP;
	memcpy(ip + 12, p->source.byte, 4);
	memcpy(ip + 16, p->destination.byte, 4);
	t->header_bytes = (uint8_t)(t->l3_offset + IP4_BYTES);
	t->ip_id = (uint16_t)(from[4] << 8 | from[5]);
}

static void template_ip6(struct packet_template *t, const struct packet *p)
{
	uint8_t *ip = t->header + t->l3_offset;

	memcpy(ip, p->frame.base + p->l3_offset, 4);
	ip[1] = (uint8_t)(ip[1] & ~(ECN_MASK << 4)); /* the traffic class lies across bytes 0 and 1 */
	put16(ip + 4, 0);
	ip[6] = PACKET_TCP;
	ip[7] = p->ttl;
	memcpy(ip + 8, p->source.byte, 16);
	memcpy(ip + 24, p->destination.byte, 16);
	t->header_bytes = (uint8_t)(t->l3_offset + IP6_BYTES);
}

void packet_template_from(struct packet_template *t, const struct packet *p)
{
	size_t address_bytes = p->ip_version == 6 ? 16 : 4;
	uint8_t protocol[2] = { 0, PACKET_TCP };
	uint64_t sum;

	*t = (struct packet_template){
		.l3_offset = (uint8_t)p->l3_offset,
		.ip_version = p->ip_version,
		.source_port = p->source_port,
		.destination_port = p->destination_port,
	};
	memcpy(t->header, p->frame.base, p->l3_offset);
	if (p->ip_version == 6)
		template_ip6(t, p);
	else
		template_ip4(t, p);
	sum = packet_sum(0, p->source.byte, address_bytes);
	sum = packet_sum(sum, p->destination.byte, address_bytes);
	t->pseudo_sum = packet_sum_fold(packet_sum(sum, protocol, 2));
}

void packet_template_reply(struct packet_template *t, const struct packet *p)
{
	struct packet back = *p;
	uint8_t mac[6];

	back.source = p->destination;
	back.destination = p->source;
	back.source_port = p->destination_port;
	back.destination_port = p->source_port;
	packet_template_from(t, &back);
	memcpy(mac, t->header, 6);
	memcpy(t->header, t->header + 6, 6);
	memcpy(t->header + 6, mac, 6);
}

static void finish_ip(struct packet_template *t, uint8_t *ip, size_t l4_bytes)
{
	if (t->ip_version == 6) {
		put16(ip + 4, (uint16_t)l4_bytes);
		return;
	}
	put16(ip + 2, (uint16_t)(IP4_BYTES + l4_bytes));
	if (!(ip[6] & IP4_DONT_FRAGMENT))
		put16(ip + 4, ++t->ip_id); /* RFC 6864: only what may be fragmented needs an identification */
	store_sum(ip + 10, (uint16_t)~packet_sum_fold(packet_sum(0, ip, IP4_BYTES)));
}

struct packet_built packet_build(struct packet_template *t, const struct tcp_segment *s, void *out, size_t cap,
				 enum packet_build_checksum checksum)
{
	uint8_t *ip = (uint8_t *)out + t->l3_offset;
	uint8_t *tcp = (uint8_t *)out + t->header_bytes;
	size_t header = TCP_HEADER_BYTES + tcp_options_bytes(&s->options);
	size_t l4_bytes = header + s->payload_bytes;
	uint8_t length[2] = { (uint8_t)(l4_bytes >> 8), (uint8_t)l4_bytes };
	uint64_t sum = packet_sum(t->pseudo_sum, length, 2);
	uint8_t *at = tcp + header;

	if (t->header_bytes + l4_bytes > cap || IP4_BYTES + l4_bytes > UINT16_MAX)
		return (struct packet_built){ 0 };
	memcpy(out, t->header, t->header_bytes);
	finish_ip(t, ip, l4_bytes);
	memcpy(tcp, &t->source_port, 2);
	memcpy(tcp + 2, &t->destination_port, 2);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = s->flags;
	put16(tcp + 14, s->window);
	put32(tcp + 16, 0); /* checksum and urgent pointer */
	if (header > TCP_HEADER_BYTES)
		(void)tcp_options_write(&s->options, tcp + TCP_HEADER_BYTES);
	for (unsigned i = 0; i < s->span_count; i++) {
		memcpy(at, s->spans[i].base, s->spans[i].len);
		at += s->spans[i].len;
	}
	if (checksum == PACKET_BUILD_PSEUDO)
		store_sum(tcp + 16, packet_sum_fold(sum));
	else
		store_sum(tcp + 16, (uint16_t)~packet_sum_fold(packet_sum(sum, tcp, l4_bytes)));
	return (struct packet_built){
		.bytes = t->header_bytes + l4_bytes,
		.l2_bytes = t->l3_offset,
		.l3_bytes = (uint16_t)(t->header_bytes - t->l3_offset),
		.l4_bytes = (uint16_t)header,
	};
}

size_t packet_mss(uint8_t ip_version, size_t mtu_bytes)
{
	size_t headers = (ip_version == 6 ? IP6_BYTES : IP4_BYTES) + TCP_HEADER_BYTES;

	return mtu_bytes > headers ? mtu_bytes - headers : 0;
}

bool packet_segment_refusal(const struct tcp_segment *s, struct tcp_segment *out)
{
	uint32_t len = s->payload_bytes + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);

	*out = (struct tcp_segment){ 0 };
	if (s->flags & TCP_RST)
		return false;
	if (s->flags & TCP_ACK) { /* RFC 9293 3.10.7.1 */
		out->flags = TCP_RST;
		out->seq = s->ack;
	} else {
		out->flags = TCP_RST | TCP_ACK;
		out->ack = s->seq + len;
	}
	return true;
}
