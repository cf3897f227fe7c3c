/* reassembly.c: a list of chunks sorted by sequence number, disjoint. A segment is cut into the gaps between them. */
#include "dataplane/tcp/reassembly.h"

#include <string.h>

#include "dataplane/tcp/seq.h"

static uint32_t chunk_end(const struct tcp_chunk *chunk)
{
	return chunk->seq + chunk->len;
}

static uint32_t chunks_max(const struct tcp_receive *receive)
{
	return receive->limit_bytes / (uint32_t)sizeof(((struct tcp_chunk *)0)->data) * 2 + 16;
}

static struct tcp_chunk *insert_chunk(struct tcp_receive *receive, struct tcp_pool *pool, struct tcp_chunk *before,
				      uint32_t seq)
{
	struct tcp_queue *held = &receive->held;
	bool allowed = held->chunks < chunks_max(receive) && !tcp_pool_low(pool);
	struct tcp_chunk *chunk = allowed ? tcp_pool_get(pool, false) : NULL;

	if (!chunk)
		return NULL;
	chunk->seq = seq;
	chunk->next = before ? before->next : held->head;
	if (before)
		before->next = chunk;
	else
		held->head = chunk;
	if (held->tail == before)
		held->tail = chunk;
	held->chunks++;
	return chunk;
}

/* Copies `data` into the gap behind `*before`, which moves on to the last chunk written. Returns the bytes stored. */
static uint32_t fill_gap(struct tcp_receive *receive, struct tcp_pool *pool, struct tcp_chunk **before, uint32_t seq,
			 struct bytes data)
{
	uint32_t stored = 0;

	while (stored < data.len) {
		struct tcp_chunk *chunk = *before;
		size_t room, part = data.len - stored;

		if (!chunk || chunk_end(chunk) != seq + stored || chunk->offset + chunk->len == sizeof(chunk->data))
			chunk = insert_chunk(receive, pool, *before, seq + stored);
		if (!chunk)
			break;
		room = sizeof(chunk->data) - chunk->offset - chunk->len;
		part = part < room ? part : room;
		memcpy(chunk->data + chunk->offset + chunk->len, data.base + stored, part);
		chunk->len = (uint16_t)(chunk->len + part);
		receive->held.bytes += (uint32_t)part;
		stored += (uint32_t)part;
		*before = chunk;
	}
	return stored;
}

uint32_t tcp_reassembly_put(struct tcp_receive *receive, struct tcp_pool *pool, uint32_t seq, struct bytes data)
{
	struct tcp_chunk *before = NULL, *after = receive->held.head;
	uint32_t done = 0;

	if (receive->held.tail && seq_upto(chunk_end(receive->held.tail), seq)) { /* the usual case: behind the last one */
		before = receive->held.tail;
		after = NULL;
	}
	while (done < data.len) {
		uint32_t at = seq + done, left = (uint32_t)data.len - done, part = left;

		while (after && seq_upto(chunk_end(after), at)) {
			before = after;
			after = after->next;
		}
		if (after && seq_upto(after->seq, at)) { /* already held */
			part = chunk_end(after) - at;
			done += part < left ? part : left;
			continue;
		}
		if (after && after->seq - at < part)
			part = after->seq - at;
		left = fill_gap(receive, pool, &before, at, bytes_of(data.base + done, part));
		done += left;
		if (left < part)
			break;
	}
	return done;
}

uint32_t tcp_reassembly_pull(struct tcp_receive *receive, struct tcp_pool *pool)
{
	struct tcp_queue *held = &receive->held;
	uint32_t before = receive->next;

	while (held->head && seq_upto(held->head->seq, receive->next)) {
		struct tcp_chunk *head = held->head;
		uint32_t stale = receive->next - head->seq;

		if (stale >= head->len) {
			(void)tcp_queue_consume(held, pool, head->len);
			continue;
		}
		if (stale > 0) {
			(void)tcp_queue_consume(held, pool, stale);
			head->seq += stale;
		}
		receive->next += head->len;
		(void)tcp_queue_move(held, &receive->queue, pool, head->len);
	}
	return receive->next - before;
}

void tcp_sack_note(struct tcp_receive *receive, uint32_t start, uint32_t end)
{
	struct tcp_sack_block *b = receive->sack;
	unsigned kept = 0;

	for (unsigned i = 0; i < receive->sack_count; i++) {
		if (seq_upto(start, b[i].end) && seq_upto(b[i].start, end)) {
			start = seq_min(start, b[i].start);
			end = seq_max(end, b[i].end);
		} else {
			b[kept++] = b[i];
		}
	}
	if (kept == TCP_SACK_MAX)
		kept--;
	memmove(b + 1, b, kept * sizeof(*b));
	b[0] = (struct tcp_sack_block){ start, end };
	receive->sack_count = (uint8_t)(kept + 1);
}

void tcp_sack_duplicate(struct tcp_receive *receive, uint32_t start, uint32_t end)
{
	receive->duplicate = (struct tcp_sack_block){ start, end };
	receive->duplicate_known = start != end;
}

void tcp_sack_advance(struct tcp_receive *receive)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < receive->sack_count; i++)
		if (seq_after(receive->sack[i].start, receive->next))
			receive->sack[kept++] = receive->sack[i];
	receive->sack_count = (uint8_t)kept;
}

void tcp_sack_report(const struct tcp_receive *receive, struct tcp_options *options)
{
	unsigned count = 0;

	if (receive->duplicate_known)
		options->sack[count++] = receive->duplicate;
	for (unsigned i = 0; i < receive->sack_count && count < TCP_SACK_MAX; i++)
		options->sack[count++] = receive->sack[i];
	options->sack_count = (uint8_t)count;
}
