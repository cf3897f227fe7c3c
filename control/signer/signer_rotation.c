/* signer_rotation.c: see signer_rotation.h. The phase in the state is the only memory of how far it is; files follow it. */
#include "control/signer/signer_rotation.h"

#include <string.h>

static const char next_prefix[] = "next-";

/* The keys in force go on alone. */
static const char *give_up(struct signer *s, const char **note)
{
	signer_keys_free(&s->next);
	*note = "rotation: the new keys cannot be made or read, or are the old ones: given up, the keys in force go on";
	return signer_state_go(&s->state, SIGNER_STABLE) ? NULL : "the state cannot be saved";
}

static const char *start_next(struct signer *s, const char *dir, const char *origin, const char **note)
{
	bool make = s->state.phase == SIGNER_MAKE;

	if (signer_keys_load(&s->next, dir, next_prefix, origin, make) != NULL ||
	    !memcmp(s->next.public.ed25519, s->keys.public.ed25519, sizeof s->next.public.ed25519))
		return give_up(s, note);
	return !make || signer_state_go(&s->state, SIGNER_READY) ? NULL : "the state cannot be saved";
}

static const char *start_retired(struct signer *s, const char *dir, const char *origin, const char **note)
{
	const char *wrong;

	if (signer_keys_replace(dir, next_prefix)) {
		wrong = signer_keys_load(&s->keys, dir, "", origin, false);
		return wrong || signer_state_go(&s->state, SIGNER_STABLE) ? wrong : "the state cannot be saved";
	}
	/* The old key must not sign any more, whatever the directory says to its files. */
	*note = "rotation: the old keys' files cannot be destroyed: check the disk; the new keys sign";
	wrong = signer_keys_load(&s->keys, dir, next_prefix, origin, false);
	return wrong ? signer_keys_load(&s->keys, dir, "", origin, false) : NULL;
}

const char *signer_rotation_start(struct signer *s, const char *dir, const char *origin, const char *state, bool init, const char **note)
{
	const char *wrong = NULL;

	*note = NULL;
	/* Keys before the state: --init is for as long as there is no state. */
	if (init)
		wrong = signer_keys_load(&s->keys, dir, "", origin, true);
	if (!wrong)
		wrong = signer_state_open(&s->state, state, init);
	if (wrong)
		return wrong;
	if (s->state.phase == SIGNER_RETIRE) {
		signer_keys_free(&s->keys);
		return start_retired(s, dir, origin, note);
	}
	if (!s->keys.ed25519)
		wrong = signer_keys_load(&s->keys, dir, "", origin, false);
	return wrong || s->state.phase == SIGNER_STABLE ? wrong : start_next(s, dir, origin, note);
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
