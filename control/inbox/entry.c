#include "control/inbox/entry.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

#include "control/inbox/who.h"

const char *entry_address(const uint8_t *address, unsigned len, char out[ENTRY_ADDRESS_BYTES])
{
	if (!inet_ntop(len == 16 ? AF_INET6 : AF_INET, address, out, ENTRY_ADDRESS_BYTES))
		out[0] = 0;
	return out;
}

const char *entry_time(uint64_t wall_us, char out[ENTRY_TIME_BYTES])
{
	/* Most records of a turn are of the same second. One thread writes records. */
	static time_t known = -1;
	static char text[20];
	time_t seconds = (time_t)(wall_us / 1000000);

	if (seconds != known) {
		struct tm parts;

		gmtime_r(&seconds, &parts);
		if (!strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts))
			memcpy(text, "9999-12-31T23:59:59", sizeof(text));
		known = seconds;
	}
	memcpy(out, text, 19);
	out[19] = '.';
	for (unsigned i = 25, left = (unsigned)(wall_us % 1000000); i > 19; i--, left /= 10)
		out[i] = (char)('0' + left % 10);
	out[26] = 'Z';
	out[27] = 0;
	return out;
}

static void put_part(struct jcs *j, const char *key, const struct entry_part *part)
{
	if (!part->write)
		return;
	jcs_key(j, key);
	jcs_open(j);
	part->write(j, part->from);
	jcs_close(j);
}

static void put_destination(struct jcs *j, const struct session *s)
{
	char address[ENTRY_ADDRESS_BYTES];

	jcs_key(j, "dst");
	jcs_open(j);
	jcs_put_str(j, "addr", entry_address(s->target, s->address_len, address));
	jcs_put_int(j, "port", s->target_port);
	jcs_put_int(j, "vlan", s->vlan);
	jcs_close(j);
}

static void put_source(struct jcs *j, const struct session *s, struct bytes tls)
{
	char address[ENTRY_ADDRESS_BYTES];

	jcs_key(j, "src");
	jcs_open(j);
	jcs_put_str(j, "addr", entry_address(s->client, s->address_len, address));
	jcs_put_hex(j, "mac", bytes_of(s->client_mac, 6));
	jcs_put_int(j, "port", s->client_port);
	if (tls.len)
		jcs_put_text(j, "tls", tls);
	jcs_put_int(j, "vlan", s->vlan);
	jcs_close(j);
}

static void put_chunks(struct jcs *j, const struct entry *e)
{
	if (!e->chunks_count)
		return;
	jcs_key(j, "pl");
	jcs_array(j);
	for (unsigned i = 0; i < e->chunks_count; i++)
		record_chunk_put(j, e->chunks[i].dir, e->chunks[i].number, &e->chunks[i].chunk);
	jcs_array_close(j);
}

static void put_who(struct jcs *j, const struct entry *e)
{
	uint8_t room[1024];
	struct writer w = writer_of(room, sizeof(room));

	if (e->who.len)
		jcs_put_raw(j, "who", e->who);
	else if (e->session && e->session->who_len)
		jcs_put_composed(j, "who", bytes_of(e->session->who, e->session->who_len), WHO_DEPTH);
	else
		jcs_put_composed(j, "who", who_write(NULL, &w), WHO_DEPTH);
}

void entry_compose(const struct entry_node *node, const struct entry *e, struct jcs *j)
{
	char time[ENTRY_TIME_BYTES];

	jcs_open(j);
	if (e->approval_id) {
		jcs_key(j, "appr");
		jcs_open(j);
		jcs_put_hex(j, "h", bytes_of(e->approval_sha256, 32));
		jcs_put_str(j, "id", e->approval_id);
		jcs_close(j);
	}
	jcs_put_hex(j, "boot", bytes_of(node->boot, 16));
	jcs_put_str(j, "clk", node->now.clk);
	put_part(j, "data", &e->data);
	if (e->has_place)
		put_destination(j, e->session);
	jcs_put_uint(j, "mono", node->now.mono_us * 1000);
	if (e->has_n)
		jcs_put_int(j, "n", e->n);
	if (e->has_nc)
		jcs_put_int(j, "nc", e->nc);
	jcs_put_str(j, "node", node->name);
	put_part(j, "op", &e->op);
	put_part(j, "out", &e->out);
	put_chunks(j, e);
	if (e->policy_sha256)
		jcs_put_hex(j, "pol", bytes_of(e->policy_sha256, 32));
	if (e->has_ref)
		jcs_put_int(j, "ref", e->ref);
	if (e->has_rules)
		jcs_put_strs(j, "rules", e->rules, e->rules_count);
	if (e->session)
		jcs_put_hex(j, "sess", bytes_of(e->session->id, 16));
	if (e->has_place)
		put_source(j, e->session, e->tls);
	if (e->session)
		jcs_put_str(j, "svc", e->session->service);
	jcs_put_str(j, "t", e->type);
	jcs_put_str(j, "ts", entry_time(node->now.wall_us, time));
	jcs_put_int(j, "v", 1);
	put_who(j, e);
	jcs_close(j);
}
