/* node_signer.c: the journal's way to the signer, with what the signer signed last told to the readers' threads: an audit compares the newest
 * checkpoint with it (journal/verify.h), as `journal verify --state` does with the signer's file, which this process may not read.
 *
 * What is asked for is told before the answer comes: the signer keeps it before it signs, and the spine has it only after this process got the
 * answer. So what readers know is never older than the newest checkpoint that they find. A refusal takes it back. */
#include "control/node.h"

static void tell(const struct node *n)
{
	const struct signer_client *s = &n->signer;

	if (n->readings && s->fd >= 0)
		readings_signed(n->readings, s->asked ? s->asked_size : s->size, s->asked ? &s->asked_root : &s->root);
}

static bool size_of(void *ctx, uint64_t *size)
{
	struct node *n = ctx;
	struct journal_signer client = signer_client_journal(&n->signer);
	bool good = client.size(client.ctx, size);

	tell(n);
	return good;
}

static bool ask(void *ctx, uint64_t old_size, const struct merkle_proof *proof, struct bytes body)
{
	struct node *n = ctx;
	struct journal_signer client = signer_client_journal(&n->signer);
	bool good = client.ask(client.ctx, old_size, proof, body);

	tell(n);
	return good;
}

static enum journal_signer_answer poll_it(void *ctx, struct writer *lines, const char **why)
{
	struct node *n = ctx;
	struct journal_signer client = signer_client_journal(&n->signer);
	enum journal_signer_answer answer = client.poll(client.ctx, lines, why);

	tell(n);
	return answer;
}

struct journal_signer node_signer_journal(struct node *n)
{
	return (struct journal_signer){ .ctx = n, .size = size_of, .ask = ask, .poll = poll_it };
}
