/* help.c: the verb table as help, manual page (roff) and bash completion. */
#include <string.h>

#include "control/cli/cli.h"

static const char exit_statuses[] = "0 done, 1 refused by state, 2 wrong usage or check error, 3 not permitted, 4 control cannot be reached, 5 waits for an approval";

/* The next word of an option list; its length without the '='. */
static const char *word_next(const char **at, int *len, bool *takes_value)
{
	const char *word = *at + strspn(*at, " ");
	size_t all = strcspn(word, " ");

	if (!all)
		return NULL;
	*takes_value = word[all - 1] == '=';
	*len = (int)(all - *takes_value);
	*at = word + all;
	return word;
}

static void synopsis(FILE *out, const struct cli_verb *v)
{
	const char *at = v->options, *word;
	bool takes_value;
	int len;

	fprintf(out, "sluice %s%s%s%s%s", v->object, v->name[0] ? " " : "", v->name, v->arguments[0] ? " " : "", v->arguments);
	while ((word = word_next(&at, &len, &takes_value)))
		fprintf(out, " [--%.*s%s]", len, word, takes_value ? " VALUE" : "");
}

void cli_usage(FILE *out)
{
	fprintf(out, "Usage: sluice [-c FILE] [--json] OBJECT VERB ...\n\n");
	for (unsigned i = 0; i < cli_verbs_count; i++) {
		const struct cli_verb *v = &cli_verbs[i];
		char left[64];

		snprintf(left, sizeof(left), "%s %s%s%s", v->object, v->name, v->arguments[0] && v->name[0] ? " " : "", v->arguments);
		fprintf(out, "  %-28s %s\n", left, v->summary);
	}
	fprintf(out, "\n  -c, --config FILE   the node's configuration (default %s)\n  --json              one JSON document instead of text\n"
		     "  --help              of the command or of one verb\n  --version           the version\n\nExit status: %s.\n", CLI_CONFIG, exit_statuses);
}

void cli_help(FILE *out, const struct cli_verb *v)
{
	fprintf(out, "Usage: ");
	synopsis(out, v);
	fprintf(out, "\n\n%c%s.\n", v->summary[0] - ('a' <= v->summary[0] && v->summary[0] <= 'z' ? 32 : 0), v->summary + 1);
	if (v->text[0])
		fprintf(out, "%s\n", v->text);
}

/* Text for roff: a leading dot or quote, and every hyphen and backslash, would mean something. */
static void roff(FILE *out, const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c == '-')
			fputs("\\-", out);
		else if (*c == '\\')
			fputs("\\e", out);
		else
			fputc(*c, out);
	}
}

