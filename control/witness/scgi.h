/* scgi.h: one request as a web server hands it over on a stream socket (SCGI 1: nginx's scgi_pass, Apache's mod_proxy_scgi).
 *
 *	<length>:CONTENT_LENGTH <0> <n> <0> SCGI <0> 1 <0> REQUEST_METHOD <0> POST <0> ... ,<body of n bytes>
 * Strict: the length of the body first, no header twice, nothing missing. Pure; views into the input.
 */
#ifndef CONTROL_WITNESS_SCGI_H
#define CONTROL_WITNESS_SCGI_H

#include <stdbool.h>

#include "platform/base/bytes.h"

#define SCGI_HEADERS_BYTES 8192u
#define SCGI_HEADERS 64u
#define SCGI_BODY_BYTES 16384u
#define SCGI_BYTES (6u + SCGI_HEADERS_BYTES + 1u + SCGI_BODY_BYTES) /* the longest request */

struct scgi_request {
	bool is_post;
	struct bytes body;
};

struct scgi_read {
	enum parse_status status;
	size_t consumed, needed; /* OK; MORE: so many bytes in all at least */
};

/* Other than OK: `out` is zeroed. */
struct scgi_read scgi_read(struct bytes in, struct scgi_request *out);

#endif
