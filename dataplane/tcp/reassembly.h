/* reassembly.h: bytes that arrived out of order, and the SACK blocks that tell of them (RFC 2018, RFC 2883).
 *
 * The first copy of a byte wins: a later segment that claims other content for the same sequence numbers changes nothing,
 * and since the other side of the pair only gets what was kept here, no two readers can see different streams.
 * Memory: a hostile peer that leaves a hole behind every byte costs a chunk for each; the number of chunks is bounded by
 * twice what the window would need, and none is taken while the pool is low: the peer will send those bytes again.
 */
#ifndef DATAPLANE_TCP_REASSEMBLY_H
#define DATAPLANE_TCP_REASSEMBLY_H

#include "dataplane/tcp/tcp.h"

/* Keeps `data`, whose first byte is `seq`, above RCV.NXT and inside the window. Returns how many bytes from the start are
 * held now (fewer than all when memory is short). */
uint32_t tcp_reassembly_put(struct tcp_receive *receive, struct tcp_pool *pool, uint32_t seq, struct bytes data);

/* Moves what has become contiguous to the receive queue; RCV.NXT follows. Returns the number of bytes. */
uint32_t tcp_reassembly_pull(struct tcp_receive *receive, struct tcp_pool *pool);

/* [start, end) is held: the first block from now on (RFC 2018 4). */
void tcp_sack_note(struct tcp_receive *receive, uint32_t start, uint32_t end);

/* [start, end) came again: reported once, in front (RFC 2883 4). */
void tcp_sack_duplicate(struct tcp_receive *receive, uint32_t start, uint32_t end);

/* Forgets blocks below RCV.NXT. */
void tcp_sack_advance(struct tcp_receive *receive);

/* Writes the blocks into the options of an ACK. */
void tcp_sack_report(const struct tcp_receive *receive, struct tcp_options *options);

#endif
