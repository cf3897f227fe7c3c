#include "dataplane/standby/life.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define PREPARE_TRIES 1000
#define PREPARE_US 1000
#define PREPARING 1u

_Static_assert(sizeof(pthread_mutex_t) <= sizeof((struct page_standby *)0)->life, "the mutex fits into its page");

static pthread_mutex_t *life_of(struct page_standby *page)
{
	return (pthread_mutex_t *)(void *)page->life;
}

static bool make(struct page_standby *page)
{
	pthread_mutexattr_t attributes;
	bool good = pthread_mutexattr_init(&attributes) == 0;

	good = good && pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0 &&
	       pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 && pthread_mutex_init(life_of(page), &attributes) == 0;
	page->bytes = sizeof *page;
	atomic_store(&page->magic, good ? PAGE_MAGIC : 0);
	return good;
}

bool life_prepare(struct page_standby *page)
{
	uint32_t none = 0;

	if (atomic_compare_exchange_strong(&page->magic, &none, PREPARING))
		return make(page);
	for (int i = 0; i < PREPARE_TRIES && atomic_load(&page->magic) != PAGE_MAGIC; i++) {
		struct timespec t = { .tv_nsec = PREPARE_US * 1000 };

		(void)nanosleep(&t, NULL);
	}
	return atomic_load(&page->magic) == PAGE_MAGIC && page->bytes == sizeof *page;
}

/* What a lock call said: whether the mutex is ours now. */
static bool taken(struct page_standby *page, int said)
{
	if (said == EOWNERDEAD)
		(void)pthread_mutex_consistent(life_of(page));
	return said == 0 || said == EOWNERDEAD;
}

bool life_hold(struct page_standby *page)
{
	int said = pthread_mutex_trylock(life_of(page));

	/* The standby has it for the moment between its wait and its release. */
	for (int i = 0; said == EBUSY && i < PREPARE_TRIES; i++) {
		struct timespec t = { .tv_nsec = PREPARE_US * 1000 };

		(void)nanosleep(&t, NULL);
		said = pthread_mutex_trylock(life_of(page));
	}
	return taken(page, said);
}

bool life_watch(struct page_standby *page, unsigned ms)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (!taken(page, pthread_mutex_clocklock(life_of(page), CLOCK_MONOTONIC, &until)))
		return false;
	(void)pthread_mutex_unlock(life_of(page));
	return true;
}
