/* What stands in a record of an answer: the limit that ended it, by the policy's word; and in one of a part of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/inbox/describe.h"

static void the_limit_that_was_reached_is_on_record(void **state)
{
	static const struct {
		enum response_limit limit;
		const char *expected;
		unsigned cut;
	} rows[] = {
		{ RESPONSE_LIMIT_NONE, "{\"code\":\"42501\",\"masked\":{},\"masked_cells\":0,\"octets\":40,\"rows\":3,\"tag\":\"\",\"truncated\":true,\"truncated_by\":[\"payload_limit\"],"
				       "\"us\":7,\"verdict\":\"error\"}", RESPONSE_CUT_LIMIT },
		{ RESPONSE_LIMIT_NONE, "{\"code\":\"42501\",\"masked\":{},\"masked_cells\":0,\"octets\":40,\"rows\":3,\"tag\":\"\",\"truncated\":true,"
				       "\"truncated_by\":[\"journal_full\",\"ring_full\"],\"us\":7,\"verdict\":\"error\"}", RESPONSE_CUT_RING | RESPONSE_CUT_JOURNAL },
		{ RESPONSE_LIMIT_NONE, "{\"code\":\"42501\",\"masked\":{},\"masked_cells\":0,\"octets\":40,\"rows\":3,\"tag\":\"\",\"us\":7,\"verdict\":\"error\"}" },
		{ RESPONSE_LIMIT_ROWS, "{\"code\":\"42501\",\"limit\":\"max_rows\",\"masked\":{},\"masked_cells\":0,\"octets\":40,\"rows\":3,\"tag\":\"\",\"us\":7,"
				       "\"verdict\":\"error\"}" },
		{ RESPONSE_LIMIT_BYTES, "{\"code\":\"42501\",\"limit\":\"max_bytes\",\"masked\":{},\"masked_cells\":0,\"octets\":40,\"rows\":3,\"tag\":\"\",\"us\":7,"
					"\"verdict\":\"error\"}" },
	};
	char text[512];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct event_response e = { .outcome = RESPONSE_ERROR, .status = bytes_str("42501"), .rows = 3, .octets = 40, .duration_us = 7,
						  .limit = (uint8_t)rows[i].limit, .truncated = (uint8_t)rows[i].cut };
		const struct describe_response d = { .event = &e };
		struct writer w = writer_of(text, sizeof text - 1);
		struct jcs j = jcs_of(&w);

		jcs_open(&j);
		describe_response_out(&j, &d);
		jcs_close(&j);
		text[jcs_done(&j).len] = 0;
		assert_string_equal(text, rows[i].expected);
	}
}

static void a_part_tells_how_far_the_answer_has_come(void **state)
{
	const struct event_part e = { .rows = 7, .octets = 70000, .window = 65536 };
	char text[128];
	struct writer w = writer_of(text, sizeof text - 1);
	struct jcs j = jcs_of(&w);

	jcs_open(&j);
	describe_part_out(&j, &e);
	jcs_close(&j);
	text[jcs_done(&j).len] = 0;
	assert_string_equal(text, "{\"octets\":70000,\"rows\":7,\"verdict\":\"part\",\"window\":65536}");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(the_limit_that_was_reached_is_on_record),
					    cmocka_unit_test(a_part_tells_how_far_the_answer_has_come) };

	return cmocka_run_group_tests_name("inbox_describe", tests, NULL, NULL);
}
