#include "shared/http_text.h"
#include "tests/unit/suites.h"
#include <string.h>

static int check(struct http_head head, uint64_t *body_bytes)
{
    if (!head.version.p)
        head.version = VIEW("HTTP/1.1");
    if (!head.host.p)
        head.host = VIEW("x");
    return http_head_check(&head, 1000, body_bytes);
}

START_TEST(heads_that_can_be_understood_in_two_ways_are_refused)
{
    uint64_t n;
    ck_assert_int_eq(check((struct http_head){.method = HTTP_GET}, &n), 0);
    ck_assert_uint_eq(n, 0);
    struct http_head post = {.method = HTTP_POST, .has_length = true, .length = VIEW("1000")};
    ck_assert_int_eq(check(post, &n), 0);
    ck_assert_uint_eq(n, 1000);
    static const struct {
        const char *length;
        int status;
    } lengths[] = {{"1001", 413}, {"5,5", 400}, {"+5", 400},
                   {"-5", 400},   {"", 400},    {"5abc", 400},
                   {"0x5", 400},  {"1 2", 400}, {"99999999999999999999", 400},
                   {"0000010", 0}};
    for (size_t i = 0; i < countof(lengths); i++) {
        post.length = view_of(lengths[i].length);
        ck_assert_msg(check(post, &n) == lengths[i].status, "Content-Length: %s", lengths[i].length);
    }
    post.length = VIEW("5");
    post.has_encoding = true;
    ck_assert_int_eq(check(post, &n), 400);
    post.has_length = false;
    ck_assert_int_eq(check(post, &n), 411);
    ck_assert_int_eq(check((struct http_head){.method = HTTP_GET, .has_encoding = true}, &n), 411);
    ck_assert_int_eq(check((struct http_head){.method = HTTP_GET, .has_odd_framing = true}, &n), 400);
    ck_assert_int_eq(check((struct http_head){.method = HTTP_PATCH}, &n), 411);
    ck_assert_int_eq(check((struct http_head){.method = HTTP_DELETE}, &n), 0);
    ck_assert_int_eq(check((struct http_head){.method = HTTP_GET, .has_expect = true}, &n), 417);
    ck_assert_int_eq(check((struct http_head){.method = HTTP_GET, .host = VIEW("")}, &n), 400);
    ck_assert_int_eq(check((struct http_head){.method = HTTP_GET, .host = VIEW("a, b")}, &n), 400);
    struct http_head old = {.method = HTTP_GET, .version = VIEW("HTTP/1.0"), .host = VIEW("")};
    ck_assert_int_eq(check(old, &n), 0);
    old.version = VIEW("HTTP/2.0");
    ck_assert_int_eq(check(old, &n), 505);
}
END_TEST

START_TEST(request_lines_are_told_from_bodies)
{
    static const struct {
        const char *bytes;
        bool is_line;
    } table[] = {{"POST /x HTTP/1.1\r\nHost: x\r\n", true},
                 {"POST /x", true},
                 {"PO", true},
                 {"{\"a\":1}", false},
                 {"POSTED", false},
                 {"POST /x is what I wrote\r\nbye HTTP/1.1\r\n", false},
                 {"PUT /x HTTP/1.1\r\n", false}};
    for (size_t i = 0; i < countof(table); i++)
        ck_assert_msg(http_may_be_request_line(view_of(table[i].bytes), HTTP_POST) == table[i].is_line, "%s",
                      table[i].bytes);
}
END_TEST

START_TEST(lists_are_searched_by_token)
{
    ck_assert(http_list_has(VIEW("keep-alive, Upgrade"), "upgrade"));
    ck_assert(http_list_has(VIEW(" close "), "close"));
    ck_assert(!http_list_has(VIEW("closed"), "close"));
    ck_assert(!http_list_has(VIEW(""), "close"));
}
END_TEST

