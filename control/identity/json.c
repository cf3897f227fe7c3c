/* json.c: the limits in front of jansson.
 *
 * The depth scan knows only strings, escapes and brackets. It may count wrongly in text that is not JSON; such text
 * is refused afterwards. It never counts too little in text that is, because there its notion of a string is exact.
 */
#include "control/identity/json.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/random.h"
#include "platform/base/secret.h"

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct bytes trimmed(struct bytes text)
{
	while (text.len && is_space(text.base[0])) {
		text.base++;
		text.len--;
	}
	while (text.len && is_space(text.base[text.len - 1]))
		text.len--;
	return text;
}

static bool too_deep(struct bytes text, unsigned depth_max)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.base[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > depth_max)
				return true;
		} else if ((c == '}' || c == ']') && depth) {
			depth--;
		}
	}
	return false;
}

enum json_status json_strict(struct bytes text, unsigned depth_max, enum json_around around, json_t **out)
{
	struct bytes core = trimmed(text);
	json_error_t error;

	*out = NULL;
	if (core.len >= 3 && memcmp(core.base, "\xef\xbb\xbf", 3) == 0)
		return JSON_SPACE;
	if (core.len < 2 || core.base[0] != '{' || core.base[core.len - 1] != '}')
		return JSON_NOT_OBJECT;
	if (around == JSON_EXACT && core.len != text.len)
		return JSON_SPACE;
	if (too_deep(core, depth_max))
		return JSON_TOO_DEEP;
	*out = json_loadb((const char *)core.base, core.len, JSON_REJECT_DUPLICATES, &error);
	if (*out)
		return JSON_GOOD;
	return json_error_code(&error) == json_error_duplicate_key ? JSON_DUPLICATE : JSON_NOT_OBJECT;
}

struct bytes json_bytes(const json_t *value)
{
	return json_is_string(value) ? bytes_of(json_string_value(value), json_string_length(value)) : (struct bytes){ 0 };
}

const json_t *json_at(const json_t *object, const char *path)
{
	if (strstr(path, "://"))
		return json_object_get(object, path);
	while (object) {
		const char *dot = strchrnul(path, '.');
		char name[LIMIT_CLAIM_BYTES + 1];
		size_t len = (size_t)(dot - path);

		if (len == 0 || len >= sizeof(name))
			return NULL;
		memcpy(name, path, len);
		name[len] = 0;
		object = json_object_get(object, name);
		if (!*dot)
			return object;
		path = dot + 1;
	}
	return NULL;
}

void *json_wiping_malloc(size_t size)
{
	return malloc(size);
}

void json_wiping_free(void *block)
{
	if (block)
		secret_wipe(block, malloc_usable_size(block));
	free(block);
}

void *json_wiping_realloc(void *block, size_t size)
{
	void *fresh = size ? malloc(size) : NULL;
	size_t old = block ? malloc_usable_size(block) : 0;

	if (!size)
		json_wiping_free(block);
	if (!fresh)
		return NULL;
	if (block)
		memcpy(fresh, block, old < size ? old : size);
	json_wiping_free(block);
	return fresh;
}

void json_libraries_init(void)
{
	size_t seed;

	/* jansson's own choice falls back to time and pid where /dev/urandom cannot be opened, as in a sandbox. */
	random_secret(&seed, sizeof(seed));
	json_object_seed(seed | 1);
	json_set_alloc_funcs(json_wiping_malloc, json_wiping_free);
}
