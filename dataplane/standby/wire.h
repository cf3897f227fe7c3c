/* wire.h: both wire ports as packet sockets of the kernel, beside whatever else reads them.
 *
 * While idle the sockets see nothing: the kernel turns every frame away at a filter, before it is copied. wire_arm takes the filter
 * off, which is one system call a port and needs no privilege. Frames are whole: a VLAN tag that the kernel took out is put
 * back, and a checksum or segmentation that was left to a card is handed on as such.
 * One thread. Errors: false with a text in `err`.
 */
#ifndef DATAPLANE_STANDBY_WIRE_H
#define DATAPLANE_STANDBY_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"
#include "platform/os/error.h"

#define WIRE_PORTS 2

struct wire;

/* Opens both interfaces, idle. Wants CAP_NET_RAW. */
struct wire *wire_open(const char *const interface[WIRE_PORTS], char err[OS_ERROR_BYTES]);
void wire_close(struct wire *w);

/* The descriptor to poll for frames from `port`. */
int wire_fd(const struct wire *w, unsigned port);

bool wire_arm(struct wire *w);
/* What came before it is still there for wire_forward. */
void wire_disarm(struct wire *w);

/* Asked for each frame: whether it may pass. */
typedef bool wire_may_pass(void *context, struct bytes frame);

struct wire_count {
	uint64_t bridged, dropped, unsent;
};

/* Passes on one burst of frames from `port`. Returns how many came; adds to `count`. */
unsigned wire_forward(struct wire *w, unsigned port, wire_may_pass *may_pass, void *context, struct wire_count *count);

#endif
