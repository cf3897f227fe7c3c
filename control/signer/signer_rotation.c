/* signer_rotation.c: see signer_rotation.h. The phase in the state is the only memory of how far it is; files follow it. */
#include "control/signer/signer_rotation.h"

#include <stdio.h>
#include <string.h>

#include "platform/os/error.h"

static const char next_prefix[] = "next-";

/* The keys in force go on alone. */
static const char *give_up(struct signer *s, const char *why, const char **note)
{
	signer_keys_free(&s->next);
	*note = why;
	return signer_state_go(&s->state, SIGNER_STABLE) ? NULL : "the state cannot be saved";
}

/* A key that is in force, or was, must not be the new one. */
static bool is_old(const struct checkpoint_keys *new, const struct checkpoint_keys *old)
{
	return !memcmp(new->ed25519, old->ed25519, sizeof new->ed25519) ||
	       (new->has_p256 && old->has_p256 && bytes_equal(bytes_of(new->p256_spki, new->p256_spki_len), bytes_of(old->p256_spki, old->p256_spki_len)));
}

static const char *start_next(struct signer *s, const struct signer_place *place, const char **note)
{
	static const char given_up[] = "rotation: the new keys cannot be made or read, or are the old ones: given up, the keys in force go on";
	bool make = s->state.phase == SIGNER_MAKE, of_token;
	const char *wrong;

	/* A file would be a step back, and nobody asked for it. */
	if (make && s->keys.token.is_used && !signer_keys_have_p256(place->dir, next_prefix))
		return give_up(s, "rotation: the key in force lies in a token: put next-p256.uri there first: given up, the keys in force go on", note);
	wrong = signer_keys_load(&s->next, place, next_prefix, make, &of_token);
	if (wrong && of_token && !make)
		return wrong;
	if (wrong && of_token) {
		static char why[OS_ERROR_BYTES];

		snprintf(why, sizeof why, "rotation: next-p256.uri: %.150s: given up, the keys in force go on", wrong);
		return give_up(s, why, note);
	}
	if (wrong || is_old(&s->next.public, &s->keys.public))
		return give_up(s, given_up, note);
	return !make || signer_state_go(&s->state, SIGNER_READY) ? NULL : "the state cannot be saved";
}

static const char *start_retired(struct signer *s, const struct signer_place *place, const char **note)
{
	const char *wrong;
	bool of_token;

	if (signer_keys_replace(place->dir, next_prefix)) {
		wrong = signer_keys_load(&s->keys, place, "", false, NULL);
		return wrong || signer_state_go(&s->state, SIGNER_STABLE) ? wrong : "the state cannot be saved";
	}
	/* The old key must not sign any more, whatever the directory says to its files. */
	*note = "rotation: the old keys' files cannot be destroyed: check the disk; the new keys sign";
	wrong = signer_keys_load(&s->keys, place, next_prefix, false, &of_token);
	return wrong && !of_token ? signer_keys_load(&s->keys, place, "", false, NULL) : wrong;
}

const char *signer_rotation_start(struct signer *s, const struct signer_place *place, bool init, const char **note)
{
	const char *wrong = NULL;

	*note = NULL;
	/* Keys before the state: --init is for as long as there is no state. */
	if (init)
		wrong = signer_keys_load(&s->keys, place, "", true, NULL);
	if (!wrong)
		wrong = signer_state_open(&s->state, place->state, init);
	if (wrong)
		return wrong;
	if (s->state.phase == SIGNER_RETIRE) {
		signer_keys_free(&s->keys);
		return start_retired(s, place, note);
	}
	if (!s->keys.ed25519)
		wrong = signer_keys_load(&s->keys, place, "", false, NULL);
	return wrong || s->state.phase == SIGNER_STABLE ? wrong : start_next(s, place, note);
}

const char *signer_rotation_step(struct signer *s, enum signer_step step, const uint8_t key[32])
{
	static const struct {
		enum signer_phase from, to;
		bool about_next, ends;
	} steps[] = {
		[SIGNER_STEP_PREPARE] = { SIGNER_STABLE, SIGNER_MAKE, false, true },
		[SIGNER_STEP_OVERLAP] = { SIGNER_READY, SIGNER_OVERLAP, true, false },
		[SIGNER_STEP_RETIRE] = { SIGNER_OVERLAP, SIGNER_RETIRE, true, true },
	};
	const struct signer_keys *about = steps[step].about_next ? &s->next : &s->keys;

	if (step == SIGNER_STEP_PREPARE && s->state.phase != SIGNER_STABLE)
		return "a rotation is under way";
	if (s->state.phase != steps[step].from || s->ends)
		return "a step that is not the next one";
	if (memcmp(about->public.ed25519, key, sizeof about->public.ed25519) != 0)
		return "a step about another key";
	if (!signer_state_go(&s->state, steps[step].to)) {
		s->broken = true;
		return "the state cannot be saved";
	}
	s->ends = steps[step].ends;
	return NULL;
}
