#include "shared/json.h"
#include "state-manager/core/search.h"
#include "tests/unit/suites.h"
#include <string.h>

static const char *folded(const char *text)
{
    static char out[512];
    struct buf b;
    buf_init(&b, sizeof out - 1);
    search_fold(view_of(text), &b);
    ck_assert(!b.overflow);
    memcpy(out, b.data ? b.data : "", b.len);
    out[b.len] = 0;
    buf_free(&b);
    return out;
}

START_TEST(texts_are_folded)
{
    static const char *const table[][2] = {
        {"", ""},
        {"Hello, World 42!", "hello, world 42!"},
        {"@[`{", "@[`{"},
        {"Jos\xc3\xa9", "jose"},
        {"Jose\xcc\x81", "jose"},
        {"\xc3\x89\xc3\x80\xc3\x96\xc3\x9c", "eaou"},
        {"Stra\xc3\x9f"
         "e",
         "strasse"},
        {"\xc3\x86\xc5\x93\xc3\x9e", "aeoeth"},
        {"\xc5\x81\xc3\xb3"
         "d\xc5\xba",
         "lodz"},
        {"\xc4\xb0zm\xc4\xb1r", "izmir"},
        {"Nguy\xe1\xbb\x85n", "nguyen"},
        {"\xc8\x98tefan", "stefan"},
        {"\xc7\x8e\xc7\x93", "au"},
        {"\xce\x91\xce\x98\xce\x97\xce\x9d\xce\x86", "\xce\xb1\xce\xb8\xce\xb7\xce\xbd\xce\xb1"},
        {"\xce\xa3\xcf\x82", "\xcf\x83\xcf\x83"},
        {"\xd0\x99\xd0\x81\xd0\x96", "\xd0\xb8\xd0\xb5\xd0\xb6"},
        {"\xd4\xb1", "\xd5\xa1"},
        {"\xe1\x82\xa0\xe1\xb2\x90", "\xe2\xb4\x80\xe1\x83\x90"},
        {"\xd9\x85\xd9\x8f\xd8\xad\xd9\x8e\xd9\x85\xd9\x91\xd8\xaf", "\xd9\x85\xd8\xad\xd9\x85\xd8\xaf"},
        {"\xd9\xa1\xdb\xb2\xe0\xa5\xa9", "123"},
        {"\xef\xbc\xa1\xef\xbd\x81\xef\xbc\x91\xe3\x80\x80", "aa1 "},
        {"a\xc2\xa0"
         "b\xe2\x80\x8d"
         "c",
         "a bc"},
        {"\xf0\x9f\x98\x80\xe4\xb8\xad", "\xf0\x9f\x98\x80\xe4\xb8\xad"},
        {"a\xff\xc3z\xed\xa0\x80", "az"},
        {"\xe2\x82", ""},
    };
    for (size_t i = 0; i < countof(table); i++)
        ck_assert_str_eq(folded(table[i][0]), table[i][1]);
}
END_TEST

static void put_utf8(unsigned code, char out[static 5])
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[n] = 0;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead[n] | code);
}

/* What is folded stays as it is, so that a text finds itself; and it stays UTF-8. */
START_TEST(folding_ends_in_one_step)
{
    for (unsigned code = 1; code < 0x20000; code++) {
        char text[5], once[16];
        if (code >= 0xd800 && code < 0xe000)
            continue;
        put_utf8(code, text);
        memcpy(once, folded(text), sizeof once);
        ck_assert_msg(view_is_utf8(view_of(once)), "U+%04X", code);
        ck_assert_msg(!strcmp(folded(once), once), "U+%04X", code);
    }
}
END_TEST

static const char doc[] =
    "{\"id\":\"c_1\",\"channelId\":\"1\",\"contact\":{\"waId\":\"447700900123\",\"name\":\"Zo\\u00eb "
    "M\xc3\xbcller\",\"username\":\"zm_77\"},\"status\":\"open\",\"assignee\":\"ann\",\"tags\":[\"VIP\","
    "\"late payer\"],\"correlation\":{\"correlationId\":\"CASE-9\",\"system\":\"hidden\"},"
    "\"lastMessage\":\"Where is\\nmy order 5500?\",\"direction\":\"inbound\",\"version\":1,\"ord\":1}";

static bool finds(const char *query, const char *text)
{
    struct search s = {.phone = ""}; /* what is not written shows as such */
    struct conversation c;
    ck_assert(search_valid(view_of(query)));
    ck_assert(conversation_read(view_of(text), &c));
    search_init(&s, view_of(query));
    bool found = search_finds(&s, &c);
    bool again = search_finds(&s, &c);
    search_finish(&s);
    ck_assert_int_eq(found, again);
    return found;
}

