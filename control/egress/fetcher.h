/* fetcher.h: HTTP requests by libcurl, several at once, inside sluice-egress only.
 *
 * The rules of identity.md 1: https only (time-stamp queries: http too, wire.h), TLS 1.2 or later, no redirect followed, no proxy, no cookie, no compression,
 * no connection used twice, time and size limits that end a request whatever the server does. The trust of a request is
 * one file of the CA directory, or the system's store; never both.
 * Threading: one thread (libcurl makes short-lived ones to resolve names).
 */
#ifndef CONTROL_EGRESS_FETCHER_H
#define CONTROL_EGRESS_FETCHER_H

#include <stdbool.h>

#include "control/egress/wire.h"

struct fetcher;

/* `ca_dir` is a descriptor of the CA directory, borrowed. NULL: libcurl could not start. */
struct fetcher *fetcher_create(int ca_dir);
void fetcher_destroy(struct fetcher *f);

/* Begins a request; whatever happens, fetcher_done will have its answer. */
void fetcher_start(struct fetcher *f, const struct egress_request *request);

/* Waits for the requests, or for `fd` with `events`, at most `timeout_ms`; then moves the requests on. */
void fetcher_turn(struct fetcher *f, int fd, short events, int timeout_ms);

/* The next finished request, or false. Its bytes live until fetcher_release. One at a time. */
bool fetcher_done(struct fetcher *f, struct egress_done *out);
void fetcher_release(struct fetcher *f);

#endif