void cli_man(FILE *out)
{
	fputs(".TH SLUICE 1 \"\" \"Sluice " SLUICE_VERSION "\" \"Sluice\"\n.SH NAME\nsluice \\- operate a Sluice appliance\n.SH SYNOPSIS\n"
	      ".B sluice\n[\\-c FILE] [\\-\\-json] OBJECT VERB ...\n.SH DESCRIPTION\nTalks to sluice\\-control through its socket in the run directory, "
	      "or reads a journal by itself. Verbs that show what the journal holds are themselves recorded in it.\n.SH VERBS\n", out);
	for (unsigned i = 0; i < cli_verbs_count; i++) {
		const struct cli_verb *v = &cli_verbs[i];
		const char *at = v->options, *word;
		bool takes_value;
		int len;

		fprintf(out, ".TP\n.B %s %s %s\n", v->object, v->name, v->arguments);
		while ((word = word_next(&at, &len, &takes_value)))
			fprintf(out, "[\\-\\-%.*s%s]\n", len, word, takes_value ? " VALUE" : "");
		fputs(".br\n", out);
		roff(out, v->summary);
		fputs(".\n", out);
		roff(out, v->text);
		fputc('\n', out);
	}
	fputs(".SH OPTIONS\n.TP\n.B \\-c, \\-\\-config FILE\nThe node's configuration; default " CLI_CONFIG ".\n.TP\n.B \\-\\-json\n"
	      "One JSON document instead of text; errors as {error, id, hint}.\n.SH EXIT STATUS\n", out);
	roff(out, exit_statuses);
	fputs(".\n.SH POLICY\nThree fields of a rule in the policy file say how far an allowed or approved command may go.\n.TP\n.B max_rows\nA number as text "
	      "(\"100\", \"5k\"). The row that would exceed it is not given, a change of more rows is undone; the client gets SQLSTATE 42501 with the rule's id.\n"
	      ".TP\n.B max_bytes\nThe same for the bytes of rows, as the client gets them, and of the data of COPY.\n.TP\n.B oracle\n\"allow\" lets columns that "
	      "this rule masks be compared, sorted, joined, grouped and counted; without it such a command is blocked.\n.PP\n"
	      "Under a limit these are blocked, for nobody could count them in time: several statements in one message; under max_rows, TRUNCATE and changes inside "
	      "other statements (WITH, DO, EXPLAIN ANALYZE).\n", out);
	fputs(".PP\nA field of defaults, and of a service, says what has to be on disk before anything moves.\n.TP\n.B audit\n\"strict\" (the default): a command "
	      "reaches the target when its record is on disk. \"prompt\": when its record is in memory that outlives both processes; at most 5 ms later it is "
	      "on disk. \"answers\": as strict, and no byte of an answer reaches the client before what describes it is on disk: the payload where record is "
	      "\"full\", the record of the answer's end, or else, and beyond payload_limit, a record resp.part for each 64 KiB that says how many rows and bytes "
	      "there were so far. From a session's first command on this holds for all that the client gets; before it auth.ok is on disk. Under protocol \"opaque\" "
	      "all waits for session.open. What never gets on disk is not delivered: the session ends with the protocol's error.\n"
	      ".PP\nA field of a service with protocol \"opaque\" says how it is relayed.\n.TP\n.B splice\n\"on\" (default): once session.open is on disk, its frames pass with at most "
	      "their numbers moved, if sluice.conf allows it. \"off\": its TCP is terminated. A reload changes open flows too, without a byte lost.\n", out);
	fputs(".PP\nTwo fields say how evidence may be destroyed.\n.TP\n.B admin.destroy_approval\nThe approval, of two persons or more, without which sluice journal "
	      "erase, sluice journal prune and sluice journal rotate\\-key do nothing.\n.TP\n.B journal.prune\n\"automatic\" (default): records older than retention_records go by themselves; "
	      "\"approved\": only after sluice journal prune was approved. What a legal hold covers never goes, nor what a stream of sluice.conf has not confirmed, "
	      "unless its entry there says prune_waits = \"off\": journal.prune then names the stream.\n", out);
	fputs(".PP\nadmin.roles says who may do what, by groups; a group may stand in several roles, but a token that has both of a pair below is refused.\n"
	      ".TP\n.B administrator\nasks for what two others approve (erase, prune, rotate\\-key); places and releases legal holds; revokes approvals. Reads no record and exports nothing.\n"
	      ".TP\n.B auditor\nreads records, sessions, proofs and approvals; exports bundles, events and reports; verifies; lists holds. Gets no payload key. Not together with administrator.\n"
	      ".TP\n.B investigator\nasks for payload keys (journal disclose), and makes the one bundle that was approved, with the records of these sessions and of no other. Not together with "
	      "administrator.\n.TP\n.B operator\nno rights of its own in this version: what show and session list tell needs no role, and no content is in it.\n.PP\nWho approves is said by "
	      "approvals, never by a role; who asked never counts. Nobody changes or deletes a record. Root of the machine reads what it can open, and gets keys with \\-\\-with\\-keys: "
	      "journaled all the same.\n.TP\n.B admin.disclose_approval\nThe approval, of two persons or more, without which an investigator gets no payload key.\n", out);
	fputs(".SH FILES\n" CLI_CONFIG ", /run/sluice/control.sock, /var/lib/sluice/journal\n", out);
}

void cli_completion(FILE *out)
{
	fputs("# bash completion of sluice, made from its verb table\n_sluice() {\n\tlocal object=${COMP_WORDS[1]} words=\n\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\twords='", out);
	for (unsigned i = 0; i < cli_verbs_count; i++) {
		if (i == 0 || strcmp(cli_verbs[i].object, cli_verbs[i - 1].object))
			fprintf(out, "%s ", cli_verbs[i].object);
	}
	fputs("'\n\telse\n\t\tcase \"$object${COMP_WORDS[2]:+ ${COMP_WORDS[2]}}\" in\n", out);
	for (unsigned i = 0; i < cli_verbs_count; i++) {
		const char *at = cli_verbs[i].options, *word;
		bool takes_value;
		int len;

		if (!cli_verbs[i].name[0])
			continue;
		fprintf(out, "\t\t'%s %s') words='--json ", cli_verbs[i].object, cli_verbs[i].name);
		while ((word = word_next(&at, &len, &takes_value)))
			fprintf(out, "--%.*s ", len, word);
		fputs("' ;;\n", out);
	}
	for (unsigned i = 0; i < cli_verbs_count; i++) {
		if (i > 0 && !strcmp(cli_verbs[i].object, cli_verbs[i - 1].object))
			continue;
		fprintf(out, "\t\t%s*) words='", cli_verbs[i].object);
		for (unsigned j = i; j < cli_verbs_count && !strcmp(cli_verbs[i].object, cli_verbs[j].object); j++)
			fprintf(out, "%s ", cli_verbs[j].name);
		fputs("' ;;\n", out);
	}
	fputs("\t\tesac\n\tfi\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _sluice sluice\n", out);
}
