/* token_module.c: see token_module.h. Of the module nothing is believed: counts are bounded, lengths are compared, and the public key is checked
 * once more by the signer, which also verifies each signature.
 *
 * Unmanaged, in p11-kit's words: its wrappers make code at run time, which the unit of control forbids (MemoryDenyWriteExecute). */
#include "control/token/token_module.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <stdio.h>

#define SLOTS_MAX 64
#define ATTRIBUTES_MAX 8
#define VALUE_BYTES_MAX 256
#define POINT_BYTES 65 /* 0x04, x, y */

/* SEC 1: prime256v1 as namedCurve, DER. */
static const uint8_t curve_p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
/* RFC 5480: SubjectPublicKeyInfo of such a key, up to its point. */
static const uint8_t spki_head[TOKEN_SPKI_BYTES - POINT_BYTES] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
								   0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00 };

static bool fail(char err[OS_ERROR_BYTES], const char *text)
{
	snprintf(err, OS_ERROR_BYTES, "%s", text);
	return false;
}

/* PKCS#11's code, and what it means. */
static bool fail_code(char err[OS_ERROR_BYTES], const char *what, CK_RV code)
{
	snprintf(err, OS_ERROR_BYTES, "%.60s: %.100s (0x%lx)", what, p11_kit_strerror(code), code);
	return false;
}

/* --- the token ----------------------------------------------------------------------------------------------------------- */

static bool matches(struct token_module *m, const struct token_config *c, CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	CK_SLOT_INFO about;
	CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(c->uri);

	return m->call->C_GetSlotInfo(slot, &about) == CKR_OK && m->call->C_GetTokenInfo(slot, info) == CKR_OK && (info->flags & CKF_TOKEN_INITIALIZED) &&
	       (wanted == (CK_SLOT_ID)-1 || wanted == slot) && p11_kit_uri_match_slot_info(c->uri, &about) && p11_kit_uri_match_token_info(c->uri, info);
}

static bool token_find(struct token_module *m, const struct token_config *c, CK_TOKEN_INFO *info, char err[OS_ERROR_BYTES])
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX;
	unsigned found = 0;
	CK_RV code = m->call->C_GetSlotList(CK_TRUE, slots, &count);

	if (code != CKR_OK)
		return fail_code(err, "the token's slots", code);
	if (count > SLOTS_MAX)
		return fail(err, "the module says that it has more slots than it was asked for");
	for (CK_ULONG i = 0; i < count; i++) {
		CK_TOKEN_INFO one;

		if (!matches(m, c, slots[i], &one))
			continue;
		m->slot = slots[i];
		*info = one;
		found++;
	}
	if (found == 0)
		return fail(err, "no token that is plugged in is the one of p256.uri");
	return found == 1 || fail(err, "more than one token is the one of p256.uri: add serial=");
}

bool token_module_open(struct token_module *m, const struct token_config *c, char err[OS_ERROR_BYTES])
{
	CK_TOKEN_INFO info = { 0 };
	CK_INFO about;
	CK_RV code;

	*m = (struct token_module){ .call = p11_kit_module_load(c->module, P11_KIT_MODULE_UNMANAGED) };
	if (!m->call) {
		snprintf(err, OS_ERROR_BYTES, "the module of module-path= cannot be loaded: %.140s", p11_kit_message() ? p11_kit_message() : "no reason given");
		return false;
	}
	code = p11_kit_module_initialize(m->call);
	if (code != CKR_OK)
		return fail_code(err, "the module cannot be initialized", code);
	if (m->call->C_GetInfo(&about) != CKR_OK || !p11_kit_uri_match_module_info(c->uri, &about))
		return fail(err, "the module is another one than the library-... of p256.uri");
	if (!token_find(m, c, &info, err))
		return false;
	code = m->call->C_OpenSession(m->slot, CKF_SERIAL_SESSION, NULL, NULL, &m->session);
	if (code != CKR_OK)
		return fail_code(err, "a session with the token", code);
	m->wants_login = (info.flags & CKF_LOGIN_REQUIRED) != 0;
	m->pin_count_low = (info.flags & CKF_USER_PIN_COUNT_LOW) != 0;
	if (!m->wants_login)
		return true;
	if (info.flags & CKF_USER_PIN_LOCKED)
		return fail(err, "the token's PIN is locked: unlock it with the tools of its maker");
	if (info.flags & CKF_USER_PIN_FINAL_TRY)
		return fail(err, "the token has one try of its PIN left, which is not for a program: log in by hand once, with the right PIN");
	if (info.flags & CKF_PROTECTED_AUTHENTICATION_PATH)
		return fail(err, "the token wants its PIN from a pad of its own: no machine can give it");
	return c->pin != NULL || fail(err, "the token wants a PIN, and p256.uri has no pin-source=");
}

