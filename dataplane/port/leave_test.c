/* What is left to do on a frame, for devices that can do more or less. No device is needed, nor a pool: a buffer on the stack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include <rte_net.h>

#include "dataplane/port/leave.h"

#define TX (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define TCP_ONLY RTE_ETH_TX_OFFLOAD_TCP_CKSUM
#define CARD (TX | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO)
#define PARTIAL RTE_MBUF_F_RX_L4_CKSUM_NONE
#define LARGE (RTE_MBUF_F_RX_L4_CKSUM_NONE | RTE_MBUF_F_RX_LRO)
#define SEG RTE_MBUF_F_TX_TCP_SEG
#define V4 RTE_MBUF_F_TX_IPV4
#define V6 RTE_MBUF_F_TX_IPV6
#define MTU_BYTES 1500

static const uint8_t tcp4[] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 44, 0, 1, 0x40, 0, 64, 6, 0x26, 0xc9, 10, 0, 0, 1, 10, 0, 0, 2,
	0x12, 0x34, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0x12, 0x34, 0, 0, 'p', 'a', 'r', 't',
};
static const uint8_t tcp6[] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd,
	0x60, 0, 0, 0, 0, 24, 6, 64, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
	0x12, 0x34, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0x12, 0x34, 0, 0, 'p', 'a', 'r', 't',
};
static const uint8_t udp4[] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 32, 0, 1, 0x40, 0, 64, 17, 0x26, 0xca, 10, 0, 0, 1, 10, 0, 0, 2,
	0x12, 0x34, 0, 53, 0, 12, 0x12, 0x34, 'p', 'a', 'r', 't',
};
static const uint8_t options4[] = { /* three NOPs and an end */
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x46, 0, 0, 48, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 0,
	0x12, 0x34, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0x12, 0x34, 0, 0, 'p', 'a', 'r', 't',
};
static const uint8_t fragment4[] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 44, 0, 1, 0x20, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
	0x12, 0x34, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0x12, 0x34, 0, 0, 'p', 'a', 'r', 't',
};
static const uint8_t arp[60] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6 };
static const uint8_t long_tcp_header[] = { /* says 60 bytes */
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 44, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
	0x12, 0x34, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 2, 0xf0, 0x18, 1, 0, 0x12, 0x34, 0, 0, 'p', 'a', 'r', 't',
};

#define FRAME(f) f, sizeof f

static const struct {
	const char *name;
	const uint8_t *frame;
	size_t len;
	uint64_t came, can;
	uint16_t segment_bytes;
	uint32_t cuts;
	bool leaves;
	uint64_t flags;   /* 0: done here */
} rows[] = {
	/* name                             frame                  came     can       seg   cuts   leaves flags */
	{ "TCP, by the device",             FRAME(tcp4),           PARTIAL, TX,       0,    0,     true,  RTE_MBUF_F_TX_TCP_CKSUM | V4 },
	{ "TCP over IPv6, by the device",   FRAME(tcp6),           PARTIAL, CARD,     0,    16320, true,  RTE_MBUF_F_TX_TCP_CKSUM | V6 },
	{ "UDP, by the device",             FRAME(udp4),           PARTIAL, CARD,     0,    16320, true,  RTE_MBUF_F_TX_UDP_CKSUM | V4 },
	{ "UDP, done here",                 FRAME(udp4),           PARTIAL, TCP_ONLY, 0,    0,     true,  0 },
	{ "TCP, done here",                 FRAME(tcp4),           PARTIAL, 0,        0,    0,     true,  0 },
	{ "TCP behind options, done here",  FRAME(options4),       PARTIAL, CARD,     0,    16320, true,  0 },
	{ "to be cut, virtio",              FRAME(tcp4),           LARGE,   TX,       1448, 65400, true,  SEG | V4 },
	{ "to be cut, a card",              FRAME(tcp4),           LARGE,   CARD,     1448, 65400, true,  SEG | V4 | RTE_MBUF_F_TX_IP_CKSUM },
	{ "to be cut, IPv6",                FRAME(tcp6),           LARGE,   CARD,     1440, 65400, true,  SEG | V6 },
	{ "the longest segment",            FRAME(tcp4),           LARGE,   TX,       1460, 65400, true,  SEG | V4 },
	{ "a segment above the MTU",        FRAME(tcp4),           LARGE,   TX,       1461, 65400, false, 0 },
	{ "nobody says how to cut",         FRAME(tcp4),           LARGE,   TX,       0,    65400, false, 0 },
	{ "it does not cut",                FRAME(tcp4),           LARGE,   TX,       1448, 0,     false, 0 },
	{ "more than it takes",             FRAME(tcp4),           LARGE,   TX,       1448, 57,    false, 0 },
	{ "to be cut, behind options",      FRAME(options4),       LARGE,   CARD,     1400, 65400, false, 0 },
	{ "to be cut, but UDP",             FRAME(udp4),           LARGE,   CARD,     1400, 65400, false, 0 },
	{ "to be cut, a header too long",   FRAME(long_tcp_header), LARGE,  CARD,     1400, 65400, false, 0 },
	{ "a fragment",                     FRAME(fragment4),      PARTIAL, CARD,     0,    65400, false, 0 },
	{ "neither TCP nor UDP",            FRAME(arp),            PARTIAL, CARD,     0,    65400, false, 0 },
};

