/* One walk over the tokens. A word that names a credential arms the walk; an operator, TO or a parenthesis keeps it armed; the
 * literal that follows is hidden. What is between tokens (white space, comments) is copied unless it looks like a secret. */
#include "control/inbox/secrets.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "dataplane/inspect/postgres/lex.h"

#define DEPTH_MAX 4

static const char *const names[] = { "passw", "passphrase", "pwd", "secret", "token", "credential", "conninfo", "apikey", "api_key", "private_key",
				     "access_key" };

/* Names of functions; a trailing * stands for any ending. */
static const char *const takers[] = { "crypt", "dblink*", "decrypt*", "encrypt*", "hmac", "pgp_*" };
static const char *const heads[] = { "crypt", "dblink", "decrypt", "encrypt", "hmac", "pgp_" };

struct walk {
	const uint8_t *key;
	struct writer *w;
	struct secrets found;
	unsigned depth;
};

/* Where the walk is in one text. */
struct place {
	bool armed;      /* the next string is a secret */
	bool assigned;   /* … after = or TO: any value is */
	bool listing;    /* a value behind a comma is one more of them */
	bool taking;     /* the arguments that begin now are secrets */
	bool setting;    /* SET, ALTER: values may be bare words */
	bool config;     /* inside set_config(, before its first argument */
	bool warned;     /* a word of the text named a credential */
	unsigned parens, call; /* depth; that of the call whose arguments are secrets, 0: none */
};

static bool same(struct bytes a, size_t at, const char *text)
{
	for (size_t i = 0; text[i]; i++)
		if (at + i >= a.len || pg_fold(a.base[at + i]) != (uint8_t)text[i])
			return false;
	return true;
}

/* The second and third letters of what is looked for, by the first, as bits: at most places nothing more has to be compared. */
#define LETTER(letter) (1u << ((letter) == '/' ? 26 : (letter) - 'a'))
#define BEGINS(letter, second, third) [letter] = { second, third }, [(letter) - 'a' + 'A'] = { second, third }
static const struct { uint32_t second, third; } begins[256] = {
	BEGINS('a', LETTER('p') | LETTER('c'), LETTER('i') | LETTER('c')),
	BEGINS('c', LETTER('r') | LETTER('o'), LETTER('e') | LETTER('y') | LETTER('n')),
	BEGINS('d', LETTER('b') | LETTER('e'), LETTER('l') | LETTER('c')),
	BEGINS('e', LETTER('n'), LETTER('c')),
	BEGINS('h', LETTER('m'), LETTER('a')),
	BEGINS('p', LETTER('a') | LETTER('w') | LETTER('r') | LETTER('g'), LETTER('s') | LETTER('d') | LETTER('i') | LETTER('p')),
	BEGINS('s', LETTER('e'), LETTER('c') | LETTER('t')),
	BEGINS('t', LETTER('o'), LETTER('k')),
	[':'] = { LETTER('/'), LETTER('/') },
};

static uint32_t letter_bit(uint8_t c)
{
	unsigned letter = (c | 0x20u) - 'a';

	return letter < 26 ? 1u << letter : c == '/' ? LETTER('/') : 0;
}

/* All words have three letters and more. */
static bool may_begin(struct bytes b, size_t at)
{
	uint32_t second = begins[b.base[at]].second;

	return second && b.len - at >= 3 && second & letter_bit(b.base[at + 1]) && begins[b.base[at]].third & letter_bit(b.base[at + 2]);
}

/* Most texts hold none of the words, and need no second look. */
bool secrets_suspect(struct bytes b)
{
	for (size_t at = 0; at < b.len; at++) {
		if (!may_begin(b, at))
			continue;
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (same(b, at, names[i]))
				return true;
		for (size_t i = 0; i < sizeof(takers) / sizeof(*takers); i++)
			if (same(b, at, heads[i]))
				return true;
		if (same(b, at, "connection") || same(b, at, "set_config") || same(b, at, "://") || same(b, at, "private key-----"))
			return true;
	}
	return false;
}

