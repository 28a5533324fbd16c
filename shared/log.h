/*
 * The only way to say something: one line on stderr per event, `time=... level=... event=name key=value ...`.
 *
 * Arguments are not evaluated below the level. Bytes that could forge or break a line are printed as \xNN.
 * Never log a token, a secret or what people write to each other. Thread: any; a line is one write(2).
 * log_init() once, before threads start.
 */
#ifndef SHARED_LOG_H
#define SHARED_LOG_H

#include "shared/compiler.h"
#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern enum log_level log_threshold;

void log_init(enum log_level threshold);
bool log_level_parse(const char *name, enum log_level *out) MUSTCHECK;
/* `event` is a word; `format` the key=value pairs, may be "". A value that may hold blanks is written
 * "\"%s\"". */
void log_write(enum log_level level, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);
/* From here on abort() says that it was called: libraries do that without a word when memory has run out. */
void log_aborts(void);
/* Boot errors: one line, exit(1). */
NORETURN void die(const char *format, ...) PRINTF_LIKE(1, 2);

#define log_at(level, ...)                   \
    do {                                     \
        if ((level) <= log_threshold)        \
            log_write((level), __VA_ARGS__); \
    } while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

#endif
