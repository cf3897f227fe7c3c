#include "control/inbox/who.h"

#include <openssl/evp.h>

#include <stdlib.h>

#include "control/journal/jcs.h"

#define WHO_VERSION 1

static void put(struct jcs *j, const char *key, const char *text)
{
	jcs_put_str(j, key, text && text[0] ? text : "unknown");
}

static void put_groups_hash(struct jcs *j, const struct principal *p)
{
	uint8_t hash[32];
	EVP_MD_CTX *sha = EVP_MD_CTX_new();

	if (!sha || EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1)
		abort();
	for (unsigned i = 0; i < p->groups_count; i++)
		EVP_DigestUpdate(sha, p->groups[i], strlen(p->groups[i]) + 1);
	EVP_DigestFinal_ex(sha, hash, NULL);
	EVP_MD_CTX_free(sha);
	jcs_put_hex(j, "groups_h", bytes_of(hash, sizeof(hash)));
}

static void put_actors(struct jcs *j, const struct principal *p)
{
	jcs_key(j, "act");
	jcs_array(j);
	for (unsigned i = 0; i < p->act_count; i++) {
		jcs_open(j);
		put(j, "iss", p->act[i].iss);
		jcs_put_str(j, "kind", principal_kind_name(p->act[i].kind));
		put(j, "sub", p->act[i].sub);
		jcs_close(j);
	}
	jcs_array_close(j);
}

struct bytes who_write(const struct principal *p, struct writer *out)
{
	static const struct principal nobody;
	struct jcs j = jcs_of(out);

	if (!p)
		p = &nobody;
	jcs_open(&j);
	put_actors(&j, p);
	put(&j, "agent", p->agent);
	jcs_put_str(&j, "cnf", principal_cnf_name(p->cnf));
	jcs_put_int(&j, "exp", p->exp_s);
	put_groups_hash(&j, p);
	jcs_put_str(&j, "how", p == &nobody ? "unknown" : principal_how_name(p->how));
	put(&j, "iss", p->iss);
	put(&j, "person", p->person);
	put(&j, "purpose", p->purpose);
	put(&j, "run", p->run);
	put(&j, "sub", p->sub);
	jcs_close(&j);
	return jcs_done(&j);
}

static void text_put(struct writer *w, const char *text)
{
	writer_cstr(w, text ? text : "");
}

static const char *text_get(struct reader *r)
{
	struct bytes b = reader_cstr(r);

	return r->ok ? (const char *)b.base : "";
}

void who_encode(const struct principal *p, struct writer *w)
{
	writer_u8(w, WHO_VERSION);
	text_put(w, p->issuer);
	text_put(w, p->iss);
	text_put(w, p->sub);
	text_put(w, p->person);
	text_put(w, p->agent);
	text_put(w, p->run);
	text_put(w, p->purpose);
	text_put(w, p->acr);
	text_put(w, p->kid);
	writer_u8(w, (uint8_t)p->act_count);
	for (unsigned i = 0; i < p->act_count; i++) {
		text_put(w, p->act[i].iss);
		text_put(w, p->act[i].sub);
		writer_u8(w, (uint8_t)p->act[i].kind);
	}
	writer_be16(w, (uint16_t)p->groups_count);
	for (unsigned i = 0; i < p->groups_count; i++)
		text_put(w, p->groups[i]);
	writer_u8(w, (uint8_t)p->cnf);
	writer_bytes(w, p->cnf_sha256, 32);
	writer_u8(w, (uint8_t)p->how);
	writer_be64(w, (uint64_t)p->auth_time_s);
	writer_be64(w, (uint64_t)p->exp_s);
	writer_be64(w, (uint64_t)p->end_s);
	writer_be64(w, p->epoch);
	writer_bytes(w, p->token_sha256, 32);
	writer_bytes(w, p->key_sha256, 32);
}

static void hash_get(struct reader *r, uint8_t out[32])
{
	struct bytes b = reader_bytes(r, 32);

	if (b.len == 32)
		memcpy(out, b.base, 32);
}

struct principal *who_decode(struct bytes from)
{
	struct reader r = reader_of_bytes(from);
	struct principal p = { 0 };

	if (reader_u8(&r) != WHO_VERSION)
		return NULL;
	p.issuer = text_get(&r);
	p.iss = text_get(&r);
	p.sub = text_get(&r);
	p.person = text_get(&r);
	p.agent = text_get(&r);
	p.run = text_get(&r);
	p.purpose = text_get(&r);
	p.acr = text_get(&r);
	p.kid = text_get(&r);
	p.act_count = reader_u8(&r);
	r.ok = r.ok && p.act_count <= LIMIT_ACTORS;
	for (unsigned i = 0; r.ok && i < p.act_count; i++) {
		p.act[i].iss = text_get(&r);
		p.act[i].sub = text_get(&r);
		p.act[i].kind = reader_u8(&r);
	}
	p.groups_count = reader_be16(&r);
	r.ok = r.ok && p.groups_count <= LIMIT_GROUPS;
	for (unsigned i = 0; r.ok && i < p.groups_count; i++)
		p.groups[i] = text_get(&r);
	p.cnf = reader_u8(&r);
	hash_get(&r, p.cnf_sha256);
	p.how = reader_u8(&r);
	p.auth_time_s = (int64_t)reader_be64(&r);
	p.exp_s = (int64_t)reader_be64(&r);
	p.end_s = (int64_t)reader_be64(&r);
	p.epoch = reader_be64(&r);
	hash_get(&r, p.token_sha256);
	hash_get(&r, p.key_sha256);
	return r.ok && r.left == 0 ? principal_create(&p) : NULL;
}
