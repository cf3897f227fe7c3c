/* rtt.h: the round-trip time and the retransmission time-out (RFC 6298), in microseconds. */
#ifndef DATAPLANE_TCP_RTT_H
#define DATAPLANE_TCP_RTT_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_rtt {
	uint32_t smoothed_us, variance_us; /* 0, 0: nothing was measured yet */
	uint32_t timeout_us;               /* without back-off */
	uint32_t min_us;                   /* the smallest sample */
	uint8_t backoff;                   /* the time-out is doubled this many times */
};

struct tcp_config;

void tcp_rtt_init(struct tcp_rtt *rtt, const struct tcp_config *config);

/* Takes up what was measured before. */
void tcp_rtt_known(struct tcp_rtt *rtt, const struct tcp_config *config, uint32_t smoothed_us, uint32_t variance_us, uint32_t min_us);

/* One measurement. Karn: never of a segment that was sent twice. Ends the back-off. */
void tcp_rtt_sample(struct tcp_rtt *rtt, const struct tcp_config *config, uint64_t sample_us);

/* The time-out with back-off applied, at most the configured maximum. */
uint64_t tcp_rtt_timeout_us(const struct tcp_rtt *rtt, const struct tcp_config *config);

#endif
