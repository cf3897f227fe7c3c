/* The port over net_ring, whose frames come back to the port that sent them; and what the operator reads when a port is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <rte_mbuf.h>
#include <stdio.h>

#include "dataplane/port/environment.h"
#include "dataplane/port/port.h"

#define FRAMES_MANY 20000

static struct ports *ports;

static const char *const devices[PORT_COUNT] = { "net_ring0", "net_ring1" };

static int start(void **state)
{
	static const char *const args[] = { "--no-huge", "-m", "128", "--no-shconf", NULL };
	char err[512] = "";

	if (!port_start_environment("port_test", "0", devices, args, err, sizeof err) || !(ports = port_start(devices, 1500, 1, err, sizeof err)))
		fprintf(stderr, "# %s\n", err);
	return ports ? 0 : -1;
}

static int stop(void **state)
{
	port_stop(ports);
	return 0;
}

static void fill(uint8_t *at, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(seed * 31 + i * 7);
}

static bool send_one(unsigned port, size_t len, uint32_t seed)
{
	size_t cap = 0;
	uint8_t *room = port_room(ports, port, &cap);

	if (!room)
		return false;
	assert_true(cap >= len);
	fill(room, len, seed);
	port_send(ports, port, len);
	return true;
}

static struct port_frame *receive_one(unsigned port)
{
	struct port_frame *frame = NULL;

	assert_int_equal(port_receive(ports, port, &frame, 1), 1);
	return frame;
}

static void check(const struct port_frame *frame, size_t len, uint32_t seed)
{
	struct bytes got = port_bytes(frame);
	uint8_t want[2048];

	fill(want, len, seed);
	assert_int_equal(got.len, len);
	assert_memory_equal(got.base, want, len);
}

static void a_frame_goes_through_as_it_is(void **state)
{
	static const size_t lengths[] = { 60, 61, 1000, 1514, 1522 };

	for (uint32_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct port_frame *frame, *again;

		assert_true(send_one(0, lengths[i], i));
		port_flush(ports);
		frame = receive_one(0);
		check(frame, lengths[i], i);
		port_forward(ports, 1, frame);
		port_flush(ports);
		again = receive_one(1);
		assert_ptr_equal(again, frame); /* the same buffer, not a copy */
		check(again, lengths[i], i);
		port_drop(again);
	}
}

/* A device that was not asked to look at checksums: whatever it says of them, they are looked at here. */
static void what_was_not_asked_is_not_believed(void **state)
{
	static const uint64_t flags[] = { 0, RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD, RTE_MBUF_F_RX_L4_CKSUM_NONE };

	for (uint32_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		struct port_frame *frame;

		assert_true(send_one(0, 100, i));
		port_flush(ports);
		frame = receive_one(0);
		((struct rte_mbuf *)frame)->ol_flags |= flags[i];
		assert_int_equal(port_checksum(ports, frame), PACKET_CHECKSUM_UNKNOWN);
		port_forward(ports, 1, frame); /* nor is there anything to finish */
		port_flush(ports);
		frame = receive_one(1);
		check(frame, 100, i);
		port_drop(frame);
	}
	assert_false(port_help(ports, 0).checksum);
	assert_int_equal(port_help(ports, 0).frame_bytes_max, 0);
}

/* What is said to be a part of a longer frame, and is none that could be sent on, is dropped and counted. */
static void an_unfinished_frame_of_nothing_is_counted(void **state)
{
	uint64_t before = port_counters(ports, 0).dropped_split;
	struct port_frame *frame;

	assert_true(send_one(0, 100, 1));
	port_flush(ports);
	frame = receive_one(0);
	((struct rte_mbuf *)frame)->ol_flags |= RTE_MBUF_F_RX_LRO;
	port_forward(ports, 1, frame);
	port_flush(ports);
	assert_int_equal(port_counters(ports, 0).dropped_split, before + 1);
	assert_int_equal(port_receive(ports, 1, &frame, 1), 0);
}

static void a_short_frame_is_padded_with_zeros(void **state)
{
	struct port_frame *frame;
	struct bytes got;

	assert_true(send_one(0, 20, 5));
	port_flush(ports);
	frame = receive_one(0);
	got = port_bytes(frame);
	assert_int_equal(got.len, 60);
	for (size_t i = 20; i < 60; i++)
		assert_int_equal(got.base[i], 0);
	port_drop(frame);
}

static void room_that_is_given_back_sends_nothing(void **state)
{
	struct port_frame *frame;
	size_t cap;

	assert_non_null(port_room(ports, 0, &cap));
	port_send(ports, 0, 0);
	port_flush(ports);
	assert_int_equal(port_receive(ports, 0, &frame, 1), 0);
}

