/* json.h: jansson behind our own limits.
 *
 * Purpose: one strict JSON object from hostile bytes. Before jansson sees them: first byte '{' and last byte '}' (no
 * white space, no byte-order mark around a token's parts; JSON_AROUND allows white space, for HTTP bodies), and the
 * nesting limit, because jansson's own is 2,048. Then JSON_REJECT_DUPLICATES, which compares decoded names and so
 * sees `\u0061lg` too. jansson itself refuses `\u0000`, invalid UTF-8, trailing bytes and numbers out of range.
 * The allocators that json_libraries_init sets clear every block when it is freed: claims and tokens do not linger.
 * Threading: any, except json_libraries_init: once, before the first use.
 */
#ifndef CONTROL_IDENTITY_JSON_H
#define CONTROL_IDENTITY_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "platform/base/bytes.h"
#include "platform/base/limits.h"

#define JSON_DEPTH_MAX 8 /* identity.md 1 */
/* Eight actors lie at depths 2 to 9; the ninth is refused by its own reason, not by this one. */
#define JSON_DEPTH_PAYLOAD_MAX 10

enum json_status {
	JSON_GOOD,
	JSON_NOT_OBJECT, /* not one strict object: syntax, encoding, range, bytes around it */
	JSON_SPACE,      /* white space or a byte-order mark around the object */
	JSON_DUPLICATE,
	JSON_TOO_DEEP,
};

enum json_around {
	JSON_EXACT,
	JSON_AROUND,
};

/* *out is owned by the caller (json_decref), NULL unless JSON_GOOD. */
enum json_status json_strict(struct bytes text, unsigned depth_max, enum json_around around, json_t **out);

/* Empty when `value` is no string. */
struct bytes json_bytes(const json_t *value);

/* The value at a dotted path (`act.sub`); a path with "://" is one name (namespaced claims). NULL: absent. */
const json_t *json_at(const json_t *object, const char *path);

/* malloc and free for jansson and libcjose that wipe. */
void *json_wiping_malloc(size_t size);
void json_wiping_free(void *block);
void *json_wiping_realloc(void *block, size_t size);

/* Sets jansson's allocators, and the seed of its hash tables, against chosen names that collide. */
void json_libraries_init(void);

#endif
