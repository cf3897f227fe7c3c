/* proxy.c: the PostgreSQL inspector between real clients and a real server, without the rest of the data plane. Test only.
 *
 * usage: postgres_proxy LISTEN_PORT TARGET_PORT POLICY CLASSES LOG [segment=N] [slow]
 * The password of the policy's login comes in PGPROXY_PASSWORD. A connection's token is "good-token".
 *
 * Kernel sockets and a poll loop; the host is small but its parts are real: the classifier, the policy's compiler and verdicts, the match
 * set, SCRAM. `segment`: the inspector is fed N bytes more at a time. `slow`: every judgement comes later, as an answer.
 * Held commands: released 200 ms later, refused when the text contains `deny`, only ended by a cancel request when it
 * contains `forever`. The log has a line for each judgement and each response.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/credential/scram.h"
#include "control/policy/policy.h"
#include "control/sqlparse/classify.h"
#include "dataplane/inspect/inspector.h"
#include "dataplane/verdict/verdict.h"

#define SESSIONS 128
#define BUFFER (2u << 20)
#define ROOM 16384

struct buffer {
	uint8_t *base;
	size_t head, tail;
};

enum later { LATER_NONE, LATER_VERDICT, LATER_IDENTITY, LATER_PROOF, LATER_HOLD };

struct connection {
	bool used, closing, ended[2], shut[2];
	int fd[2];
	struct buffer in[2], out[2];
	size_t needed[2], offered[2]; /* offered: bytes of `in` the inspector may see (segment) */
	void *session;
	struct inspect_env env;
	uint32_t n, process;      /* cancel: the server's */
	uint8_t key[4];
	enum later later;
	uint64_t later_us;
	bool later_allowed, forever;
	struct judgement held;
	uint8_t classification[SQLPARSE_ENCODED_BYTES];
	struct scram_final proof;
};

static struct connection connections[SESSIONS];
static struct inspect_snapshot snapshot;
static const struct inspector *inspector;
static struct match_scratch *scratch;
static struct scram *scram;
static void *shared;
static FILE *log_file;
static size_t segment;
static bool slow;
static int target_port, listener;
static const char *password;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void log_text(struct bytes text)
{
	for (size_t i = 0; i < text.len && i < 200; i++)
		fputc(text.base[i] < 0x20 || text.base[i] > 0x7e ? '.' : text.base[i], log_file);
	fputc('\n', log_file);
	fflush(log_file);
}

static enum judged decide(struct connection *c, const struct statement *s, struct judgement *out)
{
	static const char *const actions[] = { "allow", "block", "hold" };
	const struct policy_image *image = snapshot.image;
	struct verdict_request q = { .database = s->database, .in_transaction = s->in_transaction };
	struct classification parsed;
	struct sqlparse_answer a = { 0 };
	struct verdict v;

	for (unsigned i = 0; i < policy_counts(image).groups; i++)
		group_bits_add(&q.groups, i);
	q.schema_unknown = bytes_equal(s->search_path, bytes_str("?"));
	if (!q.schema_unknown)
		q.default_schema = s->search_path;
	if (s->reason == REASON_NONE)
		a = sqlparse_classify(s->raw, SQLPARSE_POSTGRES, c->classification, sizeof(c->classification));
	if (a.known && a.classification.len <= LIMIT_CLASSIFICATION_BYTES + 2 * LIMIT_STATEMENT_BYTES && classification_open(a.classification, &parsed))
		q.classification = &parsed;
	q.tagged = inspector->tagged;
	q.tagged_context = c->session;
	q.flags = s->binary_result ? FLAG_binary_result : 0;
	verdict_evaluate(image, &q, &v);
	if (s->reason != REASON_NONE && s->reason != REASON_UNKNOWN)
		v.action = COMMAND_BLOCK;
	if (s->kind == COMMAND_PREPARE && v.action == COMMAND_HOLD)
		v.action = COMMAND_ALLOW;
	*out = (struct judgement){ .n = c->n++, .mask = v.mask, .rows_max = v.rows_max, .bytes_max = v.bytes_max, .rows_rule = v.rows_rule,
				   .bytes_rule = v.bytes_rule, .say = v.say.len || v.reason != REASON_ORACLE ? v.say : bytes_str("oracle"), .classification = q.classification ? a.classification : (struct bytes){ 0 } };
	if (v.by_rule)
		out->rule = policy_rule_id(image, v.rules[0]);
	fprintf(log_file, "judge %zu %u kind=%d reason=%d %s state=[%.*s] ", (size_t)(c - connections), out->n, (int)s->kind, (int)s->reason,
		actions[v.action], (int)s->state.len, (const char *)s->state.base);
	log_text(s->raw);
	if (v.action == COMMAND_HOLD) {
		c->held = *out;
		c->later_allowed = !memmem(s->raw.base, s->raw.len, "deny", 4);
		c->forever = memmem(s->raw.base, s->raw.len, "forever", 7) != NULL;
		c->later = LATER_HOLD;
		c->later_us = now_us() + 200000;
		return JUDGED_WAIT;
	}
	return v.action == COMMAND_ALLOW ? JUDGED_ALLOW : JUDGED_BLOCK;
}