static bool contains(struct bytes a, const char *text)
{
	for (size_t at = 0; at < a.len; at++)
		if (same(a, at, text))
			return true;
	return false;
}

static bool names_credential(struct bytes word)
{
	if (same(word, 0, "password_encryption") && word.len == 19)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (contains(word, names[i]))
			return true;
	return word.len == 10 && same(word, 0, "connection");
}

static bool takes_credential(struct bytes word)
{
	for (size_t i = 0; i < sizeof(takers) / sizeof(*takers); i++) {
		size_t len = strlen(takers[i]);

		if (same(word, 0, heads[i]) && (takers[i][len - 1] == '*' || word.len == len))
			return true;
	}
	return false;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_wordy(uint8_t c)
{
	return (c >= '0' && c <= '9') || (pg_fold(c) >= 'a' && pg_fold(c) <= 'z') || c == '_' || c == '-';
}

/* password = x, "token": "x", password 'x', pwd=x */
static bool assigns(struct bytes b, size_t at)
{
	bool sign = false;

	while (at < b.len && is_wordy(b.base[at]))
		at++;
	for (; at < b.len && (is_space(b.base[at]) || memchr("\"'\\:=>", b.base[at], 6)); at++)
		sign |= memchr("\"':=", b.base[at], 4) != NULL;
	return sign && at < b.len;
}

/* scheme://user:password@host */
static bool has_userinfo(struct bytes b, size_t at)
{
	bool colon = false;

	for (at += 3; at < b.len && !is_space(b.base[at]) && b.base[at] != '/'; at++) {
		if (b.base[at] == '@')
			return colon;
		colon |= b.base[at] == ':';
	}
	return false;
}

bool secrets_look(struct bytes b)
{
	for (size_t at = 0; at < b.len; at++) {
		if (!may_begin(b, at))
			continue;
		if (same(b, at, "://") && has_userinfo(b, at))
			return true;
		if (same(b, at, "private key-----"))
			return true;
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (same(b, at, names[i]) && assigns(b, at))
				return true;
	}
	return false;
}

void secrets_put(struct bytes bytes, const uint8_t key[32], struct writer *w)
{
	uint8_t hash[32] = { 0 };
	unsigned len = sizeof(hash);
	char text[16];

	(void)HMAC(EVP_sha256(), key, 32, bytes.len ? bytes.base : hash, bytes.len, hash, &len);
	writer_str(w, "secret:hmac-sha256:");
	for (unsigned i = 0; i < sizeof(hash); i++) {
		snprintf(text, sizeof(text), "%02x", hash[i]);
		writer_str(w, text);
	}
	snprintf(text, sizeof(text), ":%zu", bytes.len);
	writer_str(w, text);
}

static void hide(struct walk *k, struct bytes value)
{
	writer_u8(k->w, '\'');
	secrets_put(value, k->key, k->w);
	writer_u8(k->w, '\'');
	k->found.text = true;
}

static bool is_string(const struct pg_token *t)
{
	return t->kind >= PG_TOKEN_STRING && t->kind <= PG_TOKEN_BITS;
}

static bool is_name(const struct pg_token *t)
{
	return t->kind == PG_TOKEN_WORD || t->kind == PG_TOKEN_IDENTIFIER || t->kind == PG_TOKEN_UIDENTIFIER;
}

static bool is_mark(const struct pg_token *t, char c)
{
	return t->kind == PG_TOKEN_MARK && t->text.base[0] == (uint8_t)c;
}

static void hide_text(struct walk *k, struct bytes text);

/* A literal, a number, a value to be bound, or in SET a bare word. */
static void value(struct walk *k, struct place *p, const struct pg_token *t)
{
	bool secret = p->armed || p->call;

	if (p->config && is_string(t)) {
		p->call = names_credential(t->inside) ? p->parens : 0;
		p->config = false;
	}
	if (t->kind == PG_TOKEN_PARAMETER) {
		k->found.values |= secret || p->config;
		writer_put(k->w, t->text);
	} else if (secret && (is_string(t) || (p->assigned && p->setting))) {
		hide(k, is_string(t) ? t->inside : t->text);
	} else if (t->kind == PG_TOKEN_DOLLAR && k->depth < DEPTH_MAX) {
		writer_bytes(k->w, t->text.base, (size_t)(t->inside.base - t->text.base));
		k->depth++;
		hide_text(k, t->inside);
		k->depth--;
		writer_bytes(k->w, t->inside.base + t->inside.len, (size_t)(t->text.base + t->text.len - t->inside.base - t->inside.len));
	} else if (is_string(t) && secrets_look(t->inside)) {
		hide(k, t->inside);
	} else {
		writer_put(k->w, t->text);
	}
	p->listing = p->armed;
	p->armed = p->assigned = p->taking = false;
}

static void word(struct walk *k, struct place *p, const struct pg_token *t, bool first)
{
	struct bytes name = t->kind == PG_TOKEN_WORD ? t->text : t->inside;

	if (p->armed && p->assigned && p->setting && !pg_lex_is(t, "null") && !pg_lex_is(t, "default")) {
		value(k, p, t);
		return;
	}
	if (first)
		p->setting = pg_lex_is(t, "set") || pg_lex_is(t, "alter");
	p->assigned = p->armed && pg_lex_is(t, "to");
	p->armed = p->assigned || names_credential(name) || (p->armed && pg_lex_is(t, "is"));
	p->warned |= p->armed;
	p->listing = false;
	p->config = same(name, 0, "set_config") && name.len == 10;
	p->taking = takes_credential(name);
	writer_put(k->w, t->text);
}

static void sign(struct walk *k, struct place *p, const struct pg_token *t)
{
	if (is_mark(t, '(')) {
		p->parens++;
		if (p->taking && !p->call)
			p->call = p->parens;
	} else if (is_mark(t, ')')) {
		p->parens -= p->parens > 0;
		if (p->call > p->parens)
			p->call = 0;
		p->config = p->armed = p->assigned = false;
	} else if (is_mark(t, ',')) {
		p->armed = p->assigned = p->listing && p->setting;
	} else if (is_mark(t, ';')) {
		*p = (struct place){ .warned = p->warned };
	} else if (t->kind == PG_TOKEN_OPERATOR) {
		p->assigned = p->armed;
	} else {
		p->armed = p->assigned = false;
	}
	p->taking = false;
	writer_put(k->w, t->text);
}

static void hide_text(struct walk *k, struct bytes text)
{
	struct pg_lex l = pg_lex_of(text);
	const uint8_t *copied = text.base;
	struct place p = { 0 };
	struct bytes rest;
	struct pg_token t;
	bool first = true;

	while (pg_lex_next(&l, &t)) {
		struct bytes gap = bytes_of(copied, (size_t)(t.text.base - copied));
		bool comment = secrets_look(gap);

		writer_put(k->w, comment ? bytes_str(" ") : gap);
		k->found.text |= comment;
		if (is_string(&t) || t.kind == PG_TOKEN_NUMBER || t.kind == PG_TOKEN_PARAMETER)
			value(k, &p, &t);
		else if (is_name(&t))
			word(k, &p, &t, first);
		else
			sign(k, &p, &t);
		first = is_mark(&t, ';');
		copied = t.text.base + t.text.len;
	}
	rest = bytes_of(copied, text.len - (size_t)(copied - text.base));
	/* Behind a lexical error nothing is told apart. */
	if (secrets_look(rest) || (t.kind == PG_TOKEN_ERROR && (p.warned || p.call)))
		hide(k, rest);
	else
		writer_put(k->w, rest);
}

struct secrets secrets_hide(struct bytes text, const uint8_t key[32], struct writer *w)
{
	struct walk k = { .key = key, .w = w };
	size_t at = w->len;

	if (secrets_suspect(text))
		hide_text(&k, text);
	else
		writer_put(w, text);
	if (w->ok)
		return k.found;
	w->ok = true;
	w->len = at;
	hide(&k, text);
	return k.found;
}
