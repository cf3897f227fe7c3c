/* fetcher.c: libcurl, with everything off that is not asked for.
 *
 * A request is a slot; its body grows in one buffer up to the limit of the request. The trap is trust: libcurl loads its
 * built-in CA file and directory beside a given blob unless both are unset.
 */
#include "control/egress/fetcher.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/egress/url.h"

#define CA_FILE_BYTES_MAX (256u << 10)
#define HEADER_BYTES_MAX (32u << 10)
#define CONNECT_TIMEOUT_MS 3000L

enum slot_state { SLOT_FREE, SLOT_RUNNING, SLOT_DONE };

struct slot {
	enum slot_state state;
	uint64_t id, order;
	CURL *easy;
	struct curl_slist *headers; /* of a POST */
	enum egress_result result;
	long http_status;
	char content_type[EGRESS_CONTENT_TYPE_BYTES];
	size_t content_type_len;
	uint8_t *body;
	size_t len, size, max, header_len;
	bool too_large;
};

struct fetcher {
	CURLM *multi;
	int ca_dir;
	uint64_t orders;
	struct slot *lent; /* between fetcher_done and fetcher_release */
	struct slot slot[EGRESS_UNDER_WAY + 1]; /* the last one only ever says "busy" */
};

struct fetcher *fetcher_create(int ca_dir)
{
	struct fetcher *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->ca_dir = ca_dir;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		f->multi = curl_multi_init();
	if (f->multi)
		return f;
	free(f);
	return NULL;
}

static void clear(struct fetcher *f, struct slot *s)
{
	if (s->easy) {
		curl_multi_remove_handle(f->multi, s->easy);
		curl_easy_cleanup(s->easy);
	}
	curl_slist_free_all(s->headers);
	free(s->body);
	*s = (struct slot){ 0 };
}

void fetcher_destroy(struct fetcher *f)
{
	for (size_t i = 0; i <= EGRESS_UNDER_WAY; i++)
		clear(f, &f->slot[i]);
	curl_multi_cleanup(f->multi);
	curl_global_cleanup();
	free(f);
}

static size_t on_header(char *data, size_t unit, size_t count, void *context)
{
	struct slot *s = context;

	s->header_len += unit * count;
	s->too_large = s->too_large || s->header_len > HEADER_BYTES_MAX;
	return s->too_large ? 0 : unit * count;
}

static bool grow(struct slot *s, size_t wanted)
{
	size_t size = s->size ? s->size : 8192;
	uint8_t *fresh;

	while (size < wanted)
		size *= 2;
	if (size == s->size)
		return true;
	fresh = realloc(s->body, size);
	if (!fresh)
		return false;
	s->body = fresh;
	s->size = size;
	return true;
}

static size_t on_body(char *data, size_t unit, size_t count, void *context)
{
	struct slot *s = context;
	size_t len = unit * count;

	s->too_large = s->too_large || len > s->max - s->len;
	if (s->too_large || !grow(s, s->len + len))
		return 0;
	memcpy(s->body + s->len, data, len);
	s->len += len;
	return len;
}

