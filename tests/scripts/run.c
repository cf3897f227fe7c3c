/* run.c: plays packet scripts against a TCP pair and prints TAP, one point a script.
 *
 * usage: run DIRECTORY | FILE…     a directory stands for every *.pkt in it
 * Every segment that the pair sends must be expected by the script, in order and in time; whatever is left over when the
 * next input, action or the end comes is a failure.
 */
#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/stage.h"
#include "tests/scripts/play.h"

#define POOL_BYTES (4u << 20)

static uint64_t elapsed_ms(const struct play *p)
{
	return (p->stage->now_us / 1000) - (p->shift_us / 1000);
}

/* What `side` sends is numbered from its ISN; what is sent to it, from the other's. */
uint32_t play_base(const struct play *p, unsigned from)
{
	return p->stage->isn[from];
}

static bool wrong(struct play *p, const char *what, long want, long got)
{
	snprintf(p->error, sizeof(p->error), "%s: want %ld, got %ld", what, want, got);
	return false;
}

const char *play_text(const struct play *p, unsigned side, const struct tcp_segment *s, char out[256])
{
	static const char letters[] = "FSRP.UEC";
	char names[9];
	unsigned n = 0;

	for (unsigned i = 0; i < 8; i++)
		if (s->flags & (1u << i))
			names[n++] = letters[i];
	names[n] = 0;
	snprintf(out, 256, "<%s %s %u:%u(%u) ack %u win %u sack %u", side ? "server" : "client", names,
		 s->seq - play_base(p, !side), s->seq - play_base(p, !side) + s->payload_bytes, s->payload_bytes,
		 s->ack - play_base(p, side), s->window, s->options.sack_count);
	for (unsigned i = 0; i < s->options.sack_count; i++)
		snprintf(out + strlen(out), 256 - strlen(out), " %u:%u", s->options.sack[i].start - play_base(p, side),
			 s->options.sack[i].end - play_base(p, side));
	return out;
}

static bool nothing_left(struct play *p)
{
	for (unsigned side = 0; side < 2; side++) {
		struct stage_sent *sent = stage_next(p->stage, side);
		char text[256];

		if (sent) {
			snprintf(p->error, sizeof(p->error), "not expected, at +%.6f: %s",
				 (double)(sent->at_us - p->stage->start_us) / 1e6, play_text(p, side, &sent->segment, text));
			return false;
		}
	}
	return true;
}

static void default_timestamps(struct play *p, const struct line *l, struct tcp_segment *s)
{
	const struct tcp_half *half = &p->stage->pair.half[l->side];

	if (l->has_options || !half->timestamps || (s->flags & TCP_SYN))
		return;
	s->options.has_timestamps = true;
	s->options.ts_value = p->ts_base[l->side] + (uint32_t)elapsed_ms(p);
	s->options.ts_echo = p->ts_seen[l->side];
}

static bool play_input(struct play *p, const struct line *l)
{
	static uint8_t payload[STAGE_PAYLOAD_MAX];
	struct tcp_segment s = l->segment;
	uint32_t first = s.seq + !!(s.flags & TCP_SYN) - 1;

	if (!p->stage->opened)
		p->shift_us = p->stage->now_us;
	if (s.flags & TCP_SYN && s.options.has_timestamps && s.seq == 0)
		p->ts_base[l->side] = s.options.ts_value - (uint32_t)elapsed_ms(p);
	for (uint32_t i = 0; i < s.payload_bytes && i < sizeof(payload); i++)
		payload[i] = l->fill ? (uint8_t)l->fill : stage_byte(l->side, first + i);
	default_timestamps(p, l, &s);
	for (unsigned i = 0; i < s.options.sack_count; i++) {
		s.options.sack[i].start += play_base(p, !l->side);
		s.options.sack[i].end += play_base(p, !l->side);
	}
	s.seq += l->absolute_seq ? 0 : play_base(p, l->side);
	if (l->has_ack)
		s.ack += l->absolute_ack ? 0 : play_base(p, !l->side);
	if (!l->has_window)
		s.window = 65535;
	s.span_count = s.payload_bytes > 0;
	s.spans[0] = bytes_of(payload, s.payload_bytes);
	stage_input(p->stage, l->side, &s);
	return true;
}

