#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <string.h>

#include "dataplane/packet/inner.h"

static uint8_t frame[512];

static size_t hex(const char *text)
{
	size_t n = 0;
	unsigned digit;

	for (; *text; text++) {
		if (isspace((unsigned char)*text))
			continue;
		digit = (unsigned)(isdigit((unsigned char)*text) ? *text - '0' : *text - 'a' + 10);
		if (n % 2 == 0)
			frame[n / 2] = (uint8_t)(digit << 4);
		else
			frame[n / 2] |= (uint8_t)digit;
		n++;
	}
	return n / 2;
}

#define MACS "0200000000bb 0200000000aa "
#define IP4(total, frag, proto) "4500 " total " 0001 " frag " 40 " proto " 0000 0a000001 0a000002 "
#define INNER4(total) "4500 " total " 0001 4000 40 06 0000 c0000201 c0000202 "
#define IP6(payload, next) "60000000 " payload " " next " 40 20010db8000000000000000000000001 20010db8000000000000000000000002 "
#define TCP20 "1234 1538 00000001 00000002 50 18 0100 0000 0000 "

static const struct row {
	const char *name, *frame;
	enum packet_inner want;
	uint8_t version, last; /* of the inner packet; last byte of its destination */
} rows[] = {
	{ "TCP", MACS "0800 " IP4("0028", "4000", "06") TCP20, PACKET_INNER_NONE, 0, 0 },
	{ "IPv4 in IPv4", MACS "0800 " IP4("003c", "4000", "04") INNER4("0028") TCP20, PACKET_INNER_IP, 4, 2 },
	{ "IPv6 in IPv4", MACS "0800 " IP4("0050", "4000", "29") IP6("0014", "06") TCP20, PACKET_INNER_IP, 6, 2 },
	{ "IPv4 in IPv6", MACS "86dd " IP6("0028", "04") INNER4("0028") TCP20, PACKET_INNER_IP, 4, 2 },
	{ "GRE", MACS "0800 " IP4("0040", "4000", "2f") "0000 0800 " INNER4("0028") TCP20, PACKET_INNER_IP, 4, 2 },
	{ "GRE with checksum, key and number", MACS "0800 " IP4("004c", "4000", "2f") "b000 0800 00000000 00000001 00000002 " INNER4("0028") TCP20, PACKET_INNER_IP, 4, 2 },
	{ "Ethernet in GRE", MACS "0800 " IP4("004e", "4000", "2f") "0000 6558 " MACS "0800 " INNER4("0028") TCP20, PACKET_INNER_IP, 4, 2 },
	{ "ARP in Ethernet in GRE", MACS "0800 " IP4("002e", "4000", "2f") "0000 6558 " MACS "0806 0001 0800 0604 0001", PACKET_INNER_OTHER, 0, 0 },
	{ "MPLS in GRE", MACS "0800 " IP4("001c", "4000", "2f") "0000 8847 00000000", PACKET_INNER_OTHER, 0, 0 },
	{ "GRE version 1", MACS "0800 " IP4("0018", "4000", "2f") "0001 880b", PACKET_INNER_UNKNOWN, 0, 0 },
	{ "GRE with routing", MACS "0800 " IP4("0018", "4000", "2f") "4000 0800", PACKET_INNER_UNKNOWN, 0, 0 },
	{ "GRE cut", MACS "0800 " IP4("0016", "4000", "2f") "0000", PACKET_INNER_UNKNOWN, 0, 0 },
	{ "inner header cut", MACS "0800 " IP4("001c", "4000", "04") "45000028 00010000", PACKET_INNER_UNKNOWN, 0, 0 },
	{ "nothing inside", MACS "0800 " IP4("0014", "4000", "04"), PACKET_INNER_UNKNOWN, 0, 0 },
	{ "a later fragment", MACS "0800 " IP4("0028", "0010", "04") TCP20, PACKET_INNER_UNKNOWN, 0, 0 },
};

static void tunnels(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p, inner;
		size_t len = hex(rows[i].frame);

		assert_int_equal(packet_parse(bytes_of(frame, len), &p), ERROR_none);
		if (packet_inner_of(&p, &inner) != rows[i].want)
			fail_msg("%s: %d", rows[i].name, packet_inner_of(&p, &inner));
		if (rows[i].want != PACKET_INNER_IP)
			continue;
		assert_int_equal(inner.ip_version, rows[i].version);
		assert_int_equal(inner.destination.byte[rows[i].version == 6 ? 15 : 3], rows[i].last);
		assert_int_equal(inner.source_port, 0x3412);
	}
}

