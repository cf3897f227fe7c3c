/* passing.h: what the policy says to a packet that belongs to no known flow. The conductor asks for every such packet, and so
 * does the standby forwarder while there is no conductor: one answer, in one place.
 *
 * Pure: an open policy image and a parsed packet in, an answer out. Any thread. Without an image nothing is known to be guarded, so
 * nothing of IP may pass.
 */
#ifndef DATAPLANE_RELAY_PASSING_H
#define DATAPLANE_RELAY_PASSING_H

#include "dataplane/packet/packet.h"
#include "dataplane/relay/guard.h"
#include "platform/contract/policy.h"

struct passing_rules {
	const struct policy_image *image; /* NULL: none */
	const struct guard *guard;        /* of that image */
	bool unnamed_pass;                /* a port of a guarded target that no service names is open */
	bool tunnels_pass;                /* IP in IP and GRE between hosts that nobody guards */
	bool double_tags_drop;            /* no QinQ in front of a guarded target */
};

enum passing_what {
	PASSING_GO_ON,    /* of passing_look: nothing against it yet */
	PASSING_BRIDGE,
	PASSING_DROP,     /* `why` */
	PASSING_STRANGER, /* TCP to or from an inspected service: only a flow of its own may answer it */
};

struct passing {
	enum passing_what what;
	enum error why;
	int service; /* of a stranger: that it goes to; -1: it comes from one */
};

bool passing_guarded(const struct passing_rules *r, uint8_t ip_version, const struct packet_address *a);

/* Source routes, tunnels and double tags. Wants an image. */
struct passing passing_look(const struct passing_rules *r, const struct packet *p);

/* A packet that passing_look let go on and that is of no flow, and no fragment that is to be put together. Wants an image. */
struct passing passing_of(const struct passing_rules *r, const struct packet *p);

/* What packet_parse refused with `bad`: PASSING_BRIDGE or PASSING_DROP. */
struct passing passing_malformed(const struct passing_rules *r, const struct packet *p, enum error bad);

/* Any frame, where nobody keeps flows or puts fragments together: PASSING_BRIDGE, PASSING_DROP or PASSING_STRANGER. */
struct passing passing_alone(const struct passing_rules *r, struct bytes frame);

#endif
