#include "control/capture/pcapng.h"

#include <inttypes.h>
#include <stdio.h>

enum block { BLOCK_INTERFACE = 1, BLOCK_STATISTICS = 5, BLOCK_PACKET = 6, BLOCK_SECTION = 0x0a0d0d0a };

/* Options, by the block that they belong to. */
enum option {
	OPTION_END = 0, OPTION_COMMENT = 1,
	SECTION_APPLICATION = 4,
	INTERFACE_NAME = 2, INTERFACE_DESCRIPTION = 3, INTERFACE_RESOLUTION = 9,
	PACKET_FLAGS = 2, PACKET_NUMBER = 5,
	STATISTICS_BEGIN = 2, STATISTICS_END = 3, STATISTICS_RECEIVED = 4, STATISTICS_DROPPED = 5,
};

#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINKTYPE_ETHERNET 1u
#define MICROSECONDS 6u  /* a power of ten */
#define FLAG_INBOUND 1u
#define FLAG_OUTBOUND 2u

/* The draft's 3.1: type, length, body, length again. */
static size_t block_begin(struct writer *w, uint32_t type)
{
	size_t at = w->len;

	writer_le32(w, type);
	writer_le32(w, 0);
	return at;
}

static void block_end(struct writer *w, size_t at)
{
	uint32_t len = (uint32_t)(w->len - at + 4);
	struct writer back = writer_of(w->base + at + 4, 4);

	writer_le32(w, len);
	if (w->ok)
		writer_le32(&back, len);
}

static void pad(struct writer *w, size_t len)
{
	for (; len % 4; len++)
		writer_u8(w, 0);
}

static void option(struct writer *w, enum option code, const void *value, size_t len)
{
	writer_le16(w, (uint16_t)code);
	writer_le16(w, (uint16_t)len);
	writer_bytes(w, value, len);
	pad(w, len);
}

static void option_text(struct writer *w, enum option code, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (len)
		option(w, code, text, len < PCAPNG_TEXT_BYTES_MAX ? len : PCAPNG_TEXT_BYTES_MAX);
}

static void option_u64(struct writer *w, enum option code, uint64_t value)
{
	uint8_t room[8];
	struct writer r = writer_of(room, sizeof room);

	writer_le64(&r, value);
	option(w, code, room, sizeof room);
}

/* 4.3 and 4.6: the upper half first, whatever the byte order. */
static void option_time(struct writer *w, enum option code, uint64_t us)
{
	uint8_t room[8];
	struct writer r = writer_of(room, sizeof room);

	writer_le32(&r, (uint32_t)(us >> 32));
	writer_le32(&r, (uint32_t)us);
	option(w, code, room, sizeof room);
}

static void options_end(struct writer *w)
{
	writer_le32(w, OPTION_END);
}

void pcapng_section(struct writer *w, const char *application, const char *comment)
{
	size_t at = block_begin(w, BLOCK_SECTION);

	writer_le32(w, BYTE_ORDER_MAGIC);
	writer_le16(w, 1); /* version 1.0 */
	writer_le16(w, 0);
	writer_le64(w, UINT64_MAX); /* the section's length is not said */
	option_text(w, OPTION_COMMENT, comment);
	option_text(w, SECTION_APPLICATION, application);
	options_end(w);
	block_end(w, at);
}

void pcapng_interface(struct writer *w, const char *name, const char *description, uint32_t snap_bytes)
{
	static const uint8_t resolution = MICROSECONDS;
	size_t at = block_begin(w, BLOCK_INTERFACE);

	writer_le16(w, LINKTYPE_ETHERNET);
	writer_le16(w, 0);
	writer_le32(w, snap_bytes);
	option_text(w, INTERFACE_NAME, name);
	option_text(w, INTERFACE_DESCRIPTION, description);
	option(w, INTERFACE_RESOLUTION, &resolution, 1);
	options_end(w);
	block_end(w, at);
}

void pcapng_packet(struct writer *w, const struct capture_record *r, struct bytes bytes, uint64_t number)
{
	size_t at = block_begin(w, BLOCK_PACKET);
	uint8_t flags[4] = { (r->direction & ~CAPTURE_MORE) == CAPTURE_IN ? FLAG_INBOUND : FLAG_OUTBOUND };
	char text[32];

	writer_le32(w, r->port);
	writer_le32(w, (uint32_t)(r->wall_us >> 32));
	writer_le32(w, (uint32_t)r->wall_us);
	writer_le32(w, (uint32_t)bytes.len);
	writer_le32(w, r->original);
	writer_bytes(w, bytes.base, bytes.len);
	pad(w, bytes.len);
	if (r->flow) {
		snprintf(text, sizeof text, "flow %016" PRIx64, r->flow);
		option_text(w, OPTION_COMMENT, text);
	}
	option(w, PACKET_FLAGS, flags, sizeof flags);
	option_u64(w, PACKET_NUMBER, number);
	options_end(w);
	block_end(w, at);
}

void pcapng_statistics(struct writer *w, uint32_t interface, const struct pcapng_counts *c)
{
	size_t at = block_begin(w, BLOCK_STATISTICS);

	writer_le32(w, interface);
	writer_le32(w, (uint32_t)(c->end_us >> 32));
	writer_le32(w, (uint32_t)c->end_us);
	option_text(w, OPTION_COMMENT, c->comment);
	option_time(w, STATISTICS_BEGIN, c->begin_us);
	option_time(w, STATISTICS_END, c->end_us);
	option_u64(w, STATISTICS_RECEIVED, c->received);
	option_u64(w, STATISTICS_DROPPED, c->dropped);
	options_end(w);
	block_end(w, at);
}
