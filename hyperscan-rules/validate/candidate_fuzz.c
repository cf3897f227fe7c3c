/* Backward scanning and every validator on any text: the first two bytes choose the class's shape. */
#include <stdlib.h>

#include "hyperscan-rules/validate/candidate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct class class;
	struct candidate found;
	struct bytes text;
	uint64_t work = 0;

	if (size < 4)
		return 0;
	memset(&class, 0, sizeof class);
	class.shape = data[0] % SHAPE_COUNT;
	class.alphabet = data[1] % ALPHABET_COUNT;
	class.validator = data[2] % VALIDATOR_count;
	class.case_fold = data[3] & 1;
	class.length_min = 1 + data[3] % 20;
	class.length_max = class.shape == SHAPE_PACKED ? CLASS_PACKED_MAX : 300;
	class.span_max = 400;
	memcpy(class.separators, " -.", 4);
	if (data[3] & 2)
		memcpy(class.groupings[0], "\x04\xff", 3);
	if (data[3] & 4)
		memcpy(class.leads[0], "://", 4);
	text = bytes_of(data + 4, size - 4);
	for (size_t end = 0; end <= text.len + 1; end++)
		if (candidate_find(&class, text, end, &found, &work) && (found.start >= found.end || found.end > text.len))
			abort();
	return 0;
}