/* Fills in the ICMP checksum of `frame`. */
static bool too_big(size_t len, struct packet_too_big *out)
{
	struct packet p;
	uint64_t sum = 0;
	uint16_t folded;

	assert_int_equal(packet_parse(bytes_of(frame, len), &p), ERROR_none);
	memset(frame + p.l4_offset + 2, 0, 2);
	if (p.ip_version == 6) {
		sum = packet_sum(packet_sum(0, p.source.byte, 16), p.destination.byte, 16);
		sum += __builtin_bswap16((uint16_t)(len - p.l4_offset)) + __builtin_bswap16(58);
	}
	folded = (uint16_t)~packet_sum_fold(packet_sum(sum, frame + p.l4_offset, len - p.l4_offset));
	memcpy(frame + p.l4_offset + 2, &folded, 2);
	return packet_too_big(&p, out);
}

#define ERROR4(type, mtu) MACS "0800 " IP4("0038", "0000", "01") type " 0000 0000 " mtu " "
#define QUOTE4 "4500 05dc 0001 4000 40 06 0000 c0000201 c0000202 1234 1538 00000abc"

static void too_big_ip4(void **state)
{
	struct packet_too_big big;
	struct packet p;

	assert_true(too_big(hex(ERROR4("0304", "0578") QUOTE4), &big));
	assert_int_equal(big.mtu_bytes, 1400);
	assert_int_equal(big.seq, 0xabc);
	assert_int_equal(big.quoted.source.byte[3], 1);
	assert_int_equal(big.quoted.destination_port, 0x3815);
	assert_true(too_big(hex(ERROR4("0304", "0044") QUOTE4), &big));
	assert_int_equal(big.mtu_bytes, 552); /* as small as that is an attack */
	assert_true(too_big(hex(ERROR4("0304", "0000") QUOTE4), &big));
	assert_int_equal(big.mtu_bytes, 1492); /* an old router: the next usual size below 1500 */
	assert_false(too_big(hex(ERROR4("0303", "0578") QUOTE4), &big));  /* port unreachable */
	assert_false(too_big(hex(ERROR4("0b04", "0578") QUOTE4), &big));  /* time exceeded */
	assert_false(too_big(hex(ERROR4("0304", "0578") "4500 05dc 0001 4000 40 11 0000 c0000201 c0000202 1234 1538 00000abc"), &big));
	(void)too_big(hex(ERROR4("0304", "0578") QUOTE4), &big);
	frame[40] ^= 1; /* the checksum is wrong */
	assert_int_equal(packet_parse(bytes_of(frame, 70), &p), ERROR_none);
	assert_false(packet_too_big(&p, &big));
}

#define ERROR6(type, mtu) MACS "86dd " IP6("0038", "3a") type " 0000 " mtu " "
#define QUOTE6 IP6("05a0", "06") "1234 1538 00000abc"

static void too_big_ip6(void **state)
{
	struct packet_too_big big;

	assert_true(too_big(hex(ERROR6("0200", "00000514") QUOTE6), &big));
	assert_int_equal(big.mtu_bytes, 1300);
	assert_int_equal(big.seq, 0xabc);
	assert_int_equal(big.quoted.ip_version, 6);
	assert_true(too_big(hex(ERROR6("0200", "00000064") QUOTE6), &big));
	assert_int_equal(big.mtu_bytes, 1280);
	assert_false(too_big(hex(ERROR6("0300", "00000514") QUOTE6), &big));
}

/* What is quoted may be cut anywhere. */
static void cut_anywhere(void **state)
{
	for (size_t len = 14 + 20; len < 14 + 20 + 36; len++) {
		struct packet_too_big big;

		(void)hex(ERROR4("0304", "0578") QUOTE4);
		frame[16] = 0;
		frame[17] = (uint8_t)(len - 14);
		assert_false(len >= 14 + 20 + 4 && too_big(len, &big));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tunnels), cmocka_unit_test(too_big_ip4), cmocka_unit_test(too_big_ip6), cmocka_unit_test(cut_anywhere),
	};

	return cmocka_run_group_tests_name("packets inside packets", tests, NULL, NULL);
}
