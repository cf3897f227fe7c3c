/* issuer.h: one issuer at work: its checked entry, its keys, and their fetches (identity.md 5).
 *
 * An issuer lives as long as the identity that made it; its key state may be handed to the next one when the policy
 * is reloaded and the entry still means the same keys.
 */
#ifndef CONTROL_IDENTITY_ISSUER_H
#define CONTROL_IDENTITY_ISSUER_H

#include "control/egress/wire.h"
#include "control/identity/identity.h"
#include "control/identity/keyset.h"
#include "control/identity/refresh.h"

#define ISSUER_NAME_BYTES 64

/* Keys and fetches; survives a reload. */
struct issuer_keys {
	char name[ISSUER_NAME_BYTES];
	char issuer[EGRESS_URL_BYTES + 1];
	char ca[EGRESS_CA_BYTES + 1];
	char url_discovery[EGRESS_URL_BYTES + 1];
	char url_keys[EGRESS_URL_BYTES + 1]; /* "" until discovery has found it */
	bool url_configured;
	struct jwk_pins pins;
	struct keyset set;
	uint64_t version; /* 0: never loaded */
	uint64_t fetch_id; /* under way; 0: none */
	enum identity_fetch_kind fetch_kind;
	struct refresh refresh;
};

struct issuer {
	struct identity_issuer entry; /* strings in `strings` */
	char *strings;
	struct issuer_keys *keys;
};

/* NULL, or what is wrong with the entry; `out` then holds nothing. */
const char *issuer_open(const struct identity_issuer *entry, struct issuer *out);
void issuer_close(struct issuer *issuer);

/* Takes the keys of `old` when both mean the same; true when it did. */
bool issuer_inherit(struct issuer *issuer, struct issuer *old);

/* Fills `out` when a request is due; `id` is what it will be known by. */
bool issuer_wants_fetch(struct issuer *issuer, int64_t mono_s, uint64_t id, struct identity_fetch *out);
void issuer_fetched(struct issuer *issuer, unsigned http_status, struct bytes body, int64_t mono_s, struct identity_fetch_report *report);

/* The key for a strictly opened token. NULL: refused for *why, or, when *wait, a refresh may bring it. */
const struct jwk *issuer_key(struct issuer *issuer, const struct jwt *jwt, int64_t mono_s, enum identity_reason *why, bool *wait);

#endif
