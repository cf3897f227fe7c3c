/* The trap on both sides: what is in the file may change between two looks. So each number is read once, and everything that is
 * checked is checked in a copy. */
#include "platform/contract/capture.h"

#include <string.h>

struct capture_file *capture_open(void *memory, size_t len)
{
	struct capture_file *f = memory;
	uint32_t magic = 0;

	if (!f || len != sizeof *f)
		return NULL;
	/* Two processes may do this at once: both write the same. */
	(void)atomic_compare_exchange_strong(&f->magic, &magic, CAPTURE_MAGIC);
	return atomic_load(&f->magic) == CAPTURE_MAGIC ? f : NULL;
}

static bool place_ok(const struct capture_place *p)
{
	unsigned bits = p->family == 4 ? 32 : p->family == 6 ? 128 : 0;

	if (p->family != 0 && bits == 0)
		return false;
	return p->prefix <= bits && (p->vlan < 4096 || p->vlan == CAPTURE_ANY_VLAN) && p->zero == 0;
}

bool capture_request_ok(const struct capture_request *r)
{
	if (r->snap > CAPTURE_FRAMES || r->targets > CAPTURE_TARGETS)
		return false;
	if (r->protocol != 0 && r->protocol != 1 && r->protocol != 6 && r->protocol != 17)
		return false;
	if (r->vlan >= 4096 && r->vlan != CAPTURE_ANY_VLAN)
		return false;
	if (r->zero[0] || r->zero[1] || r->zero[2])
		return false;
	for (unsigned i = 0; i < r->targets; i++)
		if (!place_ok(&r->target_of[i]) || r->target_of[i].family == 0)
			return false;
	return place_ok(&r->client) && place_ok(&r->target) && place_ok(&r->host);
}

/* --- control ------------------------------------------------------------------------------------------------------------- */

uint64_t capture_ask(struct capture_file *f, const struct capture_request *r)
{
	/* Whoever wrote last may have died in the middle: odd becomes odd again. */
	uint64_t number = (atomic_load(&f->wanted) | 1) + 2;

	atomic_store(&f->wanted, number);
	atomic_thread_fence(memory_order_release);
	f->request = *r;
	atomic_store_explicit(&f->wanted, number + 1, memory_order_release);
	return number + 1;
}

struct capture_reader capture_reader_of(struct capture_file *f)
{
	struct capture_reader r = { .file = f, .tail = atomic_load_explicit(&f->head, memory_order_acquire) };

	atomic_store_explicit(&f->tail, r.tail, memory_order_release);
	return r;
}

static bool record_ok(const struct capture_record *r)
{
	return r->captured <= CAPTURE_SNAP_BYTES && r->captured <= r->original && r->original <= CAPTURE_FRAME_BYTES_MAX && r->port < CAPTURE_PORTS &&
	       (r->direction & ~CAPTURE_MORE) <= CAPTURE_OUT;
}

enum capture_got capture_read(struct capture_reader *r, struct capture_record *out)
{
	uint64_t head = atomic_load_explicit(&r->file->head, memory_order_acquire);
	struct capture_record *slot = &r->file->slot[r->tail & (CAPTURE_SLOTS - 1)];

	if (head == r->tail)
		return CAPTURE_NONE;
	if (head - r->tail > CAPTURE_SLOTS)
		return CAPTURE_BROKEN;
	*out = *slot;
	memset(slot, 0, sizeof *slot);
	r->tail++;
	atomic_store_explicit(&r->file->tail, r->tail, memory_order_release);
	return record_ok(out) ? CAPTURE_GOT : CAPTURE_BROKEN;
}

void capture_wipe(struct capture_reader *r)
{
	memset(r->file->slot, 0, sizeof r->file->slot);
	*r = capture_reader_of(r->file);
}

/* --- worker -------------------------------------------------------------------------------------------------------------- */

struct capture_writer capture_writer_of(struct capture_file *f)
{
	return (struct capture_writer){ .file = f, .head = atomic_load(&f->head), .tail = atomic_load(&f->tail) };
}

bool capture_take(struct capture_writer *w, struct capture_request *out)
{
	uint64_t number = atomic_load_explicit(&w->file->wanted, memory_order_acquire);

	if (number & 1)
		return false;
	*out = w->file->request;
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&w->file->wanted, memory_order_relaxed) != number)
		return false;
	if (!capture_request_ok(out)) {
		*out = (struct capture_request){ 0 };
		atomic_store_explicit(&w->file->refused, number, memory_order_relaxed);
	}
	w->taken = number;
	atomic_store_explicit(&w->file->answered, number, memory_order_release);
	return true;
}

bool capture_room(struct capture_writer *w, unsigned count)
{
	if (w->head - w->tail > CAPTURE_SLOTS - count)
		w->tail = atomic_load_explicit(&w->file->tail, memory_order_acquire);
	/* A tail that makes no sense leaves no room either. */
	return w->head - w->tail <= CAPTURE_SLOTS - count;
}

struct capture_record *capture_slot(struct capture_writer *w)
{
	return capture_room(w, 1) ? capture_slot_of(w, 0) : NULL;
}

void capture_done_all(struct capture_writer *w, unsigned count)
{
	w->head += count;
	atomic_store_explicit(&w->file->head, w->head, memory_order_release);
}

void capture_done(struct capture_writer *w)
{
	capture_done_all(w, 1);
}