START_TEST(dates_are_imf)
{
    char text[HTTP_DATE_SIZE];
    http_date(784111777, text);
    ck_assert_str_eq(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    http_date(0, text);
    ck_assert_str_eq(text, "Thu, 01 Jan 1970 00:00:00 GMT");
}
END_TEST

START_TEST(reply_heads)
{
    struct buf out;
    buf_init(&out, 1000);
    static const struct reply_header more[] = {{"ETag", "\"1\""}, {"Location", "/a\r\nSet-Cookie: evil"}};
    struct reply reply = {
        .status = 404, .content_type = "text/plain", .body = VIEW("abc"), .headers = more, .header_count = 2};
    struct http_reply_context context = {.date = "D", .server_name = "S", .close = true};
    http_reply_head(&out, &reply, &context);
    ck_assert_str_eq(out.data,
                     "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
                     "Date: D\r\nServer: S\r\nConnection: close\r\nETag: \"1\"\r\nLocation: \r\n\r\n");
    buf_clear(&out);
    reply = (struct reply){.status = 204};
    http_reply_head(&out, &reply, &(struct http_reply_context){.date = "D", .keep_alive = true});
    ck_assert_str_eq(out.data, "HTTP/1.1 204 No Content\r\nDate: D\r\nConnection: keep-alive\r\n\r\n");
    buf_clear(&out);
    reply = (struct reply){.status = 599};
    http_reply_head(&out, &reply, &(struct http_reply_context){.date = "D"});
    ck_assert_str_eq(out.data, "HTTP/1.1 599 Unknown\r\nContent-Length: 0\r\nDate: D\r\n\r\n");
    buf_free(&out);
}
END_TEST

START_TEST(refusals_are_json)
{
    struct buf out;
    buf_init(&out, 1000);
    http_refusal_body(411, &out);
    ck_assert_str_eq(
        out.data,
        "{\"error\":{\"code\":\"LENGTH_REQUIRED\",\"message\":\"Length Required\",\"details\":{}}}");
    buf_clear(&out);
    http_refusal_body(400, &out);
    ck_assert_str_eq(out.data,
                     "{\"error\":{\"code\":\"MALFORMED\",\"message\":\"Bad Request\",\"details\":{}}}");
    buf_free(&out);
}
END_TEST

START_TEST(query_parameters)
{
    static const struct {
        const char *query, *name, *value; /* NULL: not there */
    } table[] = {{"a=1&b=2", "b", "2"},
                 {"a=1&a=2", "a", "2"},
                 {"a=1&b", "b", ""},
                 {"a=", "a", ""},
                 {"a=x+y%26z%3D", "a", "x y&z="},
                 {"%61=1", "a", "1"},
                 {"a=1", "b", NULL},
                 {"", "a", NULL},
                 {"&&a=1&", "a", "1"},
                 {"a=%zz", "a", NULL},
                 {"a=%4", "a", NULL},
                 {"a=%", "a", NULL},
                 {"a=x%00y", "a", NULL},
                 {"a=0123456789", "a", NULL},
                 {"a=012345678", "a", "012345678"},
                 {"a=1&%zz=2", "a", "1"},
                 {"a=b=c", "a", "b=c"}};
    for (size_t i = 0; i < countof(table); i++) {
        char out[10];
        bool found = http_query_param(view_of(table[i].query), table[i].name, out, sizeof out);
        ck_assert_msg(found == (table[i].value != NULL), "%s in %s", table[i].name, table[i].query);
        if (found)
            ck_assert_str_eq(out, table[i].value);
    }
}
END_TEST

START_TEST(queries_survive_being_put_together_again)
{
    struct buf out;
    char value[20];
    buf_init(&out, 1000);
    http_query_add(&out, VIEW("a b=x&y=z+%\xc3\xbc"));
    ck_assert_str_eq(out.data, "a%20b=x%26y%3Dz%2B%25%C3%BC");
    ck_assert(http_query_param(buf_view(&out), "a b", value, sizeof value));
    ck_assert_str_eq(value, "x&y=z+%\xc3\xbc");
    buf_clear(&out);
    http_query_add(&out, VIEW("flag"));
    ck_assert_str_eq(out.data, "flag");
    buf_free(&out);
}
END_TEST

Suite *suite_http_text(void)
{
    Suite *suite = suite_create("http_text");
    TCase *tc = tcase_create("http_text");
    tcase_add_test(tc, heads_that_can_be_understood_in_two_ways_are_refused);
    tcase_add_test(tc, request_lines_are_told_from_bodies);
    tcase_add_test(tc, lists_are_searched_by_token);
    tcase_add_test(tc, dates_are_imf);
    tcase_add_test(tc, reply_heads);
    tcase_add_test(tc, refusals_are_json);
    tcase_add_test(tc, query_parameters);
    tcase_add_test(tc, queries_survive_being_put_together_again);
    suite_add_tcase(suite, tc);
    return suite;
}