/* Nobody receives: the port says no before memory runs out, and afterwards every frame that it took is there, in order. */
static void a_full_port_says_no_and_loses_nothing(void **state)
{
	struct port_counters before = port_counters(ports, 0);
	uint32_t sent = 0, received = 0;
	struct port_frame *frame;

	while (sent < FRAMES_MANY && send_one(0, 100, sent))
		sent++;
	assert_true(sent > 0 && sent < FRAMES_MANY);
	for (uint32_t idle = 0; idle < 100; idle++) {
		port_flush(ports);
		while (port_receive(ports, 0, &frame, 1) == 1) {
			check(frame, 100, received++);
			port_drop(frame);
			idle = 0;
		}
	}
	assert_int_equal(received, sent);
	assert_int_equal(port_counters(ports, 0).sent - before.sent, sent);
	assert_int_equal(port_counters(ports, 0).received - before.received, sent);
	assert_int_equal(port_counters(ports, 0).dropped_full, before.dropped_full);
}

/* A bridged frame towards a port that takes no more is dropped and counted, and its memory comes back. */
static void a_bridged_frame_that_finds_no_room_is_counted(void **state)
{
	uint64_t before = port_counters(ports, 1).dropped_full, forwarded = 0;
	struct port_frame *frame;

	for (uint32_t i = 0; i < FRAMES_MANY; i++) {
		if (!send_one(0, 60, i))
			fail_msg("no memory after %u frames", i);
		port_flush(ports);
		port_forward(ports, 1, receive_one(0));
	}
	for (uint32_t idle = 0; idle < 100; idle++) {
		port_flush(ports);
		for (; port_receive(ports, 1, &frame, 1) == 1; idle = 0, forwarded++)
			port_drop(frame);
	}
	assert_true(port_counters(ports, 1).dropped_full > before);
	assert_int_equal(forwarded + port_counters(ports, 1).dropped_full - before, FRAMES_MANY);
}

static void what_a_pci_address_is(void **state)
{
	static const struct {
		const char *text;
		bool pci;
	} rows[] = {
		{ "0000:03:00.0", true }, { "03:00.1", true }, { "0000:AF:1f.7,queues=2", true }, { "0000:03:00.8", false },
		{ "000:03:00.0", false }, { "0000:03:00", false }, { "net_ring0", false }, { "net_tap", false }, { "", false }, { "0000-03-00.0", false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(environment_is_pci(rows[i].text), rows[i].pci);
}

/* What, where, and what to do. */
static void a_wrong_port_is_explained(void **state)
{
	static const struct {
		const char *device, *says, *remedy;
	} rows[] = {
		{ "net_af_packet7,iface=nonesuch0", "no network interface nonesuch0", "ip link" },
		{ "net_af_xdp7,start_queue=0,iface=nonesuch1", "no network interface nonesuch1", "ip link" },
		{ "0000:ff:1f.7", "there is no PCI device 0000:ff:1f.7", "dpdk-devbind.py" },
		{ "ff:1f.7", "there is no PCI device 0000:ff:1f.7", "dpdk-devbind.py" },
		{ "net_nosuchdriver0", "cannot be attached", "DPDK driver's name" },
		{ "eth0", "cannot be attached", "as net_af_xdp0,iface=" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char err[512] = "";
		uint16_t id;

		assert_false(environment_attach(rows[i].device, &id, err, sizeof err));
		if (!strstr(err, rows[i].says) || !strstr(err, rows[i].remedy) || !strstr(err, rows[i].device))
			fail_msg("%s: %s", rows[i].device, err);
	}
}

static void one_device_twice_is_seen(void **state)
{
	static const struct {
		const char *one, *other;
		bool same;
	} rows[] = {
		{ "net_af_packet0,iface=eth1", "net_af_packet1,iface=eth1", true }, { "net_af_packet0,iface=eth1", "net_af_xdp0,iface=eth2", false },
		{ "03:00.0", "0000:03:00.0", true }, { "03:00.0", "03:00.1", false }, { "net_ring0", "net_ring0", true }, { "net_ring0", "net_ring01", false },
		{ "net_af_packet0,iface=eth1,qpairs=1", "net_af_packet1,iface=eth10", false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(environment_same(rows[i].one, rows[i].other), rows[i].same);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_goes_through_as_it_is),
		cmocka_unit_test(what_was_not_asked_is_not_believed),
		cmocka_unit_test(an_unfinished_frame_of_nothing_is_counted),
		cmocka_unit_test(a_short_frame_is_padded_with_zeros),
		cmocka_unit_test(room_that_is_given_back_sends_nothing),
		cmocka_unit_test(a_full_port_says_no_and_loses_nothing),
		cmocka_unit_test(a_bridged_frame_that_finds_no_room_is_counted),
		cmocka_unit_test(what_a_pci_address_is),
		cmocka_unit_test(a_wrong_port_is_explained),
		cmocka_unit_test(one_device_twice_is_seen),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("port", tests, start, stop);
}
