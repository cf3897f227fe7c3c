/* The generator alone, in one process, over net_ring: what a port sends comes back to it. Its loads carry every byte, leave nothing behind, and
 * notice what was changed on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bench/loads.h"

#define SLOTS 512
#define POOL_BYTES (16u << 20)
#define SECONDS 0.05

enum damage { DAMAGE_NONE, DAMAGE_FLIP, DAMAGE_SWAP };

static struct crowd *crowd;
static enum damage damage;
static size_t damaged_bytes_min; /* of a frame */
static char *said; /* what the last load printed */
static size_t said_bytes;

struct bytes __real_port_bytes(const struct port_frame *frame);
struct bytes __wrap_port_bytes(const struct port_frame *frame);

/* The generator reads its frames through this one. A swap of two words leaves the checksum right. */
struct bytes __wrap_port_bytes(const struct port_frame *frame)
{
	struct bytes b = __real_port_bytes(frame);
	uint8_t *end = (uint8_t *)(uintptr_t)b.base + b.len, word[2];

	if (damage == DAMAGE_NONE || b.len < damaged_bytes_min)
		return b;
	if (damage == DAMAGE_FLIP) {
		end[-1] ^= 1;
		damage = DAMAGE_NONE;
		return b;
	}
	memcpy(word, end - 2, 2);
	memcpy(end - 2, end - 4, 2);
	memcpy(end - 4, word, 2);
	damage = DAMAGE_NONE; /* the frame is looked at more than once */
	return b;
}

static int start(void **state)
{
	static const char *const devices[PORT_COUNT] = { "net_ring0", "net_ring1" };
	static const char *const args[] = { "--no-huge", "-m", "128", "--no-shconf", NULL };
	struct ports *ports = NULL;
	char err[512] = "";

	if (port_start_environment("generator_test", "0", devices, args, err, sizeof err))
		ports = port_start(devices, 1500, 1, err, sizeof err);
	if (!ports) {
		fprintf(stderr, "# %s\n", err);
		return -1;
	}
	crowd = crowd_create(ports, SLOTS, POOL_BYTES);
	if (crowd) {
		crowd->rest_us = 20000;
		crowd->config.time_wait_us = 2000; /* there are few slots */
	}
	return crowd ? 0 : -1;
}

static int stop(void **state)
{
	struct ports *ports = crowd->ports;

	crowd_destroy(crowd);
	port_stop(ports);
	free(said);
	return 0;
}

static FILE *listen_to(void)
{
	free(said);
	said = NULL;
	return open_memstream(&said, &said_bytes);
}

/* The number behind `name`, of the last load. */
static double value(const char *name)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof key, "\"%s\": ", name);
	at = strstr(said, key);
	if (!at)
		fail_msg("no %s in %s", name, said);
	return strtod(at + strlen(key), NULL);
}

static void nothing_is_left(void)
{
	assert_true(value("left") == 0);
	assert_int_equal(crowd->clients + crowd->servers, 0);
	assert_int_equal(crowd->free_count, crowd->known_slots);
	assert_int_equal(tcp_pool_used(&crowd->pool), 0);
}

static void run(bool good, FILE *out, bool done)
{
	fclose(out);
	if (good != done)
		fail_msg("%s", said);
}

static void streams_arrive_whole(void **state)
{
	FILE *out = listen_to();

	run(true, out, load_bulk(crowd, SECONDS, 3, out));
	assert_true(value("bytes") > 0 && value("flows") == 3 && value("wrong") == 0);
	nothing_is_left();
}

static void replies_are_compared(void **state)
{
	FILE *out = listen_to();

	run(true, out, load_echo(crowd, SECONDS, out));
	assert_true(value("round_trips") > 0 && value("p50_us") > 0 && value("p999_us") <= value("max_us"));
	nothing_is_left();
}

static void connections_are_completed(void **state)
{
	FILE *out = listen_to();

	run(true, out, load_connections(crowd, SECONDS, 16, out));
	assert_true(value("completed") > 0 && value("reset") + value("timed_out") + value("given_up") + value("no_slot") == 0);
	nothing_is_left();
}

/* Never more than the rate, in any phase. */
static void arrivals_keep_their_rate(void **state)
{
	static const struct load_phase phase[] = { { 100, 0.2 }, { 300, 0.2 } };
	FILE *out = listen_to();

	run(true, out, load_arrivals(crowd, phase, 2, out));
	assert_true(value("begun") <= 20 && value("completed") <= value("begun"));
	assert_non_null(strstr(said, "\"rate\": 300"));
	nothing_is_left();
}

static void bridged_frames_are_counted(void **state)
{
	FILE *out = listen_to();

	run(true, out, load_frames(crowd, SECONDS, 64, out));
	assert_true(value("frames") > 0 && value("frame_bytes") == 64 && value("wrong") == 0);
}

static void a_changed_byte_is_noticed(void **state)
{
	FILE *out = listen_to();

	damaged_bytes_min = 66 + 64;
	damage = DAMAGE_SWAP;
	run(false, out, load_echo(crowd, SECONDS, out));
	assert_true(value("wrong") > 0 && value("bad_frames") == 0);
	out = listen_to();
	damaged_bytes_min = 1000; /* of the stream, not of what goes before it */
	damage = DAMAGE_SWAP;
	run(false, out, load_bulk(crowd, SECONDS, 1, out));
	assert_true(value("wrong") > 0 && value("bytes") > 0);
	out = listen_to();
	damaged_bytes_min = 66 + 64;
	damage = DAMAGE_FLIP;
	run(false, out, load_echo(crowd, SECONDS, out));
	assert_true(value("bad_frames") > 0);
	nothing_is_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_arrive_whole), cmocka_unit_test(replies_are_compared), cmocka_unit_test(connections_are_completed),
		cmocka_unit_test(arrivals_keep_their_rate), cmocka_unit_test(bridged_frames_are_counted), cmocka_unit_test(a_changed_byte_is_noticed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("generator", tests, start, stop);
}
