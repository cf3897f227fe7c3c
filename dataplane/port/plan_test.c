/* What is asked of a device, by what it can do: no device is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/flow/steer.h"
#include "dataplane/port/plan.h"
#include "platform/contract/page.h"

#define TCP (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP)
#define RX RTE_ETH_RX_OFFLOAD_TCP_CKSUM
#define LRO RTE_ETH_RX_OFFLOAD_TCP_LRO
#define TX RTE_ETH_TX_OFFLOAD_TCP_CKSUM
#define IP4 RTE_ETH_TX_OFFLOAD_IPV4_CKSUM
#define TSO RTE_ETH_TX_OFFLOAD_TCP_TSO
#define EVERYTHING (~(uint64_t)0)

struct device {
	const char *driver;
	uint16_t rx, tx;
	uint64_t hashes;
	uint8_t key;
	uint16_t table;
	uint64_t receives, sends;
};

static struct rte_eth_dev_info info_of(const struct device *d)
{
	return (struct rte_eth_dev_info){ .driver_name = d->driver, .max_rx_queues = d->rx, .max_tx_queues = d->tx, .flow_type_rss_offloads = d->hashes,
		.hash_key_size = d->key, .reta_size = d->table, .rx_offload_capa = d->receives, .tx_offload_capa = d->sends };
}

static const struct device ice = { "net_ice", 64, 64, EVERYTHING, 52, 512, EVERYTHING, EVERYTHING };
static const struct device guest = { "net_virtio_user", 2, 2, 0, 0, 0, RX | LRO, TX | TSO };
static const struct device veth = { "net_af_packet", 1, 1, 0, 0, 0, 0, 0 };

static const char *words(uint8_t offloads)
{
	static char text[PAGE_TEXT_BYTES];

	page_offloads_text(offloads, text);
	return text;
}

static void each_device_gets_what_it_can_do(void **state)
{
	static const struct {
		struct device device;
		unsigned workers, queues;
		const char *offloads; /* beside a device that can do everything, and is no virtio */
		enum plan_scaling scaling;
	} rows[] = {
		{ { "net_ice", 64, 64, EVERYTHING, 52, 512, EVERYTHING, EVERYTHING }, 2, 2, "rss rx_checksum tx_checksum tso", PLAN_SCALED },
		{ { "net_ixgbe", 64, 64, EVERYTHING, 40, 128, RX, TX | IP4 | TSO }, 4, 4, "rss rx_checksum tx_checksum tso", PLAN_SCALED },
		{ { "net_ice", 64, 64, EVERYTHING, 52, 512, EVERYTHING, EVERYTHING }, 1, 1, "rx_checksum tx_checksum tso", PLAN_ONE_QUEUE }, /* nobody to share with */
		{ { "net_af_packet", 1, 1, 0, 0, 0, 0, 0 }, 2, 1, "none", PLAN_ONE_QUEUE },
		{ { "net_af_packet", 2, 2, 0, 0, 0, 0, 0 }, 2, 2, "none", PLAN_NO_HASH },                                                  /* the kernel spreads */
		{ { "net_one", 8, 1, TCP, 40, 64, 0, 0 }, 4, 1, "none", PLAN_ONE_QUEUE },                                                     /* queues come in pairs */
		{ { "net_v4", 8, 8, RTE_ETH_RSS_NONFRAG_IPV4_TCP, 40, 128, 0, 0 }, 2, 2, "none", PLAN_NO_HASH },
		{ { "net_short", 8, 8, TCP, 16, 128, 0, 0 }, 2, 2, "none", PLAN_KEY_SIZE },                                                  /* no key for IPv6 */
		{ { "net_long", 8, 8, TCP, 200, 128, 0, 0 }, 2, 2, "none", PLAN_KEY_SIZE },                                                  /* longer than ours */
		{ { "net_odd", 8, 8, TCP, 40, 100, 0, 0 }, 2, 2, "none", PLAN_TABLE_SIZE },                                                    /* not our buckets */
		{ { "net_all", 8, 8, TCP, 40, 64, 0, 0 }, 2, 2, "rss", PLAN_SCALED },
		{ { "net_silent", 8, 8, TCP, 0, 128, 0, 0 }, 2, 2, "rss", PLAN_SCALED },                                      /* 40 bytes, and looked at */
		{ { "net_untabled", 8, 8, TCP, 40, 0, 0, 0 }, 2, 2, "none", PLAN_TABLE_SIZE },                                /* as net_tap */
		{ { "net_vast", 8, 8, TCP, 40, 2048, 0, 0 }, 2, 2, "none", PLAN_TABLE_SIZE },
		{ { "net_half", 8, 8, 0, 0, 0, RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | LRO, IP4 | TSO }, 2, 2, "none", PLAN_NO_HASH },              /* nothing without TCP's */
		{ { "net_bare", 8, 8, 0, 0, 0, 0, TX | TSO }, 2, 2, "tx_checksum", PLAN_NO_HASH },                                          /* who fills in IPv4's? */
		{ { "net_joins", 8, 8, 0, 0, 0, RX | LRO, TX | IP4 | TSO }, 2, 2, "rx_checksum tx_checksum tso", PLAN_NO_HASH },            /* and forgets where */
		{ { "net_virtio_user", 2, 2, 0, 0, 0, RX | LRO, TX | TSO }, 2, 2, "rx_checksum tx_checksum tso", PLAN_NO_HASH },
		{ { "net_vhost", 2, 2, 0, 0, 0, RX, TX }, 1, 1, "rx_checksum tx_checksum", PLAN_ONE_QUEUE },
		{ { "net_tap", 16, 16, 0, 0, 0, RX, TX | IP4 | TSO }, 1, 1, "rx_checksum tx_checksum", PLAN_ONE_QUEUE },                      /* cuts wrong */
		{ { "net_nothing", 0, 0, 0, 0, 0, 0, 0 }, 2, 1, "none", PLAN_ONE_QUEUE },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rte_eth_dev_info info[PLAN_PORTS] = { info_of(&rows[i].device), info_of(&ice) };
		struct port_plan p[PLAN_PORTS];

		port_plan(info, rows[i].workers, p);
		if (p[0].queues != rows[i].queues || strcmp(words(port_plan_offloads(&p[0])), rows[i].offloads) != 0)
			fail_msg("row %zu, %s: %u queues, %s", i, rows[i].device.driver, p[0].queues, words(port_plan_offloads(&p[0])));
		assert_int_equal(p[0].scaling, rows[i].scaling);
		assert_true(strlen(port_plan_spreads(&p[0])) > 0);
		assert_int_equal(p[0].rss_functions & ~(uint64_t)TCP, 0);
		assert_int_equal(p[0].rx_offloads & ~rows[i].device.receives, 0);
		assert_int_equal(p[0].tx_offloads & ~rows[i].device.sends, 0);
		assert_int_equal(p[0].partial, p[0].rx_offloads && rows[i].device.driver[4] == 'v' && rows[i].device.driver[5] != '4');
	}
}

