/* build.c: segment to frame.
 *
 * Everything that is the same for a whole flow is in the template, its share of both checksums included. So a frame
 * costs one copy of the headers and one of the payload, summed on its way; header fields are summed as values, since
 * reading back bytes that were just written in pieces makes the processor wait for them.
 */
#include <endian.h>
#include <string.h>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet.h"

#define TCP_HEADER_BYTES 20
#define IP4_BYTES 20
#define IP6_BYTES 40
#define IP4_PREFIX_BYTES 12 /* in front of the addresses */
#define IP6_PREFIX_BYTES 8
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
	t->ip_sum = packet_sum_fold(packet_sum_words(0, ip, IP4_BYTES / 4));
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
	unsigned address_words = p->ip_version == 6 ? 4 : 1;
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
	sum = packet_sum_words(htobe16(PACKET_TCP), p->source.byte, address_words);
	t->pseudo_sum = packet_sum_fold(packet_sum_words(sum, p->destination.byte, address_words));
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

/* Of the frame, up to the addresses. */
static size_t prefix_bytes(unsigned l3_offset, uint8_t ip_version)
{
	return l3_offset + (ip_version == 6 ? IP6_PREFIX_BYTES : IP4_PREFIX_BYTES);
}

void packet_template_keep(const struct packet_template *t, struct packet_template_kept *out)
{
	*out = (struct packet_template_kept){
		.l3_offset = t->l3_offset, .ip_version = t->ip_version, .ip_id = t->ip_id,
		.pseudo_sum = t->pseudo_sum, .ip_sum = t->ip_sum,
	};
	memcpy(out->prefix, t->header, sizeof out->prefix); /* and perhaps some of what is behind it */
}

void packet_template_restore(const struct packet_template_kept *kept, const struct packet_address *source, const struct packet_address *destination,
			     uint16_t source_port, uint16_t destination_port, struct packet_template *out)
{
	size_t prefix = prefix_bytes(kept->l3_offset, kept->ip_version), address = kept->ip_version == 6 ? 16 : 4;

	*out = (struct packet_template){
		.header_bytes = (uint8_t)(prefix + 2 * address), .l3_offset = kept->l3_offset, .ip_version = kept->ip_version,
		.source_port = source_port, .destination_port = destination_port, .ip_id = kept->ip_id,
		.pseudo_sum = kept->pseudo_sum, .ip_sum = kept->ip_sum,
	};
	memcpy(out->header, kept->prefix, prefix);
	memcpy(out->header + prefix, source->byte, address);
	memcpy(out->header + prefix + address, destination->byte, address);
}

static void finish_ip(struct packet_template *t, uint8_t *ip, size_t l4_bytes)
{
	uint64_t sum = t->ip_sum + (uint64_t)htobe16((uint16_t)(IP4_BYTES + l4_bytes));

	if (t->ip_version == 6) {
		put16(ip + 4, (uint16_t)l4_bytes);
		return;
	}
	put16(ip + 2, (uint16_t)(IP4_BYTES + l4_bytes));
	if (!(ip[6] & IP4_DONT_FRAGMENT)) { /* RFC 6864: only what may be fragmented needs an identification */
		put16(ip + 4, ++t->ip_id);
		sum += htobe16(t->ip_id);
	}
	store_sum(ip + 10, (uint16_t)~packet_sum_fold(sum));
}

/* The TCP header but for its checksum; returns its share of the sum. */
static uint64_t write_tcp(const struct packet_template *t, const struct tcp_segment *s, uint8_t *tcp, size_t header)
{
	uint64_t sum = (uint64_t)htobe32(s->seq) + htobe32(s->ack) + htobe16(s->window) +
		       htobe16((uint16_t)(header / 4 << 12 | s->flags)) + t->source_port + t->destination_port;

	memcpy(tcp, &t->source_port, 2);
	memcpy(tcp + 2, &t->destination_port, 2);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = s->flags;
	put16(tcp + 14, s->window);
	put32(tcp + 16, 0); /* checksum and urgent pointer */
	if (header == TCP_HEADER_BYTES)
		return sum;
	(void)tcp_options_write(&s->options, tcp + TCP_HEADER_BYTES);
	return packet_sum_words(sum, tcp + TCP_HEADER_BYTES, (unsigned)(header - TCP_HEADER_BYTES) / 4);
}

