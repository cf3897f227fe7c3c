/* congestion.h: CUBIC with its Reno-friendly region (RFC 9438), slow start and loss response (RFC 5681).
 *
 * The window counts bytes. The caller says what was acknowledged and what was lost; it decides when a loss is one.
 */
#ifndef DATAPLANE_TCP_CONGESTION_H
#define DATAPLANE_TCP_CONGESTION_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_congestion {
	uint32_t window_bytes;
	uint32_t threshold_bytes;  /* ssthresh */
	uint32_t peak_bytes;       /* W_max */
	uint32_t friendly_bytes;   /* W_est */
	uint32_t origin_bytes;     /* cwnd at the start of the epoch */
	uint32_t k_ms;             /* time from the epoch's start to W_max */
	uint32_t acked_bytes;      /* carried over until it is worth one step */
	uint64_t epoch_us;         /* 0: no epoch */
};

void tcp_congestion_init(struct tcp_congestion *c, uint32_t mss);
void tcp_congestion_acked(struct tcp_congestion *c, uint32_t mss, uint32_t acked, uint32_t rtt_us, uint64_t now_us);
void tcp_congestion_lost(struct tcp_congestion *c, uint32_t mss, uint32_t flight); /* fast recovery begins */
void tcp_congestion_timeout(struct tcp_congestion *c, uint32_t mss, uint32_t flight);
void tcp_congestion_idle(struct tcp_congestion *c, uint32_t mss); /* restart after idle (RFC 5681 4.1) */

#endif
