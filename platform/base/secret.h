/* secret.h: wiping memory that held a secret, in a way that no compiler drops. */
#ifndef PLATFORM_BASE_SECRET_H
#define PLATFORM_BASE_SECRET_H

#include <stddef.h>
#include <string.h>

static inline void secret_wipe(void *base, size_t len)
{
	explicit_bzero(base, len);
}

#endif
