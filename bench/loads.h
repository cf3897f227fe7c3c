/* loads.h: what the generator's clients and servers say to one another, and what is measured of it. Every byte that arrives is compared.
 *
 * Each load opens what it needs, runs for its time, lets everything end, and prints one JSON object on a line of `out`. False: something
 * arrived that was not sent, or nothing arrived at all; the line says what. Times and rates are the clients'.
 */
#ifndef BENCH_LOADS_H
#define BENCH_LOADS_H

#include <stdio.h>

#include "bench/crowd.h"

/* Frames of UDP, `frame_bytes` long with their checksum, from the clients' wire to a host on the servers' that no service names: as many as the
 * port takes. */
bool load_frames(struct crowd *c, double seconds, size_t frame_bytes, FILE *out);

/* Streams from `flows` clients to their servers. Each begins with a request and its reply, and stands still for a moment behind them, so
 * that what may be spliced is. */
bool load_bulk(struct crowd *c, double seconds, unsigned flows, FILE *out);

/* A request and its reply of 64 bytes, one after the other on one connection. */
bool load_echo(struct crowd *c, double seconds, FILE *out);

/* Connections: SYN, 64 bytes there, 64 back, FIN of the client, FIN of the server, the last ACK; `in_flight` of them at a time. */
bool load_connections(struct crowd *c, double seconds, unsigned in_flight, FILE *out);

/* The same connections, begun at a rate whatever becomes of them, in phases one after the other without a pause. A client gives up after
 * 3 s. What was done in each tenth of a second is listed. */
struct load_phase {
	double rate, seconds;
};
#define LOAD_PHASES_MAX 16
bool load_arrivals(struct crowd *c, const struct load_phase *phase, unsigned phases, FILE *out);

/* Nothing is begun for so long; what still comes is answered, as by hosts that know of no connection, so that what was given up ends in between
 * too. */
bool load_rest(struct crowd *c, double seconds, FILE *out);

#endif
