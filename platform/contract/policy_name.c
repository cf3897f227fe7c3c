#include "platform/contract/policy_write.h"

const char *const policy_audit_words[POLICY_AUDIT_count + 1] = { "strict", "prompt", "answers", NULL };

static bool has_slash(const char *at)
{
	bool quoted = false;

	for (; *at; at++) {
		if (*at == '"')
			quoted = !quoted;
		else if (*at == '/' && !quoted)
			return true;
	}
	return false;
}

/* One quoted level; `*at` stands behind the opening quote and is left behind the closing one. */
static struct bytes unquote(const char **at, char *room, size_t *used, const char **why)
{
	size_t start = *used;

	for (; **at; (*at)++) {
		if (**at == '"' && (*at)[1] != '"')
			break;
		if (**at == '"')
			(*at)++;
		if (*used == LIMIT_NAME_BYTES) {
			*why = "is too long";
			return (struct bytes){ 0 };
		}
		room[(*used)++] = **at;
	}
	if (**at != '"')
		*why = "has a quote that is never closed";
	else
		(*at)++;
	return bytes_of(room + start, *used - start);
}

unsigned policy_name_split(const char *at, struct name_level out[LIMIT_LEVELS], char room[LIMIT_NAME_BYTES], const char **why)
{
	char separator = has_slash(at) ? '/' : '.';
	unsigned levels = 0;
	size_t used = 0;

	*why = strlen(at) >= LIMIT_NAME_BYTES ? "is too long" : NULL;
	while (!*why) {
		struct name_level *level = &out[levels];
		size_t len;

		if (levels == LIMIT_LEVELS) {
			*why = "has too many levels";
			break;
		}
		*level = (struct name_level){ .kind = NAME_LEVEL_NAME };
		if (*at == '"') {
			at++;
			level->text = unquote(&at, room, &used, why);
		} else {
			for (len = 0; at[len] && at[len] != separator && at[len] != '"'; len++)
				;
			level->text = bytes_of(at, len);
			if (bytes_equal(level->text, bytes_str("*")))
				level->kind = NAME_LEVEL_ONE;
			else if (bytes_equal(level->text, bytes_str("**")))
				level->kind = NAME_LEVEL_ANY;
			else if (memchr(at, '*', len))
				*why = "has a star inside a level; a star stands for a whole one";
			at += len;
		}
		if (!*why && level->text.len == 0)
			*why = "has an empty level";
		if (!*why && *at && *at != separator)
			*why = "has a quote inside a level";
		if (*why)
			break;
		levels++;
		if (!*at)
			return levels;
		at++;
	}
	return 0;
}
