/* peer.h: a model end point, deliberately simple and written from the RFC without a line of dataplane/tcp.
 *
 * It exists to disagree with the pair when the pair is wrong: go-back-N, an array for what arrived, no congestion control,
 * a fixed time-out. It checks what it gets: every byte against the stream's definition, acknowledgements of things never
 * sent, data outside the window it gave, SACK blocks that lie, timestamps that run backwards.
 */
#ifndef TESTS_HARNESS_PEER_H
#define TESTS_HARNESS_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet/segment.h"
#include "platform/base/random.h"

#define PEER_STREAM_MAX (1u << 19)
#define PEER_NO_SHIFT 255

struct peer_options {
	bool active;            /* sends the SYN */
	uint32_t isn;
	uint16_t mss;
	uint8_t shift;          /* PEER_NO_SHIFT: the option is not offered */
	bool sack, timestamps;
	uint32_t window_bytes;  /* of its receive buffer */
	uint32_t send_bytes;
	bool close_first;       /* FIN behind its data; else only after the other's FIN */
	uint32_t read_pause_us; /* it reads its buffer this seldom; 0: at once */
	uint64_t seed;
	uint32_t slack_bytes;   /* what may come beyond the window: a probe's byte, and what is lost in the rounding of windows */
	unsigned side;          /* 0 client, 1 server: names its stream */
};

typedef void peer_emit_segment(void *context, const struct tcp_segment *segment);

struct peer {
	struct peer_options options;
	peer_emit_segment *emit;
	void *context;
	struct rng rng;
	bool opened, syn_seen, ack_due, fin_received, fin_acked, refused;
	bool scale, timestamps, sack;
	uint8_t peer_shift;
	uint16_t peer_mss;
	uint32_t irs;
	uint32_t acked_bytes, sent_bytes;   /* of its stream; the FIN is not counted */
	bool fin_sent;
	uint32_t peer_edge;                 /* stream offset up to which it may send */
	uint32_t received_bytes, read_bytes, edge_given;
	uint32_t highest;                   /* nothing arrived at or above */
	bool fin_known;
	uint32_t fin_offset;
	uint8_t arrived[PEER_STREAM_MAX / 8];
	uint32_t ts_recent, ts_base;
	uint64_t resend_at_us, read_at_us, probe_at_us;
	unsigned backoff;
	const char *trouble;
};

void peer_init(struct peer *p, const struct peer_options *options, peer_emit_segment *emit, void *context, uint64_t now_us);
void peer_input(struct peer *p, const struct tcp_segment *s, uint64_t now_us);

/* Sends what is due. */
void peer_turn(struct peer *p, uint64_t now_us);
uint64_t peer_deadline_us(const struct peer *p);

/* Everything sent and acknowledged, FIN both ways. */
bool peer_finished(const struct peer *p);

/* The stream of `side`. */
uint8_t peer_byte(unsigned side, uint32_t offset);

#endif
