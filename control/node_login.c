/* node_login.c: from a token to a principal with groups and an upstream login.
 *
 * A token whose issuer's keys are not there yet waits, a copy of it in this process's memory, until sluice-egress brought them or
 * NODE_LOGIN_WAIT_US are over; the rest of the world goes on. Tokens are wiped as soon as there is an answer. */
#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "control/node.h"
#include "control/operators.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"

_Static_assert(RUNS_STORED_BYTES <= JOURNAL_KEPT_BYTES, "the journal keeps the whole table");
_Static_assert(sizeof(struct hash_key) <= 32, "one digest is enough for the key");

/* --- credentials --------------------------------------------------------------------------------------------------------- */

static struct node_credential *credential_of(struct node *n, const char *login)
{
	for (unsigned i = 0; i < n->credentials; i++) {
		if (!strcmp(n->credential[i].login, login))
			return &n->credential[i];
	}
	return NULL;
}

/* A login file has `user` and `password` lines; a file without them is the password alone, of the user that the policy names. */
static void credential_add(struct node *n, const char *directory, const char *name)
{
	struct node_credential *c = &n->credential[n->credentials];
	struct credential_login login;
	char path[512], why[256];

	snprintf(path, sizeof(path), "%.240s/%.250s", directory, name);
	*c = (struct node_credential){ .file = credential_load(path, why, sizeof(why)) };
	if (!c->file) {
		log_warn("credential %s: %s: no service can use it", name, why);
		return;
	}
	snprintf(c->login, sizeof(c->login), "%s", name);
	if (credential_login_of(c->file, &login, why, sizeof(why))) {
		c->user = login.user;
		c->password = login.password;
	} else {
		c->password = credential_bytes(c->file);
		if (c->password.len && c->password.base[c->password.len - 1] == '\n')
			c->password.len--;
	}
	n->credentials++;
}

static void credentials_load(struct node *n, const char *directory)
{
	DIR *d = opendir(directory);
	struct dirent *entry;

	if (!d) {
		log_warn("credentials: %s cannot be read: services get no upstream login", directory);
		return;
	}
	while ((entry = readdir(d)) && n->credentials < NODE_CREDENTIALS) {
		if (entry->d_name[0] != '.' && !credential_of(n, entry->d_name))
			credential_add(n, directory, entry->d_name);
	}
	closedir(d);
}

/* The same at every start, or what was kept of runs would be nobody's; secret, or places in the table could be chosen. */
static bool runs_key(const struct node *n, struct hash_key *out)
{
	uint8_t mac[32];
	unsigned len = sizeof(mac);
	bool good = HMAC(EVP_sha256(), n->commitment_key, sizeof(n->commitment_key), (const uint8_t *)"sluice run ids", 14, mac, &len) != NULL;

	memcpy(out, mac, sizeof(*out));
	secret_wipe(mac, sizeof(mac));
	return good;
}

static bool run_keep(void *ctx, unsigned slot, struct bytes stored)
{
	struct node *n = ctx;

	return journal_keep(n->journal, slot, stored);
}

bool node_runs_begin(struct node *n, char err[OS_ERROR_BYTES])
{
	for (unsigned slot = 0; slot < RUNS_ENTRIES; slot++) {
		struct bytes stored = journal_kept(n->journal, slot);

		if (stored.len && !runs_restore(n->runs, slot, stored)) {
			snprintf(err, OS_ERROR_BYTES, "runs: kept value %u is none: run sluice journal verify", slot);
			return false;
		}
	}
	runs_keep_with(n->runs, run_keep, n);
	return true;
}

bool node_login_start(struct node *n, char err[OS_ERROR_BYTES])
{
	struct hash_key key = { 0 };

	n->login = calloc(NODE_LOGINS, sizeof(*n->login));
	n->scram = scram_create();
	n->runs = runs_key(n, &key) ? runs_create(key) : NULL;
	if (!n->login || !n->scram || !n->runs) {
		snprintf(err, OS_ERROR_BYTES, "logins: out of memory: free some");
		return false;
	}
	credentials_load(n, n->settings->credentials);
	return true;
}

void node_login_close(struct node *n)
{
	for (unsigned i = 0; n->login && i < NODE_LOGINS; i++) {
		if (n->login[i].used) {
			secret_wipe(n->login[i].token, n->login[i].token_len);
			free(n->login[i].token);
		}
	}
	free(n->login);
	for (unsigned i = 0; i < n->credentials; i++)
		credential_drop(n->credential[i].file);
	scram_destroy(n->scram);
	runs_destroy(n->runs);
	identity_destroy(n->identity);
}

