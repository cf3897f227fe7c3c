/* token_pin.h: the PIN, from its file to one login. The file is its owner's alone; what is read is wiped after use. One thread. */
#ifndef CONTROL_TOKEN_TOKEN_PIN_H
#define CONTROL_TOKEN_TOKEN_PIN_H

#include <sys/stat.h>

#include "platform/base/bytes.h"

#define TOKEN_PIN_BYTES_MAX 255

struct token_pin {
	int fd; /* -1: no file */
	struct stat at;
};

/* Opens the file (`path` NULL: none), before the sandbox. NULL, or a fixed text. */
const char *token_pin_open(struct token_pin *p, const char *path);
/* 32 bytes that change when `config` or the PIN's file does; nothing about the PIN can be had from them. */
bool token_pin_identity(const struct token_pin *p, struct bytes config, uint8_t out[32]);
/* The PIN without the end of its line; wipe it. NULL, or a fixed text. */
const char *token_pin_read(const struct token_pin *p, uint8_t pin[TOKEN_PIN_BYTES_MAX], size_t *len);
void token_pin_close(struct token_pin *p);

#endif
