/* type_names.h: the names of built-in types, for people. Pure; any thread. */
#ifndef DATAPLANE_INSPECT_POSTGRES_TYPE_NAMES_H
#define DATAPLANE_INSPECT_POSTGRES_TYPE_NAMES_H

#include <stdint.h>

#define PG_TYPE_NAME_BYTES 24

/* "int4", "text[]", "undeclared" for 0, "oid 16450" for a type of the database's own. `out` is for the last kind. */
const char *pg_type_name(uint32_t oid, char out[PG_TYPE_NAME_BYTES]);

#endif
