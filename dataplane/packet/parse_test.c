#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/packet/packet.h"
#include "platform/base/random.h"

/* A frame is written as parts in hex; spaces are ignored. */
static size_t hex(const char *text, uint8_t *out)
{
	size_t n = 0;
	int high = -1;

	for (; *text; text++) {
		int digit = *text >= 'a' ? *text - 'a' + 10 : *text - '0';

		if (*text == ' ')
			continue;
		if (high < 0) {
			high = digit;
		} else {
			out[n++] = (uint8_t)(high << 4 | digit);
			high = -1;
		}
	}
	return n;
}

#define MACS "0200000000bb 0200000000aa "
#define TAGS8 "8100 0000 8100 0000 8100 0000 8100 0000 8100 0000 8100 0000 8100 0000 8100 0000 "
#define IP4(total, frag, proto) "45 00 " total " 0001 " frag " 40 " proto " 0000 0a000001 0a000002 "
#define IP6(payload, next) "60000000 " payload " " next " 40 20010db8000000000000000000000001 20010db8000000000000000000000002 "
#define PORTS "1234 1538 "
#define TCP20 PORTS "00000001 00000002 50 18 0100 0000 0000 "

static const struct row {
	const char *name;
	const char *frame;
	enum error error;
	uint8_t version, protocol, vlans;
	bool fragment, extensions, ports;
} rows[] = {
	{ "ARP", MACS "0806 0001 0800", ERROR_none, 0, 0, 0, 0, 0, 0 },
	{ "cut in the MAC header", "0200000000bb 0200", ERROR_short_frame, 0, 0, 0, 0, 0, 0 },
	{ "cut in a tag", MACS "8100 00", ERROR_short_frame, 0, 0, 1, 0, 0, 0 },
	{ "IPv4 TCP", MACS "0800 " IP4("0028", "4000", "06") TCP20, ERROR_none, 4, 6, 0, 0, 0, 1 },
	{ "IPv4 TCP with padding", MACS "0800 " IP4("0028", "4000", "06") TCP20 "000000000000", ERROR_none, 4, 6, 0, 0, 0, 1 },
	{ "802.1Q", MACS "8100 0064 0800 " IP4("0028", "4000", "06") TCP20, ERROR_none, 4, 6, 1, 0, 0, 1 },
	{ "QinQ", MACS "88a8 0064 8100 0065 0800 " IP4("0028", "4000", "06") TCP20, ERROR_none, 4, 6, 2, 0, 0, 1 },
	{ "three tags hide nothing", MACS "8100 0000 8100 0000 8100 0000 0800 " IP4("0028", "4000", "06") TCP20, ERROR_none, 4, 6, 2, 0, 0, 1 },
	{ "cut in the third tag", MACS "8100 0001 8100 0002 8100 00", ERROR_short_frame, 0, 0, 2, 0, 0, 0 },
	{ "sixteen tags", MACS TAGS8 TAGS8 "0806 0001 0800", ERROR_none, 0, 0, 2, 0, 0, 0 },
	{ "seventeen tags", MACS TAGS8 TAGS8 "8100 0000 0800 " IP4("0028", "4000", "06") TCP20, ERROR_vlan_deep, 0, 0, 2, 0, 0, 0 },
	{ "total longer than the frame", MACS "0800 " IP4("0029", "4000", "06") TCP20, ERROR_short_frame, 0, 6, 0, 0, 0, 0 },
	{ "total shorter than the header", MACS "0800 " IP4("0013", "4000", "06") TCP20, ERROR_bad_ip_header, 0, 6, 0, 0, 0, 0 },
	{ "header of four words", MACS "0800 44" "00 0028 0001 4000 40 06 0000 0a000001 0a000002" TCP20, ERROR_bad_ip_header, 0, 6, 0, 0, 0, 0 },
	{ "version 5", MACS "0800 55" "00 0028 0001 4000 40 06 0000 0a000001 0a000002" TCP20, ERROR_bad_ip_header, 0, 6, 0, 0, 0, 0 },
	{ "options", MACS "0800 46" "00 002c 0001 4000 40 06 0000 0a000001 0a000002 01010101" TCP20, ERROR_none, 4, 6, 0, 0, 1, 1 },
	{ "first fragment", MACS "0800 " IP4("0028", "2000", "06") TCP20, ERROR_none, 4, 6, 0, 1, 0, 1 },
	{ "later fragment has no ports", MACS "0800 " IP4("0028", "2001", "06") TCP20, ERROR_none, 4, 6, 0, 1, 0, 0 },
	{ "last fragment has no ports", MACS "0800 " IP4("0028", "0001", "06") TCP20, ERROR_none, 4, 6, 0, 1, 0, 0 },
	{ "tiny first fragment", MACS "0800 " IP4("0016", "2000", "06") "1234", ERROR_none, 4, 6, 0, 1, 0, 0 },
	{ "IPv6 TCP", MACS "86dd " IP6("0014", "06") TCP20, ERROR_none, 6, 6, 0, 0, 0, 1 },
	{ "IPv6 payload longer than the frame", MACS "86dd " IP6("0015", "06") TCP20, ERROR_short_frame, 0, 6, 0, 0, 0, 0 },
	{ "IPv6 with hop-by-hop", MACS "86dd " IP6("001c", "00") "06 00 010400000000 " TCP20, ERROR_none, 6, 6, 0, 0, 1, 1 },
	{ "IPv6 first fragment", MACS "86dd " IP6("001c", "2c") "06 00 0001 00000001 " TCP20, ERROR_none, 6, 6, 0, 1, 1, 1 },
	{ "IPv6 later fragment", MACS "86dd " IP6("001c", "2c") "06 00 0009 00000001 " TCP20, ERROR_none, 6, 6, 0, 1, 1, 0 },
	{ "IPv6 fragment behind destination options", MACS "86dd " IP6("0024", "3c") "2c 00 010400000000 06 00 0009 00000001 " TCP20, ERROR_none, 6, 6, 0, 1, 1, 0 },
	{ "IPv6 extension header cut", MACS "86dd " IP6("0008", "00") "06 01 010400000000", ERROR_bad_ip_header, 0, 6, 0, 0, 1, 0 },
	{ "IPv6 nine extension headers", MACS "86dd " IP6("005c", "3c")
	  "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 "
	  "3c00010400000000 3c00010400000000 0600010400000000 " TCP20, ERROR_bad_ip_header, 0, 60, 0, 0, 1, 0 },
	{ "IPv4 UDP", MACS "0800 " IP4("001c", "4000", "11") PORTS "0008 0000", ERROR_none, 4, 17, 0, 0, 0, 1 },
	{ "IPv4 ICMP", MACS "0800 " IP4("001c", "4000", "01") "0800 0000 0001 0001", ERROR_none, 4, 1, 0, 0, 0, 0 },
};

