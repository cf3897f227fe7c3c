/* What workers tell one another. Each has its own flows and shares no memory; there are two things that a session on one has to know
 * or do on another:
 *
 * - A cancel request comes on a connection of its own, which may be any worker's. The process number that a client was given names the
 *   worker; that one is asked, and the request waits (WAIT_CANCEL) until it has answered. The answer is not kept: the request is read
 *   again while the answer is at hand, and asks once more if it was not.
 * - What an inspector learned that concerns all sessions of its service (inspect_host.share).
 *
 * A message is a struct of this process's, copied. An answer that finds no room is lost, and the asking connection ends in time. */
#include "dataplane/relay/conductor.h"

#include <stdio.h>

#include "platform/base/secret.h"

enum peer_kind { PEER_CANCEL, PEER_CANCEL_ANSWER, PEER_SHARED };

struct peer_message {
	uint8_t kind, from;
	bool forward;      /* of an answer */
	uint16_t len;      /* of `bytes` */
	uint32_t process;
	uint64_t flow;     /* that asks */
	char service[sizeof((struct relay_service *)0)->name], protocol[16];
	uint8_t bytes[INSPECT_KEY_BYTES];
};

_Static_assert(sizeof(struct peer_message) <= RELAY_MESSAGE_BYTES, "the wire carries it");
_Static_assert(INSPECT_SHARE_BYTES <= INSPECT_KEY_BYTES, "bytes hold either");

static struct peer_message message_of(const struct relay *r, enum peer_kind kind, const struct relay_service *service, struct bytes bytes)
{
	struct peer_message m = { .kind = (uint8_t)kind, .from = (uint8_t)r->config.worker, .len = (uint16_t)bytes.len };

	memcpy(m.service, service->name, sizeof m.service);
	if (bytes.len)
		memcpy(m.bytes, bytes.base, bytes.len);
	return m;
}

static bool tell(struct relay *r, unsigned worker, struct peer_message *m)
{
	bool told = r->wire.tell(r->wire.context, worker, bytes_of(m, sizeof *m));

	secret_wipe(m, sizeof *m);
	return told;
}

struct inspect_cancel peers_cancel(struct flow *asking, uint32_t process, struct bytes issued)
{
	struct relay *r = asking->relay;
	const struct peer_message *answer = r->cancel_at_hand;
	unsigned worker = process >> HOST_PROCESS_WORKER;
	struct peer_message m;

	if (answer && answer->flow == asking->id)
		return (struct inspect_cancel){ .process = answer->process, .key = bytes_of(answer->bytes, answer->len), .forward = answer->forward };
	if (worker >= r->config.workers || issued.len > sizeof m.bytes)
		return (struct inspect_cancel){ 0 };
	m = message_of(r, PEER_CANCEL, asking->service, issued);
	m.process = process;
	m.flow = asking->id;
	return (struct inspect_cancel){ .later = tell(r, worker, &m) };
}

static void on_cancel(struct relay *r, const struct peer_message *m, const struct relay_service *service)
{
	struct inspect_cancel c = host_cancel(r, service, m->process, bytes_of(m->bytes, m->len));
	struct peer_message answer = message_of(r, PEER_CANCEL_ANSWER, service, c.forward ? c.key : (struct bytes){ 0 });

	answer.forward = c.forward;
	answer.process = c.process;
	answer.flow = m->flow;
	(void)tell(r, m->from, &answer);
}

static void on_cancel_answer(struct relay *r, const struct peer_message *m)
{
	uint32_t number = (uint32_t)(m->flow & 0xffffff);
	struct flow *f = number < r->config.flows_max ? &r->flows[number] : NULL;

	if (!f || f->id != m->flow || f->phase != FLOW_RUNNING || f->wait != WAIT_CANCEL)
		return;
	f->wait = WAIT_NONE;
	r->cancel_at_hand = m;
	pump(r, f);
	r->cancel_at_hand = NULL;
}

static void on_shared(struct relay *r, const struct peer_message *m, struct relay_service *service)
{
	const struct inspector *inspector = inspector_find(m->protocol);
	void *shared = inspector ? host_shared(r, service, inspector) : NULL;

	if (shared && inspector->heard)
		inspector->heard(shared, m->from, bytes_of(m->bytes, m->len));
}

void relay_told(struct relay *r, struct bytes message, uint64_t now_us)
{
	struct relay_service *service;
	struct peer_message m;

	r->now_us = now_us;
	if (message.len != sizeof m)
		return;
	memcpy(&m, message.base, sizeof m);
	service = relay_services_find(&r->services, r->config.hash_key, m.service, m.kind == PEER_SHARED);
	if (m.kind == PEER_CANCEL && service)
		on_cancel(r, &m, service);
	else if (m.kind == PEER_CANCEL_ANSWER)
		on_cancel_answer(r, &m);
	else if (m.kind == PEER_SHARED && service)
		on_shared(r, &m, service);
	secret_wipe(&m, sizeof m);
}

bool peers_share(struct flow *f, struct bytes what)
{
	struct relay *r = f->relay;
	bool all = true;

	for (unsigned w = 0; w < r->config.workers; w++) {
		struct peer_message m = message_of(r, PEER_SHARED, f->service, what);

		snprintf(m.protocol, sizeof m.protocol, "%s", f->session->inspector->name);
		all &= w == r->config.worker || tell(r, w, &m);
	}
	return all;
}

bool peers_share_room(const struct relay *r)
{
	bool room = true;

	for (unsigned w = 0; w < r->config.workers; w++)
		room &= w == r->config.worker || r->wire.tell(r->wire.context, w, (struct bytes){ 0 });
	return room;
}
