/* Every decoder of the contract on random bytes: nothing may be read out of bounds, and what decodes must encode again. */
#include <stdlib.h>

#include "platform/contract/classification.h"
#include "platform/contract/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t again[LIMIT_MESSAGE_BYTES];

#define U8(f)
#define U16(f)
#define U32(f)
#define U64(f)
#define BYTES(f, max)
#define END(name)

static void fuzz_event(unsigned number, struct bytes in)
{
#define MESSAGE(name, number_, when) \
	if (number == number_) { \
		struct event_##name m; \
		if (event_##name##_decode(in, &m) && !bytes_equal(event_##name##_encode(&m, again, sizeof again), in)) \
			abort(); \
	}
#include "platform/contract/event.def"
#undef MESSAGE
}

static void fuzz_order(unsigned number, struct bytes in)
{
#define MESSAGE(name, number_, when) \
	if (number == number_) { \
		struct order_##name m; \
		if (order_##name##_decode(in, &m) && !bytes_equal(order_##name##_encode(&m, again, sizeof again), in)) \
			abort(); \
	}
#include "platform/contract/order.def"
#undef MESSAGE
}

static void fuzz_classification(struct bytes in)
{
	struct classification c;
	struct classified_statement s;
	struct access a;
	struct predicate p;
	struct written written;
	struct target t;
	struct bytes name;

	if (!classification_open(in, &c))
		return;
	for (struct reader at = c.statement_bytes; classification_next(&at, &s);) {
		while (access_next(&s.access_bytes, &a))
			;
		while (target_next(&s.target_bytes, &t))
			while (target_name(&t, &name))
				;
		while (written_next(&s.write_bytes, &written))
			while (target_name(&written.from, &name))
				;
		while (predicate_next(&s.predicate_bytes, &p))
			;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] < 64)
		fuzz_event(data[0], bytes_of(data + 1, size - 1));
	else if (data[0] < 128)
		fuzz_order(data[0] - 64, bytes_of(data + 1, size - 1));
	else
		fuzz_classification(bytes_of(data + 1, size - 1));
	return 0;
}
