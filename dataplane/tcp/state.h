/* state.h: the connection states of RFC 9293 3.3.2 and what moves between them, as one total table. */
#ifndef DATAPLANE_TCP_STATE_H
#define DATAPLANE_TCP_STATE_H

#include <stdbool.h>

enum tcp_state {
	TCP_CLOSED,       /* nothing is known of the peer; also the end of every half */
	TCP_LISTEN,       /* towards the client: its SYN is held until the server has answered */
	TCP_SYN_SENT,     /* towards the server: the client's SYN was forwarded */
	TCP_SYN_RECEIVED, /* towards the client: the server's SYN-ACK was mirrored */
	TCP_ESTABLISHED,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_LAST_ACK,
	TCP_TIME_WAIT,
	TCP_STATE_COUNT
};

enum tcp_state_event {
	TCP_ON_SYN_HELD,    /* passive open: the client's SYN came */
	TCP_ON_SYN_SENT,    /* active open */
	TCP_ON_ANSWERED,    /* the held SYN is answered with a SYN-ACK */
	TCP_ON_OPENED,      /* our SYN was acknowledged, and theirs is known */
	TCP_ON_FIN_IN,      /* the peer's FIN was reached in order */
	TCP_ON_FIN_OUT,     /* our FIN was sent for the first time */
	TCP_ON_FIN_ACKED,   /* our FIN was acknowledged */
	TCP_ON_RESET,       /* a valid RST came, or we abort */
	TCP_ON_EXPIRED,     /* retries are used up, or TIME-WAIT is over */
	TCP_STATE_EVENT_COUNT
};

/* The next state; the same state when the event means nothing there (`refused` is then set). */
enum tcp_state tcp_state_next(enum tcp_state state, enum tcp_state_event event, bool *refused);

/* Our FIN may still be queued; the peer's bytes may still arrive. */
bool tcp_state_can_send(enum tcp_state state);
bool tcp_state_can_receive(enum tcp_state state);

/* The peer's SYN has been seen, so that sequence numbers can be judged. */
bool tcp_state_synchronized(enum tcp_state state);

const char *tcp_state_name(enum tcp_state state);

#endif