/* --- grants -------------------------------------------------------------------------------------------------------------- */

static const char stale_text[] = "the issuer's news of who was revoked is too old; nothing is decided on it: try again later";

bool node_grant(struct node *n, const struct session *s, struct principal *p, struct inbox_grant *out, const char **why)
{
	int number = n->current ? policy_service_by_name(n->current, bytes_str(s->service)) : -1;
	struct policy_service service = number >= 0 ? policy_service(n->current, (unsigned)number) : (struct policy_service){ 0 };
	const struct node_credential *c = service.login.len ? credential_of(n, (const char *)service.login.base) : NULL;
	static char user[LIMIT_NAME_BYTES];
	bool stale;

	*why = number < 0 ? "service_unknown" : !c ? "no_upstream_login" : NULL;
	if (!*why && service.run_id_required && !p->run[0])
		*why = "run_missing";
	if (*why)
		return false;
	snprintf(user, sizeof(user), "%.*s", c->user.len ? (int)c->user.len : (int)service.login.len,
		 c->user.len ? (const char *)c->user.base : (const char *)service.login.base);
	stale = service.on_stale_revocation == POLICY_STALE_BLOCK &&
		identity_news_stale(n->identity, p, node_identity_clock(n), (int64_t)(n->started_mono_us / 1000000));
	*out = (struct inbox_grant){ .suspended = stale ? stale_text : NULL, .principal = p, .groups = policy_groups_of(n->tree, p), .generation = n->generation, .upstream_user = user };
	return true;
}

void node_regrant_all(struct node *n)
{
	struct inbox_grant grant;
	const char *why;

	for (struct session *s = session_next(n->sessions, NULL); s; s = session_next(n->sessions, s)) {
		if (s->phase != SESSION_LOGGED_IN || !s->principal)
			continue;
		if (node_grant(n, s, s->principal, &grant, &why)) {
			s->suspended = grant.suspended != NULL;
			inbox_regrant(n->inbox, s, &grant);
		} else
			inbox_kill(n->inbox, s, "the policy no longer lets this session go on; sign in again");
	}
}

/* Told when it changes. */
static void check_news(struct node *n, struct session *s)
{
	struct inbox_grant grant;
	const char *why;

	if (!node_grant(n, s, s->principal, &grant, &why) || s->suspended == (grant.suspended != NULL))
		return;
	s->suspended = grant.suspended != NULL;
	inbox_regrant(n->inbox, s, &grant);
}

void node_check_sessions(struct node *n, bool keys_changed)
{
	struct identity_clock now = node_identity_clock(n);

	for (struct session *s = session_next(n->sessions, NULL); s; s = session_next(n->sessions, s)) {
		if (s->phase != SESSION_LOGGED_IN || s->ending || !s->principal)
			continue;
		if (now.wall_s >= s->principal->end_s)
			inbox_kill(n->inbox, s, "the token has expired; sign in again with a fresh one");
		else if (keys_changed && !identity_still_valid(n->identity, s->principal, now))
			inbox_kill(n->inbox, s, "the token's key was withdrawn; sign in again");
		else
			check_news(n, s);
	}
}

/* --- logins -------------------------------------------------------------------------------------------------------------- */

static void refused(struct node *n, struct session *s, const struct identity_failure *f, const char *reason)
{
	const struct inbox_refusal why = { .reason = reason ? reason : identity_reason_name(f->reason), .issuer = f ? f->issuer : "",
					   .kid = f ? f->kid : "", .alg = f ? f->alg : "", .claim = f ? f->claim : "", .say = IDENTITY_CLIENT_TEXT };

	log_info("login refused: service %s: %s", s->service, why.reason);
	inbox_login_refused(n->inbox, s, &why);
}

/* A run is one agent's (identity.md 6). NULL, or the reason. */
static const char *run_of_another(struct node *n, const struct session *s, const struct principal *p)
{
	if (!p->run[0])
		return NULL;
	switch (runs_use(n->runs, p, bytes_of(s->client, s->address_len), node_identity_clock(n).wall_s, NULL)) {
	case RUN_OF_ANOTHER:
		return "run_of_another_agent";
	case RUNS_FULL:
		return "runs_full";
	default:
		return NULL;
	}
}

