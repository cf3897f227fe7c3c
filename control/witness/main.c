/* sluice-witness --dir DIR --name NAME [--scgi | --key | --trust FILE | --distrust FILE]
 *
 * A witness of other nodes' journals, on another machine, behind a web server that speaks TLS. --scgi answers one POST of add-checkpoint on
 * standard input and output, which are the connection that systemd accepted (platform/host/systemd); without a mode the same as CGI (RFC 3875:
 * the request's body on standard input, the answer on standard output), as nginx's fcgiwrap starts it.
 * --key prints the witness's key for the node's sluice.conf; --trust adds a log by its vkey file (the node keeps it beside its journal, as `vkey`),
 * or another key of a log, which rotates its keys; --distrust takes one back.
 * The key is made by its owner: openssl genpkey -algorithm ed25519 -out DIR/ed25519.pem, mode 0400.
 * Exit: 0 answered, 1 failed, 2 wrong arguments.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/witness/scgi.h"
#include "control/witness/witness.h"
#include "platform/os/log.h"
#include "platform/os/priv.h"
#include "platform/os/sandbox.h"

struct options {
	const char *dir, *name, *trust, *distrust;
	bool key, scgi;
};

static bool options_read(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
		{ "dir", required_argument, NULL, 'd' }, { "name", required_argument, NULL, 'n' }, { "trust", required_argument, NULL, 't' },
		{ "distrust", required_argument, NULL, 'x' }, { "key", no_argument, NULL, 'k' },
		{ "scgi", no_argument, NULL, 's' }, { 0 },
	};
	int c;

	*o = (struct options){ 0 };
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'd')
			o->dir = optarg;
		else if (c == 'n')
			o->name = optarg;
		else if (c == 't')
			o->trust = optarg;
		else if (c == 'x')
			o->distrust = optarg;
		else if (c == 'k')
			o->key = true;
		else if (c == 's')
			o->scgi = true;
		else
			return false;
	}
	return o->dir && o->name && optind == argc && o->key + o->scgi + !!o->trust + !!o->distrust <= 1;
}

static int print_key(const struct witness *w)
{
	char text[CHECKPOINT_KEY_TEXT_BYTES];
	struct writer out = writer_of(text, sizeof(text));

	if (!witness_key_write(&w->public, &out))
		return 1;
	printf("%.*s\n", (int)out.len, text);
	return 0;
}

static int trust(struct witness *w, const char *file, const char *(*change)(struct witness *w, struct bytes vkey))
{
	char text[CHECKPOINT_KEY_TEXT_BYTES];
	FILE *f = fopen(file, "re");
	size_t len = f ? fread(text, 1, sizeof(text), f) : 0;
	const char *wrong = len ? change(w, bytes_of(text, len)) : "cannot be read";

	if (f)
		fclose(f);
	if (wrong)
		log_error("%s: %s", file, wrong);
	return wrong != NULL;
}

/* The first signature and its check make OpenSSL fetch what it needs, which the sandbox would forbid. */
static bool warm_up(const struct witness *w)
{
	static const char body[] = "warm up\n0\n\n";
	char text[COSIGNATURE_LINE_BYTES];
	struct writer out = writer_of(text, sizeof(text));
	struct bytes line;
	uint64_t time_s;

	return cosignature_sign(w->keys.ed25519, &w->public, bytes_str(body), 1, &out) &&
	       cosignature_find(writer_done(&out), bytes_str(body), &w->public, &line, &time_s) == NULL;
}

/* From here on hostile bytes are read: files below logs/ can be opened, and nothing else; no socket, no process. */
static bool confine(const struct witness *w, char err[OS_ERROR_BYTES])
{
	static const char *const none[] = { NULL }, *const calls[] = { "openat", "flock", "fsync", "fdatasync", NULL };
	/* With buffers of its own the C library asks no terminal how it is. */
	static char in[4096], out[4096];
	char logs[sizeof(w->dir) + 8];
	const char *const write[] = { logs, NULL };

	snprintf(logs, sizeof(logs), "%s/logs", w->dir);
	setvbuf(stdin, in, _IOFBF, sizeof(in));
	setvbuf(stdout, out, _IOFBF, sizeof(out));
	if (!warm_up(w)) {
		snprintf(err, OS_ERROR_BYTES, "key: does not sign: check ed25519.pem");
		return false;
	}
	return sandbox_enter(none, write, calls, err);
}

static void handle(struct witness *w, struct bytes request, struct witness_answer *a)
{
	witness_handle(w, request, (uint64_t)time(NULL), a);
}

static void serve_cgi(struct witness *w, struct witness_answer *a)
{
	static uint8_t request[WITNESS_REQUEST_BYTES + 1];
	const char *method = getenv("REQUEST_METHOD");

	if (method && !strcmp(method, "POST"))
		handle(w, bytes_of(request, fread(request, 1, sizeof(request), stdin)), a);
}

/* The other end closes when it has the answer: no more than the request is waited for. */
static void serve_scgi(struct witness *w, struct witness_answer *a)
{
	static uint8_t room[SCGI_BYTES];
	struct scgi_read r = { .status = PARSE_MORE, .needed = 1 };
	struct scgi_request request = { 0 };
	size_t len = 0;

	while (r.status == PARSE_MORE && r.needed <= sizeof(room)) {
		ssize_t got = read(STDIN_FILENO, room + len, sizeof(room) - len);

		if (got <= 0)
			break;
		len += (size_t)got;
		r = scgi_read(bytes_of(room, len), &request);
	}
	if (r.status != PARSE_OK)
		a->status = 400;
	else if (request.is_post)
		handle(w, request.body, a);
}

/* Whatever was asked, one answer with its status. */
static int serve(struct witness *w, bool scgi)
{
	struct witness_answer a = { .status = 405 };

	(scgi ? serve_scgi : serve_cgi)(w, &a);
	printf("Status: %u\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", a.status, a.size ? "text/x.tlog.size" : "text/plain", a.len);
	fwrite(a.text, 1, a.len, stdout);
	return fflush(stdout) != 0;
}

int main(int argc, char **argv)
{
	char err[OS_ERROR_BYTES];
	static struct witness w;
	struct options o;
	const char *wrong;
	int code;

	log_open("sluice-witness", LOG_LEVEL_INFO);
	if (!options_read(&o, argc, argv)) {
		fprintf(stderr, "usage: sluice-witness --dir DIR --name NAME [--scgi | --key | --trust VKEY_FILE | --distrust VKEY_FILE]\n");
		return 2;
	}
	if (!priv_harden(err)) {
		log_error("%s", err);
		return 1;
	}
	wrong = witness_open(&w, o.dir, o.name);
	if (wrong) {
		log_error("%s: %s", o.dir, wrong);
		return 1;
	}
	if (!o.key && !o.trust && !o.distrust) {
		if (!confine(&w, err)) {
			log_error("%s", err);
			return 1;
		}
		code = serve(&w, o.scgi);
		witness_close(&w);
		_exit(code);
	}
	code = o.key ? print_key(&w) : o.trust ? trust(&w, o.trust, witness_trust) : trust(&w, o.distrust, witness_distrust);
	witness_close(&w);
	return code;
}
