/* adopt.c: a new policy while the session goes on (policy.md 6).
 *
 * Class numbers belong to one snapshot. When the classes are the same things as before, nothing changes for what is under way; when they
 * are not, answers under way whose masks were given in the old numbers cannot be masked any more, and are ended with an error.
 */
#include "dataplane/inspect/postgres/session.h"

static uint64_t classes_hash(const struct inspect_snapshot *p)
{
	const struct hash_key key = { 0x636c6173, 0x736573 };
	struct { uint64_t before; struct class_bits detectors; uint64_t kind, name; } row = { 0 };

	for (unsigned i = 0; i < p->classes_count; i++) {
		struct bytes name = policy_class(p->image, i).name;

		row.detectors = p->classes[i].detectors;
		row.kind = p->classes[i].mask.kind;
		row.name = hash64(key, name.len ? name.base : (const uint8_t *)"", name.len);
		row.before = hash64(key, &row, sizeof(row));
	}
	/* Detectors are numbers of the match set. */
	for (unsigned i = 0; p->match && i < match_class_count(p->match); i++) {
		const char *name = match_class_name(p->match, i);

		row.name = hash64(key, name, strlen(name));
		row.before = hash64(key, &row, sizeof(row));
	}
	return row.before;
}

enum pg_step pg_adopt_new(struct pg_session *s, struct pg_io *io)
{
	const struct inspect_snapshot *p = s->env->snapshot;
	uint64_t classes = classes_hash(p) | 1;

	if (s->policy_classes && s->policy_classes != classes) {
		pg_plan_none(s);
		s->hidden = (struct class_bits){ 0 };
		for (unsigned i = 0; i < LIMIT_CLASSES; i++)
			class_bits_add(&s->hidden, i); /* cursors made before may yield anything */
		for (unsigned i = 0; i < s->held_taints; i++)
			s->held_taint[i].classes = s->hidden;
		for (int i = 0; i < pg_commands_count(&s->commands); i++)
			pg_command_at(&s->commands, i)->outdated = pg_command_at(&s->commands, i)->used;
	}
	s->named.rows_rule = s->named.bytes_rule = (uint16_t)POLICY_NONE; /* numbers of rules are one snapshot's, too */
	for (int i = 0; i < pg_commands_count(&s->commands); i++)
		pg_command_at(&s->commands, i)->limits.rows_rule = pg_command_at(&s->commands, i)->limits.bytes_rule = (uint16_t)POLICY_NONE;
	s->policy_generation = p->generation;
	s->policy_classes = classes;
	if (s->phase != PHASE_READY || s->catalogue || !pg_catalogue_wanted(p, pg_database(s)))
		return STEP_DONE;
	s->catalogue = pg_catalogue_of(pg_shared(s), pg_database(s));
	if (s->catalogue)
		return STEP_DONE;
	pg_error_write(to_client(io), "FATAL", "53400", bytes_str("too many databases with tagged columns behind this service"));
	io->cause = CLOSE_PROTOCOL;
	return STEP_CLOSE;
}
