/* filter.h: the words of `sluice capture start --filter` as a request (platform/contract/capture.h).
 *
 *   client ADDRESS[/BITS]  target ADDRESS[/BITS]  host ADDRESS[/BITS]      host: either end
 *   client-port N  target-port N  port N                                   port: either end
 *   vlan N  tcp  udp  icmp
 *
 * Separated by blanks, or by `and`. Everything that is said must hold; nothing is said twice; of tcp, udp and icmp one. An address may
 * not have bits beyond BITS. Pure.
 */
#ifndef CONTROL_CAPTURE_FILTER_H
#define CONTROL_CAPTURE_FILTER_H

#include "platform/base/bytes.h"
#include "platform/contract/capture.h"

#define CAPTURE_FILTER_BYTES_MAX 500u
#define CAPTURE_FILTER_ERROR_BYTES 160

/* A request that means every frame. */
struct capture_request capture_filter_none(void);

/* Adds the fields to `r`, as capture_filter_none made it. False with "position N: why" in `err`; `r` is then of no use. The empty text
 * adds nothing. */
bool capture_filter_parse(const char *text, struct capture_request *r, char err[CAPTURE_FILTER_ERROR_BYTES]);

#endif
