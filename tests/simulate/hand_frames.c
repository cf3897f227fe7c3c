#include "tests/simulate/hand_frames.h"

#include <string.h>

enum relay_route give_only(unsigned number, unsigned from, uint8_t flags, uint32_t seq, uint32_t ack, const char *text)
{
	struct tcp_segment s = { .seq = seq, .ack = ack, .window = 60000, .flags = flags };
	uint8_t head[sizeof stage_frame_head], frame[128];
	struct packet_template t;
	struct packet p;

	if (text) {
		s.spans[0] = bytes_str(text);
		s.span_count = 1;
		s.payload_bytes = (uint32_t)strlen(text);
	}
	memcpy(head, stage_frame_head, sizeof head);
	head[34] = (uint8_t)(number >> 8 & 0x7f);
	head[35] = (uint8_t)number;
	assert_int_equal(packet_parse(bytes_of(head, sizeof head), &p), ERROR_none);
	if (from == 0)
		packet_template_from(&t, &p);
	else
		packet_template_reply(&t, &p);
	return relay_frame(stage->relay, from, bytes_of(frame, packet_build(&t, &s, frame, sizeof frame, PACKET_BUILD_FULL).bytes), PACKET_CHECKSUM_UNKNOWN,
			   stage->now_us);
}

void turn(void)
{
	stage->now_us += 10;
	(void)relay_turn(stage->relay, stage->now_us);
}

enum relay_route give(unsigned number, unsigned from, uint8_t flags, uint32_t seq, uint32_t ack, const char *text)
{
	enum relay_route route;

	stage->head = stage->tail = 0;
	route = give_only(number, from, flags, seq, ack, text);
	turn();
	return route;
}

struct tcp_segment said(unsigned at)
{
	struct tcp_segment s = { 0 };
	struct packet p;

	for (unsigned i = stage->head; i != stage->tail; i++) {
		if (stage->queue_port[i % STAGE_FRAMES] != at)
			continue;
		assert_int_equal(packet_parse(bytes_of(stage->queue[i % STAGE_FRAMES], stage->queue_bytes[i % STAGE_FRAMES]), &p), ERROR_none);
		assert_int_equal(packet_segment(&p, PACKET_CHECKSUM_GOOD, &s), ERROR_none);
	}
	return s;
}

void open_one(unsigned number)
{
	give(number, 0, TCP_SYN, CLIENT - 1, 0, NULL);
	give(number, 1, TCP_SYN | TCP_ACK, SERVER - 1, CLIENT, NULL);
	give(number, 0, TCP_ACK, CLIENT, SERVER, NULL);
}
