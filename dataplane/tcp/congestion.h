/* congestion.h: CUBIC with its Reno-friendly region (RFC 9438), slow start and loss response (RFC 5681), proportional rate
 * reduction (RFC 6937).
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
	uint32_t prior_window_bytes, prior_threshold_bytes; /* before the last loss, to be restored when it was none */
	union {
		struct { /* between losses; begins anew after each */
			uint32_t friendly_bytes;   /* W_est */
			uint32_t origin_bytes;     /* cwnd at the start of the epoch */
			uint32_t k_ms;             /* time from the epoch's start to W_max */
			uint32_t acked_bytes;      /* carried over until it is worth one step */
		};
		struct { /* RFC 6937, in fast recovery */
			uint32_t flight_bytes;     /* RecoverFS */
			uint32_t delivered_bytes, sent_bytes; /* prr_delivered, prr_out */
		};
	};
	uint64_t epoch_us;         /* 0: no epoch */
};

void tcp_congestion_init(struct tcp_congestion *c, uint32_t mss);
void tcp_congestion_acked(struct tcp_congestion *c, uint32_t mss, uint32_t acked, uint32_t rtt_us, uint64_t now_us);
void tcp_congestion_lost(struct tcp_congestion *c, uint32_t mss, uint32_t flight); /* fast recovery begins */

/* In fast recovery, for every ACK that says something: `delivered` bytes arrived, `pipe` are on the path now, and `safe` says
 * that SND.UNA advanced: then one segment more may leave (RFC 6937 3.1, the slow start reduction bound). */
void tcp_congestion_recovering(struct tcp_congestion *c, uint32_t mss, uint32_t delivered, uint32_t pipe, bool safe);
void tcp_congestion_sent(struct tcp_congestion *c, uint32_t bytes); /* in fast recovery */
void tcp_congestion_recovered(struct tcp_congestion *c);
void tcp_congestion_undo(struct tcp_congestion *c); /* the last loss was none */
/* `again`: within a recovery that is not over, whose threshold holds (RFC 5681 3.1). */
void tcp_congestion_timeout(struct tcp_congestion *c, uint32_t mss, bool again);
void tcp_congestion_idle(struct tcp_congestion *c, uint32_t mss); /* restart after idle (RFC 5681 4.1) */

#endif
