/* What is no plain segment, in front of a guarded service: fragments, extension headers, tunnels, ICMP. Through the real
 * conductor: relay_frame says what becomes of each frame. */
#include "tests/simulate/conductor_stage.h"

#include <string.h>

#define STAGED(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)
#define IP 14

static uint8_t frame[4096];

static enum relay_route put(unsigned port, size_t len)
{
	return relay_frame(stage->relay, port, bytes_of(frame, len), PACKET_CHECKSUM_UNKNOWN, stage->now_us);
}

static uint64_t dropped(enum error why)
{
	return relay_counters(stage->relay)->drop[why];
}

static void ip_checksum(uint8_t *ip, size_t len)
{
	uint16_t sum;

	memset(ip + 10, 0, 2);
	sum = (uint16_t)~packet_sum_fold(packet_sum(0, ip, len));
	memcpy(ip + 10, &sum, 2);
}

/* The client's SYN with `options` bytes of IPv4 options; returns the frame's length. */
static size_t syn_frame(const char *options, size_t options_bytes)
{
	struct tcp_segment syn = { .seq = stage->end[0].next, .window = 60000, .flags = TCP_SYN };
	size_t len = packet_build(&stage->end[0].template, &syn, frame, sizeof frame, PACKET_BUILD_FULL).bytes;

	memmove(frame + IP + 20 + options_bytes, frame + IP + 20, len - IP - 20);
	memcpy(frame + IP + 20, options, options_bytes);
	frame[IP] = (uint8_t)(0x45 + options_bytes / 4);
	frame[IP + 3] = (uint8_t)(frame[IP + 3] + options_bytes);
	ip_checksum(frame + IP, 20 + options_bytes);
	return len + options_bytes;
}

/* [from, from + len) of the payload of the IPv4 packet in `whole`, as a fragment in `frame`. */
static size_t cut(const uint8_t *whole, size_t from, size_t len, bool more)
{
	memcpy(frame, whole, IP + 20);
	memcpy(frame + IP + 20, whole + IP + 20 + from, len);
	frame[IP + 2] = 0;
	frame[IP + 3] = (uint8_t)(20 + len);
	frame[IP + 6] = (uint8_t)(more << 5);
	frame[IP + 7] = (uint8_t)(from / 8);
	ip_checksum(frame + IP, 20);
	return IP + 20 + len;
}

static void a_syn_in_fragments_opens_a_flow(void **state)
{
	uint8_t whole[256];
	size_t len = syn_frame("", 0);

	memcpy(whole, frame, len);
	assert_int_equal(put(0, cut(whole, 8, len - IP - 28, false)), RELAY_TAKEN);
	assert_int_equal(relay_flows_open(stage->relay), 0);
	assert_int_equal(put(0, cut(whole, 0, 8, true)), RELAY_TAKEN);
	assert_int_equal(relay_flows_open(stage->relay), 1);
}

static void overlapping_fragments_open_nothing(void **state)
{
	uint8_t whole[256];
	size_t len = syn_frame("", 0);

	memcpy(whole, frame, len);
	assert_int_equal(put(0, cut(whole, 0, 16, true)), RELAY_TAKEN);
	assert_int_equal(put(0, cut(whole, 8, len - IP - 28, false)), RELAY_DROPPED);
	assert_int_equal(put(0, cut(whole, 16, len - IP - 36, false)), RELAY_DROPPED);
	assert_int_equal(relay_flows_open(stage->relay), 0);
	assert_int_equal(dropped(ERROR_fragment_guarded), 2);
}

/* The server's answer in fragments is read as well, and never passed to the client as it is. */
static void an_answer_in_fragments_is_read(void **state)
{
	struct tcp_segment answer = { .window = 60000, .flags = TCP_ACK | TCP_PSH, .payload_bytes = 16, .span_count = 1 };
	uint8_t whole[256];
	unsigned before;
	size_t len;

	stage_log_in(stage);
	answer.seq = stage->end[1].next;
	answer.ack = stage->end[1].ack;
	answer.spans[0] = bytes_of("a secret answer\n", 16);
	len = packet_build(&stage->end[1].template, &answer, whole, sizeof whole, PACKET_BUILD_FULL).bytes;
	before = stage->tail;
	assert_int_equal(put(1, cut(whole, 0, 24, true)), RELAY_TAKEN);
	assert_int_equal(stage->tail, before);
	assert_int_equal(put(1, cut(whole, 24, len - IP - 44, false)), RELAY_TAKEN);
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "a secret answer"));
}

