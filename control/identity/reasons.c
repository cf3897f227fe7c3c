/* reasons.c: the names and texts of reasons.def. */
#include "control/identity/reasons.h"

static const char *const names[] = {
#define IDENTITY_REASON(id, text) #id,
#include "control/identity/reasons.def"
#undef IDENTITY_REASON
};

static const char *const texts[] = {
#define IDENTITY_REASON(id, text) text,
#include "control/identity/reasons.def"
#undef IDENTITY_REASON
};

const char *identity_reason_name(enum identity_reason reason)
{
	return (unsigned)reason < IDENTITY_reason_count ? names[reason] : "unknown";
}

const char *identity_reason_text(enum identity_reason reason)
{
	return (unsigned)reason < IDENTITY_reason_count ? texts[reason] : "unknown";
}
