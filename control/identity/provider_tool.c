/* provider_tool.c: for provider_test.py: verifier, egress client and the real sluice-egress, joined as control joins them.
 *
 * provider_tool SLUICE-EGRESS CA-DIR ISSUER AUDIENCE CA-NAME [TRUST-DOMAIN]; with a trust domain ISSUER is its bundle's URL. Each input line is `token HEX`, `clock SECONDS` (the
 * monotonic clock moves on by that much) or `kill` (the egress child dies); each output line is the result and the reason. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/egress/client.h"
#include "control/identity/identity.h"
#include "platform/os/child.h"

#define WAIT_MS 12000u

struct join {
	struct identity *id;
	struct egress_client *client;
	struct child child;
	int64_t ahead_s;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct identity_clock clock_of(const struct join *j)
{
	return (struct identity_clock){ .wall_s = time(NULL), .mono_s = (int64_t)(now_ms() / 1000) + j->ahead_s };
}

static void on_answer(void *context, const struct egress_answer *a)
{
	struct join *j = context;
	struct identity_fetch_report r = identity_fetched(j->id, a->id, a->result == EGRESS_ok ? a->http_status : 0, a->body, clock_of(j));

	fprintf(stderr, "fetch %s: %s %s (%u keys, %u dropped %s)\n", r.issuer, egress_result_name(a->result), r.good ? "good" : r.problem, r.keys, r.keys_dropped, r.dropped_why);
}

static void ask(struct join *j)
{
	struct identity_fetch fetch;

	while (identity_wants_fetch(j->id, clock_of(j), &fetch))
		if (!egress_client_get(j->client, fetch.id, fetch.url, fetch.ca, now_ms()))
			(void)identity_fetched(j->id, fetch.id, 0, (struct bytes){ 0 }, clock_of(j));
}

static bool restart(struct join *j)
{
	char err[OS_ERROR_BYTES];
	int fd = -1;

	if (!child_start(&j->child, now_ms(), &fd, err)) {
		fprintf(stderr, "%s\n", err);
		return false;
	}
	egress_client_attach(j->client, fd);
	return true;
}

/* Waits for the child once; when it is gone, starts another. */
static void turn(struct join *j)
{
	struct pollfd p = { .fd = egress_client_fd(j->client), .events = egress_client_events(j->client) };
	char how[OS_ERROR_BYTES];

	ask(j);
	if (poll(&p, 1, 100) > 0 && !egress_client_ready(j->client)) {
		while (!child_reap(&j->child, now_ms(), how))
			poll(NULL, 0, 10);
		restart(j);
	}
	ask(j);
}

static void verify(struct join *j, const char *hex)
{
	static const char *const results[] = { "accepted", "refused", "waits" };
	static uint8_t token[LIMIT_TOKEN_BYTES + 1];
	struct identity_login login = { .epoch = 1 };
	struct identity_failure why;
	struct principal *p = NULL;
	enum identity_result result;
	uint64_t limit_ms = now_ms() + WAIT_MS;
	size_t len = 0;

	for (; len < sizeof(token) && hex[2 * len] > ' ' && hex[2 * len + 1] > ' '; len++) {
		char two[3] = { hex[2 * len], hex[2 * len + 1], 0 };

		token[len] = (uint8_t)strtoul(two, NULL, 16);
	}
	login.token = bytes_of(token, len);
	for (;;) {
		login.now = clock_of(j);
		result = identity_verify(j->id, &login, &p, &why);
		if (result != IDENTITY_NEEDS_KEYS || now_ms() > limit_ms)
			break;
		turn(j);
	}
	printf("%s %s %s %s\n", results[result], identity_reason_name(why.reason), p ? p->sub : "-", p && p->agent[0] ? p->agent : "-");
	fflush(stdout);
	principal_put(p);
}

int main(int argc, char **argv)
{
	struct identity_issuer entry = { .name = "a", .issuer = argv[3], .audience = argv[4], .skew_s = 30 };
	static char line[40000];
	struct join j = { 0 };
	char why[256];

	if (argc != 6 && argc != 7)
		return 2;
	entry.ca = argv[5];
	if (argc == 7) {
		entry.spiffe = true;
		entry.trust_domain = argv[6];
		entry.jwks_uri = argv[3];
		entry.issuer = NULL;
	}
	j.child = (struct child){ .program = argv[1], .argv = { "sluice-egress", "--ca-dir", argv[2] }, .socket = CHILD_STREAM, .pidfd = -1, .keep_environment = true };
	j.id = identity_create(&entry, 1, NULL, why, sizeof(why));
	j.client = egress_client_create(on_answer, &j);
	if (!j.id || !j.client || !restart(&j)) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "token ", 6) == 0)
			verify(&j, line + 6);
		else if (strncmp(line, "clock ", 6) == 0)
			j.ahead_s += strtol(line + 6, NULL, 10);
		else if (strncmp(line, "kill", 4) == 0)
			child_signal(&j.child, SIGKILL);
	}
	egress_client_destroy(j.client);
	while (!child_reap(&j.child, now_ms(), why))
		poll(NULL, 0, 10);
	identity_destroy(j.id);
	return 0;
}
