/* special.c: what is no plain TCP or UDP packet: ICMP errors about a flow, tunnels, fragments, extension headers. None of it
 * may carry anything past the inspectors; what concerns nobody who is guarded passes as it is. */
#include "dataplane/relay/conductor.h"

#include "dataplane/packet/inner.h"

static bool guarded(const struct relay *r, uint8_t ip_version, const struct packet_address *a)
{
	return guard_maybe(&r->guard, a) && policy_target_guarded(r->snapshot->inspect.image, ip_version, a->byte);
}

static bool either_guarded(const struct relay *r, const struct packet *p)
{
	return guarded(r, p->ip_version, &p->destination) || guarded(r, p->ip_version, &p->source);
}

/* A source route or routing header leads to, or over, a guarded target. */
static bool routed_to_guarded(const struct relay *r, const struct packet *p)
{
	size_t size = p->ip_version == 6 ? 16 : 4;

	for (size_t at = 0; at + size <= p->route_bytes; at += size) {
		struct packet_address a = { { 0 } };

		memcpy(a.byte, p->frame.base + p->route_offset + at, size);
		if (guarded(r, p->ip_version, &a))
			return true;
	}
	return either_guarded(r, p);
}

/* A tunnel inside a tunnel is followed; what cannot be read might lead anywhere, and is for the configuration to say. */
static enum relay_special tunnel(struct relay *r, const struct packet *p, enum error *why)
{
	struct packet outer = *p, inner;

	*why = ERROR_tunnel_guarded;
	for (unsigned depth = 0;; depth++) {
		enum packet_inner kind = packet_inner_of(&outer, &inner);

		if (kind == PACKET_INNER_NONE)
			return depth == 0 ? RELAY_SPECIAL_NOT : r->config.tunnels == RELAY_TUNNELS_PASS ? RELAY_SPECIAL_PASS : RELAY_SPECIAL_DROP;
		if (depth == PACKET_TUNNELS_MAX || r->config.tunnels == RELAY_TUNNELS_DROP || either_guarded(r, &outer))
			return RELAY_SPECIAL_DROP;
		/* A later fragment that could write over the inner header is not passed either (RFC 1858 3). */
		if (kind == PACKET_INNER_UNKNOWN && !(outer.fragment && !outer.fragment_first && packet_fragment_is_far(&outer)))
			return RELAY_SPECIAL_DROP;
		if (kind != PACKET_INNER_IP)
			return RELAY_SPECIAL_PASS;
		if (either_guarded(r, &inner) || (inner.routed && routed_to_guarded(r, &inner)))
			return RELAY_SPECIAL_DROP;
		outer = inner;
	}
}

/* The flow hears of it, and the end for whom it is meant as well. */
static void too_big(struct relay *r, unsigned port, const struct packet *p)
{
	struct packet_too_big big;
	uint32_t number;
	struct flow_key key;
	struct flow *f;

	if (!packet_too_big(p, &big))
		return;
	key = flow_key_of(&big.quoted);
	number = flow_table_find(r->table, &key);
	if (number == FLOW_NONE)
		return;
	f = &r->flows[number];
	if (tcp_pair_path_mtu(&f->pair, port == f->client_port ? TCP_CLIENT : TCP_SERVER, big.seq,
			      packet_mss(p->ip_version, big.mtu_bytes), r->now_us))
		relay_ready(r, f);
}

static void send_pieces(struct relay *r, unsigned port, const struct packet_whole *whole)
{
	for (unsigned i = 0; i < whole->pieces; i++) {
		size_t cap = 0;
		uint8_t *room = r->wire.room(r->wire.context, port, &cap);
		bool fits = room && whole->piece[i].len <= cap;

		if (!room)
			continue;
		if (fits)
			memcpy(room, whole->piece[i].base, whole->piece[i].len);
		r->wire.send(r->wire.context, port, fits ? whole->piece[i].len : 0);
	}
}

enum relay_route special_fragment(struct relay *r, unsigned port, const struct packet *p)
{
	struct packet_whole whole;
	struct packet together;
	enum relay_route route;

	switch (packet_fragments_add(r->fragments, p, r->now_us, &whole)) {
	case PACKET_FRAGMENT_HELD:
		return RELAY_TAKEN;
	case PACKET_FRAGMENT_WHOLE:
		break;
	default:
		return relay_drop(r, ERROR_fragment_guarded);
	}
	if (packet_parse(whole.frame, &together) != ERROR_none || together.fragment)
		return relay_drop(r, ERROR_fragment_guarded);
	route = relay_classify(r, port, &together, PACKET_CHECKSUM_UNKNOWN);
	if (route != RELAY_BRIDGE)
		return route;
	send_pieces(r, 1 - port, &whole);
	return RELAY_TAKEN;
}

enum relay_special special_look(struct relay *r, unsigned port, const struct packet *p, enum error *why)
{
	*why = ERROR_fragment_guarded;
	if (p->routed && routed_to_guarded(r, p))
		return RELAY_SPECIAL_DROP;
	if (p->protocol == PACKET_ICMP || p->protocol == PACKET_ICMP6) {
		too_big(r, port, p);
		return RELAY_SPECIAL_NOT;
	}
	if (p->vlan_count > 1 && r->config.double_tags == RELAY_DOUBLE_TAGS_DROP && either_guarded(r, p))
		return RELAY_SPECIAL_DROP;
	if (p->protocol != PACKET_TCP && p->protocol != PACKET_UDP)
		return tunnel(r, p, why);
	if (!p->fragment || p->vlan_deep)
		return RELAY_SPECIAL_NOT;
	/* A guarded target's own datagrams are nobody's to read. */
	if (p->protocol == PACKET_UDP)
		return guarded(r, p->ip_version, &p->destination) ? RELAY_SPECIAL_FRAGMENT : RELAY_SPECIAL_NOT;
	return either_guarded(r, p) ? RELAY_SPECIAL_FRAGMENT : RELAY_SPECIAL_NOT;
}
