/* Receive side scaling set up on a real driver that has it (net_null: a key and a table, and no word of the key's length), and read back;
 * then the same driver, whose answers are changed on their way: each call of its four is taken over when this test is linked. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/flow/steer.h"
#include "dataplane/port/port.h"
#include "dataplane/port/scale.h"
#include "platform/contract/page.h"

#define WORKERS 2
#define KEY_BYTES 40

static struct ports *ports;
static struct port_plan plan;
static uint16_t id;

/* What becomes of a call: 0 as the driver does it, else its result. */
static int get_rc, update_rc, table_rc, query_rc;
static bool key_is_another, functions_fewer, entry_is_another, forgets_the_key;
static unsigned updates;

int __real_rte_eth_dev_rss_hash_conf_get(uint16_t port, struct rte_eth_rss_conf *conf);
int __wrap_rte_eth_dev_rss_hash_conf_get(uint16_t port, struct rte_eth_rss_conf *conf);
int __real_rte_eth_dev_rss_hash_update(uint16_t port, struct rte_eth_rss_conf *conf);
int __wrap_rte_eth_dev_rss_hash_update(uint16_t port, struct rte_eth_rss_conf *conf);
int __real_rte_eth_dev_rss_reta_update(uint16_t port, struct rte_eth_rss_reta_entry64 *table, uint16_t size);
int __wrap_rte_eth_dev_rss_reta_update(uint16_t port, struct rte_eth_rss_reta_entry64 *table, uint16_t size);
int __real_rte_eth_dev_rss_reta_query(uint16_t port, struct rte_eth_rss_reta_entry64 *table, uint16_t size);
int __wrap_rte_eth_dev_rss_reta_query(uint16_t port, struct rte_eth_rss_reta_entry64 *table, uint16_t size);

int __wrap_rte_eth_dev_rss_hash_conf_get(uint16_t port, struct rte_eth_rss_conf *conf)
{
	int rc = get_rc ? get_rc : __real_rte_eth_dev_rss_hash_conf_get(port, conf);

	if (rc == 0 && key_is_another)
		conf->rss_key[KEY_BYTES - 1] ^= 1;
	if (rc == 0 && functions_fewer)
		conf->rss_hf &= ~(uint64_t)RTE_ETH_RSS_NONFRAG_IPV6_TCP;
	if (rc == 0 && forgets_the_key && updates == 0)
		memset(conf->rss_key, 0, KEY_BYTES);
	return rc;
}

int __wrap_rte_eth_dev_rss_hash_update(uint16_t port, struct rte_eth_rss_conf *conf)
{
	updates++;
	return update_rc ? update_rc : __real_rte_eth_dev_rss_hash_update(port, conf);
}

int __wrap_rte_eth_dev_rss_reta_update(uint16_t port, struct rte_eth_rss_reta_entry64 *table, uint16_t size)
{
	return table_rc ? table_rc : __real_rte_eth_dev_rss_reta_update(port, table, size);
}

int __wrap_rte_eth_dev_rss_reta_query(uint16_t port, struct rte_eth_rss_reta_entry64 *table, uint16_t size)
{
	int rc = query_rc ? query_rc : __real_rte_eth_dev_rss_reta_query(port, table, size);

	if (rc == 0 && entry_is_another)
		table[size / RTE_ETH_RETA_GROUP_SIZE - 1].reta[RTE_ETH_RETA_GROUP_SIZE - 1] ^= 1;
	return rc;
}

static int start(void **state)
{
	static const char *const args[] = { "--no-huge", "-m", "160", "--no-shconf", NULL };
	static const char *const devices[PORT_COUNT] = { "net_null0", "net_null1" };
	struct rte_eth_dev_info info[PLAN_PORTS];
	struct port_plan plans[PLAN_PORTS];
	char err[512] = "";

	if (!port_start_environment("scale_test", "0", devices, args, err, sizeof err) || !(ports = port_start(devices, 1500, WORKERS, err, sizeof err))) {
		fprintf(stderr, "# %s\n", err);
		return -1;
	}
	for (unsigned i = 0; i < PORT_COUNT; i++)
		if (rte_eth_dev_get_port_by_name(devices[i], &id) != 0 || rte_eth_dev_info_get(id, &info[i]) != 0)
			return -1;
	port_plan(info, WORKERS, plans);
	plan = plans[1];
	return 0;
}

static int stop(void **state)
{
	port_stop(ports);
	return 0;
}

static int undisturbed(void **state)
{
	get_rc = update_rc = table_rc = query_rc = 0;
	key_is_another = functions_fewer = entry_is_another = forgets_the_key = false;
	updates = 0;
	return 0;
}

