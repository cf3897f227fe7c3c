/* cli.h: what the verbs of the `sluice` command share.
 *
 * A verb is one row of verbs.c: help, manual page and completion are made from it. It gets its arguments checked, and returns an exit
 * status of operations.md 2 (frame.h). Errors are one line on standard error, `sluice: <what>: <why>: <do>`; with --json an object
 * {"error", "id", "hint"} instead. What is printed for people is escaped for terminals; --json prints one document.
 */
#ifndef CONTROL_CLI_CLI_H
#define CONTROL_CLI_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "control/cli/frame.h"

#define CLI_POSITIONALS 4
#define CLI_OPTIONS 24
#define CLI_CONFIG "/etc/sluice/sluice.conf"

struct settings;
struct cli_verb;

struct cli_option {
	const char *name, *value; /* value "" for a switch */
};

struct cli {
	const struct cli_verb *verb;
	const char *config;
	bool json, quiet; /* quiet: cli_fail says nothing */
	const char *positional[CLI_POSITIONALS];
	unsigned positionals;
	struct cli_option option[CLI_OPTIONS];
	unsigned options;
	struct settings *settings; /* read when first asked for */
	const char *recipients;    /* fingerprints of whom what is read is sealed to; NULL: nobody */
};

struct cli_verb {
	const char *object, *name;   /* name "" for a command of one word */
	const char *arguments;       /* "ID", "[DIR]": those without brackets are required */
	const char *options;         /* "reason= token-file= all": with = it takes a value */
	const char *summary;         /* one line */
	const char *text;            /* for help and manual; may be "" */
	int (*run)(struct cli *c);
};

extern const struct cli_verb cli_verbs[];
extern const unsigned cli_verbs_count;

/* The value of an option, NULL when it was not given. */
const char *cli_option(const struct cli *c, const char *name);

/* Prints the error line and returns `status`. The format gives "what: why: do". */
[[gnu::format(printf, 3, 4)]] int cli_fail(const struct cli *c, enum frame_status status, const char *format, ...);

/* sluice.conf; NULL after an error line. */
struct settings *cli_settings(struct cli *c);
/* The journal's directory by sluice.conf. */
const char *cli_journal_dir(struct cli *c, char out[320]);

/* --- help.c -------------------------------------------------------------------------------------------------------------- */

void cli_usage(FILE *out);
void cli_help(FILE *out, const struct cli_verb *v);
void cli_man(FILE *out);
void cli_completion(FILE *out);

/* --- client.c: the control socket ---------------------------------------------------------------------------------------- */

/* Sends {verb, args}; `args` is taken. The result, to be decref'ed, or NULL after an error line with `*status`. */
json_t *cli_ask(struct cli *c, const char *verb, json_t *args, int *status);
/* The same for verb `read`: `take` gets each frame of the stream (control/reading.h), the last one too, until it says false. The exit status. */
int cli_stream(struct cli *c, json_t *args, bool (*take)(void *ctx, json_t *frame), void *ctx);
/* The same for another verb that answers with a stream. */
int cli_stream_of(struct cli *c, const char *verb, json_t *args, bool (*take)(void *ctx, json_t *frame), void *ctx);

/* ask.c: asks, and prints the whole document (--json), or what `text` makes of it; `args` is taken. The exit status. */
int cli_ask_and_print(struct cli *c, const char *verb, json_t *args, void (*text)(json_t *result));
void cli_members_text(json_t *result);
/* ask.c: adds the token of --token-file as "token". False after an error line. */
bool cli_token(struct cli *c, json_t *args);

/* --- print.c ------------------------------------------------------------------------------------------------------------- */

/* Text for a terminal: control characters, bidirectional marks, zero-width and look-alike spaces become visible. `width` 0: all of it. */
void print_text(FILE *out, const char *text, size_t len, unsigned width);
/* A text that people decide on, whole: each line behind "  | ", so that none can play the page around it; letters that are taken for Latin
 * ones, and space at a line's end, are written out as well. */
void print_exact(FILE *out, const char *text, size_t len);
void print_json(json_t *document); /* taken */

/* One column of a table: heading, member of the row's object, width. */
struct print_column {
	const char *heading, *member;
	unsigned width;
};
void print_table(json_t *rows, const struct print_column *columns, unsigned count);
/* Members of an object, one a line. */
void print_members(json_t *object, unsigned indent);

/* --- the verbs, by file -------------------------------------------------------------------------------------------------- */

int cli_run(struct cli *c);
int cli_show_health(struct cli *c);
int cli_show_journal(struct cli *c);
int cli_show_sessions(struct cli *c);
int cli_show_approvals(struct cli *c);
int cli_show_policy(struct cli *c);
int cli_show_version(struct cli *c);
int cli_show_drops(struct cli *c);
int cli_show_ports(struct cli *c);
int cli_show_flows(struct cli *c);
int cli_show_flow(struct cli *c);
int cli_show_workers(struct cli *c);
int cli_session_list(struct cli *c);
int cli_session_show(struct cli *c);
int cli_session_replay(struct cli *c);
int cli_session_grep(struct cli *c);
int cli_session_kill(struct cli *c);
int cli_session_live(struct cli *c);
int cli_approval_list(struct cli *c);
int cli_approval_show(struct cli *c);
int cli_approval_approve(struct cli *c);
int cli_approval_deny(struct cli *c);
int cli_approval_revoke(struct cli *c);
int cli_policy_check(struct cli *c);
int cli_policy_explain(struct cli *c);
int cli_policy_reload(struct cli *c);
int cli_journal_verify(struct cli *c);
int cli_journal_bench(struct cli *c);
int cli_journal_erase(struct cli *c);
int cli_journal_hold(struct cli *c);
int cli_journal_prune(struct cli *c);
int cli_journal_rotate_key(struct cli *c);
int cli_journal_disclose(struct cli *c);
int cli_journal_proof(struct cli *c);
int cli_journal_show(struct cli *c);
int cli_journal_search(struct cli *c);
int cli_journal_tail(struct cli *c);
int cli_export_bundle(struct cli *c);
int cli_export_events(struct cli *c);
int cli_export_report(struct cli *c);
int cli_identity_test(struct cli *c);
int cli_capture_start(struct cli *c);
int cli_capture_stop(struct cli *c);
int cli_capture_list(struct cli *c);
int cli_capture_save(struct cli *c);
int cli_key_show_fingerprints(struct cli *c);

#endif