static enum judged judge(void *host, const struct statement *s, struct judgement *out)
{
	struct connection *c = host;
	enum judged answer = decide(c, s, out);

	if (!slow || answer == JUDGED_WAIT)
		return answer;
	c->held = *out;
	c->later = LATER_VERDICT;
	c->later_allowed = answer == JUDGED_ALLOW;
	c->later_us = now_us();
	return JUDGED_WAIT;
}

static void responded(void *host, const struct inspect_response *r)
{
	struct connection *c = host;

	fprintf(log_file, "response %zu %u outcome=%d status=%.*s rows=%lu tag=%.*s masked=", (size_t)(c - connections), r->ref, (int)r->outcome,
		(int)r->status.len, (const char *)r->status.base, (unsigned long)r->rows, (int)r->tag.len, (const char *)r->tag.base);
	for (unsigned i = 0; r->masked && i < r->masked_count; i++)
		if (r->masked[i])
			fprintf(log_file, "%.*s:%u,", (int)policy_class(snapshot.image, i).name.len,
				(const char *)policy_class(snapshot.image, i).name.base, r->masked[i]);
	fputc('\n', log_file);
	fflush(log_file);
}

static void login(void *host, const struct inspect_login *l)
{
	struct connection *c = host;

	c->later = LATER_IDENTITY;
	c->later_allowed = bytes_equal(l->token, bytes_str("good-token"));
	c->later_us = now_us();
}

static void prove(void *host, struct bytes client_first_bare, struct bytes server_first)
{
	struct connection *c = host;
	struct bytes name = policy_service(snapshot.image, 0).login;
	struct scram_exchange x = { .login = name, .password = bytes_str(password), .client_first_bare = client_first_bare,
				    .server_first = server_first, .channel_binding = bytes_str("n,,") };

	c->later = LATER_PROOF;
	c->later_allowed = scram_client_final(scram, &x, &c->proof) == SCRAM_ok;
	c->later_us = now_us();
}

static void start_tls(void *host, enum side side, bool named)
{
	fprintf(stderr, "TLS is not part of this test\n");
	abort();
}

static uint32_t cancel_issue(void *host, uint32_t process, struct bytes key, uint8_t *issued, size_t issued_len)
{
	struct connection *c = host;

	c->process = process;
	memcpy(c->key, key.base, sizeof c->key);
	for (size_t i = 0; i < issued_len; i++)
		issued[i] = c->key[i % sizeof c->key] ^ 0x5a;
	return 5000 + (uint32_t)(c - connections);
}

static struct inspect_cancel cancel(void *host, uint32_t process, struct bytes issued)
{
	struct connection *c = process - 5000 < SESSIONS ? &connections[process - 5000] : NULL;

