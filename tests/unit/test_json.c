/* The JSON reader and writer, and the event that is written with them. */
#include "shared/event.h"
#include "shared/json.h"
#include "tests/unit/suites.h"
#include <stdlib.h>
#include <string.h>

static bool checks(const char *text, enum json_leniency leniency)
{
    struct view value;
    struct err err;
    return json_check(view_of(text), leniency, &value, &err);
}

START_TEST(json_is_strict)
{
    static const char *const good[] = {"0",           "-0",          "1e5",
                                       "1.5E-7",      "\"\"",        "[]",
                                       "{}",          " [1 , 2 ] ",  "{\"a\":{\"b\":[null,true,false]}}",
                                       "\"\\ud83d\"", "\"\\u0000\"", "123456789012345678901234567890",
                                       "\"\\/\""};
    static const char *const bad[] = {"",        " ",          "01",
                                      "1.",      ".5",         "+1",
                                      "nul",     "[1,]",       "[,1]",
                                      "{\"a\"}", "{\"a\":}",   "{a:1}",
                                      "[1}",     "{\"a\":1,}", "\"a",
                                      "\"\t\"",  "\"\\x\"",    "\"\\u12g4\"",
                                      "1 2",     "[1] x",      "tru",
                                      "[1 2]",   "]",          "NaN",
                                      "'a'",     "\"\xff\"",   "\"\xed\xa0\x80\""};
    for (size_t i = 0; i < countof(good); i++)
        ck_assert_msg(checks(good[i], JSON_STRICT), "refused %s", good[i]);
    for (size_t i = 0; i < countof(bad); i++)
        ck_assert_msg(!checks(bad[i], JSON_STRICT), "took %s", bad[i]);
    ck_assert(checks("\"\xff\"", JSON_ANY_BYTES_IN_STRINGS));
}
END_TEST

START_TEST(json_depth_is_bounded)
{
    static const struct {
        enum json_leniency leniency;
        int most;
    } rows[] = {{JSON_STRICT, JSON_MAX_DEPTH},
                {JSON_ANY_BYTES_IN_STRINGS, JSON_MAX_DEPTH},
                {JSON_OURS, JSON_MAX_DEPTH_OURS}};
    char text[2 * JSON_MAX_DEPTH_OURS + 3];
    for (size_t i = 0; i < countof(rows); i++)
        for (int depth = rows[i].most; depth <= rows[i].most + 1; depth++) {
            memset(text, '[', (size_t)depth);
            memset(text + depth, ']', (size_t)depth);
            text[2 * depth] = 0;
            ck_assert(checks(text, rows[i].leniency) == (depth == rows[i].most));
        }
    ck_assert(!checks("\"\xff\"", JSON_OURS));
}
END_TEST

START_TEST(json_errors_name_the_place)
{
    struct view value;
    struct err err;
    ck_assert(!json_check(VIEW("{\"a\":tru}"), JSON_STRICT, &value, &err));
    ck_assert_int_eq(err.code, ERR_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.text, "byte 5"));
}
END_TEST

START_TEST(json_walks_slices)
{
    static const char text[] = " {\"a\" : [1, \"x,]\\\"}\", {\"b\":null}], \"n\":-12, \"dup\":1, \"dup\":2,"
                               " \"\\u0061b\":true, \"m\":{\"p\":{\"q\":\"deep\"}}} ";
    struct view doc, element;
    ck_assert(json_check(view_of(text), JSON_STRICT, &doc, NULL));
    ck_assert_int_eq(doc.p[doc.n - 1], '}');
    struct json_iter it = json_iter(json_get(doc, "a"));
    ck_assert(json_next_element(&it, &element) && view_is(element, "1"));
    ck_assert(json_next_element(&it, &element) && view_is(element, "\"x,]\\\"}\""));
    ck_assert(json_next_element(&it, &element) && view_is(element, "{\"b\":null}"));
    ck_assert(!json_next_element(&it, &element));
    int64_t n;
    ck_assert(json_i64(json_get(doc, "n"), &n) && n == -12);
    ck_assert(view_is(json_get(doc, "dup"), "2"));
    ck_assert(json_is_true(json_get(doc, "ab")));
    ck_assert(json_string_is(json_path(doc, "m.p.q"), "deep"));
    ck_assert_int_eq(json_type(json_path(doc, "m.x.q")), JSON_NONE);
    ck_assert_int_eq(json_type(json_get(json_get(doc, "n"), "a")), JSON_NONE);
    static const char *const keys[] = {"dup", "none", "ab", "n"};
    struct view values[countof(keys)];
    json_get_several(doc, keys, values, countof(keys));
    for (size_t i = 0; i < countof(keys); i++)
        ck_assert(view_eq(values[i], json_get(doc, keys[i])));
    json_get_several(values[3], keys, values, countof(keys));
    ck_assert_ptr_null(values[3].p);
}
END_TEST

