/* fragment.c: a few slots, searched one after the other: fragments in front of a guarded service are rare, or an attack. */
#include "dataplane/packet/fragment.h"

#include <endian.h>
#include <string.h>

#include "dataplane/packet/checksum.h"

#define IP6_BYTES 40
#define FRAGMENT_HEADER_BYTES 8
#define NEXT_FRAGMENT 44
#define WHOLE_BYTES (PACKET_PIECES_BYTES + 64)

/* Where the parts of one fragment lie in its frame. */
struct layout {
	uint32_t id;
	uint16_t offset;          /* of its payload in the datagram's */
	bool last;
	uint16_t payload, payload_bytes;
	uint16_t next_at;         /* IPv6: the byte that says that a fragment header follows */
	uint8_t next;             /* IPv6: what follows the fragment header */
	uint16_t l3;
	uint16_t head_bytes;      /* frame up to the fragment header or the end of the IPv4 header */
};

struct piece {
	uint16_t at, frame_bytes; /* in the slot's bytes */
	struct layout layout;
};

struct slot {
	bool used, bad;
	uint8_t ip_version, protocol, pieces;
	uint16_t vlan[PACKET_VLAN_MAX];
	uint32_t id;
	struct packet_address source, destination;
	uint64_t since_us;
	uint32_t bytes_used, payload_bytes, total; /* total 0: the last piece has not come */
	struct piece piece[PACKET_PIECES_MAX];
	uint8_t bytes[PACKET_PIECES_BYTES];
};

struct packet_fragments {
	struct slot slot[PACKET_DATAGRAMS_MAX];
	uint8_t whole[WHOLE_BYTES];
};

size_t packet_fragments_bytes(void)
{
	return sizeof(struct packet_fragments);
}

struct packet_fragments *packet_fragments_init(void *memory)
{
	struct packet_fragments *t = memory;

	for (unsigned i = 0; i < PACKET_DATAGRAMS_MAX; i++)
		t->slot[i].used = false;
	return t;
}

static bool layout_ip4(const struct packet *p, struct layout *out)
{
	struct reader r = reader_of(p->frame.base + p->l3_offset, p->frame.len - p->l3_offset);
	size_t header = (reader_u8(&r) & 0x0f) * 4u;
	uint16_t fragment;

	reader_skip(&r, 3);
	out->id = reader_be16(&r);
	fragment = reader_be16(&r);
	out->offset = (uint16_t)((fragment & 0x1fff) * 8u);
	out->last = !(fragment & 0x2000);
	out->head_bytes = (uint16_t)(p->l3_offset + header);
	out->payload = out->head_bytes;
	return r.ok;
}

static bool layout_ip6(const struct packet *p, struct layout *out)
{
	struct reader r = reader_of(p->frame.base + p->l3_offset, p->frame.len - p->l3_offset);
	uint16_t fragment;
	uint8_t next;

	out->next_at = (uint16_t)(p->l3_offset + 6);
	reader_skip(&r, 6);
	next = reader_u8(&r);
	reader_skip(&r, IP6_BYTES - 7);
	for (unsigned i = 0; next != NEXT_FRAGMENT; i++) {
		if (i == PACKET_EXTENSIONS_MAX || !r.ok)
			return false;
		out->next_at = (uint16_t)(r.at - p->frame.base);
		next = reader_u8(&r);
		reader_skip(&r, reader_u8(&r) * 8u + 6);
	}
	out->head_bytes = (uint16_t)(r.at - p->frame.base);
	out->next = reader_u8(&r);
	reader_skip(&r, 1);
	fragment = reader_be16(&r);
	out->offset = fragment & 0xfff8;
	out->last = !(fragment & 1);
	out->id = reader_be32(&r);
	out->payload = (uint16_t)(out->head_bytes + FRAGMENT_HEADER_BYTES);
	return r.ok;
}

static bool layout_of(const struct packet *p, struct layout *out)
{
	*out = (struct layout){ .l3 = p->l3_offset };
	if (!(p->ip_version == 6 ? layout_ip6(p, out) : layout_ip4(p, out)) || out->payload > p->frame.len)
		return false;
	out->payload_bytes = (uint16_t)(p->frame.len - out->payload);
	/* All but the last are a multiple of eight (RFC 791 3.2, RFC 8200 4.5), and nothing reaches beyond 64 KiB. */
	return out->payload_bytes > 0 && (out->last || out->payload_bytes % 8 == 0) && out->offset + out->payload_bytes <= UINT16_MAX;
}

static bool same_datagram(const struct slot *s, const struct packet *p, uint32_t id)
{
	return s->used && s->id == id && s->ip_version == p->ip_version && (p->ip_version == 6 || s->protocol == p->protocol) &&
	       memcmp(&s->source, &p->source, sizeof(s->source)) == 0 && memcmp(&s->destination, &p->destination, sizeof(s->destination)) == 0 &&
	       s->vlan[0] == p->vlan_tci[0] && s->vlan[1] == p->vlan_tci[1];
}

static struct slot *slot_of(struct packet_fragments *t, const struct packet *p, uint32_t id, uint64_t now_us)
{
	struct slot *room = NULL;

