/* worker.h: the poll loop of one core, and the mailbox through which the main thread gives it policy snapshots. */
#ifndef DATAPLANE_WORKER_H
#define DATAPLANE_WORKER_H

#include <stdatomic.h>

#include "dataplane/capture/stage.h"
#include "dataplane/port/port.h"
#include "dataplane/relay/relay.h"
#include "platform/contract/life.h"

/* Main thread and worker; each field has one writer. */
struct worker_mailbox {
	_Atomic uint64_t wanted;                         /* worker: generation it wants */
	char file[128];                                  /* worker: its file; stable while `wanted` is */
	_Atomic(const struct relay_snapshot *) next;     /* main: to be swapped in; worker: NULL when taken */
	_Atomic(const struct relay_snapshot *) retired;  /* worker: no longer used; main: NULL when freed */
	_Atomic bool stop;                               /* main */
	_Atomic uint64_t turns;                          /* worker: its heartbeat */
};

struct worker {
	struct relay *relay;
	struct ports *ports;
	struct worker_mailbox mailbox;
	struct life *life; /* in the ring of events: control sees the worker live */
	bool adaptive; /* naps when idle */
	struct page_worker *page; /* what `sluice show` reads; may be NULL */
	struct capture_stage capture;
	uint8_t *room[PORT_COUNT], *room_large[PORT_COUNT]; /* handed to the relay last */
};

/* Runs until the mailbox says stop. `argument` is a struct worker. */
int worker_run(void *argument);

/* The relay's way to the worker's ports, which may be opened after the relay was made. */
struct relay_wire worker_wire(struct worker *w);

#endif
