/* key_file.h: small files of keys: read only when nobody but their owner may, written whole or not at all. Blocking; any thread. */
#ifndef CONTROL_KEYS_KEY_FILE_H
#define CONTROL_KEYS_KEY_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "platform/base/bytes.h"
#include "platform/os/error.h"

/* The bytes read, at most `size`; -1: there is none, with errno; -2: others may read it, with a text. */
ssize_t key_file_read(const char *path, uint8_t *out, size_t size, char err[OS_ERROR_BYTES]);
bool key_file_write(const char *path, struct bytes content, mode_t mode, char err[OS_ERROR_BYTES]);

/* Sets "what: why: remedy", with OpenSSL's reason or errno's; false. */
bool key_file_failed(char err[OS_ERROR_BYTES], const char *what, const char *remedy);

#endif
