/* Amounts with units: whole numbers and one unit, nothing else; no sign, no blank, no fraction (policy.md 2). */
#include "platform/os/config.h"

#include <string.h>

struct unit {
	const char *word;
	uint64_t factor;
};

static const struct unit counts[] = { { "", 1 }, { "k", 1000 }, { "M", 1000000 }, { "G", 1000000000 }, { NULL, 0 } };

static const struct unit sizes[] = {
	{ "", 1 }, { "k", 1000 }, { "M", 1000000 }, { "G", 1000000000 }, { "Ki", 1ULL << 10 }, { "Mi", 1ULL << 20 },
	{ "Gi", 1ULL << 30 }, { "Ti", 1ULL << 40 }, { NULL, 0 },
};

static const struct unit durations[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
};

static bool parse(const char *text, const struct unit *units, uint64_t *out)
{
	uint64_t value = 0;
	const char *at = text;

	*out = 0;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (value > (UINT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (uint64_t)(*at - '0');
	}
	if (at == text)
		return false;
	for (; units->word; units++)
		if (strcmp(at, units->word) == 0)
			return !__builtin_mul_overflow(value, units->factor, out) || (*out = 0, false);
	return false;
}

bool config_parse_count(const char *text, uint64_t *out) { return parse(text, counts, out); }
bool config_parse_bytes(const char *text, uint64_t *out) { return parse(text, sizes, out); }
bool config_parse_duration_ms(const char *text, uint64_t *out) { return parse(text, durations, out); }
