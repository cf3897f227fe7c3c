/* claims.c: one function for each row of identity.md 4, called in order; the first that objects wins. */
#include "control/identity/claims.h"

#include <string.h>
#include <strings.h>

#include "control/identity/base64url.h"
#include "control/identity/json.h"

/* OpenID Core 2 and 3.3.2.11, RFC 8417 2.2: members of an ID, logout or event token, none of RFC 9068's. */
static const char *const foreign_members[] = { "nonce", "at_hash", "c_hash", "s_hash", "events" };
/* What providers write into the payload's own `typ` or `token_use` for tokens that are not access tokens. */
static const char *const foreign_kinds[] = { "id", "refresh", "offline", "logout" };

static bool is_kind(const json_t *value, const char *kind)
{
	struct bytes text = json_bytes(value);

	return text.len == strlen(kind) && strncasecmp((const char *)text.base, kind, text.len) == 0;
}

/* Strings by RFC 7519 4.1.7 and by use; of another type, what they say to the issuer is not what they say to us. */
static const char *const string_members[] = { "typ", "token_use", "jti" };

static enum identity_reason check_kind(const json_t *payload, const char **at_fault)
{
	for (size_t i = 0; i < sizeof(string_members) / sizeof(string_members[0]); i++) {
		const json_t *value = json_object_get(payload, string_members[i]);

		*at_fault = string_members[i];
		if (value && !json_is_string(value))
			return IDENTITY_claim_type;
	}
	for (size_t i = 0; i < sizeof(foreign_members) / sizeof(foreign_members[0]); i++)
		if (json_object_get(payload, foreign_members[i])) {
			*at_fault = foreign_members[i];
			return IDENTITY_id_token;
		}
	for (size_t i = 0; i < sizeof(foreign_kinds) / sizeof(foreign_kinds[0]); i++) {
		*at_fault = "typ";
		if (is_kind(json_object_get(payload, "typ"), foreign_kinds[i]))
			return IDENTITY_id_token;
		*at_fault = "token_use";
		if (is_kind(json_object_get(payload, "token_use"), foreign_kinds[i]))
			return IDENTITY_id_token;
	}
	return IDENTITY_none;
}

/* SPIFFE-ID 2.2: segments of letters, digits, dots, dashes and underscores; none empty, `.` or `..`; no slash at the end. */
static bool path_ok(struct reader r)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	size_t len = 0, dots = 0;

	while (r.left) {
		uint8_t c = reader_u8(&r);

		if (c == '/' && (len == 0 || (dots == len && len <= 2)))
			return false;
		if (c != '/' && (!c || !strchr(letters, c)))
			return false;
		len = c == '/' ? 0 : len + 1;
		dots = c == '/' ? 0 : dots + (c == '.');
	}
	return len > 0 && !(dots == len && len <= 2);
}

static enum identity_reason check_sub(const json_t *payload, const struct identity_issuer *issuer, const char **at_fault)
{
	struct bytes sub = json_bytes(json_object_get(payload, "sub"));
	size_t domain_len = issuer->trust_domain ? strlen(issuer->trust_domain) : 0;
	struct reader r = reader_of_bytes(sub);

	*at_fault = "sub";
	if (sub.len == 0)
		return IDENTITY_sub_missing;
	if (sub.len > LIMIT_CLAIM_BYTES)
		return IDENTITY_sub_too_long;
	if (!issuer->trust_domain)
		return IDENTITY_none;
	/* SPIFFE-ID 2: spiffe://trust domain/path. */
	if (!bytes_equal(reader_bytes(&r, 9), bytes_str("spiffe://")) ||
	    !bytes_equal(reader_bytes(&r, domain_len), bytes_of(issuer->trust_domain, domain_len)) || reader_u8(&r) != '/' || !path_ok(r))
		return IDENTITY_sub_not_spiffe;
	return IDENTITY_none;
}

/* RFC 7519 4.1.3. */
static enum identity_reason check_aud(const json_t *payload, const struct identity_issuer *issuer, size_t *count, const char **at_fault)
{
	const json_t *aud = json_object_get(payload, "aud"), *entry;
	struct bytes ours = bytes_str(issuer->audience);
	bool found = false;
	size_t i;

	*at_fault = "aud";
	*count = 1;
	if (!aud)
		return IDENTITY_aud_missing;
	if (json_is_string(aud))
		return bytes_equal(json_bytes(aud), ours) ? IDENTITY_none : IDENTITY_aud_wrong;
	if (!json_is_array(aud))
		return IDENTITY_aud_type;
	*count = json_array_size(aud);
	if (*count == 0)
		return IDENTITY_aud_missing;
	json_array_foreach(aud, i, entry) {
		if (!json_is_string(entry))
			return IDENTITY_aud_type;
		found = found || bytes_equal(json_bytes(entry), ours);
	}
	return found ? IDENTITY_none : IDENTITY_aud_wrong;
}

static bool is_client(struct bytes client, const struct identity_issuer *issuer)
{
	for (size_t i = 0; i < sizeof(issuer->clients) / sizeof(issuer->clients[0]) && issuer->clients[i]; i++)
		if (bytes_equal(client, bytes_str(issuer->clients[i])))
			return true;
	return false;
}

/* azp and client_id: each that is there has to be configured, and one has to be there, when clients are configured or
 * the token is for more than us. */
static enum identity_reason check_client(const json_t *payload, const struct identity_issuer *issuer, size_t aud_count, const char **at_fault)
{
	static const char *const names[] = { "azp", "client_id" };
	bool judged = issuer->clients[0] || aud_count > 1, seen = false;