static bool same_options(struct play *p, const struct line *l, const struct tcp_options *got)
{
	const struct tcp_options *want = &l->segment.options;

	if (want->has_mss != got->has_mss || (want->has_mss && want->mss != got->mss))
		return wrong(p, "mss", want->has_mss ? want->mss : -1, got->has_mss ? got->mss : -1);
	if (want->has_shift != got->has_shift || (want->has_shift && want->shift != got->shift))
		return wrong(p, "wscale", want->has_shift ? want->shift : -1, got->has_shift ? got->shift : -1);
	if (want->sack_permitted != got->sack_permitted)
		return wrong(p, "sackOK", want->sack_permitted, got->sack_permitted);
	if (want->has_timestamps != got->has_timestamps)
		return wrong(p, "timestamps", want->has_timestamps, got->has_timestamps);
	if (want->has_timestamps && !l->any_ts_value && want->ts_value != got->ts_value)
		return wrong(p, "TS val", want->ts_value, got->ts_value);
	if (want->has_timestamps && !l->any_ts_echo && want->ts_echo != got->ts_echo)
		return wrong(p, "TS ecr", want->ts_echo, got->ts_echo);
	if (want->sack_count != got->sack_count)
		return wrong(p, "SACK blocks", want->sack_count, got->sack_count);
	for (unsigned i = 0; i < want->sack_count; i++)
		if (want->sack[i].start + play_base(p, l->side) != got->sack[i].start ||
		    want->sack[i].end + play_base(p, l->side) != got->sack[i].end)
			return wrong(p, "SACK block", (long)want->sack[i].start,
				     (long)(got->sack[i].start - play_base(p, l->side)));
	return true;
}

static bool same_segment(struct play *p, const struct line *l, const struct stage_sent *sent)
{
	const struct tcp_segment *want = &l->segment, *got = &sent->segment;
	uint32_t seq = want->seq + (l->absolute_seq ? 0 : play_base(p, !l->side));
	uint32_t ack = want->ack + (l->absolute_ack ? 0 : play_base(p, l->side));
	uint8_t mask = l->push_named ? 0xff : (uint8_t)~TCP_PSH;
	uint64_t late = p->stage->now_us - sent->at_us;

	if ((want->flags & mask) != (got->flags & mask))
		return wrong(p, "flags", want->flags, got->flags);
	if (seq != got->seq)
		return wrong(p, "seq", want->seq, (long)(got->seq - seq + want->seq));
	if (want->payload_bytes != got->payload_bytes)
		return wrong(p, "length", want->payload_bytes, got->payload_bytes);
	if (l->has_ack && ack != got->ack)
		return wrong(p, "ack", want->ack, (long)(got->ack - ack + want->ack));
	if (l->has_window && want->window != got->window)
		return wrong(p, "window", want->window, got->window);
	if (late > PLAY_TOLERANCE_US)
		return wrong(p, "time, in microseconds", (long)(p->stage->now_us - p->stage->start_us),
			     (long)(sent->at_us - p->stage->start_us));
	if (l->has_options && !same_options(p, l, &got->options))
		return false;
	if (got->payload_bytes > 0 &&
	    memcmp(sent->payload, p->stage->written[l->side] + (got->seq - play_base(p, !l->side) - 1), got->payload_bytes) != 0)
		return wrong(p, "content differs from what was written", 0, 1);
	return true;
}

static bool play_output(struct play *p, const struct line *l)
{
	struct stage_sent *sent = stage_next(p->stage, l->side);
	char text[256], reason[LINE_TEXT_MAX];

	if (!sent) {
		snprintf(p->error, sizeof(p->error), "nothing was sent");
		return false;
	}
	if (sent->segment.options.has_timestamps)
		p->ts_seen[l->side] = sent->segment.options.ts_value;
	if (sent->segment.options.has_timestamps && (sent->segment.flags & TCP_SYN) && l->side == TCP_SERVER)
		p->ts_seen[l->side] = sent->segment.options.ts_value;
	if (same_segment(p, l, sent))
		return true;
	snprintf(reason, sizeof(reason), "%s", p->error);
	snprintf(p->error, sizeof(p->error), "%.200s; sent was %s", reason, play_text(p, l->side, &sent->segment, text));
	return false;
}

