#include "dataplane/port/scale.h"

#include <errno.h>
#include <string.h>

#include "dataplane/flow/steer.h"

#define TABLE_MAX RTE_ETH_RSS_RETA_SIZE_512
#define GROUPS (TABLE_MAX / RTE_ETH_RETA_GROUP_SIZE)

static uint8_t key[STEER_KEY_BYTES_MAX]; /* drivers may keep the pointer */

static struct rte_eth_rss_conf wanted(const struct port_plan *plan)
{
	steer_key(key, plan->key_bytes);
	return (struct rte_eth_rss_conf){ .rss_key = key, .rss_key_len = plan->key_bytes, .rss_hf = plan->rss_functions };
}

void scale_configure(const struct port_plan *plan, struct rte_eth_conf *conf)
{
	if (!plan->rss_functions)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf = wanted(plan);
}

/* 0: as asked, or it does not let it be read. A driver that hashes more than was asked hashes TCP no differently. */
static int key_differs(uint16_t id, const struct port_plan *plan)
{
	uint8_t there[STEER_KEY_BYTES_MAX] = { 0 };
	struct rte_eth_rss_conf conf = { .rss_key = there, .rss_key_len = plan->key_bytes };
	int rc = rte_eth_dev_rss_hash_conf_get(id, &conf);

	if (rc != 0)
		return rc == -ENOTSUP ? 0 : rc;
	return memcmp(there, key, plan->key_bytes) != 0 || (conf.rss_hf & plan->rss_functions) != plan->rss_functions;
}

static bool key_is_there(uint16_t id, const struct port_plan *plan)
{
	struct rte_eth_rss_conf conf = wanted(plan);

	return key_differs(id, plan) == 0 || (rte_eth_dev_rss_hash_update(id, &conf) == 0 && key_differs(id, plan) == 0);
}

static bool table_is_there(uint16_t id, unsigned workers, const struct port_plan *plan)
{
	struct rte_eth_rss_reta_entry64 table[GROUPS] = { 0 }, there[GROUPS] = { 0 };
	int rc;

	for (unsigned i = 0; i < plan->table_entries; i++) {
		table[i / RTE_ETH_RETA_GROUP_SIZE].mask = there[i / RTE_ETH_RETA_GROUP_SIZE].mask = UINT64_MAX;
		table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)port_plan_queue(plan, i, workers);
	}
	if (rte_eth_dev_rss_reta_update(id, table, plan->table_entries) != 0)
		return false;
	rc = rte_eth_dev_rss_reta_query(id, there, plan->table_entries);
	if (rc != 0)
		return rc == -ENOTSUP;
	for (unsigned i = 0; i < plan->table_entries; i++)
		if (there[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] != port_plan_queue(plan, i, workers))
			return false;
	return true;
}

void scale_check(uint16_t id, unsigned workers, struct port_plan *plan)
{
	if (!plan->rss_functions)
		return;
	plan->scaling = !key_is_there(id, plan) ? PLAN_KEY_NOT_TAKEN : !table_is_there(id, workers, plan) ? PLAN_TABLE_NOT_TAKEN : PLAN_SCALED;
	if (plan->scaling != PLAN_SCALED)
		plan->rss_functions = 0;
}
