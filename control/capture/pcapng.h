/* pcapng.h: blocks of a pcapng file (draft-ietf-opsawg-pcapng), little endian, into a writer. Pure; `ok` of the writer says whether
 * all found room. One section, the interfaces in the order of their numbers, packets, statistics.
 */
#ifndef CONTROL_CAPTURE_PCAPNG_H
#define CONTROL_CAPTURE_PCAPNG_H

#include "platform/base/bytes.h"
#include "platform/contract/capture.h"

#define PCAPNG_BLOCK_BYTES_MAX 2048u /* of any of these but a packet, with texts within their bounds */
#define PCAPNG_TEXT_BYTES_MAX 700u   /* longer ones are cut */

/* The section's header: who wrote it, and a comment. */
void pcapng_section(struct writer *w, const char *application, const char *comment);
/* An Ethernet interface with time stamps in microseconds. */
void pcapng_interface(struct writer *w, const char *name, const char *description, uint32_t snap_bytes);
#define PCAPNG_PACKET_BYTES_MAX (CAPTURE_FRAME_BYTES_MAX + 256u)
/* A frame of which `bytes` were copied, with what its first record in the ring says of it. `number`: counts packets. The flow becomes a comment. */
void pcapng_packet(struct writer *w, const struct capture_record *r, struct bytes bytes, uint64_t number);

struct pcapng_counts {
	uint64_t begin_us, end_us, received, dropped; /* dropped of received: the ring was full */
	const char *comment; /* NULL: none */
};
void pcapng_statistics(struct writer *w, uint32_t interface, const struct pcapng_counts *c);

#endif
