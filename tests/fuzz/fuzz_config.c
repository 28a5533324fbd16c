/* The environment: what is taken is within its row's bounds, what is not is named, and no secret is repeated.
 * Lines: a number, a switch, a choice, a text, a secret. */
#include "shared/config.h"
#include "shared/view.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    int64_t number;
    bool on;
    char *choice, *text, *secret;
};

static const struct config_row rows[] = {
    CONFIG_NUMBER_ROW("FUZZ_NUMBER", number, "7", -10, 100000, "a number"),
    CONFIG_SWITCH_ROW("FUZZ_SWITCH", on, "off", "a switch"),
    CONFIG_CHOICE_ROW("FUZZ_CHOICE", choice, "one", "one two three", "a choice"),
    CONFIG_TEXT_ROW("FUZZ_TEXT", text, "", 0, "a text"),
    CONFIG_TEXT_ROW("FUZZ_SECRET", secret, "", CONFIG_SECRET, "a secret"),
};

static void print(const struct settings *s)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    MUST(out);
    config_print(s, rows, countof(rows), out);
    MUST(!fclose(out));
    const char *last = strstr(text, "FUZZ_SECRET=");
    MUST(last && !strcmp(strrchr(last, '='), *s->secret ? "=***\n" : "=\n"));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view rest = fuzz_input(data, size), line;
    struct settings s = {0};
    struct buf faults;
    for (size_t i = 0; i < countof(rows); i++) {
        bool given = view_split(&rest, '\n', &line);
        char *value = given ? strndup(line.p, line.n) : NULL;
        if (value)
            setenv(rows[i].name, value, 1);
        else
            unsetenv(rows[i].name);
        free(value);
    }
    buf_init(&faults, size * 4 + 1024);
    if (config_load(&s, rows, countof(rows), &faults)) {
        MUST(!faults.len && s.number >= -10 && s.number <= 100000);
        MUST(strstr("one two three", s.choice) && !strchr(s.choice, ' '));
    } else {
        MUST(faults.len && memmem(faults.data, faults.len, "FUZZ_", 5));
    }
    if (!strchr(s.text, '\n'))
        print(&s);
    (void)config_secret_is_weak(s.secret);
    config_free(&s, rows, countof(rows));
    buf_free(&faults);
    return 0;
}