START_TEST(json_decodes_strings)
{
    static const struct {
        const char *raw, *text;
    } rows[] = {{"\"\\u00e9\\n\\\"\\/\"", "\xc3\xa9\n\"/"},
                {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
                {"\"\\ud83d x\"", "\xef\xbf\xbd x"},
                {"\"\\ude00\"", "\xef\xbf\xbd"},
                {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80"}};
    for (size_t i = 0; i < countof(rows); i++) {
        char out[32];
        ck_assert(json_copy_string(view_of(rows[i].raw), out, sizeof out));
        ck_assert_str_eq(out, rows[i].text);
    }
    char small[4];
    ck_assert(!json_copy_string(VIEW("\"abcd\""), small, sizeof small));
    ck_assert(!json_copy_string(VIEW("\"a\\u0000\""), small, sizeof small));
    ck_assert(!json_copy_string(VIEW("12"), small, sizeof small));
}
END_TEST

START_TEST(json_numbers_are_integers_in_range)
{
    int64_t n;
    ck_assert(json_i64(VIEW("9223372036854775807"), &n) && n == INT64_MAX);
    ck_assert(!json_i64(VIEW("9223372036854775808"), &n));
    ck_assert(!json_i64(VIEW("1.0"), &n));
    ck_assert(!json_i64(VIEW("1e3"), &n));
    ck_assert(!json_i64(VIEW("\"1\""), &n));
}
END_TEST

START_TEST(json_writes_what_it_reads)
{
    struct buf b;
    struct json_writer w;
    struct view doc;
    buf_init(&b, 4096);
    jw_init(&w, &b);
    jw_begin(&w, '{');
    jw_key(&w, "list");
    jw_begin(&w, '[');
    jw_i64(&w, -1);
    jw_text(&w, VIEW("q\"\\\n\x01\xc3\xa9"));
    jw_begin(&w, '{');
    jw_end(&w, '}');
    jw_end(&w, ']');
    jw_key_text(&w, "none", NULL);
    jw_key_raw(&w, "raw", VIEW("[1,2]"));
    jw_key_bool(&w, "yes", true);
    jw_end(&w, '}');
    ck_assert_str_eq(
        b.data,
        "{\"list\":[-1,\"q\\\"\\\\\\n\\u0001\xc3\xa9\",{}],\"none\":null,\"raw\":[1,2],\"yes\":true}");
    ck_assert(json_check(buf_view(&b), JSON_STRICT, &doc, NULL));
    buf_free(&b);
}
END_TEST

START_TEST(event_survives_the_way)
{
    struct buf b;
    struct event e;
    struct err err;
    struct event_draft draft = {.type = "new_message",
                                .rooms = VIEW("[\"user:a\",\"role:b\"]"),
                                .except = "user-9",
                                .data = VIEW("{\"big\":12345678901234567890,\"lone\":\"\\ud83d\"}")};
    buf_init(&b, EVENT_BODY_MAX);
    event_encode(&b, &draft, "t_1", "e_1", "k3f9", 42, 1789200000123);
    ck_assert_msg(event_decode(buf_view(&b), &e, &err), "%s", err.text);
    ck_assert_str_eq(e.tenant_id, "t_1");
    ck_assert_str_eq(e.type, "new_message");
    ck_assert_str_eq(e.epoch, "k3f9");
    ck_assert_str_eq(e.except, "user-9");
    ck_assert_uint_eq(e.seq, 42);
    ck_assert_int_eq(e.class, EVENT_DURABLE);
    ck_assert(view_eq(e.rooms, draft.rooms));
    ck_assert(view_eq(e.data, draft.data)); /* byte for byte */
    buf_free(&b);
}
END_TEST

START_TEST(event_rules)
{
    static const struct {
        const char *body;
        bool ok;
        int class;
    } rows[] = {
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"data\":{}}", true, EVENT_EPHEMERAL}, /* a foreign producer's */
        {"{\"type\":\"x\",\"tenantId\":\"t\"}", true, EVENT_EPHEMERAL},
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"class\":\"durable\"}", true, EVENT_EPHEMERAL},
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"class\":\"latest\",\"key\":\"k\",\"rev\":3}", true,
         EVENT_LATEST},
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"seq\":1,\"epoch\":\"e\"}", true, EVENT_DURABLE},
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"rooms\":[]}", true, EVENT_EPHEMERAL},
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"seq\":1}", false, 0},
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"seq\":1,\"epoch\":\"a-b\"}", false, 0},
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"seq\":-1,\"epoch\":\"e\"}", false, 0},
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"class\":\"latest\"}", false, 0},
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"class\":\"other\"}", false, 0},
        {"{\"type\":\"x\",\"tenantId\":\"a/b\"}", false, 0},
        {"{\"type\":\"connect\",\"tenantId\":\"t\"}", false, 0},
        {"{\"type\":\"portalcast:fence\",\"tenantId\":\"t\"}", true, EVENT_EPHEMERAL},
        {"{\"type\":\"portalcast:session\",\"tenantId\":\"t\",\"seq\":1,\"epoch\":\"e\"}", true,
         EVENT_DURABLE},
        {"{\"type\":\"portalcast:\",\"tenantId\":\"t\"}", false, 0},
        {"{\"type\":\"portalcast:a b\",\"tenantId\":\"t\"}", false, 0},
        {"{\"type\":\"portalcast\",\"tenantId\":\"t\"}", true, EVENT_EPHEMERAL},
        {"{\"type\":\"a b\",\"tenantId\":\"t\"}", false, 0},
        {"{\"tenantId\":\"t\"}", false, 0},
        {"{\"type\":\"x\"}", false, 0},
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"rooms\":[1]}", false, 0},
        {"{\"type\":\"x\",\"tenantId\":\"t\",\"rooms\":\"a\"}", false, 0},
        {"[]", false, 0},
        {"nonsense", false, 0},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct event e;
        struct err err;
        ck_assert_msg(event_decode(view_of(rows[i].body), &e, &err) == rows[i].ok, "%s", rows[i].body);
        ck_assert_msg(!rows[i].ok || (int)e.class == rows[i].class, "%s", rows[i].body);
        bool inside = strstr(rows[i].body, "\"portalcast:") != NULL;
        ck_assert_msg(!rows[i].ok || e.inside == inside, "%s", rows[i].body);
        ck_assert_msg(!rows[i].ok || event_type_valid(view_of(e.type)) == !inside, "%s", rows[i].body);
    }
}
END_TEST

