/* segment.h: one TCP segment, as parsed from a frame or as about to be written to one.
 *
 * Purpose: the word that packet (which reads and writes headers) and tcp (which knows what they mean) share.
 * Numbers are host order. The window is the field of the header, unscaled. Payload is borrowed: on input from the
 * frame, on output from the sender's queue; it is valid until the call that was given the segment returns.
 * Source: RFC 9293 3.1 and 3.2, RFC 7323, RFC 2018.
 */
#ifndef DATAPLANE_PACKET_SEGMENT_H
#define DATAPLANE_PACKET_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/bytes.h"

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
	TCP_ECE = 0x40,
	TCP_CWR = 0x80,
};

#define TCP_SPANS_MAX 8     /* a 9,000-byte segment out of 2 KiB chunks, with a short chunk at each end */
#define TCP_SACK_MAX 4      /* what 40 bytes of options can hold (RFC 2018 3) */
#define TCP_OPTIONS_BYTES_MAX 40

struct tcp_sack_block {
	uint32_t start, end; /* [start, end) in sequence space */
};

struct tcp_options {
	bool has_mss;
	bool has_shift;
	bool sack_permitted;
	bool has_timestamps;
	uint8_t shift; /* window scale, 0 to 14: a larger one is read as 14 (RFC 7323 2.3) */
	uint8_t sack_count;
	uint16_t mss;
	uint32_t ts_value, ts_echo;
	struct tcp_sack_block sack[TCP_SACK_MAX];
};

struct tcp_segment {
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags; /* enum tcp_flag */
	uint8_t span_count;
	uint32_t payload_bytes; /* the sum of the spans */
	uint16_t cut_bytes;     /* output: the port cuts the payload into pieces of so many; 0: it is one segment */
	const struct bytes *many; /* output: the spans, where there may be more than fit in here; else NULL */
	struct tcp_options options;
	struct bytes spans[TCP_SPANS_MAX]; /* input: at most one */
};

/* Reads the options part of a TCP header (what follows the first 20 bytes). Unknown options are skipped. False when a
 * length is wrong: then `out` is empty. */
bool tcp_options_parse(struct bytes raw, struct tcp_options *out);

/* Writes the options of `options`, padded with NOPs to a multiple of four. Returns the length, at most
 * TCP_OPTIONS_BYTES_MAX; SACK blocks that do not fit are left out. */
size_t tcp_options_write(const struct tcp_options *options, uint8_t out[TCP_OPTIONS_BYTES_MAX]);

/* The length that tcp_options_write would give. */
size_t tcp_options_bytes(const struct tcp_options *options);

#endif
