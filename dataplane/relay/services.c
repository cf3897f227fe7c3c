#include "dataplane/relay/services.h"

#include <string.h>

_Static_assert(RELAY_SERVICES_MAX < UINT16_MAX, "a slot holds a number and one more");

struct relay_service *relay_services_find(struct relay_services *s, struct hash_key key, const char *name, bool make)
{
	const size_t slots = sizeof s->slot / sizeof s->slot[0];
	size_t len = strlen(name), at;
	struct relay_service *new;

	if (len >= sizeof s->of[0].name)
		return NULL;
	/* Ends, because half of the slots are free. */
	for (at = hash64(key, name, len) % slots; s->slot[at]; at = (at + 1) % slots) {
		struct relay_service *known = &s->of[s->slot[at] - 1];

		if (strcmp(known->name, name) == 0)
			return known;
	}
	if (!make || s->count == RELAY_SERVICES_MAX)
		return NULL;
	new = &s->of[s->count++];
	memcpy(new->name, name, len + 1);
	s->slot[at] = (uint16_t)s->count;
	return new;
}
