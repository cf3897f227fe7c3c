/* signer_token_test_kit.h: for tests, the real sluice-signer with the real sluice-token in a directory of its own, with SoftHSM's tokens or with the fake
 * module. All of it asserts by cmocka: a function that returns has worked. One thread, one signer at a time.
 */
#ifndef CONTROL_SIGNER_SIGNER_TOKEN_TEST_KIT_H
#define CONTROL_SIGNER_SIGNER_TOKEN_TEST_KIT_H

#include <sys/types.h>

#include "control/journal/journal_fixture.h"
#include "control/signer/signer_client.h"

#define WAIT_MS 20000
#define SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"
#define PIN "PIN-CANARY-4711"

struct signer_token_kit {
	const char *program, *token, *fake; /* set by kit_arguments */
	char dir[128], keys[160], state_file[200], log_file[200];
	pid_t child;                        /* -1: none */
	int fd;
	struct signer_client client;
};
extern struct signer_token_kit kit;

/* main's: the paths of sluice-signer, sluice-token and the fake module. False when they are not there, which is said. */
bool kit_arguments(int argc, char **argv);

/* cmocka's: a directory with a PIN; the same with a token "one" and p256.uri; the end. */
int kit_setup(void **state);
int kit_setup_soft(void **state);
int kit_teardown(void **state);

/* The signer: started; started and at work; ended by us (its wait status), ended by itself or us with this code; started, and ended with status 1 and
 * these words, never the PIN. */
void kit_start(bool init);
void kit_works(bool init);
int kit_stop(void);
void kit_ends_with(int code);
void kit_fails_with(bool init, const char *why);
/* Its sluice-token. */
pid_t kit_helper(void);

/* Files; `path` is below kit.dir. */
void kit_put(const char *path, unsigned mode, const char *text);
size_t kit_get(const char *path, char *text, size_t room);
bool kit_is_there(const char *path);
[[gnu::format(printf, 1, 2)]] void kit_shell(const char *format, ...);

/* SoftHSM: a new token with a key "journal"; pkcs11-tool, logged in; the text of p256.uri, where `name` may have attributes behind the label. */
void kit_token_make(const char *label);
void kit_tool(const char *label, const char *more);
const char *kit_soft(const char *name);

/* The fake module's p256.uri: what it does from the start, or once the file "when" is there; and how often it was asked to log in. */
const char *kit_fake_does(const char *does);
const char *kit_fake_later(const char *does);
size_t kit_logins(void);

/* Asks for a checkpoint of `size` records; `note` gets body and lines. Trees of another `seed` are other histories. */
enum journal_signer_answer kit_ask(uint64_t seed, uint64_t size, struct writer *note);
unsigned kit_lines_of(struct bytes note);
/* One more record: so many lines, and both of these keys' verify. */
void kit_signs(const struct checkpoint_keys *by, unsigned lines);

#define NOTE(w) char w##_text[2048]; struct writer w = writer_of(w##_text, sizeof w##_text)

#endif