START_TEST(every_word_must_be_found)
{
    static const char *const found[] = {"",
                                        "   ",
                                        "zoe",
                                        "ZO\xc3\x8b",
                                        "muller zoe",
                                        "M\xc3\xbcller",
                                        "zm_77",
                                        "ann vip",
                                        "late payer",
                                        "payer\tlate",
                                        "case-9",
                                        "where order",
                                        "is my",
                                        "is\nmy",
                                        "447700900123",
                                        "+44 7700",
                                        "0044-7700",
                                        "07700 900 123",
                                        "(44)77.00",
                                        "5500",
                                        "00900123",
                                        "\xd9\xa4\xd9\xa4\xd9\xa7",
                                        "zoe\xc2\xa0muller"};
    static const char *const missed[] = {
        "zoey",    "zoe nobody", "hidden", "open",   "c_1", "8447700", "447700x", "0044 7700 900123 zoey",
        "44 7701", "ann-vip",    "pip",    "annvip", "\\n", "inbound"};
    for (size_t i = 0; i < countof(found); i++)
        ck_assert_msg(finds(found[i], doc), "%s", found[i]);
    for (size_t i = 0; i < countof(missed); i++)
        ck_assert_msg(!finds(missed[i], doc), "%s", missed[i]);
}
END_TEST

START_TEST(a_conversation_of_which_nothing_is_known_is_found_by_nothing)
{
    static const char bare[] = "{\"id\":\"c_2\",\"contact\":{},\"tags\":[]}";
    static const char odd[] = "{\"id\":\"c_2\",\"contact\":{\"waId\":5,\"name\":[\"x\"]},\"tags\":{\"x\":1},"
                              "\"assignee\":true,\"correlation\":\"x\"}";
    ck_assert(finds("", bare) && !finds("x", bare) && !finds("123", bare));
    ck_assert(finds("", odd) && !finds("x", odd) && !finds("555", odd));
}
END_TEST

START_TEST(values_of_any_document_are_found)
{
    static const struct {
        const char *query;
        bool found;
    } rows[] = {
        {"muller", true},   {"MULLER jose", true}, {"muller nobody", false}, {"4711", true},
        {"471", true},      {"4712", false},       {"tag-2", true},          {"9.5", true},
        {"true", false},    {"hidden", false},     {"0044 7700", true},      {"07700 900", true},
        {"7700901", false}, {"77", true},          {"+49", false},           {"", true},
    };
    /* of the last two, neither is text */
    const struct view values[] = {VIEW("\"Jos\xc3\xa9 M\\u00fcller\""),
                                  VIEW("4711"),
                                  VIEW("[\"tag-1\", \"Tag-2\", 9.5, [\"hidden\"]]"),
                                  VIEW("\"+44 (7700) 900-123\""),
                                  VIEW("true"),
                                  VIEW("{\"a\":\"hidden\"}"),
                                  {NULL, 0}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct search s;
        search_init(&s, view_of(rows[i].query));
        ck_assert_msg(search_finds_any(&s, values, countof(values)) == rows[i].found, "%s", rows[i].query);
        ck_assert(!search_finds_any(&s, values, 0) == (*rows[i].query != 0));
        search_finish(&s);
    }
}
END_TEST

START_TEST(queries_have_a_length)
{
    char text[SEARCH_BYTES_MAX + 2];
    memset(text, 'x', sizeof text);
    ck_assert(search_valid((struct view){text, 100}) && !search_valid((struct view){text, 101}));
    for (size_t i = 0; i < 101; i++)
        memcpy(text + 4 * i, "\xf0\x9f\x98\x80", i < 100 ? 4 : 2);
    ck_assert(search_valid((struct view){text, 400}) && !search_valid((struct view){text, 402}));
    ck_assert(!search_valid(VIEW("\xff")));
    /* what grows by being spelled out fits all the same */
    for (size_t i = 0; i < 100; i++)
        memcpy(text + 2 * i, "\xc3\x9f", 2);
    struct search s;
    search_init(&s, (struct view){text, 200});
    ck_assert_uint_eq(s.words.len, 200);
    search_finish(&s);
}
END_TEST

Suite *suite_search(void)
{
    Suite *s = suite_create("search");
    TCase *t = tcase_create("search");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, texts_are_folded);
    tcase_add_test(t, folding_ends_in_one_step);
    tcase_add_test(t, every_word_must_be_found);
    tcase_add_test(t, a_conversation_of_which_nothing_is_known_is_found_by_nothing);
    tcase_add_test(t, values_of_any_document_are_found);
    tcase_add_test(t, queries_have_a_length);
    suite_add_tcase(s, t);
    return s;
}
