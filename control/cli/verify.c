/* verify.c: sluice journal verify. With a token sluice-control audits the node's own journal and says what it found; otherwise the directory is read
 * here, under keys that were given or lie beside it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/anchor/judge.h"
#include "control/cli/read.h"
#include "control/signer/signer_state.h"
#include "platform/os/settings.h"

#define UNVERIFIED_LINES 3u /* for people: anchors of somebody unknown that are named */

struct findings {
	json_t *list, *unverified; /* for --json */
	json_t *verified;          /* sluice-control's summary */
	bool json;
	unsigned named;
	unsigned kept; /* checkpoints that were given */
	bool recorded; /* the audit itself */
};

/* Those of --checkpoint. */
struct kept {
	unsigned count;
	struct verify_kept_note note[VERIFY_KEPT_MAX];
	char name[VERIFY_KEPT_MAX][100];
	uint8_t room[VERIFY_KEPT_MAX][CHECKPOINT_BYTES_MAX];
};

static const char *text_of(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* --- what was found ------------------------------------------------------------------------------------------------------- */

static json_int_t place(uint64_t n)
{
	return n > INT64_MAX ? -1 : (json_int_t)n;
}

static void finding_print(struct findings *to, const struct verify_finding *f)
{
	bool unverified = f->kind == VERIFY_UNVERIFIED;
	char where[96] = "";

	if (unverified && to->named++ >= UNVERIFIED_LINES)
		return;
	if (f->segment != VERIFY_NOWHERE && f->byte != VERIFY_NOWHERE)
		snprintf(where, sizeof(where), " (segment %llu, byte %llu of data.mdb)", (unsigned long long)f->segment, (unsigned long long)f->byte);
	else if (f->segment != VERIFY_NOWHERE)
		snprintf(where, sizeof(where), " (segment %llu)", (unsigned long long)f->segment);
	fputs(unverified ? "unverified: " : "wrong: ", stdout);
	print_text(stdout, f->what, strlen(f->what), 0);
	printf("%s: %s\n", where, verify_kind_advice(f->kind));
}

static void on_finding(void *ctx, const struct verify_finding *f)
{
	struct findings *to = ctx;

	if (to->json)
		json_array_append_new(f->kind == VERIFY_UNVERIFIED ? to->unverified : to->list,
				      json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "kind", verify_kind_name(f->kind), "what", f->what, "do", verify_kind_advice(f->kind),
						"index", place(f->index), "last", place(f->last), "segment", place(f->segment), "byte", place(f->byte)));
	else
		finding_print(to, f);
}