/* What port_start did, as the device itself says. */
static void the_key_and_the_table_are_in_the_device(void **state)
{
	struct rte_eth_rss_reta_entry64 table[PLAN_TABLE_ENTRIES_MAX / RTE_ETH_RETA_GROUP_SIZE] = { 0 };
	uint8_t key[KEY_BYTES], there[STEER_KEY_BYTES_MAX] = { 0 };
	struct rte_eth_rss_conf conf = { .rss_key = there, .rss_key_len = KEY_BYTES };
	struct page_port port = { 0 };

	assert_int_equal(plan.scaling, PLAN_SCALED);
	assert_int_equal(__real_rte_eth_dev_rss_hash_conf_get(id, &conf), 0);
	steer_key(key, sizeof key);
	assert_memory_equal(there, key, sizeof key);
	assert_int_equal(conf.rss_hf & plan.rss_functions, plan.rss_functions);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		table[i].mask = UINT64_MAX;
	assert_int_equal(__real_rte_eth_dev_rss_reta_query(id, table, plan.table_entries), 0);
	for (unsigned i = 0; i < plan.table_entries; i++)
		assert_int_equal(table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE], steer_worker(i, WORKERS));
	port_describe(ports, 1, &port);
	assert_int_equal(port.queues, WORKERS);
	assert_true(port.offloads & 1u << PAGE_OFFLOAD_RSS);
	assert_non_null(strstr(port_spreads(ports, 1), "the device spreads"));
}

static void looks(enum plan_scaling scaling)
{
	struct port_plan p = plan;

	scale_check(id, WORKERS, &p);
	assert_int_equal(p.scaling, scaling);
	assert_int_equal(p.rss_functions != 0, scaling == PLAN_SCALED);
	assert_int_equal((port_plan_offloads(&p) & 1u << PAGE_OFFLOAD_RSS) != 0, scaling == PLAN_SCALED);
	assert_int_equal(strstr(port_plan_spreads(&p), "the workers spread") != NULL, scaling != PLAN_SCALED);
}

static void a_device_that_forgot_the_key_is_told_again(void **state)
{
	forgets_the_key = true;
	looks(PLAN_SCALED);
	assert_int_equal(updates, 1);
}

static void another_key_is_not_relied_on(void **state)
{
	key_is_another = true;
	looks(PLAN_KEY_NOT_TAKEN);
	assert_int_equal(updates, 1);
}

static void fewer_functions_are_not_relied_on(void **state)
{
	functions_fewer = true;
	looks(PLAN_KEY_NOT_TAKEN);
}

static void a_refused_key_is_not_relied_on(void **state)
{
	forgets_the_key = true;
	update_rc = -EINVAL;
	looks(PLAN_KEY_NOT_TAKEN);
}

static void a_device_that_does_not_answer_is_not_relied_on(void **state)
{
	get_rc = -EIO;
	looks(PLAN_KEY_NOT_TAKEN);
}

static void a_refused_table_is_not_relied_on(void **state)
{
	table_rc = -ENOTSUP;
	looks(PLAN_TABLE_NOT_TAKEN);
}

static void one_wrong_entry_is_seen(void **state)
{
	entry_is_another = true;
	looks(PLAN_TABLE_NOT_TAKEN);
}

static void a_table_that_fails_to_be_read_is_not_relied_on(void **state)
{
	query_rc = -EIO;
	looks(PLAN_TABLE_NOT_TAKEN);
}

/* A driver that took both, and has no call to read them. */
static void what_cannot_be_read_is_believed(void **state)
{
	get_rc = query_rc = -ENOTSUP;
	looks(PLAN_SCALED);
	assert_int_equal(updates, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_key_and_the_table_are_in_the_device, undisturbed),
		cmocka_unit_test_setup(a_device_that_forgot_the_key_is_told_again, undisturbed),
		cmocka_unit_test_setup(another_key_is_not_relied_on, undisturbed),
		cmocka_unit_test_setup(fewer_functions_are_not_relied_on, undisturbed),
		cmocka_unit_test_setup(a_refused_key_is_not_relied_on, undisturbed),
		cmocka_unit_test_setup(a_device_that_does_not_answer_is_not_relied_on, undisturbed),
		cmocka_unit_test_setup(a_refused_table_is_not_relied_on, undisturbed),
		cmocka_unit_test_setup(one_wrong_entry_is_seen, undisturbed),
		cmocka_unit_test_setup(a_table_that_fails_to_be_read_is_not_relied_on, undisturbed),
		cmocka_unit_test_setup(what_cannot_be_read_is_believed, undisturbed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("scale", tests, start, stop);
}