/* --- the key ------------------------------------------------------------------------------------------------------------- */

/* The one object with these attributes. */
static bool object_find(struct token_module *m, CK_ATTRIBUTE *like, CK_ULONG count, CK_OBJECT_HANDLE *out, CK_ULONG *found)
{
	CK_OBJECT_HANDLE two[2];
	bool good;

	*found = 0;
	if (m->call->C_FindObjectsInit(m->session, like, count) != CKR_OK)
		return false;
	good = m->call->C_FindObjects(m->session, two, 2, found) == CKR_OK;
	(void)m->call->C_FindObjectsFinal(m->session);
	*out = two[0];
	return good && *found == 1;
}

/* The attributes of an object that the URI names, behind those given; returns how many in all. */
static CK_ULONG like_uri(CK_ATTRIBUTE like[ATTRIBUTES_MAX], CK_OBJECT_CLASS *class, const struct token_config *c)
{
	static const CK_ATTRIBUTE_TYPE names[] = { CKA_LABEL, CKA_ID };
	CK_ULONG count = 0;

	like[count++] = (CK_ATTRIBUTE){ CKA_CLASS, class, sizeof *class };
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const CK_ATTRIBUTE *given = p11_kit_uri_get_attribute(c->uri, names[i]);

		if (given)
			like[count++] = *given;
	}
	return count;
}

/* An attribute of at most `room` bytes; 0 when it cannot be had. */
static size_t value_of(struct token_module *m, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *value, size_t room)
{
	CK_ATTRIBUTE a = { type, value, room };

	return m->call->C_GetAttributeValue(m->session, object, &a, 1) == CKR_OK && a.ulValueLen <= room ? a.ulValueLen : 0;
}

static bool key_check(struct token_module *m, char err[OS_ERROR_BYTES])
{
	uint8_t curve[VALUE_BYTES_MAX];
	CK_KEY_TYPE type = 0;
	CK_BBOOL always = CK_FALSE, signs = CK_TRUE;

	if (value_of(m, m->key, CKA_KEY_TYPE, &type, sizeof type) != sizeof type || type != CKK_EC)
		return fail(err, "the key in the token is of another kind than EC: only P-256 is taken");
	if (!bytes_equal(bytes_of(curve, value_of(m, m->key, CKA_EC_PARAMS, curve, sizeof curve)), bytes_of(curve_p256, sizeof curve_p256)))
		return fail(err, "the key in the token is on another curve than P-256");
	if (value_of(m, m->key, CKA_SIGN, &signs, sizeof signs) == sizeof signs && !signs)
		return fail(err, "the key in the token may not sign");
	if (value_of(m, m->key, CKA_ALWAYS_AUTHENTICATE, &always, sizeof always) == sizeof always && always)
		return fail(err, "the key in the token wants its PIN for each signature: use one that does not");
	return true;
}

