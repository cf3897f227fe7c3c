/* services.h: what a worker keeps of a service over policies: its TLS material and the inspector's own. By name, because numbers
 * belong to one policy. Private to this folder; one thread, no allocation.
 *
 * A name stays until the worker ends, also when no policy names it any more: flows hold it. With room for twice the services of a
 * policy, reloads that rename all of them are survived once; then what is new is refused, as anything without its material.
 */
#ifndef DATAPLANE_RELAY_SERVICES_H
#define DATAPLANE_RELAY_SERVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/hash.h"
#include "platform/base/limits.h"

#define RELAY_SERVICES_MAX (2 * LIMIT_SERVICES)

struct tls_context;

struct relay_service {
	char name[64];
	struct tls_context *server, *client; /* NULL: not sent yet */
	void *shared;                        /* the inspector's, one per service */
	size_t shared_bytes;
};

struct relay_services {
	struct relay_service of[RELAY_SERVICES_MAX];
	uint16_t slot[2 * RELAY_SERVICES_MAX]; /* number + 1 of a service, by the hash of its name; 0: free */
	unsigned count;
};

/* NULL when it is not known, or with `make` when there is no room or the name is too long. */
struct relay_service *relay_services_find(struct relay_services *s, struct hash_key key, const char *name, bool make);

#endif
