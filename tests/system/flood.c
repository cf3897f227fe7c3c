/* flood.c: opening segments from ever new ports and addresses, at a rate. For the system tests.
 *
 *	flood INTERFACE TO_MAC TO_ADDRESS TO_PORT FROM_PREFIX SECONDS PER_SECOND
 *
 * FROM_PREFIX is the first two bytes of the forged senders ("10.200"). Checksums are right, so each is a SYN that a guarded service has
 * to look at. Prints "ready", then, told to end or out of time, how many were sent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BURST 32

static volatile sig_atomic_t ending;

static void end_now(int number)
{
	(void)number;
	ending = 1;
}

static uint32_t sum(const uint8_t *at, size_t len, uint32_t start)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		start += (uint32_t)at[i] << 8 | at[i + 1];
	return start;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void make(uint8_t *f, uint32_t number)
{
	uint32_t pseudo;

	f[28] = (uint8_t)(number >> 16);
	f[29] = (uint8_t)(1 + number % 250);
	put16(f + 34, (uint16_t)(1024 + number % 60000));
	memcpy(f + 38, &number, 4);
	put16(f + 24, 0);
	put16(f + 24, fold(sum(f + 14, 20, 0)));
	put16(f + 50, 0);
	pseudo = sum(f + 26, 8, 6 + 20);
	put16(f + 50, fold(sum(f + 34, 20, pseudo)));
}

int main(int argc, char **argv)
{
	static uint8_t frame[BURST][60];
	struct mmsghdr message[BURST] = { 0 };
	struct iovec part[BURST];
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	unsigned mac[6], high, low;
	unsigned long sent = 0;
	uint32_t number = 0;
	struct timespec pause = { 0 };
	time_t end;
	int fd;

	if (argc != 8 || sscanf(argv[2], "%x:%x:%x:%x:%x:%x", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6 || sscanf(argv[5], "%u.%u", &high, &low) != 2)
		return 2;
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0)
		return 1;
	for (int i = 0; i < BURST; i++) {
		uint8_t *f = frame[i];

		for (int k = 0; k < 6; k++)
			f[k] = (uint8_t)mac[k];
		memcpy(f + 6, "\x02\x00\x00\x00\x00\x77\x08\x00\x45\x00\x00\x28\x00\x00\x40\x00\x40\x06", 18);
		f[26] = (uint8_t)high;
		f[27] = (uint8_t)low;
		inet_pton(AF_INET, argv[3], f + 30);
		put16(f + 36, (uint16_t)atoi(argv[4]));
		f[46] = 0x50;
		f[47] = 2;
		put16(f + 48, 65535);
		part[i] = (struct iovec){ f, 60 };
		message[i].msg_hdr = (struct msghdr){ .msg_iov = &part[i], .msg_iovlen = 1 };
	}
	signal(SIGTERM, end_now);
	puts("ready");
	fflush(stdout);
	end = time(NULL) + atoi(argv[6]);
	pause.tv_nsec = (long)BURST * 1000000000 / atol(argv[7]);
	while (time(NULL) < end && !ending) {
		int done;

		for (int i = 0; i < BURST; i++)
			make(frame[i], number++);
		done = sendmmsg(fd, message, BURST, 0);
		sent += done > 0 ? (unsigned long)done : 0;
		nanosleep(&pause, NULL);
	}
	printf("sent %lu\n", sent);
	return 0;
}
