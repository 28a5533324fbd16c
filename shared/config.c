#include "shared/config.h"
#include "shared/mem.h"
#include "shared/view.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SECRET_MIN_BYTES = 16 };

static void *field(void *settings, const struct config_row *row)
{
    return (char *)settings + row->offset;
}

static const void *field_const(const void *settings, const struct config_row *row)
{
    return (const char *)settings + row->offset;
}

static bool is_text(const struct config_row *row)
{
    return row->type == CONFIG_TEXT || row->type == CONFIG_CHOICE;
}

static bool parse_number(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool starts_well = (*text >= '0' && *text <= '9') || *text == '-';
    *out = value;
    return starts_well && !*end && !errno;
}

static bool parse_switch(const char *text, bool *out)
{
    static const char *const words[2][4] = {{"off", "false", "no", "0"}, {"on", "true", "yes", "1"}};
    for (size_t value = 0; value < 2; value++)
        for (size_t i = 0; i < 4; i++)
            if (!strcasecmp(text, words[value][i])) {
                *out = value == 1;
                return true;
            }
    return false;
}

static bool is_choice(const char *choices, const char *text)
{
    struct view rest = view_of(choices), word;
    while (view_split(&rest, ' ', &word))
        if (view_is(word, text))
            return true;
    return false;
}

/* Where a value may be a secret it is not repeated in the fault. */
static const char *shown(const struct config_row *row, const char *text)
{
    return row->flags & CONFIG_SECRET ? "***" : text;
}

static bool load_number(int64_t *out, const struct config_row *row, const char *text, struct buf *faults)
{
    if (!parse_number(text, out))
        buf_addf(faults, "%s=%s: not a whole number\n", row->name, shown(row, text));
    else if (*out < row->min || *out > row->max)
        buf_addf(faults, "%s=%s: must be %" PRId64 " to %" PRId64 "\n", row->name, shown(row, text), row->min,
                 row->max);
    else
        return true;
    return false;
}

static bool load_switch(bool *out, const struct config_row *row, const char *text, struct buf *faults)
{
    if (parse_switch(text, out))
        return true;
    buf_addf(faults, "%s=%s: must be on or off\n", row->name, text);
    return false;
}

static bool load_text(char **out, const struct config_row *row, const char *text, struct buf *faults)
{
    *out = xstrdup(text);
    if ((row->flags & CONFIG_REQUIRED) && !*text)
        buf_addf(faults, "%s: must be set (%s)\n", row->name, row->help);
    else if (row->type == CONFIG_CHOICE && !is_choice(row->choices, text))
        buf_addf(faults, "%s=%s: must be one of: %s\n", row->name, text, row->choices);
    else
        return true;
    return false;
}

static bool load_row(void *settings, const struct config_row *row, struct buf *faults)
{
    const char *text = getenv(row->name);
    /* Set to nothing is as good as not set: compose files pass on what is missing as "". */
    if (!text || !*text)
        text = row->fallback ? row->fallback : "";
    switch (row->type) {
    case CONFIG_NUMBER:
        return load_number(field(settings, row), row, text, faults);
    case CONFIG_SWITCH:
        return load_switch(field(settings, row), row, text, faults);
    case CONFIG_TEXT:
    case CONFIG_CHOICE:
        break;
    }
    return load_text(field(settings, row), row, text, faults);
}

bool config_load(void *settings, const struct config_row *rows, size_t count, struct buf *faults)
{
    bool fine = true;
    for (size_t i = 0; i < count; i++)
        fine = load_row(settings, &rows[i], faults) && fine;
    return fine;
}

void config_free(void *settings, const struct config_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_text(&rows[i]))
            continue;
        char **text = field(settings, &rows[i]);
        free(*text);
        *text = NULL;
    }
}

/* A password inside a URL (scheme://user:password@host) is a secret too, unless it is the documented default.
 */
static void print_text(const struct config_row *row, const char *text, FILE *out)
{
    const char *user = strstr(text, "://");
    const char *password = user ? strchr(user + 3, ':') : NULL;
    const char *host = user ? strrchr(user + 3, '@') : NULL;
    bool is_default = row->fallback && !strcmp(text, row->fallback);
    if (password && host && password < host && !is_default)
        fprintf(out, "%.*s:***%s", (int)(password - text), text, host);
    else
        fputs(text, out);
}

void config_print(const void *settings, const struct config_row *rows, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct config_row *row = &rows[i];
        const void *value = field_const(settings, row);
        fprintf(out, "%s=", row->name);
        if (row->type == CONFIG_NUMBER) {
            fprintf(out, "%" PRId64, *(const int64_t *)value);
        } else if (row->type == CONFIG_SWITCH) {
            fputs(*(const bool *)value ? "on" : "off", out);
        } else {
            const char *text = *(char *const *)value;
            if ((row->flags & CONFIG_SECRET) && *text)
                fputs("***", out);
            else
                print_text(row, text, out);
        }
        fputc('\n', out);
    }
}

static void help_row(const struct config_row *row, FILE *out)
{
    fprintf(out, "  %-26s %s", row->name, row->help);
    if (row->flags & CONFIG_REQUIRED)
        fputs(" (required)", out);
    else if (row->fallback && *row->fallback)
        fprintf(out, " (%s)", row->fallback);
    if (row->type == CONFIG_CHOICE)
        fprintf(out, "; one of: %s", row->choices);
    else if (row->type == CONFIG_NUMBER)
        fprintf(out, "; %" PRId64 " to %" PRId64, row->min, row->max);
    fputc('\n', out);
}

void config_help(const struct config_row *rows, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++)
        help_row(&rows[i], out);
}

bool config_secret_is_weak(const char *secret)
{
    /* What stands in examples, jwt.io's included. */
    static const char *const known[] = {"changeme",         "change-me", "change_me",   "changethis",
                                        "replace-me",       "your-",     "your_",       "example",
                                        "placeholder",      "not-real",  "supersecret", "keyboard cat",
                                        "at-least-256-bits"};
    if (strlen(secret) < SECRET_MIN_BYTES)
        return true;
    for (size_t i = 0; i < countof(known); i++)
        if (strcasestr(secret, known[i]))
            return true;
    /* Two or three different characters are no secret, however long. */
    bool seen[256] = {false};
    int different = 0;
    for (const unsigned char *p = (const unsigned char *)secret; *p; p++) {
        different += !seen[*p];
        seen[*p] = true;
    }
    return different < 6;
}