	if (!c || !c->used)
		return (struct inspect_cancel){ 0 };
	for (size_t i = 0; i < issued.len; i++)
		if (issued.base[i] != (c->key[i % sizeof c->key] ^ 0x5a))
			return (struct inspect_cancel){ 0 };
	if (c->later == LATER_HOLD) {
		c->later = LATER_VERDICT;
		c->later_allowed = false;
		c->held.cancelled = true;
		c->later_us = now_us();
		return (struct inspect_cancel){ 0 };
	}
	return (struct inspect_cancel){ .process = c->process, .key = bytes_of(c->key, sizeof c->key), .forward = true };
}

static void *borrow(void *host, enum inspect_piece size)
{
	return calloc(1, inspector->piece_bytes[size]);
}

static void give_back(void *host, enum inspect_piece size, void *memory)
{
	free(memory);
}

static const struct inspect_host host_calls = {
	judge, responded, login, prove, start_tls, cancel_issue, cancel, .borrow = borrow, .give_back = give_back,
};

static void compact(struct buffer *b)
{
	memmove(b->base, b->base + b->head, b->tail - b->head);
	b->tail -= b->head;
	b->head = 0;
}

static void finish(struct connection *c)
{
	inspector->close(c->session);
	free(c->session);
	for (int i = 0; i < 2; i++) {
		free(c->in[i].base);
		free(c->out[i].base);
		close(c->fd[i]);
	}
	*c = (struct connection){ 0 };
}

struct call {
	struct writer w[2];
	struct inspect_io io;
};

static void begin(struct connection *c, struct call *k, const size_t room[2])
{
	for (int i = 0; i < 2; i++) {
		compact(&c->out[i]);
		size_t space = BUFFER - c->out[i].tail;

		k->w[i] = writer_of(c->out[i].base + c->out[i].tail, room[i] < space ? room[i] : space);
		k->io.out[i] = &k->w[i];
	}
	c->env.now_us = now_us();
}

static void end(struct connection *c, struct call *k, const struct inspect_result *r)
{
	for (int i = 0; i < 2; i++) {
		if (!k->w[i].ok) {
			fprintf(stderr, "the inspector left a writer that is not ok\n");
			abort();
		}
		c->out[i].tail += k->w[i].len;
	}
	if (r->status == INSPECT_CLOSE)
		c->closing = true;
}

/* One call; true when something moved. */
static bool feed(struct connection *c, enum side side)
{
	size_t room[2] = { ROOM, ROOM }, have;
	struct inspect_result r;
	struct call k;

	if (c->closing || (c->later != LATER_NONE && (side == SIDE_CLIENT || c->later == LATER_IDENTITY || c->later == LATER_PROOF)))
		return false;
	have = c->in[side].tail - c->in[side].head;
	if (segment && have > c->offered[side])
		have = c->offered[side];
	if (have < c->needed[side] || !have)
		goto more;
	for (int attempt = 0; attempt < 3; attempt++) {
		begin(c, &k, room);
		r = inspector->feed(c->session, side, bytes_of(c->in[side].base + c->in[side].head, have), &k.io);
		end(c, &k, &r);
		if (r.status != INSPECT_FULL)
			break;
		room[r.full] = r.needed + ROOM;
	}
	if (r.consumed > have)
		abort();
	c->in[side].head += r.consumed;
	c->offered[side] -= segment ? r.consumed : 0;
	c->needed[side] = r.status == INSPECT_MORE && !segment ? r.needed : 0;
	if (r.consumed || k.w[0].len || k.w[1].len)
		return true;
	if (r.status != INSPECT_MORE)
		return false;
more:
	if (segment && c->offered[side] < c->in[side].tail - c->in[side].head) {
		c->offered[side] += segment;
		return true;
	}
	return false;
}