static void time_text(int64_t time_s, char out[32])
{
	time_t t = (time_t)time_s;
	struct tm parts;

	out[0] = 0;
	if (gmtime_r(&t, &parts))
		(void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* "12 good, the newest over 5000 records, 2026-11-30T10:00:00Z" */
static void anchors_line(const char *what, uint64_t count, uint64_t size, int64_t time_s)
{
	char at[32];

	time_text(time_s, at);
	if (count)
		printf("%s: %llu good, the newest over %llu records, %s\n", what, (unsigned long long)count, (unsigned long long)size, at);
	else
		printf("%s: none that is good\n", what);
}

/* What the witness policy says of the cosignatures that were seen. */
struct quorum {
	bool known, asks; /* there is a policy; it asks for cosignatures */
	char wrong[160];  /* why the one beside the journal is none */
	uint64_t size, witnesses;
	int64_t time_s;
};

static struct quorum quorum_of(const struct judge *j)
{
	struct quorum q = { .known = j->policy != NULL, .asks = j->policy && witness_policy_asks(j->policy), .size = j->quorum.size,
			    .witnesses = (uint64_t)__builtin_popcountll(j->quorum.witnesses), .time_s = j->quorum.time_s };

	snprintf(q.wrong, sizeof(q.wrong), "%s", j->policy_wrong && !j->policy ? j->policy_wrong : "");
	return q;
}

static void quorum_print(const struct quorum *q, uint64_t newest)
{
	char at[32];

	time_text(q->time_s, at);
	if (q->wrong[0])
		printf("quorum: the policy beside the journal is none: %s\n", q->wrong);
	else if (q->known && !q->asks)
		puts("quorum: the policy asks for no witness");
	else if (q->known && !q->size)
		puts("quorum: no checkpoint has it");
	else if (q->known && q->size == newest)
		printf("quorum: the newest checkpoint has it: %llu records, by %llu witnesses, %s\n", (unsigned long long)q->size, (unsigned long long)q->witnesses, at);
	else if (q->known)
		printf("quorum: the checkpoint of %llu records has it, by %llu witnesses, %s; the newest, of %llu records, has not\n", (unsigned long long)q->size,
		       (unsigned long long)q->witnesses, at, (unsigned long long)newest);
}

static json_t *quorum_json(const struct quorum *q, uint64_t newest)
{
	char at[32] = "";

	if (q->size)
		time_text(q->time_s, at);
	return json_pack("{s:b, s:b, s:s, s:I, s:I, s:s, s:b}", "policy", q->known, "asks", q->asks, "wrong", q->wrong, "size", (json_int_t)q->size, "witnesses",
			 (json_int_t)q->witnesses, "time", at, "newest", q->size && q->size == newest);
}

static void summary_print(const struct verify_summary *s, const struct quorum *q, unsigned kept, bool own, bool good)
{
	if (own && s->signatures_checked)
		puts("note: checked under the vkey beside the journal; give --key with one that you got elsewhere");
	if (!s->signatures_checked)
		puts("note: no key, so signatures were not checked; give --key");
	printf("records %llu to %llu, segments %llu, checkpoints %llu, chunks %llu, sessions %llu; %llu records are newer than the last checkpoint\n",
	       (unsigned long long)s->first, (unsigned long long)s->size, (unsigned long long)s->segments, (unsigned long long)s->checkpoints,
	       (unsigned long long)s->chunks, (unsigned long long)s->sessions, (unsigned long long)(s->size > s->covered ? s->size - s->covered : 0));
	anchors_line("time stamps", s->tokens, s->stamped, s->stamped_s);
	anchors_line("cosignatures", s->cosignatures, s->cosigned, s->cosigned_s);
	quorum_print(q, s->covered);
	if (s->unverified)
		printf("unverified: %llu time stamps and cosignatures of authorities and witnesses that are not known here\n", (unsigned long long)s->unverified);
	if (kept)
		printf("kept: %u of %u checkpoints are of this journal's history, the newest of %llu records\n", s->kept, kept, (unsigned long long)s->kept_size);
	if (s->signer_known)
		puts("signer: the newest checkpoint was compared with its state");
	if (good)
		printf("good: %llu records, every one as it was written\n", (unsigned long long)(s->size - s->first));
	else
		printf("not good: %llu findings\n", (unsigned long long)s->findings);
}

static json_t *anchors_json(uint64_t count, uint64_t size, int64_t time_s)
{
	char at[32] = "";

	if (count)
		time_text(time_s, at);
	return json_pack("{s:I, s:I, s:s}", "good", (json_int_t)count, "size", (json_int_t)size, "time", at);
}

static json_t *kept_json(const struct verify_summary *s, unsigned given)
{
	return json_pack("{s:i, s:i, s:I}", "given", (int)given, "good", (int)s->kept, "size", (json_int_t)s->kept_size);
}

static void verified_print(const struct findings *f, const struct verify_summary *s, const struct quorum *q, bool own, bool good)
{
	if (f->json)
		print_json(json_pack("{s:b, s:I, s:I, s:I, s:b, s:b, s:o, s:o, s:o, s:o, s:b, s:I, s:O, s:O}", "good", good, "first", (json_int_t)s->first, "size", (json_int_t)s->size,
				     "covered", (json_int_t)s->covered, "signatures_checked", s->signatures_checked, "signer_compared", s->signer_known, "timestamps",
				     anchors_json(s->tokens, s->stamped, s->stamped_s), "cosignatures", anchors_json(s->cosignatures, s->cosigned, s->cosigned_s),
				     "quorum", quorum_json(q, s->covered), "kept", kept_json(s, f->kept), "recorded", f->recorded, "unverified_count", (json_int_t)s->unverified, "findings", f->list, "unverified", f->unverified));
	else
		summary_print(s, q, f->kept, own, good);
}

/* --- by sluice-control ---------------------------------------------------------------------------------------------------- */

static uint64_t number_of(json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

static enum verify_kind kind_of(json_t *finding)
{
	for (unsigned kind = 0; kind < VERIFY_KINDS; kind++)
		if (!strcmp(text_of(finding, "kind"), verify_kind_name(kind)))
			return kind;
	return VERIFY_RECORD;
}

static bool verify_frame(void *ctx, json_t *frame)
{
	struct findings *to = ctx;
	json_t *f = json_object_get(frame, "finding"), *verified = json_object_get(frame, "verified");

	if (f) {
		const struct verify_finding finding = { .kind = kind_of(f), .what = text_of(f, "what"), .index = number_of(f, "index"), .last = number_of(f, "last"),
							.segment = number_of(f, "segment"), .byte = number_of(f, "byte") };

		on_finding(to, &finding);
	}
	if (verified)
		to->verified = json_incref(verified);
	return true;
}

static struct verify_summary summary_of(json_t *v)
{
	return (struct verify_summary){
		.first = number_of(v, "first"), .size = number_of(v, "size"), .segments = number_of(v, "segments"), .checkpoints = number_of(v, "checkpoints"),
		.chunks = number_of(v, "chunks"), .sessions = number_of(v, "sessions"), .findings = number_of(v, "findings"), .covered = number_of(v, "covered"),
		.signatures_checked = json_is_true(json_object_get(v, "signatures_checked")), .tokens = number_of(v, "tokens"),
		.cosignatures = number_of(v, "cosignatures"), .unverified = number_of(v, "unverified"), .stamped = number_of(v, "stamped"),
		.signer_known = json_is_true(json_object_get(v, "signer_compared")), .cosigned = number_of(v, "cosigned"), .kept = (unsigned)number_of(v, "kept"), .kept_size = number_of(v, "kept_size"), .stamped_s = (int64_t)number_of(v, "stamped_s"), .cosigned_s = (int64_t)number_of(v, "cosigned_s"),
	};
}

static struct quorum quorum_said(json_t *v)
{
	json_t *said = json_object_get(v, "quorum");
	struct quorum q = { .known = json_is_true(json_object_get(said, "policy")), .asks = json_is_true(json_object_get(said, "asks")),
			    .size = number_of(said, "size"), .witnesses = number_of(said, "witnesses"), .time_s = (int64_t)number_of(said, "time_s") };

	snprintf(q.wrong, sizeof(q.wrong), "%s", text_of(said, "wrong"));
	return q;
}

static int verify_by_control(struct cli *c, const struct kept *kept, struct findings *findings)
{
	json_t *args = json_pack("{s:s}", "what", "verify"), *notes = json_array();
	int status = FRAME_USAGE;

	for (unsigned i = 0; i < kept->count; i++)
		json_array_append_new(notes, json_stringn((const char *)kept->note[i].note.base, kept->note[i].note.len));
	if (kept->count)
		json_object_set(args, "checkpoints", notes);
	json_decref(notes);

	if (cli_token(c, args))
		status = cli_stream(c, json_incref(args), verify_frame, findings);
	json_decref(args);
	if (status == FRAME_DONE && findings->verified) {
		const struct verify_summary s = summary_of(findings->verified);
		const struct quorum q = quorum_said(findings->verified);
		bool good = json_is_true(json_object_get(findings->verified, "good")) && s.kept == kept->count;

		verified_print(findings, &s, &q, true, good);
		if (!c->json)
			puts("note: sluice-control checked its own journal; whoever does not believe it exports a bundle and follows its VERIFY.md");
		status = good ? FRAME_DONE : FRAME_REFUSED;
	} else if (status == FRAME_DONE) {
		status = cli_fail(c, FRAME_REFUSED, "journal verify: ended early: see the log of sluice-control");
	}
	json_decref(findings->verified);
	return status;
}

/* --- here ----------------------------------------------------------------------------------------------------------------- */

/* Whom the node's configuration names; what cannot be read is said. */
static void judge_configured(struct judge *j, const struct settings *s)
{
	const char *wrong = s->timestamp.url ? judge_read_authority(j, s->timestamp.roots) : NULL;

	if (wrong)
		fprintf(stderr, "note: %s: %s: time stamps of that authority are not verified\n", s->timestamp.roots, wrong);
	for (unsigned i = 0; i < s->witnesses; i++)
		(void)judge_add_witnesses(j, bytes_str(s->witness[i].key));
}

/* Those that are given; for what is not given, what lies beside the journal and, for the node's own, what is configured. False after an error line. */
static bool judge_read(struct cli *c, const char *dir, struct judge *j)
{
	const char *tsa = cli_option(c, "tsa"), *witness = cli_option(c, "witness"), *policy = cli_option(c, "witness-policy"), *wrong;
	struct judge beside = { 0 };
	unsigned line;

	judge_read_beside(&beside, dir);
	if (!c->positionals && c->settings)
		judge_configured(&beside, c->settings);
	*j = (struct judge){ 0 };
	if (tsa && (wrong = judge_read_authority(j, tsa)))
		cli_fail(c, FRAME_USAGE, "%s: %s: give the certificates of the time-stamp authority's CA", tsa, wrong);
	else if (witness && (wrong = judge_read_witnesses(j, witness)))
		cli_fail(c, FRAME_USAGE, "%s: %s: give the keys of witnesses, one a line, as sluice-witness --key prints them", witness, wrong);
	else
		wrong = NULL;
	if (!tsa && !wrong) {
		j->authority = beside.authority;
		beside.authority = NULL;
	}
	if (!witness && !wrong) {
		memcpy(j->witness, beside.witness, sizeof(j->witness));
		j->witnesses = beside.witnesses;
	}
	if (!wrong && policy && (wrong = judge_read_policy(j, policy, &line))) {
		cli_fail(c, FRAME_USAGE, "%s: line %u: %s: give a witness policy (C2SP tlog-policy)", policy, line, wrong);
	} else if (!policy && !wrong) {
		j->policy = beside.policy;
		j->policy_wrong = beside.policy_wrong;
		beside.policy = NULL;
	}
	judge_free(&beside);
	return !wrong;
}

/* `ctx`: the path of the signer's state, "" for none. */
static bool signed_last(void *ctx, uint64_t *size, struct merkle_hash *root)
{
	const char *path = ctx;
	struct signer_state s;

	/* Of its two slots one may be being written. */
	for (unsigned tries = 0; path[0] && tries < 8; tries++) {
		if (signer_state_look(&s, path) != NULL)
			continue;
		*size = s.size;
		*root = s.root;
		return true;
	}
	return false;
}

/* The signer's state: given, or the node's own. False after an error line. */
static bool state_path(struct cli *c, char out[400])
{
	const char *given = cli_option(c, "state"), *wrong;
	struct signer_state s;

	out[0] = 0;
	if (given)
		snprintf(out, 400, "%s", given);
	else if (!c->positionals && c->settings)
		snprintf(out, 400, "%.380s/signer/state", c->settings->state_dir);
	wrong = out[0] ? signer_state_look(&s, out) : NULL;
	if (wrong && given)
		return cli_fail(c, FRAME_USAGE, "%s: %s: name the file `state` of sluice-signer", given, wrong), false;
	if (wrong && !c->json)
		printf("note: %s: %s: the newest checkpoint is not compared with what was signed last; root can\n", out, wrong);
	return true;
}

/* Who brings a policy wants its quorum; of the journal's own it is only said. */
static void quorum_demand(struct findings *findings, const char *policy, const struct quorum *q, struct verify_summary *s)
{
	char what[320];
	const struct verify_finding f = { .kind = VERIFY_ANCHOR, .what = what, .index = VERIFY_NOWHERE, .last = VERIFY_NOWHERE, .segment = VERIFY_NOWHERE,
					  .byte = VERIFY_NOWHERE };

	if (!policy || !q->asks || q->size)
		return;
	snprintf(what, sizeof(what), "no checkpoint has the quorum of %.250s", policy);
	on_finding(findings, &f);
	s->findings++;
}

/* False after an error line. */
static bool kept_read(struct cli *c, struct kept *k)
{
	for (unsigned i = 0; i < c->options; i++) {
		if (strcmp(c->option[i].name, "checkpoint"))
			continue;
		if (k->count == VERIFY_KEPT_MAX)
			return cli_fail(c, FRAME_USAGE, "journal verify: more than %u checkpoints: give fewer", VERIFY_KEPT_MAX), false;
		snprintf(k->name[k->count], sizeof(k->name[0]), "%s", c->option[i].value);
		k->note[k->count].name = k->name[k->count];
		if (!read_checkpoint_file(c, c->option[i].value, k->room[k->count], &k->note[k->count].note))
			return false;
		k->count++;
	}
	return true;
}

/* Root's own audit of the node's journal is a record before it begins, like every reading. It goes on where there can be none: a journal that is stopped,
 * or whose control is, is what it is for. */
static bool put_on_record(struct cli *c)
{
	char detail[480];
	json_t *told;
	int status;

	c->quiet = true;
	told = cli_ask(c, "journal read", json_pack("{s:s, s:s}", "what", "verify", "detail", read_filter_text(c, detail, sizeof(detail))), &status);
	c->quiet = false;
	if (!told && !c->json)
		printf("note: this audit is not on record: sluice-control %s\n", status == FRAME_UNREACHABLE ? "does not run" : "did not take it");
	json_decref(told);
	return told != NULL;
}

int cli_journal_verify(struct cli *c)
{
	static struct kept kept;
	struct findings findings = { .json = c->json, .list = json_array(), .unverified = json_array() };
	struct verify_options options = { .ctx = &findings, .found = on_finding, .judge = judge_anchor, .signed_last = signed_last };
	struct judge judge = { 0 };
	struct verify_summary s = { 0 };
	struct checkpoint_keys keys;
	struct quorum q;
	char own_dir[320], state[400];
	int status = FRAME_USAGE;
	bool own, good, has_keys;

	if (!kept_read(c, &kept)) {
		status = FRAME_USAGE;
	} else if (!c->positionals && cli_option(c, "token-file")) {
		findings.kept = kept.count;
		findings.recorded = true;
		status = verify_by_control(c, &kept, &findings);
	} else if ((options.dir = c->positionals ? c->positional[0] : cli_journal_dir(c, own_dir))) {
		has_keys = read_keys(c, options.dir, &keys, &own);
		if ((has_keys || own) && judge_read(c, options.dir, &judge) && state_path(c, state)) {
			findings.recorded = !c->positionals && put_on_record(c);
			options.keys = has_keys ? &keys : NULL;
			options.judge_ctx = &judge;
			options.signed_ctx = state;
			options.kept = kept.note;
			options.kept_count = findings.kept = kept.count;
			good = verify_journal(&options, &s);
			q = quorum_of(&judge);
			quorum_demand(&findings, cli_option(c, "witness-policy"), &q, &s);
			good &= s.findings == 0;
			verified_print(&findings, &s, &q, own, good);
			status = good ? FRAME_DONE : FRAME_REFUSED;
		}
	}
	judge_free(&judge);
	json_decref(findings.list);
	json_decref(findings.unverified);
	return status;
}
