/* The conductor under random frames, orders, policies and time. Nothing may be touched out of bounds, no flow may be lost, and no byte
 * may reach the server before an order `durable` was given. The first byte of the input sets the stage's mood, the rest is a
 * list of (operation, length, bytes).
 *
 * In an opaque mood the service is opaque: its flow is spliced, and taken back and handed over again by policies that come in between
 * (stage_reload); the others become policies that want it read, and so on. While nothing but the two ends' own segments came, what either
 * end got is then the beginning of what the other one said, and at the end no more octets are on record than were said. */
#include <stdlib.h>

#include "tests/simulate/conductor_stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

/* A stage is large: what was freed is kept for a few runs only. */
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=8";
}

static void raw_frame(unsigned port, struct bytes content, unsigned mode)
{
	uint8_t frame[2048];
	size_t head = mode & 1 ? sizeof stage_frame_head : 0;

	memcpy(frame, stage_frame_head, head);
	if (content.len > sizeof frame - head)
		content.len = sizeof frame - head;
	if (content.len)
		memcpy(frame + head, content.base, content.len);
	if (mode & 2 && head + content.len > 47)
		frame[47] = content.len ? content.base[0] : 0; /* the TCP flags */
	if (head + content.len >= 34 && frame[14] == 0x45) { /* the checksum of IPv4's header is always looked at */
		uint16_t sum;

		memset(frame + 24, 0, 2);
		sum = (uint16_t)~packet_sum_fold(packet_sum(0, frame + 14, 20));
		memcpy(frame + 24, &sum, 2);
	}
	(void)relay_frame(stage->relay, port, bytes_of(frame, head + content.len), PACKET_CHECKSUM_PARTIAL, stage->now_us);
}

static uint8_t said[2][60 * 300]; /* by each end, of its own free will */
static size_t said_bytes[2];
static bool plain;                /* nobody else sent anything, nothing was lost */

static void says(unsigned from, struct bytes content, uint8_t flags)
{
	char text[300];
	size_t len = content.len < sizeof text - 2 ? content.len : sizeof text - 2;

	for (size_t i = 0; i < len; i++)
		text[i] = content.base[i] ? (char)content.base[i] : '\n';
	text[len] = '\n';
	text[len + 1] = 0;
	memcpy(said[from] + said_bytes[from], text, len + 1);
	said_bytes[from] += len + 1;
	plain &= stage->end[from].open && !stage->end[from].reset;
	stage_transmit(stage, from, flags, text);
}

/* Another policy. The last bit of the content says whether its service is spliced, the one before whether it is opaque at all. */
static void reload(struct bytes content)
{
	uint8_t how = content.len ? content.base[0] : 0;

	stage->unspliced = how & 1;
	stage_opaque ^= how % 8 == 6;
	(void)stage_reload(stage);
}

/* Of an opaque flow that nobody disturbed. */
static void check_streams(void)
{
	const struct stage *s = stage;

	if (!plain)
		return;
	for (unsigned from = 0; from < 2; from++)
		if (s->end[1 - from].got_bytes > said_bytes[from] || memcmp(s->end[1 - from].got, said[from], s->end[1 - from].got_bytes) != 0)
			abort();
	if (s->closes > 0 && (s->octets_up > said_bytes[0] || s->octets_down > said_bytes[1]))
		abort();
}

static void one(uint8_t operation, struct bytes content)
{
	plain &= operation % 11 < 3 || operation % 11 == 6 || operation % 11 == 7 || operation % 11 == 10;
	switch (operation % 11) {
	case 0: case 1:
		says(0, content, TCP_ACK | TCP_PSH);
		break;
	case 2:
		says(1, content, TCP_ACK | TCP_PSH);
		break;
	case 3:
		stage_transmit(stage, operation / 10 & 1, content.len ? content.base[0] : TCP_ACK, NULL);
		break;
	case 4: case 5:
		raw_frame(operation / 10 & 1, content, operation / 20);
		break;
	case 6:
		stage->durable_given += content.len && content.base[0] % 16 == ORDER_durable;
		(void)!ring_write(&stage->orders, content.len ? content.base[0] % 16 : 0, content.len ? bytes_of(content.base + 1, content.len - 1) : content, NULL);
		break;
	case 7:
		stage_pass(stage, 100000u * (1 + operation / 10));
		break;
	case 8:
		stage_identify(stage, operation & 16);
		break;
	case 9:
		STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = operation / 10 % 4);
		break;
	case 10:
		reload(content);
		break;
	}
	stage_settle(stage);
	check_streams();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	uint8_t mood = reader_u8(&r);

	stage_active_max = mood & 8 ? 2 : 0; /* few records for flows in flight */
	stage_opaque = mood & 16;
	stage_memory_bytes = 1u << 20;
	stage_flows_max = 16;
	plain = stage_opaque && mood & 4;
	said_bytes[0] = said_bytes[1] = 0;
	(void)stage_open(NULL);
	stage->fuzzed = true;
	stage->answer_classify = mood & 1;
	stage->answer_durable = mood & 2;
	if (mood & 4)
		stage_transmit(stage, 0, TCP_SYN, NULL);
	stage_settle(stage);
	for (int i = 0; i < 60 && r.ok && r.left; i++) {
		uint8_t operation = reader_u8(&r), len = reader_u8(&r);

		one(operation, reader_bytes(&r, len < r.left ? len : r.left));
	}
	if (!(mood & 2) && stage->end[1].got_bytes > 0 && stage->durable_given == 0)
		abort();
	(void)stage_close(NULL);
	return 0;
}
