#include "control/signer/signer.h"

#include "control/signer/signer_message.h"
#include "control/signer/signer_rotation.h"

/* NULL when the checkpoint may be signed. */
static const char *judge(const struct signer *s, const struct signer_message *m, struct checkpoint *c)
{
	const char *wrong = checkpoint_parse(m->text, false, c, NULL);

	if (s->broken)
		return "the state could not be saved; nothing is signed until the signer is started again";
	if (wrong)
		return wrong;
	if (strcmp(c->origin, s->keys.public.name) != 0)
		return "a checkpoint of another origin";
	if (c->size < s->state.size)
		return "a tree smaller than the one signed last";
	if (c->size == s->state.size && !merkle_equal(&c->root, &s->state.root))
		return "a tree of the size signed last with another root";
	if (m->old_size != s->state.size)
		return "a proof that does not begin at the size signed last";
	if (!merkle_check_consistency(s->state.size, &s->state.root, c->size, &c->root, &m->proof))
		return "no proof that the tree extends the one signed last";
	return NULL;
}

/* All lines or none: one line less would look like a key that was given up. */
static const char *sign_all(struct signer *s, struct bytes body, struct writer *lines)
{
	const char *wrong = signer_keys_sign(&s->keys, body, lines);

	return wrong || s->state.phase != SIGNER_OVERLAP ? wrong : signer_keys_sign(&s->next, body, lines);
}

static void handle_sign(struct signer *s, const struct signer_message *m, struct writer *answer)
{
	struct signer_message out = { .type = SIGNER_REFUSED };
	uint8_t text[SIGNER_TEXT_BYTES_MAX];
	struct writer lines = writer_of(text, sizeof text);
	struct checkpoint c;
	const char *wrong = judge(s, m, &c);

	if (!wrong && c.size > s->state.size && !signer_state_save(&s->state, c.size, &c.root)) {
		s->broken = true;
		wrong = "the state cannot be saved";
	}
	if (!wrong && (wrong = sign_all(s, m->text, &lines)) != NULL) {
		/* The next start logs in again. What is in the state may be asked for again as well. */
		out.type = SIGNER_FAILED;
		s->failed = wrong;
		s->ends = true;
	} else if (!wrong) {
		out.type = SIGNER_SIGNED;
	}
	out.text = wrong ? bytes_str(wrong) : writer_done(&lines);
	signer_message_encode(&out, answer);
}

static void handle_rotate(struct signer *s, const struct signer_message *m, struct writer *answer)
{
	const char *wrong = s->broken ? "the state could not be saved" : signer_rotation_step(s, m->step, m->key);
	const struct signer_message out = { .type = wrong ? SIGNER_REFUSED : SIGNER_DONE, .text = bytes_str(wrong ? wrong : "") };

	signer_message_encode(&out, answer);
}

void signer_handle(struct signer *s, struct bytes packet, struct writer *answer)
{
	struct signer_message m, out = { .type = SIGNER_REFUSED, .text = bytes_str("a malformed message") };

	if (!signer_message_decode(packet, &m)) {
		signer_message_encode(&out, answer);
	} else if (m.type == SIGNER_SIGN) {
		handle_sign(s, &m, answer);
	} else if (m.type == SIGNER_HELLO) {
		out = (struct signer_message){ .type = SIGNER_KEYS, .keys = s->keys.public, .next = s->next.public, .phase = s->state.phase,
					       .size = s->state.size, .root = s->state.root };
		signer_message_encode(&out, answer);
	} else if (m.type == SIGNER_ROTATE) {
		handle_rotate(s, &m, answer);
	} else {
		out.text = bytes_str("a message that the signer does not take");
		signer_message_encode(&out, answer);
	}
}
