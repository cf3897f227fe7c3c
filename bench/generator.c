/* A generator of load between whose two ports anything stands that carries frames: clients on the first, servers on the second, made of our
 * own TCP, so that no kernel takes part.
 *
 *	generator DEVICE DEVICE [EAL WORD …]       DPDK's names, as in sluice.conf: "net_memif0,role=server,id=0,socket=/run/x.sock,socket-abstract=no"
 *
 * Prints "ready" when the devices are there, and then for each line of its input one JSON object (loads.h):
 *
 *	frames SECONDS BYTES          64-byte frames and others that are bridged
 *	bulk SECONDS FLOWS            streams
 *	echo SECONDS                  a request and its reply at a time
 *	connections SECONDS IN_FLIGHT
 *	arrivals RATE:SECONDS …       connections, begun at that many a second
 *	rest SECONDS                  nothing but answers to what still comes
 *
 * Between two lines it does not look at its ports, so that what stands between may go then. A load whose bytes are not all as they were sent
 * ends the program with status 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/loads.h"

#define SLOTS (1u << 18)
#define POOL_BYTES (256u << 20)
#define MTU_BYTES 1500
#define LINK_WAIT_MS 20000u
#define WORDS_MAX (LOAD_PHASES_MAX + 1)

static bool links_are_up(const struct ports *ports)
{
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		struct page_port port = { 0 };

		port_describe(ports, i, &port);
		if (!port.link_up)
			return false;
	}
	return true;
}

static double number(char *const *word, unsigned words, unsigned at)
{
	return at < words ? strtod(word[at], NULL) : 0;
}

static bool run_arrivals(struct crowd *c, char *const *word, unsigned words)
{
	struct load_phase phase[LOAD_PHASES_MAX];
	unsigned phases = words - 1;

	for (unsigned i = 0; i < phases; i++) {
		char *rest;

		phase[i].rate = strtod(word[1 + i], &rest);
		phase[i].seconds = *rest == ':' ? strtod(rest + 1, NULL) : 0;
		if (phase[i].rate <= 0 || phase[i].seconds <= 0)
			return false;
	}
	return phases > 0 && load_arrivals(c, phase, phases, stdout);
}

static bool run(struct crowd *c, char *const *word, unsigned words)
{
	double seconds = number(word, words, 1), second = number(word, words, 2);

	if (strcmp(word[0], "arrivals") == 0)
		return run_arrivals(c, word, words);
	if (seconds <= 0)
		return false;
	if (strcmp(word[0], "frames") == 0)
		return load_frames(c, seconds, (size_t)second, stdout);
	if (strcmp(word[0], "bulk") == 0)
		return load_bulk(c, seconds, (unsigned)second, stdout);
	if (strcmp(word[0], "echo") == 0)
		return load_echo(c, seconds, stdout);
	if (strcmp(word[0], "connections") == 0)
		return load_connections(c, seconds, (unsigned)second, stdout);
	if (strcmp(word[0], "rest") == 0)
		return load_rest(c, seconds, stdout);
	return false;
}

static unsigned split(char *line, char *word[WORDS_MAX])
{
	unsigned words = 0;
	char *rest = NULL;

	for (char *w = strtok_r(line, " \n", &rest); w && words < WORDS_MAX; w = strtok_r(NULL, " \n", &rest))
		word[words++] = w;
	return words;
}

int main(int argc, char **argv)
{
	const char *const *device = (const char *const *)(argv + 1), *const *words = (const char *const *)(argv + 3);
	char err[512] = "", line[512];
	struct ports *ports;
	struct crowd *c;

	if (argc < 3) {
		fprintf(stderr, "usage: generator DEVICE DEVICE [EAL WORD ...]\n");
		return 2;
	}
	ports = port_start_environment("generator", "0", device, words, err, sizeof err) ? port_start(device, MTU_BYTES, 1, err, sizeof err) : NULL;
	c = ports ? crowd_create(ports, SLOTS, POOL_BYTES) : NULL;
	if (!c) {
		fprintf(stderr, "generator: %s\n", err[0] ? err : "no memory");
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		char *word[WORDS_MAX];
		unsigned count = split(line, word);

		for (unsigned i = 0; i < LINK_WAIT_MS && !links_are_up(ports); i++)
			usleep(1000);
		if (count == 0 || !links_are_up(ports) || !run(c, word, count)) {
			fprintf(stderr, "generator: %s: not done, or something arrived that was not sent\n", count ? word[0] : "empty line");
			fflush(stdout);
			_exit(1); /* DPDK's own end waits for the far end */
		}
	}
	_exit(0);
}
