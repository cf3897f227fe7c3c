/* packet.h: frames to headers and segments, and back.
 *
 * Purpose: the only reader and writer of Ethernet, 802.1Q/802.1ad, IPv4, IPv6 and TCP headers.
 * Ownership: nothing is allocated; a struct packet and a segment borrow from the frame.
 * Threading: pure functions, any thread; a template belongs to one thread.
 *
 * A worker calls packet_parse for every frame (cheap: it stops behind the ports) and packet_segment only for the frames
 * of guarded flows. Ports and addresses are kept in network order, as they are compared and hashed.
 * Source: RFC 894, IEEE 802.1Q, RFC 791, RFC 8200, RFC 9293 3.1, RFC 1071.
 */
#ifndef DATAPLANE_PACKET_PACKET_H
#define DATAPLANE_PACKET_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/packet/segment.h"
#include "platform/base/bytes.h"
#include "platform/base/errors.h"

#define PACKET_VLAN_MAX 2
#define PACKET_HEADER_BYTES_MAX (14 + 4 * PACKET_VLAN_MAX + 40) /* what a template holds */
#define PACKET_TAGS_MAX 16 /* VLAN tags that are walked; more is an error */
#define PACKET_EXTENSIONS_MAX 8 /* IPv6 extension headers that are walked */

enum packet_protocol {
	PACKET_ICMP = 1,
	PACKET_TCP = 6,
	PACKET_UDP = 17,
	PACKET_ICMP6 = 58,
};

/* 16 bytes in network order; an IPv4 address is in the first four and the rest is zero. */
struct packet_address {
	uint8_t byte[16];
};

struct packet {
	struct bytes frame;      /* without padding behind the IP packet, once an IP header was read */
	uint16_t l3_offset;      /* start of the IP header */
	uint16_t l4_offset;      /* start of what is behind the IP header and extension headers */
	uint16_t ether_type;     /* the innermost */
	uint16_t vlan_tci[PACKET_VLAN_MAX]; /* outermost first */
	uint8_t vlan_count;
	bool vlan_deep;          /* there are more tags than vlan_tci holds; such a packet is no segment */
	uint8_t ip_version;      /* 4, 6, or 0: not IP, nothing below is set */
	uint8_t protocol;        /* enum packet_protocol or any other number */
	uint8_t ttl;
	bool fragment;           /* any fragment; then the ports are 0 unless it is the first and holds them */
	bool fragment_first;
	uint16_t fragment_offset; /* bytes */
	bool extensions;         /* IPv6 extension headers or IPv4 options are present */
	bool routed;             /* they route it, or sign it, or cannot be read: what the header says is not the last word */
	bool route_unclear;      /* over what cannot be said: a second list of addresses, or one that cannot be read */
	uint16_t route_offset, route_bytes; /* the addresses that it is routed over, one after the other; 0: none */
	struct packet_address source, destination;
	uint16_t source_port, destination_port; /* TCP and UDP, network order; else 0 */
};

/* What the receiving port says of the transport checksum. UNKNOWN must be verified; PARTIAL was never filled in by a
 * sender on the same host (veth, virtio) and is as good as GOOD. */
enum packet_checksum {
	PACKET_CHECKSUM_UNKNOWN,
	PACKET_CHECKSUM_GOOD,
	PACKET_CHECKSUM_PARTIAL,
	PACKET_CHECKSUM_BAD,
};

/* Reads the headers of `frame` up to the ports. Anything that is not IP is ERROR_none with ip_version 0. On an error
 * ip_version is 0 and the fields read before it are valid: after ERROR_bad_ip_header the addresses among them, so that a
 * bridge can tell whom it concerns; what a stricter parser rejects, a host may still take. The IPv4 header checksum is not verified here (packet_segment does). */
enum error packet_parse(struct bytes frame, struct packet *out);

/* The same for an IP packet without a frame around it. */
enum error packet_parse_ip(struct bytes ip, struct packet *out);

/* A later fragment that begins behind all headers that could stand there: it can rewrite none of them. */
bool packet_fragment_is_far(const struct packet *p);

