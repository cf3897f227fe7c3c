/* mapping.c: claims to principal.
 *
 * Every string that will be shown, compared or journaled passes printable(): no control characters, at most 255 bytes.
 * The chain of actors is walked once, outermost first; an actor that is the subject, or that appears twice, makes the
 * separation of human and agent a fiction and is refused.
 */
#include "control/identity/mapping.h"

#include <string.h>

#include "control/identity/json.h"

/* C0, DEL, and C1 in UTF-8 (C2 80 to C2 9F). jansson has checked that it is UTF-8. */
static bool printable(struct bytes text)
{
	uint8_t before = 0;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.base[i];

		if (c < 0x20 || c == 0x7f || (before == 0xc2 && c < 0xa0))
			return false;
		before = c;
	}
	return true;
}

static enum identity_reason take(const json_t *value, const char **out)
{
	struct bytes text = json_bytes(value);

	*out = "";
	if (!value)
		return IDENTITY_none;
	if (!json_is_string(value))
		return IDENTITY_claim_type;
	if (text.len > LIMIT_CLAIM_BYTES)
		return IDENTITY_claim_too_long;
	if (!printable(text))
		return IDENTITY_claim_unprintable;
	*out = json_string_value(value);
	return IDENTITY_none;
}

static enum identity_reason take_at(const json_t *payload, const char *path, const char *field, const char **out, const char **at_fault)
{
	*out = "";
	*at_fault = field;
	return path ? take(json_at(payload, path), out) : IDENTITY_none;
}

/* A string, or an array of strings, none of them empty. */
static enum identity_reason take_list(const json_t *value, const char **out, unsigned max, unsigned *count, enum identity_reason wrong, enum identity_reason too_many)
{
	size_t size = json_is_array(value) ? json_array_size(value) : 1;

	*count = 0;
	if (!value)
		return IDENTITY_none;
	if (!json_is_array(value) && !json_is_string(value))
		return wrong;
	if (size > max)
		return too_many;
	for (size_t i = 0; i < size; i++) {
		const json_t *entry = json_is_array(value) ? json_array_get(value, i) : value;
		enum identity_reason reason;

		if (json_string_length(entry) == 0)
			return wrong;
		reason = take(entry, &out[*count]);
		if (reason)
			return reason;
		++*count;
	}
	return IDENTITY_none;
}

/* OpenID Core 5.6.2: a member of _claim_names says that the claim is elsewhere; `hasgroups` is the other spelling seen. */
static bool groups_elsewhere(const json_t *payload, const char *path)
{
	const json_t *names = json_object_get(payload, "_claim_names");
	char first[LIMIT_CLAIM_BYTES + 1];
	size_t len = strstr(path, "://") ? strlen(path) : strcspn(path, ".");

	if (json_object_get(payload, "hasgroups"))
		return true;
	if (!names)
		return false;
	if (!json_is_object(names) || len >= sizeof(first))
		return true;
	memcpy(first, path, len);
	first[len] = 0;
	return json_object_get(names, first) != NULL;
}

static enum identity_reason map_groups(const json_t *payload, const char *path, struct principal *out, const char **at_fault)
{
	*at_fault = "groups";
	out->groups_count = 0;
	if (!path)
		return IDENTITY_none;
	if (groups_elsewhere(payload, path))
		return IDENTITY_groups_overage;
	return take_list(json_at(payload, path), out->groups, LIMIT_GROUPS, &out->groups_count, IDENTITY_groups_type, IDENTITY_groups_too_many);
}

static bool same_actor(const struct principal_actor *a, const char *iss, const char *sub)
{
	return strcmp(a->iss, iss) == 0 && strcmp(a->sub, sub) == 0;
}

static enum identity_reason read_actor(const json_t *act, const struct principal *out, struct principal_actor *actor)
{
	enum identity_reason reason;

