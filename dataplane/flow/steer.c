#include "dataplane/flow/steer.h"

#include "dataplane/packet/inner.h"

void steer_key(uint8_t *key, size_t len)
{
	for (size_t i = 0; i < len; i++)
		key[i] = (uint8_t)(i % 2 == 0 ? STEER_KEY_WORD >> 8 : STEER_KEY_WORD);
}

uint32_t steer_toeplitz(const uint8_t *key, struct bytes in)
{
	uint32_t hash = 0, window = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3];

	for (size_t i = 0; i < in.len; i++) {
		for (int bit = 7; bit >= 0; bit--) {
			if (in.base[i] >> bit & 1)
				hash ^= window;
			window = window << 1 | (key[i + 4] >> bit & 1);
		}
	}
	return hash;
}

/* The xor of the 16-bit words at `base`, in network order. */
static uint32_t words(const uint8_t *base, size_t len)
{
	uint32_t x = 0;

	for (size_t i = 0; i < len; i += 2)
		x ^= (uint32_t)base[i] << 8 | base[i + 1];
	return x;
}

/* The key's windows repeat every 16 bits, and the hash is linear: one word of 16 bits stands for the whole input. */
uint32_t steer_hash(const struct packet *p)
{
	size_t len = p->ip_version == 6 ? 16 : 4;
	uint32_t x = words(p->source.byte, len) ^ words(p->destination.byte, len), hash = 0, window = STEER_KEY_WORD;

	if (!p->fragment) {
		x ^= words((const uint8_t *)&p->source_port, sizeof p->source_port);
		x ^= words((const uint8_t *)&p->destination_port, sizeof p->destination_port);
	}
	for (unsigned bit = 0; bit < 16; bit++) {
		hash ^= window & (0u - (x >> (15 - bit) & 1));
		window = (window << 1 | window >> 15) & 0xffff;
	}
	return hash << 16 | hash;
}

bool steer_owner(const struct packet *p, unsigned workers, unsigned *owner)
{
	struct packet_too_big big;

	switch (p->protocol) {
	case PACKET_TCP:
		break;
	case PACKET_UDP:
		if (!p->fragment)
			return false;
		break;
	case PACKET_ICMP:
	case PACKET_ICMP6:
		if (!packet_too_big(p, &big))
			return false;
		*owner = steer_worker(steer_hash(&big.quoted), workers);
		return true;
	default:
		return false;
	}
	*owner = steer_worker(steer_hash(p), workers);
	return true;
}
