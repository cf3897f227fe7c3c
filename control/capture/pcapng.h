/* pcapng.h: blocks of a pcapng file (draft-ietf-opsawg-pcapng), little endian, into a writer. Pure; `ok` of the writer says whether
 * all found room. One section, the interfaces in the order of their numbers, packets, statistics.
 */
#ifndef CONTROL_CAPTURE_PCAPNG_H
#define CONTROL_CAPTURE_PCAPNG_H

#include "platform/base/bytes.h"
#include "platform/contract/capture.h"

#define PCAPNG_BLOCK_BYTES_MAX 2048u /* of any of these, with texts within their bounds */
#define PCAPNG_TEXT_BYTES_MAX 700u   /* longer ones are cut */

/* The section's header: who wrote it, and a comment. */
void pcapng_section(struct writer *w, const char *application, const char *comment);
/* An Ethernet interface with time stamps in microseconds. */
void pcapng_interface(struct writer *w, const char *name, const char *description, uint32_t snap_bytes);
/* A record of the ring. `number`: counts packets. The flow becomes a comment. */
void pcapng_packet(struct writer *w, const struct capture_record *r, uint64_t number);

struct pcapng_counts {
	uint64_t begin_us, end_us, received, dropped; /* dropped of received: the ring was full */
	const char *comment; /* NULL: none */
};
void pcapng_statistics(struct writer *w, uint32_t interface, const struct pcapng_counts *c);

#endif
