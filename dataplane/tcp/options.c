/* options.c: each half continues the timestamps of the end that it stands for: the offset is chosen so that the first value
 * is the one that was mirrored, and our clock runs at a millisecond a tick from there. */
#include "dataplane/tcp/options.h"

#define MSS_DEFAULT 536 /* RFC 9293 3.7.1 */

uint16_t tcp_options_mss(const struct tcp_options *options, const struct tcp_config *config)
{
	uint16_t mss = options->has_mss ? options->mss : MSS_DEFAULT;

	mss = mss < config->mss_min ? config->mss_min : mss;
	return mss > config->mss_max ? config->mss_max : mss;
}

struct tcp_options tcp_options_filter(const struct tcp_options *in, const struct tcp_config *config)
{
	struct tcp_options out = {
		.has_mss = in->has_mss,
		.has_shift = in->has_shift,
		.shift = in->shift,
		.sack_permitted = in->sack_permitted,
		.has_timestamps = in->has_timestamps,
		.ts_value = in->ts_value,
	};

	if (in->has_mss)
		out.mss = in->mss > config->mss_max ? config->mss_max : in->mss;
	return out;
}

struct tcp_syn tcp_options_keep(const struct tcp_options *filtered, uint16_t window)
{
	return (struct tcp_syn){ .ts_value = filtered->ts_value, .window = window, .mss = filtered->mss, .shift = filtered->shift,
				 .has_mss = filtered->has_mss, .has_shift = filtered->has_shift, .sack_permitted = filtered->sack_permitted,
				 .has_timestamps = filtered->has_timestamps };
}

struct tcp_options tcp_options_kept(const struct tcp_syn *syn)
{
	return (struct tcp_options){ .has_mss = syn->has_mss, .has_shift = syn->has_shift, .sack_permitted = syn->sack_permitted,
				     .has_timestamps = syn->has_timestamps, .shift = syn->shift, .mss = syn->mss, .ts_value = syn->ts_value };
}

void tcp_options_settle(struct tcp_pair *pair, const struct tcp_options *offer, const struct tcp_options *answer,
			uint64_t now_us)
{
	struct tcp_half *client = &pair->half[TCP_CLIENT], *server = &pair->half[TCP_SERVER];
	bool scale = offer->has_shift && answer->has_shift;
	bool timestamps = offer->has_timestamps && answer->has_timestamps;

	for (unsigned i = 0; i < 2; i++) {
		pair->half[i].window_scale = scale;
		pair->half[i].timestamps = timestamps;
		pair->half[i].sack = offer->sack_permitted && answer->sack_permitted;
	}
	client->send.mss = tcp_options_mss(offer, pair->config);
	server->send.mss = tcp_options_mss(answer, pair->config);
	client->send.shift = server->receive.shift = scale ? offer->shift : 0;
	server->send.shift = client->receive.shift = scale ? answer->shift : 0;
	client->receive.ts_recent = offer->ts_value;
	server->receive.ts_recent = answer->ts_value;
	client->receive.ts_recent_at_s = server->receive.ts_recent_at_s = (uint32_t)(now_us / 1000000);
	client->ts_offset = answer->ts_value - tcp_options_clock(now_us);
}
