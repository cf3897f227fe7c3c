/* url.h: the only shape of URL that leaves this machine: https (and, for time-stamp queries, http), a host, nothing clever
 * (RFC 3986, narrowed).
 *
 * Refused: other schemes, user information, fragments, empty or odd hosts, port 0, back slashes, white space,
 * control characters, anything outside ASCII. So that what is checked here and what libcurl connects to are the same.
 * Pure functions.
 */
#ifndef CONTROL_EGRESS_URL_H
#define CONTROL_EGRESS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"

struct egress_url {
	struct bytes host; /* borrowed; a name, an IPv4 address, or an IPv6 address without its brackets */
	uint16_t port;     /* 443 (http: 80) where the URL names none */
	struct bytes path; /* with the query; may be empty */
};

/* False: not of that shape; `out` is zeroed. */
bool egress_url_parse(struct bytes text, struct egress_url *out);
/* The same with http (port 80) in place of https, for what carries its own signature and nothing secret: time-stamp queries. */
bool egress_url_parse_plain(struct bytes text, struct egress_url *out);

/* Same host (letters of either case) and same port (RFC 6454 4). */
bool egress_url_same_origin(const struct egress_url *a, const struct egress_url *b);

#endif
