/* postgres_load.h: queries of a scripted client, answered by a scripted server, through the real conductor and inspector. */
#ifndef BENCH_POSTGRES_LOAD_H
#define BENCH_POSTGRES_LOAD_H

/* Prints one JSON object; `classes` is the path of classes.hsdb. The program's exit status. */
int postgres_load(const char *classes);

/* "simple", "extended" or "masked" alone, so that an instrumented run counts nothing else. */
int postgres_load_one(const char *classes, const char *load_name);

#endif
