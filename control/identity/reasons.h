/* reasons.h: the reasons of reasons.def as an enum, with their journal words and texts. Static strings. */
#ifndef CONTROL_IDENTITY_REASONS_H
#define CONTROL_IDENTITY_REASONS_H

enum identity_reason {
#define IDENTITY_REASON(id, text) IDENTITY_##id,
#include "control/identity/reasons.def"
#undef IDENTITY_REASON
	IDENTITY_reason_count
};

/* The word in the journal, as "exp_passed"; "unknown" outside the list. */
const char *identity_reason_name(enum identity_reason reason);
/* One line for the operator. */
const char *identity_reason_text(enum identity_reason reason);

/* What every refused client is told, whatever the reason (identity.md 3). */
#define IDENTITY_CLIENT_TEXT "authentication failed: the token was refused"

#endif
