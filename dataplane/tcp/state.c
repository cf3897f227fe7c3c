/* state.c: the table. A cell is the next state, or `no`: the event means nothing there and changes nothing.
 *
 *                  what the columns are: see enum tcp_state_event
 */
#include "dataplane/tcp/state.h"

#include <stdint.h>

enum { no = TCP_STATE_COUNT };

static const uint8_t table[TCP_STATE_COUNT][TCP_STATE_EVENT_COUNT] = {
	/*                     SYN_HELD    SYN_SENT      ANSWERED          OPENED           FIN_IN          FIN_OUT         FIN_ACKED       RESET       EXPIRED */
	[TCP_CLOSED]       = { TCP_LISTEN, TCP_SYN_SENT, no,               no,              no,             no,             no,             no,         no },
	[TCP_LISTEN]       = { no,         no,           TCP_SYN_RECEIVED, no,              no,             no,             no,             TCP_CLOSED, TCP_CLOSED },
	[TCP_SYN_SENT]     = { no,         no,           no,               TCP_ESTABLISHED, no,             no,             no,             TCP_CLOSED, TCP_CLOSED },
	[TCP_SYN_RECEIVED] = { no,         no,           no,               TCP_ESTABLISHED, no,             no,             no,             TCP_CLOSED, TCP_CLOSED },
	[TCP_ESTABLISHED]  = { no,         no,           no,               no,              TCP_CLOSE_WAIT, TCP_FIN_WAIT_1, no,             TCP_CLOSED, TCP_CLOSED },
	[TCP_FIN_WAIT_1]   = { no,         no,           no,               no,              TCP_CLOSING,    no,             TCP_FIN_WAIT_2, TCP_CLOSED, TCP_CLOSED },
	[TCP_FIN_WAIT_2]   = { no,         no,           no,               no,              TCP_TIME_WAIT,  no,             no,             TCP_CLOSED, TCP_CLOSED },
	[TCP_CLOSE_WAIT]   = { no,         no,           no,               no,              no,             TCP_LAST_ACK,   no,             TCP_CLOSED, TCP_CLOSED },
	[TCP_CLOSING]      = { no,         no,           no,               no,              no,             no,             TCP_TIME_WAIT,  TCP_CLOSED, TCP_CLOSED },
	[TCP_LAST_ACK]     = { no,         no,           no,               no,              no,             no,             TCP_CLOSED,     TCP_CLOSED, TCP_CLOSED },
	[TCP_TIME_WAIT]    = { no,         no,           no,               no,              no,             no,             no,             TCP_CLOSED, TCP_CLOSED },
};

enum tcp_state tcp_state_next(enum tcp_state state, enum tcp_state_event event, bool *refused)
{
	uint8_t next = table[state][event];

	if (refused)
		*refused = next == no;
	return next == no ? state : (enum tcp_state)next;
}

bool tcp_state_can_send(enum tcp_state state)
{
	return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT;
}

bool tcp_state_can_receive(enum tcp_state state)
{
	return state == TCP_ESTABLISHED || state == TCP_FIN_WAIT_1 || state == TCP_FIN_WAIT_2;
}

bool tcp_state_synchronized(enum tcp_state state)
{
	return state >= TCP_ESTABLISHED;
}

const char *tcp_state_name(enum tcp_state state)
{
	static const char *const names[TCP_STATE_COUNT] = {
		[TCP_CLOSED] = "CLOSED",
		[TCP_LISTEN] = "LISTEN",
		[TCP_SYN_SENT] = "SYN-SENT",
		[TCP_SYN_RECEIVED] = "SYN-RECEIVED",
		[TCP_ESTABLISHED] = "ESTABLISHED",
		[TCP_FIN_WAIT_1] = "FIN-WAIT-1",
		[TCP_FIN_WAIT_2] = "FIN-WAIT-2",
		[TCP_CLOSE_WAIT] = "CLOSE-WAIT",
		[TCP_CLOSING] = "CLOSING",
		[TCP_LAST_ACK] = "LAST-ACK",
		[TCP_TIME_WAIT] = "TIME-WAIT",
	};

	return state < TCP_STATE_COUNT ? names[state] : "?";
}
