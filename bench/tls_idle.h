/* tls_idle.h: what TLS keeps of idle flows, both legs. */
#ifndef BENCH_TLS_IDLE_H
#define BENCH_TLS_IDLE_H

#include <stdint.h>

/* Opens TLS on both legs of so many flows, says something each way, and prints as one JSON object what OpenSSL then has of each and what a
 * session's record takes. The status of the program. */
int tls_idle(uint32_t flows);

#endif
