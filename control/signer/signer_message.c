#include "control/signer/signer_message.h"

_Static_assert(1 + 8 + 1 + MERKLE_PROOF_MAX * MERKLE_HASH_BYTES + 2 + CHECKPOINT_BODY_MAX <= SIGNER_MESSAGE_BYTES_MAX,
	       "the largest request is one packet");

static void put_text(struct writer *out, struct bytes text)
{
	if (text.len > SIGNER_TEXT_BYTES_MAX)
		out->ok = false;
	writer_be16(out, (uint16_t)text.len);
	writer_put(out, text);
}

static bool has_next(enum signer_phase phase)
{
	return phase == SIGNER_READY || phase == SIGNER_OVERLAP;
}

static void put_keys(struct writer *out, const struct checkpoint_keys *keys)
{
	writer_u8(out, (uint8_t)strlen(keys->name));
	writer_str(out, keys->name);
	writer_bytes(out, keys->ed25519, sizeof keys->ed25519);
	put_text(out, bytes_of(keys->p256_spki, keys->has_p256 ? keys->p256_spki_len : 0));
}

bool signer_message_encode(const struct signer_message *m, struct writer *out)
{
	writer_u8(out, (uint8_t)m->type);
	switch (m->type) {
	case SIGNER_HELLO:
		break;
	case SIGNER_SIGN:
		writer_be64(out, m->old_size);
		writer_u8(out, (uint8_t)m->proof.count);
		writer_bytes(out, m->proof.hash, m->proof.count * sizeof m->proof.hash[0]);
		put_text(out, m->text);
		break;
	case SIGNER_KEYS:
		writer_be64(out, m->size);
		writer_bytes(out, m->root.b, sizeof m->root.b);
		writer_u8(out, (uint8_t)m->phase);
		put_keys(out, &m->keys);
		if (has_next(m->phase))
			put_keys(out, &m->next);
		break;
	case SIGNER_ROTATE:
		writer_u8(out, (uint8_t)m->step);
		writer_bytes(out, m->key, sizeof m->key);
		break;
	case SIGNER_DONE:
		break;
	case SIGNER_SIGNED:
	case SIGNER_REFUSED:
	case SIGNER_FAILED:
		put_text(out, m->text);
		break;
	default:
		out->ok = false;
	}
	return out->ok;
}

static struct bytes get_text(struct reader *r)
{
	size_t len = reader_be16(r);

	if (len > SIGNER_TEXT_BYTES_MAX)
		r->ok = false;
	return reader_bytes(r, len);
}

static void copy(void *to, size_t len, struct reader *r)
{
	struct bytes from = reader_bytes(r, len);

	if (from.len)
		memcpy(to, from.base, from.len);
}

static void get_keys(struct reader *r, struct checkpoint_keys *keys)
{
	size_t name = reader_u8(r);
	struct bytes spki;

	if (name == 0 || name >= sizeof keys->name) {
		r->ok = false;
		return;
	}
	copy(keys->name, name, r);
	copy(keys->ed25519, sizeof keys->ed25519, r);
	keys->has_ed25519 = true;
	spki = get_text(r);
	if (spki.len > sizeof keys->p256_spki) {
		r->ok = false;
		return;
	}
	if (spki.len)
		memcpy(keys->p256_spki, spki.base, spki.len);
	keys->p256_spki_len = spki.len;
	keys->has_p256 = spki.len > 0;
}

static void decode_keys(struct reader *r, struct signer_message *m)
{
	m->size = reader_be64(r);
	copy(m->root.b, sizeof m->root.b, r);
	m->phase = reader_u8(r);
	if (m->phase >= SIGNER_PHASES)
		r->ok = false;
	get_keys(r, &m->keys);
	if (has_next(m->phase))
		get_keys(r, &m->next);
}

static void decode_rotate(struct reader *r, struct signer_message *m)
{
	m->step = reader_u8(r);
	if (m->step < SIGNER_STEP_PREPARE || m->step > SIGNER_STEP_RETIRE)
		r->ok = false;
	copy(m->key, sizeof m->key, r);
}

bool signer_message_decode(struct bytes packet, struct signer_message *out)
{
	struct reader r = reader_of_bytes(packet);
	size_t count;

	*out = (struct signer_message){ .type = reader_u8(&r) };
	switch (out->type) {
	case SIGNER_HELLO:
		break;
	case SIGNER_SIGN:
		out->old_size = reader_be64(&r);
		count = reader_u8(&r);
		if (count > MERKLE_PROOF_MAX)
			r.ok = false;
		else
			copy(out->proof.hash, count * sizeof out->proof.hash[0], &r);
		out->proof.count = count;
		out->text = get_text(&r);
		break;
	case SIGNER_KEYS:
		decode_keys(&r, out);
		break;
	case SIGNER_ROTATE:
		decode_rotate(&r, out);
		break;
	case SIGNER_DONE:
		break;
	case SIGNER_SIGNED:
	case SIGNER_REFUSED:
	case SIGNER_FAILED:
		out->text = get_text(&r);
		break;
	default:
		r.ok = false;
	}
	if (r.ok && r.left == 0)
		return true;
	*out = (struct signer_message){ 0 };
	return false;
}
