/* congestion.c: RFC 9438 in integers.
 *
 *   W_cubic(t) = C * (t - K)^3 + W_max    C = 0.4 segments/s^3, beta = 0.7
 *   K = cbrt((W_max - cwnd_epoch) / C)
 * Times are milliseconds, windows bytes: 0.4 * mss / 10^9 bytes per cubic millisecond. |t - K| is bounded to 100 s, so that
 * the cube times the largest MSS stays inside 64 bits.
 */
#include "dataplane/tcp/congestion.h"

#define OFFSET_MS_MAX 100000

static uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* The largest r with r^3 <= x; 22 rounds at most. */
static uint32_t cube_root(uint64_t x)
{
	uint64_t low = 0, high = 2000000;

	while (low < high) {
		uint64_t middle = (low + high + 1) / 2;

		if (middle * middle * middle <= x)
			low = middle;
		else
			high = middle - 1;
	}
	return (uint32_t)low;
}

void tcp_congestion_init(struct tcp_congestion *c, uint32_t mss)
{
	uint32_t initial = max_u32(2 * mss, 14600); /* RFC 6928 2 */

	*c = (struct tcp_congestion){
		.window_bytes = initial < 10 * mss ? initial : 10 * mss,
		.threshold_bytes = UINT32_MAX,
	};
}

static void start_epoch(struct tcp_congestion *c, uint32_t mss, uint64_t now_us)
{
	uint64_t below = c->peak_bytes > c->window_bytes ? c->peak_bytes - c->window_bytes : 0;

	c->epoch_us = now_us;
	c->origin_bytes = c->window_bytes;
	c->friendly_bytes = c->window_bytes;
	c->acked_bytes = 0;
	c->peak_bytes = max_u32(c->peak_bytes, c->window_bytes);
	c->k_ms = cube_root(below * 2500000000ull / mss);
}

static uint32_t cubic(const struct tcp_congestion *c, uint32_t mss, uint64_t t_ms)
{
	int64_t offset = (int64_t)(t_ms > OFFSET_MS_MAX ? OFFSET_MS_MAX : t_ms) - (int64_t)c->k_ms;
	int64_t grown;

	if (offset < -OFFSET_MS_MAX)
		offset = -OFFSET_MS_MAX;
	grown = offset * offset * offset / 10 * 4 / 1000 * mss / 1000000 + c->peak_bytes;
	if (grown < 0)
		return 0;
	return grown > INT32_MAX ? INT32_MAX : (uint32_t)grown;
}

static void avoid_congestion(struct tcp_congestion *c, uint32_t mss, uint32_t rtt_us, uint64_t now_us)
{
	uint32_t window = c->window_bytes;
	uint64_t t_us = now_us - c->epoch_us;
	uint32_t target = cubic(c, mss, (t_us + rtt_us) / 1000);
	/* RFC 9438 4.3: alpha is 3 * (1 - beta) / (1 + beta) = 9/17 until W_est reaches the window before the loss */
	uint64_t gain = c->friendly_bytes >= c->peak_bytes ? mss : mss * 9ull / 17;

	c->friendly_bytes += (uint32_t)(gain * c->acked_bytes / window);
	if (cubic(c, mss, t_us / 1000) < c->friendly_bytes) {
		c->window_bytes = max_u32(window, c->friendly_bytes);
	} else {
		target = target < window ? window : target; /* 4.2: at least cwnd, at most 1.5 cwnd */
		target = target > window + window / 2 ? window + window / 2 : target;
		c->window_bytes = window + (uint32_t)((uint64_t)(target - window) * c->acked_bytes / window);
	}
	c->acked_bytes = 0;
}

void tcp_congestion_acked(struct tcp_congestion *c, uint32_t mss, uint32_t acked, uint32_t rtt_us, uint64_t now_us)
{
	if (c->window_bytes >= UINT32_MAX / 4)
		return;
	if (c->window_bytes < c->threshold_bytes) { /* slow start; a receiver that coalesces acknowledges many at once (RFC 9406 4.2, L) */
		c->window_bytes += acked < 16 * mss ? acked : 16 * mss;
		return;
	}
	if (c->epoch_us == 0)
		start_epoch(c, mss, now_us);
	c->acked_bytes += acked;
	if (c->acked_bytes >= mss)
		avoid_congestion(c, mss, rtt_us, now_us);
}

/* By the window, not by what is in flight (RFC 9438 4.6): it only grows while it is used, and a flow that loses a small request has
 * learnt nothing about its path. */
static void reduce(struct tcp_congestion *c, uint32_t mss)
{
	bool shrinking = c->window_bytes < c->peak_bytes;

	/* RFC 9438 4.7: a flow that loses below its last peak gives room to others */
	c->peak_bytes = shrinking ? (uint32_t)(c->window_bytes * 17ull / 20) : c->window_bytes;
	c->threshold_bytes = max_u32((uint32_t)(c->window_bytes * 7ull / 10), 2 * mss);
	c->epoch_us = 0;
}

static void remember(struct tcp_congestion *c)
{
	c->prior_window_bytes = c->window_bytes;
	c->prior_threshold_bytes = c->threshold_bytes;
}

void tcp_congestion_lost(struct tcp_congestion *c, uint32_t mss, uint32_t flight)
{
	remember(c);
	reduce(c, mss);
	c->window_bytes = c->threshold_bytes;
	c->flight_bytes = max_u32(flight, 1);
	c->delivered_bytes = c->sent_bytes = 0;
}

void tcp_congestion_recovering(struct tcp_congestion *c, uint32_t mss, uint32_t delivered, uint32_t pipe, bool safe)
{
	int64_t allowed, limit;

	c->delivered_bytes += delivered;
	if (pipe > c->threshold_bytes) {
		allowed = (int64_t)(((uint64_t)c->delivered_bytes * c->threshold_bytes + c->flight_bytes - 1) / c->flight_bytes) - c->sent_bytes;
	} else {
		limit = (int64_t)c->delivered_bytes - c->sent_bytes;
		limit = (limit < delivered ? delivered : limit) + (safe ? mss : 0);
		allowed = (int64_t)c->threshold_bytes - pipe;
		allowed = allowed < limit ? allowed : limit;
	}
	if (c->sent_bytes == 0 && allowed < mss)
		allowed = mss; /* the first retransmission does not wait */
	c->window_bytes = pipe + (allowed > 0 ? (uint32_t)allowed : 0);
}

void tcp_congestion_sent(struct tcp_congestion *c, uint32_t bytes)
{
	c->sent_bytes += bytes;
}

void tcp_congestion_recovered(struct tcp_congestion *c)
{
	c->window_bytes = c->threshold_bytes;
}

void tcp_congestion_undo(struct tcp_congestion *c)
{
	c->window_bytes = max_u32(c->window_bytes, c->prior_window_bytes);
	c->threshold_bytes = max_u32(c->threshold_bytes, c->prior_threshold_bytes);
	c->peak_bytes = max_u32(c->peak_bytes, c->prior_window_bytes);
	c->epoch_us = 0;
}

void tcp_congestion_timeout(struct tcp_congestion *c, uint32_t mss, bool again)
{
	if (!again) {
		remember(c);
		reduce(c, mss);
	}
	c->window_bytes = mss; /* RFC 5681 3.1: the loss window */
	c->epoch_us = 0;
}

void tcp_congestion_idle(struct tcp_congestion *c, uint32_t mss)
{
	struct tcp_congestion fresh;

	tcp_congestion_init(&fresh, mss);
	if (c->window_bytes > fresh.window_bytes)
		c->window_bytes = fresh.window_bytes;
	c->epoch_us = 0;
}
