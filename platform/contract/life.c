/* The trap: pthread_mutex_t is glibc's. Its first word is the futex of the kernel's robust protocol (linux/futex.h), which is part of
 * the ABI because the mutex is shared between processes; contract_test kills an owner to see that it still is. */
#include "platform/contract/life.h"

#include <linux/futex.h>
#include <string.h>

_Static_assert(sizeof(pthread_mutex_t) >= sizeof(uint32_t) && _Alignof(pthread_mutex_t) >= _Alignof(uint32_t), "the futex is its first word");

bool life_begin(struct life *l)
{
	pthread_mutexattr_t robust;
	bool good;

	if (pthread_mutexattr_init(&robust) != 0)
		return false;
	memset(&l->held, 0, sizeof(l->held));
	good = pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST) == 0 && pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED) == 0 &&
	       pthread_mutex_init(&l->held, &robust) == 0 && pthread_mutex_trylock(&l->held) == 0;
	pthread_mutexattr_destroy(&robust);
	life_beat(l, false);
	return good;
}

void life_beat(struct life *l, bool busy)
{
	uint64_t beat = life_beats(l);

	atomic_store_explicit(&l->beat, ((beat | 1) + 1) | busy, memory_order_relaxed);
}

bool life_over(const struct life *l)
{
	const _Atomic uint32_t *word = (const _Atomic uint32_t *)(const void *)&l->held;

	return atomic_load_explicit(word, memory_order_relaxed) & FUTEX_OWNER_DIED;
}
