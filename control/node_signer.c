/* node_signer.c: the journal's way to the signer, with what the signer signed last told to the readers' threads: an audit compares the newest
 * checkpoint with it (journal/verify.h), as `journal verify --state` does with the signer's file, which this process may not read.
 *
 * What is asked for is told before the answer comes: the signer keeps it before it signs, and the spine has it only after this process got the
 * answer. So what readers know is never older than the newest checkpoint that they find. A refusal takes it back.
 *
 * A signer whose key lies in a token says its keys only after the token's login: nothing waits for that here. Until then the one before is gone, and
 * what it said of its keys stays. */
#include <stdio.h>
#include <unistd.h>

#include "control/node.h"
#include "platform/os/log.h"

#define GREETING_MS 35000 /* over what the signer itself gives two tokens, with a signature each (signer_token.h) */

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

/* --- its arrival --------------------------------------------------------------------------------------------------------- */

/* The log's public keys beside the journal, for those who read it. An auditor compares it with what was given out elsewhere. */
static void key_file_write(const struct node *n, const char *name, struct bytes text)
{
	char path[320], temp[330];
	FILE *f;

	snprintf(path, sizeof(path), "%.240s/journal/%.40s", n->settings->state_dir, name);
	snprintf(temp, sizeof(temp), "%s.new", path);
	f = fopen(temp, "we");
	if (!f)
		return;
	fwrite(text.base, 1, text.len, f);
	if (fclose(f) != 0 || rename(temp, path) != 0)
		log_warn("%s: cannot be written: check the directory", path);
}

static void keys_write(const struct node *n)
{
	char text[CHECKPOINT_KEY_TEXT_BYTES];
	struct writer w = writer_of(text, sizeof(text));

	if (n->signer.keys.has_ed25519 && checkpoint_vkey_write(&n->signer.keys, &w)) {
		writer_u8(&w, '\n');
		key_file_write(n, "vkey", writer_done(&w));
	}
	w = writer_of(text, sizeof(text));
	if (n->signer.keys.has_p256 && checkpoint_pem_write(&n->signer.keys, CHECKPOINT_P256, &w))
		key_file_write(n, "log-p256.pem", writer_done(&w));
}

/* The end of its socket is its end, too. A signal is for one that hangs: it could meet the next one, while that logs in to its token. */
static void gone(struct node *n, bool hangs)
{
	log_error("sluice-signer: %s: checkpoints wait", n->signer_greeted.why);
	close(n->signer_fd_greeted);
	n->signer_greeted.fd = n->signer_fd_greeted = -1;
	if (hangs)
		node_restart_helper(n, HELPER_SIGNER);
}

void node_signer_arrived(struct node *n, int fd)
{
	if (n->signer_fd >= 0)
		close(n->signer_fd);
	if (n->signer_fd_greeted >= 0)
		close(n->signer_fd_greeted);
	/* Closed: the number may be another's now. */
	n->signer.fd = n->signer_fd = -1;
	n->signer.asked = false;
	n->signer_fd_greeted = fd;
	n->signer_greeted_ms = node_mono_ms(n);
	if (!signer_client_greet(&n->signer_greeted, fd))
		gone(n, false);
}

void node_signer_tick(struct node *n)
{
	if (n->signer_fd_greeted < 0)
		return;
	switch (signer_client_greeted(&n->signer_greeted)) {
	case JOURNAL_SIGNER_WAIT:
		if (node_mono_ms(n) - n->signer_greeted_ms < GREETING_MS)
			return;
		snprintf(n->signer_greeted.why, sizeof(n->signer_greeted.why), "the signer does not answer");
		gone(n, true);
		return;
	case JOURNAL_SIGNER_DONE:
		n->signer = n->signer_greeted;
		n->signer_fd = n->signer_fd_greeted;
		n->signer_greeted.fd = n->signer_fd_greeted = -1;
		keys_write(n);
		node_anchors_policy(n);
		node_helper_back(n, HELPER_SIGNER);
		return;
	default:
		gone(n, false);
	}
}
