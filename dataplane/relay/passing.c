#include "dataplane/relay/passing.h"

#include <endian.h>

#include "dataplane/packet/inner.h"

#define GO_ON ((struct passing){ .what = PASSING_GO_ON })
#define BRIDGE ((struct passing){ .what = PASSING_BRIDGE })
#define DROP(reason) ((struct passing){ .what = PASSING_DROP, .why = (reason) })
#define STRANGER(number) ((struct passing){ .what = PASSING_STRANGER, .service = (number) })

bool passing_guarded(const struct passing_rules *r, uint8_t ip_version, const struct packet_address *a)
{
	return guard_maybe(r->guard, a) && policy_target_guarded(r->image, ip_version, a->byte);
}

static bool either_guarded(const struct passing_rules *r, const struct packet *p)
{
	return passing_guarded(r, p->ip_version, &p->destination) || passing_guarded(r, p->ip_version, &p->source);
}

/* A source route or routing header leads to, or over, a guarded target, or might. */
static bool routed_to_guarded(const struct passing_rules *r, const struct packet *p)
{
	size_t size = p->ip_version == 6 ? 16 : 4;

	for (size_t at = 0; at + size <= p->route_bytes; at += size) {
		struct packet_address a = { { 0 } };

		memcpy(a.byte, p->frame.base + p->route_offset + at, size);
		if (passing_guarded(r, p->ip_version, &a))
			return true;
	}
	return p->route_unclear || either_guarded(r, p);
}

/* A tunnel inside a tunnel is followed; what cannot be read might lead anywhere, and is for the configuration to say. */
static struct passing tunnel(const struct passing_rules *r, const struct packet *p)
{
	struct packet outer = *p, inner;

	for (unsigned depth = 0;; depth++) {
		enum packet_inner kind = packet_inner_of(&outer, &inner);

		if (kind == PACKET_INNER_NONE)
			return depth == 0 ? GO_ON : r->tunnels_pass ? BRIDGE : DROP(ERROR_tunnel_guarded);
		if (depth == PACKET_TUNNELS_MAX || !r->tunnels_pass || either_guarded(r, &outer))
			return DROP(ERROR_tunnel_guarded);
		/* A later fragment that could write over the inner header is not passed either (RFC 1858 3). */
		if (kind == PACKET_INNER_UNKNOWN && !(outer.fragment && !outer.fragment_first && packet_fragment_is_far(&outer)))
			return DROP(ERROR_tunnel_guarded);
		if (kind != PACKET_INNER_IP)
			return BRIDGE;
		if (either_guarded(r, &inner) || (inner.routed && routed_to_guarded(r, &inner)))
			return DROP(ERROR_tunnel_guarded);
		outer = inner;
	}
}

struct passing passing_look(const struct passing_rules *r, const struct packet *p)
{
	if (p->routed && routed_to_guarded(r, p))
		return DROP(ERROR_fragment_guarded);
	if (p->protocol == PACKET_ICMP || p->protocol == PACKET_ICMP6)
		return GO_ON;
	if (p->vlan_count > 1 && r->double_tags_drop && either_guarded(r, p))
		return DROP(ERROR_fragment_guarded);
	return p->protocol != PACKET_TCP && p->protocol != PACKET_UDP ? tunnel(r, p) : GO_ON;
}

static int service_at(const struct policy_image *image, const struct packet *p, bool source)
{
	const struct packet_address *a = source ? &p->source : &p->destination;
	uint16_t port = be16toh(source ? p->source_port : p->destination_port);
	uint16_t vlan = p->vlan_count ? p->vlan_tci[p->vlan_count - 1] & 0xfff : 0;

	return policy_service_find(image, p->ip_version, a->byte, port, p->protocol == PACKET_UDP ? POLICY_UDP : POLICY_TCP, vlan);
}

static bool inspected(const struct policy_image *image, int service)
{
	return service >= 0 && policy_service(image, (unsigned)service).protocol != POLICY_PROTOCOL_PASS;
}

struct passing passing_of(const struct passing_rules *r, const struct packet *p)
{
	bool to = passing_guarded(r, p->ip_version, &p->destination), from = passing_guarded(r, p->ip_version, &p->source);
	int service;

	if (!to && !from)
		return BRIDGE;
	if (p->vlan_deep)
		return DROP(ERROR_vlan_deep);
	if (p->protocol == PACKET_ICMP || p->protocol == PACKET_ICMP6)
		return p->fragment ? DROP(ERROR_fragment_guarded) : BRIDGE;
	/* What comes from a guarded target may be an answer that nobody read, unless it is surely neither TCP nor hides it. */
	if (p->fragment || (p->extensions && p->protocol != PACKET_TCP))
		return to || p->protocol != PACKET_UDP ? DROP(ERROR_fragment_guarded) : BRIDGE;
	if (p->protocol != PACKET_TCP && p->protocol != PACKET_UDP)
		return to ? DROP(ERROR_tunnel_guarded) : BRIDGE;
	service = to ? service_at(r->image, p, false) : -1;
	if (p->protocol == PACKET_TCP && inspected(r->image, service))
		return STRANGER(service);
	if (p->protocol == PACKET_TCP && from && inspected(r->image, service_at(r->image, p, true)))
		return STRANGER(-1);
	if (service >= 0 || !to || r->unnamed_pass)
		return BRIDGE;
	/* What a guarded target's own connections get back has no SYN alone; only new connections to it are refused. */
	if (p->protocol == PACKET_TCP && p->frame.len > p->l4_offset + 13u && (p->frame.base[p->l4_offset + 13] & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return BRIDGE;
	return DROP(ERROR_unnamed_port_guarded);
}

/* A host behind us may read more generously what could not be read here. Nobody is guarded by an address that was cut off. */
struct passing passing_malformed(const struct passing_rules *r, const struct packet *p, enum error bad)
{
	bool guarded = !r->image || guard_maybe(r->guard, &p->destination) || guard_maybe(r->guard, &p->source);

	return bad == ERROR_vlan_deep || (bad == ERROR_bad_ip_header && guarded) ? DROP(bad) : BRIDGE;
}

struct passing passing_alone(const struct passing_rules *r, struct bytes frame)
{
	struct packet p;
	enum error bad = packet_parse(frame, &p);
	struct passing answer;

	if (bad != ERROR_none)
		return passing_malformed(r, &p, bad);
	if (p.ip_version == 0)
		return BRIDGE;
	if (!r->image)
		return DROP(ERROR_unnamed_port_guarded);
	answer = passing_look(r, &p);
	return answer.what == PASSING_GO_ON ? passing_of(r, &p) : answer;
}
