/* port.h: the DPDK edge: two wire ports, frames in, frames out. The only user of ethdev and mbuf.
 *
 * A device is any ethdev: a PCI address ("0000:03:00.0") or a virtual device with its arguments ("net_af_xdp0,iface=eth1").
 * A frame is an mbuf that the caller owns between port_receive and port_forward or port_drop; it is never copied on the
 * way from one port to the other. Frames are sent in bursts: what was queued leaves with port_flush, at the latest.
 * When a device does not take more, its queue fills: port_room then says no (TCP waits), and bridged frames are dropped and
 * counted, as a switch would.
 * Threading: port_start_* in the main thread, the rest by the one worker that owns the ports.
 */
#ifndef DATAPLANE_PORT_PORT_H
#define DATAPLANE_PORT_PORT_H

#include "dataplane/packet/packet.h"
#include "platform/contract/page.h"

#define PORT_COUNT 2
#define PORT_BURST 64
#define PORT_FRAME_BYTES_MIN 60 /* shorter ones are padded by port_send */

struct ports;
struct port_frame; /* an mbuf */

struct port_counters {
	uint64_t received, sent;
	uint64_t dropped_full;  /* the other side of the port takes no more */
	uint64_t dropped_split; /* in several buffers that no one could hold */
};

/* Starts DPDK's environment for these devices. `args` are further EAL arguments, NULL-terminated: without any about memory it
 * takes huge pages and leaves no file behind; without any about PCI it touches no NIC but the named ones. `lcores` may be NULL.
 * False with a text in `err`: what is wrong, where, and what to do. */
bool port_start_environment(const char *program, const char *lcores, const char *const device[PORT_COUNT], const char *const *args, char *err, size_t err_len);

/* Opens and starts both devices. NULL with a text in `err`. */
struct ports *port_start(const char *const device[PORT_COUNT], size_t mtu_bytes, char *err, size_t err_len);

/* Stops them. They are not closed: that takes privileges that are gone by then; the kernel does it when the process ends. */
void port_stop(struct ports *p);

/* Runs `main` on the first worker core, or on the calling one when there is no other; returns when it did. */
int port_run_worker(int (*main)(void *), void *argument, int (*housekeeping)(void *), void *housekeeping_argument);

/* Drops what came before this moment, where the device only gets copies of what others on the same interface see too. Bounded. */
void port_drain(struct ports *p);

unsigned port_receive(struct ports *p, unsigned port, struct port_frame **frames, unsigned max);
struct bytes port_bytes(const struct port_frame *frame);
enum packet_checksum port_checksum(const struct port_frame *frame);
void port_forward(struct ports *p, unsigned to, struct port_frame *frame);
void port_drop(struct port_frame *frame);

/* Memory for one frame towards `port`; NULL: no room now. port_send queues its first `bytes` bytes (0: gives it back). */
uint8_t *port_room(struct ports *p, unsigned port, size_t *cap);
void port_send(struct ports *p, unsigned port, size_t bytes);
void port_flush(struct ports *p);

struct port_counters port_counters(const struct ports *p, unsigned port);

/* What the device and its driver say: name, link, and their own counts. From any thread; may call the system. */
void port_describe(const struct ports *p, unsigned port, struct page_port *out);

/* Microseconds of a monotonic clock, never 0; no system call. */
uint64_t port_now_us(void);

/* Cycles of that clock's counter in a second, for benches. */
uint64_t port_cycles(void);
uint64_t port_cycles_per_second(void);

/* Gives the core away for about this long: an idle worker on a shared machine. */
void port_nap(unsigned us);

#endif
