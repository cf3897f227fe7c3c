/* path.c: how large a segment may be: what routers say (RFC 1191, RFC 8201), and what silence says (RFC 4821 7.7, RFC 8899 4.3).
 *
 * The size only ever falls below what was agreed; after PATH_RAISE_US it is tried again at its full size. The queue holds
 * bytes, not segments, so that a new size is all there is to change.
 */
#include "dataplane/tcp/half.h"

#include "dataplane/tcp/seq.h"

#define PATH_RAISE_US (10ull * 60 * 1000000) /* RFC 1191 6.3 */
#define BLACK_HOLE_TIMEOUTS 3 /* of the same large segment, before the next smaller size is tried: R1 of RFC 9293 3.8.3 */

static const uint16_t black_hole_mss[] = { 1220, 536 }; /* what IPv6 and IPv4 promise: 1280 - 60, 576 - 40 */

static void lower(struct tcp_half *half, uint16_t mss, uint64_t now_us)
{
	if (half->send.mss_agreed == 0)
		half->send.mss_agreed = half->send.mss;
	half->send.mss = mss;
	half->send.mss_lowered_s = (uint32_t)(now_us / 1000000);
}

bool tcp_pair_path_mtu(struct tcp_pair *pair, enum tcp_side side, uint32_t seq, size_t mss, uint64_t now_us)
{
	struct tcp_half *half = &pair->half[side];
	struct tcp_flight f = tcp_half_flight(half);

	/* RFC 5927 4.1: only about something that is in flight, and never to make it larger. */
	if (!tcp_established(half) || half->state == TCP_TIME_WAIT || !seq_within(seq, f.una, f.next) || mss >= half->send.mss || mss == 0)
		return false;
	lower(half, (uint16_t)mss, now_us);
	/* RFC 1191 6.4: sent again at once, and no sign of congestion. */
	tcp_recovery_lose_all(&half->recovery, &f, false);
	tcp_recovery_begin(&half->recovery, &f, TCP_RECOVERY_TIMEOUT);
	half->recovery.undoable = false;
	tcp_timer_retransmit(half, now_us);
	return true;
}

void tcp_half_suspect_path(struct tcp_half *half, uint64_t now_us)
{
	uint32_t flight = half->send.next - half->send.una;
	const unsigned count = sizeof(black_hole_mss) / sizeof(black_hole_mss[0]);

	/* Who answers with a closed window gets everything that we send. */
	if (half->retries < 2 || (half->retries - 1) % BLACK_HOLE_TIMEOUTS != 0 || half->send.window == 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		if (black_hole_mss[i] < half->send.mss && flight + TCP_OPTIONS_BYTES_MAX > black_hole_mss[i]) {
			lower(half, black_hole_mss[i], now_us);
			return;
		}
	}
}

void tcp_half_try_path(struct tcp_half *half, uint64_t now_us)
{
	if (half->send.mss_agreed == 0 || (uint32_t)(now_us / 1000000) - half->send.mss_lowered_s < PATH_RAISE_US / 1000000)
		return;
	half->send.mss = half->send.mss_agreed;
	half->send.mss_agreed = 0;
}
