#include "bench/loads.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE_WORDS 8
#define MESSAGE_BYTES (MESSAGE_WORDS * sizeof(uint64_t))
#define PERIOD 65521u /* of a stream's bytes: a prime, so that no segment or buffer hides a shift */
#define STREAM_STEP (32u << 10)
#define SAMPLES_MAX (1u << 21)
#define PATIENCE_US 10000000u
#define GIVE_UP_US 3000000u
#define OPENS_PER_TURN 8 /* far fewer than what a turn takes in: what was begun goes first */
#define TENTHS_MAX 600

enum step { STEP_OPENING, STEP_ASKED, STEP_ANSWERED, STEP_STREAM, STEP_ENDED };

struct load {
	uint64_t wrong, completed, reset, timed_out, given_up, no_slot, bytes;
	unsigned under_way; /* clients that have not ended; TIME-WAIT is an end */
	uint64_t echo_until_us, stream_at_us, began_cycles;
	unsigned answered;
	uint32_t *sample; /* ns; of `samples`, the first SAMPLES_MAX */
	uint64_t samples;
};

static uint8_t pattern[2 * PERIOD];

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15u;
	return x ^ x >> 29;
}

/* A request names itself by its first word; all of it and of its reply follow from that. */
static void message(uint64_t seed, bool reply, uint64_t out[MESSAGE_WORDS])
{
	out[0] = reply ? ~seed : seed;
	for (unsigned i = 1; i < MESSAGE_WORDS; i++)
		out[i] = mix(out[0] + i);
}

static void fill_pattern(void)
{
	for (uint32_t i = 0; i < PERIOD; i++)
		pattern[i] = pattern[i + PERIOD] = (uint8_t)mix(i);
}