	for (size_t i = 0; i < 2; i++) {
		const json_t *value = json_object_get(payload, names[i]);

		*at_fault = names[i];
		if (!value)
			continue;
		if (!json_is_string(value))
			return IDENTITY_client_type;
		if (judged && !is_client(json_bytes(value), issuer))
			return IDENTITY_client_wrong;
		seen = true;
	}
	return judged && !seen ? IDENTITY_client_missing : IDENTITY_none;
}

/* RFC 7519 2, NumericDate, narrowed to integers. */
static bool read_time(const json_t *value, int64_t *out)
{
	*out = 0;
	if (!json_is_integer(value))
		return false;
	*out = json_integer_value(value);
	return *out >= 0 && *out <= CLAIMS_INTEGER_MAX;
}

static enum identity_reason check_times(const json_t *payload, const struct identity_issuer *issuer, int64_t wall_s, struct claims_times *times, const char **at_fault)
{
	const json_t *exp = json_object_get(payload, "exp"), *iat = json_object_get(payload, "iat");
	const json_t *nbf = json_object_get(payload, "nbf"), *auth_time = json_object_get(payload, "auth_time");
	int64_t skew_s = issuer->skew_s, life_s_max = issuer->life_s_max ? issuer->life_s_max : CLAIMS_LIFE_S_MAX, nbf_s;

	*at_fault = "exp";
	if (!exp)
		return IDENTITY_exp_missing;
	if (!read_time(exp, &times->exp_s))
		return IDENTITY_exp_type;
	if (wall_s >= times->exp_s + skew_s)
		return IDENTITY_exp_passed;
	*at_fault = "iat";
	if (!iat)
		return IDENTITY_iat_missing;
	if (!read_time(iat, &times->iat_s))
		return IDENTITY_iat_type;
	if (times->iat_s > wall_s + skew_s)
		return IDENTITY_iat_future;
	*at_fault = "nbf";
	if (nbf && !read_time(nbf, &nbf_s))
		return IDENTITY_nbf_type;
	if (nbf && nbf_s > wall_s + skew_s)
		return IDENTITY_nbf_future;
	*at_fault = "exp";
	if (times->exp_s <= times->iat_s)
		return IDENTITY_lifetime_negative;
	if (times->exp_s - times->iat_s > life_s_max)
		return IDENTITY_lifetime_too_long;
	*at_fault = "auth_time";
	if (auth_time && !read_time(auth_time, &times->auth_time_s))
		return IDENTITY_auth_time_type;
	return IDENTITY_none;
}

enum identity_reason claims_check(const json_t *payload, const struct identity_issuer *issuer, int64_t wall_s, struct claims_times *times, const char **at_fault)
{
	size_t aud_count;
	enum identity_reason reason;

	memset(times, 0, sizeof(*times));
	reason = check_kind(payload, at_fault);
	if (!reason)
		reason = check_sub(payload, issuer, at_fault);
	if (!reason)
		reason = check_aud(payload, issuer, &aud_count, at_fault);
	if (!reason)
		reason = check_client(payload, issuer, aud_count, at_fault);
	if (!reason)
		reason = check_times(payload, issuer, wall_s, times, at_fault);
	if (!reason)
		*at_fault = NULL;
	return reason;
}

enum identity_reason claims_check_typ(struct bytes typ, const struct identity_issuer *issuer)
{
	static const char prefix[] = "application/";
	struct reader r = reader_of_bytes(typ);

	/* JWT-SVID 2.3: JWT or JOSE, or left out. */
	if (issuer->spiffe)
		return !typ.base || bytes_equal(typ, bytes_str("JWT")) || bytes_equal(typ, bytes_str("JOSE")) ? IDENTITY_none : IDENTITY_typ_wrong;
	if (!typ.base)
		return IDENTITY_typ_missing;
	if (typ.len > strlen(prefix) && strncasecmp((const char *)typ.base, prefix, strlen(prefix)) == 0)
		reader_skip(&r, strlen(prefix));
	typ = reader_rest(&r);
	for (size_t i = 0; i < sizeof(issuer->typ) / sizeof(issuer->typ[0]) && issuer->typ[i]; i++)
		if (typ.len == strlen(issuer->typ[i]) && strncasecmp((const char *)typ.base, issuer->typ[i], typ.len) == 0)
			return IDENTITY_none;
	return IDENTITY_typ_wrong;
}

enum identity_reason claims_check_cnf(const json_t *payload, const struct identity_issuer *issuer, const uint8_t *cert_sha256, struct principal *out)
{
	const json_t *cnf = json_object_get(payload, "cnf");
	const json_t *x5t = json_object_get(cnf, "x5t#S256");
	struct bytes text = json_bytes(x5t);
	size_t len = 0;

	if (!cnf)
		return issuer->bound ? IDENTITY_cnf_missing : IDENTITY_none;
	if (!json_is_object(cnf) || json_object_size(cnf) == 0)
		return IDENTITY_cnf_type;
	/* RFC 7800 3.1 leaves other members to the application; one that we do not check may not be ignored. */
	if (json_object_size(cnf) != 1 || !x5t)
		return IDENTITY_cnf_unknown;
	if (base64url_decode(text, out->cnf_sha256, sizeof(out->cnf_sha256), &len) != BASE64URL_OK || len != sizeof(out->cnf_sha256))
		return IDENTITY_cnf_type;
	if (!cert_sha256)
		return IDENTITY_cnf_no_certificate;
	if (memcmp(cert_sha256, out->cnf_sha256, sizeof(out->cnf_sha256)) != 0)
		return IDENTITY_cnf_wrong_certificate;
	out->cnf = PRINCIPAL_CNF_X5T;
	return IDENTITY_none;
}
