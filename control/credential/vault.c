/* vault.c: see vault.h. */
#include "control/credential/vault.h"

#include <sys/mman.h>
#include <unistd.h>

#include "platform/base/secret.h"

static size_t whole_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

void *vault_alloc(size_t size)
{
	size_t len = whole_pages(size);
	void *base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	if (mlock(base, len) == 0 && madvise(base, len, MADV_DONTDUMP) == 0 && madvise(base, len, MADV_WIPEONFORK) == 0)
		return base;
	munmap(base, len);
	return NULL;
}

void vault_free(void *base, size_t size)
{
	if (!base)
		return;
	secret_wipe(base, whole_pages(size));
	munmap(base, whole_pages(size));
}
