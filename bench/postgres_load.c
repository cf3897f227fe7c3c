/* One session without TLS, verdict cached, audit "prompt", record "full", masks for e-mail and card numbers. Three loads: a row
 * in which nothing is found by the first tier, in both protocols, with another literal each time (so the statement is lexed and
 * found under its generic key); and the simple protocol with a row whose e-mail is masked. Control is played between the turns, and
 * not counted: it answers login, proof and classification, and reads the ring. */
#include "bench/postgres_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

#include "bench/ends.h"
#include "dataplane/match/mask.h"
#include "platform/contract/message.h"

#define PART 8 /* queries a slice */

static struct {
	uint8_t row[512], login[512], message[LIMIT_MESSAGE_BYTES], order[LIMIT_MESSAGE_BYTES], query[512];
	size_t row_bytes;
	unsigned login_step, commands, responses, classifies, allowed, masked;
	uint64_t flow, answered, serial;
	bool extended, ready;
} load;

#define ORDER(name, ...) do { \
	struct order_##name m_ = { __VA_ARGS__ }; \
	(void)!ring_write(&ends.orders, ORDER_##name, order_##name##_encode(&m_, load.order, sizeof load.order), NULL); \
} while (0)

static void frame(struct writer *w, char type, struct bytes body)
{
	writer_u8(w, (uint8_t)type);
	writer_be32(w, (uint32_t)body.len + 4);
	writer_put(w, body);
}

static void frame_of(struct writer *w, char type, const struct writer *body)
{
	frame(w, type, writer_done(body));
}

/* --- The server --- */

/* RowDescription of four plain columns, one row, the end. */
static void make_row(const char *email)
{
	static const char *const names[] = { "aid", "bid", "filler", "abalance" };
	const char *values[] = { "4711", "12", email, "-2187" };
	uint8_t body[256];
	struct writer w = writer_of(load.row, sizeof load.row), b = writer_of(body, sizeof body);

	if (load.extended)
		frame(&w, '2', (struct bytes){ 0 });
	writer_be16(&b, 4);
	for (unsigned i = 0; i < 4; i++) {
		writer_cstr(&b, names[i]);
		writer_be32(&b, 16400);
		writer_be16(&b, (uint16_t)(i + 1));
		writer_be32(&b, i == 2 ? 25 : 23);
		writer_be16(&b, i == 2 ? 0xffff : 4);
		writer_be32(&b, UINT32_MAX);
		writer_be16(&b, 0);
	}
	frame_of(&w, 'T', &b);
	b = writer_of(body, sizeof body);
	writer_be16(&b, 4);
	for (unsigned i = 0; i < 4; i++) {
		writer_be32(&b, (uint32_t)strlen(values[i]));
		writer_str(&b, values[i]);
	}
	frame_of(&w, 'D', &b);
	frame(&w, 'C', bytes_of("SELECT 1", 9));
	frame(&w, 'Z', bytes_of("I", 1));
	load.row_bytes = w.len;
}

/* The server's side of the login, one message of the client after the other. */
static void log_in(void)
{
	static const char server_first[] = "\0\0\0\13r=abc,s=QSXCR+Q6sek8bf92,i=4096";
	struct writer w = writer_of(load.login, sizeof load.login);

	switch (load.login_step++) {
	case 0:
		frame(&w, 'R', bytes_of("\0\0\0\12SCRAM-SHA-256\0", 19));
		break;
	case 1:
		frame(&w, 'R', bytes_of(server_first, sizeof server_first - 1));
		break;
	default:
		frame(&w, 'R', bytes_of("\0\0\0\14v=signature", 15));
		frame(&w, 'R', bytes_of("\0\0\0\0", 4));
		frame(&w, 'S', bytes_of("client_encoding\0UTF8", 21));
		frame(&w, 'S', bytes_of("standard_conforming_strings\0on", 31));
		frame(&w, 'K', bytes_of("\0\0\0\7\0\0\0\11", 8));
		frame(&w, 'Z', bytes_of("I", 1));
		load.ready = true;
	}
	ends_transmit(1, TCP_ACK | TCP_PSH, writer_done(&w));
}

static void server(struct bytes data)
{
	static const uint8_t parsed[] = { '1', 0, 0, 0, 4, 'Z', 0, 0, 0, 5, 'I' };

	if (!load.ready)
		log_in();
	else if (data.base[0] == 'P')
		ends_transmit(1, TCP_ACK | TCP_PSH, bytes_of(parsed, sizeof parsed));
	else
		ends_transmit(1, TCP_ACK | TCP_PSH, bytes_of(load.row, load.row_bytes));
}

static void received(unsigned at, struct bytes data)
{
	if (at == 1) {
		server(data);
		return;
	}
	load.answered += data.len >= 6 && data.base[data.len - 6] == 'Z';
	load.masked += memmem(data.base, data.len, "***", 3) != NULL;
}

/* --- The client --- */

static void say(const struct writer *w)
{
	ends_transmit(0, TCP_ACK | TCP_PSH, writer_done(w));
}

