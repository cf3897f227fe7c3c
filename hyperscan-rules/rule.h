/* rule.h: a class file (classes/<class>.cfg) in memory, with its patterns and samples.
 *
 * The format is one keyword and its value per line; '#' begins a comment line. README.md lists the keywords. Reading is
 * strict: an unknown keyword, a value out of range or a missing part is an error with file and line. Used by the compiler and by
 * tests; the data plane sees only the compiled blob.
 */
#ifndef HYPERSCAN_RULES_RULE_H
#define HYPERSCAN_RULES_RULE_H

#include "hyperscan-rules/validate/class.h"

#define RULE_PATTERNS 16
#define RULE_SAMPLES_MIN 20
#define RULE_PATTERN_BYTES 400

enum sample_kind {
	SAMPLE_YES,   /* the marked part is a hit */
	SAMPLE_NO,    /* no hit, even with context */
	SAMPLE_QUIET, /* a hit with context, none without */
};

struct sample {
	enum sample_kind kind;
	unsigned line;
	struct bytes text;  /* unescaped, marks removed; owned by the rule */
	size_t start, end;  /* the marked part; the whole text when nothing was marked */
};

struct rule_pattern {
	char text[RULE_PATTERN_BYTES];
	bool caseless;
	unsigned line;
};

struct rule {
	char file[256];
	char title[128];
	char group[16];
	struct class class;
	struct rule_pattern patterns[RULE_PATTERNS], triggers[RULE_PATTERNS];
	unsigned patterns_count, triggers_count;
	struct sample *samples; /* allocated */
	unsigned samples_count;
};

/* Reads one file into `rule`, which rule_free releases also after an error. On error `err` holds "file:line: reason". */
bool rule_read(const char *path, struct rule *rule, char *err, size_t err_len);
void rule_free(struct rule *rule);

/* All *.cfg of a directory, sorted by name. Returns an array of `*count` rules for rules_free, or NULL with `err`. */
struct rule *rules_read(const char *dir, unsigned *count, char *err, size_t err_len);
void rules_free(struct rule *rules, unsigned count);

#endif
