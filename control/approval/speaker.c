#include "control/approval/speaker.h"

#include <stdlib.h>
#include <string.h>

#include "control/journal/base64.h"

void speaker_put(struct jcs *j, const char *key, const struct principal *p, const struct bytes *groups, unsigned groups_count)
{
	jcs_key(j, key);
	jcs_open(j);
	jcs_put_str(j, "cnf", principal_cnf_name(p->cnf));
	jcs_put_hex(j, "cnf_h", bytes_of(p->cnf_sha256, sizeof(p->cnf_sha256)));
	jcs_put_hex(j, "credential", bytes_of(p->token_sha256, sizeof(p->token_sha256)));
	jcs_put_int(j, "end", p->end_s);
	jcs_put_int(j, "exp", p->exp_s);
	jcs_put_strs(j, "groups", groups, groups_count);
	jcs_put_str(j, "iss", p->iss);
	jcs_put_str(j, "issuer", p->issuer);
	jcs_put_hex(j, "key", bytes_of(p->key_sha256, sizeof(p->key_sha256)));
	jcs_put_str(j, "person", p->person);
	jcs_put_str(j, "sub", p->sub);
	jcs_close(j);
}

/* Its text behind the others in `pool`; NULL: no text. */
static const char *text(struct writer *pool, struct jcs_value v)
{
	const char *at = (const char *)pool->base + pool->len;
	bool good = jcs_read_str(v, pool);

	writer_u8(pool, 0);
	return good && pool->ok ? at : NULL;
}

static bool hash(struct jcs_value v, const char *key, uint8_t out[32])
{
	struct writer w = writer_of(out, 32);

	return hex_read(jcs_read_plain(jcs_get(v, key)), &w) && w.len == 32;
}

static bool groups_read(struct jcs_value list, struct writer *pool, struct principal *shape)
{
	struct jcs_value element;
	size_t at = 0;

	if (list.kind != JCS_ARRAY)
		return false;
	while (jcs_next(list, &at, NULL, &element)) {
		const char *group = shape->groups_count < LIMIT_GROUPS ? text(pool, element) : NULL;

		if (!group)
			return false;
		shape->groups[shape->groups_count++] = group;
	}
	return true;
}

static bool cnf_read(struct bytes name, enum principal_cnf *out)
{
	for (*out = PRINCIPAL_CNF_NONE; *out <= PRINCIPAL_CNF_JKT; ++*out)
		if (bytes_equal(name, bytes_str(principal_cnf_name(*out))))
			return true;
	return false;
}

struct principal *speaker_read(struct jcs_value v)
{
	/* Each text is shorter without its quotes, by more than the NUL that ends it here. */
	char *room = v.kind == JCS_OBJECT ? malloc(v.raw.len + 1) : NULL;
	struct writer pool = writer_of(room, room ? v.raw.len + 1 : 0);
	struct principal shape = { 0 }, *p = NULL;

	if (room && cnf_read(jcs_read_plain(jcs_get(v, "cnf")), &shape.cnf) && hash(v, "cnf_h", shape.cnf_sha256) && hash(v, "credential", shape.token_sha256) &&
	    hash(v, "key", shape.key_sha256) && jcs_read_int(jcs_get(v, "end"), &shape.end_s) && jcs_read_int(jcs_get(v, "exp"), &shape.exp_s) &&
	    (shape.iss = text(&pool, jcs_get(v, "iss"))) && (shape.issuer = text(&pool, jcs_get(v, "issuer"))) &&
	    (shape.person = text(&pool, jcs_get(v, "person"))) && shape.person[0] && (shape.sub = text(&pool, jcs_get(v, "sub"))) &&
	    groups_read(jcs_get(v, "groups"), &pool, &shape))
		p = principal_create(&shape);
	free(room);
	return p;
}