/* Fragments that turn out to be nobody's to read go on as they came. */
static void fragments_of_what_passes_are_passed(void **state)
{
	uint8_t whole[256];
	unsigned before = stage->tail;
	size_t len;

	(void)syn_frame("", 0);
	frame[IP + 9] = PACKET_TCP;
	frame[IP + 20 + 13] = TCP_ACK; /* a guarded host's own connection to somewhere: ports that no service names */
	memcpy(frame + IP + 20 + 2, "\x99\x99", 2);
	len = IP + 40;
	memcpy(whole, frame, len);
	{
		struct tcp_segment s = { .flags = TCP_ACK };
		struct packet_template t = stage->end[0].template;

		t.destination_port = 0x9999;
		len = packet_build(&t, &s, whole, sizeof whole, PACKET_BUILD_FULL).bytes;
	}
	assert_int_equal(put(0, cut(whole, 0, 16, true)), RELAY_TAKEN);
	assert_int_equal(stage->tail, before);
	assert_int_equal(put(0, cut(whole, 16, len - IP - 36, false)), RELAY_TAKEN);
	assert_int_equal(stage->tail, before + 2);
	assert_int_equal(stage->queue_port[before % STAGE_FRAMES], 1);
	assert_int_equal(stage->queue_bytes[before % STAGE_FRAMES], IP + 20 + 16);
	stage->head = stage->tail; /* no end of the stage understands them */
}

static void options_pass_source_routes_do_not(void **state)
{
	assert_int_equal(put(0, syn_frame("\x83\x07\x04\x0a\0\0\x0a\0", 8)), RELAY_DROPPED);
	assert_int_equal(put(0, syn_frame("\x89\x07\x04\x0a\0\0\x0a\0", 8)), RELAY_DROPPED);
	assert_int_equal(put(0, syn_frame("\x83\x01\0\0", 4)), RELAY_DROPPED); /* no length that can be */
	assert_int_equal(relay_flows_open(stage->relay), 0);
	assert_int_equal(put(0, syn_frame("\x94\x04\0\0", 4)), RELAY_TAKEN); /* router alert */
	assert_int_equal(relay_flows_open(stage->relay), 1);
}

/* To a router, with the guarded target as the last hop. */
static void a_route_over_somebody_else_leads_nowhere(void **state)
{
	size_t len = syn_frame("\x83\x07\x04\x0a\0\0\x0a\0", 8);

	frame[IP + 19] = 99;
	ip_checksum(frame + IP, 28);
	assert_int_equal(put(0, len), RELAY_DROPPED);
	frame[IP + 26] = 98; /* the last hop is not guarded either */
	ip_checksum(frame + IP, 28);
	assert_int_equal(put(0, len), RELAY_BRIDGE);
}