/* The whole CA file, by name inside the directory; libcurl copies it. */
static bool set_ca(struct fetcher *f, struct slot *s, const char *name)
{
	int fd = openat(f->ca_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct curl_blob blob = { .flags = CURL_BLOB_COPY };
	struct stat at;
	ssize_t got = -1;

	if (fd >= 0 && fstat(fd, &at) == 0 && S_ISREG(at.st_mode) && at.st_size > 0 && at.st_size <= CA_FILE_BYTES_MAX) {
		blob.len = (size_t)at.st_size;
		blob.data = malloc(blob.len);
		got = blob.data ? read(fd, blob.data, blob.len) : -1;
	}
	if (fd >= 0)
		close(fd);
	bool good = got == (ssize_t)blob.len && curl_easy_setopt(s->easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
		    curl_easy_setopt(s->easy, CURLOPT_CAPATH, NULL) == CURLE_OK && curl_easy_setopt(s->easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK;

	free(blob.data);
	return good;
}

static bool set_rules(struct slot *s, const char *url, uint32_t timeout_ms, bool plain)
{
	CURL *e = s->easy;
	const char *schemes = plain ? "http" : "https";
	const struct {
		CURLoption option;
		long value;
	} longs[] = {
		{ CURLOPT_FOLLOWLOCATION, 0 }, { CURLOPT_MAXREDIRS, 0 }, { CURLOPT_HTTPGET, 1 }, { CURLOPT_TIMEOUT_MS, timeout_ms },
		{ CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS }, { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 }, { CURLOPT_SSL_VERIFYPEER, 1 },
		{ CURLOPT_SSL_VERIFYHOST, 2 }, { CURLOPT_NOSIGNAL, 1 }, { CURLOPT_FRESH_CONNECT, 1 }, { CURLOPT_FORBID_REUSE, 1 },
		{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 }, { CURLOPT_NETRC, CURL_NETRC_IGNORED }, { CURLOPT_QUICK_EXIT, 1 },
		{ CURLOPT_MAXFILESIZE, (long)s->max }, { CURLOPT_SSL_SESSIONID_CACHE, 0 }, { CURLOPT_DNS_CACHE_TIMEOUT, 0 },
	};
	const struct {
		CURLoption option;
		const char *value;
	} strings[] = {
		{ CURLOPT_URL, url }, { CURLOPT_PROTOCOLS_STR, schemes }, { CURLOPT_REDIR_PROTOCOLS_STR, "https" }, { CURLOPT_PROXY, "" },
		{ CURLOPT_NOPROXY, "*" }, { CURLOPT_USERAGENT, "sluice" }, { CURLOPT_DEFAULT_PROTOCOL, "https" },
	};
	bool good = true;

	for (size_t i = 0; i < sizeof(longs) / sizeof(longs[0]); i++)
		good = good && curl_easy_setopt(e, longs[i].option, longs[i].value) == CURLE_OK;
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		good = good && curl_easy_setopt(e, strings[i].option, strings[i].value) == CURLE_OK;
	return good && curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK && curl_easy_setopt(e, CURLOPT_HEADERDATA, s) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK && curl_easy_setopt(e, CURLOPT_WRITEDATA, s) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_PRIVATE, s) == CURLE_OK;
}

/* libcurl copies the data, which is the caller's. */
static bool set_post(struct slot *s, const struct egress_request *request)
{
	s->headers = curl_slist_append(NULL, request->type == EGRESS_TIMESTAMP ? "Content-Type: application/timestamp-query" : "Content-Type: text/plain");
	if (s->headers && !curl_slist_append(s->headers, "Expect:"))
		return false;
	return s->headers && curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE, (long)request->data.len) == CURLE_OK &&
	       curl_easy_setopt(s->easy, CURLOPT_COPYPOSTFIELDS, request->data.base) == CURLE_OK && curl_easy_setopt(s->easy, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->headers) == CURLE_OK;
}

static struct slot *free_slot(struct fetcher *f)
{
	for (size_t i = 0; i < EGRESS_UNDER_WAY; i++)
		if (f->slot[i].state == SLOT_FREE)
			return &f->slot[i];
	return NULL;
}

static void end(struct fetcher *f, struct slot *s, enum egress_result result)
{
	s->result = result;
	s->state = SLOT_DONE;
	s->order = ++f->orders;
}

void fetcher_start(struct fetcher *f, const struct egress_request *request)
{
	struct slot *s = free_slot(f);
	char url[EGRESS_URL_BYTES + 1] = { 0 }, ca[EGRESS_CA_BYTES + 1] = { 0 };
	struct egress_url parsed;

	if (!s) { /* the client knows the limit: it gets one answer, further ones are its fault */
		s = &f->slot[EGRESS_UNDER_WAY];
		s->id = request->id;
		end(f, s, EGRESS_busy);
		return;
	}
	*s = (struct slot){ .state = SLOT_RUNNING, .id = request->id, .max = request->bytes_max };
	memcpy(url, request->url.base, request->url.len);
	if (request->ca.len)
		memcpy(ca, request->ca.base, request->ca.len);
	if (!egress_url_ok(request->type, request->url)) {
		end(f, s, EGRESS_url_refused);
		return;
	}
	s->easy = curl_easy_init();
	if (!s->easy || !set_rules(s, url, request->timeout_ms, !egress_url_parse(request->url, &parsed)) || (request->data.len && !set_post(s, request)))
		end(f, s, EGRESS_broken);
	else if (ca[0] && !set_ca(f, s, ca))
		end(f, s, EGRESS_ca_refused);
	else if (curl_multi_add_handle(f->multi, s->easy) != CURLM_OK)
		end(f, s, EGRESS_broken);
}

static enum egress_result result_of(CURLcode code, const struct slot *s)
{
	if (s->too_large)
		return EGRESS_too_large;
	switch (code) {
	case CURLE_OK:
		return EGRESS_ok;
	case CURLE_URL_MALFORMAT:
		return EGRESS_url_refused;
	case CURLE_COULDNT_RESOLVE_HOST:
		return EGRESS_resolve_failed;
	case CURLE_COULDNT_CONNECT:
		return EGRESS_connect_failed;
	case CURLE_OPERATION_TIMEDOUT:
		return EGRESS_timed_out;
	case CURLE_FILESIZE_EXCEEDED:
		return EGRESS_too_large;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return EGRESS_tls_failed;
	default: /* also CURLE_UNSUPPORTED_PROTOCOL: an answer of HTTP/0.9; the URL's scheme was checked before */
		return EGRESS_broken;
	}
}

static void finish(struct fetcher *f, struct slot *s, CURLcode code)
{
	const char *type = NULL;
	enum egress_result result = result_of(code, s);

	if (result == EGRESS_ok) {
		curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &s->http_status);
		curl_easy_getinfo(s->easy, CURLINFO_CONTENT_TYPE, &type);
		s->content_type_len = type ? strnlen(type, sizeof(s->content_type)) : 0;
		memcpy(s->content_type, type ? type : "", s->content_type_len);
		if (s->http_status < 100 || s->http_status > 999)
			result = EGRESS_broken;
	}
	if (result != EGRESS_ok) {
		s->len = s->content_type_len = 0;
		s->http_status = 0;
	}
	curl_multi_remove_handle(f->multi, s->easy);
	curl_easy_cleanup(s->easy);
	s->easy = NULL;
	end(f, s, result);
}