static void greet(void)
{
	static const char start[] = "\0\3\0\0user\0shop_app\0database\0bench\0";
	struct writer w = writer_of(load.query, sizeof load.query);

	writer_be32(&w, (uint32_t)sizeof start + 4);
	writer_bytes(&w, start, sizeof start);
	say(&w);
	ends_turn();
	w = writer_of(load.query, sizeof load.query);
	frame(&w, 'p', bytes_of("a.token.here", 13));
	say(&w);
}

static void prepare(void)
{
	static const char text[] = "s1\0SELECT aid, bid, filler, abalance FROM accounts WHERE aid = $1\0\0";
	struct writer w = writer_of(load.query, sizeof load.query);

	frame(&w, 'P', bytes_of(text, sizeof text));
	frame(&w, 'S', (struct bytes){ 0 });
	say(&w);
}

static void ask(void)
{
	struct writer w = writer_of(load.query, sizeof load.query), b;
	uint8_t body[128];
	char text[100];
	int len;

	load.serial++;
	b = writer_of(body, sizeof body);
	if (!load.extended) {
		len = snprintf(text, sizeof text, "SELECT aid, bid, filler, abalance FROM accounts WHERE aid = %llu", (unsigned long long)load.serial);
		frame(&w, 'Q', bytes_of(text, (size_t)len + 1));
		say(&w);
		return;
	}
	len = snprintf(text, sizeof text, "%llu", (unsigned long long)load.serial);
	writer_bytes(&b, "\0s1\0\0\0\0\1", 8); /* portal, statement, no formats, one parameter */
	writer_be32(&b, (uint32_t)len);
	writer_bytes(&b, text, (size_t)len);
	writer_be16(&b, 0);
	frame_of(&w, 'B', &b);
	frame(&w, 'D', bytes_of("P", 2));
	frame(&w, 'E', bytes_of("\0\0\0\0\0", 5));
	frame(&w, 'S', (struct bytes){ 0 });
	say(&w);
}

/* --- Control --- */

static void classify(const struct event_classify *e)
{
	static const struct bytes columns[] = { { (const uint8_t *)"aid", 3 }, { (const uint8_t *)"bid", 3 }, { (const uint8_t *)"filler", 6 },
						{ (const uint8_t *)"abalance", 8 } };
	static uint8_t buffer[2048];
	struct classification_writer cw = classification_writer_of(buffer, sizeof buffer, true);
	struct access a = { .verb = VERB_select, .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str("accounts") } };
	struct bytes text = bytes_str("select aid, bid, filler, abalance from accounts where aid = $1");

	classification_begin_statement(&cw, 0);
	classification_add_access(&cw, &a);
	classification_begin_targets(&cw);
	for (unsigned i = 0; i < 4; i++)
		classification_add_target(&cw, TAINT_NAMES, &columns[i], 1);
	classification_end_statement(&cw, NULL);
	load.classifies++;
	ORDER(classified, .key_hi = e->key_hi, .key_lo = e->key_lo, .known = 1, .classification = classification_finish(&cw, (struct bytes){ 0 }, text));
}

static void see(uint16_t type, struct bytes payload)
{
	static const uint8_t groups[32] = { 1 };
	union {
		struct event_login login;
		struct event_scram scram;
		struct event_classify classify;
		struct event_command command;
	} m;

	if (type == EVENT_login && event_login_decode(payload, &m.login))
		ORDER(identity, .flow = m.login.flow, .accepted = 1, .generation = 1, .groups = bytes_of(groups, 32), .upstream_user = bytes_str("shop_app"));
	else if (type == EVENT_scram && event_scram_decode(payload, &m.scram))
		ORDER(proof, .flow = m.scram.flow, .client_final = bytes_str("c=biws,r=abc,p=proof"), .server_signature = bytes_str("signature"));
	else if (type == EVENT_classify && event_classify_decode(payload, &m.classify))
		classify(&m.classify);
	else if (type == EVENT_command && event_command_decode(payload, &m.command)) {
		load.commands++;
		load.allowed += m.command.action == COMMAND_ALLOW;
	} else if (type == EVENT_response)
		load.responses++;
}

static void control(void)
{
	struct bytes payload;
	uint64_t end = 0;
	uint16_t type;
	bool any = false;

	while (ring_read(&ends.events, load.message, sizeof load.message, &type, &payload, &end)) {
		see(type, payload);
		any = true;
	}
	if (any)
		ring_release(&ends.events, end);
}

static bool settle(uint64_t answers)
{
	for (int i = 0; i < 100 && load.answered < answers; i++) {
		ends_turn();
		control();
	}
	return load.answered >= answers;
}

/* --- The run --- */

static struct bytes read_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(64u << 20);
	struct bytes b = { 0 };

	if (f && data)
		b = bytes_of(data, fread(data, 1, 64u << 20, f));
	if (f)
		fclose(f);
	return b;
}

