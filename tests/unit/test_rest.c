/* Small rules of the REST API that need no server. */
#include "shared/etag.h"
#include "state-manager/core/text.h"
#include "tests/unit/suites.h"
#include <string.h>

START_TEST(etags_are_found_in_lists)
{
    static const struct {
        const char *field;
        bool listed;
    } table[] = {{"\"abc\"", true},
                 {"W/\"abc\"", true},
                 {"\"x\", \"abc\"", true},
                 {"\"x\",W/\"y\" ,\t\"abc\"", true},
                 {"\"a,b\",\"abc\"", true},
                 {",, \"abc\" ,", true},
                 {"*", true},
                 {" * ", true},
                 {"", false},
                 {"abc", false},
                 {"\"abcd\"", false},
                 {"\"ab\"", false},
                 {"\"ABC\"", false},
                 {"\"abc", false},
                 {"\"x\" \"abc\"", true}, /* only a comma is missing */
                 {"w/\"abc\"", false},
                 {"x, \"abc\"", false},
                 {"\"*\"", false},
                 {"*, \"abc\"", false},
                 {"W/", false},
                 {"\"", false},
                 {"\"\"", false}};
    for (size_t i = 0; i < countof(table); i++)
        ck_assert_msg(etag_is_listed(view_of(table[i].field), VIEW("abc")) == table[i].listed, "%s",
                      table[i].field);
}
END_TEST

START_TEST(names_are_whole_and_within_their_length)
{
    static const struct {
        const char *raw;
        bool whole, name; /* of at most 4 bytes */
    } table[] = {{"\"a\"", true, true},
                 {"\"abcd\"", true, true},
                 {"\"abcde\"", true, false},
                 {"\"\\u00e9\\u00e9\"", true, true},
                 {"\"\\u00e9\\u00e9a\"", true, false},
                 {"\"\\ud83d\\ude00\"", true, true},
                 {"\"\\uD83D\\uDE00\"", true, true},
                 {"\"\"", true, false},
                 {"\"\\\\ud8\"", true, true},
                 {"\"\\n\\\"\"", true, true},
                 {"\"\\u0000\"", false, false},
                 {"\"a\\u0000\"", false, false},
                 {"\"\\ud83d\"", false, false},
                 {"\"\\ud83dx\"", false, false},
                 {"\"\\ud83d\\n\"", false, false},
                 {"\"\\ud83d\\ud83d\"", false, false},
                 {"\"\\ude00\"", false, false},
                 {"\"\\ude00\\ud83d\"", false, false},
                 {"\"\\ud83d\\ude00\\ude00\"", false, false},
                 {"5", false, false},
                 {"null", false, false},
                 {"[]", false, false},
                 {"", false, false}};
    for (size_t i = 0; i < countof(table); i++) {
        ck_assert_msg(text_is_whole(view_of(table[i].raw)) == table[i].whole, "%s", table[i].raw);
        ck_assert_msg(text_is_name(view_of(table[i].raw), 4) == table[i].name, "%s", table[i].raw);
    }
}
END_TEST

START_TEST(characters_are_code_points)
{
    ck_assert_uint_eq(text_characters(VIEW("\"\"")), 0);
    ck_assert_uint_eq(text_characters(VIEW("\"a\\u00e9\\ud83d\\ude00\\n\xe2\x82\xac\"")), 5);
    ck_assert_uint_eq(text_characters(VIEW("5")), 0);
}
END_TEST

Suite *suite_rest(void)
{
    Suite *s = suite_create("rest");
    TCase *t = tcase_create("rest");
    tcase_add_test(t, etags_are_found_in_lists);
    tcase_add_test(t, names_are_whole_and_within_their_length);
    tcase_add_test(t, characters_are_code_points);
    suite_add_tcase(s, t);
    return s;
}
