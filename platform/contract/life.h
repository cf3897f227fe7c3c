/* life.h: a sure sign, in shared memory, that a process is there: read without a system call.
 *
 * Two words beside each other. `held` is a robust mutex that the owner takes once and never gives back: when the owner's thread
 * ends, whatever the cause (kill -9, a crash, an ordered end), the kernel itself marks the mutex (FUTEX_OWNER_DIED, set_robust_list(2)).
 * `beat` is a counter that the owner moves on in every turn of its loop: it shows an owner that is alive and does not get on, because
 * a disk stalls or somebody stopped it. An odd beat announces work of some seconds that is not the journal's.
 *
 * Trust: the memory is writable by the other side too. The owner makes the mutex anew when it begins and never unlocks it, so
 * nothing that it follows lies in this memory; what a hostile side can forge is that the owner is gone, which refuses commands.
 * Owner: one thread of one process at a time. Readers: any, no lock, no call.
 */
#ifndef PLATFORM_CONTRACT_LIFE_H
#define PLATFORM_CONTRACT_LIFE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct life {
	pthread_mutex_t held;
	_Atomic uint64_t beat;
};

/* The calling thread is the owner from now on, until it ends. False: the C library refuses. */
[[gnu::warn_unused_result]] bool life_begin(struct life *l);

/* Owner: another turn. `busy`: the next one may take some seconds. */
void life_beat(struct life *l, bool busy);

/* Reader: the owner has ended, and nobody has begun after it. False also when there never was one. */
bool life_over(const struct life *l);

static inline uint64_t life_beats(const struct life *l)
{
	return atomic_load_explicit(&l->beat, memory_order_relaxed);
}

#endif