static bool open_policy(const char *path)
{
	static struct inspect_class resolved[2];
	static struct spec_class classes[2] = { { .name = "pii.card", .mask_kind = MASK_LAST4 }, { .name = "pii.email", .mask_kind = MASK_FULL } };
	static const char *const groups[] = { "agents" };
	static const struct spec_rule rule = { .id = "read", .action = POLICY_ALLOW, .who = { { 1 } }, .purpose_any = true, .services = { 1 },
					       .verbs = 1u << VERB_select, .approval = POLICY_NONE, .pattern = POLICY_NONE, .mask = { { 3 } } };
	static struct spec_service service = { .name = "shop-db", .protocol_word = "postgres", .protocol = POLICY_PROTOCOL_OTHER, .tls = POLICY_TLS_OFF,
					       .search_path = "public", .audit = POLICY_AUDIT_PROMPT, .record = POLICY_RECORD_FULL };
	struct policy_spec spec = { .name = "bench", .generation = 1, .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE },
				    .groups = groups, .groups_count = 1, .classes = classes, .classes_count = 2, .rules = &rule, .rules_count = 1 };
	struct inspect_snapshot *s = &ends.snapshot.inspect;
	char err[256] = "cannot be read";

	spec.class_database = read_file(path);
	s->match = spec.class_database.len ? match_set_load(spec.class_database.base, spec.class_database.len, err, sizeof err) : NULL;
	if (!s->match || !match_class_bits(s->match, "pan-luhn", &classes[0].detectors) || !match_class_bits(s->match, "email", &classes[1].detectors)) {
		fprintf(stderr, "conductor_bench: %s: %s\n", path, err);
		return false;
	}
	for (unsigned i = 0; i < 2; i++)
		resolved[i] = (struct inspect_class){ .detectors = classes[i].detectors, .mask = { .kind = (enum mask_kind)classes[i].mask_kind, .key = s->mask_key } };
	s->classes = resolved;
	s->classes_count = 2;
	ends.snapshot.scratch = match_scratch_create(s->match);
	ends_open(&spec, &service);
	ends.received = received;
	ORDER(control, .boot = bytes_of("0123456789abcdef", 16), .journal = 1);
	return true;
}

/* Median cycles a query; 0 when one was not answered. */
static double measure(bool extended, const char *filler)
{
	load.extended = false;
	make_row(filler);
	load.extended = extended;
	if (extended) {
		make_row(filler);
		prepare();
		if (!settle(load.answered + 1))
			return 0;
	}
	ends.slices = 0;
	for (unsigned n = 0; n < ENDS_SLICES + 20; n++) {
		ends.slices = n < 20 ? 0 : ends.slices;
		ends.cycles = 0;
		for (unsigned i = 0; i < PART; i++) {
			uint64_t before = load.answered;

			ask();
			if (!settle(before + 1))
				return 0;
		}
		ends_slice(PART);
	}
	return ends_median();
}

static double cycles_per_us(void)
{
	struct timespec a, b;
	uint64_t begin, end;
	double us;

	clock_gettime(CLOCK_MONOTONIC, &a);
	begin = __rdtsc();
	do {
		clock_gettime(CLOCK_MONOTONIC, &b);
		end = __rdtsc();
		us = (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
	} while (us < 100000);
	return (double)(end - begin) / us;
}

static bool open_session(const char *path)
{
	if (!open_policy(path))
		return false;
	ends_connect();
	control();
	greet();
	if (settle(1))
		return true;
	fprintf(stderr, "conductor_bench: the session did not open\n");
	return false;
}

int postgres_load_one(const char *path, const char *load_name)
{
	bool masked = !strcmp(load_name, "masked");

	if (!open_session(path) || !measure(!strcmp(load_name, "extended"), masked ? "ann.smith@example.com" : "nothing to see here"))
		return 1;
	printf("{\"load\": \"%s\", \"queries\": %u}\n", load_name, load.commands);
	return load.allowed == load.commands && load.responses == load.commands && (load.masked > 0) == masked ? 0 : 1;
}

int postgres_load(const char *path)
{
	double simple, extended, masked, rate = cycles_per_us();
	unsigned before;

	if (!open_session(path))
		return 1;
	simple = measure(false, "nothing to see here");
	extended = measure(true, "nothing to see here");
	before = load.masked;
	masked = measure(false, "ann.smith@example.com");
	if (!simple || !extended || !masked || load.masked == before || before || load.allowed != load.commands || load.responses != load.commands) {
		fprintf(stderr, "conductor_bench: %u commands, %u allowed, %u responses, %u classified, %u and then %u masked\n", load.commands, load.allowed,
			load.responses, load.classifies, before, load.masked);
		return 1;
	}
	printf("{\"queries\": %u, \"cycles_simple\": %.0f, \"cycles_extended\": %.0f, \"cycles_simple_masked\": %.0f, "
	       "\"us_simple\": %.3f, \"us_extended\": %.3f, \"us_simple_masked\": %.3f, \"cycles_per_us\": %.0f}\n",
	       load.commands, simple, extended, masked, simple / rate, extended / rate, masked / rate, rate);
	return 0;
}
