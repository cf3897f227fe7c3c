/* inbox_bench [TRANSACTIONS [A_COMMIT]]: what a transaction of a service with audit "prompt" and record "full" costs control, as JSON:
 * CPU time of the thread from the ring to the durable record. One session asks "pgbench -S"'s question; a command, a chunk of its answer
 * and a response each, A_COMMIT transactions in a batch. Under callgrind the last line's instructions divided by TRANSACTIONS are exact.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/inbox/inbox_kit.h"
#include "platform/contract/classification.h"
#include "platform/contract/policy_write.h"

static struct inbox_kit b;
static uint8_t room[LIMIT_MESSAGE_BYTES], classified[2048];
static struct bytes classification;

static void login(struct inbox_kit *k, struct session *s)
{
	const struct principal shape = { .issuer = "corp", .iss = "https://idp.example/realms/corp", .sub = "agent-7", .person = "p-bench", .agent = "agent-7",
					 .run = "bench-run-1", .groups = { "agents" }, .groups_count = 1, .exp_s = 1800000000, .end_s = 1800000030 };
	const struct inbox_grant grant = { .principal = principal_create(&shape), .generation = 1, .upstream_user = "shop_app" };

	inbox_login_accepted(k->inbox, s, &grant);
}

static bool make_policy(void)
{
	static uint8_t memory[65536];
	static const struct spec_service service = { .name = "shop-db", .protocol_word = "postgres", .protocol = POLICY_PROTOCOL_OTHER, .tls = POLICY_TLS_OFF,
						     .search_path = "public", .audit = POLICY_AUDIT_PROMPT, .record = POLICY_RECORD_FULL };
	static const char *const groups[] = { "agents" };
	static const struct spec_rule rule = { .id = "read", .action = POLICY_ALLOW, .who = { { 1 } }, .purpose_any = true, .services = { 1 },
					       .verbs = 1u << VERB_select, .approval = POLICY_NONE, .pattern = POLICY_NONE };
	const struct policy_spec spec = { .name = "bench", .generation = 1, .services = &service, .services_count = 1, .groups = groups, .groups_count = 1,
					  .rules = &rule, .rules_count = 1,
					  .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE } };
	struct bytes image = policy_image_write(&spec, memory, sizeof(memory));

	b.image = policy_image_open(memory, image.len, b.err, sizeof(b.err));
	return b.image != NULL;
}

static void make_classification(void)
{
	static const struct bytes column = { (const uint8_t *)"abalance", 8 };
	struct classification_writer cw = classification_writer_of(classified, sizeof(classified), true);
	const struct access a = { .verb = VERB_select, .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str("pgbench_accounts") } };

	classification_begin_statement(&cw, 0);
	classification_add_access(&cw, &a);
	classification_begin_targets(&cw);
	classification_add_target(&cw, TAINT_NAMES, &column, 1);
	classification_begin_predicates(&cw);
	classification_add_predicate(&cw, 0, bytes_str("aid"));
	classification_end_statement(&cw, NULL);
	classification = classification_finish(&cw, (struct bytes){ 0 }, bytes_str("select abalance from pgbench_accounts where aid = $1"));
}

static bool start(void)
{
	if (!inbox_kit_make(&b) || !make_policy() || !inbox_kit_start(&b, NULL))
		return false;
	make_classification();
	b.login = login;
	return true;
}

/* Reads what there is; with `whole` until it is committed. */
static bool turn(bool whole)
{
	enum inbox_result r;

	do {
		r = inbox_kit_turn(&b);
		worker_script_orders(&b.worker);
	} while (whole && (r == INBOX_OPEN || r == INBOX_BUSY));
	return r != INBOX_STOPPED;
}

static bool ask(struct script_flow *f, unsigned number)
{
	static const uint8_t rules[] = { 0, 0 };
	static const char answer[] = "T\0\0\0!\0\1abalance\0\0\0@\20\0\4\0\0\0\27\0\4\377\377\377\377\0\0D\0\0\0\13\0\1\0\0\0\1" "0C\0\0\0\15SELECT 1\0Z\0\0\0\5I";
	char text[80];
	const struct event_command c = { .flow = f->number, .n = f->n, .generation = 1, .action = COMMAND_ALLOW, .raw = bytes_of(text,
					 (size_t)snprintf(text, sizeof(text), "SELECT abalance FROM pgbench_accounts WHERE aid = %u;", 100000 + number % 300000)),
					 .approval = 0xffff, .rules = bytes_of(rules, 2), .transaction = 'I', .classification = classification };
	const struct event_payload p = { .flow = f->number, .ref = f->n, .direction = 1, .data = bytes_of(answer, sizeof(answer) - 1) };
	const struct event_response r = { .flow = f->number, .n = f->n + 1, .ref = f->n, .status = bytes_str("00000"), .tag = bytes_str("SELECT 1"), .rows = 1,
					  .octets = sizeof(answer) - 1, .duration_us = 100 + number % 50 };

	f->n += 2;
	return worker_script_write(&b.worker, EVENT_command, event_command_encode(&c, room, sizeof(room))) &&
	       worker_script_write(&b.worker, EVENT_payload, event_payload_encode(&p, room, sizeof(room))) &&
	       worker_script_write(&b.worker, EVENT_response, event_response_encode(&r, room, sizeof(room)));
}

static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* CPU time of `count` transactions, without making their events; 0 when something was refused. */
static double measure(struct script_flow *f, unsigned count, unsigned a_commit)
{
	double sum = 0;

	for (unsigned done = 0; done < count; done += a_commit) {
		double before;

		for (unsigned i = 0; i < a_commit; i++) {
			if (!ask(f, done + i))
				return 0;
		}
		before = cpu_us();
		if (!turn(true))
			return 0;
		sum += cpu_us() - before;
	}
	return sum;
}

int main(int argc, char **argv)
{
	unsigned count = argc > 1 ? (unsigned)atoi(argv[1]) : 20000, a_commit = argc > 2 ? (unsigned)atoi(argv[2]) : 16;
	struct script_flow *f = &b.worker.flow[0];
	uint64_t records, commits;
	double us = 0;

	if (a_commit < 1 || a_commit > 256 || count < a_commit) {
		fprintf(stderr, "inbox_bench: TRANSACTIONS is less than A_COMMIT, or A_COMMIT not 1 to 256: use the defaults\n");
		return 2;
	}
	if (start() && worker_script_hello(&b.worker) && worker_script_open_flow(&b.worker, f, 1) && worker_script_login(&b.worker, f, bytes_str("a token")) &&
	    turn(true) && f->logged_in && measure(f, a_commit, a_commit) > 0) {
		records = inbox_counters(b.inbox)->records;
		commits = inbox_counters(b.inbox)->commits;
		us = measure(f, count, a_commit);
		records = inbox_counters(b.inbox)->records - records;
		commits = inbox_counters(b.inbox)->commits - commits;
	}
	if (us > 0)
		printf("{\"transactions\": %u, \"a_commit\": %u, \"us_a_transaction\": %.2f, \"records\": %llu, \"commits\": %llu}\n", count, a_commit, us / count,
		       (unsigned long long)records, (unsigned long long)commits);
	else
		fprintf(stderr, "inbox_bench: something was refused: %s\n", b.err);
	(void)inbox_kit_free(&b);
	return us > 0 ? 0 : 1;
}
