/* stage.h: copies of frames for `sluice capture`: which frames a request means, and how much of them may be copied.
 *
 * The worker calls capture_stage_turn once a turn, and for every frame that comes in or goes out, while `on` is set,
 * capture_stage_wants and then capture_stage_put. While it is not, a frame costs one branch.
 * Only headers are copied: up to the end of the TCP, UDP or ICMP header, of an ARP packet all, never a byte of payload; of what
 * cannot be parsed the Ethernet header. A request for whole frames (CAPTURE_FRAMES), which rests on an approval of control's, copies them as they are.
 * Memory is the mapped file's (platform/contract/capture.h). Threading: the worker; `wall_offset_us` may be set by another.
 */
#ifndef DATAPLANE_CAPTURE_STAGE_H
#define DATAPLANE_CAPTURE_STAGE_H

#include "dataplane/packet/packet.h"
#include "platform/contract/capture.h"

struct capture_stage {
	bool on;
	struct capture_writer writer;    /* file NULL: there is none */
	struct capture_request request;  /* our own copy, checked */
	uint64_t bytes;                  /* copied of it */
	_Atomic uint64_t wall_offset_us; /* wall clock minus the worker's */
};

/* `memory`: the mapped file; NULL or one of another version: nothing is ever copied, and false. */
bool capture_stage_open(struct capture_stage *s, void *memory, size_t len);

/* A new request, or the end of the one at hand. */
void capture_stage_look(struct capture_stage *s, uint64_t now_us);

static inline void capture_stage_turn(struct capture_stage *s, uint64_t now_us)
{
	if (s->writer.file && (s->on || capture_is_asked(&s->writer)))
		capture_stage_look(s, now_us);
}

/* Whether the request means this frame; `p` gets its headers. */
bool capture_stage_wants(const struct capture_stage *s, struct bytes frame, struct packet *p);

struct capture_stage_frame {
	struct bytes frame;
	size_t original;       /* its bytes on the wire, with padding */
	const struct packet *packet;
	unsigned port;
	enum capture_direction direction;
	uint64_t flow, now_us;
};

/* Copies its headers, or all of it, as was asked; or counts it when there is no room. */
void capture_stage_put(struct capture_stage *s, const struct capture_stage_frame *f);

/* Bytes from the frame's beginning that are headers, at most CAPTURE_SNAP_BYTES. `p` as packet_parse left it. */
size_t capture_header_bytes(struct bytes frame, const struct packet *p);

#endif