static void each_frame_leaves_as_it_has_to(void **state)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct port_plan to = { .tx_offloads = rows[i].can, .segment_bytes_max = rows[i].cuts };
		uint8_t frame[128];
		struct rte_mbuf m = { .buf_addr = frame, .data_len = (uint16_t)rows[i].len, .pkt_len = (uint32_t)rows[i].len, .ol_flags = rows[i].came,
			.tso_segsz = rows[i].segment_bytes };
		struct packet p;

		memcpy(frame, rows[i].frame, rows[i].len);
		assert_true(leave_is_unfinished(&m));
		if (leave_prepare(&m, &to, MTU_BYTES) != rows[i].leaves)
			fail_msg("%s: %s", rows[i].name, rows[i].leaves ? "stays" : "leaves");
		if (!rows[i].leaves)
			continue;
		if (m.ol_flags != rows[i].flags)
			fail_msg("%s: flags %llx", rows[i].name, (unsigned long long)m.ol_flags);
		assert_false(leave_is_unfinished(&m));
		assert_int_equal(packet_parse(bytes_of(frame, rows[i].len), &p), ERROR_none);
		assert_int_equal(m.l2_len, p.l3_offset);
		assert_int_equal(m.l3_len, p.l4_offset - p.l3_offset);
		/* Done here: all of TCP or UDP, with what the field held, sums up to it. */
		if (rows[i].flags == 0) {
			size_t field = p.l4_offset + (p.protocol == PACKET_TCP ? 16u : 6u);
			uint16_t sum;

			memcpy(&sum, frame + field, 2);
			memcpy(frame + field, rows[i].frame + field, 2);
			assert_int_equal(sum, (uint16_t)~packet_sum_fold(packet_sum(0, frame + p.l4_offset, rows[i].len - p.l4_offset)));
		}
		assert_memory_equal(frame + rows[i].len - 4, "part", 4);
	}
}

static void what_is_finished_is_not_asked(void **state)
{
	static const uint64_t flags[] = { 0, RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD };

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		assert_false(leave_is_unfinished(&(struct rte_mbuf){ .ol_flags = flags[i] }));
}

static void our_own_frames(void **state)
{
	static const struct {
		const uint8_t *frame;
		uint16_t l3, cut;
		uint64_t can, flags;
	} own[] = {
		{ tcp4, 20, 0, CARD, RTE_MBUF_F_TX_TCP_CKSUM | V4 }, { tcp4, 20, 1448, CARD, SEG | V4 | RTE_MBUF_F_TX_IP_CKSUM },
		{ tcp4, 20, 1448, TX, SEG | V4 }, { tcp6, 40, 0, TX, RTE_MBUF_F_TX_TCP_CKSUM | V6 }, { tcp6, 40, 1440, CARD, SEG | V6 },
	};

	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		struct port_plan to = { .tx_offloads = own[i].can };
		struct packet_built built = { .bytes = 60, .l2_bytes = 14, .l3_bytes = own[i].l3, .l4_bytes = 32 };
		struct rte_mbuf m = { .buf_addr = (void *)(uintptr_t)own[i].frame };

		leave_own(&m, &to, &built, own[i].cut);
		assert_int_equal(m.ol_flags, own[i].flags);
		assert_int_equal(m.tso_segsz, own[i].cut);
		assert_int_equal(m.l2_len + m.l3_len + m.l4_len, 14 + own[i].l3 + 32);
	}
}

static const struct {
	const uint8_t *like;
	size_t len;
	uint16_t cut;
} asked[] = {
	{ FRAME(tcp4), 0 }, { FRAME(tcp4), 300 }, { FRAME(tcp6), 0 }, { FRAME(tcp6), 300 },
};

/* What drivers check before they believe us, and what they would make of a frame of ours: the checksum field is what they want there
 * already, and only the length of what is cut goes out of it, and the sum of IPv4's header, which the card makes for each piece. */
static void a_driver_finds_nothing_to_mend(void **state)
{
	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
		struct port_plan card = { .tx_offloads = CARD };
		struct tcp_segment s = { .seq = 1, .ack = 2, .flags = TCP_ACK, .payload_bytes = 1000, .span_count = 1, .cut_bytes = asked[i].cut };
		uint8_t payload[1000], frame[2048], before[2048];
		struct packet_template t;
		struct packet_built built;
		struct rte_mbuf m = { .buf_addr = frame, .nb_segs = 1 };
		struct packet p;
		size_t field;

		memset(payload, 'x', sizeof payload);
		s.spans[0] = s.cut_bytes ? (struct bytes){ 0 } : bytes_of(payload, sizeof payload);
		s.many = s.cut_bytes ? &(struct bytes){ payload, sizeof payload } : NULL;
		assert_int_equal(packet_parse(bytes_of(asked[i].like, asked[i].len), &p), ERROR_none);
		packet_template_from(&t, &p);
		built = packet_build(&t, &s, frame, sizeof frame, PACKET_BUILD_PSEUDO);
		assert_true(built.bytes > 1000);
		m.data_len = (uint16_t)built.bytes;
		m.pkt_len = (uint32_t)built.bytes;
		leave_own(&m, &card, &built, s.cut_bytes);
		memcpy(before, frame, built.bytes);
		assert_int_equal(rte_validate_tx_offload(&m), 0);
		assert_int_equal(rte_net_intel_cksum_prepare(&m), 0);
		field = built.l2_bytes + built.l3_bytes + 16u;
		if (s.cut_bytes) {
			memcpy(before + field, frame + field, 2);
			memset(before + 24, 0, p.ip_version == 4 ? 2 : 0);
		}
		if (s.cut_bytes && p.ip_version == 6)
			memcpy(before + 24, frame + 24, 2);
		assert_memory_equal(frame, before, built.bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_frame_leaves_as_it_has_to),
		cmocka_unit_test(what_is_finished_is_not_asked),
		cmocka_unit_test(our_own_frames),
		cmocka_unit_test(a_driver_finds_nothing_to_mend),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("leave", tests, NULL, NULL);
}
