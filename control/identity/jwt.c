/* jwt.c: token bytes to header, payload and signature.
 *
 * The token is cut at its dots first, then each segment is decoded into one block, then the header is read member by
 * member against a list, then the payload is parsed. libcjose sees the token only after all of this held.
 */
#include "control/identity/jwt.h"

#include <stdlib.h>
#include <string.h>

#include "control/identity/base64url.h"
#include "control/identity/json.h"
#include "platform/base/limits.h"
#include "platform/base/secret.h"

static const struct {
	const char *name;
	enum jwt_alg alg;
} algs[] = {
	{ "RS256", JWT_RS256 },
	{ "PS256", JWT_PS256 },
	{ "ES256", JWT_ES256 },
	{ "ES384", JWT_ES384 },
};

/* RFC 7515 4.1: members that choose keys, change the signed bytes or demand more. Refused by name, for the journal. */
static const char *const refused_members[] = { "jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "epk", "apu", "apv", "p2s", "p2c" };
static const char *const allowed_members[] = { "alg", "typ", "kid", "cty", "x5t", "x5t#S256" };

enum jwt_alg jwt_alg_of(struct bytes name)
{
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++)
		if (bytes_equal(name, bytes_str(algs[i].name)))
			return algs[i].alg;
	return JWT_ALG_NONE;
}

const char *jwt_alg_name(enum jwt_alg alg)
{
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++)
		if (algs[i].alg == alg)
			return algs[i].name;
	return "";
}

/* Cuts at dots. Counts all segments, so that five can be told from four. */
static enum identity_reason cut(struct bytes token, struct bytes segment[3])
{
	unsigned count = 1;
	size_t start = 0;

	memset(segment, 0, 3 * sizeof(segment[0]));
	for (size_t i = 0; i <= token.len; i++) {
		if (i < token.len && token.base[i] != '.')
			continue;
		if (count <= 3)
			segment[count - 1] = bytes_of(token.base + start, i - start);
		start = i + 1;
		if (i < token.len)
			count++;
	}
	if (count == 5)
		return IDENTITY_token_encrypted;
	return count == 3 ? IDENTITY_none : IDENTITY_token_segments;
}

static enum identity_reason decode_one(struct bytes text, struct writer *w, struct bytes *out)
{
	size_t len = 0, room_len = base64url_decoded_len(text.len);
	uint8_t *room = writer_room(w, room_len);

	if (!room)
		return IDENTITY_token_not_canonical;
	switch (base64url_decode(text, room, room_len, &len)) {
	case BASE64URL_OK:
		*out = bytes_of(room, len);
		return IDENTITY_none;
	case BASE64URL_ALPHABET:
		return IDENTITY_token_alphabet;
	default:
		return IDENTITY_token_not_canonical;
	}
}

static enum identity_reason decode_all(struct bytes segment[3], struct jwt *jwt, struct bytes *header_raw)
{
	struct writer w;
	enum identity_reason reason;

	jwt->decoded_size = jwt->token.len;
	jwt->decoded = malloc(jwt->decoded_size);
	if (!jwt->decoded)
		return IDENTITY_no_memory;
	w = writer_of(jwt->decoded, jwt->decoded_size);
	reason = decode_one(segment[0], &w, header_raw);
	if (!reason)
		reason = decode_one(segment[1], &w, &jwt->payload_raw);
	if (!reason)
		reason = decode_one(segment[2], &w, &jwt->signature);
	if (!reason && !jwt->signature.len)
		reason = IDENTITY_signature_missing;
	return reason;
}

static bool listed(const char *name, const char *const *list, size_t count, const char **entry)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, list[i]) == 0) {
			*entry = list[i];
			return true;
		}
	return false;
}

static enum identity_reason check_members(struct jwt *jwt)
{
	const char *name;
	json_t *value;

	json_object_foreach(jwt->header, name, value) {
		if (listed(name, refused_members, sizeof(refused_members) / sizeof(refused_members[0]), &jwt->at_fault))
			return IDENTITY_header_member_refused;
		if (!listed(name, allowed_members, sizeof(allowed_members) / sizeof(allowed_members[0]), &jwt->at_fault))
			return IDENTITY_header_member_unknown;
		if (!json_is_string(value))
			return IDENTITY_header_member_type;
	}
	jwt->at_fault = NULL;
	return IDENTITY_none;
}

static enum identity_reason read_alg(struct jwt *jwt)
{
	struct bytes name = jwt->alg_text = json_bytes(json_object_get(jwt->header, "alg"));

	if (!name.base)
		return IDENTITY_header_alg_missing;
	jwt->alg = jwt_alg_of(name);
	if (jwt->alg)
		return IDENTITY_none;
	if (name.len == 4 && strncasecmp((const char *)name.base, "none", 4) == 0)
		return IDENTITY_alg_none;
	if (name.len >= 2 && memcmp(name.base, "HS", 2) == 0)
		return IDENTITY_alg_symmetric;
	return IDENTITY_alg_unsupported;
}

static enum identity_reason read_header(struct bytes raw, struct jwt *jwt)
{
	enum identity_reason reason;

	switch (json_strict(raw, JSON_DEPTH_MAX, JSON_EXACT, &jwt->header)) {
	case JSON_GOOD:
		break;
	case JSON_DUPLICATE:
		return IDENTITY_header_duplicate;
	case JSON_TOO_DEEP:
		return IDENTITY_header_depth;
	case JSON_SPACE:
		return IDENTITY_header_space;
	default:
		return IDENTITY_header_not_json;
	}
	reason = check_members(jwt);
	if (reason)
		return reason;
	jwt->kid = json_bytes(json_object_get(jwt->header, "kid"));
	jwt->typ = json_bytes(json_object_get(jwt->header, "typ"));
	reason = read_alg(jwt);
	if (!reason && jwt->kid.base && (jwt->kid.len == 0 || jwt->kid.len > LIMIT_KID_BYTES))
		reason = IDENTITY_kid_too_long;
	return reason;
}

static enum identity_reason read_payload(struct jwt *jwt)
{
	switch (json_strict(jwt->payload_raw, JSON_DEPTH_PAYLOAD_MAX, JSON_EXACT, &jwt->payload)) {
	case JSON_GOOD:
		return IDENTITY_none;
	case JSON_DUPLICATE:
		return IDENTITY_payload_duplicate;
	case JSON_TOO_DEEP:
		return IDENTITY_payload_depth;
	default:
		return IDENTITY_payload_not_json;
	}
}

enum identity_reason jwt_open(struct bytes token, struct jwt *out)
{
	struct bytes segment[3], header_raw = { 0 };
	enum identity_reason reason;

	*out = (struct jwt){ .token = token };
	if (token.len == 0)
		return IDENTITY_token_empty;
	if (token.len > LIMIT_TOKEN_BYTES)
		return IDENTITY_token_too_long;
	reason = cut(token, segment);
	if (!reason)
		reason = decode_all(segment, out, &header_raw);
	if (!reason)
		reason = read_header(header_raw, out);
	if (!reason)
		reason = read_payload(out);
	return reason;
}

void jwt_close(struct jwt *jwt)
{
	json_decref(jwt->header);
	json_decref(jwt->payload);
	if (jwt->decoded)
		secret_wipe(jwt->decoded, jwt->decoded_size);
	free(jwt->decoded);
	*jwt = (struct jwt){ 0 };
}
