/* port.h: the DPDK edge: two wire ports, frames in, frames out. The only user of ethdev and mbuf.
 *
 * A device is any ethdev: a PCI address ("0000:03:00.0") or a virtual device with its arguments ("net_af_xdp0,iface=eth1").
 * A frame is an mbuf that the caller owns between port_receive and port_forward or port_drop; it is never copied on the
 * way from one port to the other. Frames are sent in bursts: what was queued leaves with port_flush, at the latest.
 * When a device does not take more, its queue fills: port_room then says no (TCP waits), and bridged frames are dropped and
 * counted, as a switch would.
 * Several workers share the two devices: each has a part of its own, struct ports, with its own pair of queues as far as a device has so
 * many. A worker without one gets its frames from the others (port_hand) and sends through one of them; nobody locks, nobody waits.
 * Threading: port_start_* in the main thread, the rest by the one worker whose part it is.
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
	uint64_t dropped_split; /* in several buffers that no one could hold, or not to be sent on as it is */
	uint64_t dropped_handover; /* the worker whose the frame is takes no more */
};

/* Starts DPDK's environment for these devices. `args` are further EAL arguments, NULL-terminated: without any about memory it
 * takes huge pages and leaves no file behind; without any about PCI it touches no NIC but the named ones. `lcores` may be NULL.
 * False with a text in `err`: what is wrong, where, and what to do. */
bool port_start_environment(const char *program, const char *lcores, const char *const device[PORT_COUNT], const char *const *args, char *err, size_t err_len);

/* Opens and starts both devices for `workers` workers. Returns the first one's part; NULL with a text in `err`. */
struct ports *port_start(const char *const device[PORT_COUNT], size_t mtu_bytes, unsigned workers, char *err, size_t err_len);

/* Another worker's part. */
struct ports *port_of_worker(struct ports *first, unsigned worker);

/* Stops them. They are not closed: that takes privileges that are gone by then; the kernel does it when the process ends. */
void port_stop(struct ports *first);

/* How many workers there are cores for, beside the main thread. */
unsigned port_workers_max(void);

/* Runs `main` on as many cores as there are arguments, and `housekeeping` here; returns when all did: 0, or what one of them said that
 * was not 0. */
int port_run_workers(int (*main)(void *), void *const *arguments, unsigned workers, int (*housekeeping)(void *), void *housekeeping_argument);

/* Drops what came before this moment, where the device only gets copies of what others on the same interface see too. Bounded. All
 * workers' queues: before any of them reads. */
void port_drain(struct ports *first);

unsigned port_receive(struct ports *p, unsigned port, struct port_frame **frames, unsigned max);
struct bytes port_bytes(const struct port_frame *frame);
/* Of the transport, as far as the device was asked to look at it. The IP header is for packet_segment. */
enum packet_checksum port_checksum(const struct ports *p, const struct port_frame *frame);
void port_forward(struct ports *p, unsigned to, struct port_frame *frame);
void port_drop(struct port_frame *frame);

/* Gives a frame that this worker read to the one whose it is; dropped and counted when that one takes no more. */
void port_hand(struct ports *p, unsigned worker, struct port_frame *frame);

/* The same with a copy of `frame`, as if it had come from `port`. */
[[gnu::warn_unused_result]] bool port_hand_copy(struct ports *p, unsigned worker, unsigned port, struct bytes frame);

/* What other workers gave, at most `max`, each worker in turn; and the wire port that such a frame came from. */
unsigned port_handed(struct ports *p, struct port_frame **frames, unsigned max);
unsigned port_came_from(const struct ports *p, const struct port_frame *frame);

/* A message to another worker, of at most PORT_MESSAGE_BYTES; an empty one asks whether PORT_TELL_ROOM more would find room. */
#define PORT_MESSAGE_BYTES 384
#define PORT_TELL_ROOM 64
bool port_tell(struct ports *p, unsigned worker, struct bytes message);

/* The next message from any worker, copied to `out`. False: there is none. */
bool port_told(struct ports *p, uint8_t out[PORT_MESSAGE_BYTES], size_t *len);

/* Memory for one frame towards `port`; NULL: no room now. port_send queues its first `bytes` bytes (0: gives it back). */
uint8_t *port_room(struct ports *p, unsigned port, size_t *cap);
void port_send(struct ports *p, unsigned port, size_t bytes);

/* What the device does with TCP segments: fills in the checksum; cuts frames of up to `frame_bytes_max` (0: it does not). */
struct port_help {
	bool checksum;
	uint32_t frame_bytes_max;
};
struct port_help port_help(const struct ports *p, unsigned port);

/* As port_room, for one large frame. */
uint8_t *port_room_large(struct ports *p, unsigned port, size_t *cap);

/* Queues the segment that packet_build left to the device (PACKET_BUILD_PSEUDO). `segment_bytes` 0: in the room of port_room; else in that
 * of port_room_large, and the device cuts its payload into pieces of so many bytes. */
void port_send_helped(struct ports *p, unsigned port, const struct packet_built *built, uint16_t segment_bytes);

void port_flush(struct ports *p);

struct port_counters port_counters(const struct ports *p, unsigned port);

/* What the device and its driver say: name, link, and their own counts. From any thread; may call the system. */
void port_describe(const struct ports *p, unsigned port, struct page_port *out);

/* Who spreads the frames over the workers, the device or they themselves, and why; for the log. */
const char *port_spreads(const struct ports *p, unsigned port);

/* Microseconds of a monotonic clock, never 0; no system call. */
uint64_t port_now_us(void);

/* Cycles of that clock's counter in a second, for benches. */
uint64_t port_cycles(void);
uint64_t port_cycles_per_second(void);

/* Gives the core away for about this long: an idle worker on a shared machine. */
void port_nap(unsigned us);

#endif
