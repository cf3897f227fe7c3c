/* special.c: what is no plain TCP or UDP packet: ICMP errors about a flow, tunnels, fragments, extension headers. None of it
 * may carry anything past the inspectors; what concerns nobody who is guarded passes as it is. */
#include "dataplane/relay/conductor.h"

#include "dataplane/packet/inner.h"

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
	if (f->splice.on && !f->splice.side[port == f->client_port ? SIDE_CLIENT : SIDE_SERVER].draining)
		return; /* the end that sent it hears of it */
	if (!f->active)
		return; /* nothing is in flight: it is about nothing of ours */
	if (tcp_pair_path_mtu(&f->active->pair, port == f->client_port ? TCP_CLIENT : TCP_SERVER, big.seq,
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

/* The flow is another worker's, who puts the pieces together once more. One that finds no room is as good as lost on the wire. */
static enum relay_route hand_pieces(struct relay *r, unsigned port, const struct packet_whole *whole)
{
	for (unsigned i = 0; i < whole->pieces; i++) {
		if (!r->wire.hand(r->wire.context, r->elsewhere, port, whole->piece[i]))
			return relay_drop(r, ERROR_handover_full);
		r->counters.handed_on++;
	}
	return RELAY_TAKEN;
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
	if (relay_is_elsewhere(r, &together))
		return hand_pieces(r, port, &whole);
	r->together = true;
	route = relay_classify(r, port, &together, PACKET_CHECKSUM_UNKNOWN);
	r->together = false;
	if (route != RELAY_BRIDGE)
		return route;
	send_pieces(r, 1 - port, &whole);
	return RELAY_TAKEN;
}

enum relay_special special_look(struct relay *r, unsigned port, const struct packet *p, enum error *why)
{
	struct passing_rules rules = relay_passing(r);
	struct passing answer = passing_look(&rules, p);
	bool to;

	*why = answer.why;
	if (answer.what != PASSING_GO_ON)
		return answer.what == PASSING_BRIDGE ? RELAY_SPECIAL_PASS : RELAY_SPECIAL_DROP;
	if (p->protocol == PACKET_ICMP || p->protocol == PACKET_ICMP6) {
		too_big(r, port, p);
		return RELAY_SPECIAL_NOT;
	}
	if ((p->protocol != PACKET_TCP && p->protocol != PACKET_UDP) || !p->fragment || p->vlan_deep)
		return RELAY_SPECIAL_NOT;
	/* A guarded target's own datagrams are nobody's to read. */
	to = passing_guarded(&rules, p->ip_version, &p->destination);
	return to || (p->protocol == PACKET_TCP && passing_guarded(&rules, p->ip_version, &p->source)) ? RELAY_SPECIAL_FRAGMENT : RELAY_SPECIAL_NOT;
}
