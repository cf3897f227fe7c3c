#include "control/indexing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/search_index.h"
#include "platform/os/log.h"
#include "platform/os/sandbox.h"

#define EVERY_MS 1000
#define NICENESS 19

struct indexing {
	char dir[320], index[336];
	int bell[2]; /* a pipe: closed at the other end, it is over */
	atomic_bool ending;
	pthread_t thread;
	bool has_thread;
	sem_t ready; /* nice and confined: what that takes, the process may soon no longer do */
	char said[ARCHIVE_ERROR_BYTES]; /* the last failure that was logged */
};

static bool goes_on(void *ctx)
{
	struct indexing *ix = ctx;

	return !atomic_load(&ix->ending);
}

/* Waits for the next turn; false when it is over. */
static bool turn(struct indexing *ix)
{
	struct pollfd p = { .fd = ix->bell[0], .events = POLLIN };

	while (poll(&p, 1, EVERY_MS) < 0 && errno == EINTR)
		;
	return goes_on(ix);
}

/* The same failure comes every second: it is said once. */
static void failed(struct indexing *ix, const char *err)
{
	if (strcmp(ix->said, err) != 0)
		log_warn("index for searches: %s: searches read all records there", err);
	snprintf(ix->said, sizeof(ix->said), "%s", err);
}

static void *keep_up(void *arg)
{
	struct indexing *ix = arg;
	const char *const read[] = { ix->dir, NULL }, *const write[] = { ix->index, NULL };
	char err[ARCHIVE_ERROR_BYTES > OS_ERROR_BYTES ? ARCHIVE_ERROR_BYTES : OS_ERROR_BYTES];
	struct search_builder *b = NULL;
	enum search_step step = SEARCH_STEP_IDLE;

	bool confined;

	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
	confined = sandbox_files(read, write, err) != SANDBOX_FAILED;
	if (!confined)
		failed(ix, err);
	sem_post(&ix->ready);
	while (confined && (step == SEARCH_STEP_BUILT ? goes_on(ix) : turn(ix))) {
		/* There is no journal before the first start has made one. */
		if (!b && (b = search_builder_create(ix->dir, err)) == NULL)
			continue;
		step = search_builder_step(b, goes_on, ix, err);
		if (step == SEARCH_STEP_FAILED)
			failed(ix, err);
	}
	search_builder_destroy(b);
	return NULL;
}

struct indexing *indexing_create(const char *journal_dir, char err[OS_ERROR_BYTES])
{
	struct indexing *ix = calloc(1, sizeof(*ix));

	snprintf(err, OS_ERROR_BYTES, "index for searches: cannot start: free memory or descriptors");
	if (!ix)
		return NULL;
	ix->bell[0] = ix->bell[1] = -1;
	snprintf(ix->dir, sizeof(ix->dir), "%s", journal_dir);
	snprintf(ix->index, sizeof(ix->index), "%s/index", journal_dir);
	if (mkdir(ix->index, 0700) != 0 && errno != EEXIST)
		snprintf(err, OS_ERROR_BYTES, "%.200s: %.60s: let control write there", ix->index, strerror(errno));
	else if (sem_init(&ix->ready, 0, 0) == 0 && pipe2(ix->bell, O_CLOEXEC) == 0)
		ix->has_thread = pthread_create(&ix->thread, NULL, keep_up, ix) == 0;
	if (ix->has_thread) {
		while (sem_wait(&ix->ready) < 0)
			;
		return ix;
	}
	indexing_destroy(ix);
	return NULL;
}

void indexing_destroy(struct indexing *ix)
{
	if (!ix)
		return;
	atomic_store(&ix->ending, true);
	if (ix->bell[1] >= 0)
		close(ix->bell[1]);
	if (ix->has_thread)
		pthread_join(ix->thread, NULL);
	if (ix->bell[0] >= 0)
		close(ix->bell[0]);
	free(ix);
}
