/* principal.c: the counted block. Strings and the struct lie in one allocation, so one wipe clears it all. */
#include "control/identity/principal.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/secret.h"

/* The block: the principal, how large it is, then its strings. */
struct block {
	struct principal principal;
	size_t size;
	char strings[];
};

static const char *kinds[] = { "human", "agent", "service" };
static const char *hows[] = { "bearer", "ticket", "mtls", "sshcert", "saml", "source" };
static const char *cnfs[] = { "none", "x5t", "jkt" };

#define SCALARS 9

static void scalars(struct principal *p, const char **field[SCALARS])
{
	const char **list[SCALARS] = { &p->issuer, &p->iss, &p->sub, &p->person, &p->agent, &p->run, &p->purpose, &p->acr, &p->kid };

	memcpy(field, list, sizeof(list));
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 1;
}

static size_t strings_size(const struct principal *shape)
{
	struct principal copy = *shape;
	const char **field[SCALARS];
	size_t size = 0;

	scalars(&copy, field);
	for (unsigned i = 0; i < SCALARS; i++)
		size += text_size(*field[i]);
	for (unsigned i = 0; i < shape->act_count; i++)
		size += text_size(shape->act[i].iss) + text_size(shape->act[i].sub);
	for (unsigned i = 0; i < shape->groups_count; i++)
		size += text_size(shape->groups[i]);
	for (unsigned i = 0; i < shape->amr_count; i++)
		size += text_size(shape->amr[i]);
	return size;
}

static void move(const char **field, struct writer *w)
{
	char *room = (char *)writer_room(w, text_size(*field));

	assert(room);
	memcpy(room, *field ? *field : "", text_size(*field));
	*field = room;
}

struct principal *principal_create(const struct principal *shape)
{
	size_t strings = strings_size(shape);
	struct block *block = malloc(sizeof(*block) + strings);
	const char **field[SCALARS];
	struct writer w;

	assert(shape->act_count <= LIMIT_ACTORS && shape->groups_count <= LIMIT_GROUPS);
	if (!block)
		return NULL;
	block->principal = *shape;
	block->size = sizeof(*block) + strings;
	w = writer_of(block->strings, strings);
	scalars(&block->principal, field);
	for (unsigned i = 0; i < SCALARS; i++)
		move(field[i], &w);
	for (unsigned i = 0; i < shape->act_count; i++) {
		move(&block->principal.act[i].iss, &w);
		move(&block->principal.act[i].sub, &w);
	}
	for (unsigned i = 0; i < shape->groups_count; i++)
		move(&block->principal.groups[i], &w);
	for (unsigned i = 0; i < shape->amr_count; i++)
		move(&block->principal.amr[i], &w);
	block->principal.refs = 1;
	return &block->principal;
}

struct principal *principal_get(struct principal *p)
{
	assert(p->refs > 0);
	p->refs++;
	return p;
}

void principal_put(struct principal *p)
{
	struct block *block = (struct block *)p;

	if (!p)
		return;
	assert(p->refs > 0);
	if (--p->refs)
		return;
	secret_wipe(block, block->size);
	free(block);
}

bool principal_has_group(const struct principal *p, const char *group)
{
	for (unsigned i = 0; i < p->groups_count; i++)
		if (strcmp(p->groups[i], group) == 0)
			return true;
	return false;
}

bool principal_same_person(const struct principal *a, const struct principal *b)
{
	return a->person && b->person && a->person[0] && strcmp(a->person, b->person) == 0;
}

const char *principal_kind_name(enum principal_kind kind)
{
	return (unsigned)kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[kind] : "unknown";
}

const char *principal_how_name(enum principal_how how)
{
	return (unsigned)how < sizeof(hows) / sizeof(hows[0]) ? hows[how] : "unknown";
}

const char *principal_cnf_name(enum principal_cnf cnf)
{
	return (unsigned)cnf < sizeof(cnfs) / sizeof(cnfs[0]) ? cnfs[cnf] : "unknown";
}
