#include "platform/base/errors.h"

static const struct {
	const char *name, *text;
} errors[] = {
#define ERROR(name, text) { #name, text },
#include "platform/base/errors.def"
#undef ERROR
};

const char *error_name(enum error e)
{
	return (unsigned)e < ERROR_count ? errors[e].name : "unknown";
}

const char *error_text(enum error e)
{
	return (unsigned)e < ERROR_count ? errors[e].text : "unknown";
}
