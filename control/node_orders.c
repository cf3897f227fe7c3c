/* node_orders.c: what a worker has to know when it starts, when control starts, and when the policy changes. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "control/keys/configured.h"
#include "control/node.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"

#define DAY_S 86400

void node_orders_snapshot(struct node *n, unsigned worker)
{
	struct order_snapshot m = { .generation = n->generation };
	char name[64];
	uint8_t room[256];

	if (!n->current)
		return;
	snprintf(name, sizeof(name), "policy-%llu", (unsigned long long)n->generation);
	m.hash = bytes_of(policy_hash(n->current), POLICY_HASH_BYTES);
	m.file = bytes_str(name);
	/* After the commit: a command must not be judged under a policy whose record could still be lost. */
	inbox_order(n->inbox, worker, ORDER_snapshot, order_snapshot_encode(&m, room, sizeof(room)), ORDERS_COMMITTED);
}

/* Reads what the operator brings. With the privileges of the start: the keys are root's. */
bool node_certificates_read(struct node *n, char err[OS_ERROR_BYTES])
{
	const struct settings *s = n->settings;

	n->certificate = calloc(s->upstream_count + 1, sizeof(*n->certificate));
	for (unsigned i = 0; n->certificate && i < s->upstream_count; i++) {
		struct node_certificate *c = &n->certificate[i];
		struct writer chain = { 0 }, key = { 0 };

		if (!s->upstream[i].certificate)
			continue;
		c->service = s->upstream[i].service;
		c->chain = malloc(CONFIGURED_CHAIN_BYTES);
		c->key = malloc(CONFIGURED_KEY_BYTES);
		if (c->chain && c->key) {
			chain = writer_of(c->chain, CONFIGURED_CHAIN_BYTES);
			key = writer_of(c->key, CONFIGURED_KEY_BYTES);
			(void)madvise((void *)((uintptr_t)c->key & ~4095ul), 8192, MADV_DONTDUMP);
		}
		if (!configured_read(s->upstream[i].certificate, s->upstream[i].key, &chain, &key, err))
			return false;
		c->chain_len = chain.len;
		c->key_len = key.len;
	}
	return n->certificate != NULL;
}

void node_certificates_close(struct node *n)
{
	for (unsigned i = 0; n->certificate && i < n->settings->upstream_count; i++) {
		if (n->certificate[i].key)
			secret_wipe(n->certificate[i].key, CONFIGURED_KEY_BYTES);
		free(n->certificate[i].chain);
		free(n->certificate[i].key);
	}
	free(n->certificate);
}

/* True when the operator brought one for this service, and it was sent. */
static bool order_configured(struct node *n, unsigned worker, const struct policy_service *service)
{
	static uint8_t room[24576];

	for (unsigned i = 0; i < n->settings->upstream_count; i++) {
		const struct node_certificate *c = &n->certificate[i];
		struct order_certificate m = { .service = service->name, .chain = bytes_of(c->chain, c->chain_len), .key = bytes_of(c->key, c->key_len) };

		if (!c->service || !bytes_equal(bytes_str(c->service), service->name))
			continue;
		inbox_order(n->inbox, worker, ORDER_certificate, order_certificate_encode(&m, room, sizeof(room)), ORDERS_NOW);
		secret_wipe(room, sizeof(room));
		return true;
	}
	return false;
}

static void order_certificate(struct node *n, unsigned worker, unsigned number, const struct policy_service *service)
{
	static uint8_t chain_room[16384], key_room[4096], room[24576];
	struct writer chain = writer_of(chain_room, sizeof(chain_room)), key = writer_of(key_room, sizeof(key_room));
	struct order_certificate m = { .service = service->name };
	struct ca_address addresses[64];
	unsigned count = 0;
	char err[OS_ERROR_BYTES];

	for (unsigned i = 0; i < service->listeners && count < 64; i++) {
		struct policy_listener l = policy_service_listener(n->current, number, i);

		addresses[count].len = l.family == 6 ? 16 : 4;
		memcpy(addresses[count++].bytes, l.address, 16);
	}
	if (ca_leaf(n->ca, (const char *)service->upstream_name.base, addresses, count, (int64_t)(n->now.wall_us / 1000000), &chain, &key, err)) {
		m.chain = writer_done(&chain);
		m.key = writer_done(&key);
		inbox_order(n->inbox, worker, ORDER_certificate, order_certificate_encode(&m, room, sizeof(room)), ORDERS_NOW);
	} else {
		log_error("service %.60s: no certificate: %s", (const char *)service->name.base, err);
	}
	secret_wipe(key_room, sizeof(key_room));
	secret_wipe(room, sizeof(room));
}

static void order_trust(struct node *n, unsigned worker, const struct policy_service *service)
{
	static uint8_t room[70000];
	const char *path = NULL;
	char err[OS_ERROR_BYTES];
	struct bytes roots;
	struct order_trust m = { .service = service->name };

	for (unsigned i = 0; i < n->settings->upstream_count; i++) {
		if (bytes_equal(bytes_str(n->settings->upstream[i].service), service->name))
			path = n->settings->upstream[i].roots;
	}
	if (!path) {
		log_warn("service %.60s: no roots to verify its target by: name them under `upstream` in sluice.conf", (const char *)service->name.base);
		return;
	}
	roots = ca_roots_read(path, err);
	if (!roots.base) {
		log_error("service %.60s: %s", (const char *)service->name.base, err);
		return;
	}
	m.roots = roots;
	inbox_order(n->inbox, worker, ORDER_trust, order_trust_encode(&m, room, sizeof(room)), ORDERS_NOW);
	free((void *)roots.base);
}

void node_orders_services(struct node *n, unsigned worker)
{
	unsigned services = n->current ? policy_counts(n->current).services : 0;

	for (unsigned i = 0; i < services; i++) {
		struct policy_service service = policy_service(n->current, i);

		if (service.protocol == POLICY_PROTOCOL_PASS || service.tls == POLICY_TLS_OFF)
			continue;
		if (!order_configured(n, worker, &service))
			order_certificate(n, worker, i, &service);
		order_trust(n, worker, &service);
	}
	n->certificates_s = (int64_t)(n->now.wall_us / 1000000);
}

void node_certificates_tick(struct node *n)
{
	if ((int64_t)(n->now.wall_us / 1000000) < n->certificates_s + (int64_t)CA_RENEW_DAYS * DAY_S)
		return;
	for (unsigned w = 0; w < n->settings->workers; w++)
		node_orders_services(n, w);
}

void node_hello(void *ctx, unsigned worker)
{
	struct node *n = ctx;

	log_info("worker %u: started", worker);
	node_orders_control(n, worker);
	node_orders_services(n, worker);
	node_orders_snapshot(n, worker);
}