/* What one device joins, the other has to cut again, into the same pieces. */
static void segments_are_joined_only_where_both_cut(void **state)
{
	static const struct device cannot_cut = { "net_virtio_user", 2, 2, 0, 0, 0, RX | LRO, TX };
	static const struct {
		const struct device *device[PLAN_PORTS];
		bool joins[PLAN_PORTS];
	} rows[] = {
		{ { &guest, &guest }, { true, true } },
		{ { &guest, &ice }, { false, false } }, /* ice does not take as much in one piece */
		{ { &ice, &ice }, { false, false } },
		{ { &guest, &veth }, { false, false } },
		{ { &guest, &cannot_cut }, { false, false } },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rte_eth_dev_info info[PLAN_PORTS] = { info_of(rows[i].device[0]), info_of(rows[i].device[1]) };
		struct port_plan p[PLAN_PORTS];

		port_plan(info, 1, p);
		for (unsigned port = 0; port < PLAN_PORTS; port++)
			assert_int_equal((p[port].rx_offloads & LRO) != 0, rows[i].joins[port]);
	}
}

/* The queue that a card chooses is the worker's that the frame belongs to, whatever the size of its table. */
static void a_card_and_the_rule_agree(void **state)
{
	for (unsigned workers = 1; workers <= 16; workers++) {
		for (unsigned size = 64; size <= 512; size *= 2) {
			struct port_plan p = { .queues = workers, .table_entries = (uint16_t)size };

			for (uint32_t hash = 0; hash < 100000; hash += 77)
				assert_int_equal(port_plan_queue(&p, hash % size, workers), steer_worker(hash, workers));
		}
	}
}

/* Fewer queues than workers: every entry names a queue that there is. */
static void with_fewer_queues_each_has_a_reader(void **state)
{
	struct port_plan p = { .queues = 3 };

	for (unsigned entry = 0; entry < 512; entry++)
		assert_true(port_plan_queue(&p, entry, 8) < 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_device_gets_what_it_can_do),
		cmocka_unit_test(segments_are_joined_only_where_both_cut),
		cmocka_unit_test(a_card_and_the_rule_agree),
		cmocka_unit_test(with_fewer_queues_each_has_a_reader),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
