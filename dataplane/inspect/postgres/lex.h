/* lex.h: PostgreSQL's own lexical rules, for texts that nobody has parsed yet.
 *
 * Purpose: (1) one pass over a statement that gives its two cache keys, its size in tokens and its depth, so that
 * nothing over a limit ever reaches a parser; (2) the canonical text that patterns, people and records see;
 * (3) the tokens and the decoded values of literals, for matching.
 *
 * Source: PostgreSQL 15 src/backend/parser/scan.l and parser.c (UESCAPE), with standard_conforming_strings = on
 * and client_encoding = UTF8, both pinned by the inspector. White space is [ \t\n\r\f] and nothing else: \v, U+00A0
 * and a BOM are what the server makes of them (an error, or letters of an identifier).
 *
 * Pure and bounded: time linear in the text, no allocation, no state outside the arguments; for the poll loop.
 * Any thread. The text is hostile; a text that the server's lexer refuses gives `error`, never a guess.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_LEX_H
#define DATAPLANE_INSPECT_POSTGRES_LEX_H

#include "platform/base/bytes.h"
#include "platform/base/hash.h"

enum pg_token_kind {
	PG_TOKEN_END,         /* after the last token; `text` is empty */
	PG_TOKEN_WORD,        /* unquoted identifier or key word */
	PG_TOKEN_IDENTIFIER,  /* "..." */
	PG_TOKEN_UIDENTIFIER, /* U&"..." [UESCAPE 'c'], one token with its clause */
	PG_TOKEN_STRING,      /* '...' or N'...', continued over newlines */
	PG_TOKEN_ESTRING,     /* E'...' */
	PG_TOKEN_USTRING,     /* U&'...' [UESCAPE 'c'], one token with its clause */
	PG_TOKEN_DOLLAR,      /* $tag$...$tag$ */
	PG_TOKEN_BITS,        /* B'...' and X'...' */
	PG_TOKEN_NUMBER,      /* integer, decimal or real; the sign is an operator */
	PG_TOKEN_PARAMETER,   /* $1 */
	PG_TOKEN_OPERATOR,    /* one or more of ~!@#^&|`?+-*%<>=/ , and :: := .. => */
	PG_TOKEN_MARK,        /* one of , ( ) [ ] . ; : */
	PG_TOKEN_ERROR,       /* the server's lexer refuses here; nothing follows */
};

struct pg_token {
	enum pg_token_kind kind;
	bool spaced;         /* white space or a comment stands before it */
	bool backslash;      /* a string token that contains one */
	bool national;       /* N'...' */
	uint8_t escape;      /* of U& tokens: the escape character */
	struct bytes text;   /* as sent, with quotes, prefix and clause; a view into the statement */
	struct bytes inside; /* between the first quote and the last one (identifiers, strings, dollar quotes) */
};

struct pg_lex {
	struct bytes text;
	size_t at;
	bool failed;
};

static inline struct pg_lex pg_lex_of(struct bytes text)
{
	return (struct pg_lex){ .text = text };
}

/* ASCII only: in UTF-8 the server leaves every other letter as it is (downcase_identifier). */
static inline uint8_t pg_fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* The length to which the server cuts an identifier: 63 bytes, at a character's border (truncate_identifier). */
static inline size_t pg_clip(struct bytes name)
{
	size_t len = 63;

	if (name.len <= len)
		return name.len;
	while (len > 60 && (name.base[len] & 0xc0) == 0x80)
		len--;
	return (name.base[len] & 0xc0) == 0x80 ? 63 : len;
}

/* The next token. False at the end and after an error; `out->kind` tells which. */
bool pg_lex_next(struct pg_lex *l, struct pg_token *out);

/* The value of a token, appended to `w`: identifiers folded (words only), unquoted and cut to 63 bytes at a
 * character border; strings without quotes, doubled quotes, continuation and escapes; other tokens as they stand.
 * False when the token's escapes are not valid (the server would refuse it) or `w` is full. */
bool pg_lex_value(const struct pg_token *t, struct writer *w);

/* True when `t` is the unquoted word `word` (lower case). */
bool pg_lex_is(const struct pg_token *t, const char *word);

struct pg_lex_summary {
	struct hash128 exact;   /* of the bytes */
	struct hash128 generic; /* of the tokens: white space and comments dropped, words folded, numbers and plain
	                           '...' without backslash replaced by their kind. Two texts share it only if they
	                           differ in nothing but such literals, layout and case. */
	uint32_t tokens;
	uint32_t nesting;       /* deepest ( and [ */
	uint32_t statements;    /* non-empty stretches between top-level semicolons */
	uint32_t literals;      /* tokens that `generic` replaced */
	bool over_bytes;        /* LIMIT_STATEMENT_BYTES: nothing but `exact` was computed */
	bool over_tokens;       /* LIMIT_TERMS: counting stopped there */
	bool over_nesting;      /* LIMIT_NESTING */
	bool error;             /* the lexer refuses the text */
	bool plain;             /* every statement begins with a word that changes nothing of the session, and set_config is called
	                           by none: pg_effects (state.c) would find nothing. Only when all limits are kept. */
};

/* One pass. True when the text is within all limits and free of lexical errors; otherwise it is unknown, and
 * `generic` must not be used. */
bool pg_lex_scan(struct bytes text, struct hash_key key, struct pg_lex_summary *out);

#define PG_LITERALS 16

/* Where the first literals stand that `generic` replaced, with their quotes. */
struct pg_literals {
	uint16_t count;
	struct pg_literal { uint16_t at, len; } literal[PG_LITERALS];
};

/* The same, and the literals, when `literals` is not NULL; those beyond 64 KiB are not told. */
bool pg_lex_scan_noting(struct bytes text, struct hash_key key, struct pg_lex_summary *out, struct pg_literals *literals);

/* The canonical text: comments removed, layout normalised (so that it does not depend on the white space sent),
 * words folded and cut, quoted identifiers unquoted where that changes nothing, U& identifiers decoded; literals
 * as sent, a continued string joined into one. It lexes to the same tokens. False on a lexical error or when `w`
 * is full; LIMIT_STATEMENT_BYTES * 2 always suffices for a text within LIMIT_STATEMENT_BYTES. */
bool pg_lex_canonical(struct bytes text, struct writer *w);

/* The same with replaced literals: every literal becomes $n, counted from 1 (after the largest parameter). */
bool pg_lex_normalised(struct bytes text, struct writer *w);

#endif
