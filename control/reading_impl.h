/* reading_impl.h: what the files of reading.h share. */
#ifndef CONTROL_READING_IMPL_H
#define CONTROL_READING_IMPL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "control/journal/archive.h"
#include "control/reading.h"

struct readings {
	char dir[320], keys_dir[320], captures_dir[320];
	const struct export_key *key; /* signs the manifests of bundles */
	int jobs[2];  /* a pipe of struct job: the queue and its bell in one */
	int ended[2]; /* a pipe of struct reading_given *, read without waiting */
	pthread_mutex_t signed_lock; /* of the following */
	bool signed_known;
	uint64_t signed_size;
	struct merkle_hash signed_root;
	atomic_uint under_way;
	atomic_bool ending;
	pthread_t thread[READING_THREADS];
	unsigned threads;
	sem_t ready;
	atomic_bool failed;
	char err[OS_ERROR_BYTES];
};

struct reading {
	struct readings *all;
	int fd;
	json_t *args;
	struct archive *archive;
	bool gone; /* the reader, or this process */
	uint64_t records, sessions, keys, erased;
	char manifest[65];
	bool audit, wrong_is_missing;
	uint64_t findings;
	char wrong[READING_WRONG_BYTES];
	uint64_t next; /* where the next page begins; 0: there is none */
	time_t told_s; /* when progress was told last */
	char error[ARCHIVE_ERROR_BYTES + 160];
};

/* A frame of the stream; `document` is taken. */
void reading_frame(struct reading *r, json_t *document);
/* What the last frame says instead of nothing. */
void reading_fail(struct reading *r, const char *what, const char *why, const char *remedy);
/* The log's public keys, as they lie beside the journal. False after an error. */
bool reading_keys(struct reading *r, struct checkpoint_keys *keys);

/* reading_verify.c: the audit. */
void reading_verify(struct reading *r);

#endif
