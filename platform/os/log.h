/* log.h: lines for the operator on standard error, `<program>: <what>: <why>: <do>`.
 *
 * A line is written with one write(2), so lines of several processes do not mix. Control characters are escaped, because
 * what a line quotes may come from a wire. Secrets never go in. Not for the poll loop. Threading: any thread.
 */
#ifndef PLATFORM_OS_LOG_H
#define PLATFORM_OS_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `program` is borrowed for ever. Lines above `level` are left out. */
void log_open(const char *program, enum log_level level);

[[gnu::format(printf, 1, 2)]] void log_error(const char *format, ...);
[[gnu::format(printf, 1, 2)]] void log_warn(const char *format, ...);
[[gnu::format(printf, 1, 2)]] void log_info(const char *format, ...);
[[gnu::format(printf, 1, 2)]] void log_debug(const char *format, ...);

#endif
