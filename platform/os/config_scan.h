/* config_scan.h: what a configuration text must be before libconfig sees it. Pure, any thread. Used by config.c only. */
#ifndef PLATFORM_OS_CONFIG_SCAN_H
#define PLATFORM_OS_CONFIG_SCAN_H

#include "platform/base/bytes.h"
#include "platform/os/config.h"

#define CONFIG_GROUP_NAMES_MAX 256 /* libconfig compares each new name with all of its group */

/* False, with the reasons in the report, when the text must not be parsed. */
[[gnu::warn_unused_result]] bool config_scan(struct bytes text, struct config_report *report);

/* Whether `text` is printable UTF-8: no control characters, no line ends, no marks that change the direction of writing or
 * take no room, no surrogates. With `layout`, tabs and line ends are accepted too. `*at` is the offset of the first fault. */
[[gnu::warn_unused_result]] bool config_printable(struct bytes text, bool layout, size_t *at);

#endif
