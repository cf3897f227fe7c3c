/* node_classify.c: a worker's question, the parser's answer. No helper, no room, no time: the statement is unknown. */
#include "control/node.h"

static void answer(struct node *n, unsigned worker, uint64_t key_hi, uint64_t key_lo, bool known, struct bytes why, struct bytes classification)
{
	static uint8_t room[LIMIT_CLASSIFICATION_BYTES + 2 * LIMIT_STATEMENT_BYTES + 512];
	struct order_classified m = { .key_hi = key_hi, .key_lo = key_lo, .known = known, .why = why, .classification = classification };
	struct bytes encoded;

	if (m.why.len > 128)
		m.why.len = 128;
	encoded = order_classified_encode(&m, room, sizeof(room));
	if (!encoded.len) {
		m.known = 0;
		m.why = bytes_str("the classification is too long");
		m.classification = (struct bytes){ 0 };
		encoded = order_classified_encode(&m, room, sizeof(room));
	}
	inbox_order(n->inbox, worker, ORDER_classified, encoded, ORDERS_NOW);
}

void node_classify(void *ctx, unsigned worker, const struct event_classify *e)
{
	struct node *n = ctx;
	struct node_question *q = NULL;

	for (unsigned i = 0; i < NODE_QUESTIONS && !q; i++) {
		if (!n->question[(n->questions_asked + i) % NODE_QUESTIONS].used)
			q = &n->question[(n->questions_asked + i) % NODE_QUESTIONS];
	}
	if (e->dialect != SQLPARSE_POSTGRES || !q) {
		answer(n, worker, e->key_hi, e->key_lo, false, bytes_str(q ? "no parser for this dialect" : "too many statements wait for the parser"),
		       (struct bytes){ 0 });
		return;
	}
	*q = (struct node_question){ .used = true, .worker = worker, .id = ++n->questions_asked, .key_hi = e->key_hi, .key_lo = e->key_lo };
	if (!sqlparse_request(n->sqlparse, q->id, SQLPARSE_POSTGRES, e->text, node_mono_ms(n))) {
		q->used = false;
		answer(n, worker, e->key_hi, e->key_lo, false, bytes_str("the parser takes no more"), (struct bytes){ 0 });
	}
}

void node_classified(void *ctx, uint64_t id, bool known, struct bytes why, struct bytes classification)
{
	struct node *n = ctx;

	for (unsigned i = 0; i < NODE_QUESTIONS; i++) {
		struct node_question *q = &n->question[i];

		if (!q->used || q->id != id)
			continue;
		q->used = false;
		answer(n, q->worker, q->key_hi, q->key_lo, known, why, classification);
		return;
	}
}