/* CKA_EC_POINT is a DER OCTET STRING (PKCS#11 2.40, 2.3.3); some tokens give the bare point. */
static bool point_take(struct bytes value, uint8_t spki[TOKEN_SPKI_BYTES])
{
	static const uint8_t octets[] = { 0x04, POINT_BYTES };

	if (value.len == POINT_BYTES + sizeof octets && !memcmp(value.base, octets, sizeof octets))
		value = bytes_of(value.base + sizeof octets, POINT_BYTES);
	if (value.len != POINT_BYTES || value.base[0] != 0x04)
		return false;
	memcpy(spki, spki_head, sizeof spki_head);
	memcpy(spki + sizeof spki_head, value.base, POINT_BYTES);
	return true;
}

/* The point lies with the public key of the same CKA_ID, or of the URI's name; some tokens have it with the private one too. */
static bool public_find(struct token_module *m, const struct token_config *c, uint8_t spki[TOKEN_SPKI_BYTES], char err[OS_ERROR_BYTES])
{
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	uint8_t id[VALUE_BYTES_MAX], point[VALUE_BYTES_MAX];
	size_t id_len = value_of(m, m->key, CKA_ID, id, sizeof id);
	CK_ATTRIBUTE by_id[] = { { CKA_CLASS, &class, sizeof class }, { CKA_ID, id, id_len } }, by_uri[ATTRIBUTES_MAX];
	CK_OBJECT_HANDLE object = m->key;
	CK_ULONG found;

	if (!(id_len && object_find(m, by_id, 2, &object, &found)) && !object_find(m, by_uri, like_uri(by_uri, &class, c), &object, &found))
		object = m->key;
	return point_take(bytes_of(point, value_of(m, object, CKA_EC_POINT, point, sizeof point)), spki) ||
	       fail(err, "the token has no public key with the same id as the private one");
}

static bool key_find(struct token_module *m, const struct token_config *c, char err[OS_ERROR_BYTES])
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE like[ATTRIBUTES_MAX];
	CK_ULONG found;

	if (object_find(m, like, like_uri(like, &class, c), &m->key, &found))
		return true;
	return fail(err, found ? "more than one private key in the token is the one of p256.uri: add id=" : "no private key in the token is the one of p256.uri");
}

static bool login(struct token_module *m, struct bytes pin, char err[OS_ERROR_BYTES])
{
	CK_RV code = m->call->C_Login(m->session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)pin.base, pin.len);

	/* All of these may have been counted by the token. */
	m->pin_wrong = code == CKR_PIN_INCORRECT || code == CKR_PIN_INVALID || code == CKR_PIN_LEN_RANGE || code == CKR_PIN_LOCKED || code == CKR_PIN_EXPIRED;
	return code == CKR_OK || fail_code(err, "the token's login", code);
}

bool token_module_login(struct token_module *m, const struct token_config *c, struct bytes pin, uint8_t spki[TOKEN_SPKI_BYTES], char err[OS_ERROR_BYTES])
{
	return (!m->wants_login || login(m, pin, err)) && key_find(m, c, err) && key_check(m, err) && public_find(m, c, spki, err);
}

bool token_module_sign(struct token_module *m, struct bytes digest, uint8_t signature[TOKEN_SIGNATURE_BYTES], char err[OS_ERROR_BYTES])
{
	/* Room for a module that writes more than it should. */
	uint8_t room[VALUE_BYTES_MAX] = { 0 };
	CK_MECHANISM ecdsa = { CKM_ECDSA, NULL, 0 };
	CK_ULONG len = sizeof room;
	CK_RV code = m->call->C_SignInit(m->session, &ecdsa, m->key);

	if (code == CKR_OK)
		code = m->call->C_Sign(m->session, (CK_BYTE *)(uintptr_t)digest.base, digest.len, room, &len);
	if (code != CKR_OK)
		return fail_code(err, "the token does not sign", code);
	if (len != TOKEN_SIGNATURE_BYTES) {
		snprintf(err, OS_ERROR_BYTES, "the token's signature has %lu bytes, and not %u", len, TOKEN_SIGNATURE_BYTES);
		return false;
	}
	memcpy(signature, room, TOKEN_SIGNATURE_BYTES);
	return true;
}
