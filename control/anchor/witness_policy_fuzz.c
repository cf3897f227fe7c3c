/* witness_policy_fuzz.c: any text as a policy. What is taken can be met by all its witnesses, by none only when it asks for none, and one
 * witness more never makes a quorum none. */
#include <stdlib.h>

#include "control/anchor/witness_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct witness_policy p;
	uint64_t some = 0;
	unsigned line;

	if (witness_policy_read(bytes_of(data, size), &p, &line) != NULL)
		return 0;
	if (line != 0 || !witness_policy_met(&p, UINT64_MAX) || witness_policy_met(&p, 0) == witness_policy_asks(&p))
		abort();
	for (unsigned i = 0; i < p.witnesses; i++) {
		bool met = witness_policy_met(&p, some);

		if (witness_policy_find(&p, p.witness[i].key) != (int)i)
			abort();
		some |= 1ull << (i * 7 + size) % 64;
		if (met && !witness_policy_met(&p, some))
			abort();
	}
	return 0;
}
