#include "platform/os/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 1024

static const char *log_program = "sluice";
static enum log_level log_level_max = LOG_LEVEL_INFO;

void log_open(const char *program, enum log_level level)
{
	log_program = program;
	log_level_max = level;
}

[[gnu::format(printf, 2, 0)]] static void line_write(enum log_level level, const char *format, va_list arguments)
{
	char line[LINE_BYTES];
	int len, more;
	ssize_t written;

	if (level > log_level_max)
		return;
	len = snprintf(line, sizeof(line), "%s: ", log_program);
	if (len < 0 || len >= (int)sizeof(line) - 2)
		return;
	more = vsnprintf(line + len, sizeof(line) - 1 - (size_t)len, format, arguments);
	if (more < 0)
		return;
	len = len + more > (int)sizeof(line) - 2 ? (int)sizeof(line) - 2 : len + more;
	for (int i = 0; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len] = '\n';
	written = write(STDERR_FILENO, line, (size_t)len + 1);
	(void)written;
}

#define LOG_FUNCTION(name, level) \
	void name(const char *format, ...) \
	{ \
		va_list arguments; \
		va_start(arguments, format); \
		line_write(level, format, arguments); \
		va_end(arguments); \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
