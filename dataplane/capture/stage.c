#include "dataplane/capture/stage.h"

#include <endian.h>
#include <string.h>

#define ETHER_BYTES 14u
#define ETHER_ARP 0x0806
#define ARP_BYTES 28u
#define TCP_BYTES_MIN 20u
#define UDP_BYTES 8u
#define ICMP_BYTES 8u

bool capture_stage_open(struct capture_stage *s, void *memory, size_t len)
{
	struct capture_file *f = capture_open(memory, len);

	if (f)
		s->writer = capture_writer_of(f);
	return f != NULL;
}

void capture_stage_look(struct capture_stage *s, uint64_t now_us)
{
	uint64_t wall_us = now_us + atomic_load_explicit(&s->wall_offset_us, memory_order_relaxed);

	if (capture_is_asked(&s->writer) && capture_take(&s->writer, &s->request)) {
		s->on = s->request.snap != CAPTURE_OFF;
		s->bytes = 0;
	}
	if (s->on && (wall_us >= s->request.until_wall_us || s->bytes >= s->request.bytes_max))
		s->on = false;
}

/* --- which frames -------------------------------------------------------------------------------------------------------- */

static bool address_matches(const struct capture_place *w, const struct packet *p, const struct packet_address *a)
{
	unsigned whole = w->prefix / 8, rest = w->prefix % 8;
	uint8_t mask = (uint8_t)(0xff00u >> rest);

	if (w->family == 0)
		return true;
	if (w->family != p->ip_version || memcmp(w->address, a->byte, whole) != 0)
		return false;
	return rest == 0 || ((w->address[whole] ^ a->byte[whole]) & mask) == 0;
}

static bool vlan_matches(uint16_t vlan, const struct packet *p)
{
	for (unsigned i = 0; i < p->vlan_count; i++)
		if ((p->vlan_tci[i] & 0xfff) == vlan)
			return true;
	return vlan == CAPTURE_ANY_VLAN;
}

/* Later fragments hold no ports: they are taken by their addresses. So is ICMP that was asked for. */
static bool port_matches(const struct capture_stage *s, const struct packet *p, uint16_t wanted, uint16_t port)
{
	if (wanted == 0 || wanted == be16toh(port))
		return true;
	return (p->fragment && !p->fragment_first) || s->request.protocol == PACKET_ICMP;
}

static bool place_matches(const struct capture_stage *s, const struct packet *p, const struct capture_place *w, bool source)
{
	return address_matches(w, p, source ? &p->source : &p->destination) && vlan_matches(w->vlan, p) &&
	       port_matches(s, p, w->port, source ? p->source_port : p->destination_port);
}

static bool ends_match(const struct capture_stage *s, const struct packet *p, bool from_client)
{
	const struct capture_request *r = &s->request;

	if (!place_matches(s, p, &r->client, from_client) || !place_matches(s, p, &r->target, !from_client))
		return false;
	for (unsigned i = 0; i < r->targets; i++)
		if (place_matches(s, p, &r->target_of[i], !from_client))
			return true;
	return r->targets == 0;
}

static bool says_ip(const struct capture_request *r)
{
	return r->targets || r->client.family || r->client.port || r->target.family || r->target.port || r->host.family || r->port || r->protocol;
}

static bool protocol_matches(uint8_t wanted, uint8_t protocol)
{
	return wanted == 0 || wanted == protocol || (wanted == PACKET_ICMP && protocol == PACKET_ICMP6);
}

static bool matches(const struct capture_stage *s, const struct packet *p)
{
	const struct capture_request *r = &s->request;

	if (!vlan_matches(r->vlan, p))
		return false;
	if (p->ip_version == 0)
		return !says_ip(r);
	if (!protocol_matches(r->protocol, p->protocol))
		return false;
	if (!address_matches(&r->host, p, &p->source) && !address_matches(&r->host, p, &p->destination))
		return false;
	if (!port_matches(s, p, r->port, p->source_port) && !port_matches(s, p, r->port, p->destination_port))
		return false;
	return ends_match(s, p, true) || ends_match(s, p, false);
}

bool capture_stage_wants(const struct capture_stage *s, struct bytes frame, struct packet *p)
{
	(void)packet_parse(frame, p); /* what cannot be read has ip_version 0 */
	return matches(s, p);
}

/* --- how much of them ---------------------------------------------------------------------------------------------------- */

/* Of what is behind the IP header. */
static size_t transport_bytes(struct bytes at, const struct packet *p)
{
	size_t tcp;

	if (p->fragment && !p->fragment_first)
		return 0;
	switch (p->protocol) {
	case PACKET_TCP:
		tcp = at.len >= TCP_BYTES_MIN ? (at.base[12] >> 4) * 4u : 0;
		return tcp >= TCP_BYTES_MIN ? tcp : 0;
	case PACKET_UDP:
		return UDP_BYTES;
	case PACKET_ICMP:
	case PACKET_ICMP6:
		return ICMP_BYTES;
	default:
		return 0;
	}
}

size_t capture_header_bytes(struct bytes frame, const struct packet *p)
{
	size_t end = ETHER_BYTES;

	if (p->ip_version != 0 && p->l4_offset <= frame.len)
		end = p->l4_offset + transport_bytes(bytes_of(frame.base + p->l4_offset, frame.len - p->l4_offset), p);
	else if (p->ether_type == ETHER_ARP && p->l3_offset)
		end = p->l3_offset + ARP_BYTES;
	else if (p->l3_offset)
		end = p->l3_offset;
	if (p->ip_version != 0 && end > p->frame.len)
		end = p->frame.len; /* padding is no header */
	end = end < frame.len ? end : frame.len;
	return end < CAPTURE_SNAP_BYTES ? end : CAPTURE_SNAP_BYTES;
}

static void count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

void capture_stage_put(struct capture_stage *s, const struct capture_stage_frame *f)
{
	struct capture_record like = { .wall_us = f->now_us + atomic_load_explicit(&s->wall_offset_us, memory_order_relaxed), .mono_us = f->now_us,
				       .flow = f->flow, .original = (uint32_t)(f->original < CAPTURE_FRAME_BYTES_MAX ? f->original : CAPTURE_FRAME_BYTES_MAX),
				       .port = (uint8_t)f->port, .direction = (uint8_t)f->direction };
	size_t whole = f->frame.len < like.original ? f->frame.len : like.original;
	size_t captured = s->request.snap == CAPTURE_FRAMES ? whole : capture_header_bytes(f->frame, f->packet);
	unsigned records = captured > CAPTURE_SNAP_BYTES ? (unsigned)((captured + CAPTURE_SNAP_BYTES - 1) / CAPTURE_SNAP_BYTES) : 1;

	count(&s->writer.file->matched[f->port]);
	if (!capture_room(&s->writer, records)) {
		count(&s->writer.file->overruns[f->port]);
		return;
	}
	for (unsigned i = 0; i < records; i++) {
		struct capture_record *r = capture_slot_of(&s->writer, i);
		size_t at = (size_t)i * CAPTURE_SNAP_BYTES, left = captured - at;

		*r = like;
		r->captured = (uint16_t)(left < CAPTURE_SNAP_BYTES ? left : CAPTURE_SNAP_BYTES);
		r->direction |= i + 1 < records ? CAPTURE_MORE : 0;
		memcpy(r->bytes, f->frame.base + at, r->captured);
	}
	s->bytes += captured;
	capture_done_all(&s->writer, records);
}
