#include "shared/log.h"
#include "shared/clock.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

enum log_level log_threshold = LOG_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_init(enum log_level threshold)
{
    log_threshold = threshold;
}

bool log_level_parse(const char *name, enum log_level *out)
{
    for (size_t i = 0; i < countof(level_names); i++)
        if (!strcmp(name, level_names[i])) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

/* Writes the text with control bytes as \xNN, so that what a stranger sent cannot start a line of its own. */
static void put_line(const char *text)
{
    char line[LINE_MAX_BYTES * 4 + 1];
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p >= 0x20 && *p != 0x7f)
            line[n++] = (char)*p;
        else
            n += (size_t)snprintf(line + n, sizeof line - n, "\\x%02x", *p);
    }
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written; /* nowhere left to complain to */
}

static void compose(char *out, size_t size, enum log_level level, const char *event, const char *format,
                    va_list args)
{
    char now[CLOCK_ISO_SIZE];
    clock_iso(clock_wall_ms(), now);
    int n = snprintf(out, size, "time=%s level=%s event=%s%s", now, level_names[level], event,
                     *format ? " " : "");
    vsnprintf(out + n, size - (size_t)n, format, args);
}

void log_write(enum log_level level, const char *event, const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    compose(text, sizeof text, level, event, format, args);
    va_end(args);
    put_line(text);
}

void die(const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    compose(text, sizeof text, LOG_ERROR, "fatal", format, args);
    va_end(args);
    put_line(text);
    exit(1);
}
