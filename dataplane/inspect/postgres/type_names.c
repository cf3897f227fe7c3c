#include "dataplane/inspect/postgres/type_names.h"

#include <stdio.h>

/* PostgreSQL 15, pg_type.dat. */
static const struct {
	uint32_t oid, array;
	const char *name;
} names[] = {
	{ 16, 1000, "bool" },        { 17, 1001, "bytea" },         { 18, 1002, "\"char\"" },  { 19, 1003, "name" },
	{ 20, 1016, "int8" },        { 21, 1005, "int2" },          { 23, 1007, "int4" },      { 25, 1009, "text" },
	{ 26, 1028, "oid" },         { 114, 199, "json" },          { 142, 143, "xml" },       { 650, 651, "cidr" },
	{ 700, 1021, "float4" },     { 701, 1022, "float8" },       { 705, 0, "unknown" },     { 790, 791, "money" },
	{ 829, 1040, "macaddr" },    { 869, 1041, "inet" },         { 1042, 1014, "bpchar" },  { 1043, 1015, "varchar" },
	{ 1082, 1182, "date" },      { 1083, 1183, "time" },        { 1114, 1115, "timestamp" }, { 1184, 1185, "timestamptz" },
	{ 1186, 1187, "interval" },  { 1266, 1270, "timetz" },      { 1560, 1561, "bit" },     { 1562, 1563, "varbit" },
	{ 1700, 1231, "numeric" },   { 2249, 2287, "record" },      { 2950, 2951, "uuid" },    { 3802, 3807, "jsonb" },
};

const char *pg_type_name(uint32_t oid, char out[PG_TYPE_NAME_BYTES])
{
	if (oid == 0)
		return "undeclared";
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].oid == oid)
			return names[i].name;
		if (names[i].array != oid)
			continue;
		snprintf(out, PG_TYPE_NAME_BYTES, "%s[]", names[i].name);
		return out;
	}
	snprintf(out, PG_TYPE_NAME_BYTES, "oid %u", (unsigned)oid);
	return out;
}
