/* link.h: RFC 5424 messages over TLS, as RFC 5425 says: octet counting, mutual authentication, one connection at a time.
 *
 * The receiver is who it has to be: its certificate leads to the CA file alone and names the host (or holds its address). TLS 1.2 or later.
 * Syslog has no acknowledgement. What stands for one here: after link_confirm's close_notify the receiver's own follows (RFC 5425 4.4), and
 * since TLS keeps the order it has then read all that was sent. A connection that ends in another way, or not within LINK_PATIENCE_MS,
 * confirms nothing, and all since the last confirmation is to be sent again.
 * Every wait ends when `descriptor` of link_create hangs up. Errors: false with a text in `err`; the link is then not connected. One thread.
 */
#ifndef CONTROL_SHIP_LINK_H
#define CONTROL_SHIP_LINK_H

#include "platform/base/bytes.h"
#include "platform/os/error.h"

#define LINK_PATIENCE_MS 30000

struct link;

struct link_config {
	const char *host, *port;             /* a name or an address; a number */
	const char *ca, *certificate, *key;  /* PEM files */
	int parent;                          /* a descriptor: when it hangs up, waiting ends */
};

/* Reads the files; nothing is read later. `config` is borrowed. */
struct link *link_create(const struct link_config *config, char err[OS_ERROR_BYTES]);
void link_destroy(struct link *l);

bool link_connect(struct link *l, char err[OS_ERROR_BYTES]);
bool link_connected(const struct link *l);
bool link_send(struct link *l, struct bytes message, char err[OS_ERROR_BYTES]);
/* Ends the connection and waits until the receiver has read all of it. */
bool link_confirm(struct link *l, char err[OS_ERROR_BYTES]);

#endif