static void answer(struct connection *c)
{
	struct inspect_answer a = { .allowed = c->later_allowed };
	size_t room[2] = { ROOM, ROOM };
	struct inspect_result r;
	struct call k;

	switch (c->later) {
	case LATER_NONE:
		return;
	case LATER_HOLD:
		a.kind = ANSWER_NOTICE;
		a.text = bytes_str("waiting for approval 7");
		break;
	case LATER_VERDICT:
		a.kind = ANSWER_JUDGED;
		a.judgement = c->held;
		break;
	case LATER_IDENTITY:
		a.kind = ANSWER_IDENTITY;
		a.text = c->later_allowed ? policy_service(snapshot.image, 0).login : bytes_str("the token is not good");
		break;
	case LATER_PROOF:
		a.kind = ANSWER_PROOF;
		a.text = bytes_str(c->proof.message);
		a.more = bytes_str(c->proof.server_signature);
		break;
	}
	begin(c, &k, room);
	r = inspector->answer(c->session, &a, &k.io);
	end(c, &k, &r);
	if (c->later == LATER_HOLD && !c->forever) {
		/* The notice is out; the verdict comes next. */
		c->later = LATER_VERDICT;
		c->later_us = now_us() + 200000;
	} else if (c->later == LATER_HOLD) {
		c->later_us = UINT64_MAX;
	} else {
		c->later = LATER_NONE;
	}
}

static void pump(struct connection *c)
{
	if (c->later != LATER_NONE && now_us() >= c->later_us)
		answer(c);
	for (int turns = 0; turns < 1000; turns++) {
		/* Back-pressure: nothing is read while much is unsent. */
		bool client = c->out[SIDE_SERVER].tail - c->out[SIDE_SERVER].head < BUFFER / 8 && feed(c, SIDE_CLIENT);
		bool server = c->out[SIDE_CLIENT].tail - c->out[SIDE_CLIENT].head < BUFFER / 8 && feed(c, SIDE_SERVER);

		if (!client && !server)
			break;
	}
}

static bool send_out(struct connection *c, enum side side)
{
	struct buffer *b = &c->out[side];

	while (b->head < b->tail) {
		ssize_t n = send(c->fd[side], b->base + b->head, b->tail - b->head, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		b->head += (size_t)n;
	}
	return true;
}

static bool receive(struct connection *c, enum side side)
{
	struct buffer *b = &c->in[side];
	ssize_t n;

	compact(b);
	if (b->tail == BUFFER)
		return true;
	n = recv(c->fd[side], b->base + b->tail, BUFFER - b->tail, MSG_DONTWAIT);
	if (n == 0)
		return false;
	if (n > 0)
		b->tail += (size_t)n;
	return n > 0 || errno == EAGAIN;
}

static void open_connection(int fd)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)target_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct connection *c = connections;
	int one = 1;

	while (c < connections + SESSIONS && c->used)
		c++;
	if (c == connections + SESSIONS) {
		close(fd);
		return;
	}
	c->used = true;
	c->fd[SIDE_CLIENT] = fd;
	c->fd[SIDE_SERVER] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(c->fd[SIDE_SERVER], (struct sockaddr *)&to, sizeof(to)))
		perror("connect");
	for (int i = 0; i < 2; i++) {
		setsockopt(c->fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c->in[i].base = malloc(BUFFER);
		c->out[i].base = malloc(BUFFER);
	}
	c->session = calloc(1, inspector->session_bytes);
	c->env = (struct inspect_env){ .snapshot = &snapshot, .scratch = scratch, .hash_key = { 1, 2 }, .shared = shared, .now_us = now_us() };
	inspector->open(c->session, &c->env, &host_calls, c);
}

static void serve(struct connection *c, const short events[2])
{
	for (enum side side = SIDE_CLIENT; side <= SIDE_SERVER; side++)
		if ((events[side] & (POLLIN | POLLHUP | POLLERR)) && !c->ended[side] && !receive(c, side))
			c->ended[side] = true;
	pump(c);
	if (c->ended[SIDE_SERVER] && c->in[SIDE_SERVER].head == c->in[SIDE_SERVER].tail && !c->closing) {
		size_t room[2] = { ROOM, ROOM };
		struct inspect_result r;
		struct call k;

		begin(c, &k, room);
		r = inspector->ended(c->session, SIDE_SERVER, &k.io);
		end(c, &k, &r);
		c->closing = true;
	}
	if (c->ended[SIDE_CLIENT])
		c->closing = true;
	if (!send_out(c, SIDE_CLIENT) || !send_out(c, SIDE_SERVER) ||
	    (c->closing && c->out[0].head == c->out[0].tail && c->out[1].head == c->out[1].tail))
		finish(c);
}

