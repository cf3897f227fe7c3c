#include "control/signer/signer_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/os/durable.h"

static const char magic[] = "sluice-signer-2\n", magic_before[] = "sluice-signer-1\n";

enum { BODY_BEFORE_BYTES = sizeof magic - 1 + 8 + 8 + MERKLE_HASH_BYTES };

static void slot_encode(uint8_t slot[SIGNER_STATE_SLOT_BYTES], uint64_t sequence, uint64_t size, const struct merkle_hash *root,
			enum signer_phase phase)
{
	struct writer w = writer_of(slot, SIGNER_STATE_SLOT_BYTES);
	struct merkle_hash sum;

	memset(slot, 0, SIGNER_STATE_SLOT_BYTES);
	writer_str(&w, magic);
	writer_be64(&w, sequence);
	writer_be64(&w, size);
	writer_bytes(&w, root->b, sizeof root->b);
	writer_u8(&w, (uint8_t)phase);
	sum = merkle_sha256(writer_done(&w));
	writer_bytes(&w, sum.b, sizeof sum.b);
}

static bool slot_decode(const uint8_t slot[SIGNER_STATE_SLOT_BYTES], struct signer_state *s)
{
	struct reader r = reader_of(slot, SIGNER_STATE_SLOT_BYTES);
	bool before = !memcmp(slot, magic_before, sizeof magic_before - 1);
	struct merkle_hash sum = merkle_sha256(bytes_of(slot, before ? BODY_BEFORE_BYTES : BODY_BEFORE_BYTES + 1));
	uint64_t sequence, size;
	struct bytes root;
	uint8_t phase;

	if (!before && memcmp(slot, magic, sizeof magic - 1) != 0)
		return false;
	reader_skip(&r, sizeof magic - 1);
	sequence = reader_be64(&r);
	size = reader_be64(&r);
	root = reader_bytes(&r, MERKLE_HASH_BYTES);
	phase = before ? SIGNER_STABLE : reader_u8(&r);
	if (!bytes_equal(reader_bytes(&r, MERKLE_HASH_BYTES), bytes_of(sum.b, sizeof sum.b)) || phase >= SIGNER_PHASES)
		return false;
	if (sequence >= s->sequence) {
		s->sequence = sequence;
		s->size = size;
		s->phase = phase;
		memcpy(s->root.b, root.base, root.len);
	}
	return true;
}

static const char *create(struct signer_state *s, const char *path)
{
	struct merkle_hash root = merkle_empty();
	uint8_t slots[2 * SIGNER_STATE_SLOT_BYTES];

	slot_encode(slots, 0, 0, &root, SIGNER_STABLE);
	slot_encode(slots + SIGNER_STATE_SLOT_BYTES, 1, 0, &root, SIGNER_STABLE);
	if (pwrite(s->fd, slots, sizeof slots, 0) != sizeof slots || fsync(s->fd) != 0 || durable_sync_parent(path) != 0)
		return "the state file cannot be written";
	return NULL;
}

static const char *slots_read(struct signer_state *s, int fd)
{
	uint8_t slots[2 * SIGNER_STATE_SLOT_BYTES];
	bool good;

	if (pread(fd, slots, sizeof slots, 0) != sizeof slots)
		return "the state file is too short";
	good = slot_decode(slots, s);
	good = slot_decode(slots + SIGNER_STATE_SLOT_BYTES, s) || good;
	return good ? NULL : "the state file is damaged";
}

const char *signer_state_look(struct signer_state *s, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const char *wrong;

	*s = (struct signer_state){ .fd = -1 };
	if (fd < 0)
		return "the state file is not there or cannot be opened";
	wrong = slots_read(s, fd);
	close(fd);
	return wrong;
}

const char *signer_state_open(struct signer_state *s, const char *path, bool init)
{
	const char *wrong = NULL;
	bool fresh = false;

	*s = (struct signer_state){ .fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW) };
	if (s->fd < 0 && init) {
		s->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		fresh = true;
	}
	if (s->fd < 0)
		return "the state file is not there or cannot be opened";
	if (flock(s->fd, LOCK_EX | LOCK_NB) != 0)
		wrong = "another signer has the state file open";
	if (!wrong && fresh)
		wrong = create(s, path);
	if (!wrong)
		wrong = slots_read(s, s->fd);
	if (wrong)
		signer_state_close(s);
	return wrong;
}

void signer_state_close(struct signer_state *s)
{
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct signer_state){ .fd = -1 };
}

static bool save(struct signer_state *s, uint64_t size, const struct merkle_hash *root, enum signer_phase phase)
{
	uint8_t slot[SIGNER_STATE_SLOT_BYTES];
	uint64_t sequence = s->sequence + 1;

	slot_encode(slot, sequence, size, root, phase);
	if (pwrite(s->fd, slot, sizeof slot, (off_t)(sequence % 2 * SIGNER_STATE_SLOT_BYTES)) != sizeof slot || fdatasync(s->fd) != 0)
		return false;
	s->sequence = sequence;
	s->size = size;
	s->root = *root;
	s->phase = phase;
	return true;
}

bool signer_state_save(struct signer_state *s, uint64_t size, const struct merkle_hash *root)
{
	return save(s, size, root, s->phase);
}

bool signer_state_go(struct signer_state *s, enum signer_phase phase)
{
	struct merkle_hash root = s->root;

	return save(s, s->size, &root, phase);
}
