/* verbs.c: every verb, once: help, manual page, completion and dispatch come from here. */
#include "control/cli/cli.h"
#include "control/cli/pdf.h"

#define AUDITOR "Root reads by itself; whoever else may open the control socket gives --token-file with an auditor's token (admin.roles.auditor of the policy)."

#define TWO_PERSONS "Those whom admin.destroy_approval of the policy names decide, two at least and not who asks, with sluice approval approve; then it is done."

#define VIEWER "Root sees all; whoever else may open the control socket gives --token-file: an approver sees what it may decide on, a requester its own, an auditor all, without the text of held commands, which is sealed payload."

#define FILTER_ALONE "person= agent= run= service= target= verdict= type= since= until= "
#define FILTER FILTER_ALONE "text= "
#define FILTER_TEXT "Times are RFC 3339 UTC. --target is a service, a server's address (with :port or without), a database, or what is read or written, as " \
	"public.orders. --type approval. matches every approval record. --text is looked for in the record as it stands, ASCII case ignored. "
#define PAGES "--limit ends a page; where the next one begins (--from) is said at its end. "
#define COPY "--dir names a copy of a journal: all of it is read, unless --index says to believe its index for searches. "

const struct cli_verb cli_verbs[] = {
	{ "run", "", "", "", "start everything in the foreground",
	  "Starts sluice-control, sluice-standby and sluice-dataplane with the same configuration, passes their log lines on, each with its name, starts again "
	  "what dies, and ends all in order on SIGINT or SIGTERM. In the field the systemd units do this.", cli_run },
	{ "show", "health", "", "", "state of the node, and why it is not better",
	  "State is inspecting, degraded or blocking; `reasons` says why. Blocking: everything guarded is refused, because the journal is stopped (volume at 98 %, "
	  "signer, clock, disk), no policy is in force, or a worker has ended. Also: workers and their life, the journal's level, helpers, the age of each "
	  "issuer's keys, services that fail open or are not read, the clock. Exit status 0 inspecting or degraded, 1 blocking, 4 control does not answer.",
	  cli_show_health },
	{ "show", "journal", "", "", "the journal's volume, commits and checkpoints",
	  "level is ok, alarm (80 % of the volume), digest (90 %: services with on_journal_full = \"digest\" are recorded without payload, requests and answers; an answer's record says so: truncated_by), no_sessions (95 %: nobody "
	  "new may log in), full (98 %: commands are refused). stop names what commands are refused for: full, signer, clock.", cli_show_journal },
	{ "show", "sessions", "", "", "as session list --open", "", cli_show_sessions },
	{ "show", "approvals", "", "token-file=", "as approval list", "", cli_show_approvals },
	{ "show", "policy", "", "", "the policy in force", "", cli_show_policy },
	{ "show", "workers", "", "", "heartbeat and memory of each worker",
	  "Read from the workers' own pages; nobody is stopped for it. --json has every number, the worst look-up of the flow table among them.", cli_show_workers },
	{ "show", "ports", "", "", "the wire ports: link, frames, losses", "", cli_show_ports },
	{ "show", "drops", "", "", "dropped frames, with the reason for each", "", cli_show_drops },
	{ "show", "flows", "", "abnormal", "guarded flows, as a worker sees them",
	  "--abnormal lists the last ones that ended by a reset, a time-out, broken protocol, TLS or the worker's death.", cli_show_flows },
	{ "show", "flow", "ID", "", "one flow with its flight recorder", "ID is the beginning of its number or of its session's.", cli_show_flow },
	{ "show", "version", "", "", "version of control and of this command", "", cli_show_version },
	{ "session", "list", "", FILTER "open from= limit= dir= index token-file=", "sessions, those that ended first; or those that the journal tells of",
	  "Without a filter: what runs and what ended last, as sluice-control has it; --open leaves out what has ended. With one, or --from, the sessions that have a "
	  "record that matches all, in the order of their first such record. " FILTER_TEXT PAGES COPY "Journaled as read.sessions, the live list too. " AUDITOR, cli_session_list },
	{ "session", "show", "ID", FILTER "from= limit= dir= index token-file=", "the records of one session, all or those that match",
	  "ID may be a unique beginning of one that runs or ended last. " FILTER_TEXT PAGES COPY "Journaled as read.session. " AUDITOR, cli_session_show },
	{ "session", "grep", "TEXT", FILTER_ALONE "session= from= limit= dir= index token-file=", "the records of sessions that hold TEXT",
	  "Each line begins with the session's. " FILTER_TEXT PAGES COPY "Journaled as read.grep. " AUDITOR, cli_session_grep },
	{ "session", "replay", "ID", "keys= speed= step asciicast verdict= type= since= until= text= token-file=", "what went over the wire, in order",
	  "As a transcript, all at once; --speed 1 shows it as it went, --speed 20 twenty times as fast, --step one event each time Enter is pressed (q ends). "
	  "With --asciicast as asciicast v2, with --json as one document of events (at: seconds; dir: mark, in or out; text). With a filter, what the records that match tell. An auditor sees the records, and of payload how much there is: payload is shown "
	  "to who asked for it as an investigator, with --keys naming the approval (sluice journal disclose), once, and to root. Journaled as read.replay, and key.disclose where "
	  "payload is shown. " AUDITOR,
	  cli_session_replay },
	{ "session", "kill", "ID", "reason=", "end a session now", "The record follows the act. Needs --reason.", cli_session_kill },
	{ "approval", "list", "", "all token-file=", "held commands", "--all adds those that are decided. Journaled as read.approvals. " VIEWER, cli_approval_list },
	{ "approval", "show", "ID", "token-file=", "one held command: the statement in full", "Journaled as read.approval. " VIEWER, cli_approval_show },
	{ "approval", "approve", "ID", "reason= token-file=", "vote for a held command",
	  "You are who your token says. The requester, everybody in the actor chain, agents and whoever is in no named group cannot vote.", cli_approval_approve },
	{ "approval", "deny", "ID", "reason= token-file=", "vote against a held command", "One denial is enough unless the policy says more.", cli_approval_deny },
	{ "approval", "revoke", "ID", "reason= token-file=", "take back what was granted",
	  "Not used yet: the command is refused. Sent already: its session is ended. Any approver of it may, with a token; so may root, and administrators of the policy.",
	  cli_approval_revoke },
	{ "policy", "check", "FILE", "classes=", "read and check a policy, print what is wrong by line", "Exit status 2 when it has an error. Needs no running node.",
	  cli_policy_check },
	{ "policy", "explain", "", "as= service= text= database= policy= classes=", "what the policy says to one command, and why",
	  "--as person=P,agent=A,issuer=I,group=G1,group=G2,run=R,purpose=X. Uses the same function as the data plane, on the file of sluice.conf or --policy. "
	  "Runs sluice-sqlparse for the text.", cli_policy_explain },
	{ "policy", "reload", "", "", "read the policy file again", "Flows stay. A file with an error changes nothing: exit status 2.", cli_policy_reload },
	{ "policy", "show", "", "", "the policy in force", "", cli_show_policy },
	{ "journal", "verify", "[DIR]", "checkpoint= key= tsa= witness= witness-policy= state= token-file=", "check a journal: records, tree, signatures, counters, time stamps, cosignatures",
	  "DIR is a journal's directory or a copy of one; left out, the node's own. Reads only. --key names a file with the log's vkey or PEM from elsewhere; without it "
	  "the vkey beside the journal is used. --tsa names the certificates of the time-stamp authorities' CAs (PEM), --witness the keys of witnesses, one a line; without "
	  "them those beside the journal (trust/) are used, and for the node's own those of sluice.conf. A time stamp is judged at its own time. Anchors by somebody who is "
	  "not known are counted as unverified, which is no error. --witness-policy names a text with log, witness, group and quorum lines (C2SP tlog-policy): no checkpoint with its "
	  "quorum is an error then; without it the journal's own (trust/witness-policy) is used, and the newest checkpoint with its quorum is told. --state names the signer's state file (for the node's own <state_dir>/signer/state, where it may be read): a "
	  "journal that was cut back to an older checkpoint is then named. --checkpoint FILE, up to eight times, is a checkpoint that you kept: it has to be signed by the log's keys, "
	  "and the journal has to be that one's history and what came after; a fork is named by the records between which it begins. Each line says what is wrong, where, and what to do; with --json each finding has a kind: record, order, "
	  "tile, spine, checkpoint, anchor, fork, unverified. Exit status 0 when all is good, 1 when something is wrong, 2 for a file or option that cannot be used. "
	  "An audit of the node's own is journaled as read.verify before it begins; where sluice-control does not run, or takes no record, it goes on and says so. "
	  "With --token-file of an auditor sluice-control checks the node's own under its own keys and says what it found.", cli_journal_verify },
	{ "journal", "bench", "[DIR]", "", "what the journal's disk can do: the time of a commit's flushes",
	  "DIR is a directory on that disk; left out, the journal's own. Writes 1 MiB that is gone afterwards; records that are written meanwhile wait a little. "
	  "sluice-control measures the same at its first start and keeps it as a node.health record.", cli_journal_bench },
	{ "journal", "erase", "ID", "reason= token-file=", "ask two persons to have the key of a session's payload destroyed",
	  "The records and all proofs stay; what the session said can no longer be read. ID in full; the session must have ended, and no legal hold cover it. Needs "
	  "--reason and --token-file of an administrator, root too. " TWO_PERSONS " Journaled as key.destroy, with the approval, before the key is gone.", cli_journal_erase },
	{ "journal", "prune", "", "reason= token-file=", "ask two persons to have removed what the policy's retention is over for",
	  "Whole sealed segments, the oldest first. sluice-control does the same by itself every minute, unless journal.prune of the policy is \"approved\": then only "
	  "this does. Needs --reason and --token-file of an administrator, root too. " TWO_PERSONS " Journaled as journal.prune, with the approval, before anything is "
	  "gone. Earlier proofs stay valid.", cli_journal_prune },
	{ "journal", "rotate-key", "", "reason= token-file=", "ask two persons to have the checkpoint keys replaced by new ones",
	  "The signer makes them (or takes next-ed25519.pem and next-p256.pem, or next-p256.uri, of its directory: sluice-token(8)). From the record key.rotate on, which names both, old and new keys sign "
	  "together for key_overlap of sluice.conf (7 days): the time to give the new vkey (show journal) to auditors and witnesses. Then the old ones are destroyed. Proofs, "
	  "exports and audits go on over it, with either key. Needs --reason and --token-file of an administrator, root too. " TWO_PERSONS, cli_journal_rotate_key },
	{ "journal", "disclose", "", "sessions= from= to= purpose= token-file=", "ask two persons for the keys of sessions' payload",
	  "--sessions names up to 16, in full and with commas between, that have ended; or --from and --to mean the sessions that have records in that range of numbers (--to "
	  "is left out). Needs --purpose and --token-file of an investigator (admin.roles.investigator of the policy, and no administrator), root too. Those whom "
	  "admin.disclose_approval names decide, two at least and not who asks, with sluice approval approve. Then, once, until the approval's use_by, who asked makes the bundle: sluice "
	  "export bundle --keys APPROVAL, or sees one of these sessions: sluice session replay ID --keys APPROVAL. Journaled as key.disclose, with the approval, before the first byte is given out.", cli_journal_disclose },
	{ "journal", "hold", "ACTION", "matter= reason= session= person= agent= since= until= from= to= hold= token-file=",
	  "legal holds: add, list, release",
	  "add: what meets all of --session, --person, --agent, --since, --until, --from, --to (times are RFC 3339 UTC, from and to indexes; ends are left out) is "
	  "kept, also what comes later: no segment with such a record is pruned, nor any after it, and no payload key of a session with one is destroyed. Needs "
	  "--matter and --reason. list: also how far the journal was compared with each; what was not compared counts as held. release: needs --hold and --reason. "
	  "Journaled as journal.hold, read.holds, journal.hold_release. Root may, and with --token-file administrators of the policy; auditors may list.",
	  cli_journal_hold },
	{ "journal", "proof", "[N]", "consistency= dir= token-file=", "the .tlog-proof of record N; or that one tree is the beginning of a later one",
	  "--consistency FROM: that the first FROM records are the beginning of the tree of N records (left out: of the newest checkpoint), as the body of a C2SP tlog-witness "
	  "add-checkpoint request: old FROM, the hashes (RFC 6962 2.1.2), an empty line, the later checkpoint. consis.sh of a bundle checks it with sha256sum: it takes both "
	  "checkpoints and the hashes. Journaled as read.proof. " AUDITOR, cli_journal_proof },
	{ "journal", "show", "N", "dir= token-file=", "record N", "Journaled as read.record. " AUDITOR, cli_journal_show },
	{ "journal", "search", "", FILTER "session= from= to= limit= dir= index token-file=", "records that match all that is given",
	  FILTER_TEXT PAGES COPY "Journaled as read.search. " AUDITOR, cli_journal_search },
	{ "journal", "tail", "", "limit= dir= token-file=", "the newest records", "Journaled as read.tail. " AUDITOR, cli_journal_tail },
	{ "export", "bundle", "", FILTER "out= recipient= pdf keys= with-keys since-checkpoint= proof= progress session= from= to= dir= token-file=", "a directory that proves itself with openssl and sha256sum",
	  "--out must not exist. --recipient CERT.pem, up to eight times, makes it one file that they alone can open, with `openssl cms -decrypt` (CMS, AES-256-GCM, of tar and "
	  "zstd): RSA of 2048 bits at least, or EC on P-256, P-384 or P-521. sluice-control seals it (of a copy, and with --with-keys, this command does): it is on no disk in "
	  "clear, and whom it is sealed to is on record. Beyond 1 GiB it comes in parts, OUT, OUT.002 and so on, since openssl takes each whole into memory; how they are opened is said. " FILTER_TEXT "--pdf makes a PDF of its report too (needs Debian's " PDF_PACKAGE "): report.pdf in it; with a token OUT.pdf beside it, since "
	  "the node signed the bundle before. --keys names an approval (sluice journal disclose): the bundle then holds the records and the keys of the "
	  "sessions that it is about, for who asked and once; no auditor's role is needed for these. --with-keys discloses the keys of all sessions in it, to root. "
	  "Any number of records, a day or a quarter, in one bundle; its size is what limits it. Up to 1,000 records each has its entry and its .tlog-proof as files; beyond that those that --proof names (up to 16 times), and those that the report names. On a terminal, or with --progress, it says on standard error how far it is; what is interrupted leaves nothing. "
	  "--since-checkpoint FILE, a checkpoint that you kept: the bundle then proves that its log is that one's, and what came after; where it is not, there is none. Journaled as export, and "
	  "key.disclose, before the first byte. " AUDITOR, cli_export_bundle },
	{ "export", "events", "", FILTER "format= schema= session= from= to= dir= token-file=",
	  "records for other systems, one a line, on standard output",
	  "--format is jsonl (default), ocsf, cef, syslog (RFC 5424 with OCSF inside) or syslog-cef. --schema of OCSF: 1.8.0 (default) or 1.9.0-dev. Copies, not evidence: each "
	  "names its record. Journaled as export before the first byte. " AUDITOR, cli_export_events },
	{ "export", "report", "", FILTER "out= pdf= format= session= from= to= dir= token-file=",
	  "a page for people, or OSCAL assessment results: who did what, refused, held, masked, by control of SP 800-53",
	  "--format is html (default), pdf (needs Debian's " PDF_PACKAGE ") or oscal; --pdf FILE is --format pdf --out FILE. " FILTER_TEXT "Numbers lead to records by index. Journaled as export before the first byte. " AUDITOR,
	  cli_export_report },
	{ "capture", "start", "", "service= filter= for= max= payload reason= token-file=", "copy the headers of frames into a file, for some time",
	  "--service S: frames from and to the addresses of a service of the policy. --filter: fields that all must hold, separated by blanks or `and`: client, target, "
	  "host (either end) with an address or prefix; client-port, target-port, port with a number; vlan N; tcp, udp or icmp. One of both is needed; without "
	  "--service bridged frames are meant too. Only headers are copied, up to the end of the TCP, UDP or ICMP header. --payload copies whole frames, as they pass the ports (what TLS "
	  "protects stays so), and asks two persons: it needs --token-file of an investigator (admin.roles.investigator of the policy, and no administrator); those whom "
	  "admin.disclose_approval names decide, two at least and not who asks, with sluice approval approve; then it begins. --for 5m and --max 256Mi end it, at most 24h and 16Gi. No worker waits for it: frames for which "
	  "there was no room are counted, and the file says how many. One capture at a time. It ends with sluice-control. Root only. Needs --reason; "
	  "journaled as capture.start before the first frame, and as capture.end.", cli_capture_start },
	{ "capture", "stop", "ID", "reason=", "end a capture before its time", "Needs --reason. Root only. Journaled as capture.stop and capture.end.", cli_capture_stop },
	{ "capture", "list", "", "", "captures: the one that runs, and the files that are kept",
	  "After a restart of sluice-control older files are listed without what was asked for: see sluice journal search --type capture.", cli_capture_list },
	{ "capture", "save", "ID", "out=", "hand out a capture as pcapng",
	  "To standard output (journaled as capture.read) or to the new file --out (capture.save), for tcpdump -r, tshark or Wireshark. On the appliance the file "
	  "is kept sealed under a key of its own, which sluice journal erase ID destroys; it goes with the policy's retention of payload. Root only.", cli_capture_save },
	{ "identity", "test", "", "token-file=", "whether a token is accepted, and who it is", "Prints no token.", cli_identity_test },
	{ "key", "show-fingerprints", "", "", "the keys of the authority, the journal and its exports", "", cli_key_show_fingerprints },
};
const unsigned cli_verbs_count = sizeof(cli_verbs) / sizeof(*cli_verbs);
