/* script.h: one line of a packet script, parsed. The format is in README.md. */
#ifndef TESTS_SCRIPTS_SCRIPT_H
#define TESTS_SCRIPTS_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet/segment.h"

#define LINE_TEXT_MAX 512

enum line_kind {
	LINE_EMPTY,
	LINE_INPUT,   /* client> server> */
	LINE_OUTPUT,  /* <client <server */
	LINE_ACTION,  /* client: server: */
	LINE_COMMAND, /* anything else: the words */
};

struct line {
	enum line_kind kind;
	unsigned side;
	uint64_t wait_us;
	/* Segments; numbers as written, relative unless `absolute`. */
	struct tcp_segment segment;
	bool absolute_seq, absolute_ack;
	bool has_ack, has_window, has_options, push_named;
	bool any_ts_value, any_ts_echo;
	char fill;              /* payload of this byte instead of the stream's */
	/* Actions and commands. */
	char words[6][64];
	unsigned word_count;
};

/* False with a reason in `error` when the line is not understood. */
bool line_parse(const char *text, struct line *out, char error[LINE_TEXT_MAX]);

#endif