void fetcher_turn(struct fetcher *f, int fd, short events, int timeout_ms)
{
	struct curl_waitfd wait = { .fd = fd, .events = (short)((events & POLLIN ? CURL_WAIT_POLLIN : 0) | (events & POLLOUT ? CURL_WAIT_POLLOUT : 0)) };
	CURLMsg *message;
	int left;

	curl_multi_poll(f->multi, &wait, 1, timeout_ms, NULL);
	curl_multi_perform(f->multi, &left);
	while ((message = curl_multi_info_read(f->multi, &left))) {
		char *context = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &context);
		finish(f, (struct slot *)context, message->data.result);
	}
}

bool fetcher_done(struct fetcher *f, struct egress_done *out)
{
	struct slot *s = NULL;

	for (size_t i = 0; i <= EGRESS_UNDER_WAY; i++)
		if (f->slot[i].state == SLOT_DONE && (!s || f->slot[i].order < s->order))
			s = &f->slot[i];
	if (!s)
		return false;
	f->lent = s;
	*out = (struct egress_done){
		.id = s->id,
		.result = s->result,
		.http_status = (uint16_t)s->http_status,
		.content_type = bytes_of(s->content_type, s->content_type_len),
		.body = bytes_of(s->body, s->len),
	};
	return true;
}

void fetcher_release(struct fetcher *f)
{
	clear(f, f->lent);
	f->lent = NULL;
}
