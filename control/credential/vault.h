/* vault.h: memory for secrets: locked, not in core files, not inherited by children, wiped when it is freed.
 *
 * Whole pages, so for a few long-lived secrets and not for many small ones. Threading: any thread.
 */
#ifndef CONTROL_CREDENTIAL_VAULT_H
#define CONTROL_CREDENTIAL_VAULT_H

#include <stddef.h>

/* Zeroed. NULL: no memory, or it may not be locked (RLIMIT_MEMLOCK). */
void *vault_alloc(size_t size);

/* `size` as given to vault_alloc. NULL is allowed. */
void vault_free(void *base, size_t size);

#endif