static bool act_read(struct play *p, unsigned side, uint32_t len, char fill)
{
	struct stage *s = p->stage;
	struct tcp_half *half = &s->pair.half[side];

	while (len > 0) {
		struct bytes b = tcp_readable(half);
		size_t part = b.len < len ? b.len : len;

		if (part == 0)
			return wrong(p, "bytes missing", len, 0);
		for (size_t i = 0; i < part; i++) {
			uint8_t want = fill ? (uint8_t)fill : stage_byte(side, s->read_bytes[side] + (uint32_t)i);

			if (b.base[i] != want)
				return wrong(p, "read another byte", want, b.base[i]);
		}
		tcp_consume(half, part);
		s->read_bytes[side] += (uint32_t)part;
		len -= (uint32_t)part;
	}
	stage_settle(s);
	return true;
}

static bool act_write(struct play *p, unsigned side, uint32_t len, long want)
{
	static uint8_t data[STAGE_PAYLOAD_MAX];
	size_t taken;

	for (uint32_t i = 0; i < len; i++)
		data[i] = stage_byte(!side, p->stage->written_bytes[side] + i);
	taken = stage_write(p->stage, side, data, len);
	if ((long)taken != want)
		return wrong(p, "bytes taken", want, (long)taken);
	stage_settle(p->stage);
	return true;
}

static bool play_action(struct play *p, const struct line *l)
{
	struct tcp_half *half = &p->stage->pair.half[l->side];
	const char *verb = l->words[0];
	uint32_t n = l->word_count > 1 ? (uint32_t)strtoul(l->words[1], NULL, 0) : 0;

	if (!strcmp(verb, "read"))
		return act_read(p, l->side, n, l->word_count > 2 ? l->words[2][0] : 0);
	if (!strcmp(verb, "write"))
		return act_write(p, l->side, n, l->word_count > 2 ? strtol(l->words[2], NULL, 0) : (long)n);
	if (!strcmp(verb, "close")) {
		tcp_send_close(half);
		stage_settle(p->stage);
		return true;
	}
	if (!strcmp(verb, "abort")) {
		tcp_pair_abort(&p->stage->pair, l->side);
		stage_settle(p->stage);
		return true;
	}
	if (!strcmp(verb, "limit")) {
		tcp_receive_limit(half, n);
		stage_settle(p->stage);
		return true;
	}
	if (!strcmp(verb, "readable"))
		return tcp_readable_bytes(half) == n || wrong(p, "readable", n, (long)tcp_readable_bytes(half));
	if (!strcmp(verb, "space"))
		return tcp_send_space(half) == n || wrong(p, "space", n, (long)tcp_send_space(half));
	if (!strcmp(verb, "state")) {
		if (!strcmp(l->words[1], tcp_state_name(half->state)))
			return true;
		snprintf(p->error, sizeof(p->error), "state is %s", tcp_state_name(half->state));
		return false;
	}
	if (!strcmp(verb, "eof"))
		return tcp_read_closed(half) || wrong(p, "eof", 1, 0);
	if (!strcmp(verb, "established"))
		return tcp_established(half) || wrong(p, "established", 1, 0);
	if (!strcmp(verb, "reset"))
		return tcp_was_reset(half) || wrong(p, "reset", 1, 0);
	if (!strcmp(verb, "timed-out"))
		return tcp_timed_out(half) || wrong(p, "timed out", 1, 0);
	if (!strcmp(verb, "not-reset"))
		return !tcp_was_reset(half) || wrong(p, "reset", 0, 1);
	snprintf(p->error, sizeof(p->error), "unknown action %s", verb);
	return false;
}

static bool set_config(struct play *p, const char *name, const char *value)
{
	struct tcp_config *c = &p->stage->config;
	unsigned long long v = strtoull(value, NULL, 0);

	if (!strcmp(name, "receive_bytes_max"))
		c->receive_bytes_max = (uint32_t)v;
	else if (!strcmp(name, "send_bytes_max"))
		c->send_bytes_max = (uint32_t)v;
	else if (!strcmp(name, "mss_max"))
		c->mss_max = (uint16_t)v;
	else if (!strcmp(name, "tail_probe"))
		c->tail_probe = v != 0;
	else if (!strcmp(name, "retries"))
		c->retries = (uint8_t)v;
	else if (!strcmp(name, "syn_retries"))
		c->syn_retries = (uint8_t)v;
	else if (!strcmp(name, "ack_delay_us"))
		c->ack_delay_us = (uint32_t)v;
	else if (!strcmp(name, "keepalive_idle_us"))
		c->keepalive_idle_us = v;
	else if (!strcmp(name, "keepalive_interval_us"))
		c->keepalive_interval_us = v;
	else if (!strcmp(name, "keepalive_probes"))
		c->keepalive_probes = (uint8_t)v;
	else if (!strcmp(name, "time_wait_us"))
		c->time_wait_us = v;
	else if (!strcmp(name, "challenge_per_second"))
		c->challenge_per_second = (uint32_t)v;
	else
		return wrong(p, "unknown setting", 0, 0);
	return true;
}

