/* errors.h: the drop reasons of errors.def as an enum, with their names and texts. */
#ifndef PLATFORM_BASE_ERRORS_H
#define PLATFORM_BASE_ERRORS_H

enum error {
#define ERROR(name, text) ERROR_##name,
#include "platform/base/errors.def"
#undef ERROR
	ERROR_count
};

/* Static strings; "unknown" outside the list. */
const char *error_name(enum error e);
const char *error_text(enum error e);

#endif
