/* client.h: control's side of sluice-egress.
 *
 * Purpose: HTTPS GET, and the POSTs of wire.h, without blocking and without libcurl in control. A request is a frame on the socket pair to
 * the child; its answer comes later, when the descriptor is readable.
 *
 * Life: egress_client_create once; egress_client_attach gives it the socket of a freshly started child (it becomes
 * non-blocking and is closed by the client). When the child dies, or breaks the protocol, egress_client_ready says
 * false, every request under way has been answered with EGRESS_died, and the supervisor starts another and attaches.
 * Requests without a child are refused at once. The child is not trusted: each frame is checked, an answer to no
 * request is a breach.
 * Answers: bytes are borrowed for the length of the callback, which may call egress_client_get.
 * Threading: one thread. Time is a monotonic clock in milliseconds.
 */
#ifndef CONTROL_EGRESS_CLIENT_H
#define CONTROL_EGRESS_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "control/egress/wire.h"
#include "platform/base/bytes.h"

struct egress_answer {
	uint64_t id;
	enum egress_result result;
	unsigned http_status; /* 0 unless result is EGRESS_ok */
	struct bytes content_type;
	struct bytes body;
};

typedef void egress_answer_fn(void *context, const struct egress_answer *answer);

struct egress_client;

struct egress_client *egress_client_create(egress_answer_fn *answer, void *context);
void egress_client_destroy(struct egress_client *client);

/* Takes `fd`, a connected stream socket. A child that was attached before is detached first. */
void egress_client_attach(struct egress_client *client, int fd);

/* Closes the socket and answers what is under way with EGRESS_died. */
void egress_client_detach(struct egress_client *client);

/* -1 without a child; poll for egress_client_events (POLLIN, and POLLOUT while frames wait). */
int egress_client_fd(const struct egress_client *client);
short egress_client_events(const struct egress_client *client);

/* One GET. `id` is the caller's and must not be under way; `ca` names a file in the child's CA directory, "" means the
 * system's store. False, and no answer will come: no child, too many under way, bad URL or name, buffer full. */
bool egress_client_get(struct egress_client *client, uint64_t id, const char *url, const char *ca, uint64_t now_ms);
/* The same for a POST of `data`: EGRESS_TIMESTAMP or EGRESS_WITNESS (wire.h); `answer_max` bounds the answer's body. */
bool egress_client_post(struct egress_client *client, enum egress_type type, uint64_t id, const char *url, const char *ca, struct bytes data, uint32_t answer_max,
			uint64_t now_ms);

/* Reads and writes what the socket allows, and calls back for each answer. False: the child is gone, now detached. */
bool egress_client_ready(struct egress_client *client);

/* A request older than its time limit means a stuck child: false as above, after which the supervisor kills it. */
bool egress_client_tick(struct egress_client *client, uint64_t now_ms);

#endif
