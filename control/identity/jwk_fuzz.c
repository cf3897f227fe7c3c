/* jwk_fuzz.c: hostile key sets and discovery documents. A key that comes out is of a pinned algorithm and has a thumbprint. */
#include <stdlib.h>
#include <string.h>

#include "control/identity/identity.h"
#include "control/identity/keyset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct jwk_pins pins = { { JWT_ES256, JWT_RS256 } };
	static const struct identity_issuer entry = { .name = "a", .issuer = "https://a", .audience = "x" };
	static struct keyset set;
	static const uint8_t none[32];
	struct identity_clock now = { .wall_s = 1, .mono_s = 1 };
	struct identity_fetch fetch;
	const char *problem;
	char why[128];
	struct identity *id = identity_create(&entry, 1, NULL, why, sizeof(why));

	if (keyset_parse(bytes_of(data, size), &pins, &set, &problem)) {
		for (unsigned i = 0; i < set.count; i++)
			if ((set.keys[i].alg != JWT_ES256 && set.keys[i].alg != JWT_RS256) || !set.keys[i].handle || memcmp(set.keys[i].sha256, none, 32) == 0)
				abort();
		keyset_clear(&set);
	}
	if (!id || !identity_wants_fetch(id, now, &fetch))
		abort();
	if (identity_fetched(id, fetch.id, 200, bytes_of(data, size), now).good && identity_wants_fetch(id, now, &fetch))
		if (strncmp(fetch.url, "https://a", 9) != 0)
			abort();
	identity_destroy(id);
	return 0;
}
