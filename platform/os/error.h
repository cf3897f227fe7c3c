/* error.h: the one form of an operator's error text: "<what>: <why>: <do>" in a buffer of the caller. */
#ifndef PLATFORM_OS_ERROR_H
#define PLATFORM_OS_ERROR_H

#define OS_ERROR_BYTES 256

#endif
