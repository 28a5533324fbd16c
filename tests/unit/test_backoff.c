#include "shared/backoff.h"
#include "tests/unit/suites.h"
#include <stdbool.h>

START_TEST(doubles_up_to_the_most_with_jitter)
{
    static const int upper[] = {100, 200, 400, 800, 1000, 1000, 1000};
    bool varies = false;
    for (int round = 0; round < 50; round++) {
        struct backoff b;
        backoff_init(&b, 100, 1000);
        for (size_t i = 0; i < sizeof upper / sizeof *upper; i++) {
            int wait_ms = backoff_next_ms(&b);
            ck_assert_int_ge(wait_ms, upper[i] / 2);
            ck_assert_int_le(wait_ms, upper[i]);
            varies |= wait_ms != upper[i];
        }
    }
    ck_assert(varies);
}
END_TEST

START_TEST(reset_begins_anew)
{
    struct backoff b;
    backoff_init(&b, 100, 60000);
    for (int i = 0; i < 40; i++)
        ck_assert_int_le(backoff_next_ms(&b), 60000);
    ck_assert_int_ge(backoff_next_ms(&b), 30000);
    backoff_reset(&b);
    ck_assert_int_le(backoff_next_ms(&b), 100);
}
END_TEST

START_TEST(what_broke_at_once_was_no_success)
{
    struct backoff b;
    backoff_init(&b, 100, 60000);
    for (int i = 0; i < 8; i++) {
        backoff_next_ms(&b);
        backoff_lasted(&b, 1000);
    }
    ck_assert_int_ge(backoff_next_ms(&b), 12800);
    backoff_lasted(&b, 5000);
    ck_assert_int_le(backoff_next_ms(&b), 100);
}
END_TEST

START_TEST(huge_most_does_not_overflow)
{
    struct backoff b;
    backoff_init(&b, 1, 2147483647);
    for (int i = 0; i < 100; i++)
        ck_assert_int_ge(backoff_next_ms(&b), 0);
}
END_TEST

Suite *suite_backoff(void)
{
    Suite *suite = suite_create("backoff");
    TCase *tests = tcase_create("backoff");
    tcase_add_test(tests, doubles_up_to_the_most_with_jitter);
    tcase_add_test(tests, reset_begins_anew);
    tcase_add_test(tests, what_broke_at_once_was_no_success);
    tcase_add_test(tests, huge_most_does_not_overflow);
    suite_add_tcase(suite, tests);
    return suite;
}
