/* witness_policy.h: whose signatures a checkpoint needs to be believed (C2SP tlog-policy).
 *
 *	log <vkey> [<url>]                                 it has to be signed by one of these; none listed: the log is known from elsewhere
 *	witness <name> <vkey> [<url>]
 *	group <name> <k>|any|all <name of a witness or group>...
 *	quorum <name>|none                                 and cosigned by it; exactly one such line
 * Words are separated by spaces and tabs, names are octets, `#` begins a comment line; each line ends with a newline. A name is defined
 * before it is used, and a member of one group at most once: so is a key, whatever names it has. What this says of groups makes the
 * quorum a tree, in which each witness counts once. Anything else refuses the whole text.
 * Pure functions, any thread; errors are fixed texts.
 */
#ifndef CONTROL_ANCHOR_WITNESS_POLICY_H
#define CONTROL_ANCHOR_WITNESS_POLICY_H

#include "control/anchor/cosignature.h"

#define WITNESS_POLICY_BYTES 65536
#define WITNESS_POLICY_LOGS 32u
#define WITNESS_POLICY_WITNESSES 64u
#define WITNESS_POLICY_GROUPS 32u
#define WITNESS_POLICY_FILE "witness-policy" /* below trust/, of a journal and of a bundle */

/* `wanted` of these: a bit each, by their place below. */
struct witness_policy_group {
	unsigned wanted;
	uint64_t witnesses;
	uint32_t groups; /* that are defined before it */
};

struct witness_policy {
	unsigned logs, witnesses, groups;
	struct checkpoint_keys log[WITNESS_POLICY_LOGS];
	struct witness_key witness[WITNESS_POLICY_WITNESSES];
	struct witness_policy_group group[WITNESS_POLICY_GROUPS];
	struct witness_policy_group quorum; /* one of one; none: 0 of none */
};

/* NULL; or what is wrong, the number of its line (0: of the whole), and `out` zeroed. */
const char *witness_policy_read(struct bytes text, struct witness_policy *out, unsigned *line);
/* Whether it asks for any cosignature. */
bool witness_policy_asks(const struct witness_policy *p);
/* Whether these witnesses, a bit each, are its quorum. */
bool witness_policy_met(const struct witness_policy *p, uint64_t witnesses);
/* The witness's place by its public key, or -1. */
int witness_policy_find(const struct witness_policy *p, const uint8_t key[32]);
/* Whether one of its logs signed the note, or it lists none. */
bool witness_policy_signed(const struct witness_policy *p, struct bytes note);

/* Lines: a log's; and `wanted` of `count` witnesses, each named witness-<key id>. Where more are wanted than there are, a text without a quorum,
 * which nobody takes. False: no room. */
bool witness_policy_write_log(const struct checkpoint_keys *log, struct writer *out);
struct witness_policy_witness {
	const struct witness_key *key;
	const char *url; /* "": none */
};
bool witness_policy_write_quorum(const struct witness_policy_witness *witness, unsigned count, unsigned wanted, struct writer *out);

#endif
