/*
 * Configuration from the environment by a table of rows. The same rows load, check (all faults reported at
 * once), print (secrets masked), explain (--help) and free; tests/lint compares them with the README.
 *
 * Thread: boot only; afterwards the settings are read-only.
 */
#ifndef SHARED_CONFIG_H
#define SHARED_CONFIG_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_type {
    CONFIG_TEXT,   /* char * */
    CONFIG_NUMBER, /* int64_t, min..max */
    CONFIG_SWITCH, /* bool: on/off, true/false, yes/no, 1/0 */
    CONFIG_CHOICE  /* char *, one of `choices` ("a b c") */
};

enum { CONFIG_SECRET = 1, CONFIG_REQUIRED = 2 };

struct config_row {
    const char *name; /* of the environment variable */
    enum config_type type;
    size_t offset;        /* of the field in the settings struct */
    const char *fallback; /* default, as text */
    int64_t min, max;
    const char *choices;
    unsigned flags;
    const char *help; /* one line */
};

/* Rows for a table whose fields live in a `struct settings`. */
#define CONFIG_TEXT_ROW(name, field, fallback, flags, help)                                    \
    {                                                                                          \
        name, CONFIG_TEXT, offsetof(struct settings, field), fallback, 0, 0, NULL, flags, help \
    }
#define CONFIG_CHOICE_ROW(name, field, fallback, choices, help)                                 \
    {                                                                                           \
        name, CONFIG_CHOICE, offsetof(struct settings, field), fallback, 0, 0, choices, 0, help \
    }
#define CONFIG_NUMBER_ROW(name, field, fallback, min, max, help)                                 \
    {                                                                                            \
        name, CONFIG_NUMBER, offsetof(struct settings, field), fallback, min, max, NULL, 0, help \
    }
#define CONFIG_SWITCH_ROW(name, field, fallback, help)                                       \
    {                                                                                        \
        name, CONFIG_SWITCH, offsetof(struct settings, field), fallback, 0, 0, NULL, 0, help \
    }

/* Fills settings from the environment; false when a row is wrong: then `faults` holds a line for each. */
bool config_load(void *settings, const struct config_row *rows, size_t count, struct buf *faults) MUSTCHECK;
void config_free(void *settings, const struct config_row *rows, size_t count);
/* NAME=value, one a line, secrets as ***. */
void config_print(const void *settings, const struct config_row *rows, size_t count, FILE *out);
void config_help(const struct config_row *rows, size_t count, FILE *out);

/* A secret that must not start a service outside the demo: short, or one that stands in examples. */
bool config_secret_is_weak(const char *secret);

#endif