	if (!json_is_object(act))
		return IDENTITY_act_type;
	if (json_string_length(json_object_get(act, "sub")) == 0)
		return json_object_get(act, "sub") && !json_is_string(json_object_get(act, "sub")) ? IDENTITY_act_type : IDENTITY_act_no_sub;
	reason = take(json_object_get(act, "sub"), &actor->sub);
	if (!reason)
		reason = take(json_object_get(act, "iss"), &actor->iss);
	if (reason)
		return reason;
	if (!actor->iss[0])
		actor->iss = out->iss;
	if (same_actor(actor, out->iss, out->sub))
		return IDENTITY_act_is_subject;
	for (unsigned i = 0; i < out->act_count; i++)
		if (same_actor(&out->act[i], actor->iss, actor->sub))
			return IDENTITY_act_loop;
	return IDENTITY_none;
}

static enum principal_kind kind_of(const struct principal_actor *actor, const struct principal *p)
{
	if (strncmp(actor->sub, "spiffe://", 9) == 0 || strcmp(actor->sub, p->agent) == 0)
		return PRINCIPAL_AGENT;
	return p->person[0] && strcmp(actor->sub, p->person) == 0 ? PRINCIPAL_HUMAN : PRINCIPAL_SERVICE;
}

/* RFC 8693 4.1: nested act claims are the history of the delegation. */
static enum identity_reason map_actors(const json_t *payload, struct principal *out, const char **at_fault)
{
	const json_t *act = json_object_get(payload, "act");

	*at_fault = "act";
	out->act_count = 0;
	for (; act; act = json_object_get(act, "act")) {
		struct principal_actor actor = { 0 };
		enum identity_reason reason;

		if (out->act_count == LIMIT_ACTORS)
			return IDENTITY_act_depth;
		reason = read_actor(act, out, &actor);
		if (reason)
			return reason;
		actor.kind = kind_of(&actor, out);
		out->act[out->act_count++] = actor;
	}
	return IDENTITY_none;
}

/* RFC 8693 4.4: who may act for the subject. When the token says it and somebody acts, it has to be that one. */
static enum identity_reason check_may_act(const json_t *payload, const struct principal *p, const char **at_fault)
{
	const json_t *may_act = json_object_get(payload, "may_act");
	const char *iss, *sub;

	*at_fault = "may_act";
	if (!may_act)
		return IDENTITY_none;
	if (!json_is_object(may_act) || take(json_object_get(may_act, "iss"), &iss) || take(json_object_get(may_act, "sub"), &sub))
		return IDENTITY_act_type;
	if (p->act_count && !same_actor(&p->act[0], iss[0] ? iss : p->iss, sub))
		return IDENTITY_may_act_mismatch;
	return IDENTITY_none;
}

/* A person who is her own agent has delegated nothing; her commands would count as an agent's and as a human's. */
static enum identity_reason check_separate(const struct principal *p, const char **at_fault)
{
	*at_fault = "agent";
	return p->person[0] && strcmp(p->person, p->agent) == 0 ? IDENTITY_act_is_subject : IDENTITY_none;
}

enum identity_reason mapping_apply(const json_t *payload, const struct identity_issuer *issuer, struct principal *out, const char **at_fault)
{
	enum identity_reason reason;

	out->issuer = issuer->name;
	out->iss = issuer->issuer;
	*at_fault = "sub";
	reason = take(json_object_get(payload, "sub"), &out->sub);
	if (!reason)
		reason = take_at(payload, issuer->map.person, "person", &out->person, at_fault);
	if (!reason)
		reason = take_at(payload, issuer->map.agent, "agent", &out->agent, at_fault);
	if (!reason)
		reason = take_at(payload, issuer->map.run, "run", &out->run, at_fault);
	if (!reason)
		reason = take_at(payload, issuer->map.purpose, "purpose", &out->purpose, at_fault);
	if (!reason)
		reason = take_at(payload, "acr", "acr", &out->acr, at_fault);
	if (!reason)
		reason = map_groups(payload, issuer->map.groups, out, at_fault);
	if (!reason) {
		*at_fault = "amr";
		reason = take_list(json_object_get(payload, "amr"), out->amr, 8, &out->amr_count, IDENTITY_claim_type, IDENTITY_claim_type);
	}
	if (!reason)
		reason = map_actors(payload, out, at_fault);
	if (!reason)
		reason = check_may_act(payload, out, at_fault);
	if (!reason)
		reason = check_separate(out, at_fault);
	if (!reason)
		*at_fault = NULL;
	return reason;
}
