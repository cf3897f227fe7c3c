/* What the checker accepts, the writer writes back byte for byte, and the readers walk to its end; nothing else is promised. */
#include <stdlib.h>

#include "control/journal/jcs_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t unescaped[1 << 16];

static bool read_key(struct bytes body, struct writer *out)
{
	struct jcs_value quoted = { .kind = JCS_STRING, .raw = bytes_of(body.base - 1, body.len + 2) };

	return jcs_read_str(quoted, out);
}

static void copy(struct jcs *j, struct jcs_value value)
{
	struct writer text = writer_of(unescaped, sizeof unescaped);
	struct jcs_value member;
	struct bytes key;
	size_t at = 0;
	int64_t number;
	bool boolean;

	switch (value.kind) {
	case JCS_OBJECT:
		jcs_open(j);
		while (jcs_next(value, &at, &key, &member)) {
			text = writer_of(unescaped, sizeof unescaped);
			if (!read_key(key, &text))
				abort();
			jcs_key_bytes(j, writer_done(&text));
			copy(j, member);
		}
		jcs_close(j);
		break;
	case JCS_ARRAY:
		jcs_array(j);
		while (jcs_next(value, &at, NULL, &member))
			copy(j, member);
		jcs_array_close(j);
		break;
	case JCS_STRING:
		if (!jcs_read_str(value, &text))
			abort();
		jcs_str(j, writer_done(&text));
		break;
	case JCS_INTEGER:
		if (!jcs_read_int(value, &number))
			abort();
		jcs_int(j, number);
		break;
	case JCS_BOOL:
		if (!jcs_read_bool(value, &boolean))
			abort();
		jcs_bool(j, boolean);
		break;
	default:
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[1 << 16];
	struct writer w = writer_of(again, sizeof again), text = writer_of(unescaped, sizeof unescaped);
	struct bytes input = bytes_of(data, size);
	struct jcs j = jcs_of(&w);
	struct jcs_value top = jcs_value_of(input), value;
	struct bytes key;
	size_t at = 0;
	int64_t number;

	if (size > sizeof again)
		return 0;
	/* The readers on anything at all. */
	while (jcs_next(top, &at, &key, &value)) {
		(void)jcs_read_int(value, &number);
		(void)jcs_get(value, "a");
	}
	(void)jcs_read_str(top, &text);
	if (jcs_check(input, NULL) != NULL)
		return 0;
	copy(&j, top);
	if (!bytes_equal(jcs_done(&j), input))
		abort();
	return 0;
}