	for (unsigned i = 0; i < PACKET_DATAGRAMS_MAX; i++) {
		struct slot *s = &t->slot[i];

		if (s->used && now_us - s->since_us > PACKET_FRAGMENT_WAIT_US)
			s->used = false;
		if (same_datagram(s, p, id))
			return s;
		if (!s->used && !room)
			room = s;
	}
	if (!room)
		return NULL;
	room->used = true;
	room->bad = false;
	room->ip_version = p->ip_version;
	room->protocol = p->protocol;
	room->pieces = 0;
	memcpy(room->vlan, p->vlan_tci, sizeof(room->vlan));
	room->id = id;
	room->source = p->source;
	room->destination = p->destination;
	room->since_us = now_us;
	room->bytes_used = room->payload_bytes = room->total = 0;
	return room;
}

enum overlap { APART, COPY, OVERLAP };

static enum overlap overlap(const struct slot *s, const struct packet *p, const struct layout *l)
{
	for (unsigned i = 0; i < s->pieces; i++) {
		const struct layout *have = &s->piece[i].layout;

		if (l->offset >= have->offset + have->payload_bytes || have->offset >= l->offset + l->payload_bytes)
			continue;
		if (l->offset != have->offset || l->payload_bytes != have->payload_bytes || l->last != have->last ||
		    memcmp(s->bytes + s->piece[i].at + have->payload, p->frame.base + l->payload, l->payload_bytes) != 0)
			return OVERLAP;
		return COPY;
	}
	return APART;
}

/* The end of the datagram is said once, and nothing lies behind it. */
static bool end_fits(struct slot *s, const struct layout *l)
{
	uint32_t end = (uint32_t)l->offset + l->payload_bytes;

	if (l->last) {
		for (unsigned i = 0; i < s->pieces; i++)
			if (s->piece[i].layout.offset + s->piece[i].layout.payload_bytes > end)
				return false;
		if (s->total != 0 && s->total != end)
			return false;
		s->total = end;
	}
	return s->total == 0 || end <= s->total;
}

static void finish_header(struct packet_fragments *t, uint8_t ip_version, const struct layout *first, size_t payload_bytes)
{
	uint8_t *ip = t->whole + first->l3;
	uint16_t word, header = (uint16_t)(first->head_bytes - first->l3);

	if (ip_version == 6) {
		word = htobe16((uint16_t)(header - IP6_BYTES + payload_bytes));
		memcpy(ip + 4, &word, 2);
		t->whole[first->next_at] = first->next;
		return;
	}
	word = htobe16((uint16_t)(header + payload_bytes));
	memcpy(ip + 2, &word, 2);
	memset(ip + 6, 0, 2);
	memset(ip + 10, 0, 2);
	word = (uint16_t)~packet_sum_fold(packet_sum(0, ip, header));
	memcpy(ip + 10, &word, 2);
}

static void assemble(struct packet_fragments *t, struct slot *s, struct packet_whole *out)
{
	const struct piece *first = NULL;

	for (unsigned i = 0; i < s->pieces; i++)
		if (s->piece[i].layout.offset == 0)
			first = &s->piece[i];
	/* RFC 8200 4.5: the headers of the first one count. */
	memcpy(t->whole, s->bytes + first->at, first->layout.head_bytes);
	out->pieces = s->pieces;
	for (unsigned i = 0; i < s->pieces; i++) {
		const struct piece *piece = &s->piece[i];

		memcpy(t->whole + first->layout.head_bytes + piece->layout.offset, s->bytes + piece->at + piece->layout.payload,
		       piece->layout.payload_bytes);
		out->piece[i] = bytes_of(s->bytes + piece->at, piece->frame_bytes);
	}
	finish_header(t, s->ip_version, &first->layout, s->total);
	out->frame = bytes_of(t->whole, first->layout.head_bytes + s->total);
	s->used = false;
}

enum packet_fragment_status packet_fragments_add(struct packet_fragments *t, const struct packet *p, uint64_t now_us,
						 struct packet_whole *out)
{
	struct layout l;
	bool good = layout_of(p, &l);
	struct slot *s = slot_of(t, p, l.id, now_us);
	enum overlap how;

	if (!s)
		return PACKET_FRAGMENT_FULL;
	if (s->bad || !good) {
		s->bad = true;
		return PACKET_FRAGMENT_BAD;
	}
	how = overlap(s, p, &l);
	if (how == COPY)
		return PACKET_FRAGMENT_HELD;
	if (how == OVERLAP || !end_fits(s, &l)) {
		s->bad = true;
		return PACKET_FRAGMENT_BAD;
	}
	if (s->pieces == PACKET_PIECES_MAX || s->bytes_used + p->frame.len > sizeof(s->bytes)) {
		s->bad = true;
		return PACKET_FRAGMENT_FULL;
	}
	memcpy(s->bytes + s->bytes_used, p->frame.base, p->frame.len);
	s->piece[s->pieces++] = (struct piece){ .at = (uint16_t)s->bytes_used, .frame_bytes = (uint16_t)p->frame.len, .layout = l };
	s->bytes_used += (uint32_t)p->frame.len;
	s->payload_bytes += l.payload_bytes;
	if (s->total == 0 || s->payload_bytes != s->total)
		return PACKET_FRAGMENT_HELD;
	assemble(t, s, out);
	return PACKET_FRAGMENT_WHOLE;
}

unsigned packet_fragments_waiting(const struct packet_fragments *t, uint64_t now_us)
{
	unsigned count = 0;

	for (unsigned i = 0; i < PACKET_DATAGRAMS_MAX; i++)
		count += t->slot[i].used && now_us - t->slot[i].since_us <= PACKET_FRAGMENT_WAIT_US;
	return count;
}