/* A span that begins at an odd offset has its bytes in the other halves of the words: RFC 1071 2 (B). */
static uint64_t copy_payload(uint64_t sum, uint8_t *to, const struct tcp_segment *s)
{
	const struct bytes *spans = s->many ? s->many : s->spans;
	size_t done = 0;

	for (unsigned i = 0; i < s->span_count; i++) {
		uint16_t part = packet_sum_fold(packet_copy_sum(0, to + done, spans[i].base, spans[i].len));

		sum += done % 2 ? __builtin_bswap16(part) : part;
		done += spans[i].len;
	}
	return sum;
}

/* For a port that sums: nothing is. */
static void copy_only(uint8_t *to, const struct tcp_segment *s)
{
	const struct bytes *spans = s->many ? s->many : s->spans;

	for (unsigned i = 0; i < s->span_count; i++) {
		memcpy(to, spans[i].base, spans[i].len);
		to += spans[i].len;
	}
}

struct packet_built packet_build(struct packet_template *t, const struct tcp_segment *s, void *out, size_t cap,
				 enum packet_build_checksum checksum)
{
	uint8_t *ip = (uint8_t *)out + t->l3_offset;
	uint8_t *tcp = (uint8_t *)out + t->header_bytes;
	size_t header = TCP_HEADER_BYTES + tcp_options_bytes(&s->options);
	size_t l4_bytes = header + s->payload_bytes;
	uint64_t sum;

	if (t->header_bytes + l4_bytes > cap || IP4_BYTES + l4_bytes > UINT16_MAX)
		return (struct packet_built){ 0 };
	if (cap >= sizeof t->header)
		memcpy(out, t->header, sizeof t->header); /* more than it is, but of one size: what follows is written below, or is behind the frame */
	else
		memcpy(out, t->header, t->header_bytes);
	finish_ip(t, ip, l4_bytes);
	sum = (uint64_t)t->pseudo_sum + htobe16((uint16_t)l4_bytes);
	if (checksum == PACKET_BUILD_PSEUDO) {
		(void)write_tcp(t, s, tcp, header);
		copy_only(tcp + header, s);
		store_sum(tcp + 16, packet_sum_fold(sum));
	} else {
		sum += write_tcp(t, s, tcp, header);
		store_sum(tcp + 16, (uint16_t)~packet_sum_fold(copy_payload(sum, tcp + header, s)));
	}
	if (s->cut_bytes) /* each piece has an identification of its own */
		t->ip_id = (uint16_t)(t->ip_id + (s->payload_bytes - 1) / s->cut_bytes);
	return (struct packet_built){
		.bytes = t->header_bytes + l4_bytes,
		.l2_bytes = t->l3_offset,
		.l3_bytes = (uint16_t)(t->header_bytes - t->l3_offset),
		.l4_bytes = (uint16_t)header,
	};
}

bool packet_finish(const struct packet *p)
{
	size_t field = p->protocol == PACKET_TCP ? 16 : 6, len = p->frame.len - p->l4_offset;
	uint8_t *l4 = (uint8_t *)(uintptr_t)(p->frame.base + p->l4_offset);
	uint16_t sum;

	if ((p->protocol != PACKET_TCP && p->protocol != PACKET_UDP) || p->l4_offset > p->frame.len || len < field + 2)
		return false;
	sum = (uint16_t)~packet_sum_fold(packet_sum(0, l4, len));
	store_sum(l4 + field, p->protocol == PACKET_UDP && sum == 0 ? UINT16_MAX : sum); /* RFC 768: zero says that there is none */
	return true;
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
