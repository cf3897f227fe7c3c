#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/state.h"

/* RFC 9293 figure 5, written out: from, event, to. Whatever is not here must change nothing. */
static const struct {
	enum tcp_state from;
	enum tcp_state_event event;
	enum tcp_state to;
} rows[] = {
	{ TCP_CLOSED, TCP_ON_SYN_HELD, TCP_LISTEN },
	{ TCP_CLOSED, TCP_ON_SYN_SENT, TCP_SYN_SENT },
	{ TCP_LISTEN, TCP_ON_ANSWERED, TCP_SYN_RECEIVED },
	{ TCP_SYN_SENT, TCP_ON_OPENED, TCP_ESTABLISHED },
	{ TCP_SYN_RECEIVED, TCP_ON_OPENED, TCP_ESTABLISHED },
	{ TCP_ESTABLISHED, TCP_ON_FIN_IN, TCP_CLOSE_WAIT },
	{ TCP_ESTABLISHED, TCP_ON_FIN_OUT, TCP_FIN_WAIT_1 },
	{ TCP_FIN_WAIT_1, TCP_ON_FIN_IN, TCP_CLOSING },
	{ TCP_FIN_WAIT_1, TCP_ON_FIN_ACKED, TCP_FIN_WAIT_2 },
	{ TCP_FIN_WAIT_2, TCP_ON_FIN_IN, TCP_TIME_WAIT },
	{ TCP_CLOSE_WAIT, TCP_ON_FIN_OUT, TCP_LAST_ACK },
	{ TCP_CLOSING, TCP_ON_FIN_ACKED, TCP_TIME_WAIT },
	{ TCP_LAST_ACK, TCP_ON_FIN_ACKED, TCP_CLOSED },
};

static enum tcp_state wanted(enum tcp_state from, enum tcp_state_event event, bool *listed)
{
	*listed = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].from == from && rows[i].event == event)
			return rows[i].to;
	if (from != TCP_CLOSED && (event == TCP_ON_RESET || event == TCP_ON_EXPIRED))
		return TCP_CLOSED;
	*listed = false;
	return from;
}

static void every_cell_is_as_the_figure_says(void **state)
{
	for (unsigned s = 0; s < TCP_STATE_COUNT; s++)
		for (unsigned e = 0; e < TCP_STATE_EVENT_COUNT; e++) {
			bool listed, refused;
			enum tcp_state want = wanted(s, e, &listed);

			assert_int_equal(tcp_state_next(s, e, &refused), want);
			assert_int_equal(refused, !listed);
		}
}

static void every_state_has_a_name(void **state)
{
	for (unsigned s = 0; s < TCP_STATE_COUNT; s++)
		assert_string_not_equal(tcp_state_name(s), "?");
	assert_string_equal(tcp_state_name(TCP_STATE_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_is_as_the_figure_says),
		cmocka_unit_test(every_state_has_a_name),
	};

	return cmocka_run_group_tests_name("tcp state", tests, NULL, NULL);
}
