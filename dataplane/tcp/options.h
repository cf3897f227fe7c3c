/* options.h: what is agreed during the handshake, mirrored from one wire to the other (RFC 9293 3.7.1, RFC 7323, RFC 2018).
 *
 * The client's offer is forwarded, the server's answer is given to the client: so both wires agree on the same things.
 * Everything that is not MSS, window scale, SACK-permitted or timestamps is taken out (TCP Fast Open, MPTCP, MD5, AO).
 */
#ifndef DATAPLANE_TCP_OPTIONS_H
#define DATAPLANE_TCP_OPTIONS_H

#include "dataplane/tcp/tcp.h"

/* The options of a SYN or SYN-ACK as they are passed on: MSS clamped to what both ports carry. */
struct tcp_options tcp_options_filter(const struct tcp_options *in, const struct tcp_config *config);

/* The same, kept for as long as the pair lives; and back. */
struct tcp_syn tcp_options_keep(const struct tcp_options *filtered, uint16_t window);
struct tcp_options tcp_options_kept(const struct tcp_syn *syn);

/* The largest payload that the sender of `options` takes. */
uint16_t tcp_options_mss(const struct tcp_options *options, const struct tcp_config *config);

/* Both ends have spoken: settles the options of both halves. The server's SYN-ACK cannot agree to what was not offered. */
void tcp_options_settle(struct tcp_pair *pair, const struct tcp_options *offer, const struct tcp_options *answer,
			uint64_t now_us);

/* Our clock for timestamps: milliseconds. */
static inline uint32_t tcp_options_clock(uint64_t now_us)
{
	return (uint32_t)(now_us / 1000);
}

#endif