START_TEST(offsets)
{
    char text[OFFSET_SIZE], epoch[EPOCH_MAX + 1];
    uint64_t seq;
    offset_format("k3f9", 42, text);
    ck_assert_str_eq(text, "k3f9-42");
    ck_assert(offset_parse(view_of(text), epoch, &seq) && seq == 42);
    ck_assert_str_eq(epoch, "k3f9");
    ck_assert(offset_parse(VIEW("-0"), epoch, &seq) && seq == 0);
    static const char *const bad[] = {
        "", "k3f9", "k3f9-", "k3f9-x", "k3-f9-1", "k3f9--1", "12345678901234567-1"};
    for (size_t i = 0; i < countof(bad); i++)
        ck_assert_msg(!offset_parse(view_of(bad[i]), epoch, &seq), "%s", bad[i]);
}
END_TEST

Suite *suite_json(void)
{
    Suite *s = suite_create("json");
    TCase *t = tcase_create("json");
    tcase_add_test(t, json_is_strict);
    tcase_add_test(t, json_depth_is_bounded);
    tcase_add_test(t, json_errors_name_the_place);
    tcase_add_test(t, json_walks_slices);
    tcase_add_test(t, json_decodes_strings);
    tcase_add_test(t, json_numbers_are_integers_in_range);
    tcase_add_test(t, json_writes_what_it_reads);
    tcase_add_test(t, event_survives_the_way);
    tcase_add_test(t, event_rules);
    tcase_add_test(t, offsets);
    suite_add_tcase(s, t);
    return s;
}