/* A second list of addresses, or one that cannot be read, hides nothing. */
static void a_route_that_cannot_be_read_leads_nowhere(void **state)
{
	static const struct {
		const char *options;
		size_t len;
	} rows[] = {
		{ "\x83\x07\x04\x0a\0\0\x0a\x83\x07\x04\x0a\0\0\x62\0\0", 16 }, /* the guarded target in the first of two */
		{ "\x83\x07\x04\x0a\0\0\x0a\x89\x02\0\0\0", 12 },
		{ "\x83\x07\x04\x0a\0\0\x0a\x89\0\0\0\0", 12 },
		{ "\x89\x03\x04\0", 4 },
		{ "\x89\x06\x04\x0a\0\0\0\0", 8 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t len = syn_frame(rows[i].options, rows[i].len);

		frame[IP + 19] = 99;
		frame[IP + 15] = 50; /* between two that are not guarded */
		ip_checksum(frame + IP, 20 + rows[i].len);
		assert_int_equal(put(0, len), RELAY_DROPPED);
	}
	assert_int_equal(dropped(ERROR_fragment_guarded), sizeof rows / sizeof rows[0]);
}

/* `depth` headers of IP in IP or GRE to 10.0.0.99 around a packet to 10.0.0.`last`. */
static size_t tunnel(bool gre, unsigned depth, uint8_t last)
{
	static uint8_t inner[2048];
	size_t len = syn_frame("", 0) - IP;

	frame[IP + 19] = last;
	frame[IP + 15] = 50; /* from somebody else */
	ip_checksum(frame + IP, 20);
	for (unsigned i = 0; i < depth; i++) {
		size_t extra = gre ? 24 : 20;

		memcpy(inner, frame + IP, len);
		memcpy(frame + IP + extra, inner, len);
		len += extra;
		frame[IP] = 0x45;
		frame[IP + 2] = (uint8_t)(len >> 8);
		frame[IP + 3] = (uint8_t)len;
		frame[IP + 9] = gre ? 47 : 4;
		frame[IP + 19] = 99;
		if (gre)
			memcpy(frame + IP + 20, "\0\0\x08\0", 4);
		ip_checksum(frame + IP, 20);
	}
	return IP + len;
}

static void tunnels_lead_past_nobody(void **state)
{
	for (unsigned gre = 0; gre < 2; gre++) {
		for (unsigned depth = 1; depth <= 3; depth++) {
			assert_int_equal(put(0, tunnel(gre, depth, 10)), RELAY_DROPPED);
			assert_int_equal(put(0, tunnel(gre, depth, 98)), RELAY_BRIDGE);
		}
		assert_int_equal(put(0, tunnel(gre, 6, 98)), RELAY_DROPPED); /* deeper than anybody looks */
	}
	assert_int_equal(dropped(ERROR_tunnel_guarded), 8);
	assert_int_equal(put(0, tunnel(true, 1, 98)), RELAY_BRIDGE);
	frame[IP + 6] = 0x00;
	frame[IP + 7] = 2; /* a later fragment, over what might be the inner header */
	ip_checksum(frame + IP, 20);
	assert_int_equal(put(0, IP + 20 + 44), RELAY_DROPPED);
	frame[IP + 7] = 100;
	ip_checksum(frame + IP, 20);
	assert_int_equal(put(0, IP + 20 + 44), RELAY_BRIDGE);
}

static size_t too_big(unsigned to, uint32_t seq, uint16_t mtu)
{
	struct tcp_segment lost = { .seq = seq, .flags = TCP_ACK };
	struct packet_template t = stage->end[!to].template;
	uint8_t quoted[128];
	uint16_t sum;

	/* What the far end of that wire saw from us looks like the other end's own. */
	(void)packet_build(&t, &lost, quoted, sizeof quoted, PACKET_BUILD_FULL);
	memcpy(frame, quoted + 6, 6);
	memcpy(frame + 6, quoted, 6);
	memcpy(frame + 12, "\x08\0\x45\0\0\x38\0\0\0\0\x40\x01\0\0\x0a\0\0\x63", 18);
	memcpy(frame + 30, quoted + IP + 12, 4);
	memcpy(frame + 34, "\x03\x04\0\0\0\0", 6);
	frame[40] = (uint8_t)(mtu >> 8);
	frame[41] = (uint8_t)mtu;
	memcpy(frame + 42, quoted + IP, 28);
	ip_checksum(frame + IP, 20);
	sum = (uint16_t)~packet_sum_fold(packet_sum(0, frame + 34, 36));
	memcpy(frame + 36, &sum, 2);
	return 70;
}

/* A router behind us has a smaller link: the flow sends smaller segments, and the ends hear of it as well. */
static void too_big_is_obeyed_and_passed_on(void **state)
{
	static char line[1300];
	size_t largest = 0;
	unsigned from;

	stage_log_in(stage);
	memset(line, 'x', sizeof line - 2);
	line[0] = '#';
	line[sizeof line - 2] = '\n';
	from = stage->head;
	stage_transmit(stage, 1, TCP_ACK | TCP_PSH, line);
	stage->now_us += 1000;
	relay_turn(stage->relay, stage->now_us);
	assert_true(stage->tail > from);
	stage->head = stage->tail; /* lost on the client's wire, which has a small link */
	assert_int_equal(put(0, too_big(0, stage->end[0].ack, 552)), RELAY_BRIDGE);
	from = stage->tail;
	stage->now_us += 1000;
	relay_turn(stage->relay, stage->now_us);
	for (; from != stage->tail; from++)
		if (stage->queue_port[from % STAGE_FRAMES] == 0 && stage->queue_bytes[from % STAGE_FRAMES] > largest)
			largest = stage->queue_bytes[from % STAGE_FRAMES];
	assert_int_equal(largest, IP + 552); /* 590 before: the stage's ends say nothing about their MSS */
	stage_settle(stage);
	assert_true(stage->end[0].got_bytes > 1298);
}

/* About a number that is not in flight: somebody guesses. */
static void too_big_about_nothing_is_ignored(void **state)
{
	static char line[1300];
	size_t largest = 0;
	unsigned from;

	stage_log_in(stage);
	assert_int_equal(put(0, too_big(0, stage->end[0].ack + 100000, 552)), RELAY_BRIDGE);
	memset(line, 'x', sizeof line - 2);
	line[0] = '#';
	line[sizeof line - 2] = '\n';
	from = stage->tail;
	stage_transmit(stage, 1, TCP_ACK | TCP_PSH, line);
	stage->now_us += 1000;
	relay_turn(stage->relay, stage->now_us);
	for (; from != stage->tail; from++)
		if (stage->queue_bytes[from % STAGE_FRAMES] > largest)
			largest = stage->queue_bytes[from % STAGE_FRAMES];
	assert_int_equal(largest, IP + 576);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(a_syn_in_fragments_opens_a_flow), STAGED(overlapping_fragments_open_nothing), STAGED(an_answer_in_fragments_is_read),
		STAGED(fragments_of_what_passes_are_passed), STAGED(options_pass_source_routes_do_not),
		STAGED(a_route_over_somebody_else_leads_nowhere), STAGED(a_route_that_cannot_be_read_leads_nowhere), STAGED(tunnels_lead_past_nobody),
		STAGED(too_big_is_obeyed_and_passed_on), STAGED(too_big_about_nothing_is_ignored),
	};

	return cmocka_run_group_tests_name("the edges of a guarded service", tests, NULL, NULL);
}
