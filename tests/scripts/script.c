/* script.c: a line is read word by word; a word that nobody knows is an error, never skipped. */
#include "tests/scripts/script.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
	const char *at;
	char *error;
};

static bool fail(struct cursor *c, const char *what)
{
	snprintf(c->error, LINE_TEXT_MAX, "%s near \"%.40s\"", what, c->at);
	return false;
}

static void skip_blanks(struct cursor *c)
{
	while (isspace((unsigned char)*c->at))
		c->at++;
}

static bool eat(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	skip_blanks(c);
	if (strncmp(c->at, word, len) != 0)
		return false;
	if (isalnum((unsigned char)word[len - 1]) && isalnum((unsigned char)c->at[len]))
		return false;
	c->at += len;
	return true;
}

static bool number(struct cursor *c, uint32_t *out)
{
	char *end;

	skip_blanks(c);
	if (!isdigit((unsigned char)*c->at) && *c->at != '-')
		return fail(c, "a number is wanted");
	*out = (uint32_t)strtoll(c->at, &end, 0);
	c->at = end;
	return true;
}

static bool flags(struct cursor *c, struct line *l)
{
	static const char letters[] = "FSRP.UEC";
	static const uint8_t bits[] = { TCP_FIN, TCP_SYN, TCP_RST, TCP_PSH, TCP_ACK, TCP_URG, TCP_ECE, TCP_CWR };

	skip_blanks(c);
	if (*c->at == '-') { /* no flag at all */
		c->at++;
		return true;
	}
	while (*c->at && !isspace((unsigned char)*c->at)) {
		const char *found = strchr(letters, *c->at);

		if (!found)
			return fail(c, "an unknown flag");
		l->segment.flags |= bits[found - letters];
		c->at++;
	}
	l->push_named = (l->segment.flags & TCP_PSH) != 0;
	return true;
}

static bool one_option(struct cursor *c, struct line *l)
{
	struct tcp_options *o = &l->segment.options;
	uint32_t v;

	if (eat(c, "mss")) {
		o->has_mss = true;
		if (!number(c, &v))
			return false;
		o->mss = (uint16_t)v;
	} else if (eat(c, "wscale")) {
		o->has_shift = true;
		if (!number(c, &v))
			return false;
		o->shift = (uint8_t)v;
	} else if (eat(c, "sackOK")) {
		o->sack_permitted = true;
	} else if (eat(c, "TS val")) {
		o->has_timestamps = true;
		l->any_ts_value = eat(c, "*");
		if (!l->any_ts_value && !number(c, &o->ts_value))
			return false;
		if (!eat(c, "ecr"))
			return fail(c, "ecr is wanted");
		l->any_ts_echo = eat(c, "*");
		if (!l->any_ts_echo && !number(c, &o->ts_echo))
			return false;
	} else if (eat(c, "sack")) {
		skip_blanks(c);
		while (isdigit((unsigned char)*c->at) && o->sack_count < TCP_SACK_MAX) {
			struct tcp_sack_block *b = &o->sack[o->sack_count++];

			if (!number(c, &b->start) || !eat(c, ":") || !number(c, &b->end))
				return fail(c, "start:end is wanted");
			skip_blanks(c);
		}
	} else if (!eat(c, "nop") && !eat(c, "eol")) {
		return fail(c, "an unknown option");
	}
	return true;
}

static bool options(struct cursor *c, struct line *l)
{
	l->has_options = true;
	if (eat(c, ">"))
		return true;
	do
		if (!one_option(c, l))
			return false;
	while (eat(c, ","));
	return eat(c, ">") || fail(c, "> is wanted");
}

static bool segment(struct cursor *c, struct line *l)
{
	uint32_t end, len, window;

	if (!flags(c, l))
		return false;
	l->absolute_seq = eat(c, "=");
	if (!number(c, &l->segment.seq) || !eat(c, ":") || !number(c, &end) || !eat(c, "(") || !number(c, &len) || !eat(c, ")"))
		return fail(c, "seq:end(len) is wanted");
	if (end != l->segment.seq + len)
		return fail(c, "end is not seq + len");
	l->segment.payload_bytes = len;
	for (;;) {
		skip_blanks(c);
		if (*c->at == 0) {
			return true;
		} else if (eat(c, "ack")) {
			l->has_ack = true;
			l->absolute_ack = eat(c, "=");
			if (!number(c, &l->segment.ack))
				return false;
		} else if (eat(c, "win")) {
			l->has_window = true;
			if (!number(c, &window))
				return false;
			l->segment.window = (uint16_t)window;
		} else if (eat(c, "fill")) {
			skip_blanks(c);
			l->fill = *c->at++;
		} else if (eat(c, "<")) {
			if (!options(c, l))
				return false;
		} else {
			return fail(c, "an unknown word");
		}
	}
}

static bool words(struct cursor *c, struct line *l)
{
	for (skip_blanks(c); *c->at; skip_blanks(c)) {
		unsigned n = 0;

		if (l->word_count == 6)
			return fail(c, "too many words");
		while (*c->at && !isspace((unsigned char)*c->at) && n < sizeof(l->words[0]) - 1)
			l->words[l->word_count][n++] = *c->at++;
		l->words[l->word_count++][n] = 0;
	}
	return true;
}

bool line_parse(const char *text, struct line *out, char error[LINE_TEXT_MAX])
{
	char copy[LINE_TEXT_MAX];
	struct cursor c = { copy, error };
	char *hash;

	*out = (struct line){ 0 };
	snprintf(copy, sizeof(copy), "%s", text);
	hash = strchr(copy, '#');
	if (hash)
		*hash = 0;
	skip_blanks(&c);
	if (*c.at == '+') {
		char *end;

		out->wait_us = (uint64_t)(strtod(c.at + 1, &end) * 1e6 + 0.5);
		c.at = end;
		skip_blanks(&c);
	}
	if (*c.at == 0)
		return true;
	for (unsigned side = 0; side < 2; side++) {
		out->side = side;
		out->kind = LINE_INPUT;
		if (eat(&c, side ? "server>" : "client>"))
			return segment(&c, out);
		out->kind = LINE_OUTPUT;
		if (eat(&c, side ? "<server" : "<client"))
			return segment(&c, out);
		out->kind = LINE_ACTION;
		if (eat(&c, side ? "server:" : "client:"))
			return words(&c, out);
	}
	out->kind = LINE_COMMAND;
	return words(&c, out);
}