/* What most scripts begin with; the kinds differ in what both ends agree on. */
static bool play_handshake(struct play *p, const char *kind)
{
	bool full = !strcmp(kind, "full");
	const char *syn = full ? "<mss 1460,sackOK,TS val 100 ecr 0,wscale 7>" :
		!strcmp(kind, "sack") ? "<mss 1000,sackOK>" : !strcmp(kind, "ts") ? "<mss 1012,TS val 100 ecr 0>" : "<mss 1000>";
	const char *ack = full ? "<mss 1460,sackOK,TS val 700 ecr 100,wscale 7>" :
		!strcmp(kind, "sack") ? "<mss 1000,sackOK>" : !strcmp(kind, "ts") ? "<mss 1012,TS val 700 ecr 100>" : "<mss 1000>";
	char lines[6][128];

	snprintf(lines[0], 128, "client> S 0:0(0) win 65535 %s", syn);
	snprintf(lines[1], 128, "<server S 0:0(0) %s", syn);
	snprintf(lines[2], 128, "+.01 server> S. 0:0(0) ack 1 win 65535 %s", ack);
	snprintf(lines[3], 128, "<client S. 0:0(0) ack 1 %s", ack);
	snprintf(lines[4], 128, "+.01 client> . 1:1(0) ack 1 win %u", full ? 512 : 65535);
	snprintf(lines[5], 128, "<server . 1:1(0) ack 1");
	for (unsigned i = 0; i < 6; i++)
		if (!play_line(p, lines[i]))
			return false;
	/* The server's window, as after the handshake of a real one. */
	return play_line(p, full ? "server> . 1:1(0) ack 1 win 512" : "server> . 1:1(0) ack 1 win 65535");
}

static void hoard(struct play *p, uint32_t leave)
{
	while (p->stage->pool.free_count > leave) {
		struct tcp_chunk *chunk = tcp_pool_get(&p->stage->pool, true);

		chunk->next = p->hoard;
		p->hoard = chunk;
	}
}

static void give_back(struct play *p)
{
	while (p->hoard) {
		struct tcp_chunk *next = p->hoard->next;

		tcp_pool_put(&p->stage->pool, p->hoard);
		p->hoard = next;
	}
}

static bool play_command(struct play *p, const struct line *l)
{
	const char *verb = l->words[0];

	if (!strcmp(verb, "wait")) /* only the time in front */
		return true;
	if (!strcmp(verb, "config") && l->word_count == 3)
		return set_config(p, l->words[1], l->words[2]);
	if (!strcmp(verb, "isn") && l->word_count == 3) {
		p->stage->isn[0] = (uint32_t)strtoul(l->words[1], NULL, 0);
		p->stage->isn[1] = (uint32_t)strtoul(l->words[2], NULL, 0);
		return true;
	}
	if (!strcmp(verb, "handshake") && l->word_count == 2)
		return play_handshake(p, l->words[1]);
	if (!strcmp(verb, "relay") && l->word_count == 2) {
		p->stage->relay = !strcmp(l->words[1], "on");
		stage_settle(p->stage);
		return true;
	}
	if (!strcmp(verb, "follow")) {
		p->stage->follows = true;
		return true;
	}
	if (!strcmp(verb, "splice"))
		return stage_splice(p->stage) || wrong(p, "ready", 1, 0);
	if (!strcmp(verb, "take-back")) {
		stage_take_back(p->stage);
		return true;
	}
	if (!strcmp(verb, "port") && l->word_count == 2) {
		p->stage->port_room = isdigit((unsigned char)l->words[1][0]) ? (unsigned)strtoul(l->words[1], NULL, 0) : UINT32_MAX;
		stage_settle(p->stage);
		return true;
	}
	if (!strcmp(verb, "pool") && l->word_count == 2) {
		if (isdigit((unsigned char)l->words[1][0]))
			hoard(p, (uint32_t)strtoul(l->words[1], NULL, 0));
		else
			give_back(p);
		stage_settle(p->stage);
		return true;
	}
	if (!strcmp(verb, "done"))
		return tcp_pair_done(&p->stage->pair) || wrong(p, "done", 1, 0);
	snprintf(p->error, sizeof(p->error), "unknown command %s", verb);
	return false;
}