/* Reads the TCP header, options and payload of a packet that packet_parse took as unfragmented TCP, and verifies the checksum of IPv4's
 * header, and TCP's unless `checksum` says that it is not needed. ERROR_none, ERROR_vlan_deep, ERROR_bad_tcp_header,
 * ERROR_bad_tcp_checksum, ERROR_bad_ip_checksum. On an error `out` must not be used. */
enum error packet_segment(const struct packet *p, enum packet_checksum checksum, struct tcp_segment *out);

/* The headers that are the same for all packets in one direction of a flow, ready to be copied: Ethernet, VLAN tags and
 * IP with addresses, and the ports. IPv4 options and extension headers are not carried over. */
#define PACKET_TEMPLATE_BYTES 64 /* PACKET_HEADER_BYTES_MAX, and what makes it a copy of whole words */

struct packet_template {
	uint8_t header[PACKET_TEMPLATE_BYTES];
	uint8_t header_bytes;
	uint8_t l3_offset;
	uint8_t ip_version;
	uint16_t source_port, destination_port; /* network order */
	uint16_t ip_id;                         /* counts up; used when the original did not set DF */
	uint16_t pseudo_sum;                    /* of the addresses and the protocol */
	uint16_t ip_sum;                        /* of an IPv4 header with neither length nor identification */
};

/* The template that continues the direction in which `p` travels: our frames look like its sender's. */
void packet_template_from(struct packet_template *t, const struct packet *p);

/* The template of the answer to `p`: MAC and IP addresses and ports swapped. For RSTs before a flow exists. */
void packet_template_reply(struct packet_template *t, const struct packet *p);

/* What a template has beside addresses and ports, for who has those anyway and has it lie for long. */
struct packet_template_kept {
	uint8_t prefix[PACKET_HEADER_BYTES_MAX - 28]; /* up to the addresses */
	uint8_t l3_offset, ip_version;
	uint16_t ip_id, pseudo_sum, ip_sum;
};

void packet_template_keep(const struct packet_template *t, struct packet_template_kept *out);

/* The template that was kept; addresses and ports in network order. */
void packet_template_restore(const struct packet_template_kept *kept, const struct packet_address *source, const struct packet_address *destination,
			     uint16_t source_port, uint16_t destination_port, struct packet_template *out);

enum packet_build_checksum {
	PACKET_BUILD_FULL,   /* software: the checksum is complete */
	PACKET_BUILD_PSEUDO, /* the port finishes it: the field holds the pseudo header's sum (IPv4's header is complete) */
};

/* Offsets for a port that offloads, filled in by packet_build. */
struct packet_built {
	size_t bytes; /* of the whole frame; 0: it did not fit into `cap` */
	uint16_t l2_bytes, l3_bytes, l4_bytes;
};

/* Writes the whole frame of `segment` to `out`, payload copied. Not padded to 60 bytes: that is the port's. */
struct packet_built packet_build(struct packet_template *t, const struct tcp_segment *segment, void *out, size_t cap,
				 enum packet_build_checksum checksum);

/* Makes the checksum of a TCP or UDP packet whose field holds the pseudo header's sum, as PACKET_BUILD_PSEUDO leaves it; its memory is
 * written to. False: it is neither, or too short. */
[[gnu::warn_unused_result]] bool packet_finish(const struct packet *p);

/* The largest payload of one segment in an IP packet of `mtu_bytes`, before TCP options. */
size_t packet_mss(uint8_t ip_version, size_t mtu_bytes);

/* The RST that RFC 9293 3.10.7.1 orders for a segment of no connection. False: it must not be answered (is a RST). */
bool packet_segment_refusal(const struct tcp_segment *segment, struct tcp_segment *out);

/* checksum.c: the Internet checksum (RFC 1071) as a running sum over memory order. */
uint64_t packet_sum(uint64_t sum, const void *base, size_t len); /* only the last call of a chain may have odd `len` */
uint64_t packet_copy_sum(uint64_t sum, void *to, const void *from, size_t len); /* the same over `from`, copied on the way */

/* Not inverted; memory order. */
static inline uint16_t packet_sum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)sum;
}

#endif
