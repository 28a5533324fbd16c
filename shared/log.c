#include "shared/log.h"
#include "shared/clock.h"
#include "shared/compiler.h"
#include "shared/view.h"
#include <signal.h>
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

/* The handler is called once, then abort() goes on. */
static void on_abort(int signal_number)
{
    static const char line[] = "level=error event=aborted\n";
    ssize_t written = write(STDERR_FILENO, line, sizeof line - 1);
    (void)written;
    (void)signal_number;
}

void log_aborts(void)
{
    signal(SIGABRT, on_abort);
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

/* Characters that a terminal obeys or that turn the order of a line round: C1 controls, marks of direction,
 * separators of lines. Their bytes in UTF-8: what they begin with, and the range of the last one. */
static const struct {
    const char *lead;
    unsigned char low, high;
} harmful[] = {
    {"\xc2", 0x80, 0x9f},     {"\xd8", 0x9c, 0x9c},     {"\xe2\x80", 0x8e, 0x8f},
    {"\xe2\x80", 0xa8, 0xae}, {"\xe2\x81", 0xa6, 0xa9},
};

static bool is_harmful(const char *p, size_t n)
{
    unsigned char last = (unsigned char)p[n - 1];
    if (n == 1)
        return last < 0x20 || last == 0x7f;
    for (size_t i = 0; i < countof(harmful); i++)
        if (strlen(harmful[i].lead) == n - 1 && !memcmp(p, harmful[i].lead, n - 1) &&
            last >= harmful[i].low && last <= harmful[i].high)
            return true;
    return false;
}

/* Bytes of the character in front; 0: that is none. */
static size_t character_size(const char *p)
{
    for (size_t n = 1; n <= 4 && p[n - 1]; n++)
        if (view_is_utf8((struct view){p, n}))
            return n;
    return 0;
}

/* Writes the text with harmful characters, and bytes that are none, as \xNN, so that what a stranger sent
 * can neither start a line of its own nor do anything to who reads it. */
static void put_line(const char *text)
{
    char line[LINE_MAX_BYTES * 4 + 1];
    size_t n = 0;
    for (const char *p = text; *p;) {
        size_t size = character_size(p);
        bool escapes = !size || is_harmful(p, size);
        for (const char *end = p + (size ? size : 1); p < end; p++)
            if (escapes)
                n += (size_t)snprintf(line + n, sizeof line - n, "\\x%02x", (unsigned char)*p);
            else
                line[n++] = *p;
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
