/* steer.h: which worker a packet belongs to.
 *
 * Every flow is one worker's. The rule is the hash that network cards compute for receive side scaling (Toeplitz, with a key that repeats
 * every 16 bits), so that a card with that key and our indirection table puts each frame into its worker's queue; a frame that came into
 * another's, for whatever reason, is handed over by the one that read it. No card is believed: each worker computes the rule itself.
 * With that key both directions give the same hash, and it is that of all 16-bit words of the input xored together.
 *
 * TCP goes by addresses and ports; a fragment, which need not have ports, by addresses, until its datagram is whole; an ICMP error about
 * the size of a TCP segment by the flow that it quotes. Everything else is of no flow: whoever reads it deals with it.
 * Pure functions. Source: Microsoft, "RSS hashing functions"; Woo and Park, "Scalable TCP session monitoring with symmetric RSS", 2012.
 */
#ifndef DATAPLANE_FLOW_STEER_H
#define DATAPLANE_FLOW_STEER_H

#include "dataplane/packet/packet.h"

#define STEER_KEY_WORD 0x6d5au /* odd number of bits: the hash of 16 bits is one to one */
#define STEER_KEY_BYTES_MAX 64
#define STEER_BUCKETS 64u      /* an indirection table is a multiple of this, or not used */

/* Fills a key of `len` bytes, as a card wants it. */
void steer_key(uint8_t *key, size_t len);

/* The whole Toeplitz hash of `in`, for any key of at least in.len + 4 bytes. */
uint32_t steer_toeplitz(const uint8_t *key, struct bytes in);

/* The hash under steer_key of both addresses and, unless the packet is a fragment, both ports. Network order, as cards do. */
uint32_t steer_hash(const struct packet *p);

/* The worker of a hash; the same in an indirection table: entry i is steer_worker(i, workers). */
static inline unsigned steer_worker(uint32_t hash, unsigned workers)
{
	return (hash % STEER_BUCKETS) % workers;
}

/* Whether the packet is one worker's, and whose. False: whoever reads it deals with it. `workers` is at least 1. */
bool steer_owner(const struct packet *p, unsigned workers, unsigned *owner);

#endif
