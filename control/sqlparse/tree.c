#include "control/sqlparse/tree.h"

#include <string.h>

const ProtobufCMessage *tree_of(const PgQuery__Node *n)
{
	/* All members of the union are pointers to messages. */
	return n && n->node_case != PG_QUERY__NODE__NODE__NOT_SET ? (const ProtobufCMessage *)n->alias : NULL;
}

static const ProtobufCMessage *unwrap(const ProtobufCMessage *m)
{
	return TREE_IS(m, node) ? tree_of((const PgQuery__Node *)m) : m;
}

static const void *member(const ProtobufCMessage *m, size_t offset)
{
	return (const char *)m + offset;
}

/* The messages of one field: a list, or one that may be absent. */
static size_t messages_of(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const ProtobufCMessage *const **out)
{
	if (f->type != PROTOBUF_C_TYPE_MESSAGE)
		return 0;
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		*out = *(const ProtobufCMessage *const *const *)member(m, f->offset);
		return *(const size_t *)member(m, f->quantifier_offset);
	}
	if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && *(const uint32_t *)member(m, f->quantifier_offset) != f->id)
		return 0;
	*out = member(m, f->offset);
	return **out != NULL;
}

void tree_children(const ProtobufCMessage *m, void (*visit)(void *context, const ProtobufCMessage *child), void *context)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCMessage *const *list = NULL;
		size_t count = messages_of(m, &m->descriptor->fields[i], &list);

		for (size_t j = 0; j < count; j++) {
			const ProtobufCMessage *child = unwrap(list[j]);

			if (child)
				visit(context, child);
		}
	}
}

const char *tree_string(const PgQuery__Node *n)
{
	return n && n->node_case == PG_QUERY__NODE__NODE_STRING ? n->string->sval : NULL;
}

unsigned tree_names(PgQuery__Node *const *list, size_t count, const char **out, unsigned max)
{
	if (count > max)
		return 0;
	for (size_t i = 0; i < count; i++) {
		out[i] = tree_string(list[i]);
		if (!out[i])
			return 0;
	}
	return (unsigned)count;
}

const char *tree_constant(const ProtobufCMessage *m)
{
	const PgQuery__AConst *c;

	while (TREE_IS(m, type_cast))
		m = tree_of(((const PgQuery__TypeCast *)m)->arg);
	c = TREE_AS(m, AConst, a__const);
	return c && c->val_case == PG_QUERY__A__CONST__VAL_SVAL ? c->sval->sval : NULL;
}

static const ProtobufCFieldDescriptor *field(const ProtobufCMessage *m, const char *name)
{
	return protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
}

const char *tree_field_string(const ProtobufCMessage *m, const char *name)
{
	const ProtobufCFieldDescriptor *f = field(m, name);

	return f && f->type == PROTOBUF_C_TYPE_STRING && f->label != PROTOBUF_C_LABEL_REPEATED ? *(char *const *)member(m, f->offset) : NULL;
}

const ProtobufCMessage *tree_field_message(const ProtobufCMessage *m, const char *name)
{
	const ProtobufCFieldDescriptor *f = field(m, name);
	const ProtobufCMessage *const *list = NULL;

	return f && f->label != PROTOBUF_C_LABEL_REPEATED && messages_of(m, f, &list) ? unwrap(*list) : NULL;
}

size_t tree_field_list(const ProtobufCMessage *m, const char *name, PgQuery__Node *const **out)
{
	const ProtobufCFieldDescriptor *f = field(m, name);
	const ProtobufCMessage *const *list = NULL;
	size_t count;

	if (!f || f->label != PROTOBUF_C_LABEL_REPEATED || f->descriptor != &pg_query__node__descriptor)
		return 0;
	count = messages_of(m, f, &list);
	*out = (PgQuery__Node *const *)list;
	return count;
}

static bool same_string(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_scalar(const ProtobufCMessage *a, const ProtobufCMessage *b, const ProtobufCFieldDescriptor *f)
{
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return false;
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return same_string(*(char *const *)member(a, f->offset), *(char *const *)member(b, f->offset));
	case PROTOBUF_C_TYPE_INT32: case PROTOBUF_C_TYPE_UINT32: case PROTOBUF_C_TYPE_ENUM: case PROTOBUF_C_TYPE_BOOL:
		return memcmp(member(a, f->offset), member(b, f->offset), 4) == 0;
	default:
		return false; /* in doubt: not the same */
	}
}

bool tree_equal(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
	if (!a || !b || a->descriptor != b->descriptor)
		return a == b;
	for (unsigned i = 0; i < a->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &a->descriptor->fields[i];
		const ProtobufCMessage *const *left = NULL, *const *right = NULL;
		size_t count;

		if (strcmp(f->name, "location") == 0)
			continue;
		if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
			if (!same_scalar(a, b, f))
				return false;
			continue;
		}
		count = messages_of(a, f, &left);
		if (count != messages_of(b, f, &right))
			return false;
		for (size_t j = 0; j < count; j++)
			if (!tree_equal(unwrap(left[j]), unwrap(right[j])))
				return false;
	}
	return true;
}
