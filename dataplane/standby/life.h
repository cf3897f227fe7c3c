/* life.h: how the standby learns of the data plane's death at once: a robust mutex in shared memory, held by the worker for as long
 * as it lives. The kernel marks it when the thread ends, before it takes the process's memory down, which is what takes long.
 *
 * It lies in struct page_standby. Whoever comes first makes it. No call but life_watch waits.
 */
#ifndef DATAPLANE_STANDBY_LIFE_H
#define DATAPLANE_STANDBY_LIFE_H

#include "platform/contract/page.h"

/* Makes the page ready when it is not. False when another process began to and did not finish. */
[[gnu::warn_unused_result]] bool life_prepare(struct page_standby *page);

/* The calling thread holds it from now on. False when another one does, who lives. */
[[gnu::warn_unused_result]] bool life_hold(struct page_standby *page);

/* Waits up to `ms` for the end of the holder. True when nobody holds it. */
bool life_watch(struct page_standby *page, unsigned ms);

#endif
