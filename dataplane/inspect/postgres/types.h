/* types.h: what a type oid of pg_type means for masking: its shape, and the value that stands for nothing (postgres.md 6).
 *
 * Oids are those of the server's pg_type.dat, fixed for built-in types. Binary forms are big endian. A masked value is always valid for
 * its type and format, or NULL. Pure functions.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_TYPES_H
#define DATAPLANE_INSPECT_POSTGRES_TYPES_H

#include "dataplane/match/mask.h"
#include "platform/base/bytes.h"

#define PG_TYPE_TEXT 25u
#define PG_TYPE_NAME 19u
#define PG_TYPE_VARCHAR 1043u
#define PG_TYPE_BPCHAR 1042u

enum pg_shape {
	SHAPE_TEXT,      /* bytes are the text, in both formats */
	SHAPE_JSON,
	SHAPE_JSONB,     /* binary: one byte 01 before the text */
	SHAPE_INTEGER,   /* `width` bytes */
	SHAPE_FLOAT,
	SHAPE_MONEY,
	SHAPE_NUMERIC,
	SHAPE_BOOL,
	SHAPE_DATE,
	SHAPE_TIMESTAMP, /* without a zone */
	SHAPE_TIMESTAMPTZ,
	SHAPE_UUID,
	SHAPE_INET,
	SHAPE_CIDR,
	SHAPE_BYTEA,
	SHAPE_ARRAY,     /* of `element` */
	SHAPE_RECORD,
	SHAPE_OTHER,     /* text in text format; opaque in binary */
};

struct pg_type {
	enum pg_shape shape;
	uint8_t width;
	uint32_t element;
};

struct pg_type pg_type(uint32_t oid);

/* Writes the value that stands for a masked one, of types with a fixed one. False: there is none, it becomes NULL. `year` of a date is
 * kept when `keep_year`; `iso`: dates are printed in ISO style. */
bool pg_type_zero(const struct pg_type *t, bool binary, bool keep_year, bool iso, struct bytes value, struct writer *w);

/* The decimal text of a binary number, as the server would print it, at most 64 characters; false when it is none. */
bool pg_type_decimal(const struct pg_type *t, struct bytes value, struct writer *w);

#endif
