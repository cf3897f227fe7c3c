/* operators.h: the operator's socket: `control.sock` in the run directory, frames of control/cli/frame.h.
 *
 * The peer's uid gives the role: root and the user that control runs as are administrators; whoever else may open the socket (the
 * node's group) sees the node's state; approvals and records, votes and revocations need a token. Every verb that shows what the journal or a session holds, and every one that changes
 * something, is a record. Answers leave after the commit of what they rest on.
 * Connections: 32, each with one request and ten seconds. Threading: the core's thread.
 */
#ifndef CONTROL_OPERATORS_H
#define CONTROL_OPERATORS_H

#include <poll.h>

#include "control/identity/identity.h"
#include "platform/os/error.h"

#define OPERATORS_MAX 32

struct node;
struct operators;

struct operators *operators_create(struct node *n, char err[OS_ERROR_BYTES]);
void operators_destroy(struct operators *os);

/* Descriptors to poll; at most OPERATORS_MAX + 1. */
unsigned operators_poll(const struct operators *os, struct pollfd *fds);
/* Accepts, reads, and runs what is complete. */
void operators_ready(struct operators *os);
/* After the commit: writes the answers. */
void operators_flush(struct operators *os);

/* The answer to node_identify. `p` NULL: refused, `why` says it. Borrowed for the call. */
void operators_identified(struct operators *os, uint64_t question, struct principal *p, const struct identity_failure *why);

#endif