/* A token's times cannot be judged by a clock that nobody sets (identity.md 4). */
static bool clock_refuses(const struct node *n, const struct session *s)
{
	int number = n->current ? policy_service_by_name(n->current, bytes_str(s->service)) : -1;

	return number >= 0 && policy_service(n->current, (unsigned)number).on_clock_free == POLICY_CLOCK_REFUSE && !strcmp(n->now.clk, "free");
}

static void accepted(struct node *n, struct session *s, struct principal *p)
{
	struct inbox_grant grant;
	const char *why = run_of_another(n, s, p);

	if (!why && node_grant(n, s, p, &grant, &why))
		why = grant.suspended ? "revocation_news_stale" : clock_refuses(n, s) ? "clock_free" : NULL;
	if (!why) {
		inbox_login_accepted(n->inbox, s, &grant);
		return;
	}
	log_warn("login refused: service %s: %s: see policy, credentials and the agent's runs", s->service, why);
	principal_put(p);
	refused(n, s, NULL, why);
}

/* One try. True when there is an answer, whatever it is. `last`: do not wait for keys any more. */
static bool try_login(struct node *n, struct session *s, struct bytes token, bool last)
{
	const struct identity_login login = { .token = token, .now = node_identity_clock(n) };
	struct identity_failure why;
	struct principal *p;

	if (!n->identity) {
		refused(n, s, NULL, "no_policy");
		return true;
	}
	switch (identity_verify(n->identity, &login, &p, &why)) {
	case IDENTITY_ACCEPTED:
		approvals_seen(n->approvals, p);
		accepted(n, s, p);
		return true;
	case IDENTITY_REFUSED:
		refused(n, s, &why, NULL);
		return true;
	case IDENTITY_NEEDS_KEYS:
		break;
	}
	if (last)
		refused(n, s, &why, NULL);
	return last;
}

static bool try_question(struct node *n, uint64_t question, struct bytes token, bool last)
{
	const struct identity_login login = { .token = token, .now = node_identity_clock(n) };
	struct identity_failure why = { 0 };
	struct principal *p = NULL;
	enum identity_result result = n->identity ? identity_verify(n->identity, &login, &p, &why) : IDENTITY_REFUSED;

	if (result == IDENTITY_NEEDS_KEYS && !last)
		return false;
	if (result == IDENTITY_ACCEPTED)
		approvals_seen(n->approvals, p);
	operators_identified(n->operators, question, result == IDENTITY_ACCEPTED ? p : NULL, &why);
	principal_put(p);
	return true;
}

static bool wait_for_keys(struct node *n, const struct node_login *l, struct bytes token)
{
	for (unsigned i = 0; i < NODE_LOGINS; i++) {
		uint8_t *copy;

		if (n->login[i].used)
			continue;
		copy = calloc(1, token.len);
		if (!copy)
			return false;
		(void)mlock(copy, token.len);
		memcpy(copy, token.base, token.len);
		n->login[i] = *l;
		n->login[i].used = true;
		n->login[i].token = copy;
		n->login[i].token_len = token.len;
		n->login[i].deadline_us = n->now.mono_us + NODE_LOGIN_WAIT_US;
		node_fetch(n);
		return true;
	}
	return false;
}

static void forget(struct node_login *l)
{
	secret_wipe(l->token, l->token_len);
	(void)munlock(l->token, l->token_len);
	free(l->token);
	*l = (struct node_login){ 0 };
}

void node_login(void *ctx, struct session *s, const struct event_login *e)
{
	const struct node_login l = { .worker = s->worker, .flow = s->flow };
	struct node *n = ctx;

	if (!try_login(n, s, e->token, false) && !wait_for_keys(n, &l, e->token))
		refused(n, s, NULL, "too_many_logins");
}

void node_identify(struct node *n, uint64_t question, struct bytes token)
{
	const struct node_login l = { .question = question };
	const struct identity_failure none = { .reason = IDENTITY_no_memory };

	if (!try_question(n, question, token, false) && !wait_for_keys(n, &l, token))
		operators_identified(n->operators, question, NULL, &none);
}

void node_login_gone(struct node *n, unsigned worker, uint64_t flow)
{
	for (unsigned i = 0; i < NODE_LOGINS; i++) {
		if (n->login[i].used && !n->login[i].question && n->login[i].worker == worker && n->login[i].flow == flow)
			forget(&n->login[i]);
	}
}

