#include "shared/config.h"
#include "tests/unit/suites.h"
#include <stdlib.h>
#include <string.h>

struct settings {
    char *host, *level, *secret, *url;
    int64_t port;
    bool recovery;
};

static const struct config_row rows[] = {
    {"UNIT_HOST", CONFIG_TEXT, offsetof(struct settings, host), "127.0.0.1", 0, 0, NULL, 0, "where"},
    {"UNIT_LEVEL", CONFIG_CHOICE, offsetof(struct settings, level), "info", 0, 0, "error warn info", 0,
     "how much"},
    {"UNIT_SECRET", CONFIG_TEXT, offsetof(struct settings, secret), "", 0, 0, NULL,
     CONFIG_SECRET | CONFIG_REQUIRED, "signs"},
    {"UNIT_URL", CONFIG_TEXT, offsetof(struct settings, url), "amqp://me:pass@host:1/", 0, 0, NULL, 0,
     "broker"},
    {"UNIT_PORT", CONFIG_NUMBER, offsetof(struct settings, port), "3010", 1, 65535, NULL, 0, "port"},
    {"UNIT_RECOVERY", CONFIG_SWITCH, offsetof(struct settings, recovery), "on", 0, 0, NULL, 0, "recovery"},
};

static struct settings settings;
static struct buf faults;

static void begin(void)
{
    for (size_t i = 0; i < countof(rows); i++)
        unsetenv(rows[i].name);
    setenv("UNIT_SECRET", "s3cr3t", 1);
    memset(&settings, 0, sizeof settings);
    buf_init(&faults, 4096);
}

static void end(void)
{
    config_free(&settings, rows, countof(rows));
    buf_free(&faults);
    for (size_t i = 0; i < countof(rows); i++)
        unsetenv(rows[i].name);
}

static bool load(void)
{
    config_free(&settings, rows, countof(rows));
    buf_clear(&faults);
    return config_load(&settings, rows, countof(rows), &faults);
}

START_TEST(defaults_and_values)
{
    ck_assert(load());
    ck_assert_str_eq(settings.host, "127.0.0.1");
    ck_assert_int_eq(settings.port, 3010);
    ck_assert(settings.recovery);
    setenv("UNIT_HOST", "::1", 1);
    setenv("UNIT_PORT", "65535", 1);
    setenv("UNIT_RECOVERY", "No", 1);
    setenv("UNIT_LEVEL", "warn", 1);
    ck_assert(load());
    ck_assert_str_eq(settings.host, "::1");
    ck_assert_int_eq(settings.port, 65535);
    ck_assert(!settings.recovery);
    ck_assert_str_eq(settings.level, "warn");
}
END_TEST

START_TEST(set_to_nothing_is_not_set)
{
    setenv("UNIT_PORT", "", 1);
    setenv("UNIT_LEVEL", "", 1);
    ck_assert(load());
    ck_assert_int_eq(settings.port, 3010);
    ck_assert_str_eq(settings.level, "info");
}
END_TEST

static const struct {
    const char *name, *value, *fault;
} wrong[] = {
    {"UNIT_PORT", "0", "UNIT_PORT=0: must be 1 to 65535\n"},
    {"UNIT_PORT", "65536", "UNIT_PORT=65536: must be 1 to 65535\n"},
    {"UNIT_PORT", "-1", "UNIT_PORT=-1: must be 1 to 65535\n"},
    {"UNIT_PORT", "80x", "UNIT_PORT=80x: not a whole number\n"},
    {"UNIT_PORT", " 80", "UNIT_PORT= 80: not a whole number\n"},
    {"UNIT_PORT", "8e1", "UNIT_PORT=8e1: not a whole number\n"},
    {"UNIT_PORT", "99999999999999999999", "UNIT_PORT=99999999999999999999: not a whole number\n"},
    {"UNIT_RECOVERY", "maybe", "UNIT_RECOVERY=maybe: must be on or off\n"},
    {"UNIT_LEVEL", "loud", "UNIT_LEVEL=loud: must be one of: error warn info\n"},
    {"UNIT_LEVEL", "error warn", "UNIT_LEVEL=error warn: must be one of: error warn info\n"},
    {"UNIT_SECRET", "", "UNIT_SECRET: must be set (signs)\n"},
};

START_TEST(a_wrong_value_is_named)
{
    setenv(wrong[_i].name, wrong[_i].value, 1);
    ck_assert(!load());
    ck_assert_str_eq(buf_view(&faults).p, wrong[_i].fault);
}
END_TEST

START_TEST(all_faults_at_once)
{
    setenv("UNIT_PORT", "x", 1);
    setenv("UNIT_LEVEL", "x", 1);
    unsetenv("UNIT_SECRET");
    ck_assert(!load());
    size_t lines = 0;
    for (const char *p = buf_view(&faults).p; *p; p++)
        lines += *p == '\n';
    ck_assert_uint_eq(lines, 3);
}
END_TEST

START_TEST(print_masks_secrets)
{
    char *text = NULL;
    size_t n;
    setenv("UNIT_URL", "amqp://me:pass:@@host:1/", 1);
    ck_assert(load());
    FILE *out = open_memstream(&text, &n);
    config_print(&settings, rows, countof(rows), out);
    fclose(out);
    ck_assert_str_eq(text, "UNIT_HOST=127.0.0.1\nUNIT_LEVEL=info\nUNIT_SECRET=***\n"
                           "UNIT_URL=amqp://me:***@host:1/\nUNIT_PORT=3010\nUNIT_RECOVERY=on\n");
    free(text);
    /* the documented default is no secret */
    unsetenv("UNIT_URL");
    ck_assert(load());
    out = open_memstream(&text, &n);
    config_print(&settings, rows, countof(rows), out);
    fclose(out);
    ck_assert(strstr(text, "UNIT_URL=amqp://me:pass@host:1/\n"));
    free(text);
}
END_TEST

START_TEST(help_names_every_row)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    config_help(rows, countof(rows), out);
    fclose(out);
    for (size_t i = 0; i < countof(rows); i++)
        ck_assert_msg(strstr(text, rows[i].name) && strstr(text, rows[i].help), "%s", rows[i].name);
    ck_assert(strstr(text, "1 to 65535"));
    ck_assert(strstr(text, "(required)"));
    free(text);
}
END_TEST

static const struct {
    const char *secret;
    bool weak;
} secrets[] = {
    {"", true},
    {"short", true},
    {"0123456789abcde", true},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
    {"please-change-me-now-please", true},
    {"YOUR-JWT-SECRET-GOES-HERE-1234", true},
    {"a-string-secret-at-least-256-bits-long", true},
    {"test-jwt-secret-7f1c0a5e9b2d4c68a3e1", false},
    {"q8Zr2vKx0TnYp4LwEs7Bd1Gm", false},
    {"5f2b8d0c9a7e4f13b6d2a8c0e1f49375", false},
};

START_TEST(weak_secrets)
{
    ck_assert_int_eq(config_secret_is_weak(secrets[_i].secret), secrets[_i].weak);
}
END_TEST

Suite *suite_config(void)
{
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("config");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, defaults_and_values);
    tcase_add_test(tests, set_to_nothing_is_not_set);
    tcase_add_loop_test(tests, a_wrong_value_is_named, 0, (int)countof(wrong));
    tcase_add_test(tests, all_faults_at_once);
    tcase_add_test(tests, print_masks_secrets);
    tcase_add_test(tests, help_names_every_row);
    tcase_add_loop_test(tests, weak_secrets, 0, (int)countof(secrets));
    suite_add_tcase(suite, tests);
    return suite;
}