static void note(struct load *l, uint64_t cycles)
{
	if (l->samples < SAMPLES_MAX)
		l->sample[l->samples] = (uint32_t)((double)cycles * 1e9 / (double)port_cycles_per_second());
	l->samples++;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Sorts. */
static void print_samples(struct load *l, FILE *out)
{
	uint64_t count = l->samples < SAMPLES_MAX ? l->samples : SAMPLES_MAX;
	static const struct {
		const char *name;
		unsigned per_mille;
	} points[] = { { "p50_us", 500 }, { "p99_us", 990 }, { "p999_us", 999 }, { "max_us", 1000 } };

	qsort(l->sample, count, sizeof *l->sample, ascending);
	for (size_t i = 0; count > 0 && i < sizeof points / sizeof *points; i++) {
		uint64_t at = count * points[i].per_mille / 1000;

		fprintf(out, ", \"%s\": %.3f", points[i].name, l->sample[at < count ? at : count - 1] / 1e3);
	}
}

static void print_faults(const struct crowd *c, const struct load *l, FILE *out)
{
	fprintf(out, ", \"wrong\": %llu, \"bad_frames\": %llu, \"strays\": %llu, \"refused_by_port\": %llu, \"left\": %u}\n", (unsigned long long)l->wrong,
		(unsigned long long)c->counters.bad, (unsigned long long)c->counters.strays, (unsigned long long)c->counters.refused, c->clients + c->servers);
	fflush(out);
}

static void start(struct crowd *c, struct load *l, crowd_talk *talk)
{
	static uint32_t sample[SAMPLES_MAX];

	fill_pattern();
	*l = (struct load){ .sample = sample };
	c->load = l;
	c->talk = talk;
	c->counters = (struct crowd_counters){ 0 };
	c->now_us = port_now_us();
}

/* A load lasts for its time; on a machine that has none to give, until there is something to tell of. */
static bool goes_on(const struct crowd *c, uint64_t until_us, uint64_t done)
{
	return c->now_us < until_us || (done == 0 && c->now_us < until_us + PATIENCE_US);
}

/* --- Requests and replies --- */

/* The next message, once it is there as a whole; it was there then, whatever it says. */
static bool take_message(struct crowd_end *e, uint64_t out[MESSAGE_WORDS])
{
	struct tcp_half *half = endpoint_half(&e->tcp);
	size_t got = 0;

	if (tcp_readable_bytes(half) < MESSAGE_BYTES)
		return false;
	while (got < MESSAGE_BYTES) {
		struct bytes b = tcp_readable(half);
		size_t len = b.len < MESSAGE_BYTES - got ? b.len : MESSAGE_BYTES - got;

		memcpy((uint8_t *)out + got, b.base, len);
		tcp_consume(half, len);
		got += len;
	}
	return true;
}

static void say_message(struct load *l, struct crowd_end *e, uint64_t seed, bool reply)
{
	uint64_t words[MESSAGE_WORDS];

	message(seed, reply, words);
	l->wrong += tcp_send(endpoint_half(&e->tcp), words, MESSAGE_BYTES) != MESSAGE_BYTES; /* it is all that is queued */
}

/* False: it is not what was to come. */
static bool compare(struct load *l, const uint64_t got[MESSAGE_WORDS], uint64_t seed, bool reply)
{
	uint64_t wanted[MESSAGE_WORDS];
	bool good;

	message(seed, reply, wanted);
	good = memcmp(got, wanted, MESSAGE_BYTES) == 0;
	l->wrong += !good;
	return good;
}

static void ask(struct load *l, struct crowd_end *e)
{
	e->seed = mix(e->began_us + ((uint64_t)e->slot << 32) + e->put++ + 1);
	say_message(l, e, e->seed, false);
	e->step = STEP_ASKED;
}

/* A server answers whatever asks, and ends when its client has. */
static void serve(struct load *l, struct crowd_end *e)
{
	uint64_t words[MESSAGE_WORDS];

	if (tcp_was_reset(endpoint_half(&e->tcp)) || tcp_timed_out(endpoint_half(&e->tcp)))
		return; /* what it asked can still be read, and nobody waits for the reply */
	while (take_message(e, words)) {
		if (compare(l, words, words[0], false))
			say_message(l, e, words[0], true);
	}
	if (tcp_read_closed(endpoint_half(&e->tcp)))
		tcp_send_close(endpoint_half(&e->tcp));
}

/* Whether the reply came, and was right. */
static bool hear_reply(struct load *l, struct crowd_end *e)
{
	uint64_t words[MESSAGE_WORDS];

	return take_message(e, words) && compare(l, words, e->seed, true);
}

static void count_end(struct load *l, struct crowd_end *e)
{
	const struct tcp_half *half = endpoint_half(&e->tcp);

	if (e->step == STEP_ENDED || !(tcp_was_reset(half) || tcp_timed_out(half)))
		return;
	l->reset += tcp_was_reset(half);
	l->timed_out += tcp_timed_out(half);
	l->under_way--;
	e->step = STEP_ENDED;
}

static void talk_connection(struct crowd *c, struct crowd_end *e)
{
	struct load *l = c->load;

	if (e->server) {
		serve(l, e);
		return;
	}
	count_end(l, e);
	if (e->step == STEP_OPENING && tcp_established(endpoint_half(&e->tcp)))
		ask(l, e);
	if (e->step == STEP_ASKED && hear_reply(l, e)) {
		note(l, (c->now_us - e->began_us) * (port_cycles_per_second() / 1000000));
		tcp_send_close(endpoint_half(&e->tcp));
		e->step = STEP_ANSWERED;
	}
	if (e->step == STEP_ANSWERED && endpoint_finished(&e->tcp)) {
		l->completed++;
		l->under_way--;
		e->step = STEP_ENDED;
	}
}

static void talk_echo(struct crowd *c, struct crowd_end *e)
{
	struct load *l = c->load;

	if (e->server) {
		serve(l, e);
		return;
	}
	count_end(l, e);
	if (e->step == STEP_ASKED && hear_reply(l, e)) {
		note(l, port_cycles() - l->began_cycles);
		e->step = STEP_OPENING;
	}
	if (e->step == STEP_OPENING && tcp_established(endpoint_half(&e->tcp)) && (c->now_us < l->echo_until_us || l->samples == 0)) {
		l->began_cycles = port_cycles();
		ask(l, e);
	}
}

/* --- Streams --- */

static void pour(struct crowd_end *e)
{
	struct tcp_half *half = endpoint_half(&e->tcp);
	size_t taken;

	do {
		size_t space = tcp_send_space(half);

		taken = space >= STREAM_STEP ? tcp_send(half, pattern + e->put % PERIOD, STREAM_STEP) : 0;
		e->put += taken;
	} while (taken > 0);
}

static void drink(struct load *l, struct crowd_end *e)
{
	struct tcp_half *half = endpoint_half(&e->tcp);
	struct bytes b;

	while ((b = tcp_readable(half)).len > 0) {
		l->wrong += memcmp(b.base, pattern + e->got % PERIOD, b.len) != 0;
		e->got += b.len;
		l->bytes += b.len;
		tcp_consume(half, b.len);
	}
}

static void talk_bulk(struct crowd *c, struct crowd_end *e)
{
	struct load *l = c->load;

	if (e->server && e->step == STEP_OPENING && l->stream_at_us == 0) {
		serve(l, e);
		return;
	}
	if (e->server) {
		drink(l, e);
		return;
	}
	count_end(l, e);
	if (e->step == STEP_OPENING && tcp_established(endpoint_half(&e->tcp)))
		ask(l, e);
	if (e->step == STEP_ASKED && hear_reply(l, e)) {
		l->answered++;
		e->put = 0;
		e->step = STEP_STREAM;
	}
	if (e->step == STEP_STREAM && l->stream_at_us > 0)
		pour(e);
}

bool load_bulk(struct crowd *c, double seconds, unsigned flows, FILE *out)
{
	uint64_t until, measured, before;
	struct load l;

	start(c, &l, talk_bulk);
	for (l.under_way = 0; l.under_way < flows && crowd_connect(c); l.under_way++)
		continue;
	for (until = c->now_us + PATIENCE_US; l.answered < flows && l.wrong == 0 && c->now_us < until;)
		(void)crowd_turn(c);
	for (until = c->now_us + c->rest_us; c->now_us < until;)
		(void)crowd_turn(c);
	l.stream_at_us = c->now_us;
	for (uint32_t i = 0; i < c->known_slots; i++)
		if (c->client[i].used)
			crowd_ready(c, &c->client[i]);
	for (until = c->now_us + c->rest_us; c->now_us < until;) /* the windows grow */
		(void)crowd_turn(c);
	before = l.bytes;
	measured = c->now_us;
	for (until = c->now_us + (uint64_t)(seconds * 1e6); goes_on(c, until, l.bytes - before + l.wrong);)
		(void)crowd_turn(c);
	measured = c->now_us - measured;
	before = l.bytes - before;
	crowd_disperse(c, PATIENCE_US);
	fprintf(out, "{\"bytes\": %llu, \"seconds\": %.3f, \"gbit_per_s\": %.3f, \"flows\": %u, \"reset\": %llu", (unsigned long long)before, (double)measured / 1e6,
		(double)before * 8e-3 / (double)measured, l.answered, (unsigned long long)(l.reset + l.timed_out));
	print_faults(c, &l, out);
	return l.wrong == 0 && c->counters.bad == 0 && before > 0 && l.answered == flows;
}

bool load_echo(struct crowd *c, double seconds, FILE *out)
{
	struct load l;

	start(c, &l, talk_echo);
	l.echo_until_us = c->now_us + (uint64_t)(seconds * 1e6);
	l.under_way = crowd_connect(c) != NULL;
	while (goes_on(c, l.echo_until_us, l.samples + l.wrong))
		(void)crowd_turn(c);
	crowd_disperse(c, PATIENCE_US);
	fprintf(out, "{\"round_trips\": %llu", (unsigned long long)l.samples);
	print_samples(&l, out);
	print_faults(c, &l, out);
	return l.wrong == 0 && c->counters.bad == 0 && l.samples > 0;
}

/* --- Connections --- */

/* Clients in the order in which they began, so that it is known who gives up next. */
struct waiting {
	uint32_t slot;
	uint64_t began_us;
};

struct arrivals {
	struct waiting *queue; /* a ring of `slots` */
	uint32_t slots;
	uint64_t head, tail;
	uint64_t done_at_tenth; /* completed when the current tenth of a second began */
	unsigned tenth[TENTHS_MAX], tenths;
};

static void begin_connection(struct crowd *c, struct load *l, struct arrivals *a)
{
	struct crowd_end *e = crowd_connect(c);

	l->no_slot += e == NULL;
	l->under_way += e != NULL;
	if (e)
		a->queue[a->tail++ % a->slots] = (struct waiting){ e->slot, e->began_us };
}

/* Those who waited for too long for their reply. */
static void give_up(struct crowd *c, struct load *l, struct arrivals *a)
{
	for (; a->head != a->tail; a->head++) {
		const struct waiting *w = &a->queue[a->head % a->slots];
		struct crowd_end *e = &c->client[w->slot];

		if (w->began_us + GIVE_UP_US > c->now_us)
			return;
		if (!e->used || e->server || e->began_us != w->began_us || e->step >= STEP_ANSWERED)
			continue;
		e->step = STEP_ENDED;
		l->given_up++;
		l->under_way--;
		crowd_abort(c, e);
	}
}

static void print_connections(const struct load *l, uint64_t begun, double seconds, FILE *out)
{
	fprintf(out, "{\"begun\": %llu, \"completed\": %llu, \"seconds\": %.3f, \"per_second\": %.0f, \"reset\": %llu, \"timed_out\": %llu, \"given_up\": %llu, \"no_slot\": %llu",
		(unsigned long long)begun, (unsigned long long)l->completed, seconds, (double)l->completed / seconds, (unsigned long long)l->reset,
		(unsigned long long)l->timed_out, (unsigned long long)l->given_up, (unsigned long long)l->no_slot);
}

/* What was counted so far begins anew; connections go on. */
static void count_anew(struct load *l)
{
	l->completed = l->reset = l->timed_out = l->given_up = l->no_slot = l->samples = 0;
}

static bool finish(struct crowd *c, struct load *l, struct arrivals *a, bool good)
{
	free(a->queue);
	return good && l->wrong == 0 && c->counters.bad == 0;
}

bool load_connections(struct crowd *c, double seconds, unsigned in_flight, FILE *out)
{
	struct arrivals a = { .queue = calloc(c->slots, sizeof *a.queue), .slots = c->slots };
	uint64_t until, from, warm;
	struct load l;
	bool good;

	if (!a.queue)
		return false;
	start(c, &l, talk_connection);
	warm = c->now_us + c->rest_us;
	until = warm + (uint64_t)(seconds * 1e6);
	for (from = 0; goes_on(c, until, from ? l.completed : 0);) {
		if (from == 0 && c->now_us >= warm) {
			from = c->now_us;
			count_anew(&l);
		}
		for (unsigned i = 0; i < OPENS_PER_TURN && l.under_way < in_flight; i++)
			begin_connection(c, &l, &a);
		(void)crowd_turn(c);
		give_up(c, &l, &a);
	}
	print_connections(&l, a.tail, (double)(c->now_us - from) / 1e6, out);
	good = l.completed > 0;
	print_samples(&l, out);
	crowd_disperse(c, PATIENCE_US);
	print_faults(c, &l, out);
	return finish(c, &l, &a, good);
}

static void count_tenth(const struct crowd *c, const struct load *l, struct arrivals *a, uint64_t from_us)
{
	while (c->now_us - from_us >= (a->tenths + 1u) * 100000u && a->tenths < TENTHS_MAX) {
		a->tenth[a->tenths++] = (unsigned)(l->completed - a->done_at_tenth);
		a->done_at_tenth = l->completed;
	}
}

static void run_phase(struct crowd *c, struct load *l, struct arrivals *a, const struct load_phase *phase, FILE *out)
{
	uint64_t from = c->now_us, until = from + (uint64_t)(phase->seconds * 1e6), begun = 0;

	count_anew(l);
	a->done_at_tenth = a->tenths = 0;
	while (c->now_us < until) {
		uint64_t due = (uint64_t)((double)(c->now_us - from) * phase->rate / 1e6);

		for (unsigned i = 0; i < OPENS_PER_TURN && begun < due; i++, begun++)
			begin_connection(c, l, a);
		(void)crowd_turn(c);
		give_up(c, l, a);
		count_tenth(c, l, a, from);
	}
	print_connections(l, begun, (double)(c->now_us - from) / 1e6, out);
	fprintf(out, ", \"rate\": %.0f", phase->rate);
	print_samples(l, out);
	fprintf(out, ", \"tenths\": [");
	for (unsigned i = 0; i < a->tenths; i++)
		fprintf(out, "%s%u", i ? ", " : "", a->tenth[i]);
	fprintf(out, "]}");
}

bool load_arrivals(struct crowd *c, const struct load_phase *phase, unsigned phases, FILE *out)
{
	struct arrivals a = { .queue = calloc(c->slots, sizeof *a.queue), .slots = c->slots };
	struct load l;

	if (!a.queue)
		return false;
	start(c, &l, talk_connection);
	c->lossy = true;
	fprintf(out, "{\"phases\": [");
	for (unsigned i = 0; i < phases; i++) {
		if (i > 0)
			fprintf(out, ", ");
		run_phase(c, &l, &a, &phase[i], out);
	}
	fprintf(out, "]");
	c->lossy = false;
	crowd_disperse(c, PATIENCE_US);
	print_faults(c, &l, out);
	return finish(c, &l, &a, true);
}

bool load_rest(struct crowd *c, double seconds, FILE *out)
{
	uint64_t until;
	struct load l;

	start(c, &l, NULL);
	for (until = c->now_us + (uint64_t)(seconds * 1e6); c->now_us < until;)
		(void)crowd_turn(c);
	crowd_disperse(c, PATIENCE_US);
	fprintf(out, "{\"seconds\": %.3f", seconds);
	print_faults(c, &l, out);
	return c->counters.bad == 0;
}

/* --- Frames that are bridged --- */

#define UDP_HEADERS_BYTES 42
#define UDP_PORT 7777
#define CHECKSUM_BYTES 4 /* of the frame, which nobody sees */
#define FRAMES_PER_TURN 64

struct frames {
	struct load l;
	uint64_t sent, got, frame_bytes;
	uint8_t like[1600];
};

static void make_frame(struct frames *f)
{
	static const uint8_t nobody[4] = { 10, 77, 0, 99 };
	size_t ip_bytes = f->frame_bytes - 14;
	uint8_t headers[54];
	uint16_t sum;

	crowd_headers(headers, 0, PACKET_UDP, nobody, UDP_PORT);
	memcpy(f->like, headers, UDP_HEADERS_BYTES);
	f->like[16] = (uint8_t)(ip_bytes >> 8);
	f->like[17] = (uint8_t)ip_bytes;
	f->like[24] = f->like[25] = 0;
	f->like[38] = (uint8_t)((ip_bytes - 20) >> 8);
	f->like[39] = (uint8_t)(ip_bytes - 20);
	f->like[40] = f->like[41] = 0; /* RFC 768: no checksum */
	sum = (uint16_t)~packet_sum_fold(packet_sum(0, f->like + 14, 20));
	memcpy(f->like + 24, &sum, sizeof sum);
	memcpy(f->like + UDP_HEADERS_BYTES, pattern, f->frame_bytes - UDP_HEADERS_BYTES);
}

/* Headers, number and pattern: each byte as it was sent, and the numbers in their order. */
static void take_frame(struct crowd *c, const struct packet *p)
{
	struct frames *f = c->load;
	uint64_t number;

	if (p->frame.len < f->frame_bytes || p->frame.base[13] != 0 || memcmp(p->frame.base, f->like, UDP_HEADERS_BYTES) != 0) {
		c->counters.bad++;
		return;
	}
	memcpy(&number, p->frame.base + UDP_HEADERS_BYTES, sizeof number);
	f->l.wrong += number < f->l.completed || number > f->sent;
	f->l.wrong += memcmp(p->frame.base + UDP_HEADERS_BYTES + sizeof number, f->like + UDP_HEADERS_BYTES + sizeof number,
			     f->frame_bytes - UDP_HEADERS_BYTES - sizeof number) != 0;
	f->l.completed = number;
	f->got++;
}

static void put_frames(struct crowd *c, struct frames *f)
{
	for (unsigned i = 0; i < FRAMES_PER_TURN; i++) {
		size_t cap = 0;
		uint8_t *room = port_room(c->ports, CROWD_CLIENT_WIRE, &cap);
		uint64_t number = f->sent + 1;

		if (!room) {
			c->counters.refused++;
			return;
		}
		memcpy(room, f->like, f->frame_bytes);
		memcpy(room + UDP_HEADERS_BYTES, &number, sizeof number);
		port_send(c->ports, CROWD_CLIENT_WIRE, f->frame_bytes);
		f->sent++;
	}
}

bool load_frames(struct crowd *c, double seconds, size_t frame_bytes, FILE *out)
{
	static struct frames f;
	uint64_t from, until;

	f = (struct frames){ .frame_bytes = frame_bytes - CHECKSUM_BYTES };
	if (f.frame_bytes < UDP_HEADERS_BYTES + sizeof(uint64_t) || f.frame_bytes > 1514)
		return false;
	start(c, &f.l, NULL);
	make_frame(&f);
	c->load = &f;
	c->other = take_frame;
	from = c->now_us;
	for (until = from + (uint64_t)(seconds * 1e6); goes_on(c, until, f.got);) {
		put_frames(c, &f);
		(void)crowd_turn(c);
	}
	seconds = (double)(c->now_us - from) / 1e6;
	fprintf(out, "{\"frames\": %llu, \"lost\": %llu, \"seconds\": %.3f, \"frames_per_s\": %.0f, \"frame_bytes\": %zu", (unsigned long long)f.got,
		(unsigned long long)(f.sent - f.got), seconds, (double)f.got / seconds, frame_bytes);
	for (until = c->now_us + c->rest_us; c->now_us < until;) /* what is still under way */
		(void)crowd_turn(c);
	c->other = NULL;
	print_faults(c, &f.l, out);
	return f.l.wrong == 0 && c->counters.bad == 0 && f.got > 0;
}