/* Tries everything that waits again. */
static void try_all(struct node *n)
{
	if (n->watch.stop != WATCH_RUNS) /* an answer would have to be recorded */
		return;
	for (unsigned i = 0; i < NODE_LOGINS; i++) {
		struct node_login *l = &n->login[i];
		bool last = n->now.mono_us >= l->deadline_us;
		struct session *s;

		if (!l->used)
			continue;
		if (l->question) {
			if (try_question(n, l->question, bytes_of(l->token, l->token_len), last))
				forget(l);
			continue;
		}
		s = session_find(n->sessions, l->worker, l->flow);
		if (!s || try_login(n, s, bytes_of(l->token, l->token_len), last))
			forget(l);
	}
}

void node_login_tick(struct node *n)
{
	node_fetch(n);
	try_all(n);
}

void node_login_restarted(struct node *n)
{
	for (struct session *s = session_next(n->sessions, NULL); s; s = session_next(n->sessions, s)) {
		if (s->phase == SESSION_LOGGED_IN && s->principal)
			(void)run_of_another(n, s, s->principal); /* open sessions keep their runs */
		if (s->phase == SESSION_LOGIN)
			refused(n, s, NULL, "control_restarted");
		else
			inbox_repeat_refusal(n->inbox, s, IDENTITY_CLIENT_TEXT);
	}
}

/* --- keys from outside --------------------------------------------------------------------------------------------------- */

void node_fetch(struct node *n)
{
	struct identity_fetch fetch;

	/* Without the helper there is nobody to ask; asking all the same would count as a failure and start the pause. */
	while (n->identity && egress_client_fd(n->egress) >= 0 && identity_wants_fetch(n->identity, node_identity_clock(n), &fetch)) {
		if (!egress_client_get(n->egress, fetch.id, fetch.url, fetch.ca, node_mono_ms(n)))
			(void)identity_fetched(n->identity, fetch.id, 0, (struct bytes){ 0 }, node_identity_clock(n));
	}
}

void node_egress_answer(void *ctx, const struct egress_answer *answer)
{
	struct node *n = ctx;
	struct identity_fetch_report report;

	if (node_anchor_answer(n, answer) || !n->identity)
		return;
	report = identity_fetched(n->identity, answer->id, answer->http_status, answer->body, node_identity_clock(n));
	if (report.known && !report.good)
		log_warn("issuer %s: keys cannot be fetched: %s: %s", report.issuer,
			 answer->result == EGRESS_ok ? report.problem : egress_result_text(answer->result), "check the provider and sluice show health");
	if (report.keys_dropped)
		log_warn("issuer %s: %u keys not used: %s", report.issuer, report.keys_dropped, report.dropped_why);
	if (report.known && report.good && report.changed) {
		log_info("issuer %s: %u keys", report.issuer, report.keys);
		node_check_sessions(n, true);
	}
	node_fetch(n);
	try_all(n);
}

/* --- the upstream login -------------------------------------------------------------------------------------------------- */

void node_scram(void *ctx, struct session *s, const struct event_scram *e)
{
	struct node *n = ctx;
	int number = n->current ? policy_service_by_name(n->current, bytes_str(s->service)) : -1;
	struct bytes login = number >= 0 ? policy_service(n->current, (unsigned)number).login : (struct bytes){ 0 };
	const struct node_credential *c = login.len ? credential_of(n, (const char *)login.base) : NULL;
	struct scram_final final = { 0 };
	struct order_proof m = { .flow = s->flow };
	uint8_t room[4096];
	enum scram_result result = SCRAM_failed;

	if (c) {
		/* No channel binding: the conductor speaks GS2 "n,,". */
		const struct scram_exchange x = { .login = login, .password = c->password, .client_first_bare = e->client_first_bare,
						  .server_first = e->server_first, .channel_binding = bytes_str("n,,") };

		result = scram_client_final(n->scram, &x, &final);
	}
	if (result == SCRAM_ok) {
		m.client_final = bytes_str(final.message);
		m.server_signature = bytes_str(final.server_signature);
	} else {
		log_error("service %s: upstream login: %s: check its credential", s->service, c ? scram_result_text(result) : "no credential");
		m.say = bytes_str("Sluice could not sign in to the server");
	}
	inbox_order(n->inbox, s->worker, ORDER_proof, order_proof_encode(&m, room, sizeof(room)), ORDERS_NOW);
	secret_wipe(&final, sizeof(final));
	secret_wipe(room, sizeof(room));
}