bool play_line(struct play *p, const char *text)
{
	struct line l;

	if (!line_parse(text, &l, p->error))
		return false;
	if (l.wait_us > 0)
		stage_advance(p->stage, l.wait_us);
	if (l.kind == LINE_EMPTY)
		return true;
	if (l.kind == LINE_OUTPUT)
		return play_output(p, &l);
	if (!p->lenient && !nothing_left(p))
		return false;
	if (l.kind == LINE_INPUT)
		return play_input(p, &l);
	return l.kind == LINE_ACTION ? play_action(p, &l) : play_command(p, &l);
}

static bool play_file(struct play *p, FILE *file, unsigned *line_number)
{
	char text[LINE_TEXT_MAX];

	*line_number = 0;
	while (fgets(text, sizeof(text), file)) {
		text[strcspn(text, "\n")] = 0;
		++*line_number;
		if (!play_line(p, text))
			return false;
	}
	return nothing_left(p);
}

/* True if the script passed and the pair gave everything back. `reason` says why it could not be played at all, if so. */
static bool run(const char *path, char error[LINE_TEXT_MAX + 32], char reason[LINE_TEXT_MAX])
{
	struct play p = { .stage = malloc(sizeof(*p.stage)) };
	FILE *file = fopen(path, "r");
	unsigned line_number = 0;
	bool passed;

	stage_init(p.stage, POOL_BYTES);
	*reason = 0;
	if (file && packetdrill_is(file))
		passed = packetdrill_play(&p, file, &line_number, reason);
	else
		passed = file && play_file(&p, file, &line_number);
	snprintf(error, LINE_TEXT_MAX + 32, "line %u: %s", line_number, file ? p.error : "cannot be opened");
	give_back(&p);
	if (p.stage->opened)
		tcp_pair_release(&p.stage->pair);
	if (passed && tcp_pool_used(&p.stage->pool) != 0) {
		snprintf(error, LINE_TEXT_MAX + 32, "%zu chunks were not given back", tcp_pool_used(&p.stage->pool));
		passed = false;
	}
	stage_free(p.stage);
	free(p.stage);
	if (file)
		fclose(file);
	return passed;
}

static bool report(unsigned number, const char *path)
{
	const char *name = strrchr(path, '/');
	char error[LINE_TEXT_MAX + 32], reason[LINE_TEXT_MAX];
	bool passed = run(path, error, reason);

	if (*reason) {
		printf("ok %u - %s # SKIP %s\n", number, name ? name + 1 : path, reason);
		return true;
	}
	printf("%s %u - %s\n", passed ? "ok" : "not ok", number, name ? name + 1 : path);
	if (!passed)
		printf("# %s\n", error);
	return passed;
}

int main(int argc, char **argv)
{
	glob_t found = { 0 };
	unsigned failed = 0;

	for (int i = 1; i < argc; i++) {
		char pattern[4096];
		size_t len = strlen(argv[i]);
		bool file = len > 4 && !strcmp(argv[i] + len - 4, ".pkt");

		snprintf(pattern, sizeof(pattern), file ? "%s" : "%s/*.pkt", argv[i]);
		(void)glob(pattern, i > 1 ? GLOB_APPEND : 0, NULL, &found);
	}
	printf("1..%zu\n", found.gl_pathc);
	for (size_t i = 0; i < found.gl_pathc; i++)
		failed += !report((unsigned)i + 1, found.gl_pathv[i]);
	if (found.gl_pathc == 0)
		fprintf(stderr, "no script was found\n");
	failed += found.gl_pathc == 0;
	globfree(&found);
	return failed ? 1 : 0;
}