static void headers(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		uint8_t frame[256];
		struct packet p;
		enum error e = packet_parse(bytes_of(frame, hex(row->frame, frame)), &p);

		if (e != row->error || p.ip_version != row->version || p.protocol != row->protocol ||
		    p.vlan_count != row->vlans || p.fragment != row->fragment || p.extensions != row->extensions ||
		    (p.source_port != 0) != row->ports)
			fail_msg("%s: error %s, version %u, protocol %u, vlans %u, fragment %u, extensions %u, port %u",
				 row->name, error_name(e), p.ip_version, p.protocol, p.vlan_count, p.fragment, p.extensions,
				 p.source_port);
	}
}

static void every_cut_of_a_frame_is_refused(void **state)
{
	uint8_t frame[256];
	size_t len = hex(MACS "8100 0064 86dd " IP6("001c", "00") "06 00 010400000000 " TCP20, frame);

	for (size_t cut = 0; cut < len; cut++) {
		struct packet p;

		assert_int_not_equal(packet_parse(bytes_of(frame, cut), &p), ERROR_none);
		assert_int_equal(p.ip_version, 0);
	}
}

/* What is behind the header is routed over one list of addresses, or nobody knows over what. */
static void routes(void **state)
{
	static const struct {
		const char *name, *frame;
		bool routed, unclear;
		unsigned offset, bytes;
	} cases[] = {
#define IP4_OPTIONS(words, total) MACS "0800 4" words " 00 " total " 0001 0000 40 06 0000 0a000001 0a000002 "
#define ADDRESS6 "20010db8000000000000000000000003 "
		{ "none", MACS "0800 " IP4("0014", "0000", "06"), 0, 0, 0, 0 },
		{ "two addresses", IP4_OPTIONS("8", "0020") "830b04 0a000003 0a000004 00", 1, 0, 37, 8 },
		{ "two lists", IP4_OPTIONS("9", "0024") "830704 0a000003 890704 0a000004 0000", 1, 1, 37, 4 },
		{ "a list, and one without a length", IP4_OPTIONS("7", "001c") "830704 0a000003 89", 1, 1, 37, 4 },
		{ "behind the end", IP4_OPTIONS("7", "001c") "890400 00 89028900", 1, 1, 0, 0 },
		{ "longer than the options", IP4_OPTIONS("7", "001c") "830b04 0a000003 00", 1, 1, 0, 0 },
		{ "half an address", IP4_OPTIONS("7", "001c") "830504 0a00 000000", 1, 1, 0, 0 },
		{ "type 0", MACS "86dd " IP6("0018", "2b") "3b 02 00 01 00000000 " ADDRESS6, 1, 0, 62, 16 },
		{ "type 4 with padding", MACS "86dd " IP6("0020", "2b") "3b 03 04 01 00000000 " ADDRESS6 "0406000000000000", 1, 0, 62, 24 },
		{ "no segments left", MACS "86dd " IP6("0018", "2b") "3b 02 00 00 00000000 " ADDRESS6, 0, 0, 0, 0 },
		{ "type 3", MACS "86dd " IP6("0018", "2b") "3b 02 03 01 ee000000 " ADDRESS6, 1, 1, 62, 16 },
		{ "no address", MACS "86dd " IP6("0008", "2b") "3b 00 00 01 00000000 ", 1, 1, 0, 0 },
		{ "two headers", MACS "86dd " IP6("0030", "2b") "2b 02 00 01 00000000 " ADDRESS6 "3b 02 00 01 00000000 " ADDRESS6, 1, 1, 62, 16 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t frame[256];
		struct packet p;

		assert_int_equal(packet_parse(bytes_of(frame, hex(cases[i].frame, frame)), &p), ERROR_none);
		if (p.routed != cases[i].routed || p.route_unclear != cases[i].unclear || p.route_offset != cases[i].offset || p.route_bytes != cases[i].bytes)
			fail_msg("%s: routed %u, unclear %u, %u bytes at %u", cases[i].name, p.routed, p.route_unclear, p.route_bytes, p.route_offset);
	}
}

static void segment_errors(void **state)
{
	static const struct {
		const char *name, *frame;
		enum packet_checksum checksum;
		enum error want;
	} cases[] = {
		{ "good", MACS "0800 45 00 0028 0001 4000 40 06 26cd 0a000001 0a000002" PORTS "00000001 00000002 50 18 0100 735b 0000",
		  PACKET_CHECKSUM_UNKNOWN, ERROR_none },
		{ "said to be bad", MACS "0800 45 00 0028 0001 4000 40 06 26cd 0a000001 0a000002" PORTS "00000001 00000002 50 18 0100 735b 0000",
		  PACKET_CHECKSUM_BAD, ERROR_bad_tcp_checksum },
		{ "one bit wrong", MACS "0800 45 00 0028 0001 4000 40 06 26cd 0a000001 0a000002" PORTS "00000001 00000003 50 18 0100 735b 0000",
		  PACKET_CHECKSUM_UNKNOWN, ERROR_bad_tcp_checksum },
		{ "address wrong", MACS "0800 45 00 0028 0001 4000 40 06 26cd 0a000001 0a000003" PORTS "00000001 00000002 50 18 0100 735b 0000",
		  PACKET_CHECKSUM_UNKNOWN, ERROR_bad_ip_checksum },
		{ "not filled in by the sender", MACS "0800 45 00 0028 0001 4000 40 06 26cd 0a000001 0a000002" TCP20, PACKET_CHECKSUM_PARTIAL, ERROR_none },
		{ "said to be good", MACS "0800 45 00 0028 0001 4000 40 06 26cd 0a000001 0a000002" TCP20, PACKET_CHECKSUM_GOOD, ERROR_none },
		{ "said to be good, but not the address", MACS "0800 45 00 0028 0001 4000 40 06 26cd 0a000001 0a000003" TCP20, PACKET_CHECKSUM_GOOD,
		  ERROR_bad_ip_checksum },
		{ "not filled in, and a wrong address", MACS "0800 45 00 0028 0001 4000 40 06 26cd 0a000001 0a000003" TCP20, PACKET_CHECKSUM_PARTIAL,
		  ERROR_bad_ip_checksum },
		{ "not filled in, and not said so", MACS "0800 45 00 0028 0001 4000 40 06 26cd 0a000001 0a000002" TCP20,
		  PACKET_CHECKSUM_UNKNOWN, ERROR_bad_tcp_checksum },
		{ "header of 16 bytes", MACS "0800 " IP4("0028", "4000", "06") PORTS "00000001 00000002 40 18 0100 0000 0000",
		  PACKET_CHECKSUM_GOOD, ERROR_bad_tcp_header },
		{ "header longer than the packet", MACS "0800 " IP4("0028", "4000", "06") PORTS "00000001 00000002 60 18 0100 0000 0000",
		  PACKET_CHECKSUM_GOOD, ERROR_bad_tcp_header },
		{ "header cut", MACS "0800 " IP4("0024", "4000", "06") PORTS "00000001 00000002 50 18 0100",
		  PACKET_CHECKSUM_GOOD, ERROR_bad_tcp_header },
		{ "bad option", MACS "0800 " IP4("002c", "4000", "06") PORTS "00000001 00000002 60 18 0100 0000 0000 0200 0000",
		  PACKET_CHECKSUM_GOOD, ERROR_bad_tcp_header },
		{ "a fragment", MACS "0800 " IP4("0028", "2000", "06") TCP20, PACKET_CHECKSUM_GOOD, ERROR_bad_tcp_header },
		{ "more tags than a template holds", MACS TAGS8 "0800 " IP4("0028", "4000", "06") TCP20, PACKET_CHECKSUM_GOOD, ERROR_vlan_deep },
		{ "UDP", MACS "0800 " IP4("001c", "4000", "11") PORTS "0008 0000", PACKET_CHECKSUM_GOOD, ERROR_bad_tcp_header },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t frame[256];
		struct tcp_segment s;
		struct packet p;
		enum error e;

		assert_int_equal(packet_parse(bytes_of(frame, hex(cases[i].frame, frame)), &p), ERROR_none);
		e = packet_segment(&p, cases[i].checksum, &s);
		if (e != cases[i].want)
			fail_msg("%s: %s", cases[i].name, error_name(e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),
		cmocka_unit_test(every_cut_of_a_frame_is_refused),
		cmocka_unit_test(routes), cmocka_unit_test(segment_errors),
	};

	return cmocka_run_group_tests_name("packet parse", tests, NULL, NULL);
}