static void *run(void *unused)
{
	static struct pollfd polls[2 * SESSIONS + 1];

	for (;;) {
		polls[0] = (struct pollfd){ listener, POLLIN, 0 };
		for (unsigned i = 0; i < SESSIONS; i++)
			for (int side = 0; side < 2; side++) {
				struct connection *c = &connections[i];
				bool full = c->used && c->in[side].tail - c->in[side].head == BUFFER;

				polls[1 + 2 * i + side] = (struct pollfd){ c->used && !c->ended[side] ? c->fd[side] : -1,
					(short)((full ? 0 : POLLIN) | (c->used && c->out[side].head < c->out[side].tail ? POLLOUT : 0)), 0 };
			}
		poll(polls, 2 * SESSIONS + 1, 20);
		if (polls[0].revents)
			open_connection(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
		for (unsigned i = 0; i < SESSIONS; i++)
			if (connections[i].used)
				serve(&connections[i], (short[]){ polls[1 + 2 * i].revents, polls[2 + 2 * i].revents });
	}
	return NULL;
}

static uint8_t *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(64u << 20);

	if (!f || !data) {
		perror(path);
		exit(2);
	}
	*len = fread(data, 1, 64u << 20, f);
	fclose(f);
	return data;
}

static void load(const char *policy_path, const char *classes_path)
{
	static struct inspect_class classes[LIMIT_CLASSES];
	struct config_report report;
	char err[256];
	size_t blob_len, image_len;
	uint8_t *blob = read_file(classes_path, &blob_len), *image;
	struct match_set *set = match_set_load(blob, blob_len, err, sizeof(err));
	struct policy_detectors detectors = policy_detectors_of_set(set);
	struct policy_tree *tree;

	if (!set || !config_report_init(&report, policy_path))
		exit(2);
	tree = policy_open(policy_path, &detectors, &report);
	for (unsigned i = 0; i < report.count && !tree; i++) {
		config_problem_text(&report, &report.problem[i], err, sizeof(err));
		fprintf(stderr, "%s\n", err);
	}
	if (!tree || !policy_compile(tree, bytes_of(blob, blob_len), 1, &image, &image_len, err, sizeof(err)))
		exit(2);
	snapshot.image = policy_image_open(image, image_len, err, sizeof(err));
	snapshot.match = set;
	snapshot.generation = 1;
	snapshot.classes = classes;
	snapshot.classes_count = policy_counts(snapshot.image).classes;
	memset(snapshot.mask_key, 7, sizeof(snapshot.mask_key));
	for (unsigned i = 0; i < snapshot.classes_count; i++) {
		struct policy_class c = policy_class(snapshot.image, i);

		classes[i] = (struct inspect_class){ .detectors = c.detectors, .mask = { .kind = (enum mask_kind)c.mask_kind, .key = snapshot.mask_key } };
	}
	inspect_snapshot_settle(&snapshot);
	scratch = match_scratch_create(set);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	pthread_attr_t attr;
	pthread_t thread;
	int one = 1;

	if (argc < 6)
		return 2;
	password = getenv("PGPROXY_PASSWORD");
	at.sin_port = htons((uint16_t)atoi(argv[1]));
	target_port = atoi(argv[2]);
	log_file = fopen(argv[5], "w");
	for (int i = 6; i < argc; i++) {
		if (!strncmp(argv[i], "segment=", 8))
			segment = strtoul(argv[i] + 8, NULL, 10);
		slow |= !strcmp(argv[i], "slow");
	}
	signal(SIGPIPE, SIG_IGN);
	load(argv[3], argv[4]);
	inspector = inspector_find("postgres");
	shared = calloc(1, inspector->shared_bytes);
	scram = scram_create();
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 64)) {
		perror("listen");
		return 2;
	}
	/* The classifier wants a deep stack. */
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, SQLPARSE_STACK_BYTES);
	if (pthread_create(&thread, &attr, run, NULL))
		return 2;
	pthread_join(thread, NULL);
	return 0;
}
