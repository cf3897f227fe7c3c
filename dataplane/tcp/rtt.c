/* rtt.c: RFC 6298 2 and 5 in integers. A sample of 0 is a link faster than the clock: it counts as 1. */
#include "dataplane/tcp/rtt.h"

#include "dataplane/tcp/tcp.h"

#define BACKOFF_MAX 16

void tcp_rtt_init(struct tcp_rtt *rtt, const struct tcp_config *config)
{
	*rtt = (struct tcp_rtt){ .timeout_us = config->rto_initial_us, .min_us = UINT32_MAX };
}

/* RFC 6298 2.3 with rto_min for G: on a path of even round trips the variance comes to nothing, and the time that the peer may
 * take to acknowledge is still to be waited for. */
static uint32_t timeout_of(const struct tcp_rtt *rtt, const struct tcp_config *config)
{
	uint64_t spread = 4ull * rtt->variance_us, value = rtt->smoothed_us + (spread < config->rto_min_us ? config->rto_min_us : spread);

	return value > config->rto_max_us ? config->rto_max_us : (uint32_t)value;
}

void tcp_rtt_known(struct tcp_rtt *rtt, const struct tcp_config *config, uint32_t smoothed_us, uint32_t variance_us, uint32_t min_us)
{
	*rtt = (struct tcp_rtt){ .smoothed_us = smoothed_us, .variance_us = variance_us, .min_us = min_us };
	rtt->timeout_us = smoothed_us == 0 ? config->rto_initial_us : timeout_of(rtt, config);
}

void tcp_rtt_sample(struct tcp_rtt *rtt, const struct tcp_config *config, uint64_t sample_us)
{
	uint32_t r = sample_us == 0 ? 1 : sample_us > config->rto_max_us ? config->rto_max_us : (uint32_t)sample_us;

	if (rtt->smoothed_us == 0) { /* RFC 6298 2.2 */
		rtt->smoothed_us = r;
		rtt->variance_us = r / 2;
	} else { /* 2.3: alpha 1/8, beta 1/4 */
		uint32_t difference = r > rtt->smoothed_us ? r - rtt->smoothed_us : rtt->smoothed_us - r;

		rtt->variance_us = (uint32_t)((3ull * rtt->variance_us + difference) / 4);
		rtt->smoothed_us = (uint32_t)((7ull * rtt->smoothed_us + r) / 8);
		rtt->smoothed_us += rtt->smoothed_us == 0;
	}
	rtt->min_us = r < rtt->min_us ? r : rtt->min_us;
	rtt->timeout_us = timeout_of(rtt, config);
	rtt->backoff = 0;
}

uint64_t tcp_rtt_timeout_us(const struct tcp_rtt *rtt, const struct tcp_config *config)
{
	unsigned shift = rtt->backoff > BACKOFF_MAX ? BACKOFF_MAX : rtt->backoff;
	uint64_t timeout = (uint64_t)rtt->timeout_us << shift;

	return timeout > config->rto_max_us ? config->rto_max_us : timeout; /* 5.5 */
}
